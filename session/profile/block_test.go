package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const marked = `# begin x, written by aws-runas: changes between these lines are lost
[profile a b]
region = eu-west-1

[profile c]
sso_role_name = R
# end x
`

func TestSetBlock(t *testing.T) {
	sections := []Section{
		{"profile a b", []KV{{"region", "eu-west-1"}}},
		{"profile c", []KV{{"sso_role_name", "R"}}},
	}
	old := strings.Replace(marked, "eu-west-1", "gone", 1)
	for _, tt := range []struct {
		name, before, after, problem string
		sections                     []Section
	}{
		{"new file", "", marked, "", sections},
		{"behind what is there", "# mine\n[default]\nregion=x", "# mine\n[default]\nregion=x\n\n" + marked, "", sections},
		{"in place", "[p]\n" + old + "\n[q] # mine\n", "[p]\n" + marked + "\n[q] # mine\n", "", sections},
		{"line ends", "[p]\r\n", "[p]\r\n\r\n" + strings.ReplaceAll(marked, "\n", "\r\n"), "", sections},
		{"another block stays", strings.ReplaceAll(old, " x", " y"), strings.ReplaceAll(old, " x", " y") + "\n" + marked, "", sections},
		{"removed", "[p]\n" + old + "[q]\n", "[p]\n[q]\n", "", nil},
		{"nothing to remove", "[p]\n", "[p]\n", "", nil},
		{"no end", strings.Replace(old, "# end x", "", 1), "", "without its partner", sections},
		{"no begin", "# end x\n", "", "without its partner", sections},
		{"twice", old + old, "", "stands twice", sections},
		{"line break", "", "", "line break", []Section{{"profile a\nb", nil}, {"profile a\nb", []KV{{"region", "x"}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			err := SetBlock(file, "x", tt.sections)
			got, _ := os.ReadFile(file)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || string(got) != tt.before {
					t.Fatalf("error %v, file %q", err, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, string(got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			c, err := Load(func(name string) (string, bool) { return file, name == "AWS_CONFIG_FILE" }, "")
			if err != nil {
				t.Fatal(err)
			}
			if tt.sections != nil && !cmp.Equal(c.InBlock("x"), []string{"a b", "c"}) {
				t.Errorf("in the block: %q", c.InBlock("x"))
			}
		})
	}
}

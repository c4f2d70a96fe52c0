package profile

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// botocoreScript prints, for each file named, what botocore makes of it:
// {"profiles": {name: {setting: value}}}, or null where it gives up.
const botocoreScript = `
import json, sys
import botocore.configloader as loader
out = []
for path in sys.argv[1:]:
    try:
        out.append(loader.load_config(path)["profiles"])
    except Exception:
        out.append(None)
json.dump(out, sys.stdout)
`

// botocore runs the reader of the AWS CLI over files.
func botocore(t *testing.T, files ...string) []map[string]map[string]any {
	t.Helper()
	skip := t.Skip
	if os.Getenv("NO_SKIP") == "1" {
		skip = t.Fatal
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		skip("python3 is not installed")
	}
	if err := exec.Command(python, "-c", "import botocore").Run(); err != nil {
		skip("python3 has no botocore, which comes with the AWS CLI (pip install awscli)")
	}
	cmd := exec.Command(python, append([]string{"-c", botocoreScript}, files...)...)
	cmd.Env = append(os.Environ(), "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		var ee *exec.ExitError
		errors.As(err, &ee)
		t.Fatalf("%v: %s", err, ee.Stderr)
	}
	var all []map[string]map[string]any
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The same files read by botocore and by this package: every profile that
// botocore finds is found, with the same values. Where the two are to differ
// the reason is given.
func TestLikeBotocore(t *testing.T) {
	tests := []struct {
		name, text string
		differs    string
	}{
		{"plain", "[default]\nregion = x\n[profile a]\nregion=y\n", ""},
		{"double quotes", "[profile \"a b\"]\nregion = x\n", ""},
		{"single quotes", "[profile 'a b']\nregion = x\n", ""},
		{"mixed quotes", `[profile "it's"' "x"']` + "\nregion = x\n", ""},
		{"escapes in quotes", `[profile "a\"b\\c"]` + "\nregion = x\n", ""},
		{"tab", "[profile\ta]\nregion = x\n", ""},
		{"blanks", "[profile   a  ]\nregion = x\n", ""},
		{"punctuation", "[profile a/b@c:../..é]\nregion = x\n", ""},
		{"hash in the name", "[profile a#b]\nregion = x\n", ""},
		{"bracket in the name", "[profile a]b]\nregion = x\n", ""},
		{"comment behind the header", "[profile a] # c\nregion = x\n", ""},
		{"comment at the header", "[profile a]; c\nregion = x\n", ""},
		{"indented header", "  [profile a]\nregion = x\n", ""},
		{"profile default", "[default]\nregion = x\n[profile default]\nregion = y\n", ""},
		{"quoted default", "[profile \"default\"]\nregion = y\n", ""},
		{"nested", "[profile a]\ns3 =\n  region = no\n  x = y\nregion = x\n", ""},
		{"nested, with comments and blank lines", "[profile a]\ns3 =\n\tx = y\n# c\n\n  region = no\nregion = x\n", ""},
		{"header-like continuation", "[profile a]\nregion = x\ns3 =\n  [profile b]=1\n  region = y\n", ""},
		{"all indented", "[profile a]\n    region = x\n    mfa_serial = y\n", ""},
		{"less and less indented", "[profile a]\n    region = x\n  mfa_serial = y\nsource_profile = z\n", ""},
		{"indented comment", "[profile a]\nregion = x\n  # c\nmfa_serial = y\n", ""},
		{"colon", "[profile a]\nregion: x\n", ""},
		{"both delimiters", "[profile a]\nregion = x:y=z\nmfa_serial: a=b\n", ""},
		{"case", "[profile a]\nREGION = X\n", ""},
		{"crlf", "[profile a]\r\nregion = x\r\n", ""},
		{"empty values", "[profile a]\nregion =\nmfa_serial=\n", ""},
		{"empty section", "[profile a]\n[profile b]\nregion = x\n", ""},
		{"percent", "[profile a]\nregion = %(x)s\n", ""},
		{"backslash", "[profile a]\nregion = x\\\nmfa_serial = y\n", ""},
		{"comment glued to a value", "[profile a]\nregion = x#y;z\n", ""},
		{"other sections", "[sso-session s]\nregion = x\n[services v]\ns3 =\n  a = b\n[plugins]\nx = y\n[profile a]\nregion = x\n", ""},
		{"no name", "[profile ]\nregion = x\n[profile a]\nregion = x\n", ""},
		{"no value", "[profile a]\nregion\n", ""},
		{"no section", "region = x\n", ""},
		{"unclosed", "[profile a\nregion = x\n", ""},
		{"no section name", "[]\nregion = x\n", ""},
		{"command", "[profile a]\ncredential_process = \"/a b/c\" --d 'e f'\n", ""},

		{"duplicate section", "[profile a]\nregion = x\n[profile a]\nmfa_serial = y\n", "the SDKs merge them, botocore gives up"},
		{"duplicate setting", "[profile a]\nregion = x\nregion = y\n", "in the SDKs the last counts, botocore gives up"},
		{"inline comment", "[profile a]\nregion = x # c\n", "a comment to the SDKs"},
		{"quoted value", "[profile a]\nregion = \"x\"\n", "the SDKs remove the quotes"},
		{"byte order mark", "\ufeff[profile a]\nregion = x\n", "Windows editors write it, botocore gives up"},
		{"continued value", "[profile a]\nregion = x\n  y\n", "an error here: nobody means it"},
		{"continued command", "[profile a]\ncredential_process = a\n  b\n", "joined by a blank, which splits the same"},
	}
	dir := t.TempDir()
	var files []string
	for i, tt := range tests {
		file := filepath.Join(dir, string(rune('a'+i/26))+string(rune('a'+i%26)))
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	theirs := botocore(t, files...)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := theirs[i]
			for _, profile := range want {
				for name, v := range profile {
					if _, plain := v.(string); !plain || v == "" {
						delete(profile, name)
					}
				}
			}
			got := ours(t, files[i])
			if diff := cmp.Diff(want, got); (diff != "") != (tt.differs != "") {
				t.Errorf("differs: %q, is: %s", tt.differs, diff)
			}
		})
	}
}

// ours is what this package makes of a file, in the form of botocore's.
func ours(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	c, err := Load(env("AWS_CONFIG_FILE", path, "AWS_SHARED_CREDENTIALS_FILE", os.DevNull), "")
	if err != nil {
		return nil
	}
	all := map[string]map[string]any{}
	for _, name := range c.Names() {
		sections, _ := c.sections(name)
		if sections[0].kind == bareSection && name != "default" {
			continue // no profile to botocore
		}
		v := values{}
		r := resolver{Config: c}
		if err := r.own(name, v, nil); err != nil {
			return nil
		}
		all[name] = map[string]any{}
		for n, x := range v {
			all[name][n] = x.text
		}
	}
	return all
}

// What an edit makes of a file is what botocore reads in it.
func TestBotocoreReadsEdits(t *testing.T) {
	c := load(t, "", "")
	var files []string
	names := []string{"a", "a b", "it's", `"x" y`, "a/b:c@../..]é", "tab\there"}
	for _, name := range names {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte("[default]\nregion = x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := SetSection(file, c.Header(name), []KV{{"region", "first"}, {"role_session_name", "ü %(x)s $(y) \\"}, {"region", "second"}}); err != nil {
			t.Fatal(name, err)
		}
		files = append(files, file)
	}
	for i, got := range botocore(t, files...) {
		want := map[string]map[string]any{
			"default": {"region": "x"},
			names[i]:  {"region": "second", "role_session_name": "ü %(x)s $(y) \\"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", names[i], diff)
		}
	}
}

package cmd

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// TestCompletionSources: what the grammar says completes has a source, and no
// source is without use.
func TestCompletionSources(t *testing.T) {
	var root struct{ globals }
	a := newApp(nil, Streams{})
	parser, err := a.parser(&root, everyCommand)
	if err != nil {
		t.Fatal(err)
	}
	sources, used := a.completionValues(), map[string]bool{}
	err = kong.Visit(parser.Model, func(n kong.Visitable, next kong.Next) error {
		var v *kong.Value
		switch n := n.(type) {
		case *kong.Flag:
			v = n.Value
		case *kong.Value:
			v = n
		default:
			return next(nil)
		}
		source := v.Tag.Get("complete")
		if used[source] = true; source != "" && source != "file" && sources[source] == nil {
			t.Errorf("%s completes from %q, which is no source", v.Summary(), source)
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range sources {
		if !used[name] {
			t.Errorf("nothing completes from %q", name)
		}
	}
	if !used["profile"] || !used["provider"] {
		t.Errorf("the grammar's tags were not found: %v", used)
	}
}

func TestCompletionValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	config := "[profile work]\nsso_session = corp\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n[sso-session corp]\nsso_region = eu-west-1\n[sso-session lab]\n[services x]\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"env --mfa-type ":            "auto code push none",
		"env -t pu":                  "push",
		"env --provider key":         "keycloak",
		"env -R browser":             "browser browserne",
		"login --sso-session ":       "corp lab",
		"list roles --sso-session=l": "--sso-session=lab",
		"env --mfa-serial ":          "arn:aws:iam::123456789012:mfa/me",
		"hook z":                     "zsh",
		"env --shell tc":             "tcsh",
		"whoami ":                    "work",
		"serve ecs w":                "work",
	} {
		var out bytes.Buffer
		app := newApp([]string{"AWS_CONFIG_FILE=" + file, "HOME=" + t.TempDir()}, Streams{Out: &out, Err: io.Discard})
		if code := app.main(append([]string{"__complete", "fish", "aws-runas"}, strings.Split(line, " ")...)); code != 0 {
			t.Errorf("%s: exit code %d", line, code)
		}
		var got []string
		for _, l := range strings.Split(strings.TrimPrefix(out.String(), "words\n"), "\n") {
			if value, _, _ := strings.Cut(l, "\t"); value != "" {
				got = append(got, value)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s\n%s", line, diff, out.String())
		}
	}
}

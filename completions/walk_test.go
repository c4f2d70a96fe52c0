package completions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplete(t *testing.T) {
	all := func() string {
		var list []string
		for _, p := range profiles {
			if sound(p.Value) && p.Value != "list" && p.Value[0] != '-' {
				list = append(list, p.Value)
			}
		}
		return strings.Join(list, "|") + "|"
	}()
	const execFlags = "--env|-E|--duration|-d|--mfa-serial|-M|--region|--refresh|-r|--output|-O"
	const globalFlags = "--verbose|-v|--no-input|--keyring"
	for _, tt := range []struct {
		line    string // words separated by "|"; "|" at the end begins a new one
		ambient string
		want    string // candidates separated by "|"
		command int
		files   bool
	}{
		{line: "aws-runas|", want: all + "exec|env|list|keys"},
		{line: "/opt/bin/aws-runas|", want: all + "exec|env|list|keys"},
		{line: `C:\bin\aws-runas.exe|`, want: all + "exec|env|list|keys"},
		{line: "runas|", want: all + "off|-|exec|env|list|keys"},
		{line: "runas|o", want: "org:dev|org:prod|off"},
		{line: "aws-runas|o", want: "org:dev|org:prod"},
		{line: "aws-runas|e", want: "exec|env"},
		{line: "aws-runas|pro", want: "prod|prod-eu"},
		{line: "aws-runas|li", want: "list"},
		{line: "aws-runas|exec|li", want: "list"},
		{line: "aws-runas|exec|", want: strings.TrimSuffix(all, "|") + "|list"},
		{line: "aws-runas|nope", want: ""},

		// what is wrapped
		{line: "aws-runas|prod|", command: 2},
		{line: "aws-runas|prod|aws|s3", command: 2},
		{line: "aws-runas|prod|aws|--debug|", command: 2},
		{line: "aws-runas|prod|--|", command: 3},
		{line: "aws-runas|prod|--|aws|s", command: 3},
		{line: "aws-runas|prod|-", want: "--"},
		{line: "aws-runas|prod|--", want: "--"},
		{line: "aws-runas|prod|--x", want: ""},
		{line: "aws-runas|prod|-E|aws|", want: ""},
		{line: "aws-runas|--|", command: 2},
		{line: "aws-runas|--|env|", command: 2},
		{line: "aws-runas|-E|--|env|", command: 3},
		{line: "aws-runas|exec|--|env|", command: 3},
		{line: "aws-runas|exec|env|", command: 3},
		{line: "aws-runas|exec|-E|prod|", command: 4},
		{line: "aws-runas|-E|exec|-d|8h|prod|", command: 6},
		{line: "aws-runas|-E|prod|", command: 3},
		{line: "aws-runas|-d|8h|prod|aws|", command: 4},
		{line: "aws-runas|-d8h|prod|", command: 3},
		{line: "aws-runas|-rd|8h|prod|", command: 4},
		{line: "aws-runas|--duration|8h|prod|", command: 4},
		{line: "aws-runas|--duration=8h|prod|", command: 3},
		{line: "aws-runas|-d|env|prod|", command: 4},
		{line: "aws-runas|-|", command: 2},
		{line: "aws-runas|unknown|", command: 2},
		{line: "aws-runas|prod|aws-runas|dev|", command: 2},

		// with AWS_PROFILE set
		{line: "aws-runas|", ambient: "dev", want: all + "exec|env|list|keys", command: 1},
		{line: "aws-runas|ma", ambient: "dev", command: 1},
		{line: "aws-runas|make|", ambient: "dev", command: 1},
		{line: "aws-runas|make|-|", ambient: "dev", command: 1},
		{line: "aws-runas|-E|make|", ambient: "dev", command: 2},
		{line: "aws-runas|exec|make|", ambient: "dev", command: 2},
		{line: "aws-runas|prod|", ambient: "dev", command: 2},
		{line: "aws-runas|arn:aws:iam::1:role/r|", ambient: "dev", command: 2},
		{line: "aws-runas|env|", ambient: "dev", want: strings.TrimSuffix(all, "|") + "|list"},
		{line: "aws-runas|--|make|", ambient: "dev", command: 2},

		// flags
		{line: "aws-runas|-", want: execFlags + "|" + globalFlags},
		{line: "aws-runas|--", want: "--env|--duration|--mfa-serial|--region|--refresh|--output|--verbose|--no-input|--keyring"},
		{line: "aws-runas|--d", want: "--duration"},
		{line: "aws-runas|-d", want: "-d"},
		{line: "aws-runas|--secret|", want: ""},
		{line: "aws-runas|-d|", want: ""},
		{line: "aws-runas|-d|--re", want: ""},
		{line: "aws-runas|-r|--re", want: "--region"},
		{line: "aws-runas|-vr|-v|--", want: "--env|--duration|--mfa-serial|--region|--output|--verbose|--no-input|--keyring"},
		{line: "aws-runas|--region|", want: "eu-west-1|eu-central-1|us-east-1"},
		{line: "aws-runas|--region|eu-c", want: "eu-central-1"},
		{line: "aws-runas|--region=eu-", want: "--region=eu-west-1|--region=eu-central-1"},
		{line: "aws-runas|--refresh=", want: ""},
		{line: "aws-runas|--nope=", want: ""},
		{line: "aws-runas|--nope|dev|", command: 3},
		{line: "aws-runas|-O|", want: "env|json|dotenv"},
		{line: "aws-runas|-Oj", want: "-Ojson"},
		{line: "aws-runas|-rOj", want: "-rOjson"},
		{line: "aws-runas|-rO|", want: "env|json|dotenv"},
		{line: "aws-runas|--shell|f", want: "fish"},
		{line: "aws-runas|--shell|fish|env|de", want: "dev"},
		{line: "aws-runas|-r|env|--re", want: "--region"},
		{line: "aws-runas|env|prod|--", want: "--shell|--unset|--no-unset|--duration|--mfa-serial|--region|--refresh|--output|--verbose|--no-input|--keyring"},
		{line: "aws-runas|env|--no-", want: "--no-unset|--no-input"},
		{line: "aws-runas|env|--no-unset|--un", want: ""},
		{line: "aws-runas|env|--shell|", want: "bash|zsh|fish|powershell"},
		{line: "aws-runas|env|--|-d", want: "-dash"},

		// commands and arguments
		{line: "aws-runas|env|de", want: "dev"},
		{line: "aws-runas|env|prod|", want: ""},
		{line: "aws-runas|list|", want: "profiles|keys"},
		{line: "aws-runas|list|p", want: "profiles"},
		{line: "aws-runas|list|nope|", want: ""},
		{line: "aws-runas|list|-", want: globalFlags},
		{line: "aws-runas|keys|", want: "add|import|remove"},
		{line: "aws-runas|keys|rm", want: "rm"},
		{line: "aws-runas|keys|rm|prod|pro", want: "prod-eu"},
		{line: "aws-runas|keys|add|--kind|", want: "user|root"},
		{line: "aws-runas|keys|add|--kind=r", want: "--kind=root"},
		{line: "aws-runas|keys|import|", files: true},
		{line: "aws-runas|--keyring|file|keys|add|de", want: "dev"},
		{line: "aws-runas", want: ""},
	} {
		g, err := program(tt.ambient)
		if err != nil {
			t.Fatal(err)
		}
		a := g.complete(strings.Split(tt.line, "|"), false)
		var got []string
		for _, c := range a.candidates {
			got = append(got, c.Value)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" || a.command != tt.command || a.files != tt.files {
			t.Errorf("%s (AWS_PROFILE=%s): command %d, want %d; files %v; candidates (-want +got):\n%s",
				tt.line, tt.ambient, a.command, tt.command, a.files, diff)
		}
	}
}

// A profile named like a word of the function is completed once: it is the word.
func TestFunctionHidesProfile(t *testing.T) {
	for line, want := range map[string]string{"runas|of": "take back what was exported", "aws-runas|of": "the profile"} {
		g, err := program("")
		if err != nil {
			t.Fatal(err)
		}
		g.Values["profile"] = func(string) []Candidate { return []Candidate{{"off", "the profile"}} }
		a := g.complete(strings.Split(line, "|"), false)
		if diff := cmp.Diff([]Candidate{{"off", want}}, a.candidates); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

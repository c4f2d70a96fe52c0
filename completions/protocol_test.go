package completions

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProtocol(t *testing.T) {
	for _, tt := range []struct {
		args string // separated by "|"
		want string // separated by "|"
	}{
		{"bash|aws-runas org:|" + usualBreaks, "words|dev|prod"},
		{"bash|aws-runas org:|" + " ", "words|org:dev|org:prod"},
		{"bash|aws-runas me@|" + usualBreaks, "words|@corp"},
		{"bash|aws-runas prod  aws  s3 |" + usualBreaks, "command 2 aws  s3 "},
		{"bash|aws-runas prod |" + usualBreaks, "command 2 "},
		{"bash|aws-runas prod a\nb |" + usualBreaks, "command 2 a b "},
		{"bash|aws-runas env prod > f|" + usualBreaks, "files"},
		{"bash|aws-runas keys import f|" + usualBreaks, "files"},
		{"bash|aws-runas ROLE|" + usualBreaks, "words"},
		{"zsh|aws-runas|org:", `words|org\:dev:1 a|org\:prod:1 b`},
		{"zsh|aws-runas|back", `words|back\\slash:5 f`},
		{"zsh|aws-runas|ROLE", `words|team/dev role:3 d`},
		{"zsh|aws-runas|prod|aws|", "command 2"},
		{"fish|aws-runas|env|org:", "words|org:dev\t1 a|org:prod\t1 b"},
		{"fish|aws-runas|ROLE", "words|team/dev role\t3 d"},
		{"fish|aws-runas|--region|us", "words|us-east-1"},
		{"fish|aws-runas|--|", "command 2"},
		{"powershell|.aws-runas|.it%27s", "words|%27it%27%27s%27\tit%27s\t4%20e"},
		{"powershell|.aws-runas|.--region|.us", "words|us-east-1\tus-east-1\tus-east-1"},
		{"powershell|.aws-runas|.prod|.", "command 2"},
		{"powershell|.aws-runas|.keys|.import|.", "files"},
	} {
		g, err := program("")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		args := strings.Split(tt.args, "|")
		if args[0] == "bash" { // whose last argument has bars of its own
			args = strings.SplitN(tt.args, "|", 3)
		}
		if err := g.Complete(&b, args); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(tt.want, "|", "\n")+"\n", b.String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	g, err := program("")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"bash"}, {"bash", "a"}, {"tcsh", "a", ""}, {"powershell", ".a", ".%zz"}} {
		var b strings.Builder
		if err := g.Complete(&b, args); err == nil || b.Len() > 0 {
			t.Errorf("%q: %v, %q", args, err, b.String())
		}
	}
}

// A source is asked for nothing but the word that it completes.
func TestSourcesAreLazy(t *testing.T) {
	for line, want := range map[string]string{
		"aws-runas|prod|aws|": "", "aws-runas|-": "", "aws-runas|list|": "", "aws-runas|-d|": "",
		"aws-runas|--|": "", "aws-runas|pr": "profile:pr", "aws-runas|--region=e": "region:e", "aws-runas|-Oj": "format:j",
	} {
		g, err := program("")
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		for name := range g.Values {
			g.Values[name] = func(prefix string) []Candidate {
				asked = append(asked, name+":"+prefix)
				return nil
			}
		}
		g.complete(strings.Split(line, "|"), false)
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s asks %q, want %q", line, got, want)
		}
	}
}

// Where a source keeps to what has been typed and nothing begins so, a shell
// that matches in ways of its own is given what contains it.
func TestSourcesAreAskedAgain(t *testing.T) {
	for line, want := range map[string]string{
		"fish|aws-runas|DMIN": "words|prod-admin|dev-admin|", "fish|aws-runas|prod-": "words|prod-admin|", "fish|aws-runas|en": "words|env\tPrint credentials|",
		"fish|aws-runas|zz": "words|", "fish|aws-runas|-n": "words|", "bash|aws-runas DMIN|": "words|",
	} {
		g, err := program("")
		if err != nil {
			t.Fatal(err)
		}
		g.Values["profile"] = func(prefix string) []Candidate {
			return match([]Candidate{{Value: "prod-admin"}, {Value: "dev-admin"}}, prefix, false)
		}
		var b strings.Builder
		if err := g.Complete(&b, strings.Split(line, "|")); err != nil {
			t.Error(err)
		}
		if got := strings.ReplaceAll(b.String(), "\n", "|"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestDescriptions(t *testing.T) {
	for help, want := range map[string]string{
		"":                                  "",
		"Print it.":                         "Print it",
		"Lifetime, such as 8h. ($DURATION)": "Lifetime, such as 8h",
		"Say what is being done. Twice: say more.":    "Say what is being done",
		"One of e.g. this. And more":                  "One of e.g. this",
		"Env, json (credential_process) or dotenv.":   "Env, json (credential_process) or dotenv",
		"First line\nsecond":                          "First line",
		"Region of eu-west-1.amazonaws.com or so. $X": "Region of eu-west-1.amazonaws.com or so. $X",
	} {
		if got := summary(help); got != want {
			t.Errorf("%q becomes %q, want %q", help, got, want)
		}
	}
	if got := plain("a\tb\x1b[1mc\nd"); got != "a b [1mc d" {
		t.Errorf("%q", got)
	}
}

// readPowerShell reads the '...' form, by the rules of the language.
func readPowerShell(s string) (string, bool) {
	if !strings.HasPrefix(s, "'") {
		return s, !strings.ContainsAny(s, " '\"`$(){};,|&<>@#%\u2018\u2019\u201a\u201b")
	}
	runes := []rune(s)
	quote := func(r rune) bool { return strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) }
	var out []rune
	for i := 1; i < len(runes); i++ {
		if quote(runes[i]) {
			if i+1 < len(runes) && quote(runes[i+1]) {
				i++
			} else {
				return string(out), i+1 == len(runes)
			}
		}
		out = append(out, runes[i])
	}
	return "", false
}

func FuzzQuotePowerShell(f *testing.F) {
	for _, s := range append(randomNames(), "", "it's", "it\u2019s", "\u2018\u201a\u201b", "-d", "--region=us-east-1", "-a.b", "$x", "@a", "a b") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ToValidUTF8(s, "") != s {
			t.Skip("arguments are text in PowerShell")
		}
		q := quotePowerShell(s)
		if got, ok := readPowerShell(q); !ok || got != s {
			t.Errorf("%q becomes %q, which reads as %q, %v", s, q, got, ok)
		}
		back, err := url.PathUnescape(url.PathEscape(s))
		if err != nil || back != s {
			t.Errorf("%q travels as %q, %v", s, back, err)
		}
	})
}

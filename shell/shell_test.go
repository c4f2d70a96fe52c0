package shell

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, want := range map[string]Dialect{
		"bash": Bash, "-bash": Bash, "/bin/bash": Bash, "rbash": Bash, "bash5.2": Bash, `C:\Program Files\Git\bin\bash.exe`: Bash,
		"zsh": Zsh, "/usr/bin/zsh": Zsh, "-zsh": Zsh, "zsh-5.9": Zsh,
		"fish": Fish, "/opt/homebrew/bin/fish": Fish,
		"powershell": PowerShell, "pwsh": PowerShell, "PowerShell.EXE": PowerShell, "pwsh-preview": PowerShell,
		"posix": POSIX, "sh": POSIX, "-sh": POSIX, "dash": POSIX, "ash": POSIX, "ksh": POSIX, "ksh93": POSIX, "mksh": POSIX,
		"tcsh": Tcsh, "csh": Tcsh, "-csh": Tcsh,
		"cmd": Cmd, "cmd.exe": Cmd, `C:\Windows\System32\CMD.EXE`: Cmd,
	} {
		if got, err := Parse(name); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range Dialects() {
		if got, err := Parse(name); err != nil || string(got) != name {
			t.Errorf("Parse(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "-", "/", "93", "nu", "bashful", "bash/", "script.sh", "python3"} {
		got, err := Parse(name)
		if err == nil {
			t.Errorf("Parse(%q) = %q", name, got)
			continue
		}
		for _, known := range Dialects() {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("Parse(%q): %v: does not name %s", name, err, known)
			}
		}
	}
}

func TestEvalLine(t *testing.T) {
	got := map[string]string{}
	for _, d := range Dialects() {
		got[d] = Dialect(d).EvalLine("aws-runas env prod")
	}
	want := map[string]string{
		"bash":       `eval "$(aws-runas env prod)"`,
		"zsh":        `eval "$(aws-runas env prod)"`,
		"posix":      `eval "$(aws-runas env prod)"`,
		"fish":       `aws-runas env prod | source`,
		"powershell": `aws-runas env prod | Out-String | Invoke-Expression`,
		"tcsh":       "eval \"`aws-runas env prod`\"",
		"cmd":        `for /f "delims=" %i in ('aws-runas env prod') do @%i`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRender(t *testing.T) {
	change := Change{
		Set: map[string]string{
			"AWS_REGION":    "eu-west-1",
			"AWSRUNAS_NOTE": `it's {"a b":"c\d"}`,
		},
		Unset: []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_PROFILE"},
	}
	for d, want := range map[Dialect]string{
		Bash: `unset AWS_DEFAULT_PROFILE
unset AWS_PROFILE
export AWSRUNAS_NOTE='it'\''s {"a b":"c\d"}'
export AWS_REGION='eu-west-1'
`,
		Fish: `while set -e AWS_DEFAULT_PROFILE; end;
while set -e AWS_PROFILE; end;
set -gx AWSRUNAS_NOTE 'it\'s {"a b":"c\\d"}';
set -gx AWS_REGION 'eu-west-1';
`,
		PowerShell: `Remove-Item -LiteralPath Env:AWS_DEFAULT_PROFILE -ErrorAction Ignore
Remove-Item -LiteralPath Env:AWS_PROFILE -ErrorAction Ignore
$env:AWSRUNAS_NOTE = 'it''s {"a b":"c\d"}'
$env:AWS_REGION = 'eu-west-1'
`,
		Tcsh: `unsetenv AWS_DEFAULT_PROFILE;
unsetenv AWS_PROFILE;
setenv AWSRUNAS_NOTE 'it'\''s {"a b":"c'\\'d"}';
setenv AWS_REGION 'eu-west-1';
`,
		Cmd: `set "AWS_DEFAULT_PROFILE="
set "AWS_PROFILE="
set "AWSRUNAS_NOTE=it's {"a b":"c\d"}"
set "AWS_REGION=eu-west-1"
`,
	} {
		got, err := d.Render(change)
		if err != nil {
			t.Errorf("%s: %v", d, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", d, diff)
		}
	}
	want, _ := Bash.Render(change)
	for _, d := range []Dialect{Zsh, POSIX} {
		if got, err := d.Render(change); err != nil || got != want {
			t.Errorf("%s: %q, %v; want as bash", d, got, err)
		}
	}
	for _, name := range Dialects() {
		if got, err := Dialect(name).Render(Change{}); got != "" || err != nil {
			t.Errorf("%s: nothing to change: %q, %v", name, got, err)
		}
	}
}

func TestRenderValue(t *testing.T) {
	for _, c := range []struct {
		d           Dialect
		value, want string
	}{
		{Bash, "", "export V=''\n"},
		{Bash, "a\nb\xff", "export V='a\nb\xff'\n"},
		{Fish, "a\nb\\'", `set -gx V 'a'\n'b\\\'';` + "\n"},
		{Tcsh, "hi!\n", `setenv V 'hi'\!''$'\n''';` + "\n"},
		{PowerShell, "caf\u00e9", `$env:V = 'caf' + (-join [char[]](0xe9))` + "\n"},
		{PowerShell, "\u2019\U0001f600x", `$env:V = '' + (-join [char[]](0x2019,0xd83d,0xde00)) + 'x'` + "\n"},
		{PowerShell, "a\r\nb", `$env:V = 'a' + (-join [char[]](0xd,0xa)) + 'b'` + "\n"},
		{Cmd, `a&b "c" d^`, `set "V=a&b "c" d^"` + "\n"},
	} {
		got, err := c.d.Render(Change{Set: map[string]string{"V": c.value}})
		if err != nil || got != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.d, c.value, got, err, c.want)
		}
	}
}

// What cannot be carried is an error that names the variable and the dialect,
// gives no text and does not show the value.
func TestRenderRefuses(t *testing.T) {
	const secret = "Pla1nted"
	long := strings.Repeat("x", 4096)
	type refusal struct {
		d     Dialect
		value string
	}
	cases := []refusal{
		{PowerShell, ""}, {PowerShell, secret + "\xff"},
		{Tcsh, secret + "\u00e9" + long}, {Tcsh, secret + "\xff" + long},
		{Cmd, ""}, {Cmd, secret + "\n"}, {Cmd, secret + "\r"}, {Cmd, secret + "\x1a"}, {Cmd, secret + "\x7f"},
		{Cmd, secret + "\u00e9"}, {Cmd, secret + "\xff"}, {Cmd, secret + "%"}, {Cmd, secret + "!"},
		{Cmd, secret + `"&`}, {Cmd, secret + `"^`}, {Cmd, `"` + secret + `>`},
		{Cmd, secret + long + long},
	}
	for _, name := range Dialects() {
		cases = append(cases, refusal{Dialect(name), secret + "\x00"})
	}
	for _, c := range cases {
		got, err := c.d.Render(Change{Set: map[string]string{"AWS_A": "ok", "AWS_V": c.value}})
		if err == nil || got != "" {
			t.Errorf("%s carries %.20q: %.40q", c.d, c.value, got)
			continue
		}
		if s := err.Error(); !strings.Contains(s, `"AWS_V"`) || !strings.Contains(s, string(c.d)) || strings.Contains(s, secret) {
			t.Errorf("%s %.20q: %v", c.d, c.value, err)
		}
	}
}

func TestRenderNames(t *testing.T) {
	for _, c := range []Change{
		{Set: map[string]string{"": "v"}},
		{Set: map[string]string{"1A": "v"}},
		{Set: map[string]string{"A-B": "v"}},
		{Set: map[string]string{"A B": "v"}},
		{Set: map[string]string{"A;id": "v"}},
		{Set: map[string]string{"\u00c9": "v"}},
		{Set: map[string]string{"A\n": "v"}},
		{Unset: []string{"A$(id)"}},
		{Unset: []string{"*"}},
		{Set: map[string]string{"A": "v"}, Unset: []string{"A"}},
	} {
		for _, name := range Dialects() {
			if got, err := Dialect(name).Render(c); err == nil || got != "" {
				t.Errorf("%s: Render(%+v) = %q, %v", name, c, got, err)
			}
		}
		if got, err := Dotenv(c); err == nil || got != "" {
			t.Errorf("Dotenv(%+v) = %q, %v", c, got, err)
		}
	}
	for _, d := range []Dialect{"", "nu"} {
		if got, err := d.Render(Change{}); err == nil {
			t.Errorf("%q renders %q", d, got)
		}
		if got, err := d.Quote("a"); err == nil {
			t.Errorf("%q quotes %q", d, got)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct {
		value string
		want  map[Dialect]string
	}{
		{"prod", map[Dialect]string{Bash: `prod`, Fish: `prod`, PowerShell: `prod`, Tcsh: `prod`, Cmd: `prod`}},
		{"arn:aws:iam::123456789012:role/a-b.c", map[Dialect]string{Bash: "arn:aws:iam::123456789012:role/a-b.c", Cmd: "arn:aws:iam::123456789012:role/a-b.c"}},
		{"", map[Dialect]string{Bash: `''`, Fish: `''`, PowerShell: `''`, Tcsh: `''`, Cmd: `""`}},
		{"-x", map[Dialect]string{Bash: `'-x'`, PowerShell: `'-x'`, Cmd: `"-x"`}},
		{"1e3", map[Dialect]string{PowerShell: `'1e3'`}},
		{"a b", map[Dialect]string{Bash: `'a b'`, Fish: `'a b'`, PowerShell: `'a b'`, Tcsh: `'a b'`, Cmd: `"a b"`}},
		{"it's", map[Dialect]string{Bash: `'it'\''s'`, Fish: `'it\'s'`, PowerShell: `'it''s'`, Tcsh: `'it'\''s'`, Cmd: `"it's"`}},
		{"it\u2019s \u201a\u201b\u2018", map[Dialect]string{PowerShell: "'it\u2019\u2019s \u201a\u201a\u201b\u201b\u2018\u2018'", Bash: "'it\u2019s \u201a\u201b\u2018'"}},
		{"a\nb", map[Dialect]string{PowerShell: "'a\nb'", Bash: "'a\nb'"}},
		{`C:\my dir\`, map[Dialect]string{Cmd: `"C:\my dir\\"`, Bash: `'C:\my dir\'`, Fish: `'C:\\my dir\\'`}},
	} {
		for d, want := range c.want {
			if got, err := d.Quote(c.value); err != nil || got != want {
				t.Errorf("%s.Quote(%q) = %s, %v; want %s", d, c.value, got, err, want)
			}
		}
	}
	for _, value := range []string{`a"b`, "100%", "a!", "a\nb", "\xff", "a\tb"} {
		if got, err := Cmd.Quote(value); err == nil {
			t.Errorf("cmd quotes %q as %s", value, got)
		} else if !strings.Contains(err.Error(), "cmd") {
			t.Errorf("%v: does not name the dialect", err)
		}
	}
}

func TestDotenv(t *testing.T) {
	got, err := Dotenv(Change{
		Set: map[string]string{
			"B": `{"profile":"a b","x":["1"]}`, "A": "", "C": `it's \n back\slash`, "D": "caf\u00e9 \u2019=;&|<>()!%^~*?:,@",
		},
		Unset: []string{"AWS_PROFILE"},
	})
	want := "A=\nB={\"profile\":\"a b\",\"x\":[\"1\"]}\nC=it's \\n back\\slash\nD=caf\u00e9 \u2019=;&|<>()!%^~*?:,@\n"
	if err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, value := range []string{
		"a#b", "a #b", "$HOME", "a$", " a", "a ", "'a", `"a"`, "`a`", "a\nb", "a\r", "a\tb", "\x00", "\x1b", "\xff",
		"\u00a0a", "a\u2028b", "\ufeff", strings.Repeat("x", 64<<10),
	} {
		got, err := Dotenv(Change{Set: map[string]string{"AWS_V": value}})
		if err == nil || got != "" {
			t.Errorf("%.20q: %.40q, %v", value, got, err)
		} else if s := err.Error(); !strings.Contains(s, `"AWS_V"`) || !strings.Contains(s, "dotenv") {
			t.Errorf("%.20q: %v", value, err)
		}
	}
}

// A text that Render or Quote gives reads back as the value.
func FuzzQuote(f *testing.F) {
	for i := range Dialects() {
		for _, v := range nasty() {
			f.Add(byte(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, value string) {
		d := Dialect(Dialects()[int(which)%len(Dialects())])
		if text, err := d.Render(Change{Set: map[string]string{"V": value}}); err == nil {
			if got, err := readSet(d, "V", text); err != nil || got != value {
				t.Errorf("%s: value %q rendered as %q reads as %q, %v", d, value, text, got, err)
			}
		} else if carried(d, value) {
			t.Errorf("%s: value %q: %v", d, value, err)
		}
		if word, err := d.Quote(value); err == nil {
			if got, err := readWord(d, word); err != nil || got != value {
				t.Errorf("%s: %q quoted as %s reads as %q, %v", d, value, word, got, err)
			}
		} else if carried(d, value) {
			t.Errorf("%s: word %q: %v", d, value, err)
		}
	})
}

// carried reports whether the dialect is known to carry the value, so that an
// error is one too many.
func carried(d Dialect, value string) bool {
	switch d {
	case PowerShell:
		return value != "" && strings.ToValidUTF8(value, "") == value && !strings.Contains(value, "\x00")
	case Cmd:
		return value != "" && len(value) < 8000 && strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 &|<>^()+/=_-'\\:,.") == ""
	case Tcsh:
		return !strings.Contains(value, "\x00") && len(value) < 400
	}
	return !strings.Contains(value, "\x00")
}

func FuzzDotenv(f *testing.F) {
	for _, v := range nasty() {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := Dotenv(Change{Set: map[string]string{"V": value}})
		if err != nil {
			return
		}
		if text != "V="+value+"\n" || strings.Count(text, "\n") != 1 ||
			strings.TrimSpace(value) != value || strings.ContainsAny(value, "#$\r\x00") || strings.HasPrefix(value, `"`) {
			t.Errorf("%q written as %q", value, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("-bash")
	f.Add(`C:\x\pwsh.exe`)
	f.Fuzz(func(t *testing.T, name string) {
		d, err := Parse(name)
		if err != nil {
			return
		}
		if again, err := Parse(string(d)); err != nil || again != d {
			t.Errorf("Parse(%q) = %q, which is no dialect: %v", name, d, err)
		}
	})
}

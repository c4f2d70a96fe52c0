package shell

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var hookDialects = []Dialect{Bash, Zsh, Fish, PowerShell}

func TestHookIsFilledIn(t *testing.T) {
	for _, d := range hookDialects {
		text, err := Hook(d, HookOptions{Exe: "/a b/it's", Function: "go-to_2", Completion: "completion --of=it"})
		if err != nil {
			t.Errorf("%s: %v", d, err)
			continue
		}
		if left := regexp.MustCompile(`@[A-Z]+@`).FindString(text); left != "" {
			t.Errorf("%s: %s is left", d, left)
		}
		for _, want := range []string{d.literal("/a b/it's"), "go-to_2", "completion --of=it\n", "10"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", d, want)
			}
		}
		named, err := Hook(d, HookOptions{Exe: "/x"})
		if err != nil || !strings.Contains(named, d.DefaultFunction()) {
			t.Errorf("%s: no function %s: %v", d, d.DefaultFunction(), err)
		}
		if runtime.GOOS == "windows" {
			continue
		}
		if text, err := Hook(d, HookOptions{Exe: `C:\x`}); err != nil || !strings.Contains(text, d.literal(`C:\x`)) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestHookErrors(t *testing.T) {
	for _, d := range []Dialect{POSIX, Tcsh, Cmd, "", "elvish"} {
		if text, err := Hook(d, HookOptions{Exe: "/x"}); err == nil {
			t.Errorf("%q has a hook: %.50q", d, text)
		}
	}
	for _, d := range hookDialects {
		for _, o := range []HookOptions{
			{}, {Exe: "/a\x00b"}, {Exe: "/x", Function: "a b"}, {Exe: "/x", Function: "a;id"}, {Exe: "/x", Function: "1a"},
			{Exe: "/x", Function: "-a"}, {Exe: "/x", Function: "caf\u00e9"}, {Exe: "/x", Function: "$x"},
		} {
			if text, err := Hook(d, o); err == nil {
				t.Errorf("%s %+v: %.50q", d, o, text)
			}
		}
	}
}

// What the hook calls its own is the same in each dialect, and the variables
// are those of the contract.
func TestHooksAgree(t *testing.T) {
	variable := regexp.MustCompile(`AWSRUNAS_[A-Z_]+[A-Z]`)
	for _, d := range hookDialects {
		text, err := Hook(d, HookOptions{Exe: "/x"})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, name := range variable.FindAllString(text, -1) {
			got[name] = true
		}
		for _, short := range []string{"PROFILE", "ACCOUNT", "KEY_ID", "EXPIRES_AT", "REFRESH_AT", "RENEW", "EXPORTS", "BEFORE", "PREVIOUS", "PROMPT", "SEGMENT", "WARN", "AUTO", "DEPTH"} {
			if !strings.Contains(text, short) {
				t.Errorf("%s does not know AWSRUNAS_%s", d, short)
			}
			delete(got, "AWSRUNAS_"+short)
		}
		for name := range got {
			t.Errorf("%s: %s is in no contract", d, name)
		}
		for _, call := range []string{"__switch", "--renew", "--enter=", "--leave", "--unset", "--no-input", "--told"} {
			if !strings.Contains(text, call) {
				t.Errorf("%s does not call %s", d, call)
			}
		}
	}
}

func TestHookSyntax(t *testing.T) {
	for d, argv := range map[Dialect][]string{
		Bash: {"bash", "-n"}, Zsh: {"zsh", "-n"}, Fish: {"fish", "-n"},
	} {
		t.Run(string(d), func(t *testing.T) {
			need(t, argv[0])
			if out, err := exec.Command(argv[0], append(argv[1:], hookFile(t, d))...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("fish_indent", func(t *testing.T) {
		need(t, "fish_indent")
		if out, err := exec.Command("fish_indent", "--check", hookFile(t, Fish)).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("shellcheck", func(t *testing.T) {
		need(t, "shellcheck")
		if out, err := exec.Command("shellcheck", "--shell=bash", hookFile(t, Bash)).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func hookFile(t *testing.T, d Dialect) string {
	t.Helper()
	text, err := Hook(d, HookOptions{Exe: "/a b/it's"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hook."+string(d))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// notIn32 is what bash 3.2, that of macOS, lacks, by the version of its NEWS
// that brought it.
var notIn32 = map[string]*regexp.Regexp{
	"4.0 associative arrays":           regexp.MustCompile(`(declare|local|typeset) -[a-zA-Z]*A`),
	"4.0 mapfile":                      regexp.MustCompile(`\b(mapfile|readarray)\b`),
	"4.0 case conversion":              regexp.MustCompile(`\$\{\w+(\[[^]]*\])?(\^|,)`),
	"4.0 ;& and ;;&":                   regexp.MustCompile(`;&`),
	"4.0 |& and &>>":                   regexp.MustCompile(`\|&|&>>`),
	"4.0 coproc":                       regexp.MustCompile(`\bcoproc\b`),
	"4.0 read -i, -N, fractional -t":   regexp.MustCompile(`\bread( -\w+( \d+)?)* -([a-zA-Z]*[iN]|t ?\d*\.)`),
	"4.0 globstar, autocd, dirspell":   regexp.MustCompile(`\b(globstar|autocd|dirspell)\b`),
	"4.0 step in a brace range":        regexp.MustCompile(`\.\.\S+\.\.`),
	"4.1 descriptor in a variable":     regexp.MustCompile(`[^$]\{\w+\}[<>]`),
	"4.2 declare -g":                   regexp.MustCompile(`(declare|typeset) -[a-zA-Z]*g`),
	"4.2 test -v":                      regexp.MustCompile(`(\[\[|test) (! )?-v`),
	"4.2 negative subscript, lastpipe": regexp.MustCompile(`\w\[-\d|lastpipe`),
	"4.2 \\u in quotes":                regexp.MustCompile(`\$'[^']*\\[uU]`),
	"4.3 name references":              regexp.MustCompile(`(declare|local|typeset) -[a-zA-Z]*n`),
	"4.4 parameter transformation":     regexp.MustCompile(`\$\{\w+@`),
	"4.4 local -":                      regexp.MustCompile(`local -(\s|$)`),
	"4.4 mapfile -d, EPOCHREALTIME":    regexp.MustCompile(`EPOCHREALTIME|BASH_ARGV0|SRANDOM`),
	"5.3 substitution in the shell":    regexp.MustCompile(`\$\{[ |]`),
}

// guarded are the lines with what an old bash lacks that it does not reach:
// nothing there is a syntax error, and each stands behind a test.
var guarded = []string{
	`if [[ -n ${EPOCHSECONDS-} ]]; then`,
	`now=$EPOCHSECONDS`,
	`elif [[ -z ${__awsrunas_epoch-} ]]; then`,
	`printf -v now '%(%s)T' -1`,
}

func TestBashHookKeepsTo32(t *testing.T) {
	text, err := Hook(Bash, HookOptions{Exe: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for what, re := range notIn32 {
			if re.MatchString(line) {
				t.Errorf("line %d: %s: %s", i+1, what, line)
			}
		}
		if (strings.Contains(line, "EPOCHSECONDS") || strings.Contains(line, "%(")) && !slices.Contains(guarded, line) {
			t.Errorf("line %d: not in bash 3.2: %s", i+1, line)
		}
	}
	for what, example := range map[string]string{
		"4.0 associative arrays": "local -A x", "4.0 case conversion": "${x^^}", "4.0 ;& and ;;&": "a) ;;&", "4.3 name references": "local -n x=y",
		"4.4 parameter transformation": "${x@Q}", "4.2 negative subscript, lastpipe": "${x[-1]}", "4.1 descriptor in a variable": "exec {fd}<x",
		"4.0 read -i, -N, fractional -t": "read -r -N 1 x", "4.2 test -v": "[[ -v x ]]", "4.4 local -": "local -",
	} {
		if !notIn32[what].MatchString(example) {
			t.Errorf("the rule %q does not find %s", what, example)
		}
	}
}

func TestPowerShellHookParses(t *testing.T) {
	hook := hookFile(t, PowerShell)
	file := filepath.Join(filepath.Dir(hook), "hook.ps1")
	if err := os.Rename(hook, file); err != nil {
		t.Fatal(err)
	}
	start, err := NewSubshell(SubshellOptions{
		Shell: "/usr/bin/pwsh", Exe: "/a b/it's", Function: "go-to_2", Interactive: true,
		Lookup: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	load := filepath.Join(t.TempDir(), "load.ps1")
	if err := os.WriteFile(load, []byte(start.Args[len(start.Args)-1]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if pwsh, err := exec.LookPath("pwsh"); err == nil {
		for _, f := range []string{file, load} {
			script := "$e = $null; $null = [System.Management.Automation.Language.Parser]::ParseFile('" + f + "', [ref]$null, [ref]$e); $e; exit $e.Count"
			if out, err := exec.Command(pwsh, "-NoProfile", "-Command", script).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
		return
	}
	if out, err := powershellParser(t)(file, load); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

package shell

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes the test binary the program that shells run below: it shows
// what reached it, in a framing that holds any byte.
func TestMain(m *testing.M) {
	switch os.Getenv("SHELL_TEST_MODE") {
	case "environ":
		os.Stdout.Write(frame(os.Environ()))
	case "args":
		os.Stdout.Write(frame(os.Args[1:]))
	case "render":
		text, err := Dialect(os.Args[1]).Render(Change{Set: map[string]string{"V": os.Args[2]}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.WriteString(os.Stdout, text)
	case "detect":
		fmt.Print(Detect(os.LookupEnv))
	case "runas":
		os.Exit(stub(os.Args[1:]))
	default:
		os.Exit(m.Run())
	}
}

// real is a shell as installed. source is a statement that evaluates what is in
// the file %s, by the idiom that the dialect documents.
type real struct {
	d      Dialect
	argv   []string // takes a script as the next argument
	source string
}

func shells() map[string]real {
	const posix = `eval "$(cat %s)"` + "\n"
	return map[string]real{
		"bash":            {Bash, []string{"bash", "--norc", "--noprofile", "-c"}, posix},
		"bash strict":     {Bash, []string{"bash", "--norc", "--noprofile", "-euo", "pipefail", "-o", "noclobber", "-O", "extglob", "-c"}, posix},
		"bash --posix":    {POSIX, []string{"bash", "--posix", "-euc"}, posix},
		"zsh":             {Zsh, []string{"zsh", "-f", "-c"}, posix},
		"zsh strict":      {Zsh, []string{"zsh", "-f", "-eu", "-o", "pipefail", "-o", "noclobber", "-o", "rcquotes", "-o", "extendedglob", "-c"}, posix},
		"zsh as sh":       {POSIX, []string{"zsh", "--emulate", "sh", "-f", "-euc"}, posix},
		"dash strict":     {POSIX, []string{"dash", "-euc"}, posix},
		"mksh strict":     {POSIX, []string{"mksh", "-euc"}, posix},
		"ksh93 strict":    {POSIX, []string{"ksh93", "-euc"}, posix},
		"busybox strict":  {POSIX, []string{"busybox", "ash", "-euc"}, posix},
		"fish source":     {Fish, []string{"fish", "--no-config", "-c"}, "cat %s | source\n"},
		"fish eval":       {Fish, []string{"fish", "--no-config", "-c"}, "eval (cat %s)\n"},
		"tcsh":            {Tcsh, []string{"tcsh", "-f", "-c"}, "eval \"`cat %s`\"\n"},
		"tcsh with slash": {Tcsh, []string{"tcsh", "-f", "-c"}, "set backslash_quote\neval \"`cat %s`\"\n"},
	}
}

func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// run lets the shell run script, in which $self or its like is not needed: the
// test binary's path is safe as it stands.
func (r real) run(t *testing.T, locale, mode, script string) []byte {
	t.Helper()
	argv := append(r.argv[:len(r.argv):len(r.argv)], script)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=" + locale, "SHELL_TEST_MODE=" + mode, "AWS_OLD=old"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%q: %v, standard error %.400q", r.argv, err, stderr.String())
	}
	return out
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !isBare(exe) {
		t.Fatalf("the test binary's path %q would need quotes", exe)
	}
	return exe
}

func nasty() []string {
	return []string{
		"", " ", "a", "a  b", " lead", "trail ", "'", "''", "'''", `"`, `""`, `a'b"c`, "`id`", "$(id)", "$HOME", "${x}", "$'a'",
		`\`, `\\`, `end\`, `\'`, `\!`, `\n`, "!", "!!", "!x", "hi!", "'!'", "%", "%PATH%", "100%n", "^", "^a^b", "&", "a&b", "|", ";", "; id", "<", ">", "(", ")", "()",
		"{a,b}", "[a]", "*", "?", "~", "~root", "#", "a #b", "=ls", "@(a)", "-n", "--", "-", "+", ",", "@a",
		"\n", "a\nb", "a\n", "\n\n", "a\n\nb\n\n", "a\r\nb", "a\r", "\r", "\t", "a\tb", "\v", "\f", "\a", "\b", "\x1b[31m", "\x01", "\x7f",
		"caf\u00e9", "\u2019", "it\u2019s", "\u2018a\u201a\u201b", "\u201cq\u201d", "\u00a0", "\u2028", "\ufeff", "\U0001f600", "\u65e5\u672c\u8a9e", "\uf6ff\uf600\ufdd0\uffff",
		"\xff", "\x80\x81\xfe", "a\xc3", "\xed\xa0\x80",
		`{"profile":"prod","flags":["-d","1h"]}`, "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJ+/==",
		strings.Repeat("x", 100<<10), strings.Repeat(`'\!"$`, 1000), strings.Repeat("\u00e9", 1500),
	}
}

// random returns n byte strings without NUL: any bytes, text, and mixtures
// heavy in what shells act upon.
func random(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	acted := []string{"'", `"`, `\`, "!", "$", "`", "\n", "\r", " ", "\t", "(", ")", "%", "^", "&", "|", "*", ";", "n", "u2019", "\u2019", "\xff", "\xc3", "a"}
	values := make([]string, n)
	for i := range values {
		var b []byte
		for range r.IntN(60) {
			switch i % 3 {
			case 0:
				b = append(b, byte(1+r.IntN(255)))
			case 1:
				b = append(b, acted[r.IntN(len(acted))]...)
			case 2:
				b = append(b, string(rune(1+r.IntN(0x2fff)))...)
			}
		}
		values[i] = string(b)
	}
	return values
}

// Every value that Render accepts arrives unchanged, evaluated a thousand
// variables to one shell, and the removed ones are gone.
func TestRoundTrip(t *testing.T) {
	const perShell, perText = 1000, 25
	exe := self(t)
	for name, r := range shells() {
		t.Run(name, func(t *testing.T) {
			need(t, r.argv[0])
			t.Parallel()
			values := append(random(10_000), nasty()...)
			refused := 0
			for batch := 0; len(values) > 0; batch++ {
				n := min(perShell, len(values))
				want := map[string]string{}
				var script strings.Builder
				dir := t.TempDir()
				for i := 0; i < n; {
					c := Change{Set: map[string]string{}, Unset: []string{"AWS_OLD", "AWS_NEVER"}}
					size := 0 // of a text that tcsh takes whatever is in it
					for ; i < n && len(c.Set) < perText && (size == 0 || size+len(values[i]) < 1500); i++ {
						v := values[i]
						size += len(v)
						key := fmt.Sprintf("V%d", i)
						one := Change{Set: map[string]string{key: v}}
						if _, err := r.d.Render(one); err != nil {
							if carried(r.d, v) {
								t.Errorf("%q: %v", v, err)
							}
							refused++
							continue
						}
						c.Set[key], want[key] = v, v
					}
					text, err := r.d.Render(c)
					if err != nil {
						t.Fatal(err)
					}
					file := filepath.Join(dir, fmt.Sprint(i))
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&script, r.source, file)
				}
				values = values[n:]
				locale := []string{"C.UTF-8", "C"}[batch%2]
				environ, err := unframe(r.run(t, locale, "environ", script.String()+exe))
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]string{}
				for _, entry := range environ {
					key, value, _ := strings.Cut(entry, "=")
					got[key] = value
				}
				if _, there := got["AWS_OLD"]; there {
					t.Error("AWS_OLD is still there")
				}
				for key, value := range want {
					if v, ok := got[key]; !ok || v != value {
						t.Errorf("%s: %.200q arrived as %.200q, %v", locale, value, v, ok)
					}
				}
			}
			t.Logf("%d values refused", refused)
		})
	}
}

// Every word that Quote accepts is one argument, unchanged.
func TestQuoteInRealShells(t *testing.T) {
	exe := self(t)
	for name, r := range shells() {
		t.Run(name, func(t *testing.T) {
			need(t, r.argv[0])
			t.Parallel()
			for _, values := range [][]string{nasty(), random(500)} {
				var want []string
				script := exe
				for _, v := range values {
					// a script is an argument itself, of at most 128 KiB in Linux,
					// and tcsh reads it like any other text (see Render)
					if len(v) > 1000 || r.d == Tcsh && !isASCII(v) {
						continue
					}
					word, err := r.d.Quote(v)
					if err != nil {
						t.Errorf("%q: %v", v, err)
						continue
					}
					script += " " + word
					want = append(want, v)
				}
				got, err := unframe(r.run(t, "C.UTF-8", "args", script))
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(want) {
					t.Fatalf("%d arguments arrived of %d", len(got), len(want))
				}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("%q arrived as %q", want[i], got[i])
					}
				}
			}
		})
	}
}

// EvalLine around a command with a quoted word evaluates what it prints.
func TestEvalLineInRealShells(t *testing.T) {
	exe := self(t)
	for name, r := range shells() {
		t.Run(name, func(t *testing.T) {
			need(t, r.argv[0])
			t.Parallel()
			for _, value := range []string{
				"prod", "a  b", "it's", `a\b`, `a\\b`, `end\`, `\'`, `\!`, "$(id)", "$HOME", "$", "caf\u00e9", "*", "hi!", "!!", `a"b`, `"`, `'"'`, "`id`", "`",
				"a;b", "a&b|c<d>e", "(a)", "{a,b}", "~", "#", `'"$\!` + "`" + `!\$"'`, "",
			} {
				word, err := r.d.Quote(value)
				if err != nil {
					t.Fatal(err)
				}
				line := r.d.EvalLine(exe + " " + string(r.d) + " " + word)
				set := map[Dialect]string{Fish: "set -gx SHELL_TEST_MODE environ", Tcsh: "setenv SHELL_TEST_MODE environ"}[r.d]
				if set == "" {
					set = "export SHELL_TEST_MODE=environ"
				}
				environ, err := unframe(r.run(t, "C.UTF-8", "render", line+"\n"+set+"\n"+exe))
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains("\x00"+strings.Join(environ, "\x00")+"\x00", "\x00V="+value+"\x00") {
					t.Errorf("%s: V=%q did not arrive", line, value)
				}
			}
		})
	}
}

// A fish universal variable would outlive the removal of the global one.
func TestFishRemovesEveryScope(t *testing.T) {
	need(t, "fish")
	text, err := Fish.Render(Change{Unset: []string{"AWS_OLD", "AWS_NEVER"}})
	if err != nil {
		t.Fatal(err)
	}
	r := real{Fish, []string{"fish", "-c"}, ""}
	got := r.run(t, "C.UTF-8", "", "set -Ux AWS_OLD everywhere; set -gx AWS_OLD here\n"+
		text+"echo status $status; set -q AWS_OLD; and echo still there; env | string match 'AWS_OLD=*'; true")
	if string(got) != "status 0\n" {
		t.Errorf("%s", got)
	}
}

func TestDetectInRealShells(t *testing.T) {
	exe := self(t)
	for name, r := range shells() {
		t.Run(name, func(t *testing.T) {
			need(t, r.argv[0])
			t.Parallel()
			want := r.d
			switch r.argv[0] { // the program tells, not how it was started
			case "bash":
				want = Bash
			case "zsh":
				want = Zsh
			case "busybox": // goes by the name it is called by
				path, err := exec.LookPath("busybox")
				if err != nil {
					t.Fatal(err)
				}
				ash := filepath.Join(t.TempDir(), "ash")
				if err := os.Symlink(path, ash); err != nil {
					t.Fatal(err)
				}
				r.argv = append([]string{ash}, r.argv[2:]...)
			}
			// two commands, so that the shell does not hand its process over
			for _, command := range []string{exe, "env " + exe, "env nice " + exe} {
				if got := r.run(t, "C.UTF-8", "detect", command+"\ntrue"); Dialect(got) != want {
					t.Errorf("%s: %s", command, got)
				}
			}
		})
	}
}

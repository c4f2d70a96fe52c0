package role

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSplitCommand(t *testing.T) {
	for _, tc := range []struct {
		goos, line string
		want       []string
		err        error
	}{
		{"linux", `prog`, []string{"prog"}, nil},
		{"linux", "  prog\ta  b\n", []string{"prog", "a", "b"}, nil},
		{"linux", `"my prog" 'a "b"' c\ d`, []string{"my prog", `a "b"`, "c d"}, nil},
		{"linux", `a"b c"'d e'f`, []string{"ab cd ef"}, nil},
		{"linux", `p "" ''`, []string{"p", "", ""}, nil},
		{"linux", `p "a\"b\\c\d\$"`, []string{"p", `a"b\c\d\$`}, nil},
		{"linux", `p 'a\'`, []string{"p", `a\`}, nil},
		{"linux", `p \"`, []string{"p", `"`}, nil},
		{"linux", `p $HOME; rm *|x # y`, []string{"p", "$HOME;", "rm", "*|x", "#", "y"}, nil},
		{"linux", `p "a`, nil, errQuote},
		{"linux", `p 'a`, nil, errQuote},
		{"linux", `p "a\`, nil, errQuote},
		{"linux", `p \`, nil, errEscape},
		{"linux", ``, nil, errEmpty},
		{"linux", ` `, nil, errEmpty},
		{"linux", `"" x`, nil, errEmpty},
		{"linux", `pröг ’x`, []string{"pröг", "’x"}, nil},
		{"windows", `C:\a\prog.exe x`, []string{`C:\a\prog.exe`, "x"}, nil},
		{"windows", `"C:\my dir\prog.exe" "a b"`, []string{`C:\my dir\prog.exe`, "a b"}, nil},
		{"windows", `"C:\my dir\\" x`, []string{`C:\my dir\`, "x"}, nil},
		{"windows", `p a\"b "c\\\"d"`, []string{"p", `a"b`, `c\"d`}, nil},
		{"windows", `p "" 'a b'`, []string{"p", "", "'a", "b'"}, nil},
		{"windows", `p "a""b" \\server\share`, []string{"p", `a"b`, `\\server\share`}, nil},
		{"windows", `p "a`, nil, errQuote},
		{"windows", ``, nil, errEmpty},
	} {
		got, err := splitCommand(tc.line, tc.goos)
		if err != tc.err || err == nil && !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q is %q, %v; want %q, %v", tc.goos, tc.line, got, err, tc.want, tc.err)
		}
	}
}

// The AWS CLI splits with Python's shlex.split: ask it.
func TestSplitsLikePython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("NO_SKIP") != "" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	// Every line of up to five of the characters that mean something.
	var lines []string
	level := []string{""}
	for range 5 {
		var next []string
		for _, l := range level {
			for _, c := range []string{"a", " ", "'", `"`, `\`, "$"} {
				next = append(next, l+c)
			}
		}
		level = next
		lines = append(lines, next...)
	}
	in, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import json, shlex, sys
def split(s):
    try: return shlex.split(s)
    except ValueError: return None
print(json.dumps([split(s) for s in json.load(sys.stdin)]))`)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	if err := json.Unmarshal(out, &want); err != nil || len(want) != len(lines) {
		t.Fatal(err, len(want))
	}
	for i, line := range lines {
		got, err := splitPOSIX(line)
		if (err != nil) != (want[i] == nil) || !slices.Equal(got, want[i]) {
			t.Errorf("%q is %q, %v; Python says %q", line, got, err, want[i])
		}
	}
	t.Logf("%d lines agree", len(lines))
}

func FuzzSplitCommand(f *testing.F) {
	for _, s := range []string{`prog 'a b' "c\"d" e\ f`, `"C:\a b\\" x`, `\`, `"`, "\t\n", "’"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, goos := range []string{"linux", "windows"} {
			words, err := splitCommand(line, goos)
			if err != nil {
				continue
			}
			// Quoted again, it is the same words.
			var again []string
			for _, w := range words {
				if goos == "windows" {
					if strings.ContainsAny(w, `"\`) {
						return // quoting these takes more than a test should have
					}
					again = append(again, `"`+w+`"`)
				} else {
					again = append(again, "'"+strings.ReplaceAll(w, "'", `'"'"'`)+"'")
				}
			}
			got, err := splitCommand(strings.Join(again, " "), goos)
			if err != nil || !slices.Equal(got, words) {
				t.Errorf("%s: %q is %q, which comes back as %q, %v", goos, line, words, got, err)
			}
		}
	})
}

func TestSessionName(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "alice@example.com": "alice@example.com", "DOM\\al ice": "DOM-al-ice", "": "aws-runas", "a": "aws-runas",
		"Jürgen": "J-rgen", "a/b:c": "a-b-c", strings.Repeat("x", 80): strings.Repeat("x", 64), "a_b+c=d,e.f@g-h": "a_b+c=d,e.f@g-h",
	} {
		if got := SessionName(in); got != want {
			t.Errorf("SessionName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSessionName(f *testing.F) {
	f.Add("alice")
	f.Add("’\x00")
	f.Fuzz(func(t *testing.T, s string) {
		got := SessionName(s)
		if len(got) < 2 || len(got) > 64 || !utf8.ValidString(got) || SessionName(got) != got {
			t.Errorf("SessionName(%q) = %q", s, got)
		}
	})
}

func TestNameOf(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:iam::1:user/alice": "alice", "arn:aws:iam::1:user/a/b/alice": "alice",
		"arn:aws:sts::1:assumed-role/Admin/alice": "alice", "arn:aws:iam::1:root": "me", "": "me",
	} {
		if got := nameOf(arn, "me"); got != want {
			t.Errorf("%q: %q, want %q", arn, got, want)
		}
	}
}

package completions

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const usualBreaks = " \t\n\"'@><=;|&(:"

func TestReadBash(t *testing.T) {
	for _, tt := range []struct {
		text, words string // words separated by "|"
		quote       string
		kept        int
		redirected  bool
	}{
		{text: "", words: ""},
		{text: "a", words: "a"},
		{text: "a ", words: "a|"},
		{text: "  a  b", words: "a|b"},
		{text: "a\tb\nc", words: "a|b|c"},
		{text: `a b\ c`, words: "a|b c"},
		{text: `a b\`, words: "a|b"},
		{text: "a b\\\nc", words: "a|bc"},
		{text: `a 'b c' d`, words: "a|b c|d"},
		{text: `a 'b \ c' "d \\ \e" `, words: `a|b \ c|d \ \e|`},
		{text: `a b'c'"d"`, words: "a|bcd"},
		{text: `a ''`, words: "a|"},
		{text: `a '' b`, words: "a||b"},
		{text: `a $'b\'\tc\x41' d`, words: "a|b'\tcA|d"},
		{text: `a $'b\q`, words: "a|bq", quote: "$'"},
		{text: `a 'b c`, words: "a|b c", quote: "'"},
		{text: `a "b c`, words: "a|b c", quote: `"`},
		{text: `a "b\"`, words: `a|b"`, quote: `"`},
		{text: `a b'c d`, words: "a|bc d", quote: "'", kept: 1},
		{text: `a b:c`, words: "a|b:c", kept: 2},
		{text: `a b\:c`, words: "a|b:c"},
		{text: `a 'b:'c`, words: "a|b:c"},
		{text: `a b:c=d`, words: "a|b:c=d", kept: 4},
		{text: `a b@c`, words: "a|b@c", kept: 1},
		{text: `a b:'c:d`, words: "a|b:c:d", quote: "'", kept: 2},
		{text: `a $(b c) d`, words: "a|$(b c)|d"},
		{text: `a $(b (c) ')' \) d) e`, words: `a|$(b (c) ')' \) d)|e`},
		{text: "a `b c` d", words: "a|`b c`|d"},
		{text: "a ${b c} $d", words: "a|${b c}|$d"},
		{text: "a $(b", words: "a|$(b"},
		{text: "a $(b '", words: "a|$(b '"},
		{text: "a `b", words: "a|`b"},
		{text: "a; b c", words: "b|c"},
		{text: "a | b", words: "b"},
		{text: "a && b", words: "b"},
		{text: "a >out b", words: "a|b"},
		{text: "a 2>out b", words: "a|b"},
		{text: "a 2>&1 b", words: "a|b"},
		{text: "a &>out b", words: "a|b"},
		{text: "a b<in >> out c", words: "a|b|c"},
		{text: "a >", words: "a", redirected: true},
		{text: "a > ou", words: "a", redirected: true},
		{text: "a 2>ou", words: "a", redirected: true},
		{text: "caf\u00e9 \u65e5\u672c", words: "caf\u00e9|\u65e5\u672c"},
	} {
		l := readBash(tt.text, usualBreaks)
		got := bashLine{words: l.words, quote: l.quote, kept: l.kept, redirected: l.redirected}
		want := bashLine{words: strings.Split(tt.words, "|"), quote: tt.quote, kept: tt.kept, redirected: tt.redirected}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(bashLine{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

// What is quoted is read again as it was, behind each quote.
func FuzzQuoteBash(f *testing.F) {
	for _, s := range []string{"", "a b", `it's "$x" \`, "`x`!*?[]{}()<>|&;#~^%", "caf\u00e9\u2019", "\xff", "-", "~"} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		if !sound(s) {
			t.Skip("never offered")
		}
		quote := [...]string{"", "'", `"`, "$'"}[n&3]
		closing := strings.TrimPrefix(quote, "$")
		text := "a " + quote + quoteBash(s, quote) + closing + " b"
		l := readBash(text, usualBreaks)
		if diff := cmp.Diff([]string{"a", s, "b"}, l.words); diff != "" || l.quote != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	})
}

// No line confuses the reader: every word is in the line, in order.
func FuzzReadBash(f *testing.F) {
	for _, s := range []string{"aws-runas prod aws s3 ", `a 'b`, "a $'\\", "a $(", "a `\\", "a ${'", "a >&", "a &>", `a "\`, "a;b", "a\\\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := readBash(text, usualBreaks)
		if len(l.words) != len(l.starts) {
			t.Fatalf("%q: %d words, %d starts", text, len(l.words), len(l.starts))
		}
		last := -1
		for i, start := range l.starts {
			if start <= last && i > 0 || start > len(text) {
				t.Fatalf("%q: starts %v", text, l.starts)
			}
			last = start
		}
		if n := len(l.words); n > 0 && !l.redirected && l.kept > len(l.words[n-1]) {
			t.Fatalf("%q: %d bytes kept of %q", text, l.kept, l.words[n-1])
		}
		g, err := program("")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := g.Complete(&b, []string{"bash", text, usualBreaks}); err != nil {
			t.Fatal(err)
		}
	})
}

// bash reads the words as readBash does.
func TestReadBashAsBash(t *testing.T) {
	need(t, "bash")
	lines := []string{`a b\ c 'd e' "f \" g\h" $'i\'\tj\x41\101' k''l "" m`, "a b\\\nc d", `caf\é 日'本'"x"`, `a~ b# c=~x 'it'\''s'`}
	for _, name := range randomNames() {
		lines = append(lines, "x "+quoteBash(name, "")+" '"+quoteBash(name, "'")+"' \""+quoteBash(name, `"`)+"\" $'"+quoteBash(name, "$'")+"' y")
	}
	for _, line := range lines {
		out, err := exec.Command("bash", "--norc", "-c", `printf '%s\0' `+line).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if diff := cmp.Diff(want, readBash(line, usualBreaks).words); diff != "" {
			t.Errorf("%s (-bash +ours):\n%s", line, diff)
		}
	}
}

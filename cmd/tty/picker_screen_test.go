package tty

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSearchRanks(t *testing.T) {
	var items []Item
	for _, line := range []string{ // the most recent first
		"eu-production  111122223333  Admin",
		"reproduce  444455556666  Developer",
		"p-r-o-d-tools  777788889999  Operator",
		"prod-readonly  123456789012  ReadOnly",
		"prod  123456789012  Admin",
		"personal  999988887777  prodder",
		"data-lake-admin  555566667777  LakeFormation",
		"\u65e5\u672c\u8a9e  888877776666  \u7ba1\u7406\u8005",
	} {
		name, detail, _ := strings.Cut(line, "  ")
		items = append(items, Item{name, detail})
	}
	p := newPicker("Profile", items)
	for query, want := range map[string][]string{
		"prod":         {"prod", "prod-readonly", "eu-production", "reproduce", "p-r-o-d-tools", "personal"},
		"PROD":         {"prod", "prod-readonly", "eu-production", "reproduce", "p-r-o-d-tools", "personal"},
		"prod 1234":    {"prod", "prod-readonly"},
		"1234  prod ":  {"prod", "prod-readonly"},
		"prod read":    {"prod-readonly"},
		"read prod":    {"prod-readonly"},
		"dla":          {"data-lake-admin"},
		"lake":         {"data-lake-admin"},
		"formation":    {"data-lake-admin"},
		"admin":        {"data-lake-admin", "eu-production", "prod"},
		"\u7406":       {"\u65e5\u672c\u8a9e"},
		"\u65e5\u8a9e": {"\u65e5\u672c\u8a9e"},
		"doorp":        nil,
		"123456789012": {"prod-readonly", "prod"},
	} {
		p.search(query)
		var got []string
		for _, h := range p.found {
			got = append(got, items[h.item].Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	p.search(" ")
	for i, h := range p.found {
		if h.item != i {
			t.Fatalf("without a word the order changes: %v", p.found)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		text, word string
		at, rank   int
	}{
		{"prod", "prod", 0, 4}, {"prod-eu", "prod", 0, 3}, {"eu-prod", "prod", 3, 2}, {"reprod-prod", "prod", 7, 2},
		{"reprod", "prod", 2, 1}, {"aaa", "a", 0, 3}, {"baaa", "aa", 1, 1}, {"eu", "prod", 0, 0}, {"", "x", 0, 0},
		{"\u00e9\u00e9", "\u00e9", 0, 3}, {"x\u00e9\u00e9", "\u00e9", 1, 1},
	} {
		if at, rank := find(c.text, c.word); at != c.at || rank != c.rank {
			t.Errorf("find(%q, %q) = %d, %d; want %d, %d", c.text, c.word, at, rank, c.at, c.rank)
		}
	}
}

func TestCells(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "prod": 4, "caf\u00e9": 4, "cafe\u0301": 4, "\u65e5\u672c": 4, "\uff21": 2, "\U0001f680": 2, "\u2026": 1, "\u0440\u0443": 2, "\ufffd": 1,
	} {
		if got := cells(s); got != want {
			t.Errorf("%q takes up %d; want %d", s, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	text := func(glyphs []glyph) (s string) {
		for _, g := range glyphs {
			s += string(g.r)
		}
		return s
	}
	for _, c := range []struct {
		s           string
		width       int
		middle, end string
	}{
		{"production", 10, "production", "production"},
		{"production", 9, "prod\u2026tion", "producti\u2026"},
		{"production", 4, "pr\u2026n", "pro\u2026"},
		{"production", 2, "p\u2026", "p\u2026"},
		{"production", 1, "\u2026", "\u2026"},
		{"production", 0, "", ""},
		{"\u65e5\u672c\u8a9e", 6, "\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"},
		{"\u65e5\u672c\u8a9e", 5, "\u65e5\u2026\u8a9e", "\u65e5\u672c\u2026"},
		{"\u65e5\u672c\u8a9e", 4, "\u65e5\u2026", "\u65e5\u2026"},
		{"\u65e5\u672c\u8a9e", 2, "\u2026", "\u2026"},
		{"1234  Admin", 7, "123\u2026min", "1234\u2026"},
	} {
		if got := text(cutMiddle(c.s, c.width)); got != c.middle {
			t.Errorf("middle of %q at %d: %q; want %q", c.s, c.width, got, c.middle)
		}
		if got := text(cutEnd(c.s, c.width)); got != c.end {
			t.Errorf("end of %q at %d: %q; want %q", c.s, c.width, got, c.end)
		}
	}
}

func TestParseKey(t *testing.T) {
	for typed, want := range map[string][]rune{
		"a\u00e9\u65e5":              {'a', '\u00e9', '\u65e5'},
		"\r\n\t\x7f\x03":             {'\r', '\n', '\t', 0x7f, 3},
		"\x1b":                       {keyEscape},
		"\x1b\x1b":                   {keyEscape, keyEscape},
		"\x1b[A\x1b[B\x1bOA\x1bOB":   {keyUp, keyDown, keyUp, keyDown},
		"\x1b[1;5A\x1b[1;2B":         {keyUp, keyDown},
		"\x1b[H\x1bOH\x1b[1~\x1b[7~": {keyHome, keyHome, keyHome, keyHome},
		"\x1b[F\x1bOF\x1b[4~\x1b[8~": {keyEnd, keyEnd, keyEnd, keyEnd},
		"\x1b[5~\x1b[6~\x1b[5;2~":    {keyPageUp, keyPageDown, keyPageUp},
		"\x1b[Z\x1b\x7f\x1b\x08":     {keyBackTab, keyWordBack, keyWordBack},
		"\x1b[200~x\x1b[201~":        {keyPaste, 'x', keyPasted},
		"\x1b[3~\x1b[C\x1bOP\x1bxa":  {keyUnknown, keyUnknown, keyUnknown, keyUnknown, 'a'},
		"\x1b[<0;1;1Ma":              {keyUnknown, 'a'},
		"\x1b\u00e9a":                {keyUnknown, 'a'},
		"\x1b[1\ra":                  {keyUnknown, '\r', 'a'},
		"\x1b[1":                     {keyUnknown},
		"\x1bO":                      {keyUnknown},
		"\xff\xc3":                   {keyUnknown, keyUnknown},
		"\x1b[27u\x1b[99;5u":         {keyEscape, ctrl('c')},
		"\x1b[27;5;99~\x1b[13u":      {ctrl('c'), '\r'},
		"\x1b[97;3u\x1b[9999999999u": {keyUnknown, keyUnknown},
		"\x1b]11;rgb:0/0/0\aa":       {keyUnknown, 'a'},
		"\x1b]11;rgb:0/0/0\x1b\\a":   {keyUnknown, 'a'},
		"\x1bP1+r\x1b\\\x1b_G\x1b[A": {keyUnknown, keyUnknown, keyUp},
		"\x1b]":                      {keyUnknown},
	} {
		var got []rune
		for rest := []byte(typed); len(rest) > 0; {
			k, size := parseKey(rest, true)
			got = append(got, k)
			rest = rest[size:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %d; want %d", typed, got, want)
		}
		// A terminal may be slow, but what it has sent is a beginning of this.
		got = nil
		var rest []byte
		for i := range len(typed) {
			rest = append(rest, typed[i])
			if k, size := parseKey(rest, false); size > 0 {
				got, rest = append(got, k), rest[size:]
			}
		}
		for len(rest) > 0 {
			k, size := parseKey(rest, true)
			got, rest = append(got, k), rest[size:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, byte by byte: %d; want %d", typed, got, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"prod\r", "\x1b[1;5A", "\x1b[200~x\x1b[201~", "\x1bO", "\x1b\x1b[", "\xc3\xa9\xff", "\x1b[1117000u"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		for len(typed) > 0 {
			k, size := parseKey(typed, false)
			last, lastSize := parseKey(typed, true)
			if size != 0 && (k != last || size != lastSize) {
				t.Fatalf("%q is %d of %d bytes, and %d of %d at the end", typed, k, size, last, lastSize)
			}
			if lastSize < 1 || lastSize > len(typed) {
				t.Fatalf("%q: %d bytes", typed, lastSize)
			}
			if last == 0x1b || last > utf8.MaxRune || last < keyPasted {
				t.Fatalf("%q: %d is no key", typed, last)
			}
			typed = typed[lastSize:]
		}
	})
}

var sequences = regexp.MustCompile("\x1b\\[[?]?[0-9;]*[a-zA-Z]")

// Whatever is typed and however things are named, nothing reaches the last
// column or line of the terminal, and nothing but our own sequences gets there.
func FuzzFrame(f *testing.F) {
	f.Add("prod", "1234  Admin", "pr\x1b[B\x7f\x1b[F", uint8(80), uint8(24))
	f.Add("\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e", "\u7ba1\u7406\u8005", "\u65e5", uint8(20), uint8(3))
	f.Add("a\x1b[2J\nb\u0301\x00", "\t\xff\u0130", "a\u0131", uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, name, detail, typed string, cols, lines uint8) {
		items := []Item{{name, detail}, {"prod", ""}, {detail, name}}
		for i := range 12 {
			items = append(items, Item{Name: fmt.Sprint("p", i)})
		}
		p := newPicker("Profile", items)
		p.resize(int(cols), int(lines))
		for rest := []byte(typed); ; {
			drawn := strings.TrimSuffix(p.frame(), "\x1b[?25h")
			text := sequences.ReplaceAllString(drawn, "")
			if strings.ContainsAny(text, "\x1b\x00\t") {
				t.Fatalf("%q goes to the terminal", text)
			}
			text = strings.TrimSuffix(strings.TrimPrefix(text, "\r"), "\r")
			rows := strings.Split(text, "\r\n")
			if len(rows) > p.lines || len(rows) > 12 {
				t.Fatalf("%d lines of %d", len(rows), p.lines)
			}
			for _, row := range rows {
				if cells(row) > p.cols-1 {
					t.Fatalf("%q takes up %d of %d columns", row, cells(row), p.cols)
				}
			}
			if len(rest) == 0 {
				return
			}
			k, size := parseKey(rest, true)
			rest = rest[size:]
			if p.press(k) != nil || p.chosen >= 0 {
				if p.chosen >= len(items) {
					t.Fatalf("item %d of %d", p.chosen, len(items))
				}
				return
			}
		}
	})
}

func many(n int) []Item {
	var items []Item
	teams := []string{"payments", "search", "data-lake", "web", "identity"}
	roles := []string{"Admin", "ReadOnly", "Developer", "Billing"}
	for i := range n {
		items = append(items, Item{
			Name:   fmt.Sprintf("%s-%05d-%s", teams[i%len(teams)], i, []string{"dev", "test", "prod"}[i%3]),
			Detail: fmt.Sprintf("%012d  %s", 100000000000+i*7919, roles[i%len(roles)]),
		})
	}
	return items
}

// A key is what a person does at one time: it is searched for and drawn.
func BenchmarkKey(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		for _, query := range []string{"p", "prod", "payments-0", "web dev 1000"} {
			b.Run(fmt.Sprintf("%d/%s", n, query), func(b *testing.B) {
				p := newPicker("Profile", many(n))
				for b.Loop() {
					p.search(query)
					p.frame()
				}
			})
		}
	}
}

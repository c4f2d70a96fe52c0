package profile

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

var seeds = []string{
	"", "[a]\nx = 1\n", "[profile a]\r\nregion = x # y\r\n\r\n[b]\r\n", "\ufeff[a]\nregion=x", "[a]\ns3 =\n  x = y\n\n  z = \"1 # 2\n",
	"# c\n[profile \"a b\"] ; d\n  region : 'x'\n   more\n[profile 'a b']\nREGION=\n", "[services s]\nsts =\n\tendpoint_url = http://x\n",
	"[a]]\nk`=`\n- = 1\n\"q\" = 2\n", "[a]\nx = \"\"\"\nb=2\n", "[a]\n x=1\n[b", "[a]\nx\n", "=", "[default]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=default\n",
	"[a]\nx=1\n  [b]\n[b]\nx=\xff\u2028\u00a0y\n", "[a]\r\r\nx=1\r\ry\n",
}

// FuzzRead checks the readers against one another: no file panics, ini.v1 gives
// back what the layout has, and what is stripped of credentials has none and is
// otherwise whole.
func FuzzRead(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, credentials bool) {
		sections, bad := lay(data, credentials)
		if bad != nil {
			if bad.num < 1 || bad.num > 1+bytes.Count(data, []byte("\n")) {
				t.Fatalf("line %d of %q", bad.num, data)
			}
			return
		}
		end := -1
		for i := range sections {
			s := &sections[i]
			if end >= 0 && s.start != end {
				t.Fatalf("a gap before %d in %q", s.start, data)
			}
			end = s.end
			settings, bad := decode(data, s, func(n string) bool { return n != "" && n != "-" && all(n, isNameByte) })
			if bad != nil {
				continue
			}
			list := entries(data, s)
			for _, x := range settings {
				var e entry
				for _, c := range list {
					if c.name == x.name {
						e = c
					}
				}
				want := rawValue(data, e.valueLo, e.valueHi)
				if isCommand(x.name) {
					if strings.HasPrefix(x.value, want) {
						continue
					}
				}
				if x.value != unquote(want) || x.line != e.line {
					t.Fatalf("%s: ini.v1 has %q in line %d, the layout %q in line %d; %q", x.name, x.value, x.line, want, e.line, data)
				}
			}
		}
		c := &Config{home: "/h"}
		if credentials {
			c.credentials = file{path: "c", data: data, sections: sections}
		} else {
			c.config = file{path: "c", data: data, sections: sections}
		}
		names := c.Names()
		for _, s := range c.Summaries() {
			if !slices.Contains(names, s.Name) || !slices.Contains(kinds[:], s.Kind) {
				t.Fatalf("summary %+v of %q", s, data)
			}
			p, err := c.Resolve(s.Name, Options{})
			if err == nil && p.RoleARN != s.RoleARN && !bytes.Contains(bytes.ToLower(data), []byte("include_profile")) {
				t.Fatalf("role %q, in the summary %q: %q", p.RoleARN, s.RoleARN, data)
			}
		}
		if out, err := c.WithoutCredentials(); err != nil {
			t.Fatalf("%v: %q", err, data)
		} else if !credentials && len(out) != len(data) && !subsequence(out, data) {
			t.Fatalf("%q is not part of %q", out, data)
		}
	})
}

// subsequence reports whether the lines of part are lines of whole, in order.
func subsequence(part, whole []byte) bool {
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for _, l := range bytes.SplitAfter(part, []byte("\n")) {
		i := slices.IndexFunc(lines, func(w []byte) bool { return bytes.Equal(w, l) })
		if i < 0 {
			return len(l) == 0
		}
		lines = lines[i+1:]
	}
	return true
}

// FuzzEdit checks that an edit which succeeds reads back as it was given,
// leaves the bytes of every other section alone, and can be undone.
func FuzzEdit(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), "a", "region", "y")
		f.Add([]byte(s), "profile a b", "x", "it's \"1\" #2")
		f.Add([]byte(s), "b] # c", "k", " z")
	}
	f.Fuzz(func(t *testing.T, data []byte, header, key, text string) {
		out, err := setSection(data, header, []KV{{key, text}})
		if err != nil {
			return
		}
		if text == "" {
			return
		}
		found, err := find(out, header)
		if err != nil || len(found) == 0 {
			t.Fatalf("no [%s] in %q: %v", header, out, err)
		}
		got := ""
		for i := range found {
			settings, bad := decode(out, &found[i], func(n string) bool { return n == key })
			if bad != nil {
				t.Fatal(bad)
			}
			for _, s := range settings {
				got = s.value
			}
		}
		if got != text {
			t.Fatalf("wrote %q, read %q in %q", text, got, out)
		}
		if before, after := others(data, header), others(out, header); !slices.Equal(before, after) {
			t.Fatalf("others were %q, are %q", before, after)
		}
		again, err := setSection(out, header, []KV{{key, text}})
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("the same again makes %q of %q: %v", again, out, err)
		}
		gone, err := removeSection(out, header)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := find(gone, header); err != nil || len(left) > 0 {
			t.Fatalf("[%s] is still in %q: %v", header, gone, err)
		}
		if before, after := trimmed(others(data, header)), trimmed(others(gone, header)); !slices.Equal(before, after) {
			t.Fatalf("others were %q, are %q after removal", before, after)
		}
	})
}

// others returns the text of every section but those with that header. What
// ends the last one is a matter of what follows it.
func others(data []byte, header string) []string {
	sections, bad := lay(data, false)
	if bad != nil {
		return nil
	}
	mine, _ := find(data, header)
	var list []string
	for _, s := range sections {
		if !slices.ContainsFunc(mine, func(m section) bool { return m.start == s.start }) {
			list = append(list, strings.TrimRight(string(data[s.start:s.end]), "\r\n"))
		}
	}
	return list
}

// trimmed is without comments and blank lines, which may change sections when
// one is removed.
func trimmed(list []string) []string {
	for i, text := range list {
		var keep []string
		for _, l := range strings.Split(text, "\n") {
			if l = strings.TrimRight(l, " \t\r\f\v"); strings.TrimLeft(l, " \t\r\f\v") != "" && !strings.ContainsRune("#;", rune(strings.TrimLeft(l, " \t\r\f\v")[0])) {
				keep = append(keep, l)
			}
		}
		list[i] = strings.Join(keep, "\n")
	}
	return list
}

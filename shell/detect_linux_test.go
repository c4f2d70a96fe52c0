package shell

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]struct {
		name   string
		parent int
		ok     bool
	}{
		"12 (bash) S 7 12 12 0 -1":        {"bash", 7, true},
		"12 (a b) c) (d)) R 7 12 0":       {"a b) c) (d)", 7, true},
		"12 () S 0":                       {"", 0, true},
		"":                                {"", 0, false},
		"12 (bash":                        {"", 0, false},
		"12 )bash( S 7":                   {"", 0, false},
		"12 (bash)":                       {"", 0, false},
		"12 (bash) S":                     {"", 0, false},
		"12 (bash) S x":                   {"bash", 0, false},
		"12 (bash) S 9999999999999999999": {"bash", 1<<63 - 1, false},
	} {
		name, parent, ok := parseStat([]byte(stat))
		if name != want.name || parent != want.parent || ok != want.ok {
			t.Errorf("parseStat(%q) = %q, %d, %v", stat, name, parent, ok)
		}
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if _, parent, ok := parseStat(own); !ok || parent != os.Getppid() {
		t.Errorf("own parent is %d, %v; want %d", parent, ok, os.Getppid())
	}
}

func TestAncestors(t *testing.T) {
	for names := range ancestors() {
		if len(names) != 2 || !strings.HasPrefix(names[0], "/") {
			t.Errorf("parent goes by %q; want a path and a name", names)
		}
		return
	}
	t.Error("no parent found")
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a b) c) S 7 12"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		name, _, ok := parseStat(stat)
		if ok && !strings.Contains(string(stat), "("+name+")") {
			t.Errorf("%q has no name %q", stat, name)
		}
	})
}

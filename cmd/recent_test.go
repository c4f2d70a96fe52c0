package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"aws-runas/session"
	"aws-runas/session/profile"

	"github.com/google/go-cmp/cmp"
)

// stateVar names the folder that the list is in.
func stateVar() string {
	if runtime.GOOS == "windows" {
		return "LOCALAPPDATA"
	}
	return "XDG_STATE_HOME"
}

// withState is an app whose list is in dir, and what it says.
func withState(dir string, env ...string) (*app, *strings.Builder) {
	var said strings.Builder
	a := newApp(append([]string{"HOME=" + dir, stateVar() + "=" + dir}, env...), Streams{Err: &said})
	a.Verbose = 1
	return a, &said
}

func TestRecent(t *testing.T) {
	dir := t.TempDir()
	a, said := withState(dir)
	if got := a.recent(); got != nil {
		t.Errorf("before any use: %q", got)
	}
	names := []string{"prod", "dev", "it's \"quoted\" $(x)", " leading", "caf\u00e9\ttab\r", "prod", "dev", "dev"}
	for _, name := range names {
		a.used(name)
	}
	want := []string{"dev", "prod", "caf\u00e9\ttab\r", " leading", "it's \"quoted\" $(x)"}
	b, _ := withState(dir) // another process
	if diff := cmp.Diff(want, b.recent()); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"", "two\nlines", "nul\x00", "arn:aws:iam::123456789012:role/Admin"} {
		a.used(name)
	}
	if diff := cmp.Diff(want, b.recent()); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxRecent {
		a.used(fmt.Sprint("p", i))
	}
	if got := a.recent(); len(got) != maxRecent || got[0] != "p99" || got[maxRecent-1] != "p50" {
		t.Errorf("%d names: %q", len(got), got)
	}
	if said.Len() > 0 {
		t.Errorf("said %q", said)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{"aws-runas": 0o700 | os.ModeDir, "aws-runas/recent": 0o600} {
			info, err := os.Stat(filepath.Join(dir, path))
			if err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "aws-runas"))
	if err != nil || len(left) != 1 {
		t.Errorf("files %v, %v", left, err)
	}
}

// The profile that is first already costs no write.
func TestRecentUnchanged(t *testing.T) {
	dir := t.TempDir()
	a, _ := withState(dir)
	a.used("dev")
	a.used("prod")
	stat := func() os.FileInfo {
		info, err := os.Stat(filepath.Join(dir, "aws-runas", "recent"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := stat()
	a.used("prod")
	if !os.SameFile(before, stat()) {
		t.Error("written anew")
	}
	a.used("pro") // a beginning of the first name
	if os.SameFile(before, stat()) {
		t.Error("not written")
	}
	if want := []string{"pro", "prod", "dev"}; !slices.Equal(a.recent(), want) {
		t.Errorf("%q", a.recent())
	}
}

func TestRecentDamaged(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         nil,
		"\n\n":                     nil,
		"a\n\nb\n":                 {"a", "b"},
		"a\nb\ncut o":              {"a", "b"},
		"\x00\xff\n":               {"\x00\xff"},
		strings.Repeat("x", 1<<20): nil,
		"a\n" + strings.Repeat("x", 1<<20) + "\nb\n": {"a"},
	} {
		dir := t.TempDir()
		a, _ := withState(dir)
		a.used("first")
		if err := os.WriteFile(filepath.Join(dir, "aws-runas", "recent"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := a.recent(); !slices.Equal(got, want) {
			t.Errorf("%.20q: %q; want %q", text, got, want)
		}
		a.used("next")
		if got := a.recent(); len(got) != len(want)+1 || got[0] != "next" {
			t.Errorf("%.20q: after a use: %q", text, got)
		}
	}
}

// Where the list cannot be kept, the run goes on, and only -v says so.
func TestRecentCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "aws-runas"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, said := withState(dir)
	a.used("prod")
	if got := a.recent(); got != nil {
		t.Errorf("%q", got)
	}
	if !strings.Contains(said.String(), "recent profiles: ") {
		t.Errorf("-v says %q", said)
	}
	a, said = withState(dir)
	a.Verbose = 0
	a.used("prod")
	a.recent()
	if said.Len() > 0 {
		t.Errorf("without -v: %q", said)
	}
}

func TestRecentFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are of Unix")
	}
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"HOME=/home/jane"}, "/home/jane/.local/state/aws-runas/recent"},
		{[]string{"HOME=/home/jane", "XDG_STATE_HOME=/state"}, "/state/aws-runas/recent"},
		{[]string{"HOME=/home/jane", "XDG_STATE_HOME=state"}, "/home/jane/.local/state/aws-runas/recent"},
		{[]string{"HOME=/home/jane", "XDG_STATE_HOME="}, "/home/jane/.local/state/aws-runas/recent"},
	} {
		if got, err := newApp(c.env, Streams{}).recentFile(); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.env, got, err, c.want)
		}
	}
	if got, err := newApp([]string{"HOME=relative"}, Streams{}).recentFile(); err == nil {
		t.Errorf("a relative home: %q", got)
	}
}

// Processes may write at the same time: a name may be lost, but each list is one
// that somebody wrote.
func TestRecentTogether(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			a, _ := withState(dir)
			for j := range 20 {
				a.used(fmt.Sprintf("profile-%d-%d", i, j))
				for _, name := range a.recent() {
					if !strings.HasPrefix(name, "profile-") || strings.Count(name, "-") != 2 {
						t.Errorf("torn: %q", name)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestByUse(t *testing.T) {
	var list []profile.Summary
	for _, name := range []string{"a", "b", "c", "d"} {
		list = append(list, profile.Summary{Name: name})
	}
	var got []string
	for _, s := range byUse(list, []string{"c", "gone", "b"}) {
		got = append(got, s.Name)
	}
	if want := []string{"c", "b", "a", "d"}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestPickProfileNobody(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	for text, hint := range map[string]string{"[profile prod]\nregion = eu-west-1\n": "aws-runas list profiles", "": "unset AWS_CONFIG_FILE"} {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, _ := withState(dir, "AWS_CONFIG_FILE="+config)
		a.NoInput = true
		if got, err := a.pickProfile(); codeOf(err) != exitUsage || session.Hint(err) != hint {
			t.Errorf("%q, %v, hint %q", got, err, session.Hint(err))
		}
		// runas alone
		if change, err := a.switchTo(&envCmd{}); codeOf(err) != exitUsage || session.Hint(err) != hint {
			t.Errorf("%v, %v, hint %q", change, err, session.Hint(err))
		}
	}
}

// The warm path of env pays this.
func BenchmarkUsedAgain(b *testing.B) {
	a, _ := withState(b.TempDir())
	for i := range maxRecent {
		a.used(fmt.Sprint("a-profile-of-ordinary-length-", i))
	}
	for b.Loop() {
		a.used(fmt.Sprint("a-profile-of-ordinary-length-", maxRecent-1))
	}
}

// And this where another profile was used before.
func BenchmarkUsedOther(b *testing.B) {
	a, _ := withState(b.TempDir())
	for i := 0; b.Loop(); i++ {
		a.used(fmt.Sprint("a-profile-of-ordinary-length-", i%2))
	}
}

// A root who has somebody's HOME from sudo leaves the list alone.
func TestRecentOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	a, said := withState(dir)
	a.used("prod")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 || said.Len() > 0 {
		t.Errorf("%d entries, %v, said %q", len(entries), err, said)
	}
}

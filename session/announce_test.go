package session

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/gofrs/flock"
)

func TestAnnounce(t *testing.T) {
	dir := t.TempDir()
	l := Locks{Dir: func() (string, error) { return dir, nil }}
	want := func(n int) {
		t.Helper()
		got, err := l.Announced("serve-*.json")
		if err != nil || len(got) != n {
			t.Fatalf("%d announced, %v; want %d", len(got), err, n)
		}
	}
	want(0)
	withdraw, err := l.Announce("serve-a.json", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	want(1)
	synctest.Test(t, func(t *testing.T) {
		if _, err := l.Announce("serve-a.json", []byte("b")); err == nil {
			t.Error("announced twice")
		}
	})
	want(1)
	withdraw()
	want(0)
	if withdraw, err = l.Announce("serve-a.json", []byte("a")); err != nil {
		t.Fatal(err)
	}
	defer withdraw()
	// As a process that was killed leaves it.
	if err := os.WriteFile(filepath.Join(dir, "serve-b.json"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(1)
	if _, err := os.Stat(filepath.Join(dir, "serve-b.json")); err == nil {
		t.Error("what a dead process left is still there")
	}
}

// Another process may be looking whether the last one has died.
func TestAnnounceWaitsForOneWhoLooks(t *testing.T) {
	dir := t.TempDir()
	l := Locks{Dir: func() (string, error) { return dir, nil }}
	synctest.Test(t, func(t *testing.T) {
		looks := flock.New(filepath.Join(dir, "serve-a.json.lock"))
		if ok, err := looks.TryLock(); err != nil || !ok {
			t.Fatal(ok, err)
		}
		announced := make(chan error, 1)
		go func() {
			_, err := l.Announce("serve-a.json", []byte("a"))
			announced <- err
		}()
		synctest.Wait()
		looks.Close()
		if err := <-announced; err != nil {
			t.Error(err)
		}
	})
}

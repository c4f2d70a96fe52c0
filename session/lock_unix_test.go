//go:build unix

package session

import (
	"os"
	"path/filepath"
	"testing"
)

// /tmp is open to all: what somebody else has put in the lock folder's place
// is not used.
func TestPrivateDir(t *testing.T) {
	tmp := t.TempDir()
	own := filepath.Join(tmp, "own")
	for range 2 {
		if got, err := privateDir(own); err != nil || got != own {
			t.Fatal(got, err)
		}
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	for name, plant := range map[string]func(path string) error{
		"open to a group": func(p string) error { os.Mkdir(p, 0o700); return os.Chmod(p, 0o770) },
		"open to all":     func(p string) error { os.Mkdir(p, 0o700); return os.Chmod(p, 0o777) },
		"symbolic link":   func(p string) error { return os.Symlink(own, p) },
		"dangling link":   func(p string) error { return os.Symlink(filepath.Join(tmp, "nowhere"), p) },
		"file":            func(p string) error { return os.WriteFile(p, nil, 0o600) },
	} {
		path := filepath.Join(tmp, name)
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if got, err := privateDir(path); err == nil {
			t.Errorf("%s: %q is used", name, got)
		}
	}
	if os.Geteuid() == 0 {
		path := filepath.Join(tmp, "another user's")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if got, err := privateDir(path); err == nil {
			t.Errorf("another user's: %q is used", got)
		}
	}
}

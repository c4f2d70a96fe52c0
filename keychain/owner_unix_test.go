//go:build unix

package keychain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"aws-runas/keychain/keychaintest"
)

// sudo that keeps HOME writes into the user's folder.
func TestRootLeavesAUsersFilesToHim(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const user = 65534
	env := keychaintest.File(t)
	forget(t)
	if err := os.Chown(env["HOME"], user, user); err != nil {
		t.Fatal(err)
	}
	fileKeychain(env, nil).mustSet(t, "role/p#1", "SECRET")
	files := 0
	err := filepath.WalkDir(env["HOME"], func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != user {
			t.Errorf("%s belongs to %d", path, uid)
		}
		if !e.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// A user who may not have a file must not get it by giving it a name here.
func TestRootGivesAwayOnlyWhatIsNew(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	if err := errors.Join(os.WriteFile(theirs, nil, 0o600), os.Mkdir(filepath.Join(dir, "user"), 0o700),
		os.Chown(filepath.Join(dir, "user"), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(string, string) error{"link": os.Link, "symlink": os.Symlink} {
		path := filepath.Join(dir, "user", name)
		if err := make(theirs, path); err != nil {
			t.Fatal(err)
		}
		if err := giveToFolder(path); err == nil {
			t.Errorf("%s: given away", name)
		}
	}
	info, err := os.Stat(theirs)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Fatalf("it is no longer root's (%v)", err)
	}
}

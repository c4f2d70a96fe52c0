//go:build unix

package keychain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir makes a folder and those above it. If we are root they belong to
// whoever has the folder that they are made in: what is kept under sudo must not
// lock a user out of his own records.
func makeDir(dir string) error {
	if os.Geteuid() != 0 {
		return os.MkdirAll(dir, 0o700)
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil // whoever was quicker does the rest
	} else if err != nil {
		return err
	}
	return giveToFolder(dir)
}

// giveToFolder gives what we, as root, have made at path to the owner of its
// folder. That owner may have put something else there meanwhile, such as a
// second name of a file that is not his.
func giveToFolder(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	to, ok := folder.Sys().(*syscall.Stat_t)
	if !ok || to.Uid == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() && (!info.Mode().IsRegular() || is.Nlink != 1) {
		return &fs.PathError{Op: "chown", Path: path, Err: syscall.EPERM}
	}
	return f.Chown(int(to.Uid), int(to.Gid))
}

//go:build unix

package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir makes a folder and those above it. If we are root each belongs to
// whoever has the folder that it is made in: ~/.aws to its user, under sudo too.
func makeDir(dir string) error {
	if os.Geteuid() != 0 {
		return os.MkdirAll(dir, 0o700)
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil // whoever was quicker does the rest
	} else if err != nil {
		return err
	}
	owner, err := os.Stat(parent)
	if err != nil {
		return err
	}
	return giveTo(owner, dir)
}

// giveTo gives the file or folder at path to that owner, if we are root: an edit under
// sudo must not lock a user out of his own files. The folder may be that user's,
// who may have put another name of a file there that is not his.
func giveTo(owner fs.FileInfo, path string) error {
	to, ok := owner.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || to.Uid == 0 {
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

// syncDir makes a rename in the folder last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

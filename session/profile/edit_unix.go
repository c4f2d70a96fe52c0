//go:build unix

package profile

import (
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives the file at path to that owner, if we are root: an edit under
// sudo must not lock a user out of his own files.
func giveTo(owner fs.FileInfo, path string) error {
	to, ok := owner.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(to.Uid), int(to.Gid))
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

//go:build unix

package session

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func lockDir() (string, error) {
	uid := os.Geteuid()
	// Where logind keeps it, /run/user/UID is memory, private and gone at logout.
	if run := fmt.Sprintf("/run/user/%d", uid); ownedDir(run) {
		if dir, err := privateDir(filepath.Join(run, "aws-runas")); err == nil {
			return dir, nil
		}
	}
	return privateDir(fmt.Sprintf("/tmp/aws-runas-%d", uid))
}

func ownedDir(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir() && owned(info)
}

// owned reports whether the entry is this user's and closed to everybody else.
func owned(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

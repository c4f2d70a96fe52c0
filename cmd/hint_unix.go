//go:build unix

package cmd

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// owned reports whether a file belongs to the user, as whom only root can
// change its mode.
func owned(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) == os.Geteuid()
}

// full reports whether err says that there is no room on the disk, or none left
// to this user.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

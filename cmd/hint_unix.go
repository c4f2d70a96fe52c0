//go:build unix

package cmd

import (
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

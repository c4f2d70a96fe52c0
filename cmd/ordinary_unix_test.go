//go:build unix

package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// nobody is an ordinary user that exists nowhere.
const nobody = 65534

// becomeOrdinary makes root an ordinary user, to whom what is below dir belongs.
func becomeOrdinary(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}

// leaveTerminal keeps prompts off the terminal of whoever runs the tests. A
// script's own terminal stays: its first process leads a session already.
func leaveTerminal() {
	if os.Getenv("TEST_TERMINAL") == "" {
		syscall.Setsid()
	}
}

// canBeOrdinary reports whether an ordinary user could find the work folders.
func canBeOrdinary() bool {
	if os.Geteuid() != 0 {
		return true
	}
	for dir := os.TempDir(); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

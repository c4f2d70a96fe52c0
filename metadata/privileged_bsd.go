//go:build unix && !linux

package metadata

import (
	"os"
	"syscall"
)

func ownProgram() (string, error) { return os.Executable() }

// endWithParent does nothing: these systems do not tell a child.
func endWithParent(*syscall.SysProcAttr) {}

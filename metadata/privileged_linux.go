package metadata

import "syscall"

// ownProgram is this program, also if the child may not walk to its folder.
func ownProgram() (string, error) { return "/proc/self/exe", nil }

// endWithParent ends the child with its parent, however that ends.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

//go:build !windows

package role

import (
	"context"
	"os/exec"
)

// shell runs a command as an mfa_process is run: people write pipes in it, as
// aws-vault lets them.
func shell(command string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/bin/sh", "-c", command) }
}

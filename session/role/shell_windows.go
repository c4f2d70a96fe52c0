package role

import (
	"context"
	"os/exec"
	"syscall"
)

// shell runs a command as an mfa_process is run: people write pipes in it, as
// aws-vault lets them. cmd.exe does not know the backslashes with which exec
// quotes arguments; with /s it takes what stands between the outer quotes.
func shell(command string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "cmd.exe")
		cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /s /c "` + command + `"`}
		return cmd
	}
}

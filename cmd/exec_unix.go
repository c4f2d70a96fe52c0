//go:build unix

package cmd

import (
	"os"
	"os/exec"
	"syscall"
)

var (
	droppedSignals   = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
	forwardedSignals = []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
)

// replaceProcess becomes the command.
func replaceProcess(a *app, command, env []string) error {
	path, err := lookPath(a, command[0])
	if err != nil {
		return err
	}
	return a.notRunnable(command[0], syscall.Exec(path, command, env))
}

// statusOf is the exit code that a shell would show.
func statusOf(e *exec.ExitError) int {
	if s, ok := e.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return exitSignal + int(s.Signal())
	}
	return e.ExitCode()
}

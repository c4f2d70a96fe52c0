//go:build unix

package cmd

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	droppedSignals   = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
	forwardedSignals = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
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

// inBackground starts a process that outlives this terminal. It gets nothing
// that a script has open: it would hold its lock, or its pipe, for hours.
func inBackground() *syscall.SysProcAttr {
	open, _ := os.ReadDir("/dev/fd") // where there is none, nothing is closed
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return &syscall.SysProcAttr{Setsid: true}
}

// replaceStreams puts f in place of the standard streams.
func replaceStreams(f *os.File) error {
	for fd := range 3 {
		if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}

// terminate asks a process to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

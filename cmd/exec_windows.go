package cmd

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

var (
	droppedSignals   = []os.Signal{os.Interrupt}
	forwardedSignals []os.Signal
)

// replaceProcess runs the command: a process cannot become another one here.
func replaceProcess(a *app, command, env []string) error { return runChild(a, command, env) }

func statusOf(e *exec.ExitError) int { return e.ExitCode() }

// inBackground starts a process that outlives this console.
func inBackground() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

// replaceStreams closes the standard streams: nothing writes to them any more.
func replaceStreams(f *os.File) error {
	return errors.Join(f.Close(), os.Stdout.Close(), os.Stderr.Close())
}

// terminate ends a process: there is no polite way to one without a console.
func terminate(p *os.Process) error { return p.Kill() }

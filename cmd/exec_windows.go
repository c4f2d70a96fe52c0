package cmd

import (
	"os"
	"os/exec"
)

var (
	droppedSignals   = []os.Signal{os.Interrupt}
	forwardedSignals []os.Signal
)

// replaceProcess runs the command: a process cannot become another one here.
func replaceProcess(a *app, command, env []string) error { return runChild(a, command, env) }

func statusOf(e *exec.ExitError) int { return e.ExitCode() }

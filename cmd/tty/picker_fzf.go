package tty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNoFzf says that fzf is not there or cannot do it.
var errNoFzf = errors.New("fzf cannot be used")

// fzfDefaults are in force where the person has no options of their own. They
// stand before FZF_DEFAULT_OPTS, so that theirs win.
const fzfDefaults = "--height=12 --layout=reverse --info=inline --tiebreak=index"

// fzfOptions are what reading the answer depends on, so that they win over
// FZF_DEFAULT_OPTS. A preview would be of our index.
func fzfOptions(prompt string) []string {
	return []string{
		"--read0", "--print0", "--no-multi", "--delimiter=\t", "--with-nth=2..", "--nth=..",
		"--no-expect", "--no-print-query", "--no-preview", "--prompt=" + prompt + ": ",
	}
}

// fzf lets fzf do it. It takes its keys from the terminal by itself and draws on
// standard error, for which it gets the terminal, too: ours may be a file.
func (t *TTY) fzf(ctx context.Context, p *picker) (int, error) {
	program, err := exec.LookPath("fzf")
	if err != nil {
		return 0, errNoFzf
	}
	tty, err := screen()
	if err != nil {
		return 0, errNoFzf
	}
	defer tty.Close()

	// The index comes back, whatever is in the name.
	var list strings.Builder
	for i, row := range p.rows {
		pad := strings.Repeat(" ", min(p.nameWidth, 60)-min(cells(row.name), 60))
		fmt.Fprintf(&list, "%d\t%s\x00", i, strings.TrimRight(row.name+pad+"  "+row.detail, " "))
	}

	// It ends by a signal as it does by a key, and puts the terminal right.
	ends := make(chan os.Signal, 1)
	notifyEnd(ends)
	defer signal.Stop(ends)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case s := <-ends:
			cancel(fmt.Errorf("%w: %s", context.Canceled, s))
		case <-ctx.Done():
		}
	}()
	c := exec.CommandContext(ctx, program, fzfOptions(p.prompt)...)
	c.Cancel = func() error {
		if runtime.GOOS == "windows" {
			return c.Process.Kill()
		}
		return c.Process.Signal(syscall.SIGTERM)
	}
	c.WaitDelay = time.Second
	c.Env = t.opts.Environ
	c.Env = t.fzfEnviron(c.Environ())
	var out bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(list.String()), &out, tty
	err = c.Run()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 130):
		return 0, errNone() // Enter where nothing matched; Escape, Ctrl-C
	case err != nil:
		return 0, errNoFzf // such as an option that it does not know, which it has said
	}
	index, _, _ := strings.Cut(out.String(), "\t")
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(p.rows) {
		return 0, errNoFzf
	}
	return i, nil
}

func (t *TTY) fzfEnviron(environ []string) []string {
	environ = withoutSecrets(environ)
	if file, _ := t.opts.Lookup("FZF_DEFAULT_OPTS_FILE"); file != "" {
		return environ // read before FZF_DEFAULT_OPTS, so ours would win
	}
	theirs, _ := t.opts.Lookup("FZF_DEFAULT_OPTS")
	return append(environ, "FZF_DEFAULT_OPTS="+fzfDefaults+" "+theirs)
}

package tty

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// moves reports whether a terminal of that name can be drawn on. The console
// has no name; those of Cygwin and its kin do.
func moves(name string) bool { return name != "dumb" }

// notifyEnd relays what asks the process to end; a closed window counts.
func notifyEnd(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }

// raw is the console while every key reaches us as it is pressed, in the
// sequences of xterm.
type raw struct {
	*console
	ctx         context.Context
	usualIn     *term.State
	usualOut    uint32
	ends        chan os.Signal
	keys        chan keys // of the read under way
	reading     bool
	cols, lines int
}

type keys struct {
	typed []byte
	err   error
}

// resizePoll is how often the size is looked at: nothing tells of its change.
const resizePoll = 250 * time.Millisecond

// raw takes the console over until close.
func (c *console) raw(ctx context.Context) (*raw, error) {
	r := &raw{console: c, ctx: ctx, ends: make(chan os.Signal, 1), keys: make(chan keys, 1)}
	notifyEnd(r.ends)
	out := windows.Handle(c.out.Fd())
	if err := windows.GetConsoleMode(out, &r.usualOut); err != nil {
		signal.Stop(r.ends)
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := windows.SetConsoleMode(out, r.usualOut|windows.ENABLE_PROCESSED_OUTPUT|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING); err != nil {
		signal.Stop(r.ends)
		return nil, errPlain // older than Windows 10
	}
	usual, err := term.MakeRaw(int(c.in.Fd()))
	if err != nil {
		windows.SetConsoleMode(out, r.usualOut)
		signal.Stop(r.ends)
		return nil, errPlain
	}
	r.usualIn = usual
	r.cols, r.lines = r.size()
	return r, nil
}

func (r *raw) close() {
	term.Restore(int(r.in.Fd()), r.usualIn)
	windows.SetConsoleMode(windows.Handle(r.out.Fd()), r.usualOut)
	signal.Stop(r.ends)
}

func (r *raw) size() (cols, lines int) {
	cols, lines, err := term.GetSize(int(r.out.Fd()))
	if err != nil {
		return 0, 0
	}
	return cols, lines
}

// read waits for keys, but no longer than limit unless that is 0. It returns
// nothing, too, when the screen has to be drawn anew.
func (r *raw) read(buf []byte, limit time.Duration) (int, error) {
	// A console read cannot be broken off; the next call goes on waiting for it.
	if !r.reading {
		r.reading = true
		go func() {
			typed := make([]byte, len(buf))
			n, err := r.in.Read(typed)
			r.keys <- keys{typed[:n], err}
		}()
	}
	poll := resizePoll
	if limit > 0 {
		poll = limit
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case s := <-r.ends:
			return 0, fmt.Errorf("%w: %s", context.Canceled, s)
		case k := <-r.keys:
			r.reading = false
			if len(k.typed) == 0 {
				return 0, fmt.Errorf("%w: the console is gone", context.Canceled)
			}
			return copy(buf, k.typed), nil
		case <-tick.C:
			cols, lines := r.size()
			if limit > 0 || cols != r.cols || lines != r.lines {
				r.cols, r.lines = cols, lines
				return 0, nil
			}
		}
	}
}

func terminalError(err error) error { return fmt.Errorf("console: %w", err) }

// screen is the console as a file that a program can be given.
func screen() (*os.File, error) { return os.OpenFile("CONOUT$", os.O_RDWR, 0) }

//go:build unix

package tty

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// moves reports whether a terminal of that name can be drawn on.
func moves(name string) bool { return name != "" && name != "dumb" }

// raw is the console while every key reaches us as it is pressed.
type raw struct {
	*console
	usual  *term.State
	events *events
	stop   func()
}

// raw takes the console over until close. The signals are caught before its
// state is changed, and until it is back.
func (c *console) raw(ctx context.Context) (*raw, error) {
	events, stop, err := watch(ctx, syscall.SIGWINCH, syscall.SIGCONT)
	if err != nil {
		return nil, err
	}
	usual, err := term.MakeRaw(c.fd)
	if err != nil {
		stop()
		return nil, terminalError(err)
	}
	return &raw{c, usual, events, stop}, nil
}

func (r *raw) close() {
	term.Restore(r.fd, r.usual)
	r.stop()
}

func (r *raw) size() (cols, lines int) {
	cols, lines, err := term.GetSize(r.fd)
	if err != nil {
		return 0, 0
	}
	return cols, lines
}

// read waits for keys, but no longer than limit unless that is 0. It returns
// nothing, too, when the screen has to be drawn anew.
func (r *raw) read(buf []byte, limit time.Duration) (int, error) {
	for {
		ready, err := r.wait(r.events, limit)
		if err != nil {
			return 0, terminalError(err)
		}
		if !ready {
			if err := r.events.err(); err != nil {
				return 0, err
			}
			// After a stop the shell has set the terminal to its liking.
			if _, err := term.MakeRaw(r.fd); err != nil {
				return 0, terminalError(err)
			}
			return 0, nil
		}
		n, err := unix.Read(r.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		case err != nil:
			return 0, terminalError(err)
		case n <= 0:
			return 0, terminalError(unix.EIO)
		default:
			return n, nil
		}
	}
}

// screen is the terminal as a file that a program can be given.
func screen() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

//go:build unix

package tty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"aws-runas/session"

	"golang.org/x/sys/unix"
)

// console is the controlling terminal. It is not an os.File, whose reads
// cannot be broken off on macOS, where kqueue knows no /dev/tty.
type console struct{ fd int }

func openConsole() (*console, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &console{fd}, nil
}

func (c *console) Close() error { return unix.Close(c.fd) }

func (c *console) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n, err := unix.Write(c.fd, p[done:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, err
		}
		done += max(n, 0)
	}
	return len(p), nil
}

// lockPoll is how often a process that waits its turn looks again.
const lockPoll = 50 * time.Millisecond

// lock waits until no other process asks on this terminal. A terminal belongs
// to one login session, whose number names the lock. Where there is no lock,
// prompts may mix, which is better than none.
func (c *console) lock(ctx context.Context, locks session.Locks) (unlock func(), err error) {
	sid, err := unix.Getsid(0)
	if err != nil {
		return func() {}, nil
	}
	dir, err := locks.Dir()
	if err != nil {
		return func() {}, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "terminal-"+strconv.Itoa(sid)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return func() {}, nil
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// ask prints the prompt and reads a line. The terminal edits the line; only
// echoing differs from its usual state, which is back when ask returns.
func (c *console) ask(ctx context.Context, prompt string, echo bool) (answer string, err error) {
	usual, err := unix.IoctlGetTermios(c.fd, getTermios)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	asking := *usual
	// whoever called us, perhaps from a key binding, may have it in raw mode
	asking.Iflag |= unix.ICRNL
	asking.Oflag |= unix.OPOST | unix.ONLCR
	asking.Lflag |= unix.ICANON | unix.ISIG | unix.IEXTEN
	if asking.Lflag &^= unix.ECHO; echo {
		asking.Lflag |= unix.ECHO | unix.ECHOE | unix.ECHOK
	}

	// The signals are caught before the state is changed, and until it is back.
	events, stop, err := watch(ctx, syscall.SIGCONT)
	if err != nil {
		return "", err
	}
	defer stop()
	defer func() {
		if err == nil {
			unix.IoctlSetTermios(c.fd, setTermios, usual)
		} else {
			// half a secret must not become the shell's next command
			unix.IoctlSetTermios(c.fd, setTermiosFlush, usual)
		}
	}()
	show := func() error {
		if err := unix.IoctlSetTermios(c.fd, setTermios, &asking); err != nil {
			return terminalError(err)
		}
		if _, err := c.Write([]byte(prompt)); err != nil {
			return terminalError(err)
		}
		return nil
	}
	if err := show(); err != nil {
		return "", err
	}

	var line []byte
	buf := make([]byte, 4096)
	for {
		ready, err := c.wait(events, 0)
		if err != nil {
			return "", fmt.Errorf("terminal: %w", err)
		}
		if !ready {
			if err := events.err(); err != nil {
				return "", err
			}
			// stopped and continued: the shell has set the terminal to its liking
			if err := show(); err != nil {
				return "", err
			}
			continue
		}
		n, err := unix.Read(c.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return "", terminalError(err)
		case n <= 0 && len(line) > 0:
			return string(line), nil // Ctrl-D twice after some text
		case n <= 0:
			return "", fmt.Errorf("%w: no answer", context.Canceled)
		}
		line = append(line, buf[:n]...)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			return string(line[:i]), nil
		}
		if len(line) > maxAnswer {
			return "", fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
		}
	}
}

// terminalError says what went wrong with the terminal. One that hangs up breaks
// the question off.
func terminalError(err error) error {
	if errors.Is(err, unix.EIO) {
		return fmt.Errorf("%w: the terminal is gone", context.Canceled)
	}
	return fmt.Errorf("terminal: %w", err)
}

// wait reports whether the terminal has something to say, rather than events or
// the clock: limit is how long to wait, and 0 is for ever.
func (c *console) wait(e *events, limit time.Duration) (bool, error) {
	pipe := int(e.r.Fd())
	if max(c.fd, pipe) >= unix.FD_SETSIZE {
		return false, errors.New("too many open files")
	}
	for {
		var set unix.FdSet
		set.Set(c.fd)
		set.Set(pipe)
		var timeout *unix.Timeval
		if limit > 0 {
			tv := unix.NsecToTimeval(limit.Nanoseconds())
			timeout = &tv
		}
		n, err := unix.Select(max(c.fd, pipe)+1, &set, nil, nil, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			return false, err
		case set.IsSet(pipe):
			var b [1]byte
			_, err := e.r.Read(b[:])
			return false, err
		default:
			return true, nil
		}
	}
}

// events makes what may break off a question readable beside the terminal: a
// byte in the pipe for each.
type events struct {
	r, w  *os.File
	cause chan error
}

// err is why to stop, or nil if the terminal has only to be looked at anew.
func (e *events) err() error {
	select {
	case err := <-e.cause:
		return err
	default:
		return nil
	}
}

// notifyEnd relays the signals that ask the process to end.
func notifyEnd(c chan<- os.Signal) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // as nohup has it
			signal.Notify(c, s)
		}
	}
}

// watch turns the end of ctx and signals into events, until stop is called.
// Those named in changes are no reason to stop.
func watch(ctx context.Context, changes ...os.Signal) (e *events, stop func(), err error) {
	e = &events{cause: make(chan error, 1)}
	if e.r, e.w, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	ends, changed := make(chan os.Signal, 1), make(chan os.Signal, 1)
	notifyEnd(ends)
	signal.Notify(changed, changes...)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-changed:
				e.w.Write([]byte{0})
				continue
			case <-ctx.Done():
				e.cause <- ctx.Err()
			case s := <-ends:
				e.cause <- fmt.Errorf("%w: %s", context.Canceled, s)
			}
			e.w.Write([]byte{0})
			return
		}
	}()
	return e, func() {
		signal.Stop(ends)
		signal.Stop(changed)
		close(quit)
		<-done
		e.r.Close()
		e.w.Close()
	}, nil
}

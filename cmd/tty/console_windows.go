package tty

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"aws-runas/session"

	"golang.org/x/sys/windows"
)

// console is the console that the process is attached to.
type console struct{ in, out *os.File }

func openConsole() (*console, error) {
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &console{in, out}, nil
}

func (c *console) Close() error {
	c.out.Close()
	return c.in.Close()
}

func (c *console) Write(p []byte) (int, error) { return c.out.Write(p) }

// lock does nothing: consoles have no name by which processes could agree.
func (c *console) lock(context.Context, session.Locks) (func(), error) { return func() {}, nil }

// ask prints the prompt and reads a line, which the console edits.
func (c *console) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	handle := windows.Handle(c.in.Fd())
	var usual uint32
	if err := windows.GetConsoleMode(handle, &usual); err != nil {
		return "", fmt.Errorf("console: %w", err)
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	defer windows.SetConsoleMode(handle, usual)
	mode := usual | windows.ENABLE_LINE_INPUT | windows.ENABLE_PROCESSED_INPUT
	if mode &^= windows.ENABLE_ECHO_INPUT; echo {
		mode |= windows.ENABLE_ECHO_INPUT
	}
	if err := windows.SetConsoleMode(handle, mode); err != nil {
		return "", fmt.Errorf("console: %w", err)
	}
	if _, err := io.WriteString(c, prompt); err != nil {
		return "", err
	}

	type result struct {
		line string
		err  error
	}
	results := make(chan result, 1)
	// A console read cannot be broken off; after a cancelled question it stays
	// behind until the next Enter.
	go func() {
		line, err := bufio.NewReaderSize(io.LimitReader(c.in, maxAnswer+3), maxAnswer+3).ReadString('\n')
		results <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case s := <-interrupts:
		return "", fmt.Errorf("%w: %s", context.Canceled, s)
	case r := <-results:
		if r.err != nil && r.line == "" {
			// Ctrl-C ends the read, too, and not always after the signal
			return "", fmt.Errorf("%w: no answer", context.Canceled)
		}
		return strings.TrimRight(r.line, "\r\n"), nil
	}
}

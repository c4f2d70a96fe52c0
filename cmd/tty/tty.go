// Package tty asks people: on the terminal itself, so that it works while
// standard input and output are pipes, as in eval "$(...)", or through an
// askpass program. It also lets them pick from a list.
package tty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"aws-runas/session"
)

// ErrNobody says that there is no terminal and no askpass program, or that
// asking is not wanted.
var ErrNobody = errors.New("nobody can be asked here")

// Options are what a TTY is made of.
type Options struct {
	Lookup  func(name string) (string, bool) // reads the environment
	NoInput bool                             // never ask
	Environ []string                         // of the askpass program; nil is this process's
	Stderr  io.Writer                        // of the askpass program; nil discards it
	Locks   session.Locks                    // where processes agree who asks first; zero is session.SystemLocks
}

// TTY puts questions to a person. It implements [session.Asker]. One question
// is asked at a time, also among the processes on one terminal (on Windows,
// within this process).
//
// Where AWSRUNAS_ASKPASS names a program, that is run instead, with the prompt
// as its only argument; the first line it prints is the answer.
//
// Answers come without surrounding white space. A question that is broken off,
// by its context, a signal, Ctrl-C, Ctrl-D or the end of the terminal, ends in
// an error that is [context.Canceled] or the context's, and leaves the terminal
// as it was.
type TTY struct {
	opts Options
	turn chan struct{} // holds one token, which the asking goroutine takes
}

// New opens nothing yet.
func New(o Options) *TTY {
	if o.Locks.Dir == nil {
		o.Locks = session.SystemLocks()
	}
	t := &TTY{opts: o, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

var _ session.Asker = (*TTY)(nil)

// Interactive reports whether a person at a terminal may be asked.
func (t *TTY) Interactive() bool {
	if t.opts.NoInput {
		return false
	}
	c, err := openConsole()
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Ask implements [session.Asker]: a *[session.Needs] says that nobody can be
// asked. One-time codes may be typed in groups, as authenticators show them.
func (t *TTY) Ask(ctx context.Context, q session.Question) (string, error) {
	needs := &session.Needs{What: session.NeedAuth, Profile: q.Profile}
	ask := t.Line
	var prompt string
	switch q.What {
	case session.AskMFA:
		needs.What = session.NeedMFA
		prompt = "MFA code"
		if q.Subject != "" {
			prompt += " for " + q.Subject
		}
	case session.AskUsername:
		prompt = "Username"
		if q.Subject != "" {
			prompt += " at " + q.Subject
		}
	case session.AskPassword:
		ask = t.Secret
		prompt = "Password"
		if q.Subject != "" {
			prompt += " at " + q.Subject
		}
	default:
		return "", fmt.Errorf("unknown question %q", q.What)
	}
	if q.Profile != "" {
		prompt += " (profile " + q.Profile + ")"
	}
	if q.Problem != "" {
		prompt = q.Problem + "; " + prompt
	}
	for range 3 {
		answer, err := ask(ctx, prompt)
		if errors.Is(err, ErrNobody) {
			return "", needs
		}
		if err != nil {
			return "", err
		}
		if q.What == session.AskMFA {
			answer = strings.Join(strings.Fields(answer), "")
		}
		if answer != "" {
			return answer, nil
		}
	}
	return "", fmt.Errorf("%w: nothing was entered three times", context.Canceled)
}

// Line asks for a line of text, which may be empty.
func (t *TTY) Line(ctx context.Context, prompt string) (string, error) {
	return t.ask(ctx, prompt+": ", true)
}

// Secret asks for a line of text that is not shown as it is typed.
func (t *TTY) Secret(ctx context.Context, prompt string) (string, error) {
	return t.ask(ctx, prompt+": ", false)
}

// Confirm asks a question that only "y" or "yes" affirms.
func (t *TTY) Confirm(ctx context.Context, prompt string) (bool, error) {
	answer, err := t.ask(ctx, prompt+" [y/N] ", true)
	if err != nil {
		return false, err
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", nil
}

// maxAnswer is the longest answer in bytes. A terminal cuts off what is longer
// than its line buffer (1024 on macOS, 4096 on Linux), so a longer one may not
// be what was typed.
const maxAnswer = 1000

func (t *TTY) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	prompt = printable(prompt)
	if t.opts.NoInput {
		return "", ErrNobody
	}
	done, err := t.takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	var answer string
	if program, ok := t.opts.Lookup("AWSRUNAS_ASKPASS"); ok && program != "" {
		answer, err = t.askpass(ctx, program, prompt)
	} else {
		answer, err = t.askConsole(ctx, prompt, echo)
	}
	if err != nil {
		return "", err
	}
	if len(answer) > maxAnswer {
		return "", fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return strings.TrimSpace(answer), nil
}

// takeTurn waits until nobody else in this process asks.
func (t *TTY) takeTurn(ctx context.Context) (done func(), err error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.turn:
	}
	if err := ctx.Err(); err != nil {
		t.turn <- struct{}{}
		return nil, err
	}
	return func() { t.turn <- struct{}{} }, nil
}

// console opens the terminal, once no other process asks on it.
func (t *TTY) console(ctx context.Context) (c *console, closing func(), err error) {
	c, err = openConsole()
	if err != nil {
		return nil, nil, ErrNobody
	}
	unlock, err := c.lock(ctx, t.opts.Locks)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, func() { unlock(); c.Close() }, nil
}

func (t *TTY) askConsole(ctx context.Context, prompt string, echo bool) (string, error) {
	c, closing, err := t.console(ctx)
	if err != nil {
		return "", err
	}
	defer closing()
	answer, err := c.ask(ctx, prompt, echo)
	if err != nil || !echo {
		// nothing else has ended the line of the prompt
		io.WriteString(c, "\n")
	}
	return answer, err
}

// printable keeps a name from the configuration from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

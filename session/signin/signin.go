// Package signin lets a person sign in at a page of an identity provider: in
// the browser of this machine, which then comes back to a loopback address
// (RFC 8252), or on any device, with a code (RFC 8628).
package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"
	"unicode"

	"aws-runas/session"
)

// limit is how long a person may take.
const limit = 5 * time.Minute

// A Person can be asked to sign in.
type Person struct {
	// Open shows a page in a browser, which may outlive the context. Its error
	// says that none can be shown here, and the person is told the address
	// instead. Nil means that there is nobody to ask.
	Open func(ctx context.Context, url string) error
	// Tell says one thing to the person.
	Tell func(msg string)
	// Lookup is the environment, which tells whether the person sits here.
	Lookup func(string) (string, bool)
	// Limit is how long the person may take; zero is five minutes.
	Limit time.Duration

	Profile  string // on whose behalf
	Username string // the configured one, or ""
}

// Ready returns a *[session.Needs] where nobody can be asked.
func (p *Person) Ready() error {
	if p == nil || p.Open == nil {
		n := &session.Needs{What: session.NeedAuth}
		if p != nil {
			n.Profile, n.Username = p.Profile, p.Username
		}
		return n
	}
	return nil
}

// Remote reports whether a browser of this machine is out of the person's
// sight: over SSH, and without a display.
func (p *Person) Remote() bool {
	set := func(names ...string) bool {
		for _, name := range names {
			if v, _ := p.Lookup(name); v != "" {
				return true
			}
		}
		return false
	}
	switch {
	case set("SSH_CONNECTION", "SSH_TTY"):
		return true
	case runtime.GOOS == "windows", runtime.GOOS == "darwin":
		return false
	}
	// WSL shows pages in the browser of Windows.
	return !set("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME")
}

// Browse shows page in a browser of this machine and waits for it to come back
// to r. The name of who asks, a host, is for the person. A page that cannot be
// shown is an *[Unopened], unless alone: then the address is told, and waited for.
func (p *Person) Browse(ctx context.Context, r *Receiver, who, page string, alone bool) (url.Values, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limit(), p.late(who))
	defer cancel()
	err := errors.New("nobody at this machine sees its browser")
	if !p.Remote() {
		err = p.open(ctx, page)
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		p.Tell(fmt.Sprintf("sign in at %s in the browser; if none opens, open %s", who, page))
	case !alone:
		return nil, &Unopened{err}
	case p.Remote():
		p.Tell(fmt.Sprintf("sign in at %s: open %s in a browser that reaches port %s of this machine, as after ssh -L %[3]s:127.0.0.1:%[3]s", who, page, r.port))
	default:
		p.Tell(fmt.Sprintf("no browser can be opened (%s): to sign in at %s, open %s", Line(err.Error()), who, page))
	}
	return r.wait(ctx)
}

// open shows a page. What shows it may go on for as long as the browser does.
func (p *Person) open(ctx context.Context, page string) error {
	opened := make(chan error, 1)
	go func() { opened <- p.Open(ctx, page) }()
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case err := <-opened:
		return err
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unopened says that no page can be shown on this machine.
type Unopened struct{ Err error }

func (e *Unopened) Error() string { return "no browser can be opened: " + e.Err.Error() }
func (e *Unopened) Unwrap() error { return e.Err }

// A Code is what a person types on any device, as in RFC 8628 section 3.2.
type Code struct {
	User     string        // what is typed
	Page     string        // where
	Complete string        // a page that knows the code already, or ""
	Expires  time.Duration // from now; 0 is unknown
	Interval time.Duration // between two polls; 0 is the 5 s of the RFC
}

// How far a poll has come.
type Progress int

const (
	Pending  Progress = iota // the person has not finished
	SlowDown                 // as well, and the provider wants fewer polls
	Expired                  // the code is worth nothing any more
	Done
)

// Enter tells the person where to type code and polls until that is done,
// refused or too late. A provider that does not answer is asked again.
func (p *Person) Enter(ctx context.Context, who string, code Code, poll func(context.Context) (Progress, error)) error {
	page := code.Page
	if code.Complete != "" {
		page = code.Complete
	}
	for _, u := range [...]string{code.Page, page} {
		if err := Page(u); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	left := 3 * p.limit()
	if code.Expires > 0 {
		left = min(left, code.Expires)
	}
	p.Tell(fmt.Sprintf("to sign in at %s within %s, open %s on any device; the code is %s", who, left.Round(time.Second), page, Line(code.User)))
	if !p.Remote() {
		p.open(ctx, page) // if not, the address has been told
	}

	ctx, cancel := context.WithTimeoutCause(ctx, left, p.late(who))
	defer cancel()
	interval := code.Interval
	if interval <= 0 {
		interval = 5 * time.Second
	}
	interval = min(interval, time.Minute)
	for {
		wait := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		case <-wait.C:
		}
		progress, err := poll(ctx)
		var silent *session.Unreachable
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &silent):
			interval = min(2*interval, time.Minute) // RFC 8628 section 3.5
		case err != nil:
			return err
		case progress == Done:
			return nil
		case progress == Expired:
			return p.late(who)
		case progress == SlowDown:
			interval += 5 * time.Second
		}
	}
}

func (p *Person) limit() time.Duration {
	if p.Limit > 0 {
		return p.Limit
	}
	return limit
}

// late is the cause of a context that ends because the person did not come.
func (p *Person) late(who string) error {
	return &Late{Who: who, Needs: &session.Needs{What: session.NeedAuth, Profile: p.Profile, Username: p.Username}}
}

// Late says that nobody signed in in time, perhaps because the page was closed.
type Late struct {
	Who   string
	Needs *session.Needs
}

func (e *Late) Error() string { return "nobody signed in at " + e.Who + " in time" }
func (e *Late) Unwrap() error { return e.Needs }

// Page returns an error unless address may be shown in a browser: opening
// another one can start any program.
func Page(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || !Secure(u) {
		return fmt.Errorf("the sign-in page %q has no https address", Line(address))
	}
	return nil
}

// Secure reports whether nobody between here and u can listen: it is https, or
// on this machine.
func Secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

// Line makes one short line of what somebody else says, fit for a terminal.
// Pages are no message: they become "".
func Line(s string) string {
	s = strings.TrimSpace(s)
	s, _, _ = strings.Cut(s, "\n")
	if i := strings.IndexByte(s, '<'); i >= 0 && strings.IndexByte(s[i:], '>') > 0 {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300])
	}
	return strings.TrimRight(s, " .")
}

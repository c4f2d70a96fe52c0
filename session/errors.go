package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What a [Needs] needs. The values are those of the X-AwsRunas-Authentication-Type
// header of the metadata servers.
const (
	NeedAuth = "AUTH" // a username and a password, or a sign-in in a browser
	NeedMFA  = "MFA"  // a one-time code
)

// Needs says that a person has to do something first and could not be asked.
type Needs struct {
	What     string // NeedAuth or NeedMFA
	Profile  string
	Username string // the configured one, where NeedAuth is about a password
	// Elsewhere: another process is asking already.
	Elsewhere bool
}

func (e *Needs) Error() string {
	what := "a sign-in"
	if e.What == NeedMFA {
		what = "an MFA code"
	}
	if e.Elsewhere {
		return fmt.Sprintf("profile %q needs %s, which another process is asking for", e.Profile, what)
	}
	return fmt.Sprintf("profile %q needs %s and nobody can be asked here", e.Profile, what)
}

// Expired says that temporary keys which somebody else wrote to a file have
// ended: nobody can sign in for new ones here.
type Expired struct {
	Profile string
	Where   string // the file and line
	At      time.Time
	Advice  string
}

func (e *Expired) Error() string {
	return fmt.Sprintf("the keys of profile %q expired at %s, by %s", e.Profile, e.At.UTC().Format(time.RFC3339), e.Where)
}

func (e *Expired) Hint() string { return e.Advice }

// Refused says that AWS or an identity provider answered no.
type Refused struct {
	By      string // who refused: "sts AssumeRole", or a host
	Code    string // their code, such as "AccessDenied"
	Message string // their words
	Advice  string // what to do, for Hint
	Err     error  // the cause, if there is more to it
}

func (e *Refused) Error() string {
	s := e.By + " refused"
	if e.Code != "" {
		s += ": " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

func (e *Refused) Hint() string  { return e.Advice }
func (e *Refused) Unwrap() error { return e.Err }

// Unreachable says that nobody answered, or only with errors of their own
// (5xx, throttling) after every retry.
type Unreachable struct {
	What   string // "sts AssumeRole at sts.eu-west-1.amazonaws.com"
	Advice string
	Err    error
}

func (e *Unreachable) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }
func (e *Unreachable) Hint() string  { return e.Advice }
func (e *Unreachable) Unwrap() error { return e.Err }

// Hint returns what the first error in err's tree that has a hint suggests.
func Hint(err error) string {
	var h interface {
		error
		Hint() string
	}
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// passing returns why a renewal failed, if that leaves credentials that are still
// alive as good as they were, and nil otherwise. Nobody who interrupts one wants
// the old ones.
func passing(err error, key Key) error {
	var n *Needs
	var u *Unreachable
	var x *Expired
	switch {
	case errors.As(err, &n), errors.As(err, &u), errors.As(err, &x):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &Unreachable{What: fmt.Sprintf("credentials of %q", key.Name), Err: errors.New("no answer in time")}
	}
	return nil
}

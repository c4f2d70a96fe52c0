package metadata

import (
	"context"
	"errors"
	"sync"
	"time"

	"aws-runas/session"
)

// pendingLimit is how long a sign-in waits for a person. It holds a password
// meanwhile.
const pendingLimit = 5 * time.Minute

// pending is an activation that waits for a person.
type pending struct {
	sequence uint64
	target   Target
	given    *answers
	need     *needed
	forget   *time.Timer // nil while there is nothing to forget
}

// needed says what a person has to give, and why again.
type needed struct {
	session.Needs
	target  string // whose sign-in it is
	problem string // why what was given will not do, in words
	err     error  // what the provider said
}

func (e *needed) Error() string {
	if e.problem != "" {
		return e.problem
	}
	return e.Needs.Error()
}

func (e *needed) Unwrap() []error { return []error{&e.Needs, e.err} }

// answers are what POST /auth and /mfa have supplied for one activation. The
// code is used by one attempt, username and password by each attempt until the
// activation ends: who asks for the code after the password is asked for both
// again.
type answers struct {
	username, password, code string
	waited                   bool    // a person has been waited for
	first                    *needed // what was needed when nothing had been given
}

// attemptAsker gives each answer once.
type attemptAsker struct {
	next session.Asker

	mu    sync.Mutex
	left  answers
	unmet *session.Question // the last one that nobody answered
}

func (a *attemptAsker) Ask(ctx context.Context, q session.Question) (string, error) {
	a.mu.Lock()
	answer := ""
	switch q.What {
	case session.AskMFA:
		answer, a.left.code = a.left.code, ""
	case session.AskUsername:
		answer, a.left.username = a.left.username, ""
	case session.AskPassword:
		answer, a.left.password = a.left.password, ""
	}
	a.mu.Unlock()
	if answer != "" {
		return answer, nil
	}
	answer, err := a.next.Ask(ctx, q)
	if err != nil {
		a.mu.Lock()
		a.unmet = &q
		a.mu.Unlock()
	}
	return answer, err
}

// unasked reports whether there is an answer that nobody has asked for.
func (a *attemptAsker) unasked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unmet == nil && (a.left.code != "" || a.left.password != "")
}

// activate draws t's credentials and makes them those that are served, or
// leaves everything as it was. given belongs to this activation.
func (s *Server) activate(ctx context.Context, t Target, given *answers, ask session.Asker) (_ *source, err error) {
	s.mu.Lock()
	s.sequence++
	sequence, before := s.sequence, s.pending
	s.setPending(nil) // its turn is over
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil && s.sequence == sequence && s.pending == nil {
			s.restart(before)
		}
	}()

	ctx, cancel := context.WithTimeout(ctx, signInLimit)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()

	asker := &attemptAsker{next: ask, left: *given}
	given.code = ""
	p, provider, err := s.backend.Open(t, asker)
	if err != nil {
		return nil, err
	}
	snap, err := s.draw(ctx, p, provider)
	var n *session.Needs
	if errors.As(err, &n) && asker.unasked() {
		// It met a renewal that may ask nobody and shared its end.
		snap, err = s.draw(ctx, p, provider)
	}
	if err == nil {
		return s.commit(sequence, t, snap)
	}

	asker.mu.Lock()
	unmet := asker.unmet
	asker.mu.Unlock()
	var need *needed
	switch {
	case unmet != nil:
		need = &needed{Needs: *needs(*unmet), problem: unmet.Problem, err: err}
	case errors.As(err, &n):
		need = &needed{Needs: *n, err: err}
		if n.Elsewhere {
			need.problem = n.Error()
		}
	}
	var refused *session.Refused
	switch {
	case need == nil && (!given.waited || errors.As(err, &refused)):
		return nil, err
	case need != nil:
		need.target = t.String()
		if need.Profile == "" {
			need.Profile = need.target
		}
		if need.What == session.NeedAuth {
			given.password = ""
			if need.Username == "" {
				need.Username = p.SAMLUsername
			}
			if need.Username == "" {
				need.Username = p.WebIdentityUsername
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if given.first == nil {
		given.first = need
	}
	if s.sequence == sequence && s.ctx.Err() == nil {
		// Also after what may pass by itself: the next code is for this one.
		s.setPending(&pending{sequence: sequence, target: t, given: given, need: need})
	}
	if need == nil {
		return nil, err
	}
	return nil, need
}

// setPending replaces the activation that waits, with s.mu held.
func (s *Server) setPending(p *pending) {
	if s.pending != nil && s.pending.forget != nil {
		s.pending.forget.Stop()
	}
	s.pending = p
	if p != nil {
		p.forget = time.AfterFunc(pendingLimit, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.pending == p {
				s.restart(p)
			}
		})
	}
}

// giveUp ends the sign-in that waits, or that goes on at this moment.
func (s *Server) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending
	if s.answering != nil {
		p = s.answering
		s.sequence++
		s.committed = s.sequence // so that it becomes nothing any more
	}
	s.restart(p)
}

// restart forgets what a person has given, with s.mu held. While nothing is
// active, the profile goes on waiting: it is the one that the server is for.
func (s *Server) restart(p *pending) {
	s.setPending(nil)
	if p == nil || p.given.first == nil || s.state.Load().active != nil || s.ctx.Err() != nil {
		return
	}
	s.pending = &pending{sequence: s.sequence, target: p.target, given: &answers{first: p.given.first}, need: p.given.first}
}

// answer goes on with the activation that waits, else with a new one of the
// active profile, with what a person has given.
func (s *Server) answer(ctx context.Context, fill func(*answers)) error {
	s.mu.Lock()
	p := s.pending
	switch active := s.state.Load().active; {
	case s.answering != nil:
		s.mu.Unlock()
		return errAnswering
	case p == nil && active == nil:
		s.mu.Unlock()
		return errNoProfile
	case p == nil:
		p = &pending{target: active.target, given: &answers{}}
	}
	s.answering = p
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.answering = nil
		s.mu.Unlock()
	}()
	p.given.waited = true
	fill(p.given)
	_, err := s.activate(ctx, p.target, p.given, s.ask)
	return err
}

// nothing says why nothing is active: a sign-in is waited for, or there was no
// choice.
func (s *Server) nothing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		for _, need := range [...]*needed{s.pending.need, s.pending.given.first} {
			if need != nil {
				return need
			}
		}
	}
	return errNoProfile
}

var (
	errNoProfile = errors.New("no profile is chosen")
	errAnswering = errors.New("a sign-in is under way: wait for its answer")
)

package metadata

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

const (
	// maxSources bounds how many targets are held in memory.
	maxSources = 100
	// maxBody is what a request may send.
	maxBody = 64 << 10
	// signInLimit is how long a request that signs in may take, with a push to
	// somebody's phone.
	signInLimit = 2 * time.Minute
	// waitLimit is how long an SDK is kept waiting for the first credentials.
	waitLimit = 10 * time.Second
	// closeLimit is how long requests under way may take once the server ends.
	closeLimit = 2 * time.Second
)

// Options are what a [Server] is made of.
type Options struct {
	Backend Backend

	// CredentialsPath is where the ECS form of the active profile's
	// credentials is, and below it those of any profile. "" for none.
	CredentialsPath string
	// Pages has the browser page, index.html and what it loads. nil for none.
	Pages fs.FS
	// Address is where people find the page, http://127.0.0.1:12319/, for
	// messages.
	Address string

	// Token is what every request needs in its Authorization header, raw or
	// behind "Bearer ", but for the page's own files, which have nothing to
	// hide. It takes the place of the check of the peer. "" for none.
	Token string
	// AnyUser lets in every process of this machine, not only the same user's
	// and root's.
	AnyUser bool
	// Containers lets the subnets of this machine's docker and podman bridges
	// have credentials, and nothing else.
	Containers bool
	// AllowFrom are further subnets that may have credentials.
	AllowFrom []netip.Prefix
	// IMDSv2Only refuses EC2 requests without a token.
	IMDSv2Only bool

	// Ask is asked where neither /auth nor /mfa has supplied an answer: at
	// POST /profile and when the active profile is renewed, never because of a
	// GET. nil for nobody.
	Ask session.Asker
	// Log gets a line for each request.
	Log io.Writer
	// Now is the clock, [time.Now] if nil.
	Now func() time.Time
}

// Server is the EC2 and ECS metadata service, the HTTP API and the page.
type Server struct {
	o       Options
	backend Backend
	ask     session.Asker
	now     func() time.Time
	token   *[sha256.Size]byte
	key     [32]byte // of the tokens of IMDSv2
	routes  map[string]route
	log     *requestLog

	// Tests change these.
	admit     func(remote, local netip.AddrPort) error // the process at the other end
	readLimit time.Duration

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	life   sync.Mutex
	closed bool
	work   sync.WaitGroup

	state   atomic.Pointer[state]
	checked atomic.Int64 // Unix seconds of the last look at the config

	mu        sync.Mutex // held while state is changed, and for the rest
	config    *profile.Config
	sequence  uint64   // of the last activation that began
	answering *pending // goes on with what a person has just given
	committed uint64   // of the last one that became active, or was given up
	pending   *pending
}

// state is what requests see: swapped whole, never changed.
type state struct {
	active *source
	byName map[string]*source // by profile name or role ARN
	listed map[string]*source // by the name in the role list, past ones too
}

var errClosed = errors.New("the server is ending")

// New returns a server without an active profile. It is to be closed, which
// [Server.Serve] does.
func New(o Options) (*Server, error) {
	s := &Server{o: o, backend: o.Backend, ask: o.Ask, now: o.Now, admit: checkPeer, readLimit: readLimit}
	if s.ask == nil {
		s.ask = nobody{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Token != "" {
		sum := sha256.Sum256([]byte(o.Token))
		s.token = &sum
	}
	rand.Read(s.key[:])
	s.state.Store(&state{})
	if err := s.addRoutes(); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.log = newRequestLog(o.Log)
	s.config, _ = s.backend.Config() // if it cannot be read, whoever needs it is told
	return s, nil
}

// spawn runs f in a goroutine that [Server.Close] waits for. It reports false
// once the server is closed.
func (s *Server) spawn(f func()) bool {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// Close ends the renewals and forgets everything.
func (s *Server) Close() {
	s.life.Lock()
	s.closed = true
	s.life.Unlock()
	s.cancel()
	s.mu.Lock()
	s.setPending(nil)
	s.state.Store(&state{})
	s.mu.Unlock()
	s.work.Wait()
	s.log.close()
}

// Serve answers the requests that come in by l until ctx ends, which is no
// error, and closes the server.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:        s,
		MaxHeaderBytes: 16 << 10,
		ConnContext:    withConn,
		ConnState:      onState, // and the time limits
		ErrorLog:       log.New(s.log, "", 0),
	}
	defer s.Close()
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(watch(l, s.readLimit)) }()
	select {
	case err := <-ended:
		h.Close()
		return err
	case <-ctx.Done():
	}
	s.cancel() // sign-ins under way
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	if err := h.Shutdown(patience); err != nil {
		h.Close()
	}
	<-ended
	return nil
}

// fetch gets a target's credentials.
func (s *Server) fetch(ctx context.Context, t Target, ask session.Asker) (*snapshot, error) {
	p, provider, err := s.backend.Open(t, ask)
	if err != nil {
		return nil, err
	}
	return s.draw(ctx, p, provider)
}

func (s *Server) draw(ctx context.Context, p *profile.Profile, provider session.Provider) (*snapshot, error) {
	c, err := provider.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	var id string
	if key, err := provider.Key(ctx); err == nil {
		id = key.String()
	}
	return newSnapshot(p, id, c, s.now())
}

// named is the source of a profile or role ARN. It is made if there is none
// and the name means something.
func (s *Server) named(name string) (*source, error) {
	if c := s.state.Load().byName[name]; c != nil {
		return c, nil
	}
	config, err := s.backend.Config()
	if err != nil {
		return nil, err
	}
	if !config.Has(name) && !profile.IsRoleARN(name) {
		// Nothing is held for a name that means nothing.
		if _, _, err := s.backend.Open(Target{Profile: name}, nobody{}); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sourceLocked(Target{Profile: name}), nil
}

// sourceLocked finds or makes the source of t.
func (s *Server) sourceLocked(t Target) *source {
	old := s.state.Load()
	if t.Custom != nil {
		if a := old.active; a != nil && a.target.Custom != nil && *a.target.Custom == *t.Custom {
			return a
		}
		return newSource(s, t)
	}
	if c := old.byName[t.Profile]; c != nil {
		return c
	}
	c := newSource(s, t)
	if s.ctx.Err() == nil {
		s.keep(old, c, old.active, old.listed)
	}
	return c
}

// keep swaps in a state that has c among the sources by name.
func (s *Server) keep(old *state, c, active *source, listed map[string]*source) {
	byName := maps.Clone(old.byName)
	if byName == nil {
		byName = map[string]*source{}
	}
	if c.target.Custom == nil {
		byName[c.target.Profile] = c
	}
	evict(byName, maxSources, c, active)
	s.state.Store(&state{active, byName, listed})
}

// evict removes what has been used least recently, but never what is in spare.
func evict(m map[string]*source, size int, spare ...*source) {
	for len(m) > size {
		var oldest string
		var least *source
		for name, c := range m {
			if c == spare[0] || c == spare[1] {
				continue
			}
			if least == nil || c.used.Load() < least.used.Load() {
				oldest, least = name, c
			}
		}
		delete(m, oldest)
	}
}

// drop removes a source that nobody uses, unless it has become the active one.
func (s *Server) drop(c *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.Load()
	if c.pinned.Load() || old.byName[c.target.Profile] != c {
		return
	}
	byName := maps.Clone(old.byName)
	delete(byName, c.target.Profile)
	s.state.Store(&state{old.active, byName, old.listed})
}

// commit makes a target's fresh credentials those of the active profile.
func (s *Server) commit(sequence uint64, t Target, snap *snapshot) (*source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed > sequence {
		late := &superseded{}
		if active := s.state.Load().active; active != nil {
			late.by = active.target.String()
		}
		return nil, late
	}
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	s.committed = sequence
	if s.pending != nil && s.pending.sequence < sequence {
		s.setPending(nil)
	}
	c := s.sourceLocked(t)
	c.pinned.Store(true)
	c.touch(s.now())
	c.install(snap)
	old := s.state.Load()
	if old.active != nil && old.active != c {
		old.active.pinned.Store(false)
	}
	listed := maps.Clone(old.listed)
	if listed == nil {
		listed = map[string]*source{}
	}
	listed[c.role] = c
	evict(listed, maxSources, c, c)
	s.keep(old, c, c, listed)
	return c, nil
}

// look sees whether the config has changed, at most once a second and off the
// request's path. An idle server looks at nothing.
func (s *Server) look(now time.Time) {
	last, second := s.checked.Load(), now.Unix()
	if last != second && s.checked.CompareAndSwap(last, second) {
		s.spawn(s.recheck)
	}
}

// recheck lets go of what an edit of the files has made wrong.
func (s *Server) recheck() {
	config, err := s.backend.Config()
	if err != nil {
		return // what is valid goes on being served; the API says what is wrong
	}
	s.mu.Lock()
	same := s.config == config || s.config == nil
	s.config = config
	s.mu.Unlock()
	if same {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, waitLimit)
	defer cancel()
	now := s.state.Load()
	for _, c := range now.byName {
		snap := c.served.Load()
		if snap == nil {
			continue
		}
		p, provider, err := s.backend.Open(c.target, nobody{})
		if err == nil {
			key, err := provider.Key(ctx)
			if err != nil || key.String() == snap.key {
				s.refit(c, snap, p)
				continue
			}
		}
		if c == now.active {
			c.stale()
		} else {
			s.drop(c)
		}
	}
}

// refit gives a snapshot the settings that an edit changed without changing
// whose credentials they are, such as the region.
func (s *Server) refit(c *source, snap *snapshot, p *profile.Profile) {
	fitted := *snap
	fitted.profile = p
	c.served.CompareAndSwap(snap, &fitted)
}

// Activate makes t what is served, drawing on ask where a person is needed. If
// the person cannot be asked, the error is a *[session.Needs] and the page can
// complete the sign-in.
func (s *Server) Activate(ctx context.Context, t Target, ask session.Asker) error {
	_, err := s.activate(ctx, t, &answers{}, ask)
	return err
}

// superseded says that an activation came too late.
type superseded struct{ by string } // "": the sign-in was given up

func (e *superseded) Error() string {
	if e.by == "" {
		return "the sign-in was given up meanwhile"
	}
	return fmt.Sprintf("profile %q was chosen meanwhile", e.by)
}

// roleName is a target's name in the role list: clients put it into a path as
// it is. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
// has the characters of role names.
func roleName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_=,.@-", r) {
			return r
		}
		return '-'
	}, name)
	if safe == name && strings.Trim(name, ".") != "" {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%s-%x", strings.TrimLeft(safe, "."), sum[:4])
}

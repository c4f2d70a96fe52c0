package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

const (
	// openEnded is how long credentials are said to last whose source names no
	// expiry and may change at any time.
	openEnded = 15 * time.Minute
	// fetchLimit is how long one attempt may take, a person's answer on the
	// terminal included.
	fetchLimit = 5 * time.Minute
	// Between failed renewals, doubling.
	minBackoff = time.Second
	maxBackoff = time.Minute
	// longestNap is how long a source goes without a look at the wall clock: a
	// timer does not count the time that a laptop was asleep.
	longestNap = time.Minute
)

// imdsCredentials is the form of EC2.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
type imdsCredentials struct {
	Code            string
	LastUpdated     string
	Type            string
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
}

// body is what is written for one form of credentials.
type body struct {
	text   []byte
	length []string // the Content-Length header
}

func newBody(text []byte) body { return body{text, []string{strconv.Itoa(len(text))}} }

// snapshot is what a source serves: marshalled once, never changed. The times
// are without a monotonic reading, so that comparing them tells when a laptop
// has slept.
type snapshot struct {
	profile  *profile.Profile
	key      string // of the provider: all that the credentials depend on
	identity string // their ARN, else the role's, else ""
	issued   time.Time
	renew    time.Time
	expires  time.Time
	ecs      body
	imds     body
}

func newSnapshot(p *profile.Profile, key string, c session.Credentials, now time.Time) (*snapshot, error) {
	now = now.Round(0)
	if c.Issued.IsZero() {
		c.Issued = now
	}
	if c.Expires.IsZero() {
		c.Issued, c.Expires = now, now.Add(openEnded)
	}
	if !now.Before(c.Expires) {
		return nil, errors.New("the source of the credentials gave some that have expired")
	}
	ecs, err := ecsBody(c, p.RoleARN, now)
	if err != nil {
		return nil, err
	}
	imds, err := json.Marshal(imdsCredentials{
		"Success", c.Issued.UTC().Format(time.RFC3339), "AWS-HMAC",
		c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return nil, err
	}
	identity := c.ARN
	if identity == "" {
		identity = p.RoleARN
	}
	return &snapshot{
		profile: p, key: key, identity: identity,
		issued: c.Issued.Round(0), renew: session.RenewAt(c, session.ServerMargin).Round(0), expires: c.Expires.Round(0),
		ecs: newBody(ecs), imds: newBody(imds),
	}, nil
}

// A source holds one target's credentials in memory and renews them while they
// are in use. However many requests wait for credentials, one attempt gets
// them, in a goroutine that no request's end cancels.
type source struct {
	server *Server
	target Target
	role   string // its name in the role list

	pinned atomic.Bool  // the active one: renewed whether used or not
	used   atomic.Int64 // Unix seconds of the last request
	since  atomic.Int64 // Unix seconds of the last renewal
	due    atomic.Int64 // Unix nanoseconds of the next one
	served atomic.Pointer[snapshot]
	wake   chan struct{}

	mu       sync.Mutex
	running  *attempt
	renewing bool // a goroutine sees to renewals
	problem  error
	failures int
	failed   time.Time // when the last attempt failed
}

type attempt struct {
	done     chan struct{}
	snapshot *snapshot
	err      error
}

func newSource(s *Server, t Target) *source {
	t.Renew = false
	return &source{server: s, target: t, role: roleName(t.String()), wake: make(chan struct{}, 1)}
}

// alive is what can be served now, or nil.
func (c *source) alive(now time.Time) *snapshot {
	if snap := c.served.Load(); snap != nil && now.Round(0).Before(snap.expires) {
		return snap
	}
	return nil
}

// get returns what is alive, else waits for it until ctx ends. It asks nobody.
func (c *source) get(ctx context.Context, now time.Time) (*snapshot, error) {
	c.touch(now)
	if snap := c.alive(now); snap != nil {
		if now.UnixNano() >= c.due.Load() {
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}
		return snap, nil
	}
	c.mu.Lock()
	if snap := c.alive(now); snap != nil { // an attempt has just ended
		c.mu.Unlock()
		return snap, nil
	}
	if c.running == nil && c.problem != nil && now.Sub(c.failed) < minBackoff {
		defer c.mu.Unlock()
		return nil, c.problem
	}
	a := c.beginLocked(nobody{})
	c.mu.Unlock()
	select {
	case <-a.done:
		c.touch(c.server.now())
		return a.snapshot, a.err
	case <-ctx.Done():
		return nil, &session.Unreachable{What: "credentials of " + strconv.Quote(c.target.String()), Err: errors.New("still being fetched, ask again")}
	}
}

// touch marks c as used.
func (c *source) touch(now time.Time) {
	// Every request writes the same number for a second: spare the memory bus.
	if u := now.Unix(); c.used.Load() != u {
		c.used.Store(u)
	}
}

// begin joins the attempt that is under way or starts one.
func (c *source) begin(ask session.Asker) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beginLocked(ask)
}

func (c *source) beginLocked(ask session.Asker) *attempt {
	if c.running != nil {
		return c.running
	}
	a := &attempt{done: make(chan struct{})}
	c.running = a
	c.due.Store(1<<63 - 1)
	if !c.server.spawn(func() {
		ctx, cancel := context.WithTimeout(c.server.ctx, fetchLimit)
		defer cancel()
		snap, err := c.server.fetch(ctx, c.target, ask)
		c.finish(a, snap, err)
	}) {
		a.err = errClosed
		c.running = nil
		close(a.done)
	}
	return a
}

func (c *source) finish(a *attempt, snap *snapshot, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.snapshot, a.err = snap, err
	c.running = nil
	if err == nil {
		c.installLocked(snap)
	} else {
		c.problem = err
		c.backOff()
	}
	close(a.done)
}

// install makes snap what is served.
func (c *source) install(snap *snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.installLocked(snap)
}

func (c *source) installLocked(snap *snapshot) {
	c.served.Store(snap)
	c.since.Store(c.server.now().Unix())
	c.problem = nil
	if c.server.now().Round(0).Before(snap.renew) {
		c.failures = 0
		c.due.Store(snap.renew.UnixNano())
	} else {
		// The provider had nothing better than what was due already.
		c.backOff()
	}
	if !c.renewing {
		c.renewing = c.server.spawn(c.renew)
		return
	}
	select { // the time to wait for has changed
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *source) backOff() {
	c.failed = c.server.now().Round(0)
	wait := min(minBackoff<<min(c.failures, 10), maxBackoff)
	c.failures++
	c.due.Store(c.failed.Add(wait).UnixNano())
}

// lastProblem is why the last attempt failed, or nil.
func (c *source) lastProblem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}

// stale makes the next renewal due now.
func (c *source) stale() {
	c.due.Store(0)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// renew sees to the renewals of a source that has credentials, until the
// server ends or nobody has asked for them since the last renewal.
func (c *source) renew() {
	ctx := c.server.ctx
	nap := time.NewTimer(longestNap)
	defer nap.Stop()
	for {
		if wait := time.Duration(c.due.Load() - c.server.now().UnixNano()); wait > 0 {
			nap.Reset(min(wait, longestNap))
			select {
			case <-ctx.Done():
				return
			case <-nap.C:
			case <-c.wake:
			}
			continue
		}
		if c.retire() {
			return
		}
		ask := session.Asker(nobody{})
		if c.pinned.Load() {
			ask = c.server.ask
		}
		a := c.begin(ask)
		select {
		case <-ctx.Done():
			return
		case <-a.done:
		}
	}
}

// retire ends the renewals of a source that nobody uses.
func (c *source) retire() bool {
	snap := c.served.Load()
	if c.pinned.Load() || snap != nil && c.used.Load() >= c.since.Load() && c.server.now().Round(0).Before(snap.expires) {
		return false
	}
	c.server.drop(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned.Load() { // chosen meanwhile
		return false
	}
	c.served.Store(nil)
	c.renewing = false
	return true
}

// nobody answers no question.
type nobody struct{}

func (nobody) Ask(_ context.Context, q session.Question) (string, error) {
	return "", needs(q)
}

func needs(q session.Question) *session.Needs {
	what := session.NeedAuth
	if q.What == session.AskMFA {
		what = session.NeedMFA
	}
	return &session.Needs{What: what, Profile: q.Profile}
}

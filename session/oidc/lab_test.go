package oidc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/awstest"
	"aws-runas/session/oidc"
	"aws-runas/session/signin"
)

// store keeps records in memory until they expire, as a keyring does.
type store struct {
	mu      sync.Mutex
	now     func() time.Time
	records map[string][]byte
	expires map[string]time.Time
}

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.records[key]
	if e := s.expires[key]; !ok || !e.IsZero() && !s.now().Before(e) {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func (s *store) Set(_ context.Context, key string, payload []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key], s.expires[key] = payload, expires
	return nil
}

func (s *store) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *store) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// lab is a person, a provider and a keyring.
type lab struct {
	t       *testing.T
	idp     *awstest.OpenID
	store   *store
	locks   string
	visitor awstest.Visitor
	env     map[string]string
	clock   time.Duration // ahead of the provider's

	mu      sync.Mutex
	asked   int // how often a page was opened
	output  bytes.Buffer
	warned  []error
	change  func(*oidc.Client)
	network http.RoundTripper // in place of the provider
}

const (
	password    = "planted-password"
	loopbackURI = "http://127.0.0.1/callback"
)

// newLab has the user jane and the client "aws" at a provider on loopback.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, idp: awstest.NewOpenID(nil), locks: t.TempDir(), env: map[string]string{"DISPLAY": ":0"}}
	l.store = &store{now: l.now, records: map[string][]byte{}, expires: map[string]time.Time{}}
	l.idp.AddUser("jane", password)
	l.idp.AddClient("aws", loopbackURI, "app:/callback")
	l.visitor = awstest.Visitor{Username: "jane", Password: password}
	return l
}

// onLoopback starts the provider, as browsers need it.
func (l *lab) onLoopback() *lab {
	l.t.Helper()
	if _, err := l.idp.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.idp.Close() })
	l.network = http.DefaultTransport
	return l
}

func (l *lab) now() time.Time { return time.Now().Add(l.clock) }

func (l *lab) lookup(name string) (string, bool) { v, ok := l.env[name]; return v, ok }

func (l *lab) write(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.output, format+"\n", args...)
}

// client is that of one process.
func (l *lab) client() *oidc.Client {
	cache := session.NewCache(l.store)
	cache.Now = l.now
	cache.Locks = session.Locks{Dir: func() (string, error) { return l.locks, nil }}
	cache.Debug = l.write
	cache.Warn = func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.warned = append(l.warned, err)
	}
	network := l.network
	if network == nil {
		network = l.idp.Transport()
	}
	c := &oidc.Client{
		Cache: cache, URL: l.idp.Issuer(), ID: "aws", RedirectURI: loopbackURI,
		AWS: &awsapi.API{Lookup: l.lookup, Now: l.now, Version: "1", Profile: "prod", Debug: l.write, Transport: network},
		Person: &signin.Person{
			Profile: "prod", Lookup: l.lookup,
			Open: func(ctx context.Context, page string) error {
				l.mu.Lock()
				l.asked++
				l.mu.Unlock()
				go l.visitor.Open(ctx, page) // what becomes of it shows at the other end
				return nil
			},
			Tell: func(msg string) { l.write("%s", msg) },
		},
	}
	if l.change != nil {
		l.change(c)
	}
	return c
}

// token gets one by one more process.
func (l *lab) token() (string, error) {
	token, _, err := l.client().Token(l.t.Context(), "")
	return token, err
}

func (l *lab) must() string {
	l.t.Helper()
	token, err := l.token()
	if err != nil {
		l.t.Fatal(err)
	}
	return token
}

func (l *lab) sees(asked, sessions int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked != asked {
		l.t.Errorf("asked %d times, want %d", l.asked, asked)
	}
	if n := l.idp.Sessions(); n != sessions {
		l.t.Errorf("the provider has %d sessions, want %d", n, sessions)
	}
}

// noSecrets looks at everything that was said.
func (l *lab) noSecrets(more ...error) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.output.String()
	for _, err := range append(more, l.warned...) {
		if err != nil {
			all += err.Error() + "\n" + session.Hint(err) + "\n"
		}
	}
	for _, secret := range l.idp.Secrets() {
		if strings.Contains(all, secret) {
			l.t.Errorf("%q is shown in:\n%s", secret, all)
		}
	}
	if strings.Contains(all, "<html") {
		l.t.Errorf("HTML is shown:\n%s", all)
	}
}

// fails is a token that must not be had, for a reason of type E.
func fails[E error](l *lab) E {
	l.t.Helper()
	token, err := l.token()
	var e E
	if token != "" || !errors.As(err, &e) {
		l.t.Fatalf("got the error %v (%T), want a %T", err, err, e)
	}
	l.noSecrets(err)
	return e
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers replaces one path of the provider.
func (l *lab) answers(path string, status int, kind, body string) {
	next := l.network
	if next == nil {
		next = l.idp.Transport()
	}
	l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != path {
			return next.RoundTrip(r)
		}
		return &http.Response{StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{"Content-Type": {kind}}}, nil
	})
}

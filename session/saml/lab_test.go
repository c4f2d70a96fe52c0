package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/awstest"
	"aws-runas/session/signin"
)

// store keeps records in memory.
type store struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.records[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (s *store) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	s.records[key] = payload
	return nil
}

func (s *store) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *store) kinds(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.records {
		if strings.HasPrefix(k, kind+"/") {
			n++
		}
	}
	return n
}

// person answers questions.
type person struct {
	mu        sync.Mutex
	username  string
	passwords []string // the last one stays
	code      func() string
	away      bool
	asked     []session.Question
}

func (p *person) Ask(_ context.Context, q session.Question) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		what := session.NeedAuth
		if q.What == session.AskMFA {
			what = session.NeedMFA
		}
		return "", &session.Needs{What: what, Profile: q.Profile}
	}
	p.asked = append(p.asked, q)
	switch q.What {
	case session.AskUsername:
		return p.username, nil
	case session.AskPassword:
		answer := p.passwords[0]
		if len(p.passwords) > 1 {
			p.passwords = p.passwords[1:]
		}
		return answer, nil
	}
	return p.code(), nil
}

// questions are what was asked, as what/what/...
func (p *person) questions() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, q := range p.asked {
		list = append(list, q.What)
	}
	return strings.Join(list, "/")
}

func (p *person) problems() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.asked {
		list = append(list, q.Problem)
	}
	return list
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lab is Alice, an AWS that trusts an identity provider, and a keyring.
type lab struct {
	t        *testing.T
	aws      *awstest.AWS
	idp      *awstest.IDP
	provider *awstest.SAMLProvider
	admin    *awstest.Role
	alice    *awstest.Person
	person   *person
	store    *store
	dir      string
	env      map[string]string
	hosts    map[string]http.RoundTripper // others than the provider and AWS
	mu       sync.Mutex
	notices  []string
	debug    []string
}

const alicePassword = "correct horse 47 FAKE"

func newLab(t *testing.T, product string) *lab {
	t.Helper()
	a := awstest.New(awstest.Options{})
	l := &lab{t: t, aws: a, idp: a.NewIDP(product), store: new(store), dir: t.TempDir(), env: map[string]string{}, hosts: map[string]http.RoundTripper{}}
	home := a.Default()
	l.provider = home.SAMLProvider("corp", l.idp.EntityID, l.idp.Certificate())
	l.admin = home.Role("Admin", awstest.TrustSAML(l.provider)).SetMaxSession(4 * time.Hour)
	readOnly := home.Role("ReadOnly", awstest.TrustSAML(l.provider))
	l.alice = l.idp.AddPerson(awstest.Person{Name: "alice", Password: alicePassword, Roles: []string{
		l.admin.ARN + "," + l.provider.ARN, l.provider.ARN + " , " + readOnly.ARN,
	}})
	l.person = &person{username: "alice", passwords: []string{alicePassword}, code: func() string { return l.idp.Code(l.alice) }}
	return l
}

func (l *lab) cache() *session.Cache {
	c := session.NewCache(l.store)
	locks := filepath.Join(l.dir, "locks")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		l.t.Fatal(err)
	}
	c.Locks = session.Locks{Dir: func() (string, error) { return locks, nil }}
	c.Warn = func(err error) { l.t.Errorf("unexpected warning: %v", err) }
	c.Debug = func(format string, args ...any) { l.note(&l.debug, format, args...) }
	return c
}

func (l *lab) note(to *[]string, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, sprintf(format, args...))
}

func (l *lab) lookup(name string) (string, bool) { v, ok := l.env[name]; return v, ok }

func (l *lab) api() *awsapi.API {
	return &awsapi.API{
		Region: "eu-west-1", Partition: "aws", Lookup: l.lookup, Now: time.Now, Version: "test", Profile: "dev",
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if t := l.hosts[r.URL.Host]; t != nil {
				return t.RoundTrip(r)
			}
			if strings.HasSuffix(r.URL.Host, ".amazonaws.com") {
				return l.aws.Transport().RoundTrip(r)
			}
			return l.idp.Transport().RoundTrip(r)
		}),
	}
}

// provider is a new process's view of the identity provider.
func (l *lab) newIDP() *IDP {
	return &IDP{
		Cache: l.cache(), AWS: l.api(), Ask: l.person, Lookup: l.lookup, Environ: os.Environ, Version: "test", Profile: "dev",
		Person: &signin.Person{Open: func(context.Context, string) error { return nil }, Tell: func(string) {}, Lookup: l.lookup, Profile: "dev"},
		Notice: func(s string) { l.note(&l.notices, "%s", s) },
		URL:    l.idp.AuthURL(), Username: "alice",
	}
}

func (l *lab) newRole(p *IDP, arn string) *Role {
	return &Role{Cache: p.Cache, AWS: p.AWS, Name: "dev", IDP: p, RoleARN: arn, Duration: time.Hour, Notice: p.Notice}
}

// noSecrets fails if anything that a person may read holds a secret.
func (l *lab) noSecrets(texts ...string) {
	l.t.Helper()
	l.mu.Lock()
	texts = append(append(texts, l.notices...), l.debug...)
	l.mu.Unlock()
	for _, secret := range append(l.idp.Secrets(), l.aws.Secrets()...) {
		for _, text := range texts {
			if len(secret) > 3 && strings.Contains(text, secret) {
				l.t.Errorf("%q holds the secret %q", text, secret)
			}
		}
	}
}

type contextContext = context.Context

// handlerTransport answers in process.
type handlerTransport struct{ h http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// inflated is a SAMLRequest as its sender wrote it.
func inflated(t *testing.T, encoded string) string {
	t.Helper()
	packed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// network is what reaches the loopback servers of these tests.
func (l *lab) network(endpoint string) *awsapi.API {
	return &awsapi.API{
		Region: "us-east-1", Partition: "aws", Endpoint: func(string) string { return endpoint }, Lookup: l.lookup, Now: time.Now, Version: "test", Profile: "dev",
	}
}

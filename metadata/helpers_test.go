package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

const testConfig = `[default]
region = eu-west-1

[profile base]
mfa_serial = arn:aws:iam::123456789012:mfa/alice

[profile dev]
source_profile = base
role_arn = arn:aws:iam::123456789012:role/dev/Developer
external_id = ext

[profile ops]
source_profile = base
role_arn = arn:aws:iam::210987654321:role/Ops

[profile two words/ünï]
source_profile = base
role_arn = arn:aws:iam::210987654321:role/Words

[profile mfa]
source_profile = base
role_arn = arn:aws:iam::210987654321:role/NeedsMFA

[profile idp]
role_arn = arn:aws:iam::210987654321:role/IdP
saml_auth_url = https://idp.example/saml
saml_username = alice@example.com
`

// double is a Backend over a real config file. The credentials of a profile
// bear its role's name, so that a mix-up shows.
type double struct {
	now func() time.Time
	dir string

	mu       sync.Mutex
	config   *profile.Config
	fetches  map[string]int
	lifetime time.Duration
	token    string
	failing  map[string]error // by profile
	needing  map[string][]string
	gates    map[string]*gate
	saved    []string
}

func newDouble(t testing.TB, now func() time.Time) *double {
	t.Helper()
	d := &double{
		now: now, dir: t.TempDir(), fetches: map[string]int{}, lifetime: time.Hour, token: "planted-token",
		failing: map[string]error{}, gates: map[string]*gate{},
		needing: map[string][]string{"mfa": {session.AskMFA}, "idp": {session.AskUsername, session.AskPassword, session.AskMFA}},
	}
	d.write(t, testConfig)
	return d
}

// gate holds the fetches of a profile until it is opened.
type gate struct{ arrived, open chan struct{} }

func (d *double) close(name string) *gate {
	g := &gate{make(chan struct{}, 100), make(chan struct{})}
	d.set(func() { d.gates[name] = g })
	return g
}

func (d *double) write(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.config = nil // the clock of the file system is too coarse for a test
	d.mu.Unlock()
}

func (d *double) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *double) Config() (*profile.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.config != nil {
		return d.config, nil
	}
	c, err := profile.Load(func(name string) (string, bool) {
		switch name {
		case "AWS_CONFIG_FILE":
			return filepath.Join(d.dir, "config"), true
		case "AWS_SHARED_CREDENTIALS_FILE":
			return os.DevNull, true
		}
		return "", false
	}, "")
	if err == nil {
		d.config = c
	}
	return c, err
}

func (d *double) Open(t Target, ask session.Asker) (*profile.Profile, session.Provider, error) {
	c, err := d.Config()
	if err != nil {
		return nil, nil, err
	}
	name := t.Profile
	if t.Custom != nil {
		name = "custom settings"
		if c, err = c.With(name, t.Custom.Settings(), "the custom settings"); err != nil {
			return nil, nil, err
		}
	}
	p, err := c.Resolve(name, profile.Options{})
	if err != nil {
		return nil, nil, err
	}
	return p, &doubleProvider{d, name, p, ask}, nil
}

func (d *double) Save(_ context.Context, name string, c Custom) error {
	if strings.ContainsAny(name, "\n[]") {
		return &profile.Error{Message: "the name has a character that no section can have"}
	}
	d.set(func() { d.saved = append(d.saved, fmt.Sprint(name, " ", c.Type, " ", c.Password, " ", c.Settings())) })
	return nil
}

type doubleProvider struct {
	d    *double
	name string
	p    *profile.Profile
	ask  session.Asker
}

func (p *doubleProvider) Key(context.Context) (session.Key, error) {
	return session.NewKey(session.KindRole, p.name, p.p.RoleARN, p.p.ExternalID), nil
}

func (p *doubleProvider) Credentials(ctx context.Context) (session.Credentials, error) {
	d := p.d
	d.mu.Lock()
	d.fetches[p.name]++
	g, failing, questions := d.gates[p.name], d.failing[p.name], d.needing[p.name]
	lifetime := d.lifetime
	d.mu.Unlock()
	if g != nil {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-ctx.Done():
			return session.Credentials{}, ctx.Err()
		}
	}
	for _, what := range questions {
		q := session.Question{What: what, Profile: p.name, Subject: "device"}
		answer, err := session.Ask(ctx, p.ask, q)
		if err != nil {
			return session.Credentials{}, err
		}
		good := map[string]string{session.AskMFA: "123456", session.AskPassword: "good-password", session.AskUsername: answer}[what]
		if answer != good {
			q.Problem = what + " was refused"
			if _, err := session.Ask(ctx, p.ask, q); err != nil {
				return session.Credentials{}, &session.Refused{By: "double", Code: "AccessDenied", Message: what}
			}
		}
	}
	if failing != nil {
		return session.Credentials{}, failing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(questions) > 0 {
		d.needing[p.name] = nil // the session is kept
	}
	words := strings.Split(p.p.RoleARN, "/")
	return session.Credentials{
		AccessKeyID: fmt.Sprintf("ASIA-%s-%d", words[len(words)-1], d.fetches[p.name]), SecretAccessKey: "planted-secret", SessionToken: d.token,
		Issued: d.now(), Expires: d.now().Add(lifetime),
	}, nil
}

func (d *double) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fetches[name]
}

var testPages = fstest.MapFS{
	"index.html":  {Data: []byte("<!doctype html><title>page</title>")},
	"site.js":     {Data: []byte("// js")},
	"site.css":    {Data: []byte("/* css */")},
	"favicon.svg": {Data: []byte("<svg/>")},
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newTestServer is a server whose connections come from this user.
func newTestServer(t testing.TB, o Options) (*Server, *double) {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	d, _ := o.Backend.(*double)
	if d == nil {
		d = newDouble(t, o.Now)
		o.Backend = d
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.admit = func(_, _ netip.AddrPort) error { return nil }
	t.Cleanup(s.Close)
	return s, d
}

func ecsOptions() Options {
	return Options{CredentialsPath: CredentialsPath, Pages: testPages, Address: "http://127.0.0.1:12319/"}
}

// request is one as a local process sends it. Headers are name, value pairs.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:12319"
	c := &conn{remote: netip.MustParseAddrPort("127.0.0.1:40000"), local: netip.MustParseAddrPort("127.0.0.1:12319")}
	r = r.WithContext(context.WithValue(r.Context(), connKey{}, c))
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func formRequest(method, target, body string, headers ...string) *http.Request {
	return request(method, target, body, append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func mustActivate(t testing.TB, s *Server, name string) {
	t.Helper()
	if err := s.Activate(context.Background(), Target{Profile: name}, nobody{}); err != nil {
		t.Fatal(err)
	}
}

// skip skips a test for want of something, or fails it where nothing may be skipped.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

var errDown = &session.Unreachable{What: "sts", Err: errors.New("no route")}

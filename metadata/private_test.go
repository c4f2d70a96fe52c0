package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

type fake struct {
	mu    sync.Mutex
	calls int
	c     session.Credentials
	err   error
}

func (f *fake) Key(context.Context) (session.Key, error) { return session.Key{}, nil }

func (f *fake) Credentials(context.Context) (session.Credentials, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return f.c, f.err
}

func credentials(lifetime time.Duration) session.Credentials {
	return session.Credentials{
		AccessKeyID: "ASIAFAKE", SecretAccessKey: "planted-secret", SessionToken: "planted-token",
		Issued: start, Expires: start.Add(lifetime),
	}
}

func TestPrivate(t *testing.T) {
	now := func() time.Time { return start }
	good := &fake{c: credentials(time.Hour)}
	tests := []struct {
		name     string
		provider *fake
		method   string
		target   string
		host     string
		token    string
		status   int
		body     string // a part of it
	}{
		{"raw token", good, "GET", "/credentials", "127.0.0.1:4711", "tok", 200, `"Expiration":"2026-01-02T04:04:05Z"`},
		{"bearer token", good, "GET", "/credentials", "localhost:4711", "Bearer tok", 200, `"AccessKeyId":"ASIAFAKE"`},
		{"IPv6", good, "GET", "/credentials", "[::1]:4711", "tok", 200, `"Token":"planted-token"`},
		{"no token", good, "GET", "/credentials", "127.0.0.1", "", 401, "AWS_CONTAINER_AUTHORIZATION_TOKEN"},
		{"wrong token", good, "GET", "/credentials", "127.0.0.1", "tokk", 401, "Unauthorized"},
		{"start of the token", good, "GET", "/credentials", "127.0.0.1", "to", 401, "Unauthorized"},
		{"rebound name", good, "GET", "/credentials", "evil.example", "tok", 403, "host name"},
		{"name that begins well", good, "GET", "/credentials", "127.0.0.1.evil.example", "tok", 403, "host name"},
		{"no host", good, "GET", "/credentials", "", "tok", 403, "host name"},
		{"POST", good, "POST", "/credentials", "127.0.0.1", "tok", 405, "GET"},
		{"another path", good, "GET", "/profile", "127.0.0.1", "tok", 404, "NotFound"},
		{"a path below", good, "GET", "/credentials/other", "127.0.0.1", "tok", 404, "NotFound"},
		{"a trick", good, "GET", "/credentials/../profile", "127.0.0.1", "tok", 404, "NotFound"},
		{"MFA needed", &fake{err: &session.Needs{What: session.NeedMFA, Profile: "p"}}, "GET", "/credentials", "127.0.0.1", "tok", 401, "MFA"},
		{"refused", &fake{err: &session.Refused{By: "sts", Code: "AccessDenied"}}, "GET", "/credentials", "127.0.0.1", "tok", 403, "AccessDenied"},
		{"unreachable", &fake{err: &session.Unreachable{What: "sts", Err: errors.New("no route")}}, "GET", "/credentials", "127.0.0.1", "tok", 503, "no route"},
		{"keyring", &fake{err: errors.New("the keyring is locked")}, "GET", "/credentials", "127.0.0.1", "tok", 500, "locked"},
		{"without expiry", &fake{c: session.Credentials{AccessKeyID: "AKIAFAKE", SecretAccessKey: "s"}}, "GET", "/credentials", "127.0.0.1", "tok", 200, `"Expiration":"2026-01-02T03:19:05Z"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Host = tt.host
			if tt.token != "" {
				r.Header.Set("Authorization", tt.token)
			}
			w := httptest.NewRecorder()
			Private(tt.provider, "tok", now).ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %s, want %d with %q", w.Code, body, tt.status, tt.body)
			}
			if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("not JSON: %s (%s)", body, w.Header().Get("Content-Type"))
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			if tt.status != http.StatusOK && strings.Contains(body, "planted") {
				t.Errorf("a secret in an error: %s", body)
			}
		})
	}
}

func TestHold(t *testing.T) {
	clock := start
	f := &fake{c: credentials(2 * time.Hour)}
	h := Hold(f, credentials(time.Hour), func() time.Time { return clock })
	get := func(calls int, expires time.Time) {
		t.Helper()
		c, err := h.Credentials(t.Context())
		if err != nil || f.calls != calls || !c.Expires.Equal(expires) {
			t.Fatalf("expires %v, %v after %d calls; want %v after %d", c.Expires, err, f.calls, expires, calls)
		}
	}
	get(0, start.Add(time.Hour))
	clock = start.Add(45*time.Minute - time.Second)
	get(0, start.Add(time.Hour))
	clock = start.Add(45 * time.Minute)
	get(1, start.Add(2*time.Hour))
	get(1, start.Add(2*time.Hour))

	f.err = &session.Refused{By: "sts", Code: "ExpiredToken"}
	clock = start.Add(2 * time.Hour)
	if _, err := h.Credentials(t.Context()); !errors.As(err, new(*session.Refused)) {
		t.Errorf("expired credentials were served: %v", err)
	}
}

// sluggish answers after a while, unless the one who asks goes away.
type sluggish struct {
	*fake
	takes time.Duration
}

func (s *sluggish) delay() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takes
}

// answers changes what is answered, and after how long.
func (s *sluggish) answers(c session.Credentials, err error, takes time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c, s.err, s.takes = c, err, takes
}

func (s *sluggish) Credentials(ctx context.Context) (session.Credentials, error) {
	select {
	case <-time.After(s.delay()):
		return s.fake.Credentials(ctx)
	case <-ctx.Done():
		return session.Credentials{}, ctx.Err()
	}
}

// A source may be slower than a client is patient: credentials that are still
// good are served meanwhile, and in the end there are new ones.
func TestHoldSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lasting := func(d time.Duration) session.Credentials {
			c := credentials(time.Hour)
			c.Issued, c.Expires = time.Now(), time.Now().Add(d)
			return c
		}
		first := lasting(time.Hour)
		source := &sluggish{fake: &fake{}}
		h := Hold(source, first, time.Now)
		ask := func(wantErr error, expires time.Time, calls int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := h.Credentials(ctx)
			source.mu.Lock()
			defer source.mu.Unlock()
			if !errors.Is(err, wantErr) || !c.Expires.Equal(expires) || source.calls != calls {
				t.Errorf("expires %v, %v after %d calls; want %v, %v after %d", c.Expires, err, source.calls, expires, wantErr, calls)
			}
		}
		second, third := lasting(2*time.Hour), lasting(4*time.Hour)
		source.answers(second, nil, 5*time.Second)
		time.Sleep(46 * time.Minute)
		ask(nil, first.Expires, 0)
		ask(nil, first.Expires, 0)
		time.Sleep(5 * time.Second)
		ask(nil, second.Expires, 1)

		// Nor does a source that fails do any harm before the end.
		source.answers(second, &session.Unreachable{What: "sts"}, 0)
		time.Sleep(65 * time.Minute)
		ask(nil, second.Expires, 2)

		// At the end everybody waits, and nobody's going away starts it anew.
		time.Sleep(10 * time.Minute)
		source.answers(third, nil, 3*time.Second)
		ask(context.DeadlineExceeded, time.Time{}, 2)
		ask(context.DeadlineExceeded, time.Time{}, 2)
		time.Sleep(3 * time.Second)
		ask(nil, third.Expires, 3)
	})
}

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
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	<-h.turn // somebody else is renewing
	if _, err := h.Credentials(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("did not give up: %v", err)
	}
}

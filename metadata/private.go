// Package metadata serves credentials over HTTP in the forms that the AWS SDKs
// know from ECS and EC2.
//
// [Private] is the endpoint of one wrapped command. [Server] is the service
// that stays: it holds the credentials of an active profile and of any other
// that is asked for by name, each marshalled once and renewed ahead of time off
// the requests' path, with an API and a page to switch and to sign in. A
// [Backend] knows the profiles.
//
// What requests see is immutable: [Server] swaps whole states, a source whole
// snapshots, so no request ever mixes two profiles.
package metadata

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"aws-runas/session"
)

// CredentialsPath is where the ECS form of the active profile's credentials is.
const CredentialsPath = "/credentials"

// ecsCredentials is the answer that the SDKs expect of an ECS endpoint. The
// expiration is in UTC with a Z: the SDK for JavaScript refuses an offset, and
// it and the AWS CLI refuse an answer without one.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
// The SDKs have no use for the role, but s3fs refuses an answer without it.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
type ecsCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
	RoleARN         string `json:"RoleArn,omitempty"`
}

func ecsBody(c session.Credentials, role string, now time.Time) ([]byte, error) {
	expires := c.Expires
	if expires.IsZero() {
		// A source that names no expiry may change at any time: the client is
		// to ask again.
		expires = now.Add(15 * time.Minute)
	}
	return json.Marshal(ecsCredentials{
		c.AccessKeyID, c.SecretAccessKey, c.SessionToken,
		expires.UTC().Format(time.RFC3339), role,
	})
}

// Private serves the credentials of one provider to whoever has the token, and
// nothing else. It is the endpoint of a wrapped command, on a loopback address.
//
// The token is taken raw, as the SDKs send the variable's value, or behind
// "Bearer ".
func Private(p session.Provider, token string, now func() time.Time) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		switch {
		case !loopbackHost(r.Host):
			// A web page may have had its own name resolved to this address.
			fail(w, http.StatusForbidden, "Forbidden", "this endpoint is not served under that host name")
		case r.URL.Path != CredentialsPath:
			fail(w, http.StatusNotFound, "NotFound", "only "+CredentialsPath+" is served here")
		case r.Method != http.MethodGet:
			header.Set("Allow", http.MethodGet)
			fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "use GET")
		case !authorized(r.Header.Get("Authorization"), want):
			fail(w, http.StatusUnauthorized, "Unauthorized", "the Authorization header must hold the value of AWS_CONTAINER_AUTHORIZATION_TOKEN")
		default:
			serve(w, r, p, now)
		}
	})
}

func serve(w http.ResponseWriter, r *http.Request, p session.Provider, now func() time.Time) {
	c, err := p.Credentials(r.Context())
	if err != nil {
		status, code := statusOf(err)
		fail(w, status, code, err.Error())
		return
	}
	body, err := ecsBody(c, "", now())
	if err != nil {
		fail(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// statusOf chooses the answer for an error. The SDKs for Go ask again, for
// seconds, after a 5xx and nothing else, so 5xx is for what may pass by itself.
func statusOf(err error) (status int, code string) {
	var needs *session.Needs
	var refused *session.Refused
	var expired *session.Expired
	var unreachable *session.Unreachable
	switch {
	case errors.As(err, &needs):
		return http.StatusUnauthorized, "SignInNeeded"
	case errors.As(err, &refused), errors.As(err, &expired): // nobody can sign in for those
		return http.StatusForbidden, "Refused"
	case errors.As(err, &unreachable):
		return http.StatusServiceUnavailable, "Unreachable"
	}
	return http.StatusInternalServerError, "InternalError"
}

type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// fail answers in the form of the ECS agent, which botocore and the SDK for
// JavaScript show to people.
func fail(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(errorBody{code, message})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// authorized compares digests, in a time that depends on neither.
func authorized(got string, want [sha256.Size]byte) bool {
	raw := sha256.Sum256([]byte(got))
	bearer := sha256.Sum256([]byte(strings.TrimPrefix(got, "Bearer ")))
	return subtle.ConstantTimeCompare(raw[:], want[:])|subtle.ConstantTimeCompare(bearer[:], want[:]) == 1
}

// loopbackHost reports whether a Host header names this machine's loopback,
// whatever the port.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// patience is how long a request waits for a renewal while what is held is
// good. The SDKs give up after one or two seconds.
const patience = 500 * time.Millisecond

// Held is a provider that keeps the credentials of another in memory until
// they are due for renewal, so that a request opens no keyring. However many
// requests there are, one renewal is under way, and no request's end cancels
// it: a client would give up before a slow source answers, time after time.
type Held struct {
	provider session.Provider
	now      func() time.Time

	mu      sync.Mutex
	kept    session.Credentials
	renewal *renewal // under way, or nil
}

type renewal struct {
	done        chan struct{}
	credentials session.Credentials
	err         error
}

// Hold wraps p. First is what p returned a moment ago.
func Hold(p session.Provider, first session.Credentials, now func() time.Time) *Held {
	return &Held{provider: p, now: now, kept: first}
}

// Key implements [session.Provider].
func (h *Held) Key(ctx context.Context) (session.Key, error) { return h.provider.Key(ctx) }

// Credentials implements [session.Provider]. While those held are good, neither
// a slow renewal nor one that fails is the client's trouble.
func (h *Held) Credentials(ctx context.Context) (session.Credentials, error) {
	kept, r := h.renewed()
	if r == nil {
		return kept, nil
	}
	good := h.now().Before(kept.Expires)
	var enough <-chan time.Time
	if good {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-r.done:
		if r.err != nil && good {
			return kept, nil
		}
		return r.credentials, r.err
	case <-enough:
		return kept, nil
	case <-ctx.Done():
		return session.Credentials{}, ctx.Err()
	}
}

// renewed is what is held, and the renewal that it is due for, which it starts.
func (h *Held) renewed() (session.Credentials, *renewal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if due := session.RenewAt(h.kept, session.ServerMargin); !due.IsZero() && h.now().Before(due) {
		return h.kept, nil
	}
	if h.renewal == nil {
		h.renewal = &renewal{done: make(chan struct{})}
		go h.renew(h.renewal)
	}
	return h.kept, h.renewal
}

func (h *Held) renew(r *renewal) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchLimit)
	defer cancel()
	r.credentials, r.err = h.provider.Credentials(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewal = nil
	if r.err == nil {
		h.kept = r.credentials
	}
	close(r.done)
}

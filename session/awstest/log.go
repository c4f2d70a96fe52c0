package awstest

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Request is one line of the log.
type Request struct {
	Time        time.Time
	Service     string // sts, iam, sso, sso-oidc or s3
	Action      string // as the service names it, ListBuckets for S3
	AccessKeyID string // as claimed; empty if unsigned
	// Form holds the parameters, without MFA codes, passwords and identity tokens.
	Form   url.Values
	Status int    // 0 while under way or if the connection was cut
	Code   string // the error's code, empty on success
}

// Requests returns the log in order of arrival.
func (a *AWS) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request(nil), a.log...)
}

// Count returns how many requests for an action have arrived, answered or not;
// "" counts all.
func (a *AWS) Count(action string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.arrived[action]
}

// Wait returns once n requests for an action ("" for any) have arrived since
// the start or the last Reset, or with ctx's error.
func (a *AWS) Wait(ctx context.Context, action string, n int) error {
	for {
		a.mu.Lock()
		enough, more := a.arrived[action] >= n, a.announced
		a.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reset empties the log and takes back every fault and the skew. Users, keys
// and sessions stay.
func (a *AWS) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log, a.faults, a.skew = nil, nil, 0
	clear(a.arrived)
}

// arrive logs a request and returns what finish needs.
func (a *AWS) arrive(r *http.Request, c *call) int {
	form := url.Values{}
	for k, v := range c.form {
		if k != "TokenCode" && k != "WebIdentityToken" && k != "SAMLAssertion" && k != "password" {
			form[k] = v
		}
	}
	var id string
	if auth, err := parseAuthorization(r); err == nil {
		id = auth.keyID
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, Request{Time: a.now(), Service: c.service, Action: c.action, AccessKeyID: id, Form: form})
	a.arrived[c.action]++
	a.arrived[""]++
	close(a.announced)
	a.announced = make(chan struct{})
	return len(a.log) - 1
}

func (a *AWS) finish(entry, status int, code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if entry < len(a.log) { // else Reset came between
		a.log[entry].Status, a.log[entry].Code = status, code
	}
}

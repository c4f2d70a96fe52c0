// Package awstest is a small AWS on loopback: STS, the part of IAM that a
// credential tool calls, and S3 ListBuckets, as strict as the real ones. No
// real AWS can be met in a test, so what it refuses matters as much as what it
// answers; each rule names the AWS page or the public report it was taken from.
//
// It is used in process by tests and by the sandbox. Nothing runs in the
// background before Start and nothing after Close.
package awstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options set up an AWS. The zero value is a world in the partition "aws" with
// account 123456789012 and the system's clock.
type Options struct {
	// Clock is AWS's idea of the time; nil is time.Now.
	Clock func() time.Time
	// Lifetime, when positive, caps how long issued credentials last, below
	// what AWS would allow: requests are checked as ever, only the answer
	// expires earlier.
	Lifetime time.Duration
	// Partition is aws, aws-cn or aws-us-gov: partitions share nothing, so one
	// AWS has one.
	Partition string
	// Account is the default account's 12 digits.
	Account string
}

// AWS is one partition of a pretended AWS. All its methods may be called from
// any goroutine, and while it is serving.
type AWS struct {
	opt Options

	mu        sync.Mutex
	skew      time.Duration
	accounts  map[string]*Account
	keys      map[string]*accessKey      // by access key ID
	sessions  map[string]*session        // by access key ID
	centers   map[string]*IdentityCenter // by start URL
	secrets   []string
	faults    []*Fault
	log       []Request
	arrived   map[string]int // requests by action, "" for all
	announced chan struct{}  // closed and replaced whenever a request arrives

	server *http.Server
	done   chan struct{}
}

// New returns an AWS with nothing in it.
func New(o Options) *AWS {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Partition == "" {
		o.Partition = "aws"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	return &AWS{
		opt:       o,
		accounts:  map[string]*Account{},
		keys:      map[string]*accessKey{},
		sessions:  map[string]*session{},
		arrived:   map[string]int{},
		announced: make(chan struct{}),
	}
}

// Start serves on a free port of 127.0.0.1 and returns its URL, which is fit
// for AWS_ENDPOINT_URL.
func (a *AWS) Start() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil {
		l.Close()
		return "", errors.New("awstest: already started")
	}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	a.done = make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		s.Serve(l) // always returns ErrServerClosed: only Close ends it
	}(a.server, a.done)
	return "http://" + l.Addr().String(), nil
}

// Close ends what Start began, cutting requests under way.
func (a *AWS) Close() error {
	a.mu.Lock()
	s, done := a.server, a.done
	a.server = nil
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	err := s.Close()
	<-done
	return err
}

// Transport answers in process, whatever host is asked: for tests inside a
// testing/synctest bubble, where a socket would stop the fake clock.
func (a *AWS) Transport() http.RoundTripper { return transport{a} }

// Secrets returns every secret configured or handed out so far: secret access
// keys, session tokens, MFA seeds and web identity tokens. A test searches
// files and output for them.
func (a *AWS) Secrets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.secrets...)
}

// SetSkew puts AWS's clock d ahead of Options.Clock (behind it, if negative).
func (a *AWS) SetSkew(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skew = d
}

// SetLifetime changes Options.Lifetime for what is issued from here on.
func (a *AWS) SetLifetime(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opt.Lifetime = d
}

// now is AWS's time. It is called with mu held.
func (a *AWS) now() time.Time { return a.opt.Clock().Add(a.skew).UTC() }

// call is one request as the actions see it.
type call struct {
	service string // sts, iam, sso, sso-oidc or s3
	action  string
	form    url.Values
	who     *principal // nil for calls that need no signature
	now     time.Time
	ip      string
}

// apiError is an error as AWS words it.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

const accessDenied = "AccessDenied"

func denied(message string) *apiError {
	return &apiError{http.StatusForbidden, accessDenied, message}
}

func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

type transport struct{ h http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	in := r.Clone(r.Context())
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RemoteAddr = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w := &recorder{header: http.Header{}}
	dropped := func() (dropped bool) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				dropped = true
			default:
				panic(p)
			}
		}()
		t.h.ServeHTTP(w, in.WithContext(ctx))
		return false
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if dropped {
		return nil, errors.New("awstest: connection dropped")
	}
	return w.response(r), nil
}

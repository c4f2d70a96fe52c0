// Package awsapi builds the clients of AWS's APIs and turns their errors into
// those of package session. Nothing is built before the first call, so that a
// run which finds its credentials in the keyring pays for none of it.
package awsapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/net/http/httpproxy"
)

// The limits on time. A call is tried three times, so that a service which
// accepts connections and says nothing is given up after about a minute.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 15 * time.Second
	callTimeout   = 20 * time.Second // one attempt, body included
	maxBackoff    = 5 * time.Second
	idleTimeout   = 30 * time.Second
)

// An API is AWS as one profile reaches it. It is used by pointer and by any
// number of goroutines.
type API struct {
	// Region signs and, without an Endpoint, chooses the regional endpoint.
	// Where it is empty, or of another partition, the partition's first
	// region serves.
	Region string
	// Partition is "aws", "aws-cn" and so on; empty means that of Region.
	Partition string
	// Endpoint returns the URL that replaces AWS's own for a service ("sts"),
	// or "". Nil means none.
	Endpoint        func(service string) string
	FIPS, DualStack bool
	// CABundle is a PEM file which replaces the system's certificate
	// authorities; empty means the system's.
	CABundle string

	Lookup  func(string) (string, bool) // the environment, for the proxy and AWS_MAX_ATTEMPTS
	Now     func() time.Time
	Version string // of this program, for the User-Agent header
	// Profile is named in hints.
	Profile string
	// Debug, if not nil, is told of each call.
	Debug func(format string, args ...any)
	// Transport replaces the network, for tests.
	Transport http.RoundTripper

	once   sync.Once
	client *http.Client
	err    error
}

// setting is the error of a setting that makes it impossible to call AWS.
func setting(name, value, problem, advice string) error {
	return &profile.Error{Message: fmt.Sprintf("%s %q %s", name, value, problem), Advice: advice}
}

// STS returns a client of the Security Token Service that signs with c; nil
// makes one for the calls that are not signed.
func (a *API) STS(c *session.Credentials) (*sts.Client, error) {
	if err := a.build(); err != nil {
		return nil, err
	}
	attempts, err := a.attempts()
	if err != nil {
		return nil, err
	}
	o := sts.Options{
		Region:     a.region(),
		HTTPClient: a.client,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		}),
		// Corrected signatures would hide a wrong clock, by which we would then
		// take expired credentials for good ones.
		DisableClockSkewCorrection: true,
		Credentials:                aws.AnonymousCredentials{},
		APIOptions: []func(*stack) error{
			awsmiddleware.AddUserAgentKeyValue("aws-runas", a.Version),
		},
	}
	if c != nil {
		signer := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return signer, nil })
	}
	if endpoint := a.EndpointOf("sts"); endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, setting("endpoint_url", endpoint, "is not a URL", "write it as https://HOST[:PORT]")
		}
		// FIPS and dual stack choose among AWS's own endpoints.
		o.BaseEndpoint = &endpoint
	} else {
		if a.FIPS {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if a.DualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	}
	return sts.New(o), nil
}

// EndpointOf returns the URL that replaces AWS's own for a service, or "".
func (a *API) EndpointOf(service string) string {
	if a.Endpoint == nil {
		return ""
	}
	return a.Endpoint(service)
}

// attempts is how often a call is tried.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
func (a *API) attempts() (int, error) {
	v, _ := a.Lookup("AWS_MAX_ATTEMPTS")
	if v == "" {
		return retry.DefaultMaxAttempts, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, setting("AWS_MAX_ATTEMPTS", v, "is not a number above 0", "export AWS_MAX_ATTEMPTS=3")
	}
	return n, nil
}

func (a *API) build() error {
	a.once.Do(func() {
		transport := a.Transport
		if transport == nil {
			transport, a.err = a.transport()
		}
		a.client = &http.Client{
			Transport: transport,
			Timeout:   callTimeout,
			// AWS redirects no call of these, and a signature is good for one host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return a.err
}

func (a *API) transport() (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 a.proxy(),
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if a.CABundle == "" {
		return t, nil
	}
	pem, err := os.ReadFile(a.CABundle)
	if err != nil {
		return nil, setting("CA bundle", a.CABundle, "cannot be read: "+cause(err), caAdvice)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, setting("CA bundle", a.CABundle, "holds no PEM certificate", caAdvice)
	}
	return t, nil
}

const caAdvice = "export AWS_CA_BUNDLE=/path/to/certificates.pem"

// cause is what the system said, without the path.
func cause(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// proxy reads the environment that was passed in, where net/http would read
// the process's own, and once for all.
func (a *API) proxy() func(*http.Request) (*url.URL, error) {
	config := httpproxy.Config{HTTPProxy: a.variable("HTTP_PROXY"), HTTPSProxy: a.variable("HTTPS_PROXY"), NoProxy: a.variable("NO_PROXY")}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// variable finds one of the proxies' by curl's rule, which everything else took
// over: the lower-case name first.
func (a *API) variable(name string) string {
	if v, ok := a.Lookup(strings.ToLower(name)); ok {
		return v
	}
	v, _ := a.Lookup(name)
	return v
}

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
	"io"
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
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
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
	// The calls of one run follow each other. Each renewal of a server has
	// connections of its own, which are of no use to the next.
	idleTimeout = 5 * time.Second
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

// maxBody is how much of an answer is read: a page of a thousand accounts is
// a tenth of it.
const maxBody = 1 << 20

// setting is the error of a setting that makes it impossible to call AWS.
func setting(name, value, problem, advice string) error {
	return &profile.Error{Message: fmt.Sprintf("%s %q %s", name, value, problem), Advice: advice}
}

// STS returns a client of the Security Token Service that signs with c; nil
// makes one for the calls that are not signed.
func (a *API) STS(c *session.Credentials) (*sts.Client, error) {
	s, err := a.settings("sts", a.region())
	if err != nil {
		return nil, err
	}
	o := sts.Options{
		Region: a.region(), HTTPClient: a.client, Retryer: s.retryer, BaseEndpoint: s.endpoint, APIOptions: s.options,
		// Corrected signatures would hide a wrong clock, by which we would then
		// take expired credentials for good ones.
		DisableClockSkewCorrection: true,
		Credentials:                aws.AnonymousCredentials{},
	}
	o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = s.fips, s.dualStack
	if c != nil {
		signer := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return signer, nil })
	}
	return sts.New(o), nil
}

// SSO returns a client of IAM Identity Center's portal in region, where the
// instance is. An access token stands for a signature.
func (a *API) SSO(region string) (*sso.Client, error) {
	s, err := a.settings("sso", region)
	if err != nil {
		return nil, err
	}
	o := sso.Options{
		Region: region, HTTPClient: a.client, Retryer: s.retryer, BaseEndpoint: s.endpoint, APIOptions: s.options,
		Credentials: aws.AnonymousCredentials{},
	}
	o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = s.fips, s.dualStack
	return sso.New(o), nil
}

// SSOOIDC returns a client of IAM Identity Center's sign-in in region.
func (a *API) SSOOIDC(region string) (*ssooidc.Client, error) {
	s, err := a.settings("sso_oidc", region)
	if err != nil {
		return nil, err
	}
	o := ssooidc.Options{
		Region: region, HTTPClient: a.client, Retryer: s.retryer, BaseEndpoint: s.endpoint, APIOptions: s.options,
		Credentials: aws.AnonymousCredentials{},
	}
	o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint = s.fips, s.dualStack
	return ssooidc.New(o), nil
}

// SSOOIDCEndpoint returns where the sign-in is in region, for the page that a
// browser opens.
func (a *API) SSOOIDCEndpoint(ctx context.Context, region string) (string, error) {
	s, err := a.settings("sso_oidc", region)
	if err != nil {
		return "", err
	}
	at, err := ssooidc.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, ssooidc.EndpointParameters{
		Region: &region, Endpoint: s.endpoint,
		UseFIPS:      aws.Bool(s.fips == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(s.dualStack == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(at.URI.String(), "/"), nil
}

// common is what the options of all clients have.
type common struct {
	retryer   aws.Retryer
	endpoint  *string // nil: AWS's own
	fips      aws.FIPSEndpointState
	dualStack aws.DualStackEndpointState
	options   []func(*stack) error
}

func (a *API) settings(service, region string) (*common, error) {
	if err := a.build(); err != nil {
		return nil, err
	}
	if !isRegion(region) {
		return nil, setting("region", region, "is not the name of a region, such as eu-west-1", a.origins())
	}
	attempts, err := a.attempts()
	if err != nil {
		return nil, err
	}
	s := &common{
		retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		}),
		options: []func(*stack) error{awsmiddleware.AddUserAgentKeyValue("aws-runas", a.Version)},
	}
	if endpoint := a.EndpointOf(service); endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, setting("endpoint_url", profile.Shown(endpoint), "is not a URL", "write it as https://HOST[:PORT]")
		}
		// FIPS and dual stack choose among AWS's own endpoints.
		s.endpoint = &endpoint
		return s, nil
	}
	if a.FIPS {
		s.fips = aws.FIPSEndpointStateEnabled
	}
	if a.DualStack {
		s.dualStack = aws.DualStackEndpointStateEnabled
	}
	return s, nil
}

// HTTP returns a new client for an identity provider, with the proxy and the
// certificate authorities of a, the time limit of one call, and answers bound
// to 1 MiB. It follows ten redirects and none from https to http.
func (a *API) HTTP() (*http.Client, error) {
	if err := a.build(); err != nil {
		return nil, err
	}
	return &http.Client{Transport: a.client.Transport, Timeout: callTimeout, CheckRedirect: redirect}, nil
}

func redirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 10:
		return errors.New("it redirects in a circle")
	case r.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
		return fmt.Errorf("it redirects from https to %s", r.URL.Scheme)
	}
	return nil
}

// bounded fails rather than read more than maxBody of an answer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxBody}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		var more [1]byte
		if n, err := b.ReadCloser.Read(more[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

var errTooLarge = errors.New("the answer is larger than 1 MiB")

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
			Transport: bounded{transport},
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

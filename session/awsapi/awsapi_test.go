package awsapi_test

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/awstest"
	"aws-runas/session/profile"

	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func env(kv ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1], true
			}
		}
		return "", false
	}
}

func newAPI() *awsapi.API {
	return &awsapi.API{Lookup: env(), Now: time.Now, Profile: "my prod", Version: "1.2.3"}
}

var keys = session.Credentials{AccessKeyID: "AKIAFAKE", SecretAccessKey: "planted-secret", SessionToken: "planted-token"}

// identity makes the simplest call.
func identity(ctx context.Context, a *awsapi.API, c session.Credentials) (string, error) {
	client, err := a.STS(&c)
	if err != nil {
		return "", err
	}
	out, err := awsapi.Call(ctx, a, client.GetCallerIdentity, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers makes a transport of a status and a body.
func answers(status int, body string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Date": {time.Now().Add(-2 * time.Hour).UTC().Format(http.TimeFormat)}},
		}, nil
	}
}

func refuses(status int, code, message string) roundTripper {
	return answers(status, fmt.Sprintf(`<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message))
}

func TestEndpoints(t *testing.T) {
	for _, tc := range []struct {
		name         string
		api          *awsapi.API
		host, signed string
	}{
		{"nothing set", &awsapi.API{}, "sts.us-east-1.amazonaws.com", "us-east-1"},
		{"region", &awsapi.API{Region: "eu-west-1", Partition: "aws"}, "sts.eu-west-1.amazonaws.com", "eu-west-1"},
		{"opt-in region", &awsapi.API{Region: "me-central-1"}, "sts.me-central-1.amazonaws.com", "me-central-1"},
		{"China", &awsapi.API{Region: "cn-northwest-1"}, "sts.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
		{"China by the role", &awsapi.API{Partition: "aws-cn"}, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"China, region of elsewhere", &awsapi.API{Partition: "aws-cn", Region: "us-east-1"}, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"GovCloud", &awsapi.API{Partition: "aws-us-gov"}, "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		{"ISO", &awsapi.API{Partition: "aws-iso"}, "sts.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"},
		{"ISOB", &awsapi.API{Partition: "aws-iso-b"}, "sts.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"},
		{"European Sovereign Cloud", &awsapi.API{Partition: "aws-eusc"}, "sts.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"},
		{"FIPS", &awsapi.API{Region: "us-west-2", FIPS: true}, "sts-fips.us-west-2.amazonaws.com", "us-west-2"},
		{"dual stack", &awsapi.API{Region: "us-west-2", DualStack: true}, "sts.us-west-2.api.aws", "us-west-2"},
		{"endpoint", &awsapi.API{Region: "eu-west-1", Endpoint: func(s string) string { return "http://" + s + ".test:4566" }}, "sts.test:4566", "eu-west-1"},
		{"endpoint beats FIPS", &awsapi.API{FIPS: true, DualStack: true, Endpoint: func(string) string { return "https://vpce.test/x" }}, "vpce.test", "us-east-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.api
			a.Lookup, a.Now = env(), time.Now
			var host, authorization string
			a.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				host, authorization = r.URL.Host, r.Header.Get("Authorization")
				return answers(200, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)(r)
			})
			if arn, err := identity(t.Context(), a, keys); err != nil || arn != "arn:x" {
				t.Fatalf("%q, %v", arn, err)
			}
			if host != tc.host || !strings.Contains(authorization, "/"+tc.signed+"/sts/aws4_request") {
				t.Errorf("went to %s signed for %s, want %s and %s", host, authorization, tc.host, tc.signed)
			}
		})
	}
}

func TestPartitions(t *testing.T) {
	for region, want := range map[string]string{
		"": "aws", "eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-east-1": "aws-us-gov", "us-iso-west-1": "aws-iso",
		"us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f", "eusc-de-east-1": "aws-eusc",
	} {
		if got := awsapi.PartitionOf(region); got != want {
			t.Errorf("%q is in %q, want %q", region, got, want)
		}
	}
	for arn, want := range map[string]string{"arn:aws-cn:iam::1:role/x": "aws-cn", "GAHT12345678": "", "": "", "arn:x": ""} {
		if got := awsapi.PartitionOfARN(arn); got != want {
			t.Errorf("%q is in %q, want %q", arn, got, want)
		}
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*awsapi.API){
		"no URL":             func(a *awsapi.API) { a.Endpoint = func(string) string { return "localhost:4566" } },
		"no region":          func(a *awsapi.API) { a.Region = "eu west 1" },
		"no host":            func(a *awsapi.API) { a.Endpoint = func(string) string { return "https://" } },
		"attempts":           func(a *awsapi.API) { a.Lookup = env("AWS_MAX_ATTEMPTS", "0") },
		"attempts in words":  func(a *awsapi.API) { a.Lookup = env("AWS_MAX_ATTEMPTS", "three") },
		"bundle not there":   func(a *awsapi.API) { a.CABundle = filepath.Join(dir, "none.pem") },
		"bundle with nobody": func(a *awsapi.API) { a.CABundle = empty },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI()
			change(a)
			_, err := identity(t.Context(), a, keys)
			var e *profile.Error
			if !errors.As(err, &e) || session.Hint(err) == "" {
				t.Errorf("got %v with the hint %q", err, session.Hint(err))
			}
		})
	}
}

// setsTheClock is the hint where the clock is wrong.
var setsTheClock = cmp.Or(map[string]string{"darwin": "sudo sntp -sS time.apple.com", "windows": "w32tm /resync"}[runtime.GOOS], "sudo timedatectl set-ntp true")

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		status              int
		code, message, hint string
	}{
		{403, "AccessDenied", "User: arn:aws:iam::1:user/x is not authorized.", ""},
		{403, "InvalidClientTokenId", "The security token included in the request is invalid.", ""},
		{400, "ExpiredToken", "expired", ""},
		{403, "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than", setsTheClock},
		{403, "SignatureDoesNotMatch", "Signature not yet current: 2026", setsTheClock},
		{400, "RequestExpired", "Request has expired.", setsTheClock},
		{403, "RegionDisabledException", "STS is not activated in this region", "AWS_REGION=us-east-1"},
	} {
		t.Run(tc.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				a.Region = "me-south-1"
				calls := 0
				a.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					calls++
					return refuses(tc.status, tc.code, tc.message)(r)
				})
				_, err := identity(t.Context(), a, keys)
				var e *session.Refused
				if !errors.As(err, &e) || e.Code != tc.code || e.By != "sts GetCallerIdentity" || calls != 1 {
					t.Fatalf("got %v after %d calls", err, calls)
				}
				if strings.HasSuffix(err.Error(), ".") || !strings.Contains(session.Hint(err), tc.hint) ||
					tc.hint == setsTheClock && !strings.HasSuffix(err.Error(), ": the clock of this machine is 2h0m0s ahead of AWS's") {
					t.Errorf("%v; hint %q", err, session.Hint(err))
				}
			})
		})
	}
}

func TestRefusalsAreOneLineWithoutSecrets(t *testing.T) {
	a := newAPI()
	a.Transport = refuses(403, "SignatureDoesNotMatch", "It does not match.\n\nThe Canonical String for this request should have been\n'x-amz-security-token:planted-token'")
	if _, err := identity(t.Context(), a, keys); err == nil || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
	a = newAPI()
	a.Transport = refuses(400, "ValidationError", "Value '123456' at 'tokenCode' is bad")
	client, err := a.STS(&keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awsapi.Call(t.Context(), a, client.GetSessionToken, &sts.GetSessionTokenInput{}, "123456"); err == nil || strings.Contains(err.Error(), "123456") {
		t.Error(err)
	}
}

func TestTriedAgain(t *testing.T) {
	for _, tc := range []struct {
		name     string
		fault    awstest.Fault
		attempts string
		calls    int
		ok       bool
	}{
		{"5xx twice", awstest.Unavailable("", 2), "", 3, true},
		{"throttled twice", awstest.Throttled("", 2), "", 3, true},
		{"connection cut twice", awstest.Fault{Drop: true, Times: 2}, "", 3, true},
		{"5xx always", awstest.Unavailable("", 0), "", 3, false},
		{"throttled always", awstest.Throttled("", 0), "", 3, false},
		{"connection cut always", awstest.Fault{Drop: true}, "", 3, false},
		{"500", awstest.Fault{Status: 500, Code: "InternalFailure", Message: "oops"}, "5", 5, false},
		{"once only", awstest.Unavailable("", 0), "1", 1, false},
		{"no answer", awstest.Fault{Delay: time.Hour}, "2", 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := awstest.Demo(awstest.Options{})
				w.Inject(tc.fault)
				a := newAPI()
				a.Lookup = env("AWS_MAX_ATTEMPTS", tc.attempts)
				a.Transport = w.Transport()
				_, err := identity(t.Context(), a, session.Credentials{AccessKeyID: w.Key.ID, SecretAccessKey: w.Key.Secret})
				if n := w.Count(""); n != tc.calls {
					t.Errorf("tried %d times, want %d", n, tc.calls)
				}
				if tc.ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var u *session.Unreachable
				if !errors.As(err, &u) || session.Hint(err) == "" || !strings.Contains(err.Error(), "sts.us-east-1.amazonaws.com") {
					t.Errorf("got %v with the hint %q", err, session.Hint(err))
				}
				if tc.calls > 1 && !strings.Contains(err.Error(), fmt.Sprintf("tried %d times", tc.calls)) {
					t.Errorf("%v does not say how often", err)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Error("a limit of ours looks like the caller's")
				}
			})
		})
	}
}

func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awstest.Demo(awstest.Options{})
		w.Inject(awstest.Fault{Delay: time.Hour})
		a := newAPI()
		a.Transport = w.Transport()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := identity(ctx, a, keys); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
}

func TestClockSkewIsRefusedNotCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, off := range []time.Duration{-time.Hour, time.Hour} {
			w := awstest.Demo(awstest.Options{})
			w.SetSkew(off)
			a := newAPI()
			a.Transport = w.Transport()
			_, err := identity(t.Context(), a, session.Credentials{AccessKeyID: w.Key.ID, SecretAccessKey: w.Key.Secret})
			var e *session.Refused
			want := map[bool]string{true: "1h0m0s behind", false: "1h0m0s ahead"}[off > 0]
			if !errors.As(err, &e) || !strings.Contains(e.Error(), want) || e.Hint() != setsTheClock {
				t.Errorf("got %v; hint %q, want %q", err, session.Hint(err), want)
			}
		}
	})
}

func TestForeignAnswers(t *testing.T) {
	for name, transport := range map[string]http.RoundTripper{
		"a login page":     answers(200, "<html><body>Sign in to the hotel</body></html>"),
		"a proxy's page":   answers(403, "<html><body>Blocked</body></html>"),
		"nothing":          answers(403, ""),
		"a redirect":       answers(302, ""),
		"not XML":          answers(404, `{"message": "not found"}`),
		"half an answer":   answers(200, "<GetCallerIdentityResponse><GetCallerId"),
		"something in 5xx": answers(502, "Bad gateway"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI()
				a.Transport = transport
				_, err := identity(t.Context(), a, keys)
				var u *session.Unreachable
				if !errors.As(err, &u) || !strings.Contains(session.Hint(err), "'my prod'") {
					t.Errorf("got %T %v; hint %q", err, err, session.Hint(err))
				}
			})
		})
	}
}

// The tests below use real sockets.

func TestTLS(t *testing.T) {
	w := awstest.Demo(awstest.Options{})
	server := httptest.NewUnstartedServer(w)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	user := session.Credentials{AccessKeyID: w.Key.ID, SecretAccessKey: w.Key.Secret}
	a := newAPI()
	a.Endpoint = func(string) string { return server.URL }
	a.Lookup = env("AWS_MAX_ATTEMPTS", "1")
	_, err := identity(t.Context(), a, user)
	var u *session.Unreachable
	if !errors.As(err, &u) || !strings.Contains(u.Hint(), "AWS_CA_BUNDLE") {
		t.Errorf("got %v; hint %q", err, session.Hint(err))
	}

	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newAPI()
	b.Endpoint, b.CABundle = a.Endpoint, bundle
	if arn, err := identity(t.Context(), b, user); err != nil || arn != w.User.ARN {
		t.Errorf("with the bundle: %q, %v", arn, err)
	}

	plain := httptest.NewServer(w)
	defer plain.Close()
	c := newAPI()
	c.Lookup = a.Lookup
	c.Endpoint = func(string) string { return strings.Replace(plain.URL, "http:", "https:", 1) }
	if _, err := identity(t.Context(), c, user); !errors.As(err, &u) || !strings.Contains(err.Error(), "http://") {
		t.Errorf("https where http is spoken: %v; hint %q", err, session.Hint(err))
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	a := newAPI()
	a.Lookup = env("AWS_MAX_ATTEMPTS", "1")
	a.Endpoint = func(string) string { return "http://" + address }
	_, err = identity(t.Context(), a, keys)
	var u *session.Unreachable
	if !errors.As(err, &u) || !strings.Contains(err.Error(), address) || !strings.Contains(u.Hint(), "--explain") {
		t.Errorf("got %v; hint %q", err, session.Hint(err))
	}
}

func TestNameNotFound(t *testing.T) {
	a := newAPI()
	a.Region = "eu-nowhere-9"
	a.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
	})
	_, err := identity(t.Context(), a, keys)
	var u *session.Unreachable
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "sts.eu-nowhere-9") || !strings.Contains(u.Hint(), "--explain") {
		t.Errorf("got %v; hint %q", err, session.Hint(err))
	}
}

func TestProxy(t *testing.T) {
	w := awstest.Demo(awstest.Options{})
	user := session.Credentials{AccessKeyID: w.Key.ID, SecretAccessKey: w.Key.Secret}
	var through int
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		through++
		w.ServeHTTP(rw, r)
	}))
	defer proxy.Close()
	a := newAPI()
	a.Endpoint = func(string) string { return "http://sts.test" }
	a.Lookup = env("HTTP_PROXY", proxy.URL)
	if _, err := identity(t.Context(), a, user); err != nil || through != 1 {
		t.Errorf("%v, %d requests through the proxy", err, through)
	}
	// A name in NO_PROXY is reached directly, which fails here.
	b := newAPI()
	b.Endpoint = func(string) string { return "http://127.0.0.1:1" }
	b.Lookup = env("HTTP_PROXY", proxy.URL, "NO_PROXY", "127.0.0.1", "AWS_MAX_ATTEMPTS", "1")
	if _, err := identity(t.Context(), b, user); err == nil || through != 1 {
		t.Errorf("%v, %d requests through the proxy", err, through)
	}
	// A proxy that is not there.
	c := newAPI()
	c.Endpoint = func(string) string { return "https://sts.test" }
	c.Lookup = env("https_proxy", "http://user:planted@127.0.0.1:1", "AWS_MAX_ATTEMPTS", "1")
	_, err := identity(t.Context(), c, user)
	if !strings.Contains(session.Hint(err), "NO_PROXY=sts.test") || strings.Contains(err.Error(), "planted") {
		t.Errorf("got %v; hint %q", err, session.Hint(err))
	}
}

func TestUserAgent(t *testing.T) {
	a := newAPI()
	var agent string
	a.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		agent = r.Header.Get("User-Agent")
		return refuses(400, "X", "y")(r)
	})
	identity(t.Context(), a, keys)
	if !strings.Contains(agent, "aws-runas/1.2.3") {
		t.Errorf("User-Agent %q", agent)
	}
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{
		"prod": "prod", "": "''", "my prod": "'my prod'", "a'b": `'a'\''b'`, "$(x)": "'$(x)'", "ünï": "ünï",
		"arn:aws:iam::1:role/x": "arn:aws:iam::1:role/x", "\u2019": "'\u2019'",
	} {
		if got := awsapi.Word(in); got != want {
			t.Errorf("Word(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestIdentityCenterEndpoints(t *testing.T) {
	for _, tc := range []struct {
		name         string
		api          *awsapi.API
		region       string
		portal, oidc string
	}{
		{"region of the instance", &awsapi.API{Region: "us-east-1"}, "eu-north-1", "portal.sso.eu-north-1.amazonaws.com", "oidc.eu-north-1.amazonaws.com"},
		{"China", &awsapi.API{}, "cn-north-1", "portal.sso.cn-north-1.amazonaws.com.cn", "oidc.cn-north-1.amazonaws.com.cn"},
		{"GovCloud", &awsapi.API{}, "us-gov-west-1", "portal.sso.us-gov-west-1.amazonaws.com", "oidc.us-gov-west-1.amazonaws.com"},
		{"dual stack", &awsapi.API{DualStack: true}, "eu-west-1", "portal.sso.eu-west-1.api.aws", "oidc.eu-west-1.api.aws"},
		{"endpoints", &awsapi.API{Endpoint: func(s string) string { return "http://" + s + ".test" }}, "eu-west-1", "sso.test", "sso_oidc.test"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.api
			a.Lookup, a.Now = env(), time.Now
			var host string
			a.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				host = r.URL.Host
				return answers(200, `{"accessToken": "x", "expiresIn": 1}`)(r)
			})
			portal, err := a.SSO(tc.region)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := awsapi.Call(t.Context(), a, portal.ListAccounts, &sso.ListAccountsInput{AccessToken: new("x")}); err != nil || host != tc.portal {
				t.Errorf("the portal is at %q, want %q (%v)", host, tc.portal, err)
			}
			signIn, err := a.SSOOIDC(tc.region)
			if err != nil {
				t.Fatal(err)
			}
			in := &ssooidc.CreateTokenInput{ClientId: new("x"), ClientSecret: new("x"), GrantType: new("refresh_token")}
			if _, err := awsapi.Call(t.Context(), a, signIn.CreateToken, in); err != nil || host != tc.oidc {
				t.Errorf("the sign-in is at %q, want %q (%v)", host, tc.oidc, err)
			}
			at, err := a.SSOOIDCEndpoint(t.Context(), tc.region)
			if u, _ := url.Parse(at); err != nil || u.Host != tc.oidc || u.Path != "" {
				t.Errorf("the page is at %q, want %q (%v)", at, tc.oidc, err)
			}
		})
	}
}

func TestHTTPIsBounded(t *testing.T) {
	get := func(t *testing.T, answer roundTripper) error {
		t.Helper()
		a := newAPI()
		a.Transport = answer
		client, err := a.HTTP()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get("https://idp.test/")
		if err != nil {
			return a.Unreachable("the sign-in", err)
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	moves := func(to string) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			resp, err := answers(302, "")(r)
			resp.Header.Set("Location", to)
			return resp, err
		}
	}
	for name, tc := range map[string]struct {
		answer roundTripper
		want   string // in the error
	}{
		"as large as may be": {answers(200, strings.Repeat("x", 1<<20)), ""},
		"larger":             {answers(200, strings.Repeat("x", 1<<20+1)), "larger than 1 MiB"},
		"a circle":           {moves("https://idp.test/"), "in a circle"},
		"away from https":    {moves("http://idp.test/"), "from https to http"},
	} {
		t.Run(name, func(t *testing.T) {
			err := get(t, tc.answer)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHTTPGoesByTheProxyAndTheAuthorities(t *testing.T) {
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	idp.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer idp.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: idp.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var tunnels []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnels = append(tunnels, r.Method+" "+r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()

	a := newAPI()
	a.CABundle = bundle
	client, err := a.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(idp.URL)
	if err != nil {
		t.Fatalf("with its authority in the bundle: %v", err)
	}
	resp.Body.Close()

	a = newAPI()
	if client, err = a.HTTP(); err != nil {
		t.Fatal(err)
	}
	_, err = client.Get(idp.URL)
	var u *session.Unreachable
	if err = a.Unreachable("discovery", err); !errors.As(err, &u) || !strings.Contains(err.Error(), "does not trust") || session.Hint(err) == "" {
		t.Errorf("without the bundle: %v", err)
	}

	a = newAPI()
	a.Lookup = env("HTTPS_PROXY", proxy.URL)
	if client, err = a.HTTP(); err != nil {
		t.Fatal(err)
	}
	if _, err = client.Get("https://idp.test/"); err == nil || len(tunnels) != 1 || tunnels[0] != "CONNECT idp.test:443" {
		t.Errorf("by the proxy: %v, %v", err, tunnels)
	}
}

package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/oidc"
	"aws-runas/session/profile"
)

func TestBrowserSignsInOnce(t *testing.T) {
	l := newLab(t).onLoopback()
	first, user, err := l.client().Token(t.Context(), "")
	if err != nil || user != "jane" {
		t.Fatalf("%q, %v", user, err)
	}
	l.sees(1, 1)
	before := l.idp.Count("")
	if again := l.must(); again != first {
		t.Error("another token, though the first one lives")
	}
	if n := l.idp.Count("") - before; n != 0 {
		t.Errorf("%d requests for what is kept", n)
	}
	l.sees(1, 1)
	l.noSecrets()
	if l.store.len() != 2 {
		t.Errorf("%d records", l.store.len())
	}
}

func TestManyProcessesSignInOnce(t *testing.T) {
	l := newLab(t).onLoopback()
	var wg sync.WaitGroup
	for range 20 {
		c := l.client()
		wg.Go(func() {
			if _, _, err := c.Token(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l.sees(1, 1)
	if n := l.idp.Count("/token"); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestRefreshLastsAsLongAsTheProviderLets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.must()
		for range 24 * 13 { // of its 14 days, each hour
			time.Sleep(time.Hour)
			l.must()
		}
		l.sees(1, 1)
		if n := l.idp.Count("/token"); n < 24*13 {
			t.Errorf("%d tokens in 13 days of an hour each", n)
		}
		l.noSecrets()
	})
}

func TestTokenIsUsedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.idp.SetLifetimes(time.Hour, 0)
		first := l.must()
		time.Sleep(59*time.Minute - 10*time.Second)
		if l.must() != first {
			t.Error("somebody was asked though the token had a minute to live")
		}
		time.Sleep(time.Minute)
		if l.must() == first {
			t.Error("a token that ends in seconds was handed out")
		}
		l.sees(2, 0)
	})
}

func TestRevokedRefreshTokenAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.must()
		l.idp.RevokeAll()
		time.Sleep(time.Hour)
		l.must()
		l.sees(2, 1)

		// And where nobody can be asked, says so.
		l.idp.RevokeAll()
		time.Sleep(time.Hour)
		l.change = func(c *oidc.Client) { c.Person.Open, c.Person.Username = nil, "jane" }
		needs := fails[*session.Needs](l)
		if needs.What != session.NeedAuth || needs.Profile != "prod" || needs.Username != "jane" {
			t.Errorf("got %+v", needs)
		}
		// What is of no use is not tried twice.
		before := l.idp.Count("/token")
		fails[*session.Needs](l)
		if n := l.idp.Count("/token") - before; n != 0 {
			t.Errorf("a revoked refresh token was sent %d times more", n)
		}
	})
}

func TestRefreshNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		first := l.must()
		l.idp.Inject(awstest.Fault{Drop: true})
		time.Sleep(59*time.Minute + 30*time.Second)
		if l.must() != first || len(l.warned) != 1 {
			t.Errorf("the token that lives was not used: %v", l.warned)
		}
		time.Sleep(time.Minute)
		fails[*session.Unreachable](l)
		l.sees(1, 1)
	})
}

func TestRefreshForAnotherPersonIsNotTaken(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"subject": func(c map[string]any) { c["sub"] = "somebody else" },
		"nonce":   func(c map[string]any) { c["nonce"] = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				l.must()
				l.idp.SetClaims(change)
				time.Sleep(time.Hour)
				l.change = func(c *oidc.Client) { c.Person.Open = nil }
				fails[*session.Needs](l)
			})
		})
	}
}

func TestRejectedTokenIsReplacedOnce(t *testing.T) {
	l := newLab(t).onLoopback()
	bad := l.must()
	var wg sync.WaitGroup
	for range 10 {
		c := l.client()
		wg.Go(func() {
			if got, _, err := c.Token(t.Context(), bad); err != nil || got == bad {
				t.Errorf("got the rejected token, or %v", err)
			}
		})
	}
	wg.Wait()
	l.sees(1, 1)
	if n := l.idp.Count("/token"); n != 2 {
		t.Errorf("%d tokens, want the first and one more", n)
	}
}

// byCode lets the person use another device: no browser, and no socket, so that
// it works in a bubble.
func (l *lab) byCode() {
	l.env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
	l.visitor.Transport = l.idp.Transport()
	l.change = func(c *oidc.Client) {
		c.Person.Tell = func(msg string) {
			l.write("%s", msg)
			l.mu.Lock()
			l.asked++
			l.mu.Unlock()
			_, page, _ := strings.Cut(msg, "open ")
			page, _, _ = strings.Cut(page, " ")
			if err := l.visitor.Open(l.t.Context(), page); err != nil {
				l.t.Error(err)
			}
		}
	}
}

func TestDeviceFlowDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.visitor.Deny = true
		no := fails[*session.Refused](l)
		if no.By != "idp.test" || no.Code != "access_denied" || session.Hint(no) != "aws-runas login prod" {
			t.Errorf("%v; hint %q", no, session.Hint(no))
		}
	})
}

func TestDeviceFlowNobodyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.change = nil
		start := time.Now()
		needs := fails[*session.Needs](l)
		if took := time.Since(start); needs.What != session.NeedAuth || took > 10*time.Minute {
			t.Errorf("%v after %s", needs, took)
		}
	})
}

func TestDeviceFlowIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.idp.Inject(awstest.Fault{Action: "/token", Times: 2, Status: 503, Code: "temporarily_unavailable"})
		l.idp.Inject(awstest.Fault{Action: "/token", Times: 1, Drop: true})
		l.idp.Inject(awstest.Fault{Action: "/token", Times: 1, Status: 400, Code: "slow_down"})
		l.must()
		l.sees(1, 1)
	})
}

func TestNoBrowserOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		delete(l.env, "SSH_CONNECTION")
		byCode := l.change
		l.change = func(c *oidc.Client) {
			byCode(c)
			c.Person.Open = func(context.Context, string) error { return errors.New("xdg-open: not found") }
		}
		l.must()
		l.sees(1, 1)
	})
}

// What a provider announces is not for all of its clients.
func TestClientWithoutDeviceFlow(t *testing.T) {
	for name, tc := range map[string]struct {
		code  string
		setUp func(l *lab)
	}{
		"over SSH":   {"unauthorized_client", func(l *lab) { l.env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22" }},
		"no browser": {"unsupported_grant_type", func(*lab) {}},
		"no browser and no offline": {"unauthorized_client", func(l *lab) {
			l.idp.Inject(awstest.Fault{Action: "/device_authorization", Times: 1, Status: 400, Code: "invalid_scope"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t).onLoopback()
			tc.setUp(l)
			l.idp.Inject(awstest.Fault{Action: "/device_authorization", Status: 400, Code: tc.code})
			told := 0
			l.change = func(c *oidc.Client) {
				c.Person.Open = func(context.Context, string) error { return errors.New("xdg-open: not found") }
				c.Person.Tell = func(msg string) {
					told++
					_, page, _ := strings.Cut(msg, "open http")
					page, _, _ = strings.Cut("http"+page, " ")
					go l.visitor.Open(t.Context(), page)
				}
			}
			l.must()
			if told != 1 {
				t.Errorf("%d messages", told)
			}
		})
	}
}

func TestRefreshThatGivesNoToken(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		kind, body string
	}{
		"no id_token":  {200, "application/json", `{"access_token": "x", "token_type": "Bearer", "refresh_token": "y"}`},
		"a page":       {400, "text/html", "<html>Bad Request</html>"},
		"an object":    {401, "application/json", `{"error": {"code": 1}}`},
		"another word": {403, "application/json", `{"error": "expired_session"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				l.must()
				l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/token" {
						sent, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						if strings.Contains(string(sent), "refresh_token") {
							return &http.Response{StatusCode: tc.status, Request: r, Body: io.NopCloser(strings.NewReader(tc.body)), Header: http.Header{"Content-Type": {tc.kind}}}, nil
						}
						r.Body = io.NopCloser(strings.NewReader(string(sent)))
					}
					return l.idp.Transport().RoundTrip(r)
				})
				time.Sleep(time.Hour)
				l.must()
				l.sees(2, 2)
				l.noSecrets()
			})
		})
	}
}

// Clocks are rarely right to the minute.
func TestClocksThatDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{-2 * time.Minute, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.clock = ahead
			l.byCode()
			l.idp.SetLifetimes(5*time.Minute, time.Hour)
			l.idp.SetClaims(func(c map[string]any) { c["nbf"] = time.Now().Unix() })
			for range 10 {
				l.must()
				time.Sleep(4 * time.Minute)
			}
			l.sees(1, 1)
		})
	}
}

func TestDenied(t *testing.T) {
	l := newLab(t).onLoopback()
	l.visitor.Deny = true
	no := fails[*session.Refused](l)
	if no.Code != "access_denied" || no.Message != "End-User aborted interaction" || session.Hint(no) == "" {
		t.Errorf("%v; hint %q", no, session.Hint(no))
	}
}

func TestTokensThatAreNotAccepted(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(claims map[string]any)
		want   string
	}{
		"another nonce":       {func(c map[string]any) { c["nonce"] = "another" }, "nonce"},
		"no nonce":            {func(c map[string]any) { delete(c, "nonce") }, "nonce"},
		"another audience":    {func(c map[string]any) { c["aud"] = "somebody" }, "audience"},
		"several audiences":   {func(c map[string]any) { c["aud"] = []string{"aws", "other"} }, "another client"},
		"for somebody else":   {func(c map[string]any) { c["aud"] = []string{"aws", "other"}; c["azp"] = "other" }, "another client"},
		"another issuer":      {func(c map[string]any) { c["iss"] = "https://evil.test" }, "different provider"},
		"expired":             {func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() }, "it ended at"},
		"no end":              {func(c map[string]any) { delete(c, "exp") }, "it ended at"},
		"not yet":             {func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, "not before"},
		"nobody":              {func(c map[string]any) { delete(c, "sub") }, "names nobody"},
		"claims of no sense":  {func(c map[string]any) { c["azp"] = 1 }, "cannot be read"},
		"audience of numbers": {func(c map[string]any) { c["aud"] = []int{1} }, "unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t).onLoopback()
			l.idp.SetClaims(tc.change)
			token, err := l.token()
			if token != "" || err == nil || !strings.Contains(err.Error(), tc.want) || session.Hint(err) == "" {
				t.Errorf("got %v with the hint %q, want %q", err, session.Hint(err), tc.want)
			}
			l.noSecrets(err)
			if l.store.len() != 0 {
				t.Error("something of it is kept")
			}
		})
	}
}

func TestSignaturesThatAreNotAccepted(t *testing.T) {
	other := awstest.NewOpenID(nil)
	theirs := other.Sign(map[string]any{"iss": "https://idp.test"})
	parts := strings.Split(theirs, ".")
	for name, token := range map[string]string{
		"of another key": theirs,
		"none":           "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"a shared key":   "eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2],
		"nothing":        "",
		"no JWT":         "planted",
		"encrypted":      "a.b.c.d.e",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				l.answers("/token", 200, "application/json", fmt.Sprintf(`{"access_token": "x", "id_token": %q}`, token))
				if _, err := l.token(); err == nil || !strings.Contains(err.Error(), "is not accepted") || token != "" && strings.Contains(err.Error(), token) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestAlgorithmThatAWSDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.answers("/token", 200, "application/json", `{"id_token": "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.e30.AAAA"}`)
		_, err := l.token()
		if err == nil || !strings.Contains(err.Error(), `signed by "EdDSA"`) || !strings.Contains(session.Hint(err), "RS256") {
			t.Errorf("%v; hint %q", err, session.Hint(err))
		}
	})
}

func TestKeysOfUnknownKindsDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		resp, err := (&http.Client{Transport: l.idp.Transport()}).Get(l.idp.Issuer() + "/jwks")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		more := `{"keys":[{"kty":"AKP","alg":"ML-DSA-65","pub":"x"},{"kty":"oct","k":"AAAA"},7,` + strings.TrimPrefix(string(body), `{"keys":[`)
		l.answers("/jwks", 200, "application/json", more)
		l.must()
	})
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l := newLab(t).onLoopback()
	l.change = func(c *oidc.Client) { c.RedirectURI = "http://" + taken.Addr().String() + "/callback" }
	e := fails[*profile.Error](l)
	if !strings.Contains(e.Error(), taken.Addr().String()) || session.Hint(e) == "" {
		t.Errorf("%v; hint %q", e, session.Hint(e))
	}
	l.sees(0, 0)
}

func TestClosedBrowser(t *testing.T) {
	l := newLab(t).onLoopback()
	l.change = func(c *oidc.Client) {
		c.Person.Open = func(context.Context, string) error { return nil }
		c.Person.Limit = time.Millisecond
	}
	if needs := fails[*session.Needs](l); needs.What != session.NeedAuth {
		t.Errorf("%v", needs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.change = func(c *oidc.Client) {
		c.Person.Open = func(context.Context, string) error { cancel(); return nil }
	}
	if _, _, err := l.client().Token(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestForgedAnswersAreTurnedAway(t *testing.T) {
	l := newLab(t).onLoopback()
	l.change = func(c *oidc.Client) {
		c.Person.Open = func(ctx context.Context, page string) error {
			u, err := url.Parse(page)
			if err != nil {
				return err
			}
			q := u.Query()
			if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("response_type") != "code" {
				t.Errorf("the request is %s", page)
			}
			resp, err := http.Get(q.Get("redirect_uri") + "?code=forged&state=forged")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a forged answer has HTTP status %d", resp.StatusCode)
			}
			go l.visitor.Open(ctx, page)
			return nil
		}
	}
	l.must()
}

func TestAnswerOfAnotherProvider(t *testing.T) {
	l := newLab(t).onLoopback()
	l.change = func(c *oidc.Client) {
		c.Person.Open = func(_ context.Context, page string) error {
			u, _ := url.Parse(page)
			q := u.Query()
			resp, err := http.Get(q.Get("redirect_uri") + "?" + url.Values{"code": {"x"}, "state": {q.Get("state")}, "iss": {"https://evil.test"}}.Encode())
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
	}
	if no := fails[*session.Refused](l); no.Code != "iss" || !strings.Contains(no.Message, "evil.test") || l.idp.Count("/token") != 0 {
		t.Errorf("%v", no)
	}
}

func TestWithoutOfflineAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.idp.Inject(awstest.Fault{Action: "/device_authorization", Times: 1, Status: 400, Code: "invalid_scope"})
		l.must()
		if until, err := l.client().Login(t.Context(), false); err != nil || time.Until(until) < 59*time.Minute {
			t.Errorf("until %s, %v: want the end of the id_token", until, err)
		}
		l.sees(1, 0)
	})
}

func TestLoginAndLogout(t *testing.T) {
	l := newLab(t).onLoopback()
	for range 2 {
		until, err := l.client().Login(t.Context(), false)
		if err != nil || !until.IsZero() {
			t.Fatalf("until %s, %v: the refresh token lasts longer than any token", until, err)
		}
	}
	l.sees(1, 1)
	if _, err := l.client().Login(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	l.sees(2, 2)
	if err := l.client().Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.sees(2, 1) // the first one was given up for the second
	if l.store.len() != 0 {
		t.Error("records are left")
	}
	before := l.idp.Count("")
	if err := l.client().Logout(t.Context()); err != nil || l.idp.Count("") != before {
		t.Errorf("with nobody signed in: %v", err)
	}
	l.must()
	l.idp.Close()
	if err := l.client().Logout(t.Context()); !errors.As(err, new(*session.Unreachable)) || l.store.len() != 0 {
		t.Errorf("nobody to revoke it: %v, and %d records are left", err, l.store.len())
	}
}

// A renewal that is under way brings nothing back.
func TestLogoutDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.must()
		time.Sleep(time.Hour)
		next := l.idp.Transport()
		l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if strings.HasSuffix(r.URL.Path, "/token") {
				time.Sleep(time.Second) // the answer is on its way
			}
			return response, err
		})
		done := make(chan error, 1)
		go func() {
			_, err := l.token()
			done <- err
		}()
		synctest.Wait()
		if err := l.client().Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := l.store.len(); n != 0 {
			t.Errorf("%d records are back", n)
		}
	})
}

// form signs in as a client of sign-in pages does.
type form func(ctx context.Context, authURL, redirectURI string) (string, error)

func (f form) Login(ctx context.Context, authURL, redirectURI string) (string, error) {
	return f(ctx, authURL, redirectURI)
}

func TestForm(t *testing.T) {
	withForm := func(f form) *lab {
		l := newLab(t)
		l.visitor.Transport = l.idp.Transport()
		l.change = func(c *oidc.Client) { c.RedirectURI, c.Form, c.Person = "app:/callback", f, nil }
		return l
	}
	var l *lab
	for _, trusting := range []bool{false, true} {
		l = withForm(func(ctx context.Context, authURL, redirectURI string) (string, error) {
			if u, err := url.Parse(authURL); err != nil || u.Query().Has("prompt") {
				t.Errorf("a page for a person is asked for: %s", authURL)
			}
			return l.visitor.Redirected(ctx, authURL, redirectURI)
		})
		sessions := 0
		if trusting {
			l.idp.TrustClients()
			sessions = 1
		}
		l.must()
		l.sees(0, sessions)
	}

	for name, tc := range map[string]struct {
		back string // with STATE and ISS
		code string
	}{
		"another state": {"app:/callback?code=x&state=forged&iss=ISS", "state"},
		"no state":      {"app:/callback?code=x&iss=ISS", "state"},
		"no code":       {"app:/callback?state=STATE&iss=ISS", "code"},
		"no issuer":     {"app:/callback?code=x&state=STATE", "iss"},
		"an error":      {"app:/callback?error=login_required&state=STATE&iss=ISS", "login_required"},
	} {
		l = withForm(func(_ context.Context, authURL, _ string) (string, error) {
			u, err := url.Parse(authURL)
			return strings.NewReplacer("STATE", u.Query().Get("state"), "ISS", url.QueryEscape(l.idp.Issuer())).Replace(tc.back), err
		})
		if no := fails[*session.Refused](l); no.Code != tc.code {
			t.Errorf("%s: %v", name, no)
		}
	}
	for _, elsewhere := range []string{"https://evil.test/?code=x", "app:/callbackx?code=x", ""} {
		l = withForm(func(context.Context, string, string) (string, error) { return elsewhere, nil })
		fails[*session.Unreachable](l)
	}
	away := &session.Needs{What: session.NeedMFA}
	l = withForm(func(context.Context, string, string) (string, error) { return "", away })
	if got := fails[*session.Needs](l); got != away {
		t.Errorf("the form's own error became %v", got)
	}

	l = withForm(nil)
	l.change = func(c *oidc.Client) { c.RedirectURI = "app:/callback" }
	e := fails[*profile.Error](l)
	if !strings.Contains(e.Error(), `"app:/callback"`) || session.Hint(e) == "" {
		t.Errorf("%v; hint %q", e, session.Hint(e))
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	for name, u := range map[string]string{
		"plain http": "http://idp.example", "no URL": "idp.example", "a path": "/x", "nothing": "", "a query": "https://idp.test/?x=1", "another scheme": "ftp://idp.test",
		"another name of it": "https://www.idp.test", "a path below it": "https://idp.test/realms/x",
	} {
		l := newLab(t)
		l.byCode()
		next := l.change
		l.change = func(c *oidc.Client) { next(c); c.URL = u }
		e := fails[*profile.Error](l)
		if !strings.Contains(e.Error(), "web_identity_auth_url") || session.Hint(e) == "" {
			t.Errorf("%s: %v; hint %q", name, e, session.Hint(e))
		}
	}
}

// What the setting may be of a provider, as others' programs take it.
func TestAddressesOfProviders(t *testing.T) {
	const tenant = "https://idp.test/7d5e"
	for name, tc := range map[string]struct{ setting, issuer, authorize string }{
		"issuer":                   {"https://idp.test", "https://idp.test", ""},
		"with a slash":             {"https://idp.test/", "https://idp.test", ""},
		"the issuer has the slash": {"https://idp.test", "https://idp.test/", ""},
		"in a folder":              {"https://idp.test/realms/x/", "https://idp.test/realms/x", ""},
		"with its port":            {"https://IDP.test/am/oauth2", "https://idp.test:443/am/oauth2", ""},
		"discovery":                {"https://idp.test/.well-known/openid-configuration", "https://idp.test", ""},
		"discovery of a folder":    {"https://idp.test/x/.well-known/openid-configuration/", "https://idp.test/x/", ""},
		"Okta":                     {"https://idp.test/oauth2", "https://idp.test", "https://idp.test/oauth2/v1/authorize"},
		"OneLogin":                 {"https://idp.test/oidc/2?token=cGxhbnRlZDp0b2tlbg==", "https://idp.test/oidc/2", ""},
		"Entra":                    {tenant + "/oauth2/v2.0", tenant + "/v2.0", tenant + "/oauth2/v2.0/authorize"},
		"authorize at Entra":       {tenant + "/oauth2/v2.0/authorize", tenant + "/v2.0", tenant + "/oauth2/v2.0/authorize"},
		"authorize at Keycloak":    {"https://idp.test/realms/x/protocol/openid-connect/auth", "https://idp.test/realms/x", "https://idp.test/realms/x/protocol/openid-connect/auth"},
		"authorize":                {"https://idp.test/authorize", "https://idp.test", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				next := l.change
				l.change = func(c *oidc.Client) { next(c); c.URL = tc.setting }
				l.calls(tc.issuer, tc.authorize)
				l.must()
				l.noSecrets()
			})
		})
	}
	for name, tc := range map[string]struct{ setting, issuer, authorize string }{
		"another tenant":      {"https://idp.test/realms/y", "https://idp.test/realms/x", ""},
		"of a folder above":   {"https://idp.test/realms/x", "https://idp.test", ""},
		"another page of it":  {"https://idp.test/authorizeme", "https://idp.test", ""},
		"a secret and no use": {"https://idp.test/?token=cGxhbnRlZA&x=cGxhbnRlZA", "https://idp.test", ""},
		"a password":          {"https://jane:cGxhbnRlZA@idp.test", "https://idp.test", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.byCode()
			next := l.change
			l.change = func(c *oidc.Client) { next(c); c.URL = tc.setting }
			l.calls(tc.issuer, tc.authorize)
			e := fails[*profile.Error](l)
			setting, _, _ := strings.Cut(tc.setting, "?")
			if !strings.Contains(e.Error(), "web_identity_auth_url") || strings.Contains(e.Error(), "cGxhbnRlZA") || session.Hint(e) == "" ||
				!strings.Contains(setting, "@") && !strings.Contains(e.Error(), strings.TrimSuffix(setting, "/")) {
				t.Errorf("%v; hint %q", e, session.Hint(e))
			}
		})
	}
}

func TestAnotherIssuerIsNamed(t *testing.T) {
	l := newLab(t)
	l.byCode()
	next := l.change
	l.change = func(c *oidc.Client) { next(c); c.URL += "/login" }
	l.answers("/login/.well-known/openid-configuration", 200, "application/json", `{"issuer": "https://idp.test/tenant", "token_endpoint": "https://idp.test/t", "jwks_uri": "https://idp.test/j"}`)
	if e := fails[*profile.Error](l); !strings.Contains(e.Error(), `calls itself "https://idp.test/tenant"`) || session.Hint(e) != "aws-runas -W https://idp.test/tenant login prod" {
		t.Errorf("%v; hint %q", e, session.Hint(e))
	}
}

// calls has the provider call itself issuer, and answer for its discovery there
// alone.
func (l *lab) calls(issuer, authorize string) {
	at := l.idp.Issuer()
	if authorize == "" {
		authorize = at + "/authorize"
	}
	const wellKnown = "/.well-known/openid-configuration"
	document, err := url.Parse(strings.TrimSuffix(issuer, "/") + wellKnown)
	if err != nil {
		l.t.Fatal(err)
	}
	l.idp.SetClaims(func(c map[string]any) { c["iss"] = issuer })
	l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, wellKnown) {
			return l.idp.Transport().RoundTrip(r)
		}
		status, body := http.StatusNotFound, "not found"
		if r.URL.Path == document.Path {
			status, body = http.StatusOK, fmt.Sprintf(`{"issuer": %q, "authorization_endpoint": %q, "token_endpoint": %q, "jwks_uri": %q, "device_authorization_endpoint": %q}`,
				issuer, authorize, at+"/token", at+"/jwks", at+"/device_authorization")
		}
		return &http.Response{StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{"Content-Type": {"application/json"}}}, nil
	})
}

func TestProvidersThatMisbehave(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	page := "<!doctype html><html><title>Bad Gateway</title>" + strings.Repeat("x", 1000) + "</html>"
	for name, tc := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"a page for discovery":      {discovery, "text/html", page, 200},
		"a page as an error":        {discovery, "text/html", page, 502},
		"a page that forbids":       {discovery, "text/html", page, 403},
		"nothing":                   {discovery, "", "", 200},
		"null":                      {discovery, "application/json", "null", 200},
		"a list":                    {discovery, "application/json", "[]", 200},
		"half of it":                {discovery, "application/json", `{"issuer": "https://id`, 200},
		"no endpoints":              {discovery, "application/json", `{"issuer": "https://idp.test"}`, 200},
		"endpoints in the clear":    {discovery, "application/json", `{"issuer": "https://idp.test", "token_endpoint": "http://idp.test/token", "jwks_uri": "https://idp.test/jwks"}`, 200},
		"endpoints at home":         {discovery, "application/json", `{"issuer": "https://idp.test", "token_endpoint": "http://127.0.0.1/token", "jwks_uri": "https://idp.test/jwks"}`, 200},
		"huge":                      {discovery, "application/json", `{"x": "` + strings.Repeat("x", 2<<20) + `"}`, 200},
		"a page for the code":       {"/device_authorization", "text/html", page, 200},
		"null for the code":         {"/device_authorization", "application/json", "null", 200},
		"no code":                   {"/device_authorization", "application/json", `{"interval": -5, "expires_in": -1}`, 200},
		"a redirect with the token": {"/device_authorization", "text/html", page, 307},
		"keys that are a page":      {"/jwks", "text/html", page, 200},
		"keys that are gone":        {"/jwks", "text/html", page, 500},
		"huge keys":                 {"/jwks", "application/json", `{"keys": [` + strings.Repeat(" ", 2<<20) + `]}`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				l.answers(tc.path, tc.status, tc.kind, tc.body)
				e := fails[*session.Unreachable](l)
				if strings.Contains(e.Error(), "<") || len(e.Error()) > 400 {
					t.Errorf("%v", e)
				}
			})
		})
	}
	for name, tc := range map[string]struct {
		body string
		want string
	}{
		"an error with a page":     {`{"error": "invalid_client", "error_description": "<html><b>no</b></html>"}`, "idp.test refused: invalid_client"},
		"an error of many lines":   {`{"error": "access_denied", "error_description": "no.\n\u001b[31mat all"}`, "idp.test refused: access_denied: no"},
		"an error that quotes us":  {`{"error": "invalid_grant", "error_description": "DEVICE is unknown"}`, "idp.test refused: invalid_grant: [redacted] is unknown"},
		"an error in place of all": {`{"error": "invalid_request"}`, "idp.test refused: invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.byCode()
				inner := l.idp.Transport()
				l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != "/token" {
						return inner.RoundTrip(r)
					}
					sent, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					form, _ := url.ParseQuery(string(sent))
					body := strings.ReplaceAll(tc.body, "DEVICE", form.Get("device_code"))
					return &http.Response{StatusCode: 400, Request: r, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
				})
				if no := fails[*session.Refused](l); no.Error() != tc.want {
					t.Errorf("%v, want %s", no, tc.want)
				}
			})
		})
	}
}

func TestProviderIsSlowDownOrElsewhere(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.byCode()
			l.idp.Inject(awstest.Fault{Delay: time.Hour})
			start := time.Now()
			e := fails[*session.Unreachable](l)
			if took := time.Since(start); took > time.Minute || !strings.Contains(e.Error(), "no answer in time") {
				t.Errorf("%v after %s", e, took)
			}
		})
	})
	t.Run("down", func(t *testing.T) {
		l := newLab(t).onLoopback()
		l.idp.Close()
		fails[*session.Unreachable](l)
	})
	t.Run("a circle", func(t *testing.T) {
		l := newLab(t)
		l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 302, Request: r, Body: http.NoBody, Header: http.Header{"Location": {r.URL.String()}}}, nil
		})
		if e := fails[*session.Unreachable](l); !strings.Contains(e.Error(), "in a circle") {
			t.Errorf("%v", e)
		}
	})
	t.Run("not what its certificate says", func(t *testing.T) {
		server := httptest.NewTLSServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		defer server.Close()
		l := newLab(t)
		l.network = new(http.Transport)
		l.change = func(c *oidc.Client) { c.URL = server.URL }
		if e := fails[*session.Unreachable](l); !strings.Contains(e.Error(), "does not trust") || !strings.Contains(session.Hint(e), "AWS_CA_BUNDLE") {
			t.Errorf("%v; hint %q", e, session.Hint(e))
		}
	})
}

func TestWhoSharesASignIn(t *testing.T) {
	l := newLab(t)
	key := func(change func(*oidc.Client)) string {
		c := l.client()
		change(c)
		parts, err := c.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return session.NewKey(session.KindRole, "x", parts...).Hash
	}
	mine := key(func(*oidc.Client) {})
	for name, change := range map[string]func(*oidc.Client){
		"redirect URI": func(c *oidc.Client) { c.RedirectURI = "app:/callback" },
		"final slash":  func(c *oidc.Client) { c.URL += "/" },
		"discovery":    func(c *oidc.Client) { c.URL += "/.well-known/openid-configuration" },
		"capitals":     func(c *oidc.Client) { c.URL = "https://IDP.test:443" },
		"profile":      func(c *oidc.Client) { c.AWS.Profile = "dev" },
	} {
		if key(change) != mine {
			t.Errorf("%s: another sign-in", name)
		}
	}
	for name, change := range map[string]func(*oidc.Client){
		"user":   func(c *oidc.Client) { c.Username = "joe" },
		"client": func(c *oidc.Client) { c.ID = "other" },
		"URL":    func(c *oidc.Client) { c.URL = "https://other.test" },
	} {
		if key(change) == mine {
			t.Errorf("%s: the same sign-in", name)
		}
	}
}

// However its address is written, a sign-in is kept once.
func TestSpellingsShareASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.byCode()
		l.must()
		next := l.change
		l.change = func(c *oidc.Client) { next(c); c.URL = "https://IDP.test:443/" }
		l.must()
		l.sees(1, 1)
	})
}

// FuzzProvider is any answer of a provider.
func FuzzProvider(f *testing.F) {
	f.Add(uint8(0), `{"issuer": "https://idp.test", "token_endpoint": "https://idp.test/t", "jwks_uri": "https://idp.test/j", "device_authorization_endpoint": "https://idp.test/d"}`)
	f.Add(uint8(1), `{"device_code": "x", "user_code": "y", "verification_uri": "https://idp.test/d", "interval": -1, "expires_in": 1e30}`)
	f.Add(uint8(2), `{"id_token": "a.b.c"}`)
	f.Add(uint8(3), `{"keys": [{"kty": "RSA"}]}`)
	paths := []string{"/.well-known/openid-configuration", "/device_authorization", "/token", "/jwks"}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.env["SSH_TTY"] = "/dev/pts/0"
			l.answers(paths[int(which)%len(paths)], 200, "application/json", body)
			l.change = func(c *oidc.Client) { c.Person.Limit = time.Minute }
			if token, err := l.token(); err == nil {
				t.Errorf("%q let somebody in with %q", body, token)
			}
		})
	})
}

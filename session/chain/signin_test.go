package chain_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

const (
	idpPassword = "planted-idp-password"
	startURL    = "https://demo.awsapps.com/start"
)

// signInConfig has a role of an OpenID provider, one behind a jump role, and
// roles of IAM Identity Center.
const signInConfig = `
[sso-session demo]
sso_start_url = https://demo.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access

[profile oidc]
role_arn = arn:aws:iam::123456789012:role/Federated
web_identity_auth_url = https://idp.test
web_identity_client_id = aws
web_identity_redirect_uri = http://127.0.0.1/callback

[profile jump]
role_arn = arn:aws:iam::210987654321:role/Behind
jump_role_arn = arn:aws:iam::123456789012:role/Federated
external_id = partner-4711
credentials_duration = 4h
web_identity_auth_url = https://idp.test
web_identity_client_id = aws
web_identity_redirect_uri = http://127.0.0.1/callback

[profile pages]
role_arn = arn:aws:iam::123456789012:role/Federated
web_identity_auth_url = https://idp.test
web_identity_client_id = aws
web_identity_redirect_uri = app:/callback
web_identity_username = jane

[profile sso]
sso_session = demo
sso_account_id = 123456789012
sso_role_name = Admin

[profile legacy]
sso_start_url = https://demo.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Admin

[profile oversso]
role_arn = arn:aws:iam::210987654321:role/Behind
external_id = partner-4711
source_profile = sso
`

// people adds an OpenID provider and an Identity Center to the lab, and a person
// who signs in on another device, so that no socket stops the bubble's clock.
// The result counts the sign-ins.
func (l *lab) people() (idp *awstest.OpenID, center *awstest.IdentityCenter, asked func() int) {
	l.t.Helper()
	idp = awstest.NewOpenID(nil)
	idp.AddUser("jane", idpPassword)
	idp.AddClient("aws", "http://127.0.0.1/callback", "app:/callback")
	federated := l.world.Account(home).Role("Federated", l.world.Account(home).Trust(idp, "aws"))
	federated.SetMaxSession(12 * time.Hour)

	center = l.world.IdentityCenter(startURL)
	center.AddUser("jane", idpPassword)
	admin := center.Assign("jane", l.world.Account(home), "Admin", 0)
	l.world.Account(other).Role("Behind", awstest.Trust(awstest.RequireExternalID("partner-4711"), federated.ARN, admin.ARN))

	network := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "idp.test" {
			return idp.Transport().RoundTrip(r)
		}
		return l.world.Transport().RoundTrip(r)
	})
	l.env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
	var mu sync.Mutex
	n := 0
	l.deps = func(d *chain.Deps) {
		d.Transport = network
		d.Browse = func(context.Context, string) error { return errors.New("no browser here") }
		notice := d.Notice
		d.Notice = func(msg string) {
			_, page, ok := strings.Cut(msg, " open ")
			if !ok {
				notice(msg)
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			page, _, _ = strings.Cut(page, " ")
			v := awstest.Visitor{Username: "jane", Password: idpPassword, Transport: network}
			if err := v.Open(l.t.Context(), page); err != nil {
				l.t.Error(err)
			}
		}
	}
	return idp, center, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// identity is who AWS says the credentials are.
func (l *lab) identity(c session.Credentials) string {
	l.t.Helper()
	arn, err := l.world.Identify(awstest.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.SessionToken)
	if err != nil {
		l.t.Errorf("AWS does not take %v: %v", c, err)
	}
	return arn
}

func TestSignInWaysIn(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		idp, _, asked := l.people()
		for _, tc := range []struct {
			name  string
			arn   string
			calls map[string]int
			asked int
		}{
			{"oidc", "arn:aws:sts::123456789012:assumed-role/Federated/jane", map[string]int{"AssumeRoleWithWebIdentity": 1}, 1},
			{"jump", "arn:aws:sts::210987654321:assumed-role/Behind/jane", map[string]int{"AssumeRoleWithWebIdentity": 1, "AssumeRole": 1}, 1},
			{"sso", "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_", nil, 2},
			{"oversso", "arn:aws:sts::210987654321:assumed-role/Behind/jane", map[string]int{"AssumeRole": 1, "GetCallerIdentity": 1}, 2},
		} {
			c, err := l.try(tc.name)
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			if arn := l.identity(c); !strings.HasPrefix(arn, tc.arn) {
				t.Errorf("%s: the credentials are those of %s", tc.name, arn)
			}
			if n := asked(); n != tc.asked {
				t.Errorf("%s: %d sign-ins, want %d", tc.name, n, tc.asked)
			}
			l.calls(tc.calls)
			before, idpBefore := l.world.Count(""), idp.Count("")
			if again, err := l.try(tc.name); err != nil || again.AccessKeyID != c.AccessKeyID || l.world.Count("") != before || idp.Count("") != idpBefore {
				t.Errorf("%s: a warm run made a request (%v)", tc.name, err)
			}
		}
		if got := l.last("AssumeRole"); len(l.notices) != 1 || !strings.Contains(l.notices[0], "an hour at most") {
			t.Errorf("AssumeRole %v, notices %q", got, l.notices)
		}
	})
}

func TestJumpRoleAlone(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		l.people()
		people := l.deps
		l.deps = func(d *chain.Deps) { people(d); d.SessionOnly = true }
		c, err := l.try("jump")
		if err != nil {
			t.Fatal(err)
		}
		if arn := l.identity(c); arn != "arn:aws:sts::123456789012:assumed-role/Federated/jane" {
			t.Errorf("the session is that of %s", arn)
		}
		l.calls(map[string]int{"AssumeRoleWithWebIdentity": 1})
		if e := fails[*profile.Error](l, "oidc"); !strings.Contains(e.Error(), "no session") {
			t.Error(e)
		}
	})
}

// TestTwentyProfilesTwoSignIns is twenty processes at once, each with its own
// profile.
func TestTwentyProfilesTwoSignIns(t *testing.T) {
	config := signInConfig
	for i := range 10 {
		config += fmt.Sprintf("\n[profile oidc%d]\nrole_arn = arn:aws:iam::123456789012:role/Federated\nrole_session_name = n%d\nweb_identity_auth_url = https://idp.test\nweb_identity_client_id = aws\nweb_identity_redirect_uri = http://127.0.0.1/callback\n", i, i)
		config += fmt.Sprintf("\n[profile sso%d]\nsso_session = demo\nsso_account_id = 123456789012\nsso_role_name = Role%d\n", i, i)
	}
	in(t, config, func(t *testing.T, l *lab) {
		idp, center, asked := l.people()
		for i := range 10 {
			center.Assign("jane", l.world.Account(home), fmt.Sprintf("Role%d", i), 0)
		}
		run := func() {
			var wg sync.WaitGroup
			for i := range 10 {
				for _, name := range []string{fmt.Sprintf("oidc%d", i), fmt.Sprintf("sso%d", i)} {
					l.cache = l.process()
					provider, err := l.open(name)
					if err != nil {
						t.Fatal(err)
					}
					wg.Go(func() {
						if _, err := provider.Credentials(t.Context()); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
			}
			wg.Wait()
		}
		run()
		if n := asked(); n != 2 {
			t.Errorf("%d sign-ins, want one at each provider", n)
		}
		before, idpBefore := l.world.Count(""), idp.Count("")
		run()
		if n := l.world.Count("") - before + idp.Count("") - idpBefore; n != 0 {
			t.Errorf("%d requests by warm runs", n)
		}
	})
}

// TestADayWithoutAsking is a server whose keyring holds only the sign-ins.
func TestADayWithoutAsking(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		_, center, asked := l.people()
		center.SetLifetimes(time.Hour, 7*24*time.Hour)
		for _, name := range []string{"oidc", "sso"} {
			if _, err := l.try(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range l.store.keys(session.KindRole) {
			l.store.Remove(t.Context(), key)
		}
		// From here on nobody is there.
		people := l.deps
		l.deps = func(d *chain.Deps) { people(d); d.Browse = nil }
		l.cache = l.process()
		l.cache.Margin, l.cache.NoInput = session.ServerMargin, true
		for range 24 * 6 {
			for _, name := range []string{"oidc", "jump", "sso"} {
				c, err := l.try(name)
				if err != nil {
					t.Fatal(err)
				}
				if left := time.Until(c.Expires); left < 15*time.Minute {
					t.Fatalf("%s: credentials of %s were handed out", name, left)
				}
				l.identity(c)
			}
			time.Sleep(10 * time.Minute)
		}
		if n := asked(); n != 2 {
			t.Errorf("%d sign-ins", n)
		}
	})
}

func TestNobodyCanSignIn(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		idp, _, _ := l.people()
		people := l.deps
		l.deps = func(d *chain.Deps) { people(d); d.Browse = nil }
		for _, name := range []string{"oidc", "jump", "sso", "legacy", "oversso"} {
			if needs := fails[*session.Needs](l, name); needs.What != session.NeedAuth || needs.Profile != name {
				t.Errorf("%s: %+v", name, needs)
			}
		}
		if n := l.world.Count("") + idp.Count(""); n != 0 {
			t.Errorf("%d requests though nobody can sign in", n)
		}
	})
}

func TestTokenThatHasEndedByTheClockOfAWS(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		idp, _, asked := l.people()
		if _, err := l.try("oidc"); err != nil {
			t.Fatal(err)
		}
		for _, key := range l.store.keys(session.KindRole) {
			l.store.Remove(t.Context(), key)
		}
		time.Sleep(30 * time.Minute)
		l.world.SetSkew(40 * time.Minute)
		if _, err := l.try("oidc"); err != nil {
			t.Fatal(err)
		}
		if n := asked(); n != 1 || idp.Count("/token") != 2 {
			t.Errorf("%d sign-ins and %d requests for tokens, want the refresh token to do", n, idp.Count("/token"))
		}
	})
}

func TestPagesOfAnOpenIDProvider(t *testing.T) {
	in(t, signInConfig, func(t *testing.T, l *lab) {
		idp, _, asked := l.people()
		idp.TrustClients()
		l.person.answers = []string{idpPassword}
		c, err := l.try("pages")
		if err != nil {
			t.Fatal(err)
		}
		if arn := l.identity(c); arn != "arn:aws:sts::123456789012:assumed-role/Federated/jane" || asked() != 0 || len(l.person.asked) != 1 || l.person.asked[0].What != session.AskPassword {
			t.Errorf("the credentials are those of %s; asked %+v", arn, l.person.asked)
		}
		if n := idp.Sessions(); n != 1 {
			t.Errorf("%d sessions at the provider", n)
		}
	})
}

func TestSignInOf(t *testing.T) {
	in(t, signInConfig+`
[profile none]
role_arn = arn:aws:iam::123456789012:role/Admin
source_profile = base
[profile base]
[profile only]
sso_session = demo
`, func(t *testing.T, l *lab) {
		idp, center, asked := l.people()
		of := func(name string) (chain.SignIn, error) {
			t.Helper()
			p, d := l.resolved(name)
			return chain.SignInOf(p, d)
		}
		if in, err := of("none"); in != nil || err != nil {
			t.Errorf("none: %v, %v", in, err)
		}
		for _, name := range []string{"jump", "oidc", "oversso", "sso", "only"} {
			in, err := of(name)
			if err != nil || in == nil {
				t.Fatalf("%s: %v, %v", name, in, err)
			}
			until, err := in.Login(t.Context(), false)
			if err != nil || !until.IsZero() { // all have refresh tokens
				t.Errorf("%s: until %s, %v", name, until, err)
			}
		}
		if n := asked(); n != 2 {
			t.Errorf("%d sign-ins, want one at each provider", n)
		}
		for _, name := range []string{"oidc", "sso"} {
			in, err := of(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Logout(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if idp.Sessions() != 0 || center.Tokens() != 0 {
			t.Errorf("%d sessions and %d tokens are left", idp.Sessions(), center.Tokens())
		}
		if e := fails[*profile.Error](l, "only"); !strings.Contains(e.Error(), "without sso_account_id") || e.Line == 0 {
			t.Error(e)
		}
	})
}

package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
)

// post sends a form to a provider and returns what it says.
func post(t *testing.T, p *OpenID, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	resp, err := (&http.Client{Transport: p.Transport()}).PostForm(p.Issuer()+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return b64(sum[:])
}

const verifier = "a-code-verifier-of-43-characters-and-not-more"

func request(change url.Values) url.Values {
	q := url.Values{
		"client_id": {"aws"}, "redirect_uri": {"app:/callback"}, "response_type": {"code"}, "scope": {"openid offline_access"}, "prompt": {"consent"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for k, v := range change {
		q[k] = v
	}
	return q
}

func newOpenID() (*OpenID, *Visitor) {
	p := NewOpenID(nil)
	p.AddUser("jane", "secret")
	p.AddClient("aws", "http://127.0.0.1/callback", "app:/callback")
	return p, &Visitor{Username: "jane", Password: "secret", Transport: p.Transport()}
}

func TestOpenIDAuthorization(t *testing.T) {
	for name, tc := range map[string]struct {
		change url.Values
		want   string // error in the redirect; "-" for no redirect at all
	}{
		"good":                 {nil, ""},
		"unknown client":       {url.Values{"client_id": {"x"}}, "-"},
		"unknown redirect":     {url.Values{"redirect_uri": {"https://evil.test/"}}, "-"},
		"redirect like it":     {url.Values{"redirect_uri": {"app:/callback/x"}}, "-"},
		"another path":         {url.Values{"redirect_uri": {"http://127.0.0.1:1/x"}}, "-"},
		"another loopback":     {url.Values{"redirect_uri": {"http://localhost:1/callback"}}, "-"},
		"implicit":             {url.Values{"response_type": {"id_token"}}, "unsupported_response_type"},
		"without openid":       {url.Values{"scope": {"offline_access"}}, "invalid_scope"},
		"another scope":        {url.Values{"scope": {"openid admin"}}, "invalid_scope"},
		"without PKCE":         {url.Values{"code_challenge": {""}}, "invalid_request"},
		"plain PKCE":           {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"a parameter is twice": {url.Values{"nonce": {"1", "2"}}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			p, v := newOpenID()
			back, err := v.Redirected(t.Context(), p.Issuer()+"/authorize?"+request(tc.change).Encode(), "app:/callback")
			if tc.want == "-" {
				if err == nil {
					t.Errorf("sent to %s", back)
				}
				return
			}
			u, err2 := url.Parse(back)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if q := u.Query(); q.Get("error") != tc.want || q.Get("state") != "s" || q.Get("iss") != p.Issuer() || (tc.want == "") != q.Has("code") {
				t.Errorf("sent to %s", back)
			}
		})
	}
	p, v := newOpenID()
	v.Password = "wrong"
	if _, err := v.Redirected(t.Context(), p.Issuer()+"/authorize?"+request(nil).Encode(), "app:/callback"); err == nil {
		t.Error("a wrong password signs in")
	}
}

func TestOpenIDGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := newOpenID()
		code := func(change url.Values) string {
			t.Helper()
			back, err := v.Redirected(t.Context(), p.Issuer()+"/authorize?"+request(change).Encode(), "app:/callback")
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(back)
			return u.Query().Get("code")
		}
		redeem := func(code string, change url.Values) (string, map[string]any) {
			t.Helper()
			form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"aws"}, "code": {code}, "redirect_uri": {"app:/callback"}, "code_verifier": {verifier}}
			for k, v := range change {
				form[k] = v
			}
			_, answer := post(t, p, "/token", form)
			s, _ := answer["error"].(string)
			return s, answer
		}
		refresh := func(token any) (string, map[string]any) {
			t.Helper()
			_, answer := post(t, p, "/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"aws"}, "refresh_token": {token.(string)}})
			s, _ := answer["error"].(string)
			return s, answer
		}
		for name, change := range map[string]url.Values{
			"verifier": {"code_verifier": {"x"}}, "redirect": {"redirect_uri": {"http://127.0.0.1:1/callback"}}, "code": {"code": {"x"}},
		} {
			if e, _ := redeem(code(nil), change); e != "invalid_grant" {
				t.Errorf("another %s: %q", name, e)
			}
		}
		if e, _ := redeem(code(nil), url.Values{"client_id": {"x"}}); e != "invalid_client" {
			t.Errorf("another client: %q", e)
		}
		if e, _ := redeem(code(nil), url.Values{"grant_type": {"password"}}); e != "unsupported_grant_type" {
			t.Errorf("a password: %q", e)
		}
		late := code(nil)
		time.Sleep(time.Minute)
		if e, _ := redeem(late, nil); e != "invalid_grant" {
			t.Errorf("an old code: %q", e)
		}
		if _, answer := redeem(code(url.Values{"prompt": {""}}), nil); answer["refresh_token"] != nil {
			t.Error("a refresh token without consent")
		}

		c := code(nil)
		_, first := redeem(c, nil)
		_, second := refresh(first["refresh_token"])
		if second["refresh_token"] == nil || second["id_token"] == nil {
			t.Fatalf("%v", second)
		}
		if e, _ := refresh(first["refresh_token"]); e != "invalid_grant" {
			t.Errorf("a refresh token twice: %q", e)
		}
		if e, _ := refresh(second["refresh_token"]); e != "invalid_grant" {
			t.Errorf("the next one after that: %q", e)
		}

		c = code(nil)
		_, first = redeem(c, nil)
		if e, _ := redeem(c, nil); e != "invalid_grant" {
			t.Errorf("a code twice: %q", e)
		}
		if e, _ := refresh(first["refresh_token"]); e != "invalid_grant" {
			t.Errorf("its refresh token after that: %q", e)
		}

		_, first = redeem(code(nil), nil)
		if status, _ := post(t, p, "/revoke", url.Values{"client_id": {"aws"}, "token": {first["refresh_token"].(string)}}); status != 200 {
			t.Errorf("revocation: HTTP status %d", status)
		}
		if e, _ := refresh(first["refresh_token"]); e != "invalid_grant" {
			t.Errorf("a revoked one: %q", e)
		}
		_, first = redeem(code(nil), nil)
		time.Sleep(14 * 24 * time.Hour)
		if e, _ := refresh(first["refresh_token"]); e != "invalid_grant" {
			t.Errorf("an old one: %q", e)
		}
		if n := p.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestOpenIDDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := newOpenID()
		begin := func() (string, string) {
			t.Helper()
			_, answer := post(t, p, "/device_authorization", url.Values{"client_id": {"aws"}, "scope": {"openid offline_access"}})
			return answer["device_code"].(string), answer["verification_uri_complete"].(string)
		}
		poll := func(code string) string {
			t.Helper()
			_, answer := post(t, p, "/token", url.Values{"grant_type": {deviceGrant}, "client_id": {"aws"}, "device_code": {code}})
			s, _ := answer["error"].(string)
			return s
		}
		code, page := begin()
		for i, want := range []string{"authorization_pending", "slow_down"} {
			if got := poll(code); got != want {
				t.Errorf("poll %d: %q, want %q", i, got, want)
			}
		}
		time.Sleep(6 * time.Second)
		if got := poll(code); got != "slow_down" {
			t.Errorf("after 6 of 10 seconds: %q", got)
		}
		time.Sleep(15 * time.Second)
		if err := v.Open(t.Context(), page); err != nil {
			t.Fatal(err)
		}
		if got := poll(code); got != "" {
			t.Errorf("after the sign-in: %q", got)
		}
		if got := poll(code); got != "invalid_grant" {
			t.Errorf("twice: %q", got)
		}
		if err := v.Open(t.Context(), page); err == nil {
			t.Error("a used code can be entered")
		}

		code, page = begin()
		v.Deny = true
		if err := v.Open(t.Context(), page); err != nil {
			t.Fatal(err)
		}
		if got := poll(code); got != "access_denied" {
			t.Errorf("denied: %q", got)
		}
		code, _ = begin()
		time.Sleep(10 * time.Minute)
		if got := poll(code); got != "expired_token" {
			t.Errorf("late: %q", got)
		}
	})
}

// center is Identity Center with jane, by the real SDK.
func newCenter() (*AWS, *IdentityCenter, *ssooidc.Client, *sso.Client) {
	a := New(Options{})
	ic := a.IdentityCenter("https://demo.awsapps.com/start")
	ic.AddUser("jane", "secret")
	ic.Assign("jane", a.Default(), "Admin", 0)
	network := &http.Client{Transport: a.Transport()}
	return a, ic, ssooidc.New(ssooidc.Options{Region: "eu-west-1", HTTPClient: network, RetryMaxAttempts: 1, Credentials: aws.AnonymousCredentials{}}),
		sso.New(sso.Options{Region: "eu-west-1", HTTPClient: network, RetryMaxAttempts: 1, Credentials: aws.AnonymousCredentials{}})
}

func register(t *testing.T, signIn *ssooidc.Client, change func(*ssooidc.RegisterClientInput)) (*ssooidc.RegisterClientOutput, string) {
	t.Helper()
	in := &ssooidc.RegisterClientInput{ClientName: aws.String("x"), ClientType: aws.String("public"), Scopes: []string{"sso:account:access"}}
	change(in)
	out, err := signIn.RegisterClient(t.Context(), in)
	code, _ := codeOf(t, err)
	return out, code
}

func TestRegisterClient(t *testing.T) {
	_, _, signIn, _ := newCenter()
	authorization := func(in *ssooidc.RegisterClientInput) {
		in.GrantTypes, in.RedirectUris, in.IssuerUrl = []string{"authorization_code", "refresh_token"}, []string{"http://127.0.0.1/oauth/callback"}, aws.String("https://demo.awsapps.com/start")
	}
	for name, tc := range map[string]struct {
		change func(*ssooidc.RegisterClientInput)
		want   string
	}{
		"device":        {func(*ssooidc.RegisterClientInput) {}, ""},
		"authorization": {authorization, ""},
		"confidential":  {func(in *ssooidc.RegisterClientInput) { in.ClientType = aws.String("confidential") }, "InvalidClientMetadataException"},
		"scope":         {func(in *ssooidc.RegisterClientInput) { in.Scopes = []string{"openid"} }, "InvalidScopeException"},
		"grant":         {func(in *ssooidc.RegisterClientInput) { in.GrantTypes = []string{"password"} }, "UnsupportedGrantTypeException"},
		"no redirect":   {func(in *ssooidc.RegisterClientInput) { authorization(in); in.RedirectUris = nil }, "InvalidRedirectUriException"},
		"redirect by name": {func(in *ssooidc.RegisterClientInput) {
			authorization(in)
			in.RedirectUris = []string{"http://localhost/cb"}
		}, "InvalidRedirectUriException"},
		"unknown start URL": {func(in *ssooidc.RegisterClientInput) { authorization(in); in.IssuerUrl = aws.String("https://x.test") }, "InvalidRequestException"},
	} {
		out, code := register(t, signIn, tc.change)
		if code != tc.want || code == "" && (*out.ClientId == "" || time.Until(time.Unix(out.ClientSecretExpiresAt, 0)) < 89*24*time.Hour) {
			t.Errorf("%s: %q", name, code)
		}
	}
}

func TestCreateToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ic, signIn, portal := newCenter()
		c, _ := register(t, signIn, func(*ssooidc.RegisterClientInput) {})
		create := func(change func(*ssooidc.CreateTokenInput)) (*ssooidc.CreateTokenOutput, string) {
			t.Helper()
			in := &ssooidc.CreateTokenInput{ClientId: c.ClientId, ClientSecret: c.ClientSecret, GrantType: aws.String(deviceGrant)}
			change(in)
			out, err := signIn.CreateToken(t.Context(), in)
			code, _ := codeOf(t, err)
			return out, code
		}
		d, err := signIn.StartDeviceAuthorization(t.Context(), &ssooidc.StartDeviceAuthorizationInput{ClientId: c.ClientId, ClientSecret: c.ClientSecret, StartUrl: &ic.StartURL})
		if err != nil {
			t.Fatal(err)
		}
		device := func(in *ssooidc.CreateTokenInput) { in.DeviceCode = d.DeviceCode }
		for i, want := range []string{"AuthorizationPendingException", "SlowDownException"} {
			if _, got := create(device); got != want {
				t.Errorf("poll %d: %q, want %q", i, got, want)
			}
		}
		for want, change := range map[string]func(*ssooidc.CreateTokenInput){
			"InvalidClientException":        func(in *ssooidc.CreateTokenInput) { device(in); in.ClientSecret = aws.String("x") },
			"UnsupportedGrantTypeException": func(in *ssooidc.CreateTokenInput) { in.GrantType = aws.String("password") },
			"UnauthorizedClientException":   func(in *ssooidc.CreateTokenInput) { in.GrantType = aws.String("authorization_code") },
			"InvalidGrantException":         func(in *ssooidc.CreateTokenInput) { in.DeviceCode = aws.String("x") },
		} {
			if _, got := create(change); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		v := &Visitor{Username: "jane", Password: "secret", Transport: a.Transport()}
		if err := v.Open(t.Context(), *d.VerificationUriComplete); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		first, code := create(device)
		if code != "" || first.ExpiresIn != 3600 {
			t.Fatalf("%q, %+v", code, first)
		}
		refresh := func(token *string) (*ssooidc.CreateTokenOutput, string) {
			return create(func(in *ssooidc.CreateTokenInput) { in.GrantType, in.RefreshToken = aws.String("refresh_token"), token })
		}
		second, code := refresh(first.RefreshToken)
		if code != "" {
			t.Fatal(code)
		}
		for name, token := range map[string]*string{"used": first.RefreshToken, "an access token": first.AccessToken} {
			if _, code := refresh(token); code != "InvalidGrantException" {
				t.Errorf("%s: %q", name, code)
			}
		}

		credentials := func(token, account, role string) string {
			_, err := portal.GetRoleCredentials(t.Context(), &sso.GetRoleCredentialsInput{AccessToken: &token, AccountId: &account, RoleName: &role})
			code, _ := codeOf(t, err)
			return code
		}
		id := a.Default().ID
		for _, tc := range []struct{ token, account, role, want string }{
			{*second.AccessToken, id, "Admin", ""},
			{*second.RefreshToken, id, "Admin", "UnauthorizedException"},
			{"x", id, "Admin", "UnauthorizedException"},
			{*second.AccessToken, id, "Other", "ForbiddenException"},
			{*second.AccessToken, "210987654321", "Admin", "ForbiddenException"},
			{*second.AccessToken, "1", "Admin", "InvalidRequestException"},
		} {
			if got := credentials(tc.token, tc.account, tc.role); got != tc.want {
				t.Errorf("%s of %s: %q, want %q", tc.role, tc.account, got, tc.want)
			}
		}
		time.Sleep(time.Hour)
		if got := credentials(*second.AccessToken, id, "Admin"); got != "UnauthorizedException" {
			t.Errorf("an old access token: %q", got)
		}
		third, code := refresh(second.RefreshToken)
		if code != "" {
			t.Fatal(code)
		}
		if _, err := portal.Logout(t.Context(), &sso.LogoutInput{AccessToken: third.AccessToken}); err != nil {
			t.Fatal(err)
		}
		if got := credentials(*third.AccessToken, id, "Admin"); got != "UnauthorizedException" {
			t.Errorf("after the end: %q", got)
		}
		if _, code := refresh(third.RefreshToken); code != "InvalidGrantException" {
			t.Errorf("refresh after the end: %q", code)
		}
	})
}

func TestIdentityCenterAuthorization(t *testing.T) {
	a, ic, signIn, _ := newCenter()
	c, code := register(t, signIn, func(in *ssooidc.RegisterClientInput) {
		in.GrantTypes, in.RedirectUris, in.IssuerUrl = []string{"authorization_code", "refresh_token"}, []string{"http://127.0.0.1/oauth/callback"}, &ic.StartURL
	})
	if code != "" {
		t.Fatal(code)
	}
	good := url.Values{
		"response_type": {"code"}, "client_id": {*c.ClientId}, "redirect_uri": {"http://127.0.0.1:4711/oauth/callback"}, "state": {"s"}, "scopes": {"sso:account:access"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	status := func(change url.Values) int {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		for k, v := range change {
			q[k] = v
		}
		resp, err := (&http.Client{Transport: a.Transport()}).Get("https://oidc.eu-west-1.amazonaws.com/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if got := status(nil); got != 200 {
		t.Errorf("HTTP status %d", got)
	}
	for name, change := range map[string]url.Values{
		"client": {"client_id": {"x"}}, "path": {"redirect_uri": {"http://127.0.0.1:1/x"}}, "host": {"redirect_uri": {"http://localhost:1/oauth/callback"}},
		"scope": {"scopes": {"sso:account:access other:scope"}}, "PKCE": {"code_challenge_method": {"plain"}}, "state": {"state": {""}},
	} {
		if got := status(change); got != 400 {
			t.Errorf("another %s: HTTP status %d", name, got)
		}
	}
	v := &Visitor{Username: "jane", Password: "secret", Transport: a.Transport()}
	back, err := v.Redirected(context.Background(), "https://oidc.eu-west-1.amazonaws.com/authorize?"+good.Encode(), "http://127.0.0.1:4711/")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(back)
	redeem := func(redirect, verifier string) string {
		_, err := signIn.CreateToken(t.Context(), &ssooidc.CreateTokenInput{
			ClientId: c.ClientId, ClientSecret: c.ClientSecret, GrantType: aws.String("authorization_code"),
			Code: aws.String(u.Query().Get("code")), RedirectUri: &redirect, CodeVerifier: &verifier,
		})
		code, _ := codeOf(t, err)
		return code
	}
	if got := redeem("http://127.0.0.1:4711/oauth/callback", verifier); got != "" || !strings.HasPrefix(back, "http://127.0.0.1:4711/oauth/callback?") {
		t.Errorf("%q for %s", got, back)
	}
	if got := redeem("http://127.0.0.1:4711/oauth/callback", verifier); got != "InvalidGrantException" {
		t.Errorf("a code twice: %q", got)
	}
}

package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/signin"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// signIn asks a person to sign in.
func (p *provider) signIn(ctx context.Context) (idToken, error) {
	if p.byForm() {
		if p.Form == nil {
			return idToken{}, p.fault("name a loopback address that the provider knows with -T, such as http://127.0.0.1:8400/callback",
				"web_identity_redirect_uri %q is not an address of this machine, so no browser can come back to it, and there is nothing here that fills in the sign-in page of %s", p.RedirectURI, p.host())
		}
	} else if err := p.Person.Ready(); err != nil {
		return idToken{}, err
	}
	defer session.Asking(ctx, session.NeedAuth)()

	scopes := []string{oidc.ScopeOpenID}
	if p.offline() {
		scopes = append(scopes, oidc.ScopeOfflineAccess)
	}
	t, err := p.signInFor(ctx, scopes)
	var no *session.Refused
	if len(scopes) > 1 && errors.As(err, &no) && (no.Code == "invalid_scope" || no.Code == "not_allowed") {
		// The client may not have it, or this user.
		p.Cache.Debug("%s gives no offline_access: %v", p.host(), err)
		t, err = p.signInFor(ctx, scopes[:1])
	}
	return t, err
}

func (p *provider) signInFor(ctx context.Context, scopes []string) (idToken, error) {
	codes := p.DeviceURL != "" && !p.byForm()
	if codes && (p.AuthURL == "" || p.Person.Remote()) {
		t, err := p.byCode(ctx, scopes)
		if p.AuthURL == "" || !noCodes(err) {
			return t, err
		}
		p.Cache.Debug("%s gives this client no code to type: %v", p.host(), err)
		codes = false
	}
	if p.AuthURL == "" {
		return idToken{}, &session.Unreachable{What: "discovery at " + p.host(), Err: errors.New("the answer lacks the authorization_endpoint")}
	}
	t, err := p.byBrowser(ctx, scopes, !codes)
	var unopened *signin.Unopened
	if errors.As(err, &unopened) {
		p.Cache.Debug("%v", err)
		if t, err = p.byCode(ctx, scopes); noCodes(err) {
			return p.byBrowser(ctx, scopes, true)
		}
	}
	return t, err
}

// noCodes reports whether err says that the device flow is not for this client,
// whatever the provider announces: most have to be allowed it by name.
func noCodes(err error) bool {
	var no *session.Refused
	return errors.As(err, &no) && (no.Code == "unauthorized_client" || no.Code == "unsupported_grant_type")
}

// byBrowser is the authorization code flow, in a browser or by a Form. Alone, it
// is the only way: where no browser can be opened, the person is told the address.
// https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
func (p *provider) byBrowser(ctx context.Context, scopes []string, alone bool) (idToken, error) {
	redirect, state := p.RedirectURI, rand.Text()
	var r *signin.Receiver
	if !p.byForm() {
		// Before anybody is sent: a browser that is signed in comes back at once.
		var err error
		if r, err = signin.Listen(p.RedirectURI); err != nil {
			return idToken{}, p.fault("end the program that has this port, or name another address that the provider knows with -T",
				"web_identity_redirect_uri %q: %v", p.RedirectURI, err)
		}
		defer r.Close()
		redirect, state = r.URL, r.State
	}
	nonce, verifier := rand.Text(), oauth2.GenerateVerifier()
	config := oauth2.Config{ClientID: p.ID, RedirectURL: redirect, Scopes: scopes, Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL}}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	if p.Username != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", p.Username))
	}
	// Pages that ask for consent are for people: a Form goes on without a refresh
	// token, by the provider's cookies.
	if len(scopes) > 1 && !p.byForm() && !p.consentsByItself() {
		options = append(options, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	page := config.AuthCodeURL(state, options...)

	answer, err := p.answer(ctx, r, page, alone)
	if err != nil {
		return idToken{}, err
	}
	code, err := p.code(answer, state)
	if err != nil {
		return idToken{}, err
	}
	got, err := p.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
	if err != nil {
		return idToken{}, err
	}
	return p.signedIn(ctx, got, nonce)
}

// answer sends somebody to page and returns the parameters that they come back with.
func (p *provider) answer(ctx context.Context, r *signin.Receiver, page string, alone bool) (url.Values, error) {
	if r != nil {
		return p.Person.Browse(ctx, r, p.host(), page, alone)
	}
	back, err := p.Form.Login(ctx, page, p.RedirectURI)
	if err != nil {
		return nil, err
	}
	at, query, _ := strings.Cut(back, "?")
	query, _, _ = strings.Cut(query, "#")
	values, err := url.ParseQuery(query)
	if at != p.RedirectURI || err != nil {
		return nil, &session.Unreachable{What: "the sign-in at " + p.host(), Err: errors.New("it did not end at the redirect URI")}
	}
	return values, nil
}

// code is the authorization code of an answer, RFC 6749 section 4.1.2.
func (p *provider) code(answer url.Values, state string) (string, error) {
	iss := answer.Get("iss")
	switch {
	case answer.Get("state") != state:
		return "", &session.Refused{By: p.host(), Code: "state", Message: "the answer belongs to another sign-in", Advice: p.again()}
	case iss != "" && iss != p.Issuer, iss == "" && p.AnswersNameTheirIssuer:
		// RFC 9207: the code would go to a provider that it is not of.
		return "", &session.Refused{By: p.host(), Code: "iss", Message: fmt.Sprintf("the answer is that of %q", signin.Line(iss)), Advice: p.again()}
	case answer.Get("error") != "":
		return "", p.refused(answer.Get("error"), answer.Get("error_description"), nil)
	case answer.Get("code") == "":
		return "", &session.Refused{By: p.host(), Code: "code", Message: "the answer has none", Advice: p.again()}
	}
	return answer.Get("code"), nil
}

// byCode is the device flow, RFC 8628.
func (p *provider) byCode(ctx context.Context, scopes []string) (idToken, error) {
	var d struct {
		Code      string `json:"device_code"`
		User      string `json:"user_code"`
		Page      string `json:"verification_uri"`
		OtherPage string `json:"verification_url"` // of drafts, and still Google's
		Complete  string `json:"verification_uri_complete"`
		Expires   int64  `json:"expires_in"`
		Interval  int64  `json:"interval"`
	}
	if err := p.post(ctx, p.DeviceURL, url.Values{"scope": {strings.Join(scopes, " ")}}, &d); err != nil {
		return idToken{}, err
	}
	if d.Page == "" {
		d.Page = d.OtherPage
	}
	if d.Code == "" || d.User == "" {
		return idToken{}, &session.Unreachable{What: "the device flow at " + p.host(), Err: errors.New("the answer lacks a code")}
	}
	var got tokens
	err := p.Person.Enter(ctx, p.host(), signin.Code{
		User: d.User, Page: d.Page, Complete: d.Complete, Expires: seconds(d.Expires), Interval: seconds(d.Interval),
	}, func(ctx context.Context) (_ signin.Progress, err error) {
		got, err = p.token(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.Code}})
		var no *session.Refused
		if errors.As(err, &no) {
			switch no.Code {
			case "authorization_pending":
				return signin.Pending, nil
			case "slow_down":
				return signin.SlowDown, nil
			case "expired_token":
				return signin.Expired, nil
			}
		}
		return signin.Done, err
	})
	if err != nil {
		return idToken{}, err
	}
	// RFC 8628 has no nonce: the answer comes from the provider itself, and for
	// the code that was sent.
	return p.signedIn(ctx, got, "")
}

// seconds is n of them, an hour at most, and 0 for what is none.
func seconds(n int64) time.Duration { return time.Duration(max(0, min(n, 3600))) * time.Second }

// signedIn checks and keeps what a sign-in gave.
func (p *provider) signedIn(ctx context.Context, got tokens, nonce string) (idToken, error) {
	t, its, err := p.verify(ctx, got.IDToken)
	if err != nil {
		return idToken{}, err
	}
	if nonce != "" && its != nonce {
		return idToken{}, p.unfit("its nonce is not that of this sign-in")
	}
	p.keep(ctx, grant{got.RefreshToken, t.Subject, its})
	return t, nil
}

// consentsByItself reports whether the provider gives a refresh token for the
// scope alone. By OpenID Connect Core section 11 it has to be asked to obtain
// consent. Microsoft's asks for that of an administrator then, whatever has been
// consented to already.
func (p *provider) consentsByItself() bool {
	host, _, _ := strings.Cut(p.host(), ":")
	for _, suffix := range [...]string{".microsoftonline.com", ".microsoftonline.us", ".chinacloudapi.cn", ".windows.net", ".ciamlogin.com"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

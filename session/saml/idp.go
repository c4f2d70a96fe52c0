package saml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/signin"
)

// Names for saml_provider. Unset, the provider is told by its host's name, else
// by its first answer, else it is taken for one whose pages are plain forms.
const (
	AzureAD   = "azuread"
	Browser   = "browser"   // a Chrome or Edge of our own, driven by its debugging protocol
	BrowserNE = "browserne" // the system's browser, which comes back to this machine
	ForgeRock = "forgerock"
	Form      = "form" // pages with forms, whoever's
	Keycloak  = "keycloak"
	Okta      = "okta"
	OneLogin  = "onelogin"
)

// Providers returns the names that saml_provider can have.
func Providers() []string {
	return []string{AzureAD, Browser, BrowserNE, ForgeRock, Form, Keycloak, Okta, OneLogin}
}

// How long what a sign-in left behind is kept. Cookies that end with the
// browser's session have no end of their own.
const (
	minKept = 24 * time.Hour
	maxKept = 30 * 24 * time.Hour
)

// An IDP is an identity provider as one person signs in there. Its session,
// cookies for the most part, is kept in the keyring, and one process at a time
// makes a new one when the provider does not know it any more.
//
// It is used by pointer and by any number of goroutines.
type IDP struct {
	Cache *session.Cache
	AWS   *awsapi.API // gives the proxy and the certificate authorities
	// Ask is asked for a user name, a password and one-time codes.
	Ask session.Asker
	// Person can look at a browser and at a phone. Where nobody is there, no
	// push message is sent, unless the sign-in was answered by somebody.
	Person  *signin.Person
	Lookup  func(string) (string, bool) // the environment
	Environ func() []string             // for the Browser, which gets what is not secret in it
	Notice  func(string)                // progress, for a person
	OTP     func() string               // a code given beforehand, once; else ""
	Version string                      // of this program

	Profile  string // on whose behalf
	URL      string // saml_auth_url
	Username string // "" is asked for
	// FederatedUsername is the name at the provider that the first one sends on
	// to, where it is another one.
	FederatedUsername string
	Provider          string // one of Providers, or ""
	EntityID          string // the issuer of a request, for BrowserNE
	MFAType           string // auto, code, push or none; "" is auto
	Program           string // of Browser: chrome or msedge; "" is chrome

	mu   sync.Mutex
	last *Assertion
}

// signedIn is a session at an identity provider, as the keyring has it.
type signedIn struct {
	Cookies  []cookie  `json:"cookies,omitempty"`
	Token    string    `json:"token,omitempty"` // ForgeRock's
	Username string    `json:"username,omitempty"`
	Kind     string    `json:"kind,omitempty"` // as its answers told
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`

	end *end // that the sign-in came to; never kept
}

// end is what a walk through a provider's pages comes to: an assertion, or an
// address that it is sent back to.
type end struct {
	assertion *Assertion
	address   string
}

// way is where such a walk begins, and the address that ends it, if one does.
type way struct {
	start *url.URL
	back  string
}

func (s signedIn) Lifetime() (issued, expires time.Time) { return s.Issued, s.Expires }

// Format keeps cookies and tokens out of every message.
func (s signedIn) Format(f fmt.State, _ rune) { io.WriteString(f, "session [secrets redacted]") }

// errSignedOut says that a person has to sign in.
var errSignedOut = errors.New("the identity provider asks for a sign-in")

// settings checks what the profile says, before anything else is done.
func (p *IDP) settings() (*url.URL, error) {
	u, err := url.Parse(p.URL)
	explain := "aws-runas env --explain " + awsapi.Word(p.Profile)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		// Its query may hold a secret.
		return nil, &profile.Error{Message: fmt.Sprintf("the identity provider's address in profile %q is not a URL: write it as https://HOST/PATH", p.Profile), Advice: explain}
	case p.Provider != "" && !slices.Contains(Providers(), strings.ToLower(p.Provider)):
		return nil, &profile.Error{Message: fmt.Sprintf("the provider %q is unknown: it is one of %s", p.Provider, strings.Join(Providers(), ", ")), Advice: explain}
	case p.Program != "" && p.Program != "chrome" && p.Program != "msedge":
		return nil, &profile.Error{Message: fmt.Sprintf("auth_browser %q is neither chrome nor msedge", p.Program), Advice: explain}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// Key names the session by the provider's address, the user and the client. All
// profiles with the same ones share it.
func (p *IDP) Key() (session.Key, error) {
	u, err := p.settings()
	if err != nil {
		return session.Key{}, err
	}
	return session.NewKey(session.KindIDP, u.Host, "pages", u.String(), p.Username, p.EntityID, p.FederatedUsername), nil
}

// Login makes sure that there is a session at the provider, with force by
// signing in anew, and returns when that is due for renewal: zero if the
// provider makes none that could be kept.
func (p *IDP) Login(ctx context.Context, force bool) (until time.Time, err error) {
	if _, err := p.assertion(ctx, force, true); err != nil {
		return time.Time{}, err
	}
	key, err := p.Key()
	if err != nil {
		return time.Time{}, err
	}
	s, err := session.Get[signedIn](ctx, p.Cache.Store, key)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	return session.RenewAt(s, p.Cache.Margin), nil
}

// Assertion returns what the provider says of the person, who is asked only if
// the provider asks. It is in memory alone, and used for as long as AWS takes it.
func (p *IDP) Assertion(ctx context.Context) (*Assertion, error) {
	return p.assertion(ctx, false, false)
}

// assertion returns the last one if it is not to be a fresh one. With renew, it
// is that of a new sign-in.
func (p *IDP) assertion(ctx context.Context, renew, fresh bool) (*Assertion, error) {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if !renew && !fresh && last != nil && p.Cache.Now().Before(last.redeemUntil().Add(-30*time.Second)) {
		return last, nil
	}
	u, err := p.settings()
	if err != nil {
		return nil, err
	}
	to, err := p.walk(ctx, way{start: u}, renew)
	if err != nil {
		return nil, err
	}
	if err := p.check(u, to.assertion); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.last = to.assertion
	p.mu.Unlock()
	return to.assertion, nil
}

// Pages is the IDP of an OpenID provider that is signed in at with a user name
// and a password, at its pages.
type Pages struct{ IDP *IDP }

// Login walks through the provider's pages from authURL until they lead back to
// redirectURI, which may be of any scheme, and returns that address.
func (g Pages) Login(ctx context.Context, authURL, redirectURI string) (redirected string, err error) {
	p := g.IDP
	if _, err := p.settings(); err != nil {
		return "", err
	}
	start, err := url.Parse(authURL)
	if err != nil || start.Scheme != "http" && start.Scheme != "https" || redirectURI == "" {
		return "", errors.New("the authorization address is none")
	}
	switch k := p.kind(start); k {
	case Browser, BrowserNE, OneLogin:
		return "", &profile.Error{Message: fmt.Sprintf("profile %q signs in by %s, which does not go with a redirect URI that no browser can open", p.Profile, k),
			Advice: p.byBrowser(redirectURI)}
	}
	to, err := p.walk(ctx, way{start, redirectURI}, false)
	if err != nil {
		return "", err
	}
	return to.address, nil
}

// walk goes the way with the session that there is, else signs in first. One
// process signs in at a time.
func (p *IDP) walk(ctx context.Context, w way, renew bool) (*end, error) {
	key, err := p.Key()
	if err != nil {
		return nil, err
	}
	cache := p.Cache
	if renew {
		cache = cache.Renewing()
	}
	for again := false; ; again = true {
		mine := false
		s, err := session.Do(ctx, cache, key, func(ctx context.Context) (signedIn, error) {
			mine = true
			return p.signIn(ctx, w, key, renew)
		})
		if err != nil {
			return nil, err
		}
		// An address is for who began; an assertion is as good for another one.
		if s.end != nil && (mine || s.end.assertion != nil && w.back == "") {
			return s.end, nil
		}
		to, err := p.silent(ctx, w, key, s)
		if !errors.Is(err, errSignedOut) {
			return to, err
		}
		if again {
			return nil, &session.Refused{By: w.start.Host, Message: "it asks for a sign-in right after one"}
		}
		p.Cache.Debug("%s is not known to the identity provider any more", key)
		cache = p.Cache.IssuedSince(s.Issued.Add(time.Nanosecond))
	}
}

// check refuses what AWS would refuse, in words that say why.
func (p *IDP) check(u *url.URL, a *Assertion) error {
	now := p.Cache.Now()
	// AWS allows clocks five minutes between them.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_saml.html
	const skew = 5 * time.Minute
	switch {
	case a.status != "":
		return &session.Refused{By: u.Host, Message: a.status, Advice: "aws-runas login --force " + awsapi.Word(p.Profile)}
	case !a.NotOnOrAfter.IsZero() && !now.Before(a.NotOnOrAfter.Add(skew)):
		return &session.Refused{By: u.Host, Message: fmt.Sprintf("its assertion expired at %s, and it is %s by the clock of this machine",
			a.NotOnOrAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)), Advice: "set the clock of this machine by the network; if it is right, that of the identity provider is wrong"}
	case now.Add(skew).Before(a.NotBefore):
		return &session.Refused{By: u.Host, Message: fmt.Sprintf("its assertion is good from %s on, and it is %s by the clock of this machine",
			a.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)), Advice: "set the clock of this machine by the network; if it is right, that of the identity provider is wrong"}
	case len(a.Roles) == 0:
		return &session.Refused{By: u.Host, Message: "its assertion admits to no role in AWS",
			Advice: "those who run the identity provider assign you to the AWS application and map the attribute " + attributeRole}
	}
	return nil
}

// redeemUntil is when AWS stops taking the assertion: five minutes after its
// issue, if not before.
func (a *Assertion) redeemUntil() time.Time {
	if a.Issued.IsZero() {
		return a.NotOnOrAfter
	}
	return earlier(a.NotOnOrAfter, a.Issued.Add(5*time.Minute))
}

func (p *IDP) visitor(cookies []cookie) (*visitor, error) {
	client, err := p.AWS.HTTP()
	if err != nil {
		return nil, err
	}
	return &visitor{
		http: newClient(client), jar: newJar(cookies, p.Cache.Now()), now: p.Cache.Now, left: maxPages,
		agent: "Mozilla/5.0 (compatible; aws-runas/" + p.Version + ")", debug: p.Cache.Debug, explain: p.AWS.Unreachable,
	}, nil
}

// silent gets an assertion with a session that is there, or errSignedOut.
func (p *IDP) silent(ctx context.Context, w way, key session.Key, s signedIn) (*end, error) {
	v, err := p.visitor(s.Cookies)
	if err != nil {
		return nil, err
	}
	n := p.signing(v, w)
	n.silent, n.token = true, s.Token
	if n.kind == "" {
		n.kind = s.Kind
	}
	if err := n.prepare(); err != nil {
		return nil, err
	}
	to, err := n.run(ctx, get(n.start))
	if err != nil {
		return nil, err
	}
	if v.jar.dirty() {
		p.keep(ctx, key, s, v.jar)
	}
	return to, nil
}

func (p *IDP) signing(v *visitor, w way) *signing {
	v.back = w.back
	return &signing{idp: p, v: v, start: w.start, back: w.back, kind: p.kind(w.start), username: p.Username}
}

// keep puts the cookies that the provider has renewed in the place of those
// before, unless there has been another sign-in.
func (p *IDP) keep(ctx context.Context, key session.Key, s signedIn, j *jar) {
	cache := p.Cache.IssuedSince(time.Time{})
	cache.NoInput = true // whoever is asked now has new cookies soon
	err := cache.Locked(ctx, key, func(ctx context.Context) error {
		kept, err := session.Get[signedIn](ctx, cache.Store, key)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !kept.Issued.Equal(s.Issued) {
			return nil
		} else if err != nil {
			return err
		}
		kept.Cookies = j.all()
		kept.Expires = keptUntil(kept.Cookies, cache.Now())
		data, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		return cache.Store.Set(ctx, key.String(), data, kept.Expires)
	})
	var needs *session.Needs
	if err != nil && !errors.As(err, &needs) {
		p.Cache.Warn(fmt.Errorf("renewed cookies of %q are not kept: %w", key.Name, err))
	}
}

// keptUntil is when the last of the cookies is gone, within bounds.
func keptUntil(cookies []cookie, now time.Time) time.Time {
	until := now.Add(minKept)
	for _, c := range cookies {
		if c.Expires.After(until) {
			until = c.Expires
		}
	}
	if last := now.Add(maxKept); until.After(last) {
		return last
	}
	return until
}

// signIn signs in, asking the person for what the provider asks. It runs under
// the lock of the session.
func (p *IDP) signIn(ctx context.Context, w way, key session.Key, anew bool) (signedIn, error) {
	none := signedIn{}
	var old signedIn
	if !anew {
		// Cookies by which the provider knows this machine again outlive the session.
		var err error
		if old, err = session.Get[signedIn](ctx, p.Cache.Store, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.Cache.Debug("%s: %v", key, err)
		}
	}
	switch p.kind(w.start) {
	case BrowserNE:
		a, err := p.systemBrowser(ctx, w.start)
		return signedIn{Issued: p.Cache.Now(), end: &end{assertion: a}}, err
	case Browser:
		a, cookies, err := p.ownBrowser(ctx, w.start, old.Cookies)
		if err != nil {
			return none, err
		}
		now := p.Cache.Now()
		return signedIn{Cookies: cookies, Issued: now, Expires: keptUntil(cookies, now), end: &end{assertion: a}}, nil
	}
	if w.start.Scheme == "http" && !loopback(w.start) {
		p.Notice(fmt.Sprintf("the way to %s is not encrypted: its address begins with http://", w.start.Host))
	}
	var n *signing
	var v *visitor
	var to *end
	for {
		var err error
		if v, err = p.visitor(old.Cookies); err != nil {
			return none, err
		}
		n = p.signing(v, w)
		n.token = old.Token
		if n.username == "" {
			n.username = old.Username
		}
		if to, err = n.signIn(ctx); err == nil {
			break
		}
		var no *session.Refused
		if !errors.As(err, &no) || len(old.Cookies) == 0 || n.answered || n.sentTo != "" {
			return none, err
		}
		// It may stumble over its own old cookies.
		old.Cookies, old.Token = nil, ""
	}
	n.accepted(ctx)
	now := p.Cache.Now()
	s := signedIn{Cookies: v.jar.all(), Token: n.token, Username: n.username, Kind: n.kind, Issued: now, end: to}
	if len(s.Cookies) > 0 || s.Token != "" {
		s.Expires = keptUntil(s.Cookies, now)
	}
	return s, nil
}

// kind is the provider's, as far as its name and host tell; "" if the first
// answer has to.
func (p *IDP) kind(u *url.URL) string {
	if p.Provider != "" {
		return strings.ToLower(p.Provider)
	}
	return kindOfHost(u.Hostname())
}

func kindOfHost(host string) string {
	host = strings.ToLower(host)
	for _, k := range [...]struct{ suffix, kind string }{
		{".okta.com", Okta}, {".oktapreview.com", Okta}, {".okta-emea.com", Okta}, {".okta-gov.com", Okta},
		{".onelogin.com", OneLogin}, {".microsoft.com", AzureAD},
	} {
		if strings.HasSuffix(host, k.suffix) {
			return k.kind
		}
	}
	return ""
}

// kindOfAnswer tells a provider by its first answer.
func kindOfAnswer(p *page, j *jar) string {
	for _, v := range p.header.Values("Access-Control-Allow-Headers") {
		if strings.Contains(v, "X-OpenAM-") || strings.Contains(v, "MFA-FR-Token") {
			return ForgeRock
		}
	}
	switch {
	case p.header.Get("X-Okta-Request-Id") != "":
		return Okta
	case p.header.Get("X-Ms-Request-Id") != "":
		return AzureAD
	}
	for _, c := range j.all() {
		switch {
		case c.Name == "KC_RESTART":
			return Keycloak
		case strings.Contains(c.Name, "_onelogin.com"):
			return OneLogin
		}
	}
	return Form
}

// Logout forgets the session, and ends it at the provider where that has a
// documented way. The record is gone whatever the provider says.
func (p *IDP) Logout(ctx context.Context) error {
	u, err := p.settings()
	if err != nil {
		return err
	}
	key, err := p.Key()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.last = nil
	p.mu.Unlock()
	var s signedIn
	var none error // there is none, or a damaged one, which the provider cannot be told
	err = p.Cache.SignOut(ctx, key, func(ctx context.Context) error {
		if s, none = session.Get[signedIn](ctx, p.Cache.Store, key); errors.Is(none, fs.ErrNotExist) {
			return nil
		}
		return p.Cache.Store.Remove(ctx, key.String())
	})
	if err != nil || none != nil {
		return err
	}
	v, err := p.visitor(s.Cookies)
	if err != nil {
		return err
	}
	n := p.signing(v, way{start: u})
	n.silent, n.token = true, s.Token
	if n.kind == "" {
		n.kind = s.Kind
	}
	return n.signOut(ctx)
}

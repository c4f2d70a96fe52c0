package awstest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// OpenID is an OpenID provider on loopback that signs RS256. Public clients
// alone, with PKCE, as OAuth 2.1 has it; the device flow (RFC 8628); refresh
// tokens that are used once (RFC 9700 section 4.14.2). Its tokens are those that
// an account which trusts it (see [Account.Trust]) takes for
// AssumeRoleWithWebIdentity.
type OpenID struct {
	clock  func() time.Time
	issuer string
	key    func() *rsa.PrivateKey // made at first use, which takes long

	mu        sync.Mutex
	users     map[string]string      // password by name
	clients   map[string][]string    // redirect URIs by client ID
	lifetime  time.Duration          // of id_tokens
	refresh   time.Duration          // of refresh tokens
	claims    func(map[string]any)   // may change those of an id_token
	trusting  bool                   // asks nobody for consent
	pages     map[string]*openIDPage // sign-ins under way, by ID
	codes     map[string]*openIDGrant
	devices   map[string]*openIDDevice // by device code
	refreshes map[string]*openIDGrant  // used and revoked ones too
	faults    []*Fault
	secrets   []string
	arrived   map[string]int
	announced chan struct{}
	server    *http.Server
	done      chan struct{}
}

// openIDPage is the request that a person looks at.
type openIDPage struct {
	grant    openIDGrant
	redirect string // where the answer goes; "" for a device
	state    string
	device   *openIDDevice
	user     string // who has signed in so far
}

// openIDGrant is what a person agreed to.
type openIDGrant struct {
	client, user, nonce, challenge, redirect string
	offline                                  bool
	expires                                  time.Time
	used                                     bool
	family                                   *bool // whether the tokens of this grant still live
}

type openIDDevice struct {
	userCode, client string
	offline          bool
	expires          time.Time
	interval         time.Duration
	polled           time.Time
	user             string
	denied           bool
}

// NewOpenID returns a provider for Transport, at an https address of the name
// idp.test; Start gives it one on loopback. A nil clock is time.Now.
func NewOpenID(clock func() time.Time) *OpenID {
	if clock == nil {
		clock = time.Now
	}
	key := func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		return k
	}
	return &OpenID{
		clock: clock, issuer: "https://idp.test", key: sync.OnceValue(key),
		users: map[string]string{}, clients: map[string][]string{},
		lifetime: time.Hour, refresh: 14 * 24 * time.Hour,
		pages: map[string]*openIDPage{}, codes: map[string]*openIDGrant{}, devices: map[string]*openIDDevice{}, refreshes: map[string]*openIDGrant{},
		arrived: map[string]int{}, announced: make(chan struct{}),
	}
}

// Start serves on a free port of 127.0.0.1 and returns the issuer's URL.
func (p *OpenID) Start() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		l.Close()
		return "", errors.New("awstest: already started")
	}
	p.issuer = "http://" + l.Addr().String()
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.done = make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		s.Serve(l) // always returns ErrServerClosed: only Close ends it
	}(p.server, p.done)
	return p.issuer, nil
}

// Close ends what Start began.
func (p *OpenID) Close() error {
	p.mu.Lock()
	s, done := p.server, p.done
	p.server = nil
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	err := s.Close()
	<-done
	return err
}

// Transport answers in process, whatever host is asked.
func (p *OpenID) Transport() http.RoundTripper { return transport{p} }

// Issuer is the URL that the provider calls itself by.
func (p *OpenID) Issuer() string { return p.issuer }

// AddUser makes a user with a password.
func (p *OpenID) AddUser(name, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[name] = password
	p.secrets = append(p.secrets, password)
}

// AddClient makes a public client. A loopback redirect URI may come with any
// port (RFC 8252 section 7.3).
func (p *OpenID) AddClient(id string, redirectURIs ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[id] = redirectURIs
}

// SetLifetimes sets how long id_tokens and refresh tokens last that are issued
// from here on; an hour and 14 days unless set. Refresh tokens of no life are
// not given.
func (p *OpenID) SetLifetimes(idToken, refreshToken time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lifetime, p.refresh = idToken, refreshToken
}

// SetClaims lets change alter the claims of every id_token before it is signed.
func (p *OpenID) SetClaims(change func(claims map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = change
}

// TrustClients makes a password enough, without a page that asks for consent.
func (p *OpenID) TrustClients() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trusting = true
}

// RevokeAll ends every refresh token, as an administrator may.
func (p *OpenID) RevokeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.refreshes {
		*g.family = false
	}
}

// Sessions counts the refresh tokens that are alive.
func (p *OpenID) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, g := range p.refreshes {
		if !g.used && *g.family && p.clock().Before(g.expires) {
			n++
		}
	}
	return n
}

// Inject adds a fault to the endpoint that its Action names by the path,
// "/token". Its Code and Message are those of an OAuth error.
func (p *OpenID) Inject(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Count returns how many requests for a path have arrived; "" counts all.
func (p *OpenID) Count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived[path]
}

// Wait returns once n requests for a path have arrived, or with ctx's error.
func (p *OpenID) Wait(ctx context.Context, path string, n int) error {
	for {
		p.mu.Lock()
		enough, more := p.arrived[path] >= n, p.announced
		p.mu.Unlock()
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

// Secrets returns every password, code and token so far.
func (p *OpenID) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.secrets)
}

// Trust makes an account take the provider's tokens for a client, and returns
// the trust policy of roles for them.
func (c *Account) Trust(p *OpenID, clientIDs ...string) (policy string) {
	idp := c.OIDCProvider(p.issuer, &p.key().PublicKey, clientIDs...)
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"Federated": idp.ARN}, "Action": "sts:AssumeRoleWithWebIdentity",
	}}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// oauthError is RFC 6749 section 5.2's.
type oauthError struct {
	status            int
	code, description string
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

func refuse(code, description string) error {
	return &oauthError{http.StatusBadRequest, code, description}
}

// ServeHTTP answers one request.
func (p *OpenID) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot read the request", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.arrived[r.URL.Path]++
	p.arrived[""]++
	close(p.announced)
	p.announced = make(chan struct{})
	var fault *Fault
	for i, f := range p.faults {
		if f.Action == "" || f.Action == r.URL.Path {
			fault = f
			if f.Times == 1 {
				p.faults = slices.Delete(p.faults, i, i+1)
			} else if f.Times > 1 {
				f.Times--
			}
			break
		}
	}
	p.mu.Unlock()
	if fault != nil {
		if !fault.wait(r.Context()) || fault.Drop {
			panic(http.ErrAbortHandler)
		}
		if fault.Status != 0 {
			writeJSON(w, fault.Status, map[string]any{"error": fault.Code, "error_description": fault.Message})
			return
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	form := formOf(r, body)
	w.Header().Set("Cache-Control", "no-store")
	var answer any
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/jwks",
			"device_authorization_endpoint": p.issuer + "/device_authorization", "revocation_endpoint": p.issuer + "/revoke",
			"scopes_supported": []string{"openid", "offline_access"}, "response_types_supported": []string{"code"},
			"grant_types_supported":                          []string{"authorization_code", "refresh_token", deviceGrant},
			"subject_types_supported":                        []string{"public"},
			"id_token_signing_alg_values_supported":          []string{"RS256"},
			"token_endpoint_auth_methods_supported":          []string{"none"},
			"code_challenge_methods_supported":               []string{"S256"},
			"authorization_response_iss_parameter_supported": true,
		}
	case "GET /jwks":
		exponent := big.NewInt(int64(p.key().E)).Bytes()
		answer = map[string]any{"keys": []any{
			map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": b64(p.key().N.Bytes()), "e": b64(exponent)},
		}}
	case "GET /authorize":
		p.authorize(w, r, form)
		return
	case "GET /device":
		p.enterCode(w, form)
		return
	case "POST /sign-in":
		p.signIn(w, r, form)
		return
	case "POST /token":
		answer, err = p.token(form)
	case "POST /device_authorization":
		answer, err = p.deviceAuthorization(form)
	case "POST /revoke":
		answer, err = p.revoke(form)
	default:
		http.NotFound(w, r)
		return
	}
	var refused *oauthError
	if errors.As(err, &refused) {
		writeJSON(w, refused.status, map[string]any{"error": refused.code, "error_description": refused.description})
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b) // a client that has gone is no concern of ours
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sameRedirect compares as RFC 8252 section 7.3 has it.
func sameRedirect(registered, asked string) bool {
	if registered == asked {
		return true
	}
	r, err1 := url.Parse(registered)
	a, err2 := url.Parse(asked)
	if err1 != nil || err2 != nil || r.Scheme != "http" || !slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, r.Hostname()) {
		return false
	}
	return a.Scheme == "http" && a.Hostname() == r.Hostname() && a.Path == r.Path && a.RawQuery == r.RawQuery
}

// authorize is RFC 6749 section 4.1.1 with OpenID Connect Core section 3.1.2.1.
// Before client and redirect URI are known to belong together, nobody is sent
// anywhere.
func (p *OpenID) authorize(w http.ResponseWriter, r *http.Request, form url.Values) {
	client, redirect, state := form.Get("client_id"), form.Get("redirect_uri"), form.Get("state")
	registered, ok := p.clients[client]
	if !ok || !slices.ContainsFunc(registered, func(u string) bool { return sameRedirect(u, redirect) }) {
		showPage(w, http.StatusBadRequest, "<p>The client or its redirect URI is not known.</p>")
		return
	}
	fail := func(code, description string) {
		p.redirect(w, r, redirect, url.Values{"error": {code}, "error_description": {description}, "state": {state}})
	}
	scopes := strings.Fields(form.Get("scope"))
	for name := range form {
		if len(form[name]) > 1 {
			fail("invalid_request", name+" is there twice")
			return
		}
	}
	switch {
	case form.Get("response_type") != "code":
		fail("unsupported_response_type", "code alone is supported")
	case !slices.Contains(scopes, "openid"), slices.ContainsFunc(scopes, func(s string) bool { return s != "openid" && s != "offline_access" }):
		fail("invalid_scope", "openid and offline_access are supported")
	case form.Get("code_challenge_method") != "S256" || len(form.Get("code_challenge")) != 43:
		fail("invalid_request", "PKCE with S256 is required")
	default:
		id := random(16)
		p.pages[id] = &openIDPage{
			redirect: redirect, state: state,
			grant: openIDGrant{
				client: client, nonce: form.Get("nonce"), challenge: form.Get("code_challenge"), redirect: redirect,
				// Without the prompt it is ignored, where consent is asked for at all.
				// https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess
				offline: slices.Contains(scopes, "offline_access") && (p.trusting || slices.Contains(strings.Fields(form.Get("prompt")), "consent")),
			},
		}
		showPage(w, http.StatusOK, signInForm(id, form.Get("login_hint"), ""))
	}
}

func (p *OpenID) enterCode(w http.ResponseWriter, form url.Values) {
	code := strings.ToUpper(form.Get("user_code"))
	if code == "" {
		showPage(w, http.StatusOK, `<form action="/device" method="get"><label>Code <input name="user_code"></label><button>Continue</button></form>`)
		return
	}
	for _, d := range p.devices {
		if d.userCode == code && d.user == "" && !d.denied && p.clock().Before(d.expires) {
			id := random(16)
			p.pages[id] = &openIDPage{device: d, grant: openIDGrant{client: d.client, offline: d.offline}}
			showPage(w, http.StatusOK, signInForm(id, "", ""))
			return
		}
	}
	showPage(w, http.StatusBadRequest, "<p>This code is not known.</p>")
}

// signIn takes the form of a page: first the password, then consent.
func (p *OpenID) signIn(w http.ResponseWriter, r *http.Request, form url.Values) {
	id := form.Get("page")
	page := p.pages[id]
	if page == nil {
		showPage(w, http.StatusBadRequest, "<p>This sign-in is over.</p>")
		return
	}
	if page.user == "" {
		password, ok := p.users[form.Get("username")]
		if !ok || subtle.ConstantTimeCompare([]byte(password), []byte(form.Get("password"))) != 1 {
			showPage(w, http.StatusOK, signInForm(id, form.Get("username"), "The username or the password is wrong."))
			return
		}
		page.user = form.Get("username")
		if !p.trusting {
			showPage(w, http.StatusOK, consentForm(id, page.grant.client))
			return
		}
	}
	delete(p.pages, id)
	allowed := p.trusting || form.Get("decision") == "allow"
	if d := page.device; d != nil {
		d.denied = !allowed
		if allowed {
			d.user = page.user
		}
		showPage(w, http.StatusOK, "<p>Go back to your device.</p>")
		return
	}
	if !allowed {
		p.redirect(w, r, page.redirect, url.Values{"error": {"access_denied"}, "error_description": {"End-User aborted interaction"}, "state": {page.state}})
		return
	}
	code := "awstestFAKECODE" + random(24)
	p.secrets = append(p.secrets, code)
	g := page.grant
	g.user, g.expires, g.family = page.user, p.clock().Add(time.Minute), new(true)
	p.codes[code] = &g
	p.redirect(w, r, page.redirect, url.Values{"code": {code}, "state": {page.state}})
}

// redirect answers with the provider's name (RFC 9207).
func (p *OpenID) redirect(w http.ResponseWriter, r *http.Request, to string, q url.Values) {
	q.Set("iss", p.issuer)
	if q.Get("state") == "" {
		q.Del("state")
	}
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	// http.Redirect would take app:/callback for a path.
	w.Header().Set("Location", to+sep+q.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

func (p *OpenID) token(form url.Values) (any, error) {
	client := form.Get("client_id")
	if _, ok := p.clients[client]; !ok {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	}
	now := p.clock()
	switch form.Get("grant_type") {
	case "authorization_code":
		g := p.codes[form.Get("code")]
		if g == nil || g.client != client || !now.Before(g.expires) {
			return nil, refuse("invalid_grant", "the code is not known")
		}
		if g.used { // RFC 6749 section 4.1.2
			*g.family = false
			return nil, refuse("invalid_grant", "the code has been used")
		}
		g.used = true
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if g.redirect != form.Get("redirect_uri") || g.challenge != b64(sum[:]) {
			return nil, refuse("invalid_grant", "the redirect URI or the code verifier does not fit")
		}
		return p.tokens(*g, now), nil
	case "refresh_token":
		g := p.refreshes[form.Get("refresh_token")]
		if g == nil || g.client != client || !now.Before(g.expires) || !*g.family {
			return nil, refuse("invalid_grant", "the refresh token is not known")
		}
		if g.used {
			*g.family = false
			return nil, refuse("invalid_grant", "the refresh token has been used")
		}
		g.used = true
		return p.tokens(*g, now), nil
	case deviceGrant:
		d := p.devices[form.Get("device_code")]
		if d == nil || d.client != client {
			return nil, refuse("invalid_grant", "the device code is not known")
		}
		early := !d.polled.IsZero() && now.Sub(d.polled) < d.interval
		d.polled = now
		switch {
		case !now.Before(d.expires):
			return nil, refuse("expired_token", "the device code has expired")
		case d.denied:
			return nil, refuse("access_denied", "End-User aborted interaction")
		case early:
			d.interval += 5 * time.Second
			return nil, refuse("slow_down", "polled too soon")
		case d.user == "":
			return nil, refuse("authorization_pending", "authorization request is still pending as the end-user hasn't yet completed the user interaction steps")
		}
		delete(p.devices, form.Get("device_code"))
		return p.tokens(openIDGrant{client: client, user: d.user, offline: d.offline, family: new(true)}, now), nil
	}
	return nil, refuse("unsupported_grant_type", "this grant type is not supported")
}

// tokens makes an id_token and, if the grant is for it, the refresh token of
// the next one. It is called with mu held.
func (p *OpenID) tokens(g openIDGrant, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": p.issuer, "sub": "sub-" + g.user, "aud": g.client, "iat": now.Unix(), "exp": now.Add(p.lifetime).Unix(), "preferred_username": g.user,
		"jti": random(16),
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if p.claims != nil {
		p.claims(claims)
	}
	answer := map[string]any{
		"access_token": "awstestFAKEACCESS" + random(24), "token_type": "Bearer", "expires_in": int(p.lifetime / time.Second), "scope": "openid",
		"id_token": p.Sign(claims),
	}
	if g.offline && p.refresh > 0 {
		token := "awstestFAKEREFRESH" + random(24)
		next := g
		next.used, next.expires = false, now.Add(p.refresh)
		p.refreshes[token] = &next
		answer["refresh_token"], answer["scope"] = token, "openid offline_access"
		p.secrets = append(p.secrets, token)
	}
	p.secrets = append(p.secrets, answer["access_token"].(string), answer["id_token"].(string))
	return answer
}

// Sign makes a token of claims.
func (p *OpenID) Sign(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("awstest: claims: %v", err))
	}
	signed := b64([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.key(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a 2048-bit key always signs
	}
	return signed + "." + b64(sig)
}

// deviceAuthorization is RFC 8628 section 3.1.
func (p *OpenID) deviceAuthorization(form url.Values) (any, error) {
	client := form.Get("client_id")
	if _, ok := p.clients[client]; !ok {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	}
	scopes := strings.Fields(form.Get("scope"))
	if !slices.Contains(scopes, "openid") {
		return nil, refuse("invalid_scope", "openid is required")
	}
	code := "awstestFAKEDEVICE" + random(24)
	p.secrets = append(p.secrets, code)
	user := random(4) + "-" + random(4)
	p.devices[code] = &openIDDevice{
		userCode: user, client: client, offline: slices.Contains(scopes, "offline_access"),
		expires: p.clock().Add(10 * time.Minute), interval: 5 * time.Second,
	}
	return map[string]any{
		"device_code": code, "user_code": user, "verification_uri": p.issuer + "/device",
		"verification_uri_complete": p.issuer + "/device?user_code=" + user, "expires_in": 600, "interval": 5,
	}, nil
}

// revoke is RFC 7009: it succeeds for a token that is not known.
func (p *OpenID) revoke(form url.Values) (any, error) {
	if _, ok := p.clients[form.Get("client_id")]; !ok {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	}
	if g := p.refreshes[form.Get("token")]; g != nil && g.client == form.Get("client_id") {
		*g.family = false
	}
	return map[string]any{}, nil
}

func showPage(w http.ResponseWriter, status int, content string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sign in</title></head>\n<body><h1>Pretended sign-in</h1>\n%s\n</body></html>\n", content)
}

func signInForm(page, username, problem string) string {
	if problem != "" {
		problem = `<p role="alert">` + html.EscapeString(problem) + "</p>\n"
	}
	return problem + fmt.Sprintf(`<form action="/sign-in" method="post"><input type="hidden" name="page" value="%s">
<p><label>Username <input name="username" autocomplete="username" value="%s"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button type="submit">Sign in</button></p></form>`, page, html.EscapeString(username))
}

func consentForm(page, client string) string {
	return fmt.Sprintf(`<form action="/sign-in" method="post"><input type="hidden" name="page" value="%s">
<p>Let %s sign in as you?</p>
<p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></p></form>`, page, html.EscapeString(client))
}

package awstest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// IdentityCenter is an instance of IAM Identity Center: its sign-in (SSO OIDC)
// and its portal, both at the URL of the AWS that it is part of.
//
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/Welcome.html,
// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/Welcome.html
type IdentityCenter struct {
	StartURL string
	aws      *AWS

	users    map[string]string       // password by name
	assigned map[string][]assignment // by user
	access   time.Duration           // an access token's life
	session  time.Duration           // a sign-in's life

	clients map[string]*ssoClient
	pages   map[string]*ssoPage
	codes   map[string]*ssoGrant
	devices map[string]*ssoDevice
	tokens  map[string]*ssoToken // access and refresh tokens
}

type assignment struct {
	account *Account
	name    string // the permission set's
	role    *Role
}

type ssoClient struct {
	secret    string
	scopes    []string
	grants    []string
	redirects []string
	startURL  string // of the authorization code flow
	expires   time.Time
}

type ssoGrant struct {
	client, challenge, redirect string
	expires                     time.Time
	used                        bool
	login                       *ssoLogin
}

// ssoLogin is what lasts from a sign-in to its end.
type ssoLogin struct {
	user    string
	expires time.Time
	ended   bool
}

type ssoToken struct {
	client  string
	refresh bool
	expires time.Time
	used    bool // of a refresh token
	login   *ssoLogin
}

type ssoPage struct {
	client, redirect, state, challenge string
	device                             *ssoDevice
	user                               string
}

type ssoDevice struct {
	client, userCode string
	expires          time.Time
	interval         time.Duration
	polled           time.Time
	login            *ssoLogin
	denied           bool
}

// IdentityCenter returns the instance with a start URL, made at first use. Its
// tokens last an hour and its sign-ins eight hours, as AWS's do unless set.
// https://docs.aws.amazon.com/singlesignon/latest/userguide/configure-user-session.html
func (a *AWS) IdentityCenter(startURL string) *IdentityCenter {
	a.mu.Lock()
	defer a.mu.Unlock()
	ic := a.centers[startURL]
	if ic == nil {
		ic = &IdentityCenter{
			StartURL: startURL, aws: a, access: time.Hour, session: 8 * time.Hour,
			users: map[string]string{}, assigned: map[string][]assignment{}, clients: map[string]*ssoClient{}, pages: map[string]*ssoPage{},
			codes: map[string]*ssoGrant{}, devices: map[string]*ssoDevice{}, tokens: map[string]*ssoToken{},
		}
		if a.centers == nil {
			a.centers = map[string]*IdentityCenter{}
		}
		a.centers[startURL] = ic
	}
	return ic
}

// AddUser makes a user with a password.
func (ic *IdentityCenter) AddUser(name, password string) {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	ic.users[name] = password
	ic.aws.secrets = append(ic.aws.secrets, password)
}

// Assign gives a user a permission set in an account. Its credentials last d;
// zero is an hour.
func (ic *IdentityCenter) Assign(user string, acct *Account, permissionSet string, d time.Duration) *Role {
	name := "AWSReservedSSO_" + permissionSet + "_" + strings.ToLower(random(16))
	// Nobody can assume it: the portal alone gives its credentials.
	role := acct.Role("aws-reserved/sso.amazonaws.com/"+name, Trust(nil, acct.arn("iam", "saml-provider/AWSSSO_DO_NOT_DELETE")))
	if d > 0 {
		role.SetMaxSession(d)
	}
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	ic.assigned[user] = append(ic.assigned[user], assignment{acct, permissionSet, role})
	return role
}

// SetLifetimes sets how long access tokens and sign-ins last from here on.
func (ic *IdentityCenter) SetLifetimes(accessToken, signIn time.Duration) {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	ic.access, ic.session = accessToken, signIn
}

// EndAll ends every sign-in, as an administrator may.
func (ic *IdentityCenter) EndAll() {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	for _, t := range ic.tokens {
		t.login.ended = true
	}
}

// ForgetClients ends the registration of every client.
func (ic *IdentityCenter) ForgetClients() {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	clear(ic.clients)
}

// Tokens counts the access tokens that are alive.
func (ic *IdentityCenter) Tokens() int {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	n := 0
	for _, t := range ic.tokens {
		if !t.refresh && !t.login.ended && ic.aws.now().Before(t.expires) {
			n++
		}
	}
	return n
}

// GiveToken signs a user in by other means, as the AWS CLI does, and returns
// the access token and its end.
func (ic *IdentityCenter) GiveToken(user string) (token string, expires time.Time) {
	ic.aws.mu.Lock()
	defer ic.aws.mu.Unlock()
	t := &ssoToken{expires: ic.aws.now().Add(ic.access), login: &ssoLogin{user: user, expires: ic.aws.now().Add(ic.session)}}
	return ic.newToken(t), t.expires
}

func (ic *IdentityCenter) newToken(t *ssoToken) string {
	kind := "ACCESS"
	if t.refresh {
		kind = "REFRESH"
	}
	s := "aoaAAAAFAKESSO" + kind + random(40)
	ic.tokens[s] = t
	ic.aws.secrets = append(ic.aws.secrets, s)
	return s
}

// ssoActions are the calls by method and path; what has no name is a page.
func ssoAction(r *http.Request) (service, action string) {
	switch r.Method + " " + r.URL.Path {
	case "POST /client/register":
		return "sso-oidc", "RegisterClient"
	case "POST /device_authorization":
		return "sso-oidc", "StartDeviceAuthorization"
	case "POST /token":
		return "sso-oidc", "CreateToken"
	case "GET /authorize", "GET /device", "POST /sign-in":
		return "sso-oidc", "page"
	case "GET /federation/credentials":
		return "sso", "GetRoleCredentials"
	case "GET /assignment/accounts":
		return "sso", "ListAccounts"
	case "GET /assignment/roles":
		return "sso", "ListAccountRoles"
	case "POST /logout":
		return "sso", "Logout"
	}
	return "", ""
}

// ssoError is an error of both services: the code, what OAuth calls it, and the
// HTTP status are those of the API references.
func ssoError(code, description string) *apiError {
	status := http.StatusBadRequest
	switch code {
	case "InvalidClientException", "UnauthorizedException":
		status = http.StatusUnauthorized
	case "ForbiddenException":
		status = http.StatusForbidden
	case "ResourceNotFoundException":
		status = http.StatusNotFound
	}
	return &apiError{status, code, description}
}

// writeSSO answers in REST JSON, with the error's name in a header.
func (a *AWS) writeSSO(w http.ResponseWriter, service string, result any, refused *apiError) {
	w.Header().Set("X-Amzn-Requestid", newRequestID())
	a.mu.Lock()
	w.Header().Set("Date", a.now().Format(http.TimeFormat))
	a.mu.Unlock()
	switch {
	case refused == nil && result == nil:
		w.WriteHeader(http.StatusOK)
	case refused == nil:
		writeJSON(w, http.StatusOK, result)
	case service == "sso":
		w.Header().Set("X-Amzn-Errortype", refused.code)
		writeJSON(w, refused.status, map[string]any{"message": refused.message})
	default:
		w.Header().Set("X-Amzn-Errortype", refused.code)
		writeJSON(w, refused.status, map[string]any{"error": oauthName(refused.code), "error_description": refused.message})
	}
}

// oauthName is InvalidGrantException as invalid_grant.
func oauthName(code string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(code, "Exception") {
		if 'A' <= r && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// sso runs one call. It is called with mu held.
func (a *AWS) sso(r *http.Request, c *call, body []byte) (any, error) {
	if c.service == "sso" {
		return a.portal(r, c)
	}
	var in ssoInput
	if err := strictJSON(body, &in); err != nil {
		return nil, ssoError("InvalidRequestException", "Invalid request")
	}
	switch c.action {
	case "RegisterClient":
		return a.registerClient(&in, c.now)
	case "StartDeviceAuthorization":
		return a.startDevice(r, &in, c.now)
	}
	return a.createToken(&in, c.now)
}

// ssoInput has the members of all inputs of SSO OIDC.
type ssoInput struct {
	ClientName, ClientType, IssuerURL         string
	Scopes, Scope, GrantTypes, RedirectUris   []string
	ClientID, ClientSecret, StartURL          string
	GrantType, DeviceCode, Code, CodeVerifier string
	RefreshToken, RedirectURI                 string
	EntitledApplicationArn                    string
}

// registerClient follows
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_RegisterClient.html
func (a *AWS) registerClient(in *ssoInput, now time.Time) (any, error) {
	switch {
	case in.ClientName == "":
		return nil, ssoError("InvalidRequestException", "clientName is required")
	case in.ClientType != "public":
		return nil, ssoError("InvalidClientMetadataException", "clientType must be public")
	case slices.ContainsFunc(in.Scopes, func(s string) bool { return !strings.Contains(s, ":") }):
		return nil, ssoError("InvalidScopeException", "Invalid scope")
	case slices.ContainsFunc(in.GrantTypes, func(g string) bool {
		return g != "authorization_code" && g != "refresh_token" && g != deviceGrant
	}):
		return nil, ssoError("UnsupportedGrantTypeException", "Unsupported grant type")
	}
	code := slices.Contains(in.GrantTypes, "authorization_code")
	if code {
		if len(in.RedirectUris) == 0 {
			return nil, ssoError("InvalidRedirectUriException", "redirectUris is required for authorization_code")
		}
		for _, u := range in.RedirectUris {
			if p, err := url.Parse(u); err != nil || p.Scheme == "http" && p.Hostname() != "127.0.0.1" {
				return nil, ssoError("InvalidRedirectUriException", "Invalid redirect uri")
			}
		}
		if a.centers[in.IssuerURL] == nil {
			return nil, ssoError("InvalidRequestException", "Invalid issuerUrl")
		}
	}
	id, secret := "FAKE"+random(20), "awstest-FAKE-client-secret-"+random(40)
	a.secrets = append(a.secrets, secret)
	// The service gives 90 days.
	c := &ssoClient{secret: secret, scopes: in.Scopes, grants: in.GrantTypes, redirects: in.RedirectUris, expires: now.Add(90 * 24 * time.Hour)}
	if code {
		c.startURL = in.IssuerURL
	}
	if len(c.grants) == 0 {
		c.grants = []string{deviceGrant, "refresh_token"}
	}
	// A client is the service's, not an instance's.
	for _, ic := range a.centers {
		ic.clients[id] = c
	}
	return map[string]any{"clientId": id, "clientSecret": secret, "clientIdIssuedAt": now.Unix(), "clientSecretExpiresAt": c.expires.Unix()}, nil
}

// center is the instance that a client, code or token belongs to.
func (a *AWS) center(has func(*IdentityCenter) bool) *IdentityCenter {
	for _, ic := range a.centers {
		if has(ic) {
			return ic
		}
	}
	return nil
}

func (a *AWS) ssoClient(id, secret string, now time.Time) (*ssoClient, error) {
	ic := a.center(func(ic *IdentityCenter) bool { return ic.clients[id] != nil })
	if ic == nil || subtle.ConstantTimeCompare([]byte(ic.clients[id].secret), []byte(secret)) != 1 || !now.Before(ic.clients[id].expires) {
		return nil, ssoError("InvalidClientException", "Invalid client")
	}
	return ic.clients[id], nil
}

// startDevice follows
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_StartDeviceAuthorization.html
func (a *AWS) startDevice(r *http.Request, in *ssoInput, now time.Time) (any, error) {
	c, err := a.ssoClient(in.ClientID, in.ClientSecret, now)
	if err != nil {
		return nil, err
	}
	ic := a.centers[in.StartURL]
	switch {
	case !slices.Contains(c.grants, deviceGrant):
		return nil, ssoError("UnauthorizedClientException", "The client is not registered for the device grant")
	case ic == nil:
		return nil, ssoError("InvalidRequestException", "Invalid start url provided")
	}
	code, user := "awstestFAKEDEVICE"+random(24), random(4)+"-"+random(4)
	a.secrets = append(a.secrets, code)
	ic.devices[code] = &ssoDevice{client: in.ClientID, userCode: user, expires: now.Add(10 * time.Minute), interval: time.Second}
	at := "http://" + r.Host + "/device"
	if r.URL.Scheme == "https" {
		at = "https://" + r.Host + "/device"
	}
	return map[string]any{
		"deviceCode": code, "userCode": user, "verificationUri": at, "verificationUriComplete": at + "?user_code=" + user, "expiresIn": 600, "interval": 1,
	}, nil
}

// createToken follows
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
func (a *AWS) createToken(in *ssoInput, now time.Time) (any, error) {
	c, err := a.ssoClient(in.ClientID, in.ClientSecret, now)
	if err != nil {
		return nil, err
	}
	if in.GrantType != "authorization_code" && in.GrantType != "refresh_token" && in.GrantType != deviceGrant {
		return nil, ssoError("UnsupportedGrantTypeException", "Unsupported grant type")
	}
	if !slices.Contains(c.grants, in.GrantType) {
		return nil, ssoError("UnauthorizedClientException", "The client is not registered for this grant type")
	}
	switch in.GrantType {
	case "authorization_code":
		ic := a.center(func(ic *IdentityCenter) bool { return ic.codes[in.Code] != nil })
		if ic == nil {
			return nil, ssoError("InvalidGrantException", "Invalid grant provided")
		}
		g := ic.codes[in.Code]
		sum := sha256.Sum256([]byte(in.CodeVerifier))
		bad := g.used || g.client != in.ClientID || g.redirect != in.RedirectURI || g.challenge != b64(sum[:]) || !now.Before(g.expires)
		g.used = true
		if bad {
			return nil, ssoError("InvalidGrantException", "Invalid grant provided")
		}
		return ic.grant(in.ClientID, c, g.login, now), nil
	case "refresh_token":
		ic := a.center(func(ic *IdentityCenter) bool { return ic.tokens[in.RefreshToken] != nil })
		if ic == nil {
			return nil, ssoError("InvalidGrantException", "Invalid refresh token provided")
		}
		t := ic.tokens[in.RefreshToken]
		if !t.refresh || t.used || t.client != in.ClientID || t.login.ended || !now.Before(t.login.expires) {
			return nil, ssoError("InvalidGrantException", "Invalid refresh token provided")
		}
		t.used = true
		return ic.grant(in.ClientID, c, t.login, now), nil
	}
	ic := a.center(func(ic *IdentityCenter) bool { return ic.devices[in.DeviceCode] != nil })
	if ic == nil || ic.devices[in.DeviceCode].client != in.ClientID {
		return nil, ssoError("InvalidGrantException", "Invalid device code provided")
	}
	d := ic.devices[in.DeviceCode]
	early := !d.polled.IsZero() && now.Sub(d.polled) < d.interval
	d.polled = now
	switch {
	case !now.Before(d.expires):
		return nil, ssoError("ExpiredTokenException", "Device code expired")
	case d.denied:
		return nil, ssoError("AccessDeniedException", "Access denied")
	case early:
		return nil, ssoError("SlowDownException", "Slow down")
	case d.login == nil:
		return nil, ssoError("AuthorizationPendingException", "Authorization pending")
	}
	delete(ic.devices, in.DeviceCode)
	return ic.grant(in.ClientID, c, d.login, now), nil
}

// grant makes tokens. Without the scope there is no refresh token, and the
// access token lasts as long as the sign-in.
// https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sso-legacy.html
func (ic *IdentityCenter) grant(id string, c *ssoClient, login *ssoLogin, now time.Time) any {
	expires := login.expires
	out := map[string]any{"tokenType": "Bearer"}
	if slices.Contains(c.scopes, "sso:account:access") {
		if e := now.Add(ic.access); e.Before(expires) {
			expires = e
		}
		out["refreshToken"] = ic.newToken(&ssoToken{client: id, refresh: true, expires: login.expires, login: login})
	}
	out["accessToken"] = ic.newToken(&ssoToken{client: id, expires: expires, login: login})
	out["expiresIn"] = int(expires.Sub(now) / time.Second)
	return out
}

// ssoPages are the pages of the sign-in. It is called with mu held.
func (a *AWS) ssoPages(w http.ResponseWriter, r *http.Request, form url.Values) {
	w.Header().Set("Cache-Control", "no-store")
	now := a.now()
	switch r.URL.Path {
	case "/authorize":
		id := form.Get("client_id")
		ic := a.center(func(ic *IdentityCenter) bool { return ic.clients[id] != nil && ic.clients[id].startURL == ic.StartURL })
		if ic == nil || !slices.ContainsFunc(ic.clients[id].redirects, func(u string) bool { return sameRedirect(u, form.Get("redirect_uri")) }) {
			showPage(w, http.StatusBadRequest, "<p>The client or its redirect URI is not known.</p>")
			return
		}
		scopes := strings.Fields(form.Get("scopes"))
		if form.Get("response_type") != "code" || form.Get("state") == "" || form.Get("code_challenge_method") != "S256" || len(form.Get("code_challenge")) != 43 ||
			slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(ic.clients[id].scopes, s) }) {
			showPage(w, http.StatusBadRequest, "<p>The request is not valid.</p>")
			return
		}
		page := random(16)
		ic.pages[page] = &ssoPage{client: id, redirect: form.Get("redirect_uri"), state: form.Get("state"), challenge: form.Get("code_challenge")}
		showPage(w, http.StatusOK, signInForm(page, "", ""))
	case "/device":
		code := strings.ToUpper(form.Get("user_code"))
		if code == "" {
			showPage(w, http.StatusOK, `<form action="/device" method="get"><label>Code <input name="user_code"></label><button>Continue</button></form>`)
			return
		}
		for _, ic := range a.centers {
			for _, d := range ic.devices {
				if d.userCode == code && d.login == nil && !d.denied && now.Before(d.expires) {
					page := random(16)
					ic.pages[page] = &ssoPage{client: d.client, device: d}
					showPage(w, http.StatusOK, signInForm(page, "", ""))
					return
				}
			}
		}
		showPage(w, http.StatusBadRequest, "<p>This code is not known.</p>")
	case "/sign-in":
		id := form.Get("page")
		ic := a.center(func(ic *IdentityCenter) bool { return ic.pages[id] != nil })
		if ic == nil {
			showPage(w, http.StatusBadRequest, "<p>This sign-in is over.</p>")
			return
		}
		ic.signIn(w, id, form, now)
	}
}

// signIn takes the form of a page: first the password, then consent.
func (ic *IdentityCenter) signIn(w http.ResponseWriter, id string, form url.Values, now time.Time) {
	page := ic.pages[id]
	if page.user == "" {
		password, ok := ic.users[form.Get("username")]
		if !ok || subtle.ConstantTimeCompare([]byte(password), []byte(form.Get("password"))) != 1 {
			showPage(w, http.StatusOK, signInForm(id, form.Get("username"), "The username or the password is wrong."))
			return
		}
		page.user = form.Get("username")
		showPage(w, http.StatusOK, consentForm(id, "aws-runas"))
		return
	}
	delete(ic.pages, id)
	login := &ssoLogin{user: page.user, expires: now.Add(ic.session)}
	allowed := form.Get("decision") == "allow"
	if page.device != nil {
		page.device.denied = !allowed
		if allowed {
			page.device.login = login
		}
		showPage(w, http.StatusOK, "<p>You can close this page.</p>")
		return
	}
	answer := url.Values{"state": {page.state}}
	if allowed {
		code := "awstestFAKECODE" + random(24)
		ic.aws.secrets = append(ic.aws.secrets, code)
		ic.codes[code] = &ssoGrant{client: page.client, challenge: page.challenge, redirect: page.redirect, expires: now.Add(time.Minute), login: login}
		answer.Set("code", code)
	} else {
		answer.Set("error", "access_denied")
		answer.Set("error_description", "The user denied the request")
	}
	w.Header().Set("Location", page.redirect+"?"+answer.Encode())
	w.WriteHeader(http.StatusSeeOther)
	fmt.Fprint(w, html.EscapeString(page.redirect))
}

// portal runs one call of the portal.
func (a *AWS) portal(r *http.Request, c *call) (any, error) {
	token := r.Header.Get("X-Amz-Sso_bearer_token")
	ic := a.center(func(ic *IdentityCenter) bool { return ic.tokens[token] != nil })
	// The words of the real one: https://github.com/aws/aws-cli/issues/7340
	if ic == nil || ic.tokens[token].refresh || ic.tokens[token].login.ended || !c.now.Before(ic.tokens[token].expires) {
		return nil, ssoError("UnauthorizedException", "Session token not found or invalid")
	}
	login := ic.tokens[token].login
	q := r.URL.Query()
	switch c.action {
	case "Logout":
		// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_Logout.html
		login.ended = true
		return nil, nil
	case "ListAccounts":
		var list []any
		for i, as := range ic.assigned[login.user] {
			if !slices.ContainsFunc(ic.assigned[login.user][:i], func(b assignment) bool { return b.account == as.account }) {
				list = append(list, map[string]any{"accountId": as.account.ID, "accountName": "account " + as.account.ID[8:], "emailAddress": as.account.ID + "@example.com"})
			}
		}
		return portalPage(q, "accountList", list)
	case "ListAccountRoles":
		var list []any
		for _, as := range ic.assigned[login.user] {
			if as.account.ID == q.Get("account_id") {
				list = append(list, map[string]any{"accountId": as.account.ID, "roleName": as.name})
			}
		}
		if list == nil {
			return nil, ssoError("ForbiddenException", "No access")
		}
		return portalPage(q, "roleList", list)
	}
	// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
	if len(q.Get("account_id")) != 12 || q.Get("role_name") == "" {
		return nil, ssoError("InvalidRequestException", "Invalid request")
	}
	for _, as := range ic.assigned[login.user] {
		if as.account.ID != q.Get("account_id") || as.name != q.Get("role_name") {
			continue
		}
		s := &session{principal: principal{
			kind: "AssumedRole", account: as.account, role: as.role,
			arn:    as.account.arn("sts", "assumed-role/"+as.role.Name+"/"+login.user),
			userID: as.role.ID + ":" + login.user,
		}, tags: map[string]string{}}
		got := a.issue(s, c.now, as.role.maxSession)
		return map[string]any{"roleCredentials": map[string]any{
			"accessKeyId": got.AccessKeyId, "secretAccessKey": got.SecretAccessKey, "sessionToken": got.SessionToken, "expiration": s.expires.UnixMilli(),
		}}, nil
	}
	// Not in the model of the API, but what it answers:
	// https://github.com/aws/aws-sam-cli/issues/2129
	return nil, ssoError("ForbiddenException", "No access")
}

// portalPage is one page of a list, by max_result and next_token.
func portalPage(q url.Values, name string, list []any) (any, error) {
	start, size := 0, 20
	if v := q.Get("next_token"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > len(list) {
			return nil, ssoError("InvalidRequestException", "Invalid next token")
		}
		start = n
	}
	if v := q.Get("max_result"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			return nil, ssoError("InvalidRequestException", "Invalid max result")
		}
		size = n
	}
	end := min(start+size, len(list))
	out := map[string]any{name: list[start:end]}
	if end < len(list) {
		out["nextToken"] = strconv.Itoa(end)
	}
	return out, nil
}

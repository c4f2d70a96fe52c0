package oidc

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/signin"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// algorithms are those that AWS takes.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512}

// metadata is what a provider says of itself.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata,
// RFC 8414 section 2, RFC 8628 section 4
type metadata struct {
	Issuer                 string   `json:"issuer"`
	AuthURL                string   `json:"authorization_endpoint"`
	TokenURL               string   `json:"token_endpoint"`
	DeviceURL              string   `json:"device_authorization_endpoint"`
	RevokeURL              string   `json:"revocation_endpoint"`
	KeysURL                string   `json:"jwks_uri"`
	Scopes                 []string `json:"scopes_supported"`
	AnswersNameTheirIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// provider is a provider as its client has found it.
type provider struct {
	*Client
	metadata
	http *http.Client
}

const wellKnown = "/.well-known/openid-configuration"

// discover asks the provider for its endpoints. The URL is that of the issuer or
// of its discovery document. Where there is none, it may be that of the
// authorization endpoint or of a folder above that: Okta's and Entra's are known
// as https://HOST/oauth2 and https://HOST/TENANT/oauth2/v2.0.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	client, err := c.AWS.HTTP()
	if err != nil {
		return nil, err
	}
	given := c.address()
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !onlyOneLogin(u.Query()):
		return nil, c.fault("", "web_identity_auth_url %q is not the URL of an issuer", given)
	case !signin.Secure(u):
		return nil, c.fault("", "web_identity_auth_url %q is not https, so anybody between here and there could sign in", given)
	}
	var first error
	for _, base := range issuers(given) {
		p := &provider{Client: c, http: client}
		err := p.find(ctx, base)
		if err == nil && (base == given || strings.HasPrefix(normal(p.AuthURL)+"/", normal(given)+"/")) {
			return p, nil
		}
		if first == nil {
			first = err
		}
		var silent *session.Unreachable
		if errors.As(err, &silent) || ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// address is the URL of the issuer as far as the setting tells, without what may
// be secret in it.
func (c *Client) address() string {
	address, _, _ := strings.Cut(c.URL, "?")
	if u, err := url.Parse(address); err == nil && u.User != nil {
		u.User = nil
		address = u.String()
	}
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(address, "/"), wellKnown), "/")
}

// onlyOneLogin reports whether there is nothing in a query but what settings for
// OneLogin have there for its API, which is not for its OpenID endpoints.
func onlyOneLogin(q url.Values) bool {
	for name := range q {
		if name != "token" && name != "region" {
			return false
		}
	}
	return true
}

// issuers are the URLs that an issuer may have whom an address is of, the most
// likely first.
func issuers(address string) []string {
	list := []string{address}
	// Entra has them beside its endpoints.
	// https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc
	if tenant, _, ok := strings.Cut(address, "/oauth2/v2.0"); ok {
		list = append(list, tenant+"/v2.0")
	}
	host := strings.Index(address, "://") + len("://")
	for len(list) < 10 {
		i := strings.LastIndexByte(address, '/')
		if i < host {
			break
		}
		address = address[:i]
		list = append(list, address)
	}
	return list
}

// find reads what the provider says of itself whose issuer is base.
func (p *provider) find(ctx context.Context, base string) error {
	if err := p.get(ctx, base+wellKnown, &p.metadata); err != nil {
		return err
	}
	if p.Issuer == "" || p.TokenURL == "" || p.KeysURL == "" {
		return &session.Unreachable{What: "discovery at " + p.host(), Err: errors.New("the answer lacks the issuer, the token_endpoint or the jwks_uri")}
	}
	// A multi-tenant provider may answer for every tenant: the exact name is what
	// tells them apart. Only the final slash is often lost, and the port of https
	// is often told.
	if normal(p.Issuer) != normal(base) {
		name := signin.Line(p.Issuer)
		return p.fault("aws-runas -W "+awsapi.Word(name)+" login "+awsapi.Word(p.AWS.Profile), "web_identity_auth_url %q: the provider there calls itself %q", p.address(), name)
	}
	for name, endpoint := range map[string]*string{
		"authorization_endpoint": &p.AuthURL, "token_endpoint": &p.TokenURL, "jwks_uri": &p.KeysURL,
		"device_authorization_endpoint": &p.DeviceURL, "revocation_endpoint": &p.RevokeURL,
	} {
		if *endpoint == "" {
			continue
		}
		if err := signin.Page(*endpoint); err != nil || strings.HasPrefix(base, "https:") && !strings.HasPrefix(*endpoint, "https:") {
			return &session.Unreachable{What: "discovery at " + p.host(), Err: fmt.Errorf("its %s %q is no https address", name, signin.Line(*endpoint))}
		}
	}
	return nil
}

// normal makes URLs that are the same look the same, but for a slash at the end.
// https://www.rfc-editor.org/rfc/rfc3986#section-6.2.3
func normal(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Host = strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	case "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	return strings.TrimSuffix(u.String(), "/")
}

// get reads a JSON document.
func (p *provider) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return p.do(req, nil, into)
}

// post sends a form with the client's ID and reads the JSON answer. into may be
// nil for an answer that does not matter.
func (p *provider) post(ctx context.Context, address string, form url.Values, into any) error {
	form.Set("client_id", p.ID)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(req, form, into)
}

// do makes a request. A refusal is as in RFC 6749 section 5.2; whatever is
// neither that nor JSON is not from the provider.
func (p *provider) do(req *http.Request, form url.Values, into any) error {
	what := req.Method + " " + req.URL.Path + " at " + req.URL.Host
	client := *p.http
	if form != nil {
		// Codes and tokens go where they were meant to, and nowhere else.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "aws-runas/"+p.AWS.Version)
	resp, err := client.Do(req)
	if err != nil {
		if req.Context().Err() != nil {
			return req.Context().Err()
		}
		return p.AWS.Unreachable(what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		if req.Context().Err() != nil {
			return req.Context().Err()
		}
		return p.AWS.Unreachable(what, err)
	}
	p.Cache.Debug("%s: HTTP status %d", what, resp.StatusCode)

	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := json.Unmarshal(body, &refusal) == nil
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || refusal.Error == "temporarily_unavailable" || refusal.Error == "server_error":
		return &session.Unreachable{What: what, Err: fmt.Errorf("the provider has a problem (HTTP status %d)", resp.StatusCode), Advice: "wait a minute and try again"}
	case isJSON && refusal.Error != "":
		return p.refused(refusal.Error, refusal.Description, form)
	case form == nil && slices.Contains([]int{400, 401, 404, 405, 410}, resp.StatusCode):
		return p.fault("", "web_identity_auth_url %q: there is no OpenID provider (%s has HTTP status %d)", p.address(), profile.Shown(req.URL.String()), resp.StatusCode)
	case form != nil && (resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnauthorized):
		// As a provider must say no, though not in the words it must say it in.
		return p.refused(fmt.Sprintf("HTTP status %d", resp.StatusCode), "", form)
	case resp.StatusCode/100 != 2:
		return &session.Unreachable{What: what, Err: fmt.Errorf("the answer (HTTP status %d, %s) is not that of an OpenID provider: is it a proxy's?", resp.StatusCode, kindOf(kind))}
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &session.Unreachable{What: what, Err: fmt.Errorf("the answer (%s) is not the JSON of an OpenID provider: is it a proxy's?", kindOf(kind))}
	}
	return nil
}

func kindOf(media string) string {
	if media == "" {
		return "of no type"
	}
	return media
}

// refused is the provider's no, without what it was sent.
func (p *provider) refused(code, description string, form url.Values) error {
	no := &session.Refused{By: p.host(), Code: signin.Line(code), Message: signin.Line(description)}
	for name, sent := range form {
		switch name {
		case "code", "code_verifier", "refresh_token", "device_code", "token":
			no.Code = strings.ReplaceAll(no.Code, sent[0], "[redacted]")
			no.Message = strings.ReplaceAll(no.Message, sent[0], "[redacted]")
		}
	}
	switch code {
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_redirect_uri":
		no.Advice = fmt.Sprintf("the provider must know the client %s as a public one (no secret, PKCE) with the redirect URI %s", p.ID, p.RedirectURI)
	case "access_denied":
		no.Advice = p.again()
	}
	return no
}

// tokens are the answer of the token endpoint.
type tokens struct {
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
}

// token asks the token endpoint.
func (p *provider) token(ctx context.Context, form url.Values) (tokens, error) {
	var t tokens
	err := p.post(ctx, p.TokenURL, form, &t)
	return t, err
}

// refresh gets an id_token for a refresh token, and keeps the one that takes its
// place. https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokens
func (p *provider) refresh(ctx context.Context, g grant) (idToken, error) {
	got, err := p.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}})
	if err != nil {
		return idToken{}, err
	}
	if got.RefreshToken != "" {
		p.keep(ctx, grant{got.RefreshToken, g.Subject, g.Nonce})
	}
	t, nonce, err := p.verify(ctx, got.IDToken)
	switch {
	case err != nil:
		return idToken{}, err
	case t.Subject != g.Subject:
		return idToken{}, p.unfit("it is for another person than before")
	case nonce != "" && nonce != g.Nonce:
		return idToken{}, p.unfit("its nonce is not that of the sign-in")
	}
	return t, nil
}

// revoke ends a refresh token.
func (p *provider) revoke(ctx context.Context, refreshToken string) error {
	if p.RevokeURL == "" {
		return nil
	}
	return p.post(ctx, p.RevokeURL, url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}, nil)
}

// verify checks an id_token as
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation says.
// Its nonce is left to the caller.
func (p *provider) verify(ctx context.Context, raw string) (t idToken, nonce string, err error) {
	if raw == "" {
		return t, "", p.unfit("there is none in the answer: does the client have the scope openid?")
	}
	keys, err := p.keys(ctx)
	if err != nil {
		return t, "", err
	}
	verifier := oidc.NewVerifier(p.Issuer, keys, &oidc.Config{ClientID: p.ID, SupportedSigningAlgs: algorithms, Now: p.Cache.Now})
	got, err := verifier.Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return t, "", &unfit{fmt.Sprintf("the id_token of %s is not accepted: it ended at %s, and it is %s by the clock of this machine",
			p.host(), expired.Expiry.UTC().Format(time.RFC3339), p.Cache.Now().UTC().Format(time.RFC3339)), awsapi.SetClock()}
	case err != nil && algorithm(raw) != "" && !slices.Contains(algorithms, algorithm(raw)):
		return t, "", &unfit{fmt.Sprintf("the id_token of %s is not accepted: it is signed by %q, and AWS takes %s", p.host(), signin.Line(algorithm(raw)), strings.Join(algorithms, ", ")),
			fmt.Sprintf("those who run %s have it sign the tokens of the client %s by RS256", p.host(), p.ID)}
	case err != nil:
		return t, "", p.unfit("%s", signin.Line(strings.TrimPrefix(err.Error(), "oidc: ")))
	}
	var claims struct {
		AuthorizedParty   string `json:"azp"`
		PreferredUsername string `json:"preferred_username"`
		UPN               string `json:"upn"`
		Email             string `json:"email"`
	}
	if err := got.Claims(&claims); err != nil {
		return t, "", p.unfit("its claims cannot be read")
	}
	switch {
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != p.ID, len(got.Audience) > 1 && claims.AuthorizedParty == "":
		return t, "", p.unfit("it was issued to another client than %q", p.ID)
	case got.Subject == "":
		return t, "", p.unfit("it names nobody")
	}
	t = idToken{Token: raw, Subject: got.Subject, Issued: p.Cache.Now(), Expires: got.Expiry}
	for _, name := range [...]string{claims.PreferredUsername, claims.UPN, claims.Email} {
		if t.User == "" {
			t.User = name
		}
	}
	return t, got.Nonce, nil
}

// algorithm is what a token says of its signature.
func algorithm(token string) string {
	head, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var h struct {
		Algorithm string `json:"alg"`
	}
	if json.Unmarshal(b, &h) != nil {
		return ""
	}
	return h.Algorithm
}

// keys are those that the provider signs with. A key of a kind that is not
// known here does not spoil the others.
func (p *provider) keys(ctx context.Context) (oidc.KeySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := p.get(ctx, p.KeysURL, &doc); err != nil {
		return nil, err
	}
	set := &oidc.StaticKeySet{}
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil && k.IsPublic() && k.Valid() && (k.Use == "" || k.Use == "sig") {
			set.PublicKeys = append(set.PublicKeys, crypto.PublicKey(k.Key))
		}
	}
	return set, nil
}

// unfit is the error of a token that must not be used.
func (p *provider) unfit(format string, args ...any) error {
	return &unfit{fmt.Sprintf("the id_token of %s is not accepted: "+format, append([]any{p.host()}, args...)...),
		"aws-runas env --explain " + awsapi.Word(p.AWS.Profile)}
}

type unfit struct{ message, advice string }

func (e *unfit) Error() string { return e.message }
func (e *unfit) Hint() string  { return e.advice }

// again is the line that signs in.
func (p *provider) again() string { return "aws-runas login " + awsapi.Word(p.AWS.Profile) }

// offline reports whether a refresh token can be asked for by scope.
// https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess
func (m *metadata) offline() bool { return slices.Contains(m.Scopes, oidc.ScopeOfflineAccess) }

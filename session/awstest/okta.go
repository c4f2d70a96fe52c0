package awstest

import (
	"net/http"
	"slices"
	"strings"
)

// Okta's Authentication API and its sessions, by
// https://developer.okta.com/docs/reference/api/authn/ and
// https://developer.okta.com/docs/reference/api/sessions/

const oktaCookie = "sid"

var oktaFactors = []struct{ kind, factorType, provider string }{
	{"push", "push", "OKTA"}, {"totp", "token:software:totp", "GOOGLE"}, {"sms", "sms", "OKTA"}, {"call", "call", "OKTA"}, {"duo", "web", "DUO"},
}

func (c *idpCall) okta() {
	c.w.Header().Set("X-Okta-Request-Id", random(16))
	path := c.r.URL.Path
	verify, isFactor := strings.CutPrefix(path, "/api/v1/authn/factors/")
	switch {
	case path == "/api/v1/authn" && c.r.Method == http.MethodPost:
		c.oktaPassword()
	case isFactor && c.r.Method == http.MethodPost:
		c.oktaFactor(strings.TrimSuffix(verify, "/verify"))
	case path == "/api/v1/sessions/me" && c.r.Method == http.MethodDelete:
		k, err := c.r.Cookie(oktaCookie)
		if err != nil || c.sessions[k.Value] == nil {
			c.oktaError(http.StatusNotFound, "E0000007", "Not found: Resource not found: me (Session)")
			return
		}
		delete(c.sessions, k.Value)
		c.w.WriteHeader(http.StatusNoContent)
	case strings.HasPrefix(path, "/app/"):
		if token := c.r.URL.Query().Get("sessionToken"); token != "" {
			if at := c.pending[token]; at != nil { // it counts once
				delete(c.pending, token)
				c.begin(oktaCookie, at.person)
				c.hand(at.person, samlRequest{acs: SigninURL})
				return
			}
		}
		if s := c.session(oktaCookie); s != nil {
			c.hand(s.person, samlRequest{acs: SigninURL})
			return
		}
		c.html(http.StatusOK, `<!doctype html><html><head><title>Example - Sign In</title></head><body><div id="okta-login-container"></div><script>var signIn = new OktaSignIn({});</script><noscript><div id="noscript-msg">Javascript is required</div></noscript></body></html>`)
	default:
		c.oktaError(http.StatusNotFound, "E0000022", "The endpoint does not support the provided HTTP method")
	}
}

func (c *idpCall) oktaError(status int, code, summary string) {
	c.json(status, map[string]any{"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae" + random(16), "errorCauses": []any{}})
}

func (c *idpCall) oktaPassword() {
	var in struct{ Username, Password string }
	if !c.read(&in) {
		return
	}
	p, why := c.password(in.Username, in.Password)
	switch why {
	case "wrong":
		c.oktaError(http.StatusUnauthorized, "E0000004", "Authentication failed")
	case "locked":
		c.json(http.StatusOK, map[string]any{"status": "LOCKED_OUT", "_embedded": map[string]any{}})
	case "expired":
		c.json(http.StatusOK, map[string]any{"status": "PASSWORD_EXPIRED", "stateToken": c.secret("00")})
	default:
		if len(p.Factors) == 0 {
			c.oktaSuccess(p)
			return
		}
		state := c.secret("00")
		c.pending[state] = &idpPending{person: p}
		var factors []any
		for _, f := range p.Factors {
			for _, k := range oktaFactors {
				if k.kind == f {
					factors = append(factors, map[string]any{
						"id": "f-" + f, "factorType": k.factorType, "provider": k.provider, "profile": map[string]any{"name": "Alice's phone", "phoneNumber": "+1 XXX-XXX-4711"},
						"_links": map[string]any{"verify": map[string]any{"href": c.at() + "/api/v1/authn/factors/f-" + f + "/verify", "hints": map[string]any{"allow": []string{"POST"}}}},
					})
				}
			}
		}
		c.json(http.StatusOK, map[string]any{"status": "MFA_REQUIRED", "stateToken": state, "_embedded": map[string]any{"factors": factors}})
	}
}

func (c *idpCall) oktaSuccess(p *Person) {
	token := c.secret("2011")
	c.pending[token] = &idpPending{person: p}
	c.json(http.StatusOK, map[string]any{"status": "SUCCESS", "sessionToken": token, "expiresAt": c.now.Add(5 * 60e9)})
}

func (c *idpCall) oktaFactor(id string) {
	var in struct{ StateToken, PassCode string }
	if !c.read(&in) {
		return
	}
	at := c.pending[in.StateToken]
	kind := strings.TrimPrefix(id, "f-")
	if at == nil || !slices.Contains(at.person.Factors, kind) {
		c.oktaError(http.StatusUnauthorized, "E0000011", "Invalid token provided")
		return
	}
	challenge := func(result string) {
		factor := map[string]any{"id": id, "factorType": kind}
		if at.person.Number != 0 {
			factor["_embedded"] = map[string]any{"challenge": map[string]any{"correctAnswer": at.person.Number}}
		}
		c.json(http.StatusOK, map[string]any{
			"status": "MFA_CHALLENGE", "stateToken": in.StateToken, "factorResult": result, "_embedded": map[string]any{"factor": factor},
			"_links": map[string]any{"next": map[string]any{"name": "poll", "href": c.at() + "/api/v1/authn/factors/" + id + "/verify"}},
		})
	}
	if kind == "push" {
		if at.polls == 0 {
			at.person.pushes++
		}
		at.polls++
		switch {
		case at.polls < 3 || at.person.Push == "":
			challenge("WAITING")
		case at.person.Push == "reject":
			challenge("REJECTED")
		default:
			delete(c.pending, in.StateToken)
			c.oktaSuccess(at.person)
		}
		return
	}
	if in.PassCode == "" && kind != "totp" { // sends the code
		at.person.pushes++
		challenge("CHALLENGE")
		return
	}
	if !c.code(at.person, in.PassCode) {
		if at.tries++; at.tries >= 5 {
			delete(c.pending, in.StateToken)
		}
		c.oktaError(http.StatusForbidden, "E0000068", "Invalid Passcode/Answer")
		return
	}
	delete(c.pending, in.StateToken)
	c.oktaSuccess(at.person)
}

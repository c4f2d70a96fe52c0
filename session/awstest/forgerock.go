package awstest

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
)

// ForgeRock's authentication over REST, by
// https://docs.pingidentity.com/pingam/8/am-authentication/login-using-REST.html and
// https://docs.pingidentity.com/pingam/8/am-authentication/callbacks-read-only.html

const forgeCookie = "iPlanetDirectoryPro"

func (c *idpCall) forgeRock() {
	c.w.Header().Set("Access-Control-Allow-Headers", "X-OpenAM-Username, X-OpenAM-Password")
	fail := func(status int, message string) {
		c.json(status, map[string]any{"code": status, "reason": http.StatusText(status), "message": message})
	}
	token := func(p *Person) {
		id := c.begin(forgeCookie, p)
		c.json(http.StatusOK, map[string]any{"tokenId": id, "successUrl": "/auth/console", "realm": "/staff"})
	}
	switch c.r.URL.Path {
	case "/auth/json/realms/staff/authenticate":
		if !strings.Contains(c.r.Header.Get("Accept-API-Version"), "resource=2.0") || c.r.Method != http.MethodPost {
			fail(http.StatusBadRequest, "Accept-API-Version")
			return
		}
		service := c.r.URL.Query().Get("authIndexValue")
		var in struct {
			AuthID    string `json:"authId"`
			Callbacks []struct {
				Type  string `json:"type"`
				Input []struct {
					Name  string          `json:"name"`
					Value json.RawMessage `json:"value"`
				} `json:"input"`
			} `json:"callbacks"`
		}
		if len(c.body) > 0 && !c.read(&in) {
			return
		}
		if in.AuthID == "" {
			decode := new(mime.WordDecoder)
			name, _ := decode.DecodeHeader(c.r.Header.Get("X-OpenAM-Username"))
			password, _ := decode.DecodeHeader(c.r.Header.Get("X-OpenAM-Password"))
			p, why := c.password(name, password)
			switch {
			case why == "locked":
				fail(http.StatusUnauthorized, "User Account is Locked")
				return
			case why != "":
				fail(http.StatusUnauthorized, "Authentication Failed")
				return
			}
			factor := map[string]string{"mfa_push_authentication": "push", "mfa_oath_authentication": "totp"}[service]
			if service == "" || factor == "" && service == "ldapService" {
				token(p)
				return
			}
			found := false
			for _, f := range p.Factors {
				found = found || f == factor
			}
			if !found {
				fail(http.StatusUnauthorized, "Login failure")
				return
			}
			id := c.secret("eyJ")
			c.pending[id] = &idpPending{person: p, factor: factor}
			c.forgeAsk(id, c.pending[id])
			return
		}
		at := c.pending[in.AuthID]
		if at == nil {
			fail(http.StatusUnauthorized, "Session has timed out")
			return
		}
		if at.factor == "push" {
			at.polls++
			switch {
			case at.polls < 3 || at.person.Push == "":
				c.forgeAsk(in.AuthID, at)
			case at.person.Push == "reject":
				delete(c.pending, in.AuthID)
				fail(http.StatusUnauthorized, "Login failure")
			default:
				delete(c.pending, in.AuthID)
				token(at.person)
			}
			return
		}
		delete(c.pending, in.AuthID)
		code := ""
		for _, cb := range in.Callbacks {
			if cb.Type == "PasswordCallback" && len(cb.Input) == 1 && cb.Input[0].Name == "IDToken1" {
				json.Unmarshal(cb.Input[0].Value, &code) // left empty, it is wrong
			}
		}
		if !c.code(at.person, code) {
			fail(http.StatusUnauthorized, "Authentication Failed")
			return
		}
		token(at.person)
	case "/auth/json/realms/staff/sessions/":
		if c.r.URL.Query().Get("_action") != "logout" || c.sessions[c.r.Header.Get(forgeCookie)] == nil {
			fail(http.StatusUnauthorized, "Access Denied")
			return
		}
		delete(c.sessions, c.r.Header.Get(forgeCookie))
		c.json(http.StatusOK, map[string]any{"result": "Successfully logged out"})
	case "/auth/idpssoinit":
		q := c.r.URL.Query()
		if q.Get("metaAlias") != "/staff/saml-idp" || q.Get("spEntityID") != "urn:amazon:webservices" {
			c.html(http.StatusBadRequest, "<title>Error</title>unknown metaAlias")
			return
		}
		if s := c.session(forgeCookie); s != nil {
			c.hand(s.person, samlRequest{acs: SigninURL})
			return
		}
		c.html(http.StatusOK, "<!doctype html><title>OpenAM</title><script src=main.js></script>")
	default:
		fail(http.StatusNotFound, "Not found")
	}
}

func (c *idpCall) forgeAsk(id string, at *idpPending) {
	pair := func(name string, value any) map[string]any { return map[string]any{"name": name, "value": value} }
	var callbacks []any
	if at.factor == "push" {
		if at.polls == 0 {
			at.person.pushes++
		}
		callbacks = append(callbacks, map[string]any{"type": "PollingWaitCallback", "output": []any{pair("waitTime", "2000"), pair("message", "Waiting for response...")}})
		if at.person.Number != 0 {
			callbacks = append(callbacks, map[string]any{"type": "HiddenValueCallback", "output": []any{pair("value", at.person.Number), pair("id", "pushChallengeNumber")}, "input": []any{pair("IDToken2", "pushChallengeNumber")}})
		}
	} else {
		callbacks = append(callbacks,
			map[string]any{"type": "PasswordCallback", "output": []any{pair("prompt", "One Time Password")}, "input": []any{pair("IDToken1", "")}},
			map[string]any{"type": "ConfirmationCallback", "output": []any{pair("prompt", ""), pair("options", []string{"Submit OTP"}), pair("defaultOption", 0)}, "input": []any{pair("IDToken2", 0)}})
	}
	c.json(http.StatusOK, map[string]any{"authId": id, "callbacks": callbacks})
}

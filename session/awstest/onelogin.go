package awstest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// OneLogin's API for assertions, by https://developers.onelogin.com/api-docs/2/saml-assertions
// and https://developers.onelogin.com/api-docs/2/saml-assertions/verify-factor

const (
	oneLoginID     = "fake-client-id"
	oneLoginSecret = "fake-client-secret"
)

// Each factor is a device, numbered by its place.
var oneLoginTypes = map[string]string{"push": "OneLogin Protect", "totp": "Google Authenticator", "sms": "OneLogin SMS", "call": "OneLogin Voice"}

func (c *idpCall) oneLogin() {
	fail := func(status int, message string) {
		c.json(status, map[string]any{"statusCode": status, "name": http.StatusText(status), "message": message})
	}
	path := c.r.URL.Path
	if path == "/auth/oauth2/v2/token" {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(oneLoginID+":"+oneLoginSecret))
		if c.r.Header.Get("Authorization") != want {
			fail(http.StatusUnauthorized, "Authentication Failure")
			return
		}
		token := c.secret("bearer")
		c.sessions[token] = &idpSession{expires: c.now.Add(10 * 60 * 60e9)}
		c.json(http.StatusOK, map[string]any{"access_token": token, "token_type": "bearer", "expires_in": 36000})
		return
	}
	if c.sessions[strings.TrimPrefix(c.r.Header.Get("Authorization"), "bearer:")] == nil {
		fail(http.StatusUnauthorized, "Authentication Failure")
		return
	}
	switch {
	case path == "/api/2/saml_assertion":
		var in struct {
			Username  string `json:"username_or_email"`
			Password  string `json:"password"`
			Subdomain string `json:"subdomain"`
			App       string `json:"app_id"`
		}
		if !c.read(&in) {
			return
		}
		if in.App != "4711" || in.Subdomain == "" {
			fail(http.StatusBadRequest, "The app_id or subdomain is not valid")
			return
		}
		p, why := c.password(in.Username, in.Password)
		switch why {
		case "wrong":
			fail(http.StatusUnauthorized, "Authentication Failed: Invalid user credentials")
		case "locked":
			fail(http.StatusUnauthorized, "User is locked. Access is unauthorized")
		case "expired":
			fail(http.StatusUnauthorized, "Authentication Failed: Password expired")
		default:
			if len(p.Factors) == 0 {
				c.json(http.StatusOK, map[string]any{"message": "Success", "data": c.respond(p, samlRequest{acs: SigninURL}, c.now)})
				return
			}
			state := c.secret("state")
			c.pending[state] = &idpPending{person: p}
			var devices []any
			for n, f := range p.Factors {
				devices = append(devices, map[string]any{"device_id": 100 + n, "device_type": oneLoginTypes[f]})
			}
			c.json(http.StatusOK, map[string]any{
				"message": "MFA is required for this user", "state_token": state, "callback_url": c.at() + "/api/2/saml_assertion/verify_factor",
				"devices": devices, "user": map[string]any{"id": 42, "username": p.Name},
			})
		}
	case path == "/api/2/saml_assertion/verify_factor":
		var in struct {
			App    string `json:"app_id"`
			Device string `json:"device_id"`
			State  string `json:"state_token"`
			OTP    string `json:"otp_token"`
			Quiet  bool   `json:"do_not_notify"`
		}
		if !c.read(&in) {
			return
		}
		at := c.pending[in.State]
		if at == nil {
			fail(http.StatusUnauthorized, "The state_token is not valid")
			return
		}
		factor := ""
		for n, f := range at.person.Factors {
			if in.Device == []string{"100", "101", "102", "103", "104"}[n] {
				factor = f
			}
		}
		success := func() {
			delete(c.pending, in.State)
			c.json(http.StatusOK, map[string]any{"message": "Success", "data": c.respond(at.person, samlRequest{acs: SigninURL}, c.now)})
		}
		switch {
		case factor == "":
			fail(http.StatusUnauthorized, "The device_id is not valid")
		case in.OTP != "":
			if !c.code(at.person, in.OTP) {
				fail(http.StatusUnauthorized, "Failed authentication with this factor")
				return
			}
			success()
		case factor == "totp":
			fail(http.StatusUnauthorized, "Failed authentication with this factor")
		default:
			if !in.Quiet {
				at.person.pushes++
			}
			at.polls++
			switch {
			case at.polls < 3 || at.person.Push == "" || factor == "sms":
				c.json(http.StatusOK, map[string]any{"message": "Authentication pending on OL Protect"})
			case at.person.Push == "reject":
				fail(http.StatusUnauthorized, "Failed authentication with this factor")
			default:
				success()
			}
		}
	case path == "/api/2/mfa/users/42/devices":
		c.json(http.StatusOK, []any{map[string]any{"device_id": 101, "default": true}})
	default:
		fail(http.StatusNotFound, "Not found")
	}
}

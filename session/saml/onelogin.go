package saml

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
)

// OneLogin's API hands out assertions by itself, to who has an API credential
// pair: in the address as token=base64(client_id:client_secret), with app_id
// and region. It makes no session, so there is nothing to keep.
// https://developers.onelogin.com/api-docs/2/saml-assertions

type oneLoginDevice struct {
	ID   json.Number `json:"device_id"`
	Type string      `json:"device_type"`
}

type oneLoginAnswer struct {
	Data        string           `json:"data"`
	StateToken  string           `json:"state_token"`
	CallbackURL string           `json:"callback_url"`
	Devices     []oneLoginDevice `json:"devices"`
	User        struct {
		ID json.Number `json:"id"`
	} `json:"user"`

	Message string `json:"message"`
}

func (n *signing) oneLogin(ctx context.Context) (*end, error) {
	q := n.start.Query()
	explain := "aws-runas env --explain " + awsapi.Word(n.idp.Profile)
	pair, err := base64.StdEncoding.DecodeString(q.Get("token"))
	if err != nil {
		pair, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(q.Get("token"), "="))
	}
	app := q.Get("app_id")
	if id, key, ok := strings.Cut(string(pair), ":"); err != nil || !ok || id == "" || key == "" || app == "" {
		return nil, &profile.Error{Message: fmt.Sprintf("the identity provider's address in profile %q lacks what OneLogin's API needs: token=base64(CLIENT_ID:CLIENT_SECRET) and app_id=NUMBER in its query", n.idp.Profile), Advice: explain}
	}
	api := &url.URL{Scheme: n.start.Scheme, Host: n.start.Host}
	if host := strings.ToLower(n.start.Hostname()); strings.HasSuffix(host, ".onelogin.com") {
		region := q.Get("region")
		if region == "" {
			region = "us"
		}
		if strings.Trim(region, "abcdefghijklmnopqrstuvwxyz") != "" {
			return nil, &profile.Error{Message: fmt.Sprintf("the region %q in the identity provider's address of profile %q is none of OneLogin's: it is us or eu", region, n.idp.Profile), Advice: explain}
		}
		api.Host = "api." + region + ".onelogin.com"
	}
	var token struct {
		AccessToken string `json:"access_token"`
		Message     string `json:"message"`
	}
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString(pair)}}
	status, err := n.v.call(ctx, "POST", api.JoinPath("/auth/oauth2/v2/token"), basic, map[string]any{"grant_type": "client_credentials"}, &token)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || token.AccessToken == "" {
		return nil, &session.Refused{By: api.Host, Message: said("the API credentials in its address were refused", oneLine(token.Message)), Advice: explain}
	}
	bearer := http.Header{"Authorization": {"bearer:" + token.AccessToken}}
	got, err := n.oneLoginPassword(ctx, api, bearer, app)
	if err != nil {
		return nil, err
	}
	if len(got.Devices) > 0 && got.Data == "" {
		if got, err = n.oneLoginFactor(ctx, api, bearer, app, got); err != nil {
			return nil, err
		}
	}
	if got.Data == "" {
		return nil, &session.Refused{By: api.Host, Message: said("its answer holds no assertion", oneLine(got.Message)), Advice: n.elsewhere()}
	}
	a, err := parseResponse(got.Data)
	if err != nil {
		return nil, &session.Refused{By: api.Host, Message: err.Error()}
	}
	return &end{assertion: a}, nil
}

func (n *signing) oneLoginPassword(ctx context.Context, api *url.URL, bearer http.Header, app string) (*oneLoginAnswer, error) {
	subdomain, _, _ := strings.Cut(n.start.Hostname(), ".")
	for {
		name, err := n.name(ctx, n.start.Host)
		if err != nil {
			return nil, err
		}
		pw, err := n.password(ctx, n.start.Host)
		if err != nil {
			return nil, err
		}
		n.sent, n.sentTo = pw, n.start.Host
		var got oneLoginAnswer
		status, err := n.v.call(ctx, "POST", api.JoinPath("/api/2/saml_assertion"), bearer, map[string]any{
			"username_or_email": name, "password": string(pw), "subdomain": subdomain, "app_id": app,
		}, &got)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			n.problem = ""
			return &got, nil
		case status != http.StatusUnauthorized:
			return nil, &session.Refused{By: api.Host, Message: said(fmt.Sprintf("HTTP status %d", status), oneLine(got.Message)), Advice: "aws-runas env --explain " + awsapi.Word(n.idp.Profile)}
		}
		if err := n.refused(ctx, n.start.Host, oneLine(got.Message)); err != nil {
			return nil, err
		}
	}
}

func oneLoginPushes(kind string) bool {
	kind = strings.ToLower(kind)
	return kind == "onelogin" || strings.Contains(kind, "protect") || strings.Contains(kind, "voice")
}

// oneLoginFactor verifies a second factor. A OneLogin Protect phone takes a push
// message and shows codes as well.
func (n *signing) oneLoginFactor(ctx context.Context, api *url.URL, bearer http.Header, app string, first *oneLoginAnswer) (*oneLoginAnswer, error) {
	if n.idp.MFAType == "none" {
		return nil, &session.Refused{By: api.Host, Code: "MFA", Message: "it asks for a second factor, and mfa_type is none", Advice: "aws-runas -t auto login " + awsapi.Word(n.idp.Profile)}
	}
	d, push := n.oneLoginChoose(ctx, api, bearer, first)
	if d == nil {
		var have []string
		for _, d := range first.Devices {
			have = append(have, d.Type)
		}
		return nil, n.noFactor(api.Host, have)
	}
	to, err := api.Parse(first.CallbackURL)
	if err != nil || first.CallbackURL == "" {
		to = api.JoinPath("/api/2/saml_assertion/verify_factor")
	}
	if to.Host != api.Host || to.Scheme != api.Scheme {
		return nil, &session.Refused{By: api.Host, Message: "its API leads away from it"}
	}
	device := oneLine(d.Type)
	body := map[string]any{"app_id": app, "device_id": d.ID.String(), "state_token": first.StateToken, "do_not_notify": false}
	var got *oneLoginAnswer
	verify := func(ctx context.Context) (pending bool, why string, err error) {
		got = new(oneLoginAnswer)
		status, err := n.v.call(ctx, "POST", to, bearer, body, got)
		switch message := oneLine(got.Message); {
		case err != nil:
			return false, "", err
		case got.Data != "":
			return false, "", nil
		case status == http.StatusOK && strings.Contains(strings.ToLower(message), "pending"):
			return true, "", nil
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			if message == "" {
				message = "the second factor was refused"
			}
			return false, message, nil
		default:
			return false, "", &session.Refused{By: api.Host, Code: "MFA", Message: said(fmt.Sprintf("HTTP status %d", status), message), Advice: n.elsewhere()}
		}
	}
	if push {
		err := n.push(ctx, device, pollInterval, func(ctx context.Context) (bool, string, error) {
			pending, why, err := verify(ctx)
			body["do_not_notify"] = true // from now on it is the same message
			if why != "" {
				err = n.mfaRefused(api.Host, why)
			}
			return !pending, "", err
		})
		return got, err
	}
	body["do_not_notify"] = true
	if kind := strings.ToLower(d.Type); strings.Contains(kind, "sms") || strings.Contains(kind, "email") {
		if err := n.mayPush(); err != nil {
			return nil, err
		}
		body["do_not_notify"] = false
		if _, why, err := verify(ctx); err != nil || why != "" {
			return nil, orRefused(err, n.mfaRefused(api.Host, why))
		}
		body["do_not_notify"] = true
	}
	err = n.tryCodes(ctx, device, func(code string) (string, error) {
		body["otp_token"] = code
		pending, why, err := verify(ctx)
		if pending {
			why = "the code was refused"
		}
		return why, err
	})
	return got, err
}

func orRefused(err error, refused *session.Refused) error {
	if err != nil {
		return err
	}
	return refused
}

// oneLoginChoose returns the device, and whether it takes a push message.
func (n *signing) oneLoginChoose(ctx context.Context, api *url.URL, bearer http.Header, first *oneLoginAnswer) (*oneLoginDevice, bool) {
	find := func(ok func(kind string) bool) *oneLoginDevice {
		for i := range first.Devices {
			if ok(strings.ToLower(first.Devices[i].Type)) {
				return &first.Devices[i]
			}
		}
		return nil
	}
	code := func() *oneLoginDevice {
		for _, word := range [...]string{"onelogin protect", "onelogin otp", "google", "authenticator", "sms", "email", "yubi", ""} {
			d := find(func(kind string) bool {
				return kind == "onelogin" && word == "onelogin protect" || strings.Contains(kind, word) && !strings.Contains(kind, "voice")
			})
			if d != nil {
				return d
			}
		}
		return nil
	}
	switch n.idp.MFAType {
	case "push":
		return find(oneLoginPushes), true
	case "code":
		return code(), false
	}
	if len(first.Devices) > 1 {
		// Which one the person chose as the default is told elsewhere, to those
		// credentials that may read it.
		var list struct {
			Data []struct {
				ID      json.Number `json:"device_id"`
				Default bool        `json:"default"`
			} `json:"data"`
		}
		var raw json.RawMessage
		status, err := n.v.call(ctx, "GET", api.JoinPath("/api/2/mfa/users", first.User.ID.String(), "devices"), bearer, nil, &raw)
		if err == nil && status == http.StatusOK {
			if json.Unmarshal(raw, &list) != nil {
				json.Unmarshal(raw, &list.Data) // the one form or the other
			}
		}
		for _, d := range list.Data {
			for i := range first.Devices {
				if have := &first.Devices[i]; d.Default && have.ID == d.ID {
					return have, oneLoginPushes(have.Type) && n.mayPush() == nil
				}
			}
		}
	}
	if d := find(oneLoginPushes); d != nil && n.mayPush() == nil {
		return d, true
	}
	return code(), false
}

package saml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
)

// Okta's sign-in page is a program; its Authentication API, which also serves
// organisations on the Identity Engine, is what it stands for.
// https://developer.okta.com/docs/reference/api/authn/

// pollInterval is how often a push message is asked after.
const pollInterval = 1250 * time.Millisecond

type oktaLink struct {
	Href string `json:"href"`
}

type oktaFactor struct {
	ID       string `json:"id"`
	Type     string `json:"factorType"`
	Provider string `json:"provider"`
	Vendor   string `json:"vendorName"`
	Profile  struct {
		Name        string `json:"name"` // of the phone
		PhoneNumber string `json:"phoneNumber"`
		Email       string `json:"email"`
	} `json:"profile"`
	Links struct {
		Verify oktaLink `json:"verify"`
	} `json:"_links"`
	Embedded struct {
		Challenge struct {
			CorrectAnswer json.RawMessage `json:"correctAnswer"` // a number
		} `json:"challenge"`
	} `json:"_embedded"`
}

type oktaState struct {
	Status       string `json:"status"`
	StateToken   string `json:"stateToken"`
	SessionToken string `json:"sessionToken"`
	FactorResult string `json:"factorResult"`
	Embedded     struct {
		Factors []oktaFactor `json:"factors"`
		Factor  oktaFactor   `json:"factor"`
	} `json:"_embedded"`
	Links struct {
		Next oktaLinks `json:"next"`
		Skip oktaLinks `json:"skip"`
	} `json:"_links"`

	ErrorCode    string `json:"errorCode"`
	ErrorSummary string `json:"errorSummary"`
}

// oktaLinks is one link or several.
type oktaLinks []oktaLink

func (l *oktaLinks) UnmarshalJSON(b []byte) error {
	var one oktaLink
	if err := json.Unmarshal(b, &one); err == nil {
		*l = oktaLinks{one}
		return nil
	}
	return json.Unmarshal(b, (*[]oktaLink)(l))
}

func (l oktaLinks) href() string {
	if len(l) == 0 {
		return ""
	}
	return l[0].Href
}

// okta signs in at the host of p and goes back there with what that gave.
func (n *signing) okta(ctx context.Context, p *page) (*request, error) {
	switch {
	case n.silent:
		return nil, errSignedOut
	case p.status >= 500 || p.status == http.StatusTooManyRequests || p.status == http.StatusNotFound:
		return nil, n.dead(p)
	case n.tokens > 0 && n.sentTo == p.url.Host:
		why := p.problem(nil)
		return nil, &session.Refused{By: p.url.Host, Message: said("you are signed in, and its application hands out no assertion", why), Advice: n.elsewhere()}
	}
	n.federated = p.url.Host != n.start.Host
	token, err := n.oktaToken(ctx, p.url)
	if err != nil {
		return nil, err
	}
	n.tokens++
	to := *n.start
	if n.federated {
		to = *p.url
	}
	q := to.Query()
	q.Set("sessionToken", token)
	to.RawQuery = q.Encode()
	n.last = sentNothing
	return get(&to), nil
}

// oktaToken is what the API gives for a password and a second factor.
func (n *signing) oktaToken(ctx context.Context, at *url.URL) (string, error) {
	state, err := n.oktaPassword(ctx, at)
	if err != nil {
		return "", err
	}
	host := at.Host
	for range maxPages {
		switch state.Status {
		case "SUCCESS":
			if state.SessionToken == "" {
				return "", &session.Refused{By: host, Message: "its answer holds no session token"}
			}
			return state.SessionToken, nil
		case "PASSWORD_WARN", "MFA_ENROLL":
			// Both can be put off where there is such a link.
			if state.Links.Skip.href() == "" {
				return "", n.oktaStuck(host, state.Status)
			}
			state, err = n.oktaCall(ctx, at, state.Links.Skip.href(), map[string]any{"stateToken": state.StateToken})
		case "MFA_REQUIRED", "MFA_CHALLENGE":
			state, err = n.oktaFactor(ctx, at, state)
		default:
			return "", n.oktaStuck(host, state.Status)
		}
		if err != nil {
			return "", err
		}
	}
	return "", n.oktaStuck(host, state.Status)
}

func (n *signing) oktaStuck(host, status string) error {
	e := &session.Refused{By: host, Code: status, Advice: n.elsewhere()}
	switch status {
	case "LOCKED_OUT":
		e.Message, e.Advice = "the account is locked", "those who run "+host+" unlock the account"
	case "PASSWORD_EXPIRED":
		e.Message, e.Advice = "the password has expired", "open https://"+host+" in a browser and change the password there"
	case "MFA_ENROLL", "MFA_ENROLL_ACTIVATE":
		e.Message, e.Advice = "a second factor has to be set up first", "open https://"+host+" in a browser and set it up there"
	default:
		e.Message = "aws-runas does not know how to go on from there"
	}
	return e
}

// oktaPassword is primary authentication.
func (n *signing) oktaPassword(ctx context.Context, at *url.URL) (*oktaState, error) {
	for {
		name, err := n.name(ctx, at.Host)
		if err != nil {
			return nil, err
		}
		pw, err := n.password(ctx, at.Host)
		if err != nil {
			return nil, err
		}
		n.sent, n.sentTo = pw, at.Host
		state, err := n.oktaCall(ctx, at, "/api/v1/authn", map[string]any{"username": name, "password": string(pw)})
		var no *oktaError
		switch {
		case err == nil:
			n.problem = ""
			return state, nil
		case !errors.As(err, &no):
			return nil, err
		case no.Code != "E0000004" && no.status != http.StatusUnauthorized:
			return nil, &no.Refused
		}
		if err := n.refused(ctx, at.Host, no.Message); err != nil {
			return nil, err
		}
	}
}

// oktaError is a refusal in the API's own words.
// https://developer.okta.com/docs/reference/error-codes/
type oktaError struct {
	session.Refused
	status int
}

func (n *signing) oktaCall(ctx context.Context, at *url.URL, href string, in any) (*oktaState, error) {
	to, err := at.Parse(href)
	if err != nil || to.Host != at.Host || to.Scheme != at.Scheme {
		return nil, &session.Refused{By: at.Host, Message: "its API leads away from it"}
	}
	var out oktaState
	status, err := n.v.call(ctx, "POST", to, nil, in, &out)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		if out.ErrorSummary == "" {
			out.ErrorSummary = fmt.Sprintf("HTTP status %d", status)
		}
		return nil, &oktaError{session.Refused{By: at.Host, Code: out.ErrorCode, Message: oneLine(out.ErrorSummary), Advice: "aws-runas login " + awsapi.Word(n.idp.Profile)}, status}
	}
	return &out, nil
}

// oktaFactor chooses a second factor and verifies it. Not among those that work
// here are Duo's frame, U2F, WebAuthn and security questions.
func (n *signing) oktaFactor(ctx context.Context, at *url.URL, state *oktaState) (*oktaState, error) {
	if n.idp.MFAType == "none" {
		return nil, &session.Refused{By: at.Host, Code: "MFA", Message: "it asks for a second factor, and mfa_type is none", Advice: "aws-runas -t auto login " + awsapi.Word(n.idp.Profile)}
	}
	f := n.oktaChoose(state.Embedded.Factors)
	if f == nil {
		var have []string
		for _, f := range state.Embedded.Factors {
			have = append(have, strings.TrimSpace(f.Type+" "+strings.ToLower(f.Provider)))
		}
		return nil, n.noFactor(at.Host, have)
	}
	body := map[string]any{"stateToken": state.StateToken}
	if f.Type == "push" {
		return n.oktaPush(ctx, at, f, body)
	}
	subject := at.Host
	switch f.Type {
	case "sms", "call", "email": // the first call sends the code
		if err := n.mayPush(); err != nil {
			return nil, err
		}
		if _, err := n.oktaCall(ctx, at, f.Links.Verify.Href, body); err != nil {
			return nil, plain(err)
		}
		subject = oneLine(f.Profile.PhoneNumber + f.Profile.Email)
	}
	var next *oktaState
	err := n.tryCodes(ctx, subject, func(code string) (string, error) {
		body["passCode"] = code
		got, err := n.oktaCall(ctx, at, f.Links.Verify.Href, body)
		var no *oktaError
		if errors.As(err, &no) && (no.Code == "E0000068" || no.status == http.StatusForbidden) && !locked(no.Message) {
			return no.Message, nil
		}
		next = got
		return "", plain(err)
	})
	return next, err
}

// plain is err as the rest of the program knows it.
func plain(err error) error {
	var no *oktaError
	if errors.As(err, &no) {
		return &no.Refused
	}
	return err
}

func (n *signing) oktaChoose(factors []oktaFactor) *oktaFactor {
	find := func(kind string) *oktaFactor {
		for i := range factors {
			if f := &factors[i]; f.Type == kind && f.Provider != "DUO" && f.Links.Verify.Href != "" {
				return f
			}
		}
		return nil
	}
	var order []string
	switch n.idp.MFAType {
	case "push":
		order = []string{"push"}
	case "code":
		order = []string{"token:software:totp", "token:hotp", "token", "token:hardware", "sms", "email", "call"}
	default:
		order = []string{"push", "token:software:totp", "token:hotp", "token", "token:hardware", "sms", "email", "call"}
		if n.idp.OTP != nil && n.mayPush() != nil {
			order = append(order[1:], "push") // nobody is there to answer a phone
		}
	}
	for _, kind := range order {
		if f := find(kind); f != nil {
			return f
		}
	}
	return nil
}

// noFactor is the error when none of a person's factors will do.
func (n *signing) noFactor(host string, have []string) error {
	e := &session.Refused{By: host, Code: "MFA", Advice: n.elsewhere()}
	kind := n.idp.MFAType
	if kind == "" {
		kind = "auto"
	}
	e.Message = fmt.Sprintf("no second factor fits mfa_type %s", kind)
	if len(have) > 0 {
		e.Message += ": there are " + oneLine(strings.Join(have, ", "))
	}
	return e
}

func (n *signing) oktaPush(ctx context.Context, at *url.URL, f *oktaFactor, body any) (*oktaState, error) {
	device := oneLine(f.Profile.Name)
	if device == "" {
		device = "your phone"
	}
	href := f.Links.Verify.Href
	var state *oktaState
	err := n.push(ctx, device, pollInterval, func(ctx context.Context) (bool, string, error) {
		got, err := n.oktaCall(ctx, at, href, body)
		if err != nil {
			return false, "", plain(err)
		}
		state = got
		if got.Status != "MFA_CHALLENGE" {
			return true, "", nil
		}
		switch got.FactorResult {
		case "WAITING", "CHALLENGE", "":
			if next := got.Links.Next.href(); next != "" {
				href = next
			}
			return false, strings.Trim(string(got.Embedded.Factor.Embedded.Challenge.CorrectAnswer), `" `), nil
		case "REJECTED":
			return false, "", n.mfaRefused(at.Host, "the push message was rejected on "+device)
		case "TIMEOUT":
			return false, "", n.mfaRefused(at.Host, "nobody answered the push message to "+device+" in time")
		}
		return false, "", n.mfaRefused(at.Host, "the push message failed: "+oneLine(got.FactorResult))
	})
	return state, err
}

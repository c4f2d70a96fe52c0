package saml

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/session"
)

// Microsoft's sign-in pages are programs that find what they need in a variable
// named $Config. There is no API beside them, so this follows what they do; it
// has to be looked after when they change.

type entraProof struct {
	Method  string `json:"authMethodId"`
	Display string `json:"display"`
	Default bool   `json:"isDefault"`
}

// entraPage is what $Config holds, as far as it is of use here.
type entraPage struct {
	PageID     string          `json:"pgid"`
	FlowToken  string          `json:"sFT"`
	FlowName   string          `json:"sFTName"`
	Context    string          `json:"sCtx"`
	Canary     string          `json:"canary"`
	SessionID  string          `json:"sessionId"`
	ErrorCode  json.RawMessage `json:"sErrorCode"` // a string or a number
	ErrorText  string          `json:"sErrTxt"`
	Exception  string          `json:"strServiceExceptionMessage"`
	URLPost    string          `json:"urlPost"`
	URLCreds   string          `json:"urlGetCredentialType"`
	URLBegin   string          `json:"urlBeginAuth"`
	URLEnd     string          `json:"urlEndAuth"`
	URLSkip    string          `json:"urlSkipMfaRegistration"`
	Username   string          `json:"sPOST_Username"`
	APICanary  string          `json:"apiCanary"`
	Correlate  string          `json:"correlationId"`
	Proofs     []entraProof    `json:"arrUserProofs"`
	CredResult entraCredResult `json:"oGetCredTypeResult"`
	// Seconds, by method.
	Polling map[string]float64 `json:"oPerAuthPollingInterval"`
}

type entraCredResult struct {
	IfExists    int `json:"IfExistsResult"`
	Credentials struct {
		Federation string `json:"FederationRedirectUrl"`
	} `json:"Credentials"`
	FlowToken string `json:"FlowToken"`
}

// entraConfig returns the page's $Config, nil if it has none.
func entraConfig(p *page) *entraPage {
	scripts := p.scripts()
	for rest := scripts; ; {
		_, after, ok := strings.Cut(rest, "$Config")
		if !ok {
			return nil
		}
		rest = after
		value, ok := strings.CutPrefix(strings.TrimLeft(after, " \t\r\n"), "=")
		if !ok {
			continue
		}
		var c entraPage
		// The decoder stops after the value, where the script goes on.
		if err := json.NewDecoder(strings.NewReader(value)).Decode(&c); err != nil {
			continue
		}
		if c.URLPost != "" || c.FlowToken != "" || len(c.ErrorCode) > 0 || c.URLSkip != "" {
			return &c
		}
	}
}

// errorCode is the number of what went wrong, "" if nothing did. 50058 says that
// nobody is signed in yet.
func (c *entraPage) errorCode() string {
	s := strings.Trim(string(c.ErrorCode), `" `)
	if s == "0" || s == "null" || s == "50058" {
		return ""
	}
	return s
}

// entra answers a page with $Config.
func (n *signing) entra(ctx context.Context, p *page, c *entraPage) (*request, error) {
	if n.silent {
		return nil, errSignedOut
	}
	code := c.errorCode()
	words := oneLine(stripTags(c.ErrorText))
	if words == "" {
		words = oneLine(stripTags(c.Exception))
	}
	post, err := p.base.Parse(c.URLPost)
	if err != nil || post.Scheme != "https" && post.Scheme != "http" {
		return nil, &session.Refused{By: p.url.Host, Message: "its page leads to an address that is none"}
	}
	fields := url.Values{}
	if c.FlowName == "" {
		c.FlowName = "flowToken"
	}
	fields.Set(c.FlowName, c.FlowToken)
	switch {
	case code != "" && code != "50126" && code != "50034" && code != "500121":
		return nil, n.entraRefused(p.url.Host, code, words)
	case c.URLSkip != "":
		skip, err := p.base.Parse(c.URLSkip)
		if err != nil {
			return nil, &session.Refused{By: p.url.Host, Message: "its page leads to an address that is none"}
		}
		n.idp.Notice(p.url.Host + " asks you to set up a second factor; this was put off")
		return &request{method: "GET", url: skip, referer: p.url}, nil
	case len(c.Proofs) > 0 && c.URLBegin != "":
		return n.entraFactor(ctx, p, c, post)
	case strings.HasSuffix(strings.ToLower(post.Path), "/kmsi"), strings.EqualFold(c.PageID, "KmsiInterrupt"):
		fields.Set("ctx", c.Context)
		fields.Set("canary", c.Canary)
		fields.Set("LoginOptions", "1") // stay signed in: the session is what the keyring keeps
		n.last = sentNothing
		return posts(p, post, fields), nil
	case c.PageID == "ConvergedConditionalAccess", c.PageID == "ConvergedChangePassword", c.PageID == "ConvergedError", c.PageID == "ConvergedProofUpRedirect":
		return nil, n.entraRefused(p.url.Host, c.PageID, words)
	case c.FlowToken == "":
		return nil, n.dead(p)
	}
	return n.entraLogin(ctx, p, c, post, fields)
}

func posts(p *page, to *url.URL, fields url.Values) *request {
	return &request{method: "POST", url: to, body: []byte(fields.Encode()), contentType: "application/x-www-form-urlencoded", referer: p.url}
}

// entraLogin sends the name, and the password if Microsoft itself checks it.
func (n *signing) entraLogin(ctx context.Context, p *page, c *entraPage, post *url.URL, fields url.Values) (*request, error) {
	host := p.url.Host
	if n.last == sentPassword && n.sentTo == host {
		if err := n.refused(ctx, host, oneLine(stripTags(c.ErrorText))); err != nil {
			return nil, err
		}
	} else if c.errorCode() == "50034" {
		if err := n.unknownName(host, oneLine(stripTags(c.ErrorText))); err != nil {
			return nil, err
		}
	}
	name, err := n.name(ctx, host)
	if err != nil {
		return nil, err
	}
	fields.Set("ctx", c.Context)
	fields.Set("canary", c.Canary)
	fields.Set("hpgrequestid", c.SessionID)
	fields.Set("login", name)
	fields.Set("loginfmt", name)
	federation := c.CredResult.Credentials.Federation
	switch {
	case federation != "":
	case c.URLCreds != "":
		var got entraCredResult
		to, err := p.base.Parse(c.URLCreds)
		if err != nil {
			return nil, &session.Refused{By: host, Message: "its page leads to an address that is none"}
		}
		header := http.Header{"Canary": {c.APICanary}, "Client-Request-Id": {c.Correlate}, "Hpgrequestid": {c.SessionID}, "Referer": {p.url.String()}}
		if _, err := n.v.call(ctx, "POST", to, header, map[string]any{
			"username": name, "isOtherIdpSupported": true, "originalRequest": c.Context, "flowToken": c.FlowToken,
		}, &got); err != nil {
			return nil, err
		}
		federation = got.Credentials.Federation
		if got.FlowToken != "" {
			fields.Set(c.FlowName, got.FlowToken)
		}
	case n.last != sentName:
		n.last = sentName
		return posts(p, post, fields), nil
	}
	if federation != "" {
		to, err := p.base.Parse(federation)
		if err != nil {
			return nil, &session.Refused{By: host, Message: "it leads to an address that is none"}
		}
		n.federated, n.last = true, sentNothing
		return &request{method: "GET", url: to, referer: p.url}, nil
	}
	pw, err := n.password(ctx, host)
	if err != nil {
		return nil, err
	}
	n.sent, n.sentTo, n.last, n.problem = pw, host, sentPassword, ""
	fields.Set("passwd", string(pw))
	return posts(p, post, fields), nil
}

// entraRefused words the codes that people meet.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func (n *signing) entraRefused(host, code, words string) error {
	e := &session.Refused{By: host, Code: code, Message: words, Advice: n.elsewhere()}
	if strings.Trim(code, "0123456789") == "" {
		e.Code = "AADSTS" + code
	}
	ours := ""
	switch code {
	case "50053":
		ours, e.Advice = "the account is locked, or signs in from a blocked address", "those who run "+host+" unlock the account"
	case "50057":
		ours, e.Advice = "the account is disabled", "those who run "+host+" enable the account"
	case "50055", "50144", "ConvergedChangePassword":
		ours, e.Advice = "the password has expired", "open https://"+host+" in a browser and change the password there"
	case "50105":
		ours, e.Advice = "you are not assigned to the application", "those who run "+host+" assign you to the AWS application"
	case "53000", "53001", "53003", "ConvergedConditionalAccess":
		ours = "a conditional access policy does not let this device or place in"
	case "50072", "50074", "50076", "50079", "ConvergedProofUpRedirect":
		ours = "a second factor has to be set up first"
	}
	switch {
	case ours != "":
		e.Message = said(ours, words)
	case words == "":
		e.Message = "the sign-in failed"
	}
	return e
}

type entraRequest struct {
	Method    string `json:"Method"`
	AuthID    string `json:"AuthMethodId"`
	Context   string `json:"Ctx"`
	FlowToken string `json:"FlowToken"`
	SessionID string `json:"SessionId,omitempty"`
	Code      string `json:"AdditionalAuthData,omitempty"`
	PollCount int    `json:"PollCount,omitempty"`
}

type entraAnswer struct {
	Success   bool            `json:"Success"`
	Result    string          `json:"ResultValue"`
	Message   json.RawMessage `json:"Message"`
	ErrorCode int             `json:"ErrCode"`
	Retry     bool            `json:"Retry"`
	FlowToken string          `json:"FlowToken"`
	Context   string          `json:"Ctx"`
	SessionID string          `json:"SessionId"`
	Entropy   int             `json:"Entropy"` // the number to choose; 0: none
}

func (a *entraAnswer) words() string {
	var s string
	if json.Unmarshal(a.Message, &s) != nil || s == "" {
		s = a.Result
	}
	return oneLine(stripTags(s))
}

// entraFactor verifies a second factor: a push message to the app, or a code of
// the app or of a text message.
func (n *signing) entraFactor(ctx context.Context, p *page, c *entraPage, post *url.URL) (*request, error) {
	host := p.url.Host
	if n.idp.MFAType == "none" {
		return nil, &session.Refused{By: host, Code: "MFA", Message: "it asks for a second factor, and mfa_type is none", Advice: "aws-runas -t auto login " + n.idp.Profile}
	}
	proof := n.entraChoose(c.Proofs)
	if proof == nil {
		var have []string
		for _, p := range c.Proofs {
			have = append(have, p.Method)
		}
		return nil, n.noFactor(host, have)
	}
	push := entraPushes(proof.Method)
	if push || proof.Method == "OneWaySMS" {
		if err := n.mayPush(); err != nil {
			return nil, err
		}
	}
	begin, err := p.base.Parse(c.URLBegin)
	if err != nil {
		return nil, &session.Refused{By: host, Message: "its page leads to an address that is none"}
	}
	end, err := p.base.Parse(c.URLEnd)
	if err != nil {
		return nil, &session.Refused{By: host, Message: "its page leads to an address that is none"}
	}
	headers := http.Header{"Canary": {c.APICanary}, "Client-Request-Id": {c.Correlate}, "Hpgrequestid": {c.SessionID}}
	call := func(ctx context.Context, to *url.URL, in entraRequest) (*entraAnswer, error) {
		var out entraAnswer
		status, err := n.v.call(ctx, "POST", to, headers, in, &out)
		if err == nil && status != http.StatusOK {
			err = n.mfaRefused(host, said(fmt.Sprintf("HTTP status %d", status), out.words()))
		}
		return &out, err
	}
	last, err := call(ctx, begin, entraRequest{Method: "BeginAuth", AuthID: proof.Method, Context: c.Context, FlowToken: c.FlowToken})
	if err != nil {
		return nil, err
	}
	if !last.Success {
		return nil, n.mfaRefused(host, said("the second factor could not be used", last.words()))
	}
	number := ""
	if last.Entropy > 0 {
		number = strconv.Itoa(last.Entropy)
	}
	polls := 0
	verify := func(ctx context.Context, code string) (*entraAnswer, error) {
		polls++
		got, err := call(ctx, end, entraRequest{Method: "EndAuth", AuthID: proof.Method, Context: last.Context, FlowToken: last.FlowToken, SessionID: last.SessionID, Code: code, PollCount: polls})
		if err != nil {
			return nil, err
		}
		if got.FlowToken != "" {
			last.FlowToken = got.FlowToken
		}
		if got.Context != "" {
			last.Context = got.Context
		}
		if got.SessionID != "" {
			last.SessionID = got.SessionID
		}
		return got, nil
	}
	device := oneLine(proof.Display)
	if push {
		if device == "" {
			device = "your phone"
		}
		interval := max(time.Duration(c.Polling[proof.Method]*float64(time.Second)), 500*time.Millisecond)
		first := true
		err = n.push(ctx, device, min(interval, 10*time.Second), func(ctx context.Context) (bool, string, error) {
			if first {
				first = false
				return false, number, nil
			}
			got, err := verify(ctx, "")
			switch {
			case err != nil:
				return false, "", err
			case got.Success:
				return true, "", nil
			case got.Retry || got.Result == "AuthenticationPending":
				return false, number, nil
			}
			return false, "", n.mfaRefused(host, said("the push message was not approved", got.words()))
		})
	} else {
		if device == "" {
			device = host
		}
		err = n.tryCodes(ctx, device, func(code string) (string, error) {
			got, err := verify(ctx, code)
			if err != nil || got.Success {
				return "", err
			}
			if why := got.words(); why != "" {
				return why, nil
			}
			return "the code was refused", nil
		})
	}
	if err != nil {
		return nil, err
	}
	fields := url.Values{}
	fields.Set(c.FlowName, last.FlowToken)
	fields.Set("request", last.Context)
	fields.Set("login", c.Username)
	fields.Set("mfaAuthMethod", proof.Method)
	fields.Set("canary", c.Canary)
	n.last = sentNothing
	return posts(p, post, fields), nil
}

func entraPushes(method string) bool {
	return method == "PhoneAppNotification" || method == "CompanionAppsNotification" || strings.HasPrefix(method, "TwoWayVoice")
}

func (n *signing) entraChoose(proofs []entraProof) *entraProof {
	codes := []string{"PhoneAppOTP", "OneWaySMS"}
	pushes := []string{"PhoneAppNotification", "CompanionAppsNotification", "TwoWayVoiceMobile", "TwoWayVoiceOffice", "TwoWayVoiceAlternateMobile"}
	var order []string
	switch n.idp.MFAType {
	case "push":
		order = pushes
	case "code":
		order = codes
	default:
		order = append(pushes[:2:2], append(codes, pushes[2:]...)...)
		if n.mayPush() != nil {
			order = append(slices.Clone(codes), pushes...) // nobody is there to answer a phone
		}
		for i := range proofs {
			if m := proofs[i].Method; proofs[i].Default && slices.Contains(order, m) && (!entraPushes(m) || n.mayPush() == nil) {
				return &proofs[i]
			}
		}
	}
	for _, method := range order {
		for i := range proofs {
			if proofs[i].Method == method {
				return &proofs[i]
			}
		}
	}
	return nil
}

// stripTags leaves the text of what may be markup.
func stripTags(s string) string {
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			return s
		}
		j := strings.IndexByte(s[i:], '>')
		if j < 0 {
			return s[:i]
		}
		s = s[:i] + " " + s[i+j+1:]
	}
}

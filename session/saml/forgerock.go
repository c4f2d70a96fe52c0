package saml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/signin"
)

// ForgeRock (PingAM) signs people in by JSON and callbacks; the assertion comes
// from its IdP-initiated page.
// https://docs.pingidentity.com/pingam/8/am-authentication/login-using-REST.html

type forgeCallback struct {
	Type   string      `json:"type"`
	Output []forgePair `json:"output,omitempty"`
	Input  []forgePair `json:"input,omitempty"`
	ID     *int        `json:"_id,omitempty"`
}

type forgePair struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

type forgeState struct {
	AuthID    string          `json:"authId,omitempty"`
	Template  string          `json:"template,omitempty"`
	Stage     string          `json:"stage,omitempty"`
	Header    string          `json:"header,omitempty"`
	Callbacks []forgeCallback `json:"callbacks,omitempty"`

	TokenID string `json:"tokenId,omitempty"`
	Message string `json:"message,omitempty"`
}

// output is one of the values that a callback shows, as text.
func (c *forgeCallback) output(name string) string {
	for _, p := range c.Output {
		if p.Name == name {
			var s string
			if json.Unmarshal(p.Value, &s) != nil {
				s = string(p.Value)
			}
			return s
		}
	}
	return ""
}

func (c *forgeCallback) set(value any) {
	if len(c.Input) > 0 {
		c.Input[0].Value, _ = json.Marshal(value) // strings and numbers always marshal
	}
}

// forgeBase splits the address into that of the server and the realm.
func (n *signing) forgeBase() (base *url.URL, realm string, err error) {
	wrong := &profile.Error{
		Message: fmt.Sprintf("the identity provider's address in profile %q is none of ForgeRock's: it has /json/, /oauth2/ or /WSFederationServlet/ in it, and /realms/REALM or /metaAlias/REALM", n.idp.Profile),
		Advice:  "aws-runas env --explain " + awsapi.Word(n.idp.Profile),
	}
	path := n.start.EscapedPath()
	for _, mark := range [...]string{"/json/", "/oauth2/", "/WSFederationServlet/"} {
		before, rest, ok := strings.Cut(path, mark)
		if !ok {
			continue
		}
		rest = "/" + rest
		for _, name := range [...]string{"/realms/", "/metaAlias/"} {
			_, tail, ok := strings.Cut(rest, name)
			if !ok {
				continue
			}
			// A realm below others is written /realms/root/realms/a/realms/b.
			var parts []string
			for i, part := range strings.Split(tail, "/realms/") {
				first, _, more := strings.Cut(part, "/")
				if first != "" && (first != "root" || i > 0) {
					parts = append(parts, first)
				}
				if more {
					break
				}
			}
			base, err := n.start.Parse(before + "/")
			if err != nil || len(parts) == 0 && !strings.HasPrefix(tail, "root") {
				return nil, "", wrong
			}
			base.RawQuery = ""
			return base, strings.Join(parts, "/"), nil
		}
	}
	return nil, "", wrong
}

func (n *signing) prepareForgeRock() error {
	base, realm, err := n.forgeBase()
	if err != nil {
		return err
	}
	u := base.JoinPath("idpssoinit")
	alias := "/" + realm
	if realm == "" {
		alias = ""
	}
	u.RawQuery = url.Values{"metaAlias": {alias + "/saml-idp"}, "spEntityID": {"urn:amazon:webservices"}}.Encode()
	n.start = u
	return nil
}

func forgeRealm(base *url.URL, realm, end string) *url.URL {
	u := base.JoinPath("json")
	if realm == "" {
		u = u.JoinPath("realms/root")
	}
	for _, part := range strings.Split(realm, "/") {
		if part != "" {
			u = u.JoinPath("realms", part)
		}
	}
	return u.JoinPath(end)
}

func (n *signing) forgeRock(ctx context.Context) (*end, error) {
	base, realm, err := n.forgeBase()
	if err != nil {
		return nil, err
	}
	to := forgeRealm(base, realm, "authenticate")
	if n.token, err = n.forgeSignIn(ctx, to); err != nil {
		return nil, err
	}
	// The server sets its cookie itself, unless it is told to set none.
	set := n.token == ""
	for _, c := range n.v.jar.all() {
		set = set || c.Value == n.token
	}
	if !set {
		n.v.jar.setCookies(base, []*http.Cookie{{Name: "iPlanetDirectoryPro", Value: n.token, Path: "/", Secure: base.Scheme == "https", HttpOnly: true}}, n.v.now())
	}
	if err := n.prepare(); err != nil {
		return nil, err
	}
	n.silent = true
	last, err := n.run(ctx, get(n.start))
	if errors.Is(err, errSignedOut) {
		return nil, &session.Refused{By: base.Host, Message: "you are signed in, and it hands out no assertion for urn:amazon:webservices", Advice: n.elsewhere()}
	}
	return last, err
}

// forgeSignIn finds the way through the realm's services. The default one comes
// first: it alone tells a wrong password from a factor that is not set up, and a
// password that was refused must not be sent again.
func (n *signing) forgeSignIn(ctx context.Context, to *url.URL) (string, error) {
	state, err := n.forgePassword(ctx, to)
	if err != nil {
		return "", err
	}
	asked := len(state.Callbacks) > 0
	token, err := n.forgeCallbacks(ctx, to, state, "")
	if err != nil || asked || n.idp.MFAType == "none" {
		return token, err
	}
	// The ways that upstream's users have set up beside it.
	type service struct{ kind, name string }
	var services []service
	if n.idp.MFAType != "code" {
		services = append(services, service{"push", "mfa_push_authentication"})
	}
	if n.idp.MFAType != "push" {
		services = append(services, service{"code", "mfa_oath_authentication"})
	}
	for _, s := range services {
		at := *to
		at.RawQuery = url.Values{"authIndexType": {"service"}, "authIndexValue": {s.name}}.Encode()
		state, status, err := n.forgeCall(ctx, &at, n.forgeHeaders(), nil)
		switch {
		case err != nil:
			return "", err
		case status != http.StatusOK:
			continue // not set up, for the realm or for this person
		}
		return n.forgeCallbacks(ctx, &at, state, s.kind)
	}
	if n.idp.MFAType == "push" || n.idp.MFAType == "code" {
		return "", n.noFactor(to.Host, nil)
	}
	return token, nil
}

func (n *signing) forgeHeaders() http.Header {
	name, pw := n.username, string(n.sent)
	if f := n.idp.FederatedUsername; f != "" && n.federated {
		name = f
	}
	// Headers are ASCII: RFC 2047 carries the rest.
	return http.Header{
		"X-Openam-Username": {mime.BEncoding.Encode("UTF-8", name)},
		"X-Openam-Password": {mime.BEncoding.Encode("UTF-8", pw)},
	}
}

func (n *signing) forgePassword(ctx context.Context, to *url.URL) (*forgeState, error) {
	for {
		if _, err := n.name(ctx, to.Host); err != nil {
			return nil, err
		}
		pw, err := n.password(ctx, to.Host)
		if err != nil {
			return nil, err
		}
		n.sent, n.sentTo = pw, to.Host
		state, status, err := n.forgeCall(ctx, to, n.forgeHeaders(), nil)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			n.problem = ""
			return state, nil
		case status != http.StatusUnauthorized:
			return nil, &session.Refused{By: to.Host, Message: said(fmt.Sprintf("HTTP status %d", status), signin.Line(state.Message)), Advice: "aws-runas env --explain " + awsapi.Word(n.idp.Profile)}
		}
		if err := n.refused(ctx, to.Host, signin.Line(state.Message)); err != nil {
			return nil, err
		}
	}
}

func (n *signing) forgeCall(ctx context.Context, to *url.URL, header http.Header, in *forgeState) (*forgeState, int, error) {
	h := http.Header{"Accept-Api-Version": {"resource=2.0, protocol=1.0"}}
	for name, values := range header {
		h[name] = values
	}
	var body any
	if in != nil {
		body = in
	}
	var out forgeState
	status, err := n.v.call(ctx, "POST", to, h, body, &out)
	return &out, status, err
}

// forgeCallbacks answers what the server asks until it gives a token. kind is
// what the service is for, "" for any.
func (n *signing) forgeCallbacks(ctx context.Context, to *url.URL, state *forgeState, kind string) (string, error) {
	host := to.Host
	sentCode := false
	for range maxPages {
		if state.TokenID != "" {
			return state.TokenID, nil
		}
		if state.AuthID == "" || len(state.Callbacks) == 0 {
			return "", &session.Refused{By: host, Message: said("its answer holds neither a token nor a question", signin.Line(state.Message))}
		}
		if waits(state) {
			next, err := n.forgePush(ctx, to, state)
			if err != nil || next == nil {
				return "", err
			}
			state = next
			continue
		}
		subject, err := n.forgeFill(ctx, host, state)
		if err != nil {
			return "", err
		}
		next, status, err := n.forgeCall(ctx, to, nil, state)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusUnauthorized && subject != "":
			// The server forgets a failed attempt, so it begins anew.
			if err := n.wrongCode(host, signin.Line(next.Message)); err != nil {
				return "", err
			}
			next, status, err = n.forgeCall(ctx, to, n.forgeHeaders(), nil)
			if err != nil {
				return "", err
			}
		case subject != "" && sentCode && next.TokenID == "" && asksCode(next):
			if err := n.wrongCode(host, ""); err != nil {
				return "", err
			}
		}
		if status != http.StatusOK {
			return "", &session.Refused{By: host, Message: said(fmt.Sprintf("HTTP status %d", status), signin.Line(next.Message)), Advice: n.elsewhere()}
		}
		sentCode = subject != ""
		state = next
	}
	return "", &session.Refused{By: host, Message: "it asks on and on", Advice: n.elsewhere()}
}

func waits(s *forgeState) bool {
	for _, c := range s.Callbacks {
		if c.Type == "PollingWaitCallback" {
			return true
		}
	}
	return false
}

func asksCode(s *forgeState) bool {
	for _, c := range s.Callbacks {
		if c.Type == "PasswordCallback" || c.Type == "NameCallback" {
			return true
		}
	}
	return false
}

// forgeFill answers the callbacks; subject is not empty if a code is among them.
func (n *signing) forgeFill(ctx context.Context, host string, s *forgeState) (subject string, err error) {
	for i := range s.Callbacks {
		c := &s.Callbacks[i]
		prompt := oneLine(c.output("prompt"))
		words := strings.ToLower(prompt)
		switch c.Type {
		case "NameCallback":
			if isCode(words) || !isUsername(words) && !isPassword(words) && len(s.Callbacks) <= 2 && prompt != "" {
				subject = prompt
				break
			}
			c.set(n.username)
			continue
		case "PasswordCallback":
			if isPassword(words) && !isCode(words) && !containsAny(words, "one") {
				c.set(string(n.sent))
				continue
			}
			subject = prompt
			if subject == "" {
				subject = host
			}
		case "ConfirmationCallback":
			// The default is to submit.
			if d, err := strconv.Atoi(c.output("defaultOption")); err == nil {
				c.set(d)
			} else {
				c.set(0)
			}
			continue
		case "ChoiceCallback":
			if d, err := strconv.Atoi(c.output("defaultChoice")); err == nil {
				c.set(d)
			}
			continue
		case "TextOutputCallback":
			if text := signin.Line(c.output("message")); text != "" {
				n.idp.Notice(host + ": " + text)
			}
			continue
		case "HiddenValueCallback", "MetadataCallback", "DeviceProfileCallback":
			continue
		default:
			return "", &session.Refused{By: host, Message: fmt.Sprintf("it asks by %q, which aws-runas cannot answer", oneLine(c.Type)), Advice: n.elsewhere()}
		}
		answer, err := n.code(ctx, subject)
		if err != nil {
			return "", err
		}
		c.set(answer)
	}
	return subject, nil
}

// forgePush waits for the phone. Next is nil where the server says that there is
// nothing left to wait for without giving a token.
func (n *signing) forgePush(ctx context.Context, to *url.URL, state *forgeState) (next *forgeState, err error) {
	interval := pollInterval
	number := ""
	for _, c := range state.Callbacks {
		switch c.Type {
		case "PollingWaitCallback":
			if ms, err := strconv.Atoi(c.output("waitTime")); err == nil {
				interval = min(max(time.Duration(ms)*time.Millisecond, time.Second), 10*time.Second)
			}
		case "HiddenValueCallback":
			if strings.EqualFold(c.output("id"), "pushChallengeNumber") {
				number = oneLine(c.output("value"))
			}
		case "TextOutputCallback":
			if text := signin.Line(c.output("message")); text != "" && number == "" {
				n.idp.Notice(to.Host + ": " + text)
			}
		}
	}
	first := true
	err = n.push(ctx, "your phone", interval, func(ctx context.Context) (bool, string, error) {
		if first {
			first = false
			return false, number, nil
		}
		got, status, err := n.forgeCall(ctx, to, nil, state)
		switch {
		case err != nil:
			return false, "", err
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			return false, "", n.mfaRefused(to.Host, said("the push message was refused", signin.Line(got.Message)))
		case status == http.StatusBadRequest:
			// Some versions have forgotten the question by then, and tell by
			// their cookie alone that it was answered.
			return true, "", nil
		case status != http.StatusOK:
			return false, "", n.mfaRefused(to.Host, said(fmt.Sprintf("the push message failed with HTTP status %d", status), signin.Line(got.Message)))
		}
		if got.TokenID == "" && waits(got) {
			state = got
			return false, number, nil
		}
		next = got
		return true, "", nil
	})
	return next, err
}

package saml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/signin"

	"golang.org/x/net/html"
)

// signing is one sign-in: a walk from page to page, each of which is answered
// by what it is, not by what was expected. That is how one provider can send on
// to another.
type signing struct {
	idp    *IDP
	v      *visitor
	start  *url.URL
	back   string // the address that ends the walk; "": an assertion does
	kind   string
	silent bool // ask nothing, send no password

	username  string
	token     string   // ForgeRock's
	federated bool     // at a provider that the first one sent on to
	answered  bool     // a person has answered something
	last      step     // what was sent last
	problem   string   // why the next question is asked again
	texts     []string // of the last page with a form and nothing wrong
	moved     string   // the last request that no person was asked for
	lost      error    // why a sign-in began anew
	no        *string  // what the page said that it ended at, if that was a no

	sent        secret // the password
	sentTo      string // and the host that it was sent to
	from        int    // where it came from
	slow        bool   // the page may have expired while it was typed
	passwords   int    // that were refused
	refusedLast secret
	refusedName string // whose that was
	refusal     *session.Refused
	marked      bool // a refused password is remembered in the keyring
	codes       int  // one-time codes that were refused
	waited      time.Time
	tokens      int // Okta's session tokens that were redeemed
}

// step is what a form was sent with.
type step int

const (
	sentNothing step = iota
	sentName
	sentPassword
	sentCode
)

// Limits on a person's patience, and ours.
const (
	codeTries   = 3
	pushTimeout = 2 * time.Minute
	pushRemind  = 20 * time.Second
)

// prepare finds where the provider hands out the assertion.
func (n *signing) prepare() error {
	switch {
	case n.back != "":
	case n.kind == ForgeRock:
		return n.prepareForgeRock()
	case n.kind == OneLogin:
		n.start = withoutQuery(n.start, "token", "app_id", "region")
	}
	return nil
}

func (n *signing) signIn(ctx context.Context) (*end, error) {
	switch n.kind {
	case OneLogin:
		return n.oneLogin(ctx)
	case ForgeRock:
		return n.forgeRock(ctx)
	}
	return n.run(ctx, get(n.start))
}

// run walks from r to the assertion.
func (n *signing) run(ctx context.Context, r *request) (*end, error) {
	for {
		p, err := n.v.open(ctx, r)
		if err != nil {
			return nil, err
		}
		if p.back != "" {
			return &end{address: p.back}, nil
		}
		if n.kind == "" {
			switch n.kind = kindOfAnswer(p, n.v.jar); n.kind {
			case ForgeRock, OneLogin:
				if n.silent {
					return nil, errSignedOut
				}
				return n.signIn(ctx)
			}
		}
		next, a, err := n.answer(ctx, p)
		if err != nil {
			return nil, err
		}
		if a != nil {
			return &end{assertion: a}, nil
		}
		if err := leads(p.url, next.url); err != nil {
			return nil, err
		}
		r = next
	}
}

// answer does what p asks for: it returns the assertion, or what to request next.
func (n *signing) answer(ctx context.Context, p *page) (*request, *Assertion, error) {
	if p.document == nil {
		r, err := n.stuck(p)
		return r, nil, err
	}
	if r, a, err := n.passOn(p); r != nil || a != nil || err != nil {
		return r, a, err
	}
	if config := entraConfig(p); config != nil {
		r, err := n.entra(ctx, p, config)
		return r, nil, err
	}
	if isOkta := n.kind == Okta && p.url.Host == n.start.Host || kindOfHost(p.url.Hostname()) == Okta; isOkta && !n.asksForCredentials(p) {
		r, err := n.okta(ctx, p)
		return r, nil, err
	}
	if f, a := p.best(); f != nil {
		r, err := n.fill(ctx, p, f, a)
		return r, nil, err
	}
	if p.status >= 500 || p.status == http.StatusTooManyRequests {
		return nil, nil, failing(p.url, p.status)
	}
	r, err := n.goOn(ctx, p)
	return r, nil, err
}

// passOn handles forms that carry a message of SAML or its like from one site
// to the next, which a script would submit.
func (n *signing) passOn(p *page) (*request, *Assertion, error) {
	for _, f := range p.form {
		if v, ok := f.field("SAMLResponse"); ok && strings.TrimSpace(v) != "" {
			a, err := parseResponse(v)
			r, lost := f.submit(f.press())
			final := lost == nil && isAWS(r.url)
			switch {
			case n.back != "": // one provider vouches to another
			case err != nil:
				return nil, nil, &session.Refused{By: p.url.Host, Message: err.Error()}
			case a.forAWS(), final, a.status != "":
				return nil, a, nil
			}
			if lost != nil {
				return nil, nil, &session.Refused{By: p.url.Host, Message: lost.Error()}
			}
			n.federated = false // and back
			return r, nil, nil
		}
	}
	for _, f := range p.form {
		for _, name := range [...]string{"SAMLRequest", "wresult", "id_token", "code"} {
			if v, ok := f.field(name); ok && v != "" && f.onlyHidden() {
				r, err := f.submit(f.press())
				if err != nil {
					return nil, nil, &session.Refused{By: p.url.Host, Message: err.Error()}
				}
				return r, nil, nil
			}
		}
	}
	return nil, nil, nil
}

// isAWS reports whether u is where AWS takes SAML responses, in any partition.
// https://docs.aws.amazon.com/general/latest/gr/signin-service.html
func isAWS(u *url.URL) bool {
	host := u.Hostname()
	for _, name := range [...]string{"signin.aws.amazon.com", "signin.amazonaws.cn", "signin.amazonaws-us-gov.com", "signin.amazonaws-eusc.eu", "signin.c2shome.ic.gov", "signin.sc2shome.sgov.gov"} {
		if host == name || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// onlyHidden reports whether there is nothing in the form for a person to fill in.
func (f *form) onlyHidden() bool {
	any := false
	for _, c := range f.control {
		switch c.kind {
		case "hidden":
			any = true
		case "submit", "image", "button", "reset":
		default:
			if !hidden(c.node) {
				return false
			}
		}
	}
	return any
}

// best is the form that asks for a password, else for a code, else for a name.
func (d *document) best() (*form, asks) {
	var found *form
	var what asks
	rank := 0
	for _, f := range d.form {
		a := f.read()
		score := 0
		switch {
		case f.aside():
		case a.newPassword:
			score = 4
		case a.password != nil && a.username != nil:
			score = 6
		case a.password != nil:
			score = 5
		case a.code != nil:
			score = 3
		case a.username != nil:
			score = 1
			if hint, _ := attr(a.username.node, "autocomplete"); strings.Contains(strings.ToLower(hint), "username") {
				score = 2
			}
		}
		if score > 0 && hidden(f.node) {
			score = 1
		}
		if score > rank {
			found, what, rank = f, a, score
		}
	}
	return found, what
}

// aside reports whether the form is for something else than signing in.
func (f *form) aside() bool {
	var marks []string
	for _, name := range [...]string{"id", "name", "class", "action", "role"} {
		v, _ := attr(f.node, name)
		marks = append(marks, strings.ToLower(v))
	}
	s := strings.Join(marks, " ")
	if containsAny(s, "search", "newsletter", "subscribe", "register", "signup", "sign-up", "locale", "language", "forgot", "reset-credentials", "resetpassword", "reset-password", "logout", "logoff", "signout", "sign-out", "delete") {
		return true
	}
	buttons := f.buttons()
	for _, b := range buttons {
		if goesOn(f.face(b)) || !declines(f.words(b)) {
			return false
		}
	}
	return len(buttons) > 0
}

func (n *signing) asksForCredentials(p *page) bool {
	f, a := p.best()
	return f != nil && a.any()
}

// fill answers a form.
func (n *signing) fill(ctx context.Context, p *page, f *form, a asks) (*request, error) {
	switch {
	case n.silent:
		return nil, errSignedOut
	case n.lost != nil && (n.no == nil || n.last != sentPassword):
		return nil, n.lost
	}
	if a.password != nil && hidden(a.password.node) && a.username != nil && !hidden(a.username.node) && (n.last != sentName || p.problem(n.texts) != "") {
		a.password = nil // not yet: a person sees the name alone
	}
	host := p.url.Host
	if n.sentTo != "" && n.sentTo != host && a.password != nil && n.last != sentPassword {
		n.federated = true
	}
	// The same question again is how a form says no.
	why := p.problem(n.texts, string(n.sent))
	switch {
	case n.lost != nil:
		why, n.lost, n.no = *n.no, nil, nil
	case why == "" && n.last != sentNothing:
		why = p.news(n.texts, string(n.sent), n.username)
	}
	switch {
	case a.newPassword: // of those whose old one was right, typed again or not
		return nil, &session.Refused{By: host, Message: said("the password has to be changed first", why), Advice: "open the sign-in page in a browser and change the password there"}
	case n.last == sentPassword && n.sentTo == host && (a.password != nil || a.username != nil && a.code == nil):
		if err := n.refused(ctx, host, why); err != nil {
			return nil, err
		}
	case n.last == sentName && a.username != nil && a.password == nil && a.code == nil:
		if err := n.unknownName(host, why); err != nil {
			return nil, err
		}
	case n.last == sentCode && a.code != nil && a.password == nil:
		if err := n.wrongCode(host, why); err != nil {
			return nil, err
		}
	case n.last == sentCode && a.password != nil:
		if why == "" {
			why = "the code was refused, and the sign-in begins anew"
		}
		return nil, n.mfaRefused(host, why)
	default:
		n.texts = textsOf(p.root)
	}
	switch {
	case a.newCode:
		return nil, &session.Refused{By: host, Code: "MFA", Message: said("an app for one-time codes has to be set up first", why), Advice: "open the sign-in page in a browser and set it up there"}
	case len(a.odd) > 0:
		return nil, &session.Refused{By: host, Message: fmt.Sprintf("its page asks for %q, which aws-runas does not know", oneLine(f.call(a.odd[0]))), Advice: n.elsewhere()}
	}
	by := f.press()
	switch r, err := f.submit(by); {
	case err != nil:
		return nil, &session.Refused{By: host, Message: err.Error(), Advice: n.elsewhere()}
	case a.password != nil && r.method == "GET":
		// The password would be part of an address, which servers and proxies log.
		return nil, &session.Refused{By: host, Message: "its page sends the password by a script", Advice: n.elsewhere()}
	}
	step, began := sentNothing, n.idp.Cache.Now()
	if a.username != nil {
		name, err := n.name(ctx, host)
		if err != nil {
			return nil, err
		}
		if a.password == nil || a.username.value == "" || !hidden(a.username.node) {
			a.username.value = name
		}
		step = sentName
	}
	if a.password != nil {
		pw, err := n.password(ctx, host)
		if err != nil {
			return nil, err
		}
		n.sent, n.sentTo = pw, host
		n.slow = n.idp.Cache.Now().Sub(began) > time.Minute
		a.password.value = string(pw)
		step = sentPassword
	}
	// Beside a password, a code is for those who have one.
	if a.code != nil && (a.password == nil || has(a.code.node, "required") || n.idp.MFAType == "code") {
		c, err := n.code(ctx, host)
		if err != nil {
			return nil, err
		}
		if a.digits != nil && len(c) == len(a.digits) {
			for i, box := range a.digits {
				box.value = c[i : i+1]
			}
			if a.whole != nil {
				a.whole.value = c
			}
		} else {
			a.code.value = c
		}
		if a.password == nil {
			step = sentCode
		}
	}
	n.consent(f)
	n.problem = ""
	n.last = step
	return f.submit(by)
}

// call is how people would name a control.
func (f *form) call(c *control) string {
	if s := f.label(c); s != "" {
		return s
	}
	return c.name
}

// consent ticks the boxes without which a browser would not submit the form.
func (n *signing) consent(f *form) {
	for _, c := range f.control {
		if c.kind == "checkbox" && !c.checked && !c.disabled && has(c.node, "required") {
			c.checked = true
			n.idp.Notice(fmt.Sprintf("%s asks for consent, and was given it: %s", f.doc.url.Host, oneLine(f.call(c))))
		}
	}
}

// unknownName is called when the provider asks for the name again.
func (n *signing) unknownName(host, why string) error {
	if why == "" {
		why = "the user name is not known"
	}
	n.passwords++
	n.refusal = &session.Refused{By: host, Message: why, Advice: "aws-runas env --explain " + awsapi.Word(n.idp.Profile)}
	if n.idp.Username != "" || n.passwords >= passwordTries || locked(why) {
		return n.refusal
	}
	n.username, n.problem = "", why
	return nil
}

// code returns a one-time code for host.
func (n *signing) code(ctx context.Context, subject string) (string, error) {
	if n.idp.MFAType == "none" {
		return "", &session.Refused{By: n.start.Host, Message: "it asks for a one-time code, and mfa_type is none",
			Advice: "aws-runas -t code login " + awsapi.Word(n.idp.Profile)}
	}
	if n.idp.OTP != nil {
		if c := strings.Join(strings.Fields(n.idp.OTP()), ""); c != "" {
			return c, nil
		}
	}
	answer, err := n.ask(ctx, session.AskMFA, subject, n.problem)
	return strings.Join(strings.Fields(answer), ""), err
}

// wrongCode is called when a code was refused; its error ends the sign-in.
func (n *signing) wrongCode(host, why string) error {
	if why == "" {
		why = "the code was refused"
	}
	n.codes++
	n.refusal = n.mfaRefused(host, why)
	if n.codes >= codeTries || locked(why) {
		return n.refusal
	}
	n.problem = why
	return nil
}

func (n *signing) mfaRefused(host, why string) *session.Refused {
	return &session.Refused{By: host, Code: "MFA", Message: why, Advice: "aws-runas login " + awsapi.Word(n.idp.Profile)}
}

// tryCodes sends codes until one is taken, for providers with an API. The
// function says why a code was refused, or "".
func (n *signing) tryCodes(ctx context.Context, subject string, send func(code string) (why string, err error)) error {
	n.problem = ""
	for {
		c, err := n.code(ctx, subject)
		if err != nil {
			return err
		}
		why, err := send(c)
		if err != nil || why == "" {
			n.problem = ""
			return err
		}
		if err := n.wrongCode(n.start.Host, why); err != nil {
			return err
		}
	}
}

// push waits until the person has answered on the phone, asking poll each
// interval. The number is the one to choose there, "" if there is none.
func (n *signing) push(ctx context.Context, device string, interval time.Duration, poll func(context.Context) (done bool, number string, err error)) error {
	if err := n.mayPush(); err != nil {
		return err
	}
	defer session.Asking(ctx, session.NeedMFA)()
	p := n.idp
	limited, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	deadline := p.Cache.Now().Add(pushTimeout)
	next, shown, told := p.Cache.Now(), "", false
	for {
		done, number, err := poll(limited)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil:
			return n.mfaRefused(n.start.Host, fmt.Sprintf("nobody answered the push message to %s within %s", device, span(pushTimeout)))
		case err != nil || done:
			return err
		}
		now := p.Cache.Now()
		switch {
		case number != "" && number != shown:
			p.Notice(fmt.Sprintf("choose the number %s on %s", number, device))
			shown, told, next = number, true, now.Add(pushRemind)
		case !told:
			p.Notice(fmt.Sprintf("approve the sign-in on %s", device))
			told, next = true, now.Add(pushRemind)
		case now.After(next):
			p.Notice(fmt.Sprintf("still waiting for %s, %s left", device, span(deadline.Sub(now).Round(time.Second))))
			next = now.Add(pushRemind)
		}
		if wait(limited, interval) != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// mayPush refuses to wake up a phone that nobody is waiting for.
func (n *signing) mayPush() error {
	p := n.idp
	if n.answered {
		return nil
	}
	if p.Cache.NoInput || p.Person.Ready() != nil {
		return &session.Needs{What: session.NeedMFA, Profile: p.Profile, Username: n.username}
	}
	return nil
}

func span(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

// goOn handles pages that ask for nothing: those that a script or a button
// moves on.
func (n *signing) goOn(ctx context.Context, p *page) (*request, error) {
	scripts := p.scripts()
	for _, f := range p.form {
		if f.onlyHidden() && !f.aside() && !webauthn(f, scripts) && p.submits(f, scripts) {
			return n.move(ctx, p, f, f.press(), containsAny(scripts, "setTimeout", "setInterval"))
		}
	}
	to, after, ok := p.refresh(p.header.Get("Refresh"), false)
	if !ok {
		if to := p.scripted(scripts); to != nil {
			return &request{method: "GET", url: to, referer: p.url}, nil
		}
		to, after, ok = p.refresh("", true)
	}
	if ok && to.String() != p.url.String() {
		return &request{method: "GET", url: to, referer: p.url}, wait(ctx, min(after, 5*time.Second))
	} else if ok {
		return &request{method: "GET", url: p.url, referer: p.url}, n.await(ctx, p, after)
	}
	if p.status >= 400 {
		return n.stuck(p)
	}
	if f, b, err := n.chooseForm(p); err != nil {
		return nil, err
	} else if f != nil {
		return n.move(ctx, p, f, b, false)
	}
	var blank string
	for _, f := range p.form {
		if f.aside() || webauthn(f, scripts) || hidden(f.node) {
			continue
		}
		if a := f.read(); a.blank != nil {
			blank = oneLine(f.call(a.blank))
			continue
		}
		b, err := n.choose(p, f)
		if err != nil {
			return nil, err
		}
		if b == nil {
			b = f.press()
			switch {
			case b == nil || b.disabled || declines(f.words(b)):
				continue
			case goesOn(f.face(b)):
			case len(p.form) == 1 && f.oneWay() && p.problem(nil) == "":
				// There is nothing else to do; it may send a code.
				if n.silent {
					return nil, errSignedOut
				}
				if err := n.mayPush(); err != nil {
					return nil, err
				}
			default:
				continue
			}
		}
		n.consent(f)
		n.idp.Cache.Debug("pressing %q at %s", oneLine(f.face(b)), p.url.Host)
		return n.move(ctx, p, f, b, false)
	}
	if blank != "" && n.lost == nil && !n.silent {
		return nil, &session.Refused{By: p.url.Host, Message: fmt.Sprintf("its page asks for %q, which aws-runas does not know", blank), Advice: n.elsewhere()}
	}
	if n.sentTo != "" {
		if to, err := n.chooseLink(p); err != nil {
			return nil, err
		} else if to != nil && n.moved != to.String() {
			n.moved, n.last = to.String(), sentNothing
			return &request{method: "GET", url: to, referer: p.url}, nil
		}
	}
	if to := p.lead(); to != nil && n.moved != to.String() {
		n.moved = to.String()
		return &request{method: "GET", url: to, referer: p.url}, nil
	}
	return n.stuck(p)
}

// oneWay reports whether all buttons but one decline.
func (f *form) oneWay() bool {
	ways := 0
	for _, b := range f.buttons() {
		if !declines(f.words(b)) {
			ways++
		}
	}
	return ways == 1
}

// move submits a form that nobody had to be asked for, but not the same one over
// and over, unless that is how the page waits.
func (n *signing) move(ctx context.Context, p *page, f *form, by *control, waits bool) (*request, error) {
	r, err := f.submit(by)
	if err != nil {
		return nil, &session.Refused{By: p.url.Host, Message: err.Error(), Advice: n.elsewhere()}
	}
	this := r.method + " " + r.url.String() + "\n" + string(r.body)
	switch {
	case this != n.moved:
	case waits:
		return r, n.await(ctx, p, 2*time.Second)
	default:
		for _, c := range f.control {
			if c.kind == "checkbox" && !c.checked && !c.disabled && n.lost == nil {
				return nil, &session.Refused{By: p.url.Host, Message: fmt.Sprintf("its page wants a tick at %q", oneLine(f.call(c))), Advice: n.elsewhere()}
			}
		}
		return n.stuck(p)
	}
	n.moved, n.last = this, sentNothing
	return r, nil
}

// stuck is called with a page that leads nowhere. After a sign-in that may be a
// portal's own page, when the provider has forgotten where the way came from, or
// one that says no and has no form: whoever is signed in begins once more and gets
// through, and who is asked again behind a no was refused.
func (n *signing) stuck(p *page) (*request, error) {
	err := n.dead(p)
	var no *session.Refused
	switch {
	case n.lost != nil:
		return nil, n.lost
	case n.sentTo == "" || n.silent || !errors.As(err, &no):
		return nil, err
	}
	n.lost = err
	words, sure := "", p.status == http.StatusUnauthorized || p.status == http.StatusForbidden
	if p.document != nil {
		said, isNo := p.complaint(n.texts, string(n.sent))
		words, sure = said, sure || isNo && !webauthn(&form{}, p.scripts())
	}
	if sure {
		n.no = &words
	}
	return get(n.start), nil
}

// lead is where a page sends people that has nothing else: what a frame shows,
// or a link that says so.
func (d *document) lead() *url.URL {
	at := func(n *html.Node, name string) *url.URL {
		s, _ := attr(n, name)
		u, err := d.base.Parse(strings.TrimSpace(s))
		if s == "" || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.String() == d.url.String() || hidden(n) {
			return nil
		}
		return u
	}
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "iframe", "frame":
			if width, _ := attr(n, "width"); len(d.form) == 0 && width != "0" && width != "1" {
				if u := at(n, "src"); u != nil {
					return u
				}
			}
		case "a":
			words := plainWords(textOf(n))
			if to, _ := attr(n, "href"); !strings.HasPrefix(to, "#") && d.problem(nil) == "" && !declines(words) &&
				containsAny(words, "continue", "proceed", "next", "click here", "weiter", "fortfahren", "continuer", "suivant", "continuar", "siguiente", "continua", "avanti", "doorgaan", "dalej", "продолжить", "続行", "次へ", "继续", "계속") {
				if u := at(n, "href"); u != nil {
					return u
				}
			}
		}
	}
	return nil
}

// await waits with a page that loads itself anew, as those do that wait for an
// answer on a phone.
func (n *signing) await(ctx context.Context, p *page, after time.Duration) error {
	if n.silent {
		return errSignedOut
	}
	if err := n.mayPush(); err != nil {
		return err
	}
	defer session.Asking(ctx, session.NeedMFA)()
	now := n.idp.Cache.Now()
	switch {
	case n.waited.IsZero():
		n.waited = now
		text := oneLine(textOf(p.root))
		n.idp.Notice(fmt.Sprintf("%s waits for you: %s", p.url.Host, text))
	case now.Sub(n.waited) > pushTimeout:
		return n.mfaRefused(p.url.Host, fmt.Sprintf("nobody answered within %s", span(pushTimeout)))
	}
	n.v.left++ // it is the same page
	return wait(ctx, min(max(after, time.Second), 10*time.Second))
}

// scripts is the text of the page's scripts and of what runs when it is loaded.
func (d *document) scripts() string {
	var b strings.Builder
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" {
			for c := range n.ChildNodes() {
				b.WriteString(c.Data)
				b.WriteByte('\n')
			}
		}
		if v, ok := attr(n, "onload"); ok {
			b.WriteString(v)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// submits reports whether a script submits f as soon as the page is there: one
// that does so in the page itself, one of another file where nothing else could
// move the page on, or the one whose work a button does for those without scripts.
func (d *document) submits(f *form, scripts string) bool {
	plain := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n':
			return -1
		case '"':
			return '\''
		}
		return r
	}, scripts)
	plain = strings.ReplaceAll(plain, "theForm.submit()", "") // of ASP.NET, when a link is pressed
	if containsAny(plain, ".submit()", ".requestSubmit()", ".click()", ".submit.call(", ".submit.apply(", ".trigger('submit')") {
		return true
	}
	seen := 0
	for _, b := range f.buttons() {
		if ancestor(b.node, "noscript") != nil {
			return true
		}
		if !hidden(b.node) {
			seen++
		}
	}
	return seen == 0 && len(d.form) == 1 && d.hasScript()
}

func (d *document) hasScript() bool {
	for n := range d.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "script" {
			return true
		}
	}
	return false
}

// webauthn reports whether f is filled by a security key.
func webauthn(f *form, scripts string) bool {
	for _, name := range [...]string{"authenticatorData", "clientDataJSON", "signature"} {
		if _, ok := f.field(name); ok {
			return true
		}
	}
	return strings.Contains(scripts, "navigator.credentials")
}

// scripted is the address that a script of the page goes to, nil if it goes
// nowhere that can be told.
func (d *document) scripted(scripts string) *url.URL {
	for rest := scripts; ; {
		i := strings.Index(rest, "location")
		if i < 0 {
			return nil
		}
		rest = rest[i+len("location"):]
		s := strings.TrimLeft(rest, " \t\r\n")
		for _, way := range [...]string{".href", ".replace", ".assign"} {
			s = strings.TrimPrefix(s, way)
		}
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" || s[0] != '=' && s[0] != '(' || strings.HasPrefix(s, "==") {
			continue
		}
		s = strings.TrimLeft(s[1:], " \t\r\n")
		if s == "" || s[0] != '"' && s[0] != '\'' {
			continue
		}
		literal, _, ok := strings.Cut(s[1:], s[:1])
		if !ok || strings.ContainsAny(literal, "\n") {
			continue
		}
		u, err := d.base.Parse(unescapeJS(literal))
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.String() != d.url.String() {
			return u
		}
	}
}

// unescapeJS undoes the escapes that addresses have in scripts.
func unescapeJS(s string) string {
	return strings.NewReplacer(`\/`, "/", `\u0026`, "&", `\x26`, "&", `\u002f`, "/", `\u003d`, "=", `\x3d`, "=", "&amp;", "&").Replace(s)
}

// dead is the error for a page with which nothing can be done.
func (n *signing) dead(p *page) error {
	host := p.url.Host
	var said, title string
	if p.document != nil {
		said, title = p.problem(nil, string(n.sent)), p.title()
	}
	switch {
	case p.status >= 500 || p.status == http.StatusTooManyRequests:
		return failing(p.url, p.status)
	case p.status == http.StatusNotFound, p.status == http.StatusGone:
		return &session.Refused{By: host, Message: fmt.Sprintf("there is no sign-in page (HTTP status %d)", p.status), Advice: "aws-runas env --explain " + awsapi.Word(n.idp.Profile)}
	case n.silent:
		return errSignedOut
	case p.status == http.StatusUnauthorized && p.header.Get("Www-Authenticate") != "":
		way, _, _ := strings.Cut(p.header.Get("Www-Authenticate"), " ")
		return &session.Refused{By: host, Message: fmt.Sprintf("it asks for a sign-in by HTTP %s, not by a form", oneLine(way)), Advice: n.elsewhere()}
	case n.last == sentPassword && (p.status == http.StatusUnauthorized || p.status == http.StatusForbidden):
		if said == "" {
			said = fmt.Sprintf("the sign-in was refused (HTTP status %d)", p.status)
		}
		return n.wrongPassword(host, said, n.from)
	case n.last == sentCode:
		if said == "" {
			said = "the code was refused"
		}
		return n.mfaRefused(host, said)
	case p.document == nil:
		return &session.Refused{By: host, Message: fmt.Sprintf("its answer (HTTP status %d) is no page", p.status), Advice: n.elsewhere()}
	case said != "":
		return &session.Refused{By: host, Message: said, Advice: n.elsewhere()}
	case webauthn(&form{}, p.scripts()):
		return &session.Refused{By: host, Message: "it asks for a passkey or a security key", Advice: n.elsewhere()}
	case title != "":
		return &session.Refused{By: host, Message: fmt.Sprintf("its page %q has nothing that aws-runas can fill in", title), Advice: n.elsewhere()}
	}
	return &session.Refused{By: host, Message: "its page has nothing that aws-runas can fill in", Advice: n.elsewhere()}
}

// elsewhere is what helps with pages that take more than this.
func (n *signing) elsewhere() string { return n.idp.byBrowser(n.back) }

// byBrowser is the line that signs in by a browser in place of what comes back
// to back, "" where an assertion does. A redirect URI has to be one that a
// browser can come back to.
func (p *IDP) byBrowser(back string) string {
	line := "aws-runas -R browser "
	if back != "" && !signin.Loopback(back) {
		line += "-T http://127.0.0.1/callback "
	}
	return line + "login " + awsapi.Word(p.Profile)
}

// said joins a sentence of ours with the page's words.
func said(ours, theirs string) string {
	if theirs == "" {
		return ours
	}
	return ours + ": " + theirs
}

func withoutQuery(u *url.URL, names ...string) *url.URL {
	c := *u
	q := c.Query()
	for _, name := range names {
		q.Del(name)
	}
	c.RawQuery = q.Encode()
	return &c
}

package awstest

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// FormLayout is how the pages of an IDP with plain forms are made. The zero value
// is like Keycloak's.
type FormLayout struct {
	Username, Password, Code string // names of the fields; "username", "password" and "otp" if empty
	Latin1                   bool   // pages in ISO-8859-1
	TwoPages                 bool   // the name first, then the password
	Terms                    bool   // a page to agree to, at the end
}

const formCookie = "IDP_SESSION"

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (c *idpCall) forms() {
	l := c.layout
	user, pass, otp := or(l.Username, "username"), or(l.Password, "password"), or(l.Code, "otp")
	switch c.r.URL.Path {
	case "/saml":
		req, err := c.request()
		if err != nil {
			c.page(http.StatusBadRequest, "Bad request", "", `<p role="alert">Invalid request: `+html.EscapeString(err.Error())+"</p>")
			return
		}
		if s := c.session(formCookie); s != nil {
			c.begin(formCookie, s.person) // renewed at each use
			c.hand(s.person, req)
			return
		}
		id := c.secret("PENDING")
		c.pending[id] = &idpPending{request: req}
		c.loginPage(id, "", user, pass, "")
	case "/login":
		id := c.form.Get("execution")
		at := c.pending[id]
		if at == nil {
			c.page(http.StatusBadRequest, "Expired", "", `<p role="alert">The page has expired</p>`)
			return
		}
		switch {
		case at.factor == "totp":
			if !c.code(at.person, c.form.Get(otp)) {
				if at.tries++; at.tries >= 5 {
					delete(c.pending, id)
				}
				c.codePage(id, otp, "Invalid authenticator code.")
				return
			}
			c.signedIn(id, at)
			return
		case at.factor == "terms":
			if c.form.Get("decision") != "accept" {
				c.page(http.StatusForbidden, "Declined", "", `<p role="alert">You declined</p>`)
				return
			}
			c.enter(id, at)
			return
		case l.TwoPages && at.person == nil && !c.form.Has(pass):
			p := c.people[c.form.Get(user)]
			if p == nil {
				c.loginPage(id, "Unknown user.", user, pass, c.form.Get(user))
				return
			}
			at.person = p
			c.passwordPage(id, "", pass, p.Name)
			return
		}
		name := c.form.Get(user)
		if at.person != nil {
			name = at.person.Name
		}
		p, why := c.password(name, c.form.Get(pass))
		words := ""
		switch why {
		case "wrong":
			words = "Invalid username or password."
		case "locked":
			words = "Your account is locked."
		case "expired":
			c.page(http.StatusOK, "Update password", "", `<form action="/update" method="post"><label>New password <input type="password" name="new" autocomplete="new-password"></label><label>Again <input type="password" name="again" autocomplete="new-password"></label><button>Submit</button></form>`)
			return
		}
		switch {
		case words != "" && l.TwoPages:
			c.passwordPage(id, words, pass, name)
		case words != "":
			c.loginPage(id, words, user, pass, name)
		case len(p.Factors) > 0:
			at.person, at.factor = p, "totp"
			c.codePage(id, otp, "")
		default:
			at.person = p
			c.signedIn(id, at)
		}
	case "/logout":
		if k, err := c.r.Cookie(formCookie); err == nil {
			delete(c.sessions, k.Value)
		}
		c.page(http.StatusOK, "Signed out", "", "<p>Signed out</p>")
	default:
		c.page(http.StatusNotFound, "Not found", "", "<p>Not found</p>")
	}
}

func (c *idpCall) signedIn(id string, at *idpPending) {
	if c.layout.Terms {
		at.factor = "terms"
		c.page(http.StatusOK, "Terms of use", "", `<form action="/login" method="post"><input type="hidden" name="execution" value="`+id+`">
<p>Be nice.</p><button name="decision" value="reject">I do not agree</button><button name="decision" value="accept">I agree</button></form>`)
		return
	}
	c.enter(id, at)
}

func (c *idpCall) enter(id string, at *idpPending) {
	delete(c.pending, id)
	c.begin(formCookie, at.person)
	c.hand(at.person, at.request)
}

func (c *idpCall) page(status int, title, problem, content string) {
	if problem != "" {
		problem = `<span id="input-error" aria-live="polite" class="error">` + html.EscapeString(problem) + "</span>"
	}
	text := fmt.Sprintf(`<!doctype html><html lang="en"><head><title>%s</title></head><body><h1>%s</h1>
<form id="search" action="/search"><input name="q" type="search"><button>Search</button></form>
%s%s</body></html>`, title, title, problem, content)
	if c.layout.Latin1 {
		c.w.Header().Set("Content-Type", "text/html; charset=ISO-8859-1")
		c.w.WriteHeader(status)
		b := make([]byte, 0, len(text))
		for _, r := range text {
			b = append(b, byte(r)) // only letters of that set are used
		}
		c.w.Write(b)
		return
	}
	c.html(status, text)
}

func (c *idpCall) loginPage(id, problem, user, pass, name string) {
	second := `<p><label for="p">Password</label><input id="p" name="` + pass + `" type="password" autocomplete="off"></p><p><input type="checkbox" name="rememberMe"> Remember me</p>`
	if c.layout.TwoPages {
		second = ""
	}
	c.page(http.StatusOK, "Sign in to your account", problem, fmt.Sprintf(`<form id="kc-form-login" action="/login" method="post"><input type="hidden" name="execution" value="%s">
<p><label for="u">Username or email</label><input id="u" name="%s" value="%s" type="text" autofocus></p>%s
<p><a href="/forgot">Forgot password?</a> <input type="submit" name="cancel" value="Cancel"> <input type="submit" name="login" value="Sign In"></p></form>`,
		id, user, html.EscapeString(name), second))
}

func (c *idpCall) passwordPage(id, problem, pass, name string) {
	c.page(http.StatusOK, "Sign in to your account", problem, fmt.Sprintf(`<p>%s</p><form action="/login" method="post"><input type="hidden" name="execution" value="%s">
<p><label>Password <input name="%s" type="password"></label></p><button type="submit">Sign In</button></form>`, html.EscapeString(strings.ToUpper(name)), id, pass))
}

func (c *idpCall) codePage(id, otp, problem string) {
	c.page(http.StatusOK, "One-time code", problem, fmt.Sprintf(`<form id="kc-otp-login-form" action="/login" method="post"><input type="hidden" name="execution" value="%s">
<label for="c">One-time code</label><input id="c" name="%s" autocomplete="off" type="text"><button type="submit">Sign In</button></form>`, id, otp))
}

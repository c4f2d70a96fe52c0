package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/signin"
)

// browserLimit is how long a person may take in a browser.
const browserLimit = 5 * time.Minute

// acsPath is what existing trust policies and clients of identity providers
// name: http://localhost:*/saml/acs.
const acsPath = "/saml/acs"

// authnRequest is saml-core-2.0-os, 3.4.1, as the Web Browser SSO profile has it
// (saml-profiles-2.0-os, 4.1.4.1).
type authnRequest struct {
	XMLName      xml.Name  `xml:"urn:oasis:names:tc:SAML:2.0:protocol AuthnRequest"`
	ID           string    `xml:"ID,attr"`
	Version      string    `xml:"Version,attr"`
	IssueInstant string    `xml:"IssueInstant,attr"`
	Destination  string    `xml:"Destination,attr"`
	Binding      string    `xml:"ProtocolBinding,attr"`
	ACS          string    `xml:"AssertionConsumerServiceURL,attr"`
	Issuer       string    `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	NameIDPolicy nameIDAsk `xml:"urn:oasis:names:tc:SAML:2.0:protocol NameIDPolicy"`
}

type nameIDAsk struct {
	AllowCreate bool `xml:"AllowCreate,attr"`
}

// systemBrowser has the system's browser sign in, which then posts the response
// to this machine.
func (p *IDP) systemBrowser(ctx context.Context, u *url.URL) (*Assertion, error) {
	if p.EntityID == "" {
		return nil, &profile.Error{Message: fmt.Sprintf("profile %q signs in by %s and has no saml_auth_entityid: it is the name under which the identity provider knows this program", p.Profile, BrowserNE),
			Advice: "aws-runas env --explain " + awsapi.Word(p.Profile)}
	}
	if err := p.person(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no port of 127.0.0.1 can be listened on: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // of a listener it always splits
	// An ID is an XML name: it begins with no digit.
	a := &acs{port: port, id: "_" + rand.Text(), state: rand.Text(), answer: make(chan acsAnswer, 1)}
	s := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l) // always returns ErrServerClosed: only the lines below end it
	}()
	defer func() {
		// The browser gets its page first.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.Shutdown(last) != nil {
			s.Close()
		}
		<-done
	}()

	page, err := a.request(u, p.EntityID, p.Cache.Now())
	if err != nil {
		return nil, err
	}
	defer session.Asking(ctx, session.NeedAuth)()
	limited, cancel := context.WithTimeout(ctx, p.browserLimit())
	defer cancel()
	err = errors.New("nobody at this machine sees its browser")
	if !p.Person.Remote() {
		err = p.Person.Open(limited, page)
	}
	switch {
	case err == nil:
		p.Notice(fmt.Sprintf("sign in at %s in the browser; if none opens, open %s", u.Host, page))
	case p.Person.Remote():
		p.Notice(fmt.Sprintf("sign in at %s: open %s in a browser that reaches port %s of this machine, as after ssh -L %[3]s:127.0.0.1:%[3]s", u.Host, page, port))
	default:
		p.Notice(fmt.Sprintf("no browser can be opened (%s): to sign in at %s, open %s", signin.Line(err.Error()), u.Host, page))
	}
	select {
	case got := <-a.answer:
		return got.assertion, got.err
	case <-limited.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, p.late(u.Host)
	}
}

// person returns a *[session.Needs] where nobody can look at a browser.
func (p *IDP) person() error {
	if p.Cache.NoInput {
		return &session.Needs{What: session.NeedAuth, Profile: p.Profile, Username: p.Username}
	}
	return p.Person.Ready()
}

func (p *IDP) browserLimit() time.Duration {
	if p.Person != nil && p.Person.Limit > 0 {
		return p.Person.Limit
	}
	return browserLimit
}

func (p *IDP) late(host string) error {
	return &signin.Late{Who: host, Needs: &session.Needs{What: session.NeedAuth, Profile: p.Profile, Username: p.Username}}
}

// acs is an assertion consumer service for one response.
type acs struct {
	port, id, state string
	answer          chan acsAnswer
	once            sync.Once
}

type acsAnswer struct {
	assertion *Assertion
	err       error
}

// request is the address that begins the sign-in, by the HTTP Redirect binding
// (saml-bindings-2.0-os, 3.4).
func (a *acs) request(idp *url.URL, issuer string, now time.Time) (string, error) {
	to := *idp
	doc, err := xml.Marshal(authnRequest{
		ID: a.id, Version: "2.0", IssueInstant: now.UTC().Format("2006-01-02T15:04:05Z"), Destination: withoutQuery(idp).String(),
		Binding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST", ACS: "http://localhost:" + a.port + acsPath, Issuer: issuer,
		NameIDPolicy: nameIDAsk{true},
	})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression) // the level is one that there is
	z.Write(doc)                                       // memory takes everything
	z.Close()
	q := to.Query()
	q.Set("SAMLRequest", base64.StdEncoding.EncodeToString(b.Bytes()))
	q.Set("RelayState", a.state)
	to.RawQuery = q.Encode()
	return to.String(), nil
}

// ServeHTTP takes the first response to this request. Any page can send a
// browser here, and any process of this machine can come: who does not know the
// relay state is turned away and ends nothing.
func (a *acs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	show := func(status int, title, text string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, browserPage, title, title, text)
	}
	if r.Host != "localhost:"+a.port && r.Host != "127.0.0.1:"+a.port {
		show(http.StatusForbidden, "Not here", "This address is not meant for that name.")
		return
	}
	if r.URL.Path != acsPath {
		show(http.StatusNotFound, "Not found", "There is nothing here.")
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		show(http.StatusMethodNotAllowed, "Not so", "This address is for the end of a sign-in.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPage)
	if err := r.ParseForm(); err != nil || len(r.PostForm["SAMLResponse"]) != 1 || len(r.PostForm["RelayState"]) != 1 {
		show(http.StatusBadRequest, "Not an answer", "This is not how a sign-in ends. Nothing has been changed.")
		return
	}
	if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("RelayState")), []byte(a.state)) != 1 {
		show(http.StatusForbidden, "Another sign-in", "This answer belongs to another sign-in. Nothing has been changed.")
		return
	}
	first := false
	a.once.Do(func() { first = true })
	if !first {
		show(http.StatusGone, "Already done", "This sign-in has had its answer. You can close this page.")
		return
	}
	got, err := parseResponse(r.PostForm.Get("SAMLResponse"))
	switch {
	case err != nil:
		err = &session.Refused{By: "the identity provider", Message: err.Error()}
	case got.InResponseTo != a.id:
		err = &session.Refused{By: "the identity provider", Message: "its response is to another request than this sign-in's", Advice: "aws-runas login again, and close the pages of earlier sign-ins first"}
	case got.Destination != "" && !strings.HasSuffix(got.Destination, ":"+a.port+acsPath):
		err = &session.Refused{By: "the identity provider", Message: fmt.Sprintf("its response is meant for %q", oneLine(got.Destination))}
	}
	if err != nil || got.status != "" {
		show(http.StatusOK, "Not signed in", "The identity provider did not sign you in; the terminal says why. You can close this page.")
	} else {
		show(http.StatusOK, "Back to the terminal", "Your identity provider has answered, and aws-runas goes on in the terminal. You can close this page.")
	}
	if err != nil {
		got = nil
	}
	a.answer <- acsAnswer{got, err}
}

const browserPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>aws-runas: %s</title>
<style>:root{color-scheme:light dark}body{font:1.1rem system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}</style></head>
<body><h1>%s</h1><p>%s</p></body>
</html>
`

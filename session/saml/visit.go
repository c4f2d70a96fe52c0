package saml

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
)

// Limits on what an identity provider may make us do.
const (
	maxPages     = 20        // of one sign-in
	maxRedirects = 20        // to one page
	maxPage      = 1<<20 - 1 // bytes: awsapi's clients read no more
	pageTimeout  = 30 * time.Second
)

// visitor goes from page to page as a browser without scripting does.
type visitor struct {
	http  *http.Client
	jar   *jar
	now   func() time.Time
	agent string
	debug func(format string, args ...any)
	left  int    // pages
	back  string // a redirect to this address is not followed, and ends it all; "" is none
	// explain says in words why a request had no answer.
	explain func(what string, err error) error
}

// request is what leads to a page.
type request struct {
	method      string
	url         *url.URL
	body        []byte
	contentType string
	referer     *url.URL
}

func get(u *url.URL) *request { return &request{method: "GET", url: u} }

// page is an answer, read.
type page struct {
	*document // nil if it is not HTML
	url       *url.URL
	status    int
	header    http.Header
	body      []byte
	back      string // the address that was waited for
}

// newClient makes the client of one sign-in out of one that knows the proxy and
// the certificate authorities. Cookies and redirects are the visitor's.
func newClient(c *http.Client) *http.Client {
	return &http.Client{
		Transport:     c.Transport,
		Timeout:       pageTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// open gets the page that r leads to, along every redirect.
func (v *visitor) open(ctx context.Context, r *request) (*page, error) {
	if v.left--; v.left < 0 {
		return nil, &session.Refused{By: r.url.Host, Message: fmt.Sprintf("the sign-in leads on and on, and was given up after %d pages", maxPages)}
	}
	seen := map[string]int{}
	for range maxRedirects {
		p, err := v.once(ctx, r, nil)
		if err != nil {
			return nil, err
		}
		location := p.header.Get("Location")
		if p.status < 300 || p.status > 399 || p.status == http.StatusNotModified || location == "" {
			return p, v.read(p)
		}
		to, err := p.url.Parse(location)
		if err != nil {
			return nil, &session.Refused{By: p.url.Host, Message: "it redirects to an address that is none"}
		}
		if v.isBack(to) {
			return &page{url: p.url, status: p.status, header: p.header, back: to.String()}, nil
		}
		next := &request{method: "GET", url: to, referer: r.referer}
		switch {
		case p.status == http.StatusTemporaryRedirect || p.status == http.StatusPermanentRedirect:
			next.method, next.body, next.contentType = r.method, r.body, r.contentType
		case r.method == "HEAD":
			next.method = "HEAD"
		}
		if to.Fragment == "" {
			to.Fragment = r.url.Fragment
		}
		// The same address again is fair if a cookie came with the redirect.
		at := next.method + " " + to.String() + "\n" + v.jar.header(to)
		if seen[at]++; seen[at] > 1 {
			return nil, loops(to)
		}
		if err := leads(r.url, to); err != nil {
			return nil, err
		}
		r = next
	}
	return nil, loops(r.url)
}

// isBack compares without the query and the fragment, which the answer is in.
func (v *visitor) isBack(to *url.URL) bool {
	if v.back == "" {
		return false
	}
	want, err := url.Parse(v.back)
	return err == nil && strings.EqualFold(to.Scheme, want.Scheme) && to.Host == want.Host && to.Path == want.Path && to.Opaque == want.Opaque
}

func loops(at *url.URL) error {
	return &session.Refused{By: at.Host, Message: "it redirects in a circle",
		Advice: "open the sign-in page in a browser: if it does not work there either, tell those who run it"}
}

// leads refuses to go from a safe place to an unsafe one, where what a person
// typed could be read on the way.
func leads(from, to *url.URL) error {
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return &session.Refused{By: from.Host, Message: fmt.Sprintf("it leads to a %q address", to.Scheme)}
	case from.Scheme == "https" && to.Scheme == "http" && !loopback(to):
		return &session.Refused{By: from.Host, Message: fmt.Sprintf("it leads from https to http at %q, which anybody on the way can read", to.Host)}
	}
	return nil
}

// once makes one request and reads its answer.
func (v *visitor) once(ctx context.Context, r *request, header http.Header) (*page, error) {
	var body io.Reader
	if r.method != "GET" && r.method != "HEAD" {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, &session.Refused{By: r.url.Host, Message: "it leads to an address that is none"}
	}
	req.Header.Set("User-Agent", v.agent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	req.Header.Set("Accept-Language", "en-US,en;q=0.9")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if c := v.jar.header(r.url); c != "" {
		req.Header.Set("Cookie", c)
	}
	if r.referer != nil {
		refer(req, r.referer)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	start := v.now()
	answer, err := v.http.Do(req)
	if err != nil {
		return nil, v.unreachable(ctx, r.url, err)
	}
	defer answer.Body.Close()
	// Neither query nor headers: they hold tokens.
	path, _, _ := strings.Cut(r.url.Path, ";") // Java's servers put the session there
	v.debug("%s %s://%s%s answered %d in %s", r.method, r.url.Scheme, r.url.Host, path, answer.StatusCode, v.now().Sub(start).Round(time.Millisecond))
	v.jar.setCookies(r.url, answer.Cookies(), v.now())
	p := &page{url: r.url, status: answer.StatusCode, header: answer.Header}
	if p.body, err = io.ReadAll(io.LimitReader(answer.Body, maxPage+1)); err != nil {
		return nil, v.unreachable(ctx, r.url, err)
	}
	if len(p.body) > maxPage {
		return nil, &session.Refused{By: r.url.Host, Message: "its answer is larger than the MiB that is read"}
	}
	return p, nil
}

// refer sets what browsers tell of the page before; some sign-in pages refuse
// what comes without it.
// https://www.w3.org/TR/referrer-policy/#referrer-policy-strict-origin-when-cross-origin
func refer(req *http.Request, from *url.URL) {
	origin := from.Scheme + "://" + from.Host
	same := from.Scheme == req.URL.Scheme && from.Host == req.URL.Host
	switch {
	case same:
		whole := *from
		whole.Fragment, whole.RawFragment, whole.User = "", "", nil
		req.Header.Set("Referer", whole.String())
	case from.Scheme == "http" || req.URL.Scheme == "https":
		req.Header.Set("Referer", origin+"/")
	}
	if req.Method == "POST" {
		req.Header.Set("Origin", origin)
	}
}

// read makes a document of p if it is HTML.
func (v *visitor) read(p *page) error {
	kind := p.header.Get("Content-Type")
	media, _, _ := strings.Cut(kind, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "text/html", "application/xhtml+xml":
	case "":
		if !strings.HasPrefix(http.DetectContentType(p.body), "text/html") {
			return nil
		}
	default:
		return nil
	}
	d, err := parseDocument(p.url, p.body, kind)
	if err != nil {
		return &session.Refused{By: p.url.Host, Message: "its page cannot be read"}
	}
	p.document = d
	return nil
}

// call is a request of an API that takes and gives JSON. It follows no
// redirect. What the answer holds is decoded into out if it is JSON at all; the
// status is the caller's to judge, but for failures of the service.
func (v *visitor) call(ctx context.Context, method string, u *url.URL, header http.Header, in, out any) (status int, err error) {
	r := &request{method: method, url: u}
	if in != nil {
		if r.body, err = json.Marshal(in); err != nil {
			return 0, err
		}
	}
	h := http.Header{"Accept": {"application/json"}}
	if method != "GET" {
		h.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		h[name] = values
	}
	p, err := v.once(ctx, r, h)
	if err != nil {
		return 0, err
	}
	if p.status >= 500 || p.status == http.StatusTooManyRequests {
		return 0, failing(u, p.status)
	}
	if err := json.Unmarshal(p.body, out); err != nil && p.status < 300 && len(p.body) > 0 {
		return 0, &session.Refused{By: u.Host, Message: fmt.Sprintf("its answer at %q is not the JSON that its API documents", u.Path)}
	}
	return p.status, nil
}

func failing(u *url.URL, status int) error {
	e := &session.Unreachable{What: "the identity provider " + u.Host, Err: fmt.Errorf("it answers with HTTP status %d %s", status, http.StatusText(status)),
		Advice: "wait a minute and try again"}
	if status == http.StatusTooManyRequests {
		e.Err = errors.New("it has been asked too often (HTTP status 429)")
	}
	return e
}

// unreachable says why nobody answered, without the address's query.
func (v *visitor) unreachable(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return v.explain("the identity provider "+u.Host, err)
}

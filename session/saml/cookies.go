package saml

import (
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// jar is a cookie jar that can be written down and filled again. Which cookie
// goes where is decided by net/http/cookiejar (RFC 6265).
type jar struct {
	mu      sync.Mutex
	rules   *cookiejar.Jar
	set     map[cookieID]cookie
	changed bool // since it was filled
}

// cookieID is what makes a cookie replace another one (RFC 6265, section 5.3).
type cookieID struct{ domain, path, name string }

// cookie is one cookie and the address that set it. Its life is absolute, as
// Max-Age says nothing later on.
type cookie struct {
	From     string    `json:"from"`
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	Domain   string    `json:"domain,omitempty"`
	Path     string    `json:"path,omitempty"`
	Secure   bool      `json:"secure,omitempty"`
	HTTPOnly bool      `json:"http_only,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // zero: with the session
}

func newJar(cookies []cookie, now time.Time) *jar {
	rules, _ := cookiejar.New(nil) // never fails
	j := &jar{rules: rules, set: map[cookieID]cookie{}}
	for _, c := range cookies {
		from, err := url.Parse(c.From)
		if err != nil || !c.Expires.IsZero() && !c.Expires.After(now) {
			continue
		}
		j.setCookies(from, []*http.Cookie{{
			Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path,
			Secure: c.Secure, HttpOnly: c.HTTPOnly, Expires: c.Expires,
		}}, now)
	}
	j.changed = false
	return j
}

// trusted is u as the rules for Secure cookies see it: like browsers, they take
// loopback for a safe place.
// https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy
func trusted(u *url.URL) *url.URL {
	if u.Scheme != "http" || !loopback(u) {
		return u
	}
	safe := *u
	safe.Scheme = "https"
	return &safe
}

func loopback(u *url.URL) bool {
	name := u.Hostname()
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}

func (j *jar) setCookies(u *url.URL, cookies []*http.Cookie, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		// RFC 6265, section 5.2.3; net/http/cookiejar leaves it for IP addresses.
		c.Domain = strings.TrimPrefix(c.Domain, ".")
	}
	j.rules.SetCookies(trusted(u), cookies)
	for _, c := range cookies {
		expires := c.Expires
		switch {
		case c.MaxAge < 0:
			expires = now
		case c.MaxAge > 0:
			expires = now.Add(time.Duration(c.MaxAge) * time.Second)
		}
		domain, path := strings.ToLower(c.Domain), c.Path
		if domain == "" {
			domain = "=" + u.Hostname() // this host alone
		}
		if !strings.HasPrefix(path, "/") {
			path = u.Path[:strings.LastIndexByte(u.Path, '/')+1]
		}
		id := cookieID{domain, path, c.Name}
		j.changed = true
		if !expires.IsZero() && !expires.After(now) {
			delete(j.set, id)
			continue
		}
		from := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		j.set[id] = cookie{
			From: from.String(), Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path,
			Secure: c.Secure, HTTPOnly: c.HttpOnly, Expires: expires,
		}
	}
}

// header is the Cookie header for u, or "".
func (j *jar) header(u *url.URL) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var parts []string
	for _, c := range j.rules.Cookies(trusted(u)) {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return strings.Join(parts, "; ")
}

// all returns the cookies, for the keyring.
func (j *jar) all() []cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]cookie, 0, len(j.set))
	for _, c := range j.set {
		list = append(list, c)
	}
	return list
}

func (j *jar) dirty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

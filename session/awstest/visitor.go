package awstest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// A Visitor is a person with a browser who signs in at the pages of this
// package, without a browser.
type Visitor struct {
	Username, Password string
	Deny               bool              // refuse what the page asks consent for
	Transport          http.RoundTripper // nil is the network
}

// Open loads an address and does what the page there asks for, as far as that
// goes: to a page without a form. That of a [signin] is the last one.
func (v *Visitor) Open(ctx context.Context, address string) error {
	_, err := v.visit(ctx, address, "")
	return err
}

// Redirected is Open for a redirect URI that no browser can go to, app:/callback.
// It returns the address that begins with it.
func (v *Visitor) Redirected(ctx context.Context, address, redirectURI string) (string, error) {
	at, err := v.visit(ctx, address, redirectURI)
	if err == nil && at == "" {
		err = fmt.Errorf("awstest: the visit did not end at %s", redirectURI)
	}
	return at, err
}

func (v *Visitor) visit(ctx context.Context, address, end string) (string, error) {
	client := &http.Client{Transport: v.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	for range 20 {
		if err != nil {
			return "", err
		}
		resp, err2 := client.Do(req)
		if err2 != nil {
			return "", err2
		}
		body, err2 := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		resp.Body.Close()
		if err2 != nil {
			return "", err2
		}
		if to := resp.Header.Get("Location"); to != "" {
			if end != "" && strings.HasPrefix(to, end) {
				return to, nil
			}
			next, err2 := req.URL.Parse(to)
			if err2 != nil {
				return "", err2
			}
			req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil)
			continue
		}
		action, form := v.fill(string(body))
		switch {
		case resp.StatusCode >= 400:
			return "", fmt.Errorf("awstest: %s answered with HTTP status %d", req.URL.Path, resp.StatusCode)
		case strings.Contains(string(body), `role="alert"`):
			return "", errors.New("awstest: the sign-in failed")
		case action == "":
			return "", nil
		}
		next, err2 := req.URL.Parse(action)
		if err2 != nil {
			return "", err2
		}
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, next.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	return "", errors.New("awstest: the visit does not end")
}

// fill fills in the form of one of our own pages; action is "" where there is
// none.
func (v *Visitor) fill(page string) (action string, form url.Values) {
	m := regexp.MustCompile(`<form action="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		return "", nil
	}
	form = url.Values{}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	if strings.Contains(page, `name="username"`) {
		form.Set("username", v.Username)
	}
	if strings.Contains(page, `name="password"`) {
		form.Set("password", v.Password)
	}
	if strings.Contains(page, `name="decision"`) {
		form.Set("decision", map[bool]string{false: "allow", true: "deny"}[v.Deny])
	}
	return html.UnescapeString(m[1]), form
}

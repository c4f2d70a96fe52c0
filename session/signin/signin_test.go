package signin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/signin"
)

func env(kv ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == name {
				return kv[i+1], true
			}
		}
		return "", false
	}
}

// person is at a machine with a display, and what they are told.
func person(open func(ctx context.Context, page string) error) (*signin.Person, *[]string) {
	var told []string
	return &signin.Person{
		Open: open, Tell: func(msg string) { told = append(told, msg) }, Lookup: env("DISPLAY", ":0"), Profile: "prod", Username: "jane",
	}, &told
}

func listen(t *testing.T, address string) *signin.Receiver {
	t.Helper()
	r, err := signin.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// get makes a request as a browser would, or with another Host.
func get(t *testing.T, method, address, host string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	// Browsers know localhost by themselves; a machine without a hosts file
	// would ask its name server.
	if req.URL.Hostname() == "localhost" {
		req.Host, req.URL.Host = req.URL.Host, net.JoinHostPort("127.0.0.1", req.URL.Port())
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestReceiverTakesTheFirstAnswerAlone(t *testing.T) {
	r := listen(t, "http://127.0.0.1/callback")
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() != "127.0.0.1" || u.Port() == "" || u.Path != "/callback" {
		t.Fatalf("it waits at %q", r.URL)
	}
	good := r.URL + "?" + url.Values{"state": {r.State}, "code": {"c0de"}}.Encode()
	p, _ := person(func(context.Context, string) error {
		for _, tc := range []struct {
			name, method, address, host string
			status                      int
		}{
			{"another path", "GET", "http://" + u.Host + "/favicon.ico?state=" + r.State + "&code=x", "", 404},
			{"a path below", "GET", "http://" + u.Host + "/callback/?state=" + r.State + "&code=x", "", 404},
			{"another host", "GET", good, "evil.example:" + u.Port(), 403},
			{"no port", "GET", good, "127.0.0.1", 403},
			{"another name of it", "GET", good, "localhost:" + u.Port(), 403},
			{"a form", "POST", good, "", 405},
			{"a look ahead", "HEAD", good, "", 405},
			{"another state", "GET", r.URL + "?state=forged&code=x", "", 400},
			{"no state", "GET", r.URL + "?code=x", "", 400},
			{"no code", "GET", r.URL + "?state=" + r.State, "", 400},
			{"empty code", "GET", r.URL + "?code=&state=" + r.State, "", 400},
			{"two codes", "GET", r.URL + "?code=x&code=y&state=" + r.State, "", 400},
			{"two states", "GET", r.URL + "?code=x&state=" + r.State + "&state=" + r.State, "", 400},
			{"code and error", "GET", r.URL + "?code=x&error=y&state=" + r.State, "", 400},
			{"not a query", "GET", r.URL + "?code=%zz&state=" + r.State, "", 400},
			{"the answer", "GET", good, "", 200},
			{"another answer", "GET", strings.Replace(good, "c0de", "other", 1), "", 410},
		} {
			status, header, body := get(t, tc.method, tc.address, tc.host)
			if status != tc.status {
				t.Errorf("%s: HTTP status %d, want %d", tc.name, status, tc.status)
			}
			if strings.Contains(body, "<script") || strings.Contains(body, r.State) || strings.Contains(body, "c0de") {
				t.Errorf("%s: the page is %s", tc.name, body)
			}
			if csp := header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: the headers are %v", tc.name, header)
			}
			if tc.status == 200 && !strings.Contains(body, "You can close this page") {
				t.Errorf("the page is %s", body)
			}
		}
		return nil
	})
	answer, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/authorize", false)
	if err != nil || answer.Get("code") != "c0de" {
		t.Errorf("got %v, %v", answer, err)
	}
}

func TestReceiverAddresses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := signin.Listen("http://" + busy.Addr().String() + "/cb"); err == nil {
		t.Errorf("a port that is taken: %v", err)
	}
	for _, address := range []string{"http://127.0.0.1", "http://127.0.0.1/", "http://localhost/cb", "http://127.0.0.1:0/a%20b"} {
		r := listen(t, address)
		status, _, _ := get(t, "GET", r.URL+"?code=x&state="+r.State, "")
		if status != 200 {
			t.Errorf("%s became %s, which answers with HTTP status %d", address, r.URL, status)
		}
	}
	for _, address := range []string{
		"app:/callback", "https://127.0.0.1/cb", "http://example.com/cb", "http://127.0.0.1.example.com/cb", "http://u:p@127.0.0.1/", "http://127.0.0.1/?x=1", "http://0.0.0.0/cb", "", "%", "http:///cb",
	} {
		if signin.Loopback(address) {
			t.Errorf("%q counts as an address of this machine", address)
		}
		if _, err := signin.Listen(address); err == nil {
			t.Errorf("it waits at %q", address)
		}
	}
}

func TestBrowseLeaves(t *testing.T) {
	cannot := errors.New("no browser\x1b[31m")
	r := listen(t, "http://127.0.0.1/cb")
	answer := r.URL + "?error=access_denied&state=" + r.State

	p, told := person(func(context.Context, string) error { return cannot })
	if _, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/a", false); !errors.As(err, new(*signin.Unopened)) || !errors.Is(err, cannot) || len(*told) != 0 {
		t.Errorf("no browser: %v, %q", err, *told)
	}
	p.Tell = func(msg string) {
		if strings.Contains(msg, "\x1b") || !strings.Contains(msg, "no browser") || !strings.Contains(msg, "open https://idp.test/a") {
			t.Errorf("told %q", msg)
		}
		get(t, "GET", answer, "")
	}
	got, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/a", true)
	if err != nil || got.Get("error") != "access_denied" {
		t.Errorf("no browser, and no other way: %v, %v", got, err)
	}

	r = listen(t, "http://127.0.0.1/cb")
	p, _ = person(func(context.Context, string) error { t.Error("a browser opened that nobody sees"); return nil })
	p.Lookup = env("DISPLAY", ":0", "SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
	p.Tell = func(msg string) {
		if !strings.Contains(msg, "ssh -L ") {
			t.Errorf("told %q", msg)
		}
		get(t, "GET", r.URL+"?code=x&state="+r.State, "")
	}
	if _, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/a", true); err != nil {
		t.Errorf("over SSH: %v", err)
	}
}

func TestClosedBrowser(t *testing.T) {
	r := listen(t, "http://127.0.0.1/cb")
	p, _ := person(func(ctx context.Context, page string) error { return nil })
	p.Limit = time.Millisecond
	_, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/a", false)
	var needs *session.Needs
	if !errors.As(err, &needs) || needs.What != session.NeedAuth || needs.Profile != "prod" || err.Error() != "nobody signed in at idp.test in time" {
		t.Errorf("got %v", err)
	}
	p.Limit = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	p.Open = func(context.Context, string) error {
		get(t, "GET", r.URL+"?code=x&state=forged", "")
		cancel()
		return nil
	}
	if _, err := p.Browse(ctx, r, "idp.test", "https://idp.test/a", false); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	p.Limit = time.Millisecond
	p.Open = func(context.Context, string) error { return nil }
	if _, err := p.Browse(t.Context(), r, "idp.test", "https://idp.test/a", false); !errors.As(err, &needs) || !strings.Contains(err.Error(), "another sign-in") {
		t.Errorf("after an answer of another sign-in: %v", err)
	}
}

func TestNobodyToAsk(t *testing.T) {
	for name, p := range map[string]*signin.Person{"nobody": nil, "no browser": {Profile: "prod", Username: "jane"}} {
		var needs *session.Needs
		if err := p.Ready(); !errors.As(err, &needs) || needs.What != session.NeedAuth || p != nil && (needs.Profile != "prod" || needs.Username != "jane") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, _ := person(func(context.Context, string) error { return nil })
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
}

func TestEnterPolls(t *testing.T) {
	code := signin.Code{User: "ABCD\x1b[2J-EFGH", Page: "https://idp.test/device", Expires: 10 * time.Minute}
	refused := &session.Refused{By: "idp.test", Code: "access_denied"}
	silent := &session.Unreachable{What: "POST /token", Err: errors.New("down")}
	for _, tc := range []struct {
		name  string
		code  func(*signin.Code)
		polls []any // Progress or error, the last for ever
		took  time.Duration
		want  error
	}{
		{"at once", nil, []any{signin.Done}, 5 * time.Second, nil},
		{"after a while", nil, []any{signin.Pending, signin.Pending, signin.Done}, 15 * time.Second, nil},
		{"its interval", func(c *signin.Code) { c.Interval = time.Second }, []any{signin.Pending, signin.Done}, 2 * time.Second, nil},
		{"slower for good", nil, []any{signin.SlowDown, signin.Pending, signin.Done}, 25 * time.Second, nil},
		{"silence is not an answer", nil, []any{silent, silent, signin.Done}, 35 * time.Second, nil},
		{"refused", nil, []any{signin.Pending, refused}, 10 * time.Second, refused},
		{"an interval of no sense", func(c *signin.Code) { c.Interval = -time.Hour }, []any{signin.Done}, 5 * time.Second, nil},
		{"an interval without end", func(c *signin.Code) { c.Interval = 1000 * time.Hour }, []any{signin.Done}, time.Minute, nil},
		{"too late", nil, []any{signin.Pending, signin.Expired}, 10 * time.Second, &session.Needs{}},
		{"nobody comes", nil, []any{signin.Pending}, 10 * time.Minute, &session.Needs{}},
		{"nobody comes, for long", func(c *signin.Code) { c.Expires = 1000 * time.Hour }, []any{signin.Pending}, 15 * time.Minute, &session.Needs{}},
		{"nobody answers", func(c *signin.Code) { c.Expires = 0 }, []any{silent}, 15 * time.Minute, &session.Needs{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, told := person(func(context.Context, string) error { return errors.New("none") })
				c := code
				if tc.code != nil {
					tc.code(&c)
				}
				start, n := time.Now(), 0
				err := p.Enter(t.Context(), "idp.test", c, func(context.Context) (signin.Progress, error) {
					step := tc.polls[min(n, len(tc.polls)-1)]
					n++
					if err, ok := step.(error); ok {
						return signin.Pending, err
					}
					return step.(signin.Progress), nil
				})
				var needs *session.Needs
				if _, wantNeeds := tc.want.(*session.Needs); wantNeeds != errors.As(err, &needs) || !wantNeeds && !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if len(*told) != 1 || strings.Contains((*told)[0], "\x1b") || !strings.Contains((*told)[0], "https://idp.test/device") || !strings.Contains((*told)[0], "the code is ABCD[2J-EFGH") {
					t.Errorf("told %q", *told)
				}
			})
		})
	}
}

func TestPagesThatAreNotOpened(t *testing.T) {
	for _, page := range []string{"file:///etc/passwd", "javascript:alert(1)", "http://idp.test/device", "-x", "", "https://", "https://user:pass@idp.test/", "mailto:x@y"} {
		p, told := person(func(context.Context, string) error { t.Errorf("opened %q", page); return nil })
		for _, c := range []signin.Code{{User: "A", Page: page}, {User: "A", Page: "https://idp.test/", Complete: page}} {
			if page == "" && c.Page != "" {
				continue // no complete page is none
			}
			if err := p.Enter(t.Context(), "idp.test", c, nil); err == nil || len(*told) != 0 {
				t.Errorf("%q: %v, told %q", page, err, *told)
			}
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"The code has expired.":             "The code has expired",
		" two\nlines":                       "two",
		"<html><body>Gateway</body></html>": "",
		"a < b":                             "a < b",
		"red \x1b[31malert\x07":             "red [31malert",
		strings.Repeat("x", 400):            strings.Repeat("x", 300),
		"":                                  "",
	} {
		if got := signin.Line(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("<p>x")
	f.Add("a\r\nb")
	f.Fuzz(func(t *testing.T, s string) {
		got := signin.Line(s)
		if strings.ContainsAny(got, "\n\r\x1b\x00") || len([]rune(got)) > 300 {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzReceiver(f *testing.F) {
	r, err := signin.Listen("http://127.0.0.1/cb")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	u, _ := url.Parse(r.URL)
	f.Add("/cb", "code=x&state=y")
	f.Fuzz(func(t *testing.T, path, query string) {
		w := &discard{header: http.Header{}}
		r.ServeHTTP(w, &http.Request{Method: "GET", Host: u.Host, URL: &url.URL{Path: path, RawQuery: query}})
		if w.status == http.StatusOK && !strings.Contains(query, r.State) {
			t.Errorf("%q %q was let in", path, query)
		}
	})
}

type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) Write(p []byte) (int, error) { return fmt.Fprint(io.Discard, string(p)) }
func (w *discard) WriteHeader(status int)      { w.status = status }

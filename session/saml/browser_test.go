package saml

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
)

// chromium skips the test where there is none, and returns a folder for PATH in
// which it runs without a window.
func chromium(t *testing.T) (dir string) {
	t.Helper()
	// It writes crash settings there, whatever its own folder is.
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, ".cache"))
	real, err := exec.LookPath("chromium")
	if err != nil || runtime.GOOS == "windows" {
		if os.Getenv("NO_SKIP") == "1" && runtime.GOOS == "linux" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	dir = t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec %s --headless=new --disable-gpu --disable-quic --no-sandbox \"$@\"\n", real)
	if err := os.WriteFile(filepath.Join(dir, "chromium"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// typing serves a provider's pages with a script in them that does what a
// person would do.
func typing(t *testing.T, l *lab, script string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		l.idp.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
		if strings.Contains(rec.Body.String(), `id="kc-form-login"`) {
			io.WriteString(w, "<script>"+script+"</script>")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/saml"
}

const typesAlice = `document.getElementById('u').value = 'alice'; document.getElementById('p').value = '` + alicePassword + `'; document.querySelector('[name=login]').click();`

func TestOwnBrowser(t *testing.T) {
	dir := chromium(t)
	l := newLab(t, awstest.Forms)
	l.env["PATH"] = dir
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("RUNAS_PASSWORD", "not for the browser FAKE")
	at := typing(t, l, typesAlice)
	newIDP := func() *IDP {
		p := l.newIDP()
		p.URL, p.Provider = at, Browser
		p.Person.Limit = time.Minute
		return p
	}
	p := newIDP()
	c, err := l.newRole(p, l.admin.ARN).Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(c.ARN, "/alice") {
		t.Errorf("the credentials are those of %q", c.ARN)
	}
	if l.person.questions() != "" {
		t.Errorf("asked for %q", l.person.questions())
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("%d files are left behind: %v", len(left), left)
	}
	l.noSecrets()

	// The cookies serve without a browser, and for no person.
	p = newIDP()
	p.Person = nil
	l.env["PATH"] = ""
	if _, err := p.Assertion(t.Context()); err != nil {
		t.Errorf("with the session alone: %v", err)
	}
	l.idp.EndSessions()
	var needs *session.Needs
	if _, err := newIDP().Assertion(t.Context()); err == nil || !strings.Contains(err.Error(), "is not installed") || session.Hint(err) == "" {
		t.Errorf("without a browser: %v", err)
	}
	p = newIDP()
	p.Cache.NoInput = true
	if _, err := p.Assertion(t.Context()); !errors.As(err, &needs) || needs.What != session.NeedAuth {
		t.Errorf("with nobody there: %v", err)
	}
}

func TestOwnBrowserEnds(t *testing.T) {
	dir := chromium(t)
	for _, tc := range []struct {
		name, script, want string
		limit              time.Duration
	}{
		{"closed", "window.close()", "its window was closed before", time.Minute},
		{"nobody", "", "in time", 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, awstest.Forms)
			l.env["PATH"] = dir
			p := l.newIDP()
			p.URL, p.Provider = typing(t, l, tc.script), Browser
			p.Person.Limit = tc.limit
			_, err := p.Assertion(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("does not start", func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		bin := t.TempDir()
		l.env["PATH"] = bin
		if err := os.WriteFile(filepath.Join(bin, "chromium"), []byte("#!/bin/sh\necho Missing X server or \\$DISPLAY >&2\nexit 1\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		p := l.newIDP()
		p.Provider = Browser
		_, err := p.Assertion(t.Context())
		if err == nil || !strings.Contains(err.Error(), "Missing X server") || session.Hint(err) == "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		l.env["PATH"] = dir
		p := l.newIDP()
		p.URL, p.Provider = typing(t, l, ""), Browser
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := l.idp.Wait(ctx, "/saml", 1); err == nil {
				cancel()
			}
		}()
		if _, err := p.Assertion(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOwnBrowserWithBadPages(t *testing.T) {
	dir := chromium(t)
	l := newLab(t, awstest.Forms)
	l.env["PATH"] = dir
	p := l.newIDP()
	p.Provider, p.URL = Browser, "http://127.0.0.1:1/"
	var down *session.Unreachable
	if _, err := p.Assertion(t.Context()); !errors.As(err, &down) {
		t.Errorf("with nobody at the address: %v", err)
	}
	l.idp.SetAssertion(func(f *awstest.AssertionFields) { f.Break = func(string) string { return "<x" } })
	p.URL = typing(t, l, typesAlice)
	if _, err := p.Assertion(t.Context()); err == nil || !strings.Contains(err.Error(), "not well-formed XML") {
		t.Errorf("with a malformed response: %v", err)
	}
}

// The system's browser posts the response back to this machine.
func TestBrowserGetsTheEnvironmentWithoutSecrets(t *testing.T) {
	p := &IDP{Environ: func() []string {
		return []string{"HOME=/home/alice", "RUNAS_PASSWORD=s", "AWSRUNAS_PASSPHRASE=s", "AWS_SECRET_ACCESS_KEY=s"}
	}}
	if got := p.childEnviron(); len(got) != 1 || got[0] != "HOME=/home/alice" {
		t.Errorf("got %q", got)
	}
}

func TestSystemBrowser(t *testing.T) {
	dir := chromium(t)
	l := newLab(t, awstest.Forms)
	local := l.aws.Default().Role("Local", awstest.TrustSAMLAt(l.provider, "http://localhost:*/saml/acs"))
	l.idp.Change(l.alice, func(p *awstest.Person) { p.Roles = append(p.Roles, local.ARN+","+l.provider.ARN) })
	p := l.newIDP()
	p.URL, p.Provider, p.EntityID = typing(t, l, typesAlice), BrowserNE, "urn:amazon:webservices"
	p.Person.Limit = time.Minute
	l.env["DISPLAY"] = ":0"
	var browser *exec.Cmd
	profile := t.TempDir()
	p.Person.Open = func(_ context.Context, page string) error {
		browser = exec.Command(filepath.Join(dir, "chromium"), "--user-data-dir="+profile, "--no-first-run", "--disable-background-networking", "--disable-component-update", page)
		browser.Env = append(os.Environ(), "TMPDIR=/tmp") // a long one is too long for its socket
		browser.WaitDelay = time.Second
		return browser.Start()
	}
	t.Cleanup(func() {
		if browser != nil && browser.Process != nil {
			browser.Process.Kill()
			browser.Wait()
			removeAll(profile)
		}
	})
	c, err := l.newRole(p, local.ARN).Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.ARN, "/Local/alice") {
		t.Errorf("the credentials are those of %q", c.ARN)
	}
	if l.store.kinds(session.KindIDP) != 0 {
		t.Error("a session is kept that nobody has")
	}
}

// acsLab is a sign-in by the system's browser, which is the test.
type acsLab struct {
	*lab
	p    *IDP
	page *url.URL
	acs  string
}

// browse signs in and lets the test play the browser.
func (l *acsLab) browse(t *testing.T, play func()) (*Assertion, error) {
	t.Helper()
	l.env["DISPLAY"] = ":0"
	l.p = l.newIDP()
	l.p.Provider, l.p.EntityID = BrowserNE, "urn:amazon:webservices"
	l.p.Person.Limit = 10 * time.Second
	l.p.Person.Open = func(_ context.Context, page string) error {
		l.page, _ = url.Parse(page)
		m := regexp.MustCompile(`localhost:\d+/saml/acs`).FindString(inflated(t, l.page.Query().Get("SAMLRequest")))
		l.acs = "http://" + strings.Replace(m, "localhost", "127.0.0.1", 1)
		go play()
		return nil
	}
	return l.p.Assertion(t.Context())
}

// answer is what the provider would post for the request.
func (l *acsLab) answer(t *testing.T) url.Values {
	v, err := l.newIDP().visitor(nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	r := get(l.page)
	for range 10 {
		p, err := v.open(context.Background(), r)
		if err != nil {
			t.Error(err)
			return nil
		}
		for _, f := range p.form {
			if s, ok := f.field("SAMLResponse"); ok {
				relay, _ := f.field("RelayState")
				return url.Values{"SAMLResponse": {s}, "RelayState": {relay}}
			}
		}
		f, a := p.best()
		if f == nil {
			t.Errorf("no form in %s", p.body)
			return nil
		}
		a.username.value, a.password.value = "alice", alicePassword
		if r, err = f.submit(f.press()); err != nil {
			t.Error(err)
			return nil
		}
	}
	return nil
}

func post(t *testing.T, address, host string, form url.Values) int {
	req, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestACS(t *testing.T) {
	l := &acsLab{lab: newLab(t, awstest.Forms)}
	a, err := l.browse(t, func() {
		good := l.answer(t)
		with := func(name, value string) url.Values {
			v := url.Values{"SAMLResponse": good["SAMLResponse"], "RelayState": good["RelayState"]}
			v.Set(name, value)
			return v
		}
		// Nothing that is not the answer ends the sign-in.
		for _, bad := range []struct {
			address, host string
			form          url.Values
			status        int
		}{
			{l.acs, "evil.test", good, 403},
			{l.acs, "", with("RelayState", "x"), 403},
			{l.acs, "", url.Values{"SAMLResponse": good["SAMLResponse"]}, 400},
			{l.acs, "", url.Values{"RelayState": good["RelayState"]}, 400},
			{l.acs + "/x", "", good, 404},
		} {
			if got := post(t, bad.address, bad.host, bad.form); got != bad.status {
				t.Errorf("%s %s: %d, want %d", bad.address, bad.host, got, bad.status)
			}
		}
		if resp, err := http.Get(l.acs + "?" + good.Encode()); err != nil || resp.StatusCode != 405 {
			t.Errorf("GET: %v, %v", resp, err)
		} else {
			resp.Body.Close()
		}
		if got := post(t, l.acs, "", good); got != 200 {
			t.Errorf("the answer: %d", got)
		}
	})
	if err != nil || a.SessionName != "alice" {
		t.Fatalf("got %v, %v", a, err)
	}

	for _, tc := range []struct {
		name  string
		tweak func(*awstest.AssertionFields)
		want  string
	}{
		{"to another request", func(f *awstest.AssertionFields) { f.InResponseTo = "_other" }, "to another request"},
		{"to nobody's", func(f *awstest.AssertionFields) { f.InResponseTo = "" }, "to another request"},
		{"for AWS", func(f *awstest.AssertionFields) { f.Recipient = awstest.SigninURL }, `meant for "https://signin.aws.amazon.com/saml"`},
		{"a failure", func(f *awstest.AssertionFields) { f.Status = "AuthnFailed" }, "AuthnFailed"},
		{"malformed", func(f *awstest.AssertionFields) { f.Break = func(string) string { return "<" } }, "not well-formed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &acsLab{lab: newLab(t, awstest.Forms)}
			l.idp.SetAssertion(tc.tweak)
			_, err := l.browse(t, func() { post(t, l.acs, "", l.answer(t)) })
			var no *session.Refused
			if !errors.As(err, &no) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSystemBrowserCannotOpen(t *testing.T) {
	for _, remote := range []bool{false, true} {
		l := newLab(t, awstest.Forms)
		l.env["DISPLAY"] = ":0"
		if remote {
			l.env["SSH_CONNECTION"] = "1"
		}
		p := l.newIDP()
		p.Provider, p.EntityID = BrowserNE, "urn:amazon:webservices"
		p.Person.Limit = 10 * time.Millisecond
		p.Person.Open = func(context.Context, string) error { return fs.ErrNotExist }
		_, err := p.Assertion(t.Context())
		told := strings.Join(l.notices, "\n")
		if err == nil || !strings.Contains(err.Error(), "in time") || !strings.Contains(told, "https://idp.test/saml?RelayState=") || remote != strings.Contains(told, "ssh -L") {
			t.Errorf("got %v, told %q", err, told)
		}
	}
}

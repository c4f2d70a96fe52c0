//go:build slow

package oidc_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/oidc"
	"aws-runas/session/role"
)

// missing skips the test, unless all have to run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// library is the folder of a package of npm.
func library(t *testing.T, name string) string {
	t.Helper()
	root, err := exec.Command(program(t, "npm"), "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), name)
	if _, err := os.Stat(dir); err != nil {
		missing(t, "npm package "+name)
	}
	return dir
}

// oidcProvider runs npm's oidc-provider until the test ends and returns its
// issuer.
func oidcProvider(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "node"), append([]string{"testdata/provider.mjs", library(t, "oidc-provider")}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe() // it ends with this process, however that ends
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", said.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "http") {
			return lines.Text()
		}
	}
	t.Fatalf("oidc-provider did not start: %s", said.String())
	return ""
}

// chromium is a person at a browser who allows or denies, and what they saw last.
type chromium struct {
	t                      *testing.T
	node, library, program string
	decision               string

	mu    sync.Mutex
	wait  sync.WaitGroup
	asked int
	saw   string
}

func newChromium(t *testing.T) *chromium {
	c := &chromium{t: t, node: program(t, "node"), library: library(t, "playwright-core"), program: program(t, "chromium"), decision: "allow"}
	t.Cleanup(c.wait.Wait)
	return c
}

func (c *chromium) open(_ context.Context, page string) error {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	home, ctx := c.t.TempDir(), c.t.Context() // the browser stays when the sign-in is done
	c.wait.Go(func() {
		cmd := exec.CommandContext(ctx, c.node, "testdata/visit.mjs", c.library, c.program, page, c.decision)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
		cmd.WaitDelay = 5 * time.Second
		out, err := cmd.CombinedOutput()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.saw = string(out)
		if err != nil && ctx.Err() == nil {
			c.t.Errorf("chromium: %v\n%s", err, out)
		}
	})
	return nil
}

func TestSlowOIDCProvider(t *testing.T) {
	issuer := oidcProvider(t)
	browser := newChromium(t)
	l := newLab(t)
	l.network = http.DefaultTransport
	byBrowser := func(c *oidc.Client) {
		c.URL, c.Username = issuer, "jane"
		c.Person.Open = browser.open
	}
	l.change = byBrowser

	first := l.must()
	browser.wait.Wait()
	if !strings.Contains(browser.saw, "You can close this page") {
		t.Errorf("the browser ended at %q", browser.saw)
	}
	if l.must() != first || browser.asked != 1 {
		t.Errorf("asked %d times", browser.asked)
	}
	// Its refresh tokens of public clients are used once.
	token := first
	for range 3 {
		next, user, err := l.client().Token(t.Context(), token)
		if err != nil || user != "jane" || browser.asked != 1 {
			t.Fatalf("after a refresh: %q, %v, asked %d times", user, err, browser.asked)
		}
		token = next
	}
	if _, err := l.client().Login(t.Context(), true); err != nil || browser.asked != 2 {
		t.Errorf("login: %v, asked %d times", err, browser.asked)
	}
	l.revoked(t, browser)

	browser.decision = "deny"
	l.clear()
	no := fails[*session.Refused](l)
	browser.wait.Wait()
	if no.Code != "access_denied" || session.Hint(no) == "" || !strings.Contains(browser.saw, "Not signed in") {
		t.Errorf("denied: %v; hint %q; the browser ended at %q", no, session.Hint(no), browser.saw)
	}

	// From here on over SSH: the page is opened elsewhere.
	browser.decision = "allow"
	l.env["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
	l.change = func(c *oidc.Client) {
		byBrowser(c)
		c.Person.Limit = 40 * time.Second // three times that for a code
		c.Username = ""
		c.Person.Tell = func(msg string) {
			l.write("%s", msg)
			_, page, _ := strings.Cut(msg, " open ")
			page, _, _ = strings.Cut(page, " ")
			browser.open(t.Context(), page)
		}
	}
	l.clear()
	token = l.must()
	browser.wait.Wait()
	if !strings.Contains(browser.saw, "successful") {
		t.Errorf("the other device ended at %q", browser.saw)
	}
	asked := browser.asked
	if _, _, err := l.client().Token(t.Context(), token); err != nil || browser.asked != asked {
		t.Errorf("after a refresh: %v", err)
	}
	l.revoked(t, browser)

	browser.decision = "deny"
	l.clear()
	if no := fails[*session.Refused](l); no.Code != "access_denied" {
		t.Errorf("denied elsewhere: %v", no)
	}
	browser.wait.Wait()

	l.change = func(c *oidc.Client) { byBrowser(c); c.ID = "nobody" }
	if err := fails[error](l); !errors.As(err, new(*session.Refused)) || session.Hint(err) == "" {
		t.Errorf("an unknown client: %v; hint %q", err, session.Hint(err))
	}
	l.noSecrets()
	if strings.Contains(l.output.String(), "eyJ") {
		t.Errorf("a token is shown in:\n%s", l.output.String())
	}
}

func (l *lab) clear() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	clear(l.store.records)
}

// revoked signs out and tries the refresh token after that.
func (l *lab) revoked(t *testing.T, browser *chromium) {
	t.Helper()
	l.store.mu.Lock()
	kept := map[string][]byte{}
	for key, record := range l.store.records {
		if bytes.Contains(record, []byte("refresh_token")) {
			kept[key] = record
		}
	}
	l.store.mu.Unlock()
	if len(kept) != 1 {
		t.Fatalf("%d refresh tokens are kept", len(kept))
	}
	if err := l.client().Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, record := range kept {
		l.store.Set(t.Context(), key, record, time.Time{})
	}
	asked := browser.asked
	if _, err := l.token(); err != nil || browser.asked != asked+1 {
		t.Errorf("a revoked refresh token: %v, asked %d times more", err, browser.asked-asked)
	}
	browser.wait.Wait()
}

// TestSlowTokenAtMoto has a token of oidc-provider accepted by somebody else's
// AWS, which does not check it.
func TestSlowTokenAtMoto(t *testing.T) {
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	host, port, _ := net.SplitHostPort(address)
	moto := exec.CommandContext(t.Context(), program(t, "moto_server"), "-H", host, "-p", port)
	moto.WaitDelay = time.Second
	said, err := moto.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := moto.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		moto.Process.Kill()
		moto.Wait()
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "Running on") {
	}
	go func() { // what it logs must not block it
		for lines.Scan() {
		}
	}()
	issuer, browser := oidcProvider(t), newChromium(t)
	l := newLab(t)
	l.network = http.DefaultTransport
	l.change = func(c *oidc.Client) {
		c.URL, c.Person.Open, c.Username = issuer, browser.open, "jane"
		c.AWS.Endpoint = func(string) string { return "http://" + address }
	}
	c := l.client()
	w := &role.WebIdentity{
		Cache: c.Cache, AWS: c.AWS, Name: "prod", Token: c, OSUser: "tester",
		Request: role.Request{RoleARN: "arn:aws:iam::123456789012:role/Federated", Duration: time.Hour},
	}
	got, err := w.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	arn, err := role.Identity(t.Context(), c.AWS, got)
	if want := "arn:aws:sts::123456789012:assumed-role/Federated/jane"; err != nil || arn != want {
		t.Errorf("the credentials are those of %q, want %q: %v", arn, want, err)
	}
}

package saml

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
)

// A Chrome of our own, spoken to over a pipe: the DevTools protocol is JSON with
// a NUL after each message, so it needs no library and, unlike its web socket,
// opens no port through which other programs could drive the browser.
// https://chromedevtools.github.io/devtools-protocol/

// ownBrowser opens a window in which a person signs in, and takes the response
// that the browser is about to post to AWS. Cookies go from and to the keyring:
// the window is of a browser context that keeps nothing on disk.
func (p *IDP) ownBrowser(ctx context.Context, u *url.URL, cookies []cookie) (*Assertion, []cookie, error) {
	if err := p.person(); err != nil {
		return nil, nil, err
	}
	path, err := p.findBrowser()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "aws-runas-browser-")
	if err != nil {
		return nil, nil, err
	}
	defer removeAll(dir)
	defer session.Asking(ctx, session.NeedAuth)()
	limited, cancel := context.WithTimeout(ctx, p.browserLimit())
	defer cancel()
	b, err := startBrowser(path, p.browserArgs(dir), p.childEnviron())
	if err != nil {
		return nil, nil, &session.Refused{By: filepath.Base(path), Message: "it cannot be started: " + oneLine(err.Error()), Advice: "aws-runas -R browserne login " + awsapi.Word(p.Profile)}
	}
	defer b.close()
	p.Notice(fmt.Sprintf("sign in at %s in the window that opens", u.Host))
	a, kept, err := b.signIn(limited, u, cookies)
	switch {
	case err == nil:
		return a, kept, nil
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case limited.Err() != nil:
		return nil, nil, p.late(u.Host)
	case errors.Is(err, errClosed):
		b.close() // what it wrote is all there afterwards
		message := "its window was closed before the sign-in was complete"
		if why := b.lastWords(); why != "" && !b.shown {
			message = "it ended before it showed a window: " + why
		}
		return nil, nil, &session.Refused{By: filepath.Base(path), Message: message, Advice: "aws-runas login " + awsapi.Word(p.Profile)}
	}
	return nil, nil, err
}

func (p *IDP) browserArgs(dir string) []string {
	args := []string{
		"--user-data-dir=" + dir, "--no-first-run", "--no-default-browser-check", "--no-startup-window",
		"--disable-sync", "--disable-background-networking", "--disable-component-update",
	}
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // it does not start for root otherwise
	}
	return args
}

// childEnviron is the environment without what is secret in it.
func (p *IDP) childEnviron() []string {
	var env []string
	for _, v := range p.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD", "MFA_CODE", "AWSRUNAS_PASSPHRASE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN":
		default:
			env = append(env, v)
		}
	}
	return env
}

// findBrowser looks for the program in PATH, then where installers put it.
func (p *IDP) findBrowser() (string, error) {
	get := func(name string) string { v, _ := p.Lookup(name); return v }
	names := []string{"google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"}
	mac := []string{"Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium"}
	windows := []string{`Google\Chrome\Application\chrome.exe`}
	what := "Chrome or Chromium"
	if p.Program == "msedge" {
		names = []string{"microsoft-edge", "microsoft-edge-stable", "msedge"}
		mac = []string{"Microsoft Edge.app/Contents/MacOS/Microsoft Edge"}
		windows = []string{`Microsoft\Edge\Application\msedge.exe`}
		what = "Edge"
	}
	var paths []string
	for _, name := range names {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		for _, dir := range filepath.SplitList(get("PATH")) {
			if filepath.IsAbs(dir) {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
	}
	switch runtime.GOOS {
	case "darwin":
		for _, root := range []string{"/Applications", filepath.Join(get("HOME"), "Applications")} {
			for _, name := range mac {
				paths = append(paths, filepath.Join(root, name))
			}
		}
	case "windows":
		for _, root := range []string{"ProgramFiles", "ProgramFiles(x86)", "LocalAppData"} {
			for _, name := range windows {
				if dir := get(root); dir != "" {
					paths = append(paths, filepath.Join(dir, name))
				}
			}
		}
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
			return path, nil
		}
	}
	return "", &session.Refused{By: "this machine", Message: fmt.Sprintf("%s is not installed, which saml_provider = browser needs", what), Advice: "aws-runas -R browserne login " + awsapi.Word(p.Profile)}
}

// removeAll tries more than once: helpers of the browser may outlive it for a
// moment, and write.
func removeAll(dir string) {
	for range 20 {
		if os.RemoveAll(dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// browser is one that runs.
type browser struct {
	cmd   *exec.Cmd
	out   io.WriteCloser
	in    io.ReadCloser
	words *tail
	shown bool // it had a page

	message chan devtools // closed when the browser is gone
	id      int
}

// devtools is a message of the protocol: a call's answer, or an event.
type devtools struct {
	ID      int             `json:"id"`
	Method  string          `json:"method"`
	Session string          `json:"sessionId"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}

var errClosed = errors.New("the browser was closed")

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 4096 {
		t.buf = t.buf[len(t.buf)-4096:]
	}
	return len(b), nil
}

func (b *browser) lastWords() string {
	b.words.mu.Lock()
	defer b.words.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(b.words.buf)), "\n")
	return oneLine(lines[len(lines)-1])
}

func startBrowser(path string, args, env []string) (*browser, error) {
	b := &browser{words: new(tail), message: make(chan devtools)}
	b.cmd = exec.Command(path, args...)
	b.cmd.Env, b.cmd.Stderr = env, b.words
	b.cmd.WaitDelay = time.Second // what it started may hold its stderr
	var err error
	if b.in, b.out, err = b.start(); err != nil {
		return nil, err
	}
	go b.read()
	return b, nil
}

func (b *browser) read() {
	defer close(b.message)
	r := bufio.NewReader(b.in)
	for {
		line, err := r.ReadSlice(0)
		whole := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(whole) < 16<<20 {
			line, err = r.ReadSlice(0)
			whole = append(whole, line...)
		}
		if err != nil {
			return
		}
		var m devtools
		if json.Unmarshal(bytes.TrimSuffix(whole, []byte{0}), &m) == nil {
			b.message <- m
		}
	}
}

// close ends the browser, by asking first. Once it is gone, to close it again
// does nothing.
func (b *browser) close() {
	b.send("", "Browser.close", nil)
	gone := make(chan struct{})
	go func() {
		for range b.message { // until it hangs up
		}
		b.cmd.Wait()
		close(gone)
	}()
	kill := time.NewTimer(3 * time.Second)
	defer kill.Stop()
	select {
	case <-gone:
	case <-kill.C:
		b.cmd.Process.Kill()
		b.in.Close()
		<-gone
	}
	b.in.Close()
	b.out.Close()
}

// send makes a call and returns its number.
func (b *browser) send(in, method string, params any) int {
	b.id++
	m := map[string]any{"id": b.id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if in != "" {
		m["sessionId"] = in
	}
	text, _ := json.Marshal(m)   // strings, numbers and maps of them always marshal
	b.out.Write(append(text, 0)) // if nobody reads, the answer will not come either
	return b.id
}

// signIn opens the page and waits for the response on its way to AWS.
func (b *browser) signIn(ctx context.Context, u *url.URL, cookies []cookie) (*Assertion, []cookie, error) {
	type object = map[string]any
	w := &window{browser: b, ctx: ctx, pages: map[string]bool{}}
	w.attached = func(session string) {
		// Each page, and each window that it opens, stops at every document that
		// it is about to ask for.
		b.send(session, "Fetch.enable", object{"patterns": []object{{"urlPattern": "*", "resourceType": "Document"}}})
	}
	if err := w.call("", "Target.setAutoAttach", object{"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true}, nil); err != nil {
		return nil, nil, err
	}
	var made struct {
		ID string `json:"browserContextId"`
	}
	if err := w.call("", "Target.createBrowserContext", object{"disposeOnDetach": true}, &made); err != nil {
		return nil, nil, err
	}
	var set []object
	for _, c := range cookies {
		o := object{"name": c.Name, "value": c.Value, "url": c.From, "path": c.Path, "secure": c.Secure, "httpOnly": c.HTTPOnly}
		if c.Domain != "" {
			o["domain"] = c.Domain
		}
		if !c.Expires.IsZero() {
			o["expires"] = c.Expires.Unix()
		}
		if c.Path == "" {
			delete(o, "path")
		}
		set = append(set, o)
	}
	if len(set) > 0 {
		// One that it does not like only means that it asks.
		w.call("", "Storage.setCookies", object{"cookies": set, "browserContextId": made.ID}, nil)
	}
	if err := w.call("", "Target.createTarget", object{"url": "about:blank", "browserContextId": made.ID, "newWindow": true, "width": 500, "height": 800}, nil); err != nil {
		return nil, nil, err
	}
	for w.first == "" {
		if err := w.next(); err != nil {
			return nil, nil, err
		}
	}
	b.shown = true
	var went struct {
		Error string `json:"errorText"`
	}
	if err := w.call(w.first, "Page.navigate", object{"url": u.String()}, &went); err != nil {
		return nil, nil, err
	}
	if went.Error != "" && w.found == nil && went.Error != "net::ERR_ABORTED" {
		return nil, nil, &session.Unreachable{What: "the identity provider " + u.Host, Err: errors.New(oneLine(went.Error))}
	}
	for w.found == nil && w.err == nil {
		if err := w.next(); err != nil {
			return nil, nil, err
		}
	}
	if w.err != nil {
		return nil, nil, w.err
	}
	var have struct {
		Cookies []struct {
			Name, Value, Domain, Path string
			Expires                   float64
			Secure                    bool
			HTTPOnly                  bool `json:"httpOnly"`
		}
	}
	if err := w.call("", "Storage.getCookies", object{"browserContextId": made.ID}, &have); err != nil {
		return w.found, nil, nil // the sign-in is good; the next one asks again
	}
	var kept []cookie
	for _, c := range have.Cookies {
		scheme, host := "http", strings.TrimPrefix(c.Domain, ".")
		if c.Secure {
			scheme = "https"
		}
		k := cookie{From: scheme + "://" + host + c.Path, Name: c.Name, Value: c.Value, Path: c.Path, Secure: c.Secure, HTTPOnly: c.HTTPOnly}
		if host != c.Domain {
			k.Domain = host
		}
		if c.Expires > 0 {
			k.Expires = time.Unix(int64(c.Expires), 0).UTC()
		}
		kept = append(kept, k)
	}
	return w.found, kept, nil
}

// window is a sign-in in a browser that is under way.
type window struct {
	*browser
	ctx      context.Context
	attached func(session string)
	pages    map[string]bool // by session
	first    string
	found    *Assertion
	err      error
}

// call makes a call and handles events until it is answered.
func (w *window) call(in, method string, params, out any) error {
	id := w.send(in, method, params)
	for {
		m, err := w.receive()
		switch {
		case err != nil:
			return err
		case m.ID != id:
			if err := w.event(m); err != nil {
				return err
			}
			continue
		case m.Error != nil:
			return fmt.Errorf("the browser refuses %s: %s", method, oneLine(m.Error.Message))
		case out != nil:
			return json.Unmarshal(m.Result, out)
		}
		return nil
	}
}

func (w *window) next() error {
	m, err := w.receive()
	if err != nil {
		return err
	}
	return w.event(m)
}

func (w *window) receive() (devtools, error) {
	select {
	case m, ok := <-w.message:
		if !ok {
			return m, errClosed
		}
		return m, nil
	case <-w.ctx.Done():
		return devtools{}, w.ctx.Err()
	}
}

func (w *window) event(m devtools) error {
	switch m.Method {
	case "Target.attachedToTarget":
		var e struct {
			Session string `json:"sessionId"`
			Target  struct {
				Type string `json:"type"`
			} `json:"targetInfo"`
		}
		if json.Unmarshal(m.Params, &e) != nil {
			return nil
		}
		if e.Target.Type == "page" {
			w.pages[e.Session] = true
			if w.first == "" {
				w.first = e.Session
			}
			w.attached(e.Session)
		}
		w.send(e.Session, "Runtime.runIfWaitingForDebugger", nil)
	case "Target.detachedFromTarget":
		var e struct {
			Session string `json:"sessionId"`
		}
		if json.Unmarshal(m.Params, &e) == nil && w.pages[e.Session] {
			delete(w.pages, e.Session)
			if len(w.pages) == 0 && w.found == nil {
				return errClosed // the last window
			}
		}
	case "Fetch.requestPaused":
		w.paused(m)
	}
	return nil
}

// paused lets a request go on, unless it is the one waited for.
func (w *window) paused(m devtools) {
	var e struct {
		ID      string `json:"requestId"`
		Request struct {
			URL      string `json:"url"`
			Method   string `json:"method"`
			PostData string `json:"postData"`
			Entries  []struct {
				Bytes string `json:"bytes"`
			} `json:"postDataEntries"`
		} `json:"request"`
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return
	}
	data := e.Request.PostData
	if data == "" {
		for _, entry := range e.Request.Entries {
			b, _ := base64.StdEncoding.DecodeString(entry.Bytes)
			data += string(b)
		}
	}
	to, err := url.Parse(e.Request.URL)
	form, formErr := url.ParseQuery(data)
	encoded := form.Get("SAMLResponse")
	if e.Request.Method != "POST" || err != nil || formErr != nil || encoded == "" {
		w.send(m.Session, "Fetch.continueRequest", map[string]any{"requestId": e.ID})
		return
	}
	a, err := parseResponse(encoded)
	switch {
	case err == nil && (a.forAWS() || isAWS(to)):
		w.found = a
	case err != nil && isAWS(to):
		w.err = &session.Refused{By: "the identity provider", Message: err.Error()}
	default: // on its way from one identity provider to the next
		w.send(m.Session, "Fetch.continueRequest", map[string]any{"requestId": e.ID})
		return
	}
	page := fmt.Sprintf(browserPage, "Back to the terminal", "Back to the terminal", "Your identity provider has answered, and aws-runas goes on in the terminal.")
	w.send(m.Session, "Fetch.fulfillRequest", map[string]any{
		"requestId": e.ID, "responseCode": 200, "body": base64.StdEncoding.EncodeToString([]byte(page)),
		"responseHeaders": []map[string]string{{"name": "Content-Type", "value": "text/html; charset=utf-8"}},
	})
}

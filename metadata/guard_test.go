package metadata

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHostAndOrigin(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	for _, tt := range []struct {
		name    string
		target  string
		headers []string
		status  int
	}{
		{"the address", "/credentials", []string{"Host", "127.0.0.1:12319"}, 200},
		{"without port", "/credentials", []string{"Host", "127.0.0.1"}, 200},
		{"another port", "/credentials", []string{"Host", "127.0.0.1:8080"}, 200}, // ssh -R
		{"localhost", "/credentials", []string{"Host", "LocalHost:1"}, 200},
		{"IPv6", "/credentials", []string{"Host", "[::1]:1"}, 200},
		{"a rebound name", "/credentials", []string{"Host", "evil.example"}, 403},
		{"localhost as a label", "/credentials", []string{"Host", "localhost.evil.example"}, 403},
		{"another address", "/credentials", []string{"Host", "169.254.169.254"}, 403},
		{"a number", "/credentials", []string{"Host", "2130706433"}, 403},
		{"no host", "/credentials", []string{"Host", ""}, 403},
		{"absolute form", "http://evil.example/credentials", []string{"Host", "evil.example"}, 403},
		{"own origin", "/profile", []string{"Origin", "http://127.0.0.1:12319", "Sec-Fetch-Site", "same-origin"}, 200},
		{"foreign origin", "/profile", []string{"Origin", "https://evil.example"}, 403},
		{"origin null", "/profile", []string{"Origin", "null"}, 403},
		{"empty origin", "/profile", []string{"Origin", ""}, 403},
		{"two origins", "/profile", []string{"Origin", "http://127.0.0.1:12319", "Origin", "https://evil.example"}, 403},
		{"origin on another port", "/profile", []string{"Origin", "http://127.0.0.1:3000"}, 403},
		{"cross-site", "/profile", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same-site", "/credentials", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"typed address", "/profile", []string{"Sec-Fetch-Site", "none"}, 200},
		{"link to the page", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"the page in a frame", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"the page by a script", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		{"link to credentials", "/credentials", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403},
		{"unknown path", "/nothing", []string{"Host", "evil.example"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := do(s, request("GET", tt.target, "", tt.headers...))
			if w.Code != tt.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Code == 403 && (strings.Contains(w.Body.String(), "planted") || w.Header().Get("Connection") != "close") {
				t.Errorf("refused with %v %s", w.Header(), w.Body)
			}
		})
	}
	// A page of another site must not get anything done either.
	for _, r := range []*http.Request{
		request("POST", "/profile", "ops", "Origin", "https://evil.example", "Content-Type", "text/plain"),
		formRequest("POST", "/profile/custom", "adv-type=iam", "Origin", "https://evil.example"),
		request("PUT", "/latest/api/token", "", "Origin", "https://evil.example", imdsTTLHeader, "60"),
		request("POST", "/profile", "ops", "Host", "rebound.example"),
	} {
		if w := do(s, r); w.Code != 403 {
			t.Errorf("%s %s: %d", r.Method, r.URL, w.Code)
		}
	}
	if active := s.state.Load().active.target.Profile; active != "dev" {
		t.Errorf("switched to %s", active)
	}
}

func TestToken(t *testing.T) {
	o := ecsOptions()
	o.Token = "the-token"
	s, _ := newTestServer(t, o)
	s.admit = func(_, _ netip.AddrPort) error { return errors.New("another user") } // the token takes its place
	mustActivate(t, s, "dev")
	for _, tt := range []struct {
		target, token string
		status        int
	}{
		{"/credentials", "the-token", 200},
		{"/credentials", "Bearer the-token", 200},
		{"/credentials/ops", "Bearer the-token", 200},
		{"/profile", "the-token", 200},
		{imdsRolesPath, "the-token", 200},
		{"/credentials", "", 401}, {"/credentials", "the-toke", 401}, {"/credentials", "bearer the-token", 401},
		{"/credentials", "Bearer Bearer the-token", 401}, {"/credentials/ops", "x", 401},
		{"/profile", "", 401}, {"/list-roles", "", 401}, {imdsRolesPath, "", 401}, {"/nothing", "", 401},
		{"/?token=the-token", "", 200}, {"/profile?token=the-token", "", 401},
		{"/", "", 200}, {"/site.js", "", 200}, // the page, which then asks with the token
	} {
		w := do(s, request("GET", tt.target, "", "Authorization", tt.token))
		if w.Code != tt.status {
			t.Errorf("%s with %q: %d %s", tt.target, tt.token, w.Code, w.Body)
		}
	}
	for _, target := range []string{"/profile", "/refresh", "/mfa", "/auth", "/profile/custom"} {
		if w := do(s, formRequest("POST", target, "ops")); w.Code != 401 {
			t.Errorf("POST %s without token: %d", target, w.Code)
		}
	}
}

func TestPeers(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:12319")
	link := netip.MustParseAddrPort("169.254.169.254:80")
	container4 := netip.MustParseAddrPort("172.30.0.7:50000")
	other := errors.New("this connection is of a process of another user (uid 1001)")
	for _, tt := range []struct {
		name          string
		remote, local netip.AddrPort
		admit         error
		o             Options
		want          map[string]int
	}{
		{"own process", local, local, nil, Options{}, map[string]int{"/profile": 200, "/credentials": 200, "/": 200}},
		{"another user's", local, local, other, Options{}, map[string]int{"/profile": 403, "/credentials": 403, "/": 403, "/nothing": 403}},
		{"any user", local, local, other, Options{AnyUser: true}, map[string]int{"/profile": 200, "/credentials": 200}},
		{"another machine", container4, link, nil, Options{}, map[string]int{"/profile": 403, "/credentials": 403, "/": 403}},
		{"another machine, any user", container4, link, nil, Options{AnyUser: true}, map[string]int{"/credentials": 403}},
		{"another machine, containers", container4, link, nil, Options{Containers: true}, map[string]int{"/credentials": 403}},
		{"an allowed subnet", container4, link, nil, Options{AllowFrom: []netip.Prefix{netip.MustParsePrefix("172.30.0.0/16")}},
			map[string]int{"/profile": 403, "/credentials": 200, "/credentials/ops": 200, imdsRolesPath: 200, "/": 403, "/site.js": 403, "/list-roles": 403}},
		{"another subnet", container4, link, nil, Options{AllowFrom: []netip.Prefix{netip.MustParsePrefix("172.31.0.0/16")}}, map[string]int{"/credentials": 403}},
		{"no address", netip.AddrPort{}, local, nil, Options{AnyUser: true}, map[string]int{"/credentials": 403}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.o
			o.CredentialsPath, o.Pages = CredentialsPath, testPages
			s, _ := newTestServer(t, o)
			s.admit = func(_, _ netip.AddrPort) error { return tt.admit }
			mustActivate(t, s, "dev")
			for target, want := range tt.want {
				r := request("GET", target, "")
				r.Host = tt.local.String()
				r = r.WithContext(context.WithValue(r.Context(), connKey{}, &conn{remote: tt.remote, local: tt.local}))
				w := do(s, r)
				if w.Code != want {
					t.Errorf("%s: %d %s", target, w.Code, w.Body)
				}
				if w.Code == 403 && tt.admit != nil && !strings.Contains(w.Body.String(), "--allow-any-user") {
					t.Errorf("%s: %s", target, w.Body)
				}
			}
		})
	}
	// Without what Serve gives to connections nobody is known.
	s, _ := newTestServer(t, ecsOptions())
	r, _ := http.NewRequest("GET", "http://127.0.0.1/credentials", nil)
	if w := do(s, r); w.Code != 403 {
		t.Errorf("%d", w.Code)
	}
}

func TestBridgeNames(t *testing.T) {
	for name, want := range map[string]bool{
		"docker0": true, "br-0123456789ab": true, "podman0": true, "podman12": true, "cni-podman0": true,
		"eth0": false, "br-lan": false, "br0": false, "br-0123456789xy": false, "docker": false, "dockerfoo": false, "wlan0": false, "virbr0": false,
	} {
		if bridgeName(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

func TestIMDSv2(t *testing.T) {
	clock := newClock()
	s, _ := newTestServer(t, Options{Now: clock.now})
	mustActivate(t, s, "dev")
	put := func(headers ...string) (int, string, http.Header) {
		w := do(s, request("PUT", imdsTokenPath, "", headers...))
		return w.Code, w.Body.String(), w.Header()
	}
	for _, tt := range []struct {
		ttl    string
		status int
	}{
		{"1", 200}, {"60", 200}, {"21600", 200}, {"0", 400}, {"99999", 400}, {"21601", 400}, {"-1", 400}, {"+60", 400}, {"abc", 400}, {"", 400},
		{"60s", 400}, {"1e3", 400}, {"18446744073709551617", 400}, {"60, 60", 400},
	} {
		if code, body, h := put(imdsTTLHeader, tt.ttl); code != tt.status || code == 200 && (h.Get(imdsTTLHeader) != tt.ttl || len(body) < 40) {
			t.Errorf("TTL %q: %d %s", tt.ttl, code, body)
		}
	}
	if code, _, _ := put(); code != 400 {
		t.Errorf("without a TTL: %d", code)
	}
	if code, _, _ := put(imdsTTLHeader, "60", "X-Forwarded-For", "127.0.0.1"); code != 403 {
		t.Errorf("forwarded: %d", code)
	}
	get := func(headers ...string) int {
		return do(s, request("GET", imdsRolesPath+"/dev", "", headers...)).Code
	}
	_, token, _ := put(imdsTTLHeader, "60")
	_, token2, _ := put(imdsTTLHeader, "60")
	if token == token2 {
		t.Error("two tokens are the same")
	}
	other, _ := newTestServer(t, Options{Now: clock.now})
	foreign := other.newToken(time.Minute)
	if code := get(imdsTokenHeader, token); code != 200 {
		t.Errorf("good: %d", code)
	}
	if code := get(); code != 200 {
		t.Errorf("IMDSv1: %d", code)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		bent := append([]byte(nil), raw...)
		bent[i] ^= 1
		if code := get(imdsTokenHeader, base64.RawURLEncoding.EncodeToString(bent)); code != 401 {
			t.Errorf("with byte %d changed: %d", i, code)
		}
	}
	for _, bad := range []string{"", "x", foreign, token[:len(token)-1], token + "A", "IamNOTaRealBoy!"} {
		if code := get(imdsTokenHeader, bad); code != 401 {
			t.Errorf("%q: %d", bad, code)
		}
	}
	if code := get(imdsTokenHeader, token, "X-Forwarded-For", "10.0.0.1"); code != 403 {
		t.Errorf("forwarded: %d", code)
	}
	clock.add(59 * time.Second)
	if code := get(imdsTokenHeader, token); code != 200 {
		t.Errorf("after 59 s: %d", code)
	}
	clock.add(time.Second)
	if code := get(imdsTokenHeader, token); code != 401 {
		t.Errorf("after 60 s: %d", code)
	}

	strict, _ := newTestServer(t, Options{Now: clock.now, IMDSv2Only: true})
	mustActivate(t, strict, "dev")
	for _, target := range []string{imdsRolesPath, imdsRolesPath + "/", imdsRolesPath + "/dev", imdsInfoPath, imdsRegionPath, imdsZonePath, imdsDocumentPath} {
		if w := do(strict, request("GET", target, "")); w.Code != 401 {
			t.Errorf("%s without a token: %d", target, w.Code)
		}
		if w := do(strict, request("GET", target, "", imdsTokenHeader, strict.newToken(time.Minute))); w.Code != 200 {
			t.Errorf("%s with one: %d", target, w.Code)
		}
	}
}

// A person who is needed is no 401 on the routes of IMDS, where that means the
// token.
func TestIMDSNeedsPerson(t *testing.T) {
	clock := newClock()
	s, d := newTestServer(t, Options{Now: clock.now})
	mustActivate(t, s, "dev")
	d.set(func() { d.needing["dev"] = []string{"mfa"} })
	clock.add(2 * time.Hour)
	w := do(s, request("GET", imdsRolesPath+"/dev", ""))
	if w.Code != 403 || w.Header().Get(authHeader) != "MFA" || !strings.Contains(w.Body.String(), "SignInNeeded") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// listen runs a server on a real listener.
func listen(t testing.TB, s *Server) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() {
			cancel()
			err = <-done
		})
		return err
	}
	t.Cleanup(func() { stop() })
	return l.Addr().String(), stop
}

func TestServe(t *testing.T) {
	log := new(lockedBuffer)
	o := ecsOptions()
	o.Log = log
	s, d := newTestServer(t, o)
	s.admit = checkPeer // for real
	mustActivate(t, s, "dev")
	address, stop := listen(t, s)
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for _, target := range []string{"/credentials?secret=query", "/credentials/a%1b%5b31mb", "/profile"} {
		response, err := client.Get("http://" + address + target)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	response, err := client.Post("http://"+address+"/mfa", "application/x-www-form-urlencoded", strings.NewReader("mfa=planted-code"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	// A request that waits does not outlive the server.
	g := d.close("ops")
	waits := make(chan error)
	go func() {
		response, err := client.Get("http://" + address + "/credentials/ops")
		if err == nil {
			response.Body.Close()
			err = fmt.Errorf("%s", response.Status)
		}
		waits <- err
	}()
	<-g.arrived
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-waits; err == nil {
		t.Error("the request was answered")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{"GET /credentials 200 ", "GET /credentials/a%1b%5b31mb 404 ", "GET /profile 200 ", "POST /mfa 200 0 "} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) || !strings.HasSuffix(lines[i], "ms") {
			t.Errorf("line %d is not %q:\n%s", i, want, log)
		}
	}
	for _, secret := range []string{"planted", "query", "\x1b"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
	if _, err := client.Get("http://" + address + "/"); err == nil {
		t.Error("still listening")
	}
}

// A log that nobody reads makes no request wait.
func TestBlockedLog(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	o := ecsOptions()
	o.Log = w
	s, _ := newTestServer(t, o)
	mustActivate(t, s, "dev")
	for range 20000 {
		if w := do(s, request("GET", "/credentials", "")); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	go func() { // now somebody reads
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "more requests") {
				r.Close()
			}
		}
	}()
}

// slowly sends parts of a request and returns what comes back.
func slowly(t *testing.T, address, head string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// Who dawdles or sends too much is cut off, and others are served meanwhile.
func TestBadSenders(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	s.readLimit = 200 * time.Millisecond
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	var wait sync.WaitGroup
	for name, tt := range map[string]struct{ send, want string }{
		"slow head":   {"GET /credentials HTTP/1.1\r\nHo", ""}, // cut off
		"nothing":     {"", ""},
		"slow body":   {"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nde", ""},
		"large head":  {"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"large body":  {"POST /profile HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), "HTTP/1.1 413"},
		"no HTTP":     {"\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400"},
		"two lengths": {"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "HTTP/1.1 400"},
	} {
		wait.Go(func() {
			got := slowly(t, address, tt.send)
			if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("%s: %.100q", name, got)
			}
		})
	}
	response, err := http.Get("http://" + address + "/credentials")
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	wait.Wait()
}

func TestManyHeldOpen(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	for range 1000 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			skip(t, "1,000 connections cannot be opened: %v", err)
		}
		defer c.Close()
	}
	response, err := http.Get("http://" + address + "/credentials")
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

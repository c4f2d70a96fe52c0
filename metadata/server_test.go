package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
)

func TestRoutes(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	tests := []struct {
		method, target string
		status         int
		kind           string
		body           string // a part of it
	}{
		{"GET", "/list-profiles", 200, "application/json", `["base","default"]`},
		{"GET", "/list-roles", 200, "application/json", `["dev","idp","mfa","ops","two words/ünï"]`},
		{"GET", "/profile", 200, "application/json", `"role_arn":"arn:aws:iam::123456789012:role/dev/Developer"`},
		{"GET", "/profile", 200, "application/json", `"source_profile":"base"`},
		{"GET", "/profile", 200, "application/json", `"name":"dev","region":"eu-west-1"`},
		{"GET", "/credentials", 200, "application/json", `{"AccessKeyId":"ASIA-Developer-1","SecretAccessKey":"planted-secret","Token":"planted-token","Expiration":"`},
		{"GET", "/credentials", 200, "application/json", `Z","RoleArn":"arn:aws:iam::123456789012:role/dev/Developer"}`},
		{"HEAD", "/credentials", 200, "application/json", ""},
		{"GET", "/credentials/ops", 200, "application/json", `"ASIA-Ops-1"`},
		{"GET", "/credentials/two%20words%2F%c3%bcn%c3%af", 200, "application/json", `"ASIA-Words-1"`},
		{"GET", "/credentials/arn:aws:iam::123456789012:role/path/Bare", 200, "application/json", `"ASIA-Bare-1"`},
		{"GET", "/credentials/nobody", 404, "application/json", `"NotFound"`},
		{"GET", "/credentials/opps", 404, "application/json", `did you mean \"ops\"?`},
		{"GET", "/credentials/", 404, "application/json", `NotFound`},
		{"GET", "/credentials//", 404, "application/json", `NotFound`},
		{"GET", "/credentials/../profile", 404, "application/json", `NotFound`},
		{"GET", "/credentials/..%2f..%2fetc%2fpasswd", 404, "application/json", `NotFound`},
		{"GET", "/credentials/mfa", 401, "application/json", `needs an MFA code and nobody can be asked here: sign in at http://127.0.0.1:12319/`},
		{"GET", "/credentialsx", 404, "application/json", `NotFound`},
		{"GET", "//credentials", 404, "application/json", `NotFound`},
		{"GET", "/latest/meta-data/iam/security-credentials", 200, "text/plain; charset=utf-8", `dev`},
		{"GET", "/latest/meta-data/iam/security-credentials/", 200, "text/plain; charset=utf-8", `dev`},
		{"GET", "//latest/meta-data/iam/security-credentials/", 200, "text/plain; charset=utf-8", `dev`},
		{"GET", "//latest/meta-data/iam/security-credentials/dev", 200, "application/json", `{"Code"`},
		{"GET", "///latest/meta-data/iam/security-credentials/", 404, "application/json", `NotFound`},
		{"GET", "/latest/meta-data/iam/security-credentials/dev", 200, "application/json", `{"Code":"Success","LastUpdated":"`},
		{"GET", "/latest/meta-data/iam/security-credentials/dev", 200, "application/json", `"Type":"AWS-HMAC","AccessKeyId":"ASIA-Developer-1"`},
		{"GET", "/latest/meta-data/iam/security-credentials/ops", 404, "application/json", `NotFound`},
		{"GET", "/latest/meta-data/iam/security-credentials/dev/", 404, "application/json", `NotFound`},
		{"GET", "/latest/meta-data/iam/info", 200, "application/json", `"InstanceProfileArn":"arn:aws:iam::123456789012:instance-profile/Developer"`},
		{"GET", "/latest/meta-data/placement/region", 200, "text/plain; charset=utf-8", `eu-west-1`},
		{"GET", "/latest/meta-data/placement/availability-zone", 200, "text/plain; charset=utf-8", `eu-west-1a`},
		{"GET", "/latest/meta-data/placement/availability-zone/", 200, "text/plain; charset=utf-8", `eu-west-1a`},
		{"GET", "/latest/dynamic/instance-identity/document", 200, "application/json", `{"accountId":"123456789012","availabilityZone":"eu-west-1a","region":"eu-west-1"}`},
		{"GET", "/latest/user-data", 404, "application/json", `NotFound`},
		{"GET", "/", 200, "text/html; charset=utf-8", `<title>page`},
		{"GET", "/index.html", 200, "text/html; charset=utf-8", `<title>page`},
		{"GET", "/index.htm", 200, "text/html; charset=utf-8", `<title>page`},
		{"GET", "/site.js", 200, "text/javascript; charset=utf-8", `// js`},
		{"GET", "/site.css", 200, "text/css; charset=utf-8", `/* css */`},
		{"GET", "/favicon.svg", 200, "image/svg+xml", `<svg/>`},
		{"GET", "/nothing", 404, "application/json", `NotFound`},
		{"POST", "/list-roles", 405, "application/json", `use GET, HEAD`},
		{"DELETE", "/profile", 405, "application/json", `use GET, HEAD, POST`},
		{"PUT", "/profile", 405, "application/json", `use GET, HEAD, POST`},
		{"GET", "/refresh", 405, "application/json", `use POST`},
		{"GET", "/auth", 405, "application/json", `use POST, DELETE`},
		{"GET", "/mfa?mfa=123456", 405, "application/json", `use POST, DELETE`},
		{"DELETE", "/auth", 200, "", ``},
		{"DELETE", "/mfa", 200, "", ``},
		{"GET", "/profile/custom", 405, "application/json", `use POST, PUT`},
		{"GET", "/latest/api/token", 405, "application/json", `use PUT`},
		{"POST", "/latest/api/token", 405, "application/json", `use PUT`},
		{"PUT", "/latest/meta-data/iam/security-credentials/", 405, "application/json", `use GET, HEAD`},
		{"POST", "/credentials/ops", 405, "application/json", `use GET, HEAD`},
		{"BREW", "/", 405, "application/json", `use GET, HEAD`},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			w := do(s, request(tt.method, tt.target, ""))
			got := w.Body.String()
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.kind || !strings.Contains(got, tt.body) {
				t.Errorf("got %d %s %s, want %d %s with %s", w.Code, w.Header().Get("Content-Type"), got, tt.status, tt.kind, tt.body)
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
				if w.Header().Get(name) != want {
					t.Errorf("%s is %q", name, w.Header().Get(name))
				}
			}
			if allow := w.Header().Get("Allow"); (w.Code == 405) != (allow != "") || w.Code == 405 && !strings.Contains(got, "use "+allow) {
				t.Errorf("Allow is %q", allow)
			}
			if policy := w.Header().Get("Content-Security-Policy"); strings.HasPrefix(tt.kind, "text/html") && (policy == "" || strings.Contains(policy, "unsafe")) {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

// With no profile chosen, every route says so and none panics.
func TestNoProfile(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	for _, tt := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/profile", 404}, {"GET", "/credentials", 404}, {"POST", "/refresh", 404},
		{"POST", "/auth", 404}, {"POST", "/mfa", 404},
		{"GET", "/latest/meta-data/iam/security-credentials/", 404},
		{"GET", "/latest/meta-data/iam/security-credentials/dev", 404},
		{"GET", "/latest/meta-data/iam/info", 404},
		{"GET", "/latest/meta-data/placement/region", 404},
		{"GET", "/latest/dynamic/instance-identity/document", 404},
		{"GET", "/credentials/dev", 200},
	} {
		w := do(s, formRequest(tt.method, tt.target, ""))
		if w.Code != tt.status || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, w.Code, w.Body)
		}
	}
}

// The EC2 server has no /credentials, and a path may be configured.
func TestCredentialsPath(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	mustActivate(t, s, "dev")
	for _, target := range []string{"/credentials", "/credentials/dev", "/"} {
		if w := do(s, request("GET", target, "")); w.Code != 404 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	s, _ = newTestServer(t, Options{CredentialsPath: "/my/creds"})
	mustActivate(t, s, "dev")
	for target, want := range map[string]int{"/my/creds": 200, "/my/creds/ops": 200, "/credentials": 404} {
		if w := do(s, request("GET", target, "")); w.Code != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	for _, bad := range []string{"creds", "/", "/creds/", "/a/../b", "/profile", "//x"} {
		if _, err := New(Options{Backend: newDouble(t, time.Now), CredentialsPath: bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSwitch(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	get := func(target string) string {
		t.Helper()
		w := do(s, request("GET", target, ""))
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		return w.Body.String()
	}

	// A name asked for does not touch the active one.
	get("/credentials/ops")
	if got := get("/profile"); !strings.Contains(got, `"name":"dev"`) {
		t.Errorf("the active profile is %s", got)
	}

	// A failed switch leaves everything as it was.
	d.set(func() {
		d.failing["ops"] = &session.Refused{By: "sts AssumeRole", Code: "AccessDenied", Message: "no"}
	})
	for name, want := range map[string]int{"ops": 403, "nobody": 404, "mfa": 401, "idp": 401} {
		w := do(s, request("POST", "/profile", name))
		if w.Code != want {
			t.Errorf("POST /profile %s: %d %s", name, w.Code, w.Body)
		}
		if got := get("/profile"); !strings.Contains(got, `"name":"dev"`) {
			t.Errorf("after %s the active profile is %s", name, got)
		}
		if got := get("/credentials"); !strings.Contains(got, "ASIA-Developer-1") {
			t.Errorf("after %s: %s", name, got)
		}
	}

	d.set(func() { delete(d.failing, "ops") })
	w := do(s, request("POST", "/profile", "  ops\n"))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"name":"ops"`) || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := get("/credentials"); !strings.Contains(got, "ASIA-Ops-") {
		t.Errorf("after the switch: %s", got)
	}
	// A client that has listed the role before gets that role's.
	if got := get("/latest/meta-data/iam/security-credentials/dev"); !strings.Contains(got, "ASIA-Developer-1") {
		t.Errorf("the role listed before: %s", got)
	}
	if got := get("/latest/meta-data/iam/security-credentials/"); got != "ops" {
		t.Errorf("the role is %s", got)
	}
	// The name in the list can be put into a path as it is.
	do(s, request("POST", "/profile", "two words/ünï"))
	role := get("/latest/meta-data/iam/security-credentials/")
	if strings.ContainsFunc(role, func(r rune) bool { return strings.ContainsRune(" /%?#:", r) || r > 126 }) {
		t.Errorf("the role is %q", role)
	}
	if got := get("/latest/meta-data/iam/security-credentials/" + role); !strings.Contains(got, "ASIA-Words-") {
		t.Errorf("%s: %s", role, got)
	}
}

func TestRoleName(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"dev", "a b", "a-b", "a/b", "a:b", ".", "..", "ü", "ö", "a%20b", "x@y.z", "arn:aws:iam::123456789012:role/a/Dev", "arn:aws:iam::123456789012:role/b/Dev"} {
		role := roleName(name)
		if other, ok := seen[role]; ok {
			t.Errorf("%q and %q are both %q", name, other, role)
		}
		seen[role] = name
		if r := httptest.NewRequest("GET", "/x/"+role, nil); r.URL.Path != "/x/"+role || strings.Trim(role, ".") == "" {
			t.Errorf("%q does not survive in a path", role)
		}
	}
	if roleName("x@y.z") != "x@y.z" {
		t.Error("a good name was changed")
	}
}

// The dialogs in sequence, with every answer wrong once.
func TestSignIn(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	steps := []struct {
		target, body string
		status       int
		kind, answer string
	}{
		{"/profile", "idp", 401, "AUTH", `{"profile":"idp","username":"alice@example.com"}`},
		{"/auth", "username=alice&password=bad", 401, "AUTH", `{"profile":"idp","username":"alice@example.com","message":"password was refused"}`},
		{"/auth", "username=alice&password=good-password", 401, "MFA", `{"profile":"idp"}`},
		{"/mfa", "mfa=000000", 401, "MFA", `{"profile":"idp","message":"mfa was refused"}`},
		{"/mfa", "mfa=", 401, "MFA", `{"profile":"idp"}`},
		{"/mfa", "mfa=+123456+", 200, "", ``},
		{"/profile", "mfa", 401, "MFA", `{"profile":"mfa"}`},
		{"/mfa", "mfa=123456", 200, "", ``},
	}
	for _, st := range steps {
		r := formRequest("POST", st.target, st.body)
		w := do(s, r)
		if w.Code != st.status || w.Header().Get("X-AwsRunas-Authentication-Type") != st.kind || w.Body.String() != st.answer {
			t.Fatalf("%s %s: %d %q %s", st.target, st.body, w.Code, w.Header().Get("X-AwsRunas-Authentication-Type"), w.Body)
		}
		if active := s.state.Load().active.target.Profile; st.status != 200 && active != "dev" && st.target != "/profile" {
			t.Fatalf("%s %s: the active profile is %s", st.target, st.body, active)
		}
	}
	if w := do(s, request("GET", "/credentials", "")); !strings.Contains(w.Body.String(), "ASIA-NeedsMFA-") {
		t.Errorf("%s", w.Body)
	}

	// Nothing that was given is used again or for another profile.
	d.set(func() { d.needing["idp"] = []string{session.AskPassword}; d.needing["mfa"] = []string{session.AskMFA} })
	for name, kind := range map[string]string{"idp": "AUTH", "mfa": "MFA"} {
		if w := do(s, request("POST", "/profile", name)); w.Code != 401 || w.Header().Get(authHeader) != kind {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// Whoever closes the dialog gives the sign-in up, also one that goes on at that
// moment: the password is forgotten, and the next answer is not for it.
func TestGiveUp(t *testing.T) {
	for _, active := range []string{"dev", ""} {
		for _, path := range []string{"/auth", "/mfa"} {
			for _, busy := range []bool{false, true} {
				s, d := newTestServer(t, ecsOptions())
				if active != "" {
					mustActivate(t, s, active)
				}
				do(s, request("POST", "/profile", "idp"))
				do(s, formRequest("POST", "/auth", "username=alice&password=good-password"))
				late := make(chan *httptest.ResponseRecorder, 1)
				var g *gate
				if busy {
					g = d.close("idp")
					go func() { late <- do(s, formRequest("POST", "/mfa", "mfa=123456")) }()
					<-g.arrived
				}
				if w := do(s, request("DELETE", path, "")); w.Code != 200 || w.Body.Len() > 0 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if busy {
					close(g.open)
					if w := <-late; w.Code != 409 {
						t.Errorf("what was given up: %d %s", w.Code, w.Body)
					}
				}
				if a := s.state.Load().active; active == "" && a != nil || active != "" && a.target.Profile != active {
					t.Errorf("%v is active", a.target)
				}
				waits(t, s, active)
			}
		}
	}
}

// The dialog is closed while its first answer turns out not to do. The race
// detector looks at this one.
func TestGiveUpAtOnce(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	d.set(func() { d.needing["dev"] = []string{session.AskMFA} })
	for range 20 {
		g := d.close("dev")
		answered := make(chan int, 1)
		go func() { answered <- do(s, formRequest("POST", "/mfa", "mfa=000000")).Code }()
		<-g.arrived
		go close(g.open)
		do(s, request("DELETE", "/mfa", ""))
		if code := <-answered; code != 401 {
			t.Errorf("a wrong code is answered with %d", code)
		}
		do(s, request("DELETE", "/mfa", "")) // the answer may have been the first of the two
		waits(t, s, "dev")
	}
}

// A choice that fails leaves the profile waiting that the server was started for.
func TestFailedChoice(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	do(s, request("POST", "/profile", "idp"))
	d.set(func() { d.failing["ops"] = &session.Refused{By: "sts", Message: "no"} })
	for name, want := range map[string]int{"nobody": 404, "ops": 403} {
		if w := do(s, request("POST", "/profile", name)); w.Code != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	waits(t, s, "")
}

// While nothing is active, SDKs are told who has to sign in, and whoever looks
// that there was no choice.
func TestNothingActive(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	paths := []string{"/profile", CredentialsPath, imdsRolesPath + "/"}
	for _, path := range paths {
		if w := do(s, request("GET", path, "")); w.Code != 404 || !strings.Contains(w.Body.String(), `{"code":"NoProfile","message":"no profile is chosen: choose one at http://127.0.0.1:12319/"}`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	do(s, request("POST", "/profile", "mfa"))
	do(s, formRequest("POST", "/mfa", "mfa=000000"))
	const message = `"message":"profile \"mfa\" needs an MFA code and nobody can be asked here: sign in at http://127.0.0.1:12319/"`
	for path, want := range map[string]string{
		"/profile":          `401 {"profile":"mfa","message":"mfa was refused"}`,
		CredentialsPath:     `401 {"code":"SignInNeeded",` + message + `}`,
		imdsRolesPath + "/": `404 {"code":"SignInNeeded",` + message + `}`,
	} {
		if w := do(s, request("GET", path, "")); fmt.Sprint(w.Code, " ", w.Body) != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// What passes by itself leaves the sign-in waiting: the next code is for it and
// not for the active profile.
func TestSignInSurvivesAnOutage(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	do(s, request("POST", "/profile", "mfa"))
	d.set(func() { d.failing["mfa"] = errDown })
	if w := do(s, formRequest("POST", "/mfa", "mfa=123456")); w.Code != 503 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	d.set(func() { delete(d.failing, "mfa") })
	if w := do(s, formRequest("POST", "/mfa", "mfa=123456")); w.Code != 200 || s.state.Load().active.target.Profile != "mfa" {
		t.Errorf("%d %s, active is %s", w.Code, w.Body, s.state.Load().active.target)
	}
}

// A double click must not give the code to another profile.
func TestAnswerTwice(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	do(s, request("POST", "/profile", "mfa"))
	g := d.close("mfa")
	first := make(chan int)
	go func() { first <- do(s, formRequest("POST", "/mfa", "mfa=123456")).Code }()
	<-g.arrived
	if w := do(s, formRequest("POST", "/mfa", "mfa=123456")); w.Code != 409 {
		t.Errorf("the second: %d %s", w.Code, w.Body)
	}
	close(g.open)
	if code := <-first; code != 200 {
		t.Errorf("the first: %d", code)
	}
	if active := s.state.Load().active.target.Profile; active != "mfa" {
		t.Errorf("active is %s", active)
	}
}

// Whoever chose last wins, however long the earlier choice takes.
func TestLastChoiceWins(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	g := d.close("dev")
	slow := make(chan *httptest.ResponseRecorder)
	go func() { slow <- do(s, request("POST", "/profile", "dev")) }()
	<-g.arrived
	if w := do(s, request("POST", "/profile", "ops")); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	close(g.open)
	if w := <-slow; w.Code != 409 || !strings.Contains(w.Body.String(), "ops") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if active := s.state.Load().active.target.Profile; active != "ops" {
		t.Errorf("active is %s", active)
	}
}

func TestStartUp(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	var n *session.Needs
	if err := s.Activate(context.Background(), Target{Profile: "mfa"}, nobody{}); !errors.As(err, &n) || n.What != session.NeedMFA || n.Profile != "mfa" {
		t.Fatalf("%v", err)
	}
	// The page is told as soon as it looks, and can complete it.
	if w := do(s, request("GET", "/profile", "")); w.Code != 401 || w.Header().Get(authHeader) != "MFA" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(s, formRequest("POST", "/mfa", "mfa=123456")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := s.Activate(context.Background(), Target{Profile: "nobody"}, nobody{}); err == nil || errors.As(err, &n) {
		t.Errorf("%v", err)
	}
	// The terminal answers at the start.
	s, _ = newTestServer(t, ecsOptions())
	if err := s.Activate(context.Background(), Target{Profile: "mfa"}, asker("123456")); err != nil {
		t.Error(err)
	}
}

type asker string

func (a asker) Ask(context.Context, session.Question) (string, error) { return string(a), nil }

// With --headless the terminal is asked at POST, and never because of a GET.
func TestHeadless(t *testing.T) {
	o := ecsOptions()
	o.Ask = asker("123456")
	s, _ := newTestServer(t, o)
	if w := do(s, request("GET", "/credentials/mfa", "")); w.Code != 401 {
		t.Errorf("a GET signed in: %d %s", w.Code, w.Body)
	}
	if w := do(s, request("POST", "/profile", "mfa")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRefresh(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	if w := do(s, request("POST", "/refresh", "")); w.Code != 200 || w.Body.String() != "success" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := do(s, request("GET", "/credentials", "")); !strings.Contains(w.Body.String(), "ASIA-Developer-2") {
		t.Errorf("%s", w.Body)
	}
	d.set(func() { d.failing["dev"] = errDown })
	if w := do(s, request("POST", "/refresh", "")); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(s, request("GET", "/credentials", "")); w.Code != 200 || !strings.Contains(w.Body.String(), "ASIA-Developer-2") {
		t.Errorf("what is valid was not served: %s", w.Body)
	}
}

func TestCustom(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	const good = "adv-type=iam&role-arn=arn:aws:iam::123456789012:role/Custom&source-profile=base&external-id=e"
	tests := []struct {
		method, body string
		status       int
		answer       string
	}{
		{"POST", good, 200, ""},
		{"POST", "adv-type=martian&role-arn=arn:aws:iam::123456789012:role/Custom", 400, "Invalid Configuration: adv-type"},
		{"POST", "adv-type=iam&role-arn=nonsense", 400, "Invalid Configuration: role-arn"},
		{"POST", "adv-type=saml&role-arn=arn:aws:iam::123456789012:role/C", 400, "auth-url"},
		{"POST", "adv-type=oidc&role-arn=arn:aws:iam::123456789012:role/C&auth-url=https://i.example", 400, "client-id"},
		{"POST", "adv-type=oidc&role-arn=arn:aws:iam::123456789012:role/C&auth-url=https://i.example&client-id=c", 400, "redirect-uri"},
		{"POST", "adv-type=iam&role-arn=arn:aws:iam::123456789012:role/C&source-profile=nobody", 400, "nobody"},
		{"POST", "%zz", 400, "malformed"},
		{"PUT", good, 400, "Invalid profile name"},
		{"PUT", good + "&profile-name=new", 200, ""},
		{"PUT", good + "&profile-name=a%0ab", 400, "character"},
		{"PUT", "adv-type=saml&role-arn=arn:aws:iam::123456789012:role/C&auth-url=https://i.example&username=u&password=p+w&profile-name=idp2", 200, ""},
	}
	for _, tt := range tests {
		w := do(s, formRequest(tt.method, "/profile/custom", tt.body))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) || tt.answer == "" && w.Body.Len() > 0 {
			t.Errorf("%s %s: %d %s", tt.method, tt.body, w.Code, w.Body)
		}
	}
	if got := do(s, request("GET", "/profile", "")).Body.String(); !strings.Contains(got, `role/Custom"`) || !strings.Contains(got, `"name":""`) || !strings.Contains(got, `"source_profile":"base"`) {
		t.Errorf("the active profile is %s", got)
	}
	role := do(s, request("GET", imdsRolesPath+"/", "")).Body.String()
	if w := do(s, request("GET", imdsRolesPath+"/"+role, "")); w.Code != 200 || !strings.Contains(w.Body.String(), "ASIA-Custom-") {
		t.Errorf("%s: %d %s", role, w.Code, w.Body)
	}
	want := "[new iam  [{role_arn arn:aws:iam::123456789012:role/Custom} {external_id e} {source_profile base}] idp2 saml p w [{role_arn arn:aws:iam::123456789012:role/C} {saml_auth_url https://i.example} {saml_username u}]]"
	if got := fmt.Sprint(d.saved); got != want {
		t.Errorf("saved %s", got)
	}
	if got := fmt.Sprintf("%v %+v %#v", Custom{Password: "hush"}, Target{Custom: &Custom{Password: "hush"}}, Custom{Password: "hush"}); strings.Contains(got, "hush") {
		t.Errorf("a password shows: %s", got)
	}
}

func TestForms(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	for _, target := range []string{"/auth", "/mfa", "/profile/custom"} {
		for kind, want := range map[string]int{"": 415, "text/plain": 415, "application/json": 415, "multipart/form-data; boundary=x": 415} {
			if w := do(s, request("POST", target, "mfa=1", "Content-Type", kind)); w.Code != want {
				t.Errorf("%s %q: %d", target, kind, w.Code)
			}
		}
	}
	// What the query says does not count.
	do(s, request("POST", "/profile", "mfa"))
	if w := do(s, formRequest("POST", "/mfa?mfa=123456", "")); w.Code != 401 {
		t.Errorf("a code in the query: %d", w.Code)
	}
	for _, target := range []string{"/profile", "/auth", "/mfa", "/refresh", "/profile/custom"} {
		w := do(s, formRequest("POST", target, strings.Repeat("x", maxBody+1)))
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

// An edit of the files reaches what is held in memory.
func TestEditedConfig(t *testing.T) { synctest.Test(t, testEditedConfig) }

func testEditedConfig(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	get := func(target string) string {
		time.Sleep(2 * time.Second)
		w := do(s, request("GET", target, ""))
		synctest.Wait() // it has had a look at the files
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	get("/credentials/ops")

	d.write(t, strings.Replace(testConfig, "role/Ops", "role/Other", 1)+"\n[profile new]\nrole_arn = arn:aws:iam::123456789012:role/New\nsource_profile = base\n")
	get("/credentials")
	if got := get("/credentials/ops"); !strings.Contains(got, "ASIA-Other-") {
		t.Errorf("the edited role: %s", got)
	}
	if got := get("/list-roles"); !strings.Contains(got, `"new"`) {
		t.Errorf("the new role: %s", got)
	}
	// Only a setting of no weight: nothing is fetched, and it counts.
	fetched := d.count("ops")
	d.write(t, strings.Replace(strings.Replace(testConfig, "role/Ops", "role/Other", 1), "eu-west-1", "eu-north-1", 1))
	get("/credentials")
	if got := get("/latest/meta-data/placement/region"); got != "200 eu-north-1" {
		t.Errorf("the region: %s", got)
	}
	if d.count("ops") != fetched {
		t.Error("fetched for an edit that changes nothing")
	}
	// A broken file and one that is gone: what is valid is served.
	for _, text := range []string{"[profile dev\n", ""} {
		d.write(t, text)
		get("/credentials")
		if got := get("/credentials"); !strings.Contains(got, "ASIA-Developer-") {
			t.Errorf("with config %q: %s", text, got)
		}
	}
	if got := get("/credentials/ops"); !strings.HasPrefix(got, "404") {
		t.Errorf("a deleted profile: %s", got)
	}
	d.write(t, "[profile dev\n")
	if got := get("/list-roles"); !strings.HasPrefix(got, "400") || !strings.Contains(got, "config:1") {
		t.Errorf("a broken file: %s", got)
	}
}

package metadata

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whatever is asked, the answer is one of those that are documented, and
// credentials are those of the name that was asked for.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/credentials", "/credentials/ops", "/credentials/../profile", "/credentials/%2e%2e", "/credentials/..%2fops", "//", "/latest/meta-data/iam/security-credentials/dev",
		"/latest/meta-data/iam/security-credentials/../../..", "/credentials/\x00", "/credentials/ünï", "/credentials/two words/ünï", "/credentials/ops/", "/credentials/[profile ops]", "/credentials/arn:aws:iam::1:role/x", "*", ""} {
		f.Add("GET", p)
		f.Add("POST", p)
		f.Add("PUT", p)
	}
	s, _ := newTestServer(f, ecsOptions())
	mustActivate(f, s, "dev")
	secretOf := map[string]string{"dev": "ASIA-Developer-", "ops": "ASIA-Ops-", "two words/ünï": "ASIA-Words-"}
	f.Fuzz(func(t *testing.T, method, path string) {
		r := request("GET", "/", "")
		r.Method = method
		r.URL = &url.URL{Path: path}
		w := do(s, r)
		body := w.Body.String()
		switch w.Code {
		case 200, 400, 401, 404, 405, 409, 415:
		default:
			t.Fatalf("%d %s", w.Code, body)
		}
		if w.Header().Get("Content-Type") == "application/json" && method != http.MethodHead && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("not JSON: %s", body)
		}
		if strings.Contains(body, "planted") {
			name, ok := strings.CutPrefix(path, CredentialsPath+"/")
			if !ok {
				name = "dev"
				if path != CredentialsPath && path != imdsRolesPath+"/dev" {
					t.Fatalf("%q answers with credentials", path)
				}
			}
			if want, known := secretOf[name]; known && !strings.Contains(body, want) {
				t.Fatalf("%q: %s", path, body)
			}
		}
		line := string(appendLine(nil, r, w.Code, len(body), time.Millisecond))
		if strings.Count(line, "\n") != 1 || strings.ContainsFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("log line %q", line)
		}
	})
}

// No form makes anything but what it says.
func FuzzForm(f *testing.F) {
	f.Add("/mfa", "mfa=123456")
	f.Add("/auth", "username=a&password=b")
	f.Add("/profile", "ops")
	f.Add("/profile", "../../etc")
	f.Add("/profile/custom", "adv-type=iam&role-arn=arn:aws:iam::123456789012:role/C&source-profile=base")
	f.Add("/profile/custom", "adv-type=saml&auth-url=%00&role-arn=arn:aws:iam::123456789012:role/C%0a%5bx%5d")
	f.Add("/mfa", "%zz;=&&=")
	s, d := newTestServer(f, ecsOptions())
	mustActivate(f, s, "dev")
	f.Fuzz(func(t *testing.T, target, body string) {
		switch target {
		case "/mfa", "/auth", "/profile", "/profile/custom", "/refresh":
		default:
			t.Skip()
		}
		for _, method := range []string{"POST", "PUT"} {
			w := do(s, formRequest(method, target, body))
			switch w.Code {
			case 200, 400, 401, 404, 405, 409, 413, 415:
			default:
				t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "planted") {
				t.Fatalf("credentials: %s", w.Body)
			}
		}
		d.set(func() {
			for _, saved := range d.saved {
				if strings.ContainsAny(strings.SplitN(saved, " ", 2)[0], "\n") {
					t.Errorf("saved %q", saved)
				}
			}
			d.saved = nil
		})
		if w := do(s, request("GET", "/credentials", "")); w.Code != 200 {
			t.Fatalf("no credentials any more: %d %s", w.Code, w.Body)
		}
	})
}

func FuzzTokens(f *testing.F) {
	s, _ := newTestServer(f, Options{})
	mustActivate(f, s, "dev")
	f.Add("60", "x")
	f.Add("-0", s.newToken(time.Hour)[1:])
	f.Add("0x10", "")
	f.Fuzz(func(t *testing.T, ttl, token string) {
		if s.goodToken(token, s.now()) {
			t.Fatalf("%q is good", token)
		}
		w := do(s, request("PUT", imdsTokenPath, "", imdsTTLHeader, ttl))
		if w.Code == 200 && (!s.goodToken(w.Body.String(), s.now()) || w.Header().Get(imdsTTLHeader) == "0") || w.Code != 200 && w.Code != 400 {
			t.Fatalf("TTL %q: %d %s", ttl, w.Code, w.Body)
		}
	})
}

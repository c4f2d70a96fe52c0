//go:build slow

package awstest

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// service is an AWS at a URL: this package's, or moto's.
type service struct {
	t   *testing.T
	url string
}

// call returns the error's code, or the answer.
func (s service) call(c creds, name string, params ...string) (code, body string) {
	s.t.Helper()
	version := stsVersion
	if name == "iam" {
		version = iamVersion
	}
	method, text := http.MethodGet, ""
	if name != "s3" {
		form := url.Values{"Version": {version}, "Action": {params[0]}}
		for i := 1; i+1 < len(params); i += 2 {
			form.Set(params[i], params[i+1])
		}
		method, text = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	if name != "s3" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	Sign(r, Key{c.id, c.secret}, c.token, name, "us-east-1", []byte(text), time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return "", string(b)
	}
	var e struct {
		Code   string // S3's
		Nested string `xml:"Error>Code"`
		Deeper string `xml:"Errors>Error>Code"` // moto's, not AWS's
	}
	if err := xml.Unmarshal(b, &e); err != nil {
		return fmt.Sprintf("%d without XML", resp.StatusCode), string(b)
	}
	return e.Code + e.Nested + e.Deeper, string(b)
}

func (s service) must(c creds, name string, params ...string) string {
	s.t.Helper()
	code, body := s.call(c, name, params...)
	if code != "" {
		s.t.Fatalf("%s: %s %s", params, code, body)
	}
	return body
}

// between cuts an element's text out of XML.
func between(body, element string) string {
	_, rest, _ := strings.Cut(body, "<"+element+">")
	text, _, _ := strings.Cut(rest, "<")
	return text
}

func credentialsIn(body string) creds {
	return creds{between(body, "AccessKeyId"), between(body, "SecretAccessKey"), between(body, "SessionToken")}
}

// elements are the distinct paths of elements in an answer.
func elements(t *testing.T, body string) []string {
	var path, all []string
	for d := xml.NewDecoder(strings.NewReader(body)); ; {
		token, err := d.Token()
		if err == io.EOF {
			slices.Sort(all)
			return slices.Compact(all)
		}
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		switch e := token.(type) {
		case xml.StartElement:
			path = append(path, e.Name.Space+e.Name.Local)
			all = append(all, strings.Join(path, "/"))
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

// startMoto returns moto's URL, with authentication still off.
func startMoto(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command(program(t, "moto_server"), "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "AWS_EC2_METADATA_DISABLED=true")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool)
	go func() {
		defer close(ready)
		for lines, told := bufio.NewScanner(stderr), false; lines.Scan(); {
			if !told && strings.Contains(lines.Text(), "Running on") {
				told = true
				ready <- true
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range ready {
		}
		cmd.Wait()
	})
	if !<-ready {
		t.Fatal("moto_server did not start")
	}
	return "http://127.0.0.1:" + port
}

// TestSlowMoto makes the same calls here and to moto, and says where the two
// differ. Where moto's column is the laxer, the rule is AWS's and moto lacks it.
func TestSlowMoto(t *testing.T) {
	a := New(Options{})
	here, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	there := startMoto(t)

	// The same world on both sides.
	type world struct {
		service
		alice, bob, session, role creds
		serial                    string
	}
	// Moto takes a principal by its ARN alone.
	const account = "arn:aws:iam::123456789012:"
	everyone := []string{account + "user/alice", account + "user/bob", "arn:aws:sts::123456789012:assumed-role/open/test"}
	trust := map[string]string{
		"open":       Trust(nil, everyone...),
		"alice-only": Trust(nil, account+"user/alice"),
		"external":   Trust(RequireExternalID("x-1"), everyone...),
		"with-mfa":   Trust(RequireMFA(), everyone...),
	}

	ours := world{service: service{t, here}}
	acct := a.Default()
	alice, bob := acct.User("alice"), acct.User("bob")
	ours.alice, ours.bob, ours.serial = alice.AddKey().creds(), bob.AddKey().creds(), alice.AddMFA("alice").Serial
	for name, policy := range trust {
		acct.Role(name, policy)
	}
	acct.Bucket("b")

	moto := world{service: service{t, there}, serial: ours.serial}
	anyone := creds{"AKIAFAKEFAKEFAKEFAKE", "x", ""}
	for name, c := range map[string]*creds{"alice": &moto.alice, "bob": &moto.bob} {
		moto.must(anyone, "iam", "CreateUser", "UserName", name)
		*c = credentialsIn(moto.must(anyone, "iam", "CreateAccessKey", "UserName", name))
		moto.must(anyone, "iam", "PutUserPolicy", "UserName", name, "PolicyName", "all", "PolicyDocument", Allow([]string{"*"}, []string{"*"}))
	}
	for name, policy := range trust {
		moto.must(anyone, "iam", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", policy)
		moto.must(anyone, "iam", "PutRolePolicy", "RoleName", name, "PolicyName", "all", "PolicyDocument", Allow([]string{"*"}, []string{"*"}))
	}
	resp, err := http.Post(there+"/moto-api/reset-auth", "text/plain", strings.NewReader("0"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	arn := func(name string) []string {
		return []string{"AssumeRole", "RoleSessionName", "test", "RoleArn", account + "role/" + name}
	}
	for _, w := range []*world{&ours, &moto} {
		w.session = credentialsIn(w.must(w.alice, "sts", "GetSessionToken"))
		w.role = credentialsIn(w.must(w.alice, "sts", arn("open")...))
	}

	for _, tc := range []struct {
		name       string
		who        func(world) creds
		service    string
		params     []string
		here, moto string
	}{
		{"keys", func(w world) creds { return w.alice }, "sts", []string{"GetCallerIdentity"}, "", ""},
		{"role session", func(w world) creds { return w.role }, "sts", []string{"GetCallerIdentity"}, "", ""},
		{"unknown id", func(world) creds { return anyone }, "sts", []string{"GetCallerIdentity"}, "InvalidClientTokenId", "InvalidClientTokenId"},
		{"wrong secret", func(w world) creds { return creds{w.alice.id, "x", ""} }, "sts", []string{"GetCallerIdentity"}, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"wrong token", func(w world) creds { return creds{w.role.id, w.role.secret, "x"} }, "sts", []string{"GetCallerIdentity"}, "InvalidClientTokenId", "InvalidClientTokenId"},
		{"S3, unknown id", func(world) creds { return anyone }, "s3", []string{""}, "InvalidAccessKeyId", "InvalidAccessKeyId"},
		{"S3, wrong secret", func(w world) creds { return creds{w.alice.id, "x", ""} }, "s3", []string{""}, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"S3, wrong token", func(w world) creds { return creds{w.role.id, w.role.secret, "x"} }, "s3", []string{""}, "InvalidToken", "InvalidToken"},
		{"trusted", func(w world) creds { return w.alice }, "sts", arn("alice-only"), "", ""},
		{"not trusted", func(w world) creds { return w.bob }, "sts", arn("alice-only"), "AccessDenied", "AccessDenied"},
		{"right external id", func(w world) creds { return w.bob }, "sts", append(arn("external"), "ExternalId", "x-1"), "", ""},
		{"wrong external id", func(w world) creds { return w.bob }, "sts", append(arn("external"), "ExternalId", "x-2"), "AccessDenied", "AccessDenied"},
		{"session name of 65", func(w world) creds { return w.alice }, "sts", []string{"AssumeRole", "RoleSessionName", strings.Repeat("x", 65), "RoleArn", account + "role/open"}, "ValidationError", "ValidationError"},

		// Where moto is laxer.
		{"no external id", func(w world) creds { return w.bob }, "sts", arn("external"), "AccessDenied", ""},
		{"no such role", func(w world) creds { return w.alice }, "sts", arn("none"), "AccessDenied", ""},
		{"no MFA", func(w world) creds { return w.alice }, "sts", arn("with-mfa"), "AccessDenied", ""},
		{"wrong MFA code", func(w world) creds { return w.alice }, "sts", []string{"GetSessionToken", "SerialNumber", ours.serial, "TokenCode", "1"}, "ValidationError", ""},
		{"session below 15 minutes", func(w world) creds { return w.alice }, "sts", []string{"GetSessionToken", "DurationSeconds", "60"}, "ValidationError", ""},
		{"role below 15 minutes", func(w world) creds { return w.alice }, "sts", append(arn("open"), "DurationSeconds", "60"), "ValidationError", ""},
		{"beyond the role's maximum", func(w world) creds { return w.alice }, "sts", append(arn("open"), "DurationSeconds", "7200"), "ValidationError", ""},
		{"beyond 12 hours", func(w world) creds { return w.alice }, "sts", append(arn("open"), "DurationSeconds", "43201"), "ValidationError", ""},
		{"chain beyond an hour", func(w world) creds { return w.role }, "sts", append(arn("open"), "DurationSeconds", "7200"), "ValidationError", ""},
		{"session name with a blank", func(w world) creds { return w.alice }, "sts", []string{"AssumeRole", "RoleSessionName", "a b", "RoleArn", account + "role/open"}, "ValidationError", ""},
		// Where it is stricter than AWS: it forgets its own session tokens.
		{"session", func(w world) creds { return w.session }, "sts", []string{"GetCallerIdentity"}, "", "InvalidClientTokenId"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ours, moto := ours, moto
			ours.t, moto.t = t, t
			if code, body := ours.call(tc.who(ours), tc.service, tc.params...); code != tc.here {
				t.Errorf("here: got %q, want %q: %s", code, tc.here, body)
			}
			if code, body := moto.call(tc.who(moto), tc.service, tc.params...); code != tc.moto {
				t.Errorf("moto: got %q, want %q: %s", code, tc.moto, body)
			}
		})
	}

	// Answers have the same form: every element of ours is one of moto's.
	moto.must(moto.alice, "iam", "CreateVirtualMFADevice", "VirtualMFADeviceName", "alice")
	moto.must(moto.alice, "iam", "EnableMFADevice", "UserName", "alice", "SerialNumber", ours.serial, "AuthenticationCode1", "123456", "AuthenticationCode2", "654321")
	for _, tc := range []struct {
		service string
		params  []string
		extra   string // what ours and AWS's have, and moto's lacks
	}{
		{"sts", []string{"GetCallerIdentity"}, ""},
		{"sts", []string{"GetSessionToken"}, ""},
		{"sts", []string{"GetFederationToken", "Name", "carol"}, ""},
		{"sts", arn("open"), ""},
		{"iam", []string{"GetUser", "UserName", "alice"}, ""},
		{"iam", []string{"ListAccessKeys", "UserName", "alice"}, "IsTruncated"},
		{"iam", []string{"ListMFADevices", "UserName", "alice"}, ""},
		{"iam", []string{"ListUserPolicies", "UserName", "alice"}, ""},
		{"iam", []string{"ListAttachedUserPolicies", "UserName", "alice"}, ""},
		{"iam", []string{"ListGroupsForUser", "UserName", "alice"}, ""},
		{"iam", []string{"GetRole", "RoleName", "open"}, ""},
	} {
		theirs := elements(t, moto.must(moto.alice, tc.service, tc.params...))
		for _, e := range elements(t, ours.must(ours.alice, tc.service, tc.params...)) {
			if !slices.Contains(theirs, e) && (tc.extra == "" || !strings.HasSuffix(e, tc.extra)) {
				t.Errorf("%s: %s is not in moto's answer, which has\n%s", tc.params[0], e, strings.Join(theirs, "\n"))
			}
		}
	}
}

package awstest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type samlLab struct {
	aws      *AWS
	idp      *IDP
	provider *SAMLProvider
	role     *Role
	person   *Person
}

func newSAMLLab() *samlLab {
	a := New(Options{})
	i := a.NewIDP(Forms)
	l := &samlLab{aws: a, idp: i, provider: a.Default().SAMLProvider("corp", i.EntityID, i.Certificate())}
	l.role = a.Default().Role("Admin", TrustSAML(l.provider)).SetMaxSession(2 * time.Hour)
	l.person = i.AddPerson(Person{Name: "alice", Password: "x FAKE", Roles: []string{l.role.ARN + "," + l.provider.ARN}})
	return l
}

func (l *samlLab) assume(response string, change func(*sts.AssumeRoleWithSAMLInput)) (*sts.AssumeRoleWithSAMLOutput, error) {
	in := &sts.AssumeRoleWithSAMLInput{RoleArn: &l.role.ARN, PrincipalArn: &l.provider.ARN, SAMLAssertion: &response}
	if change != nil {
		change(in)
	}
	c := sts.New(sts.Options{Region: "eu-west-1", HTTPClient: &http.Client{Transport: l.aws.Transport()}, RetryMaxAttempts: 1, Credentials: aws.AnonymousCredentials{}})
	return c.AssumeRoleWithSAML(context.Background(), in)
}

func edit(change func(s string) string) func(string) string {
	return func(encoded string) string {
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			panic(err) // it is our own
		}
		return base64.StdEncoding.EncodeToString([]byte(change(string(b))))
	}
}

func replace(old, with string) func(string) string {
	return edit(func(s string) string { return strings.Replace(s, old, with, 1) })
}

func TestAssumeRoleWithSAML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSAMLLab()
		out, err := l.assume(l.idp.Response(l.person), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := *out.AssumedRoleUser.Arn; got != "arn:aws:sts::123456789012:assumed-role/Admin/alice" {
			t.Errorf("assumed %q", got)
		}
		if *out.Issuer != l.idp.EntityID || *out.Subject != "alice" || *out.SubjectType != "persistent" || *out.Audience != SigninURL {
			t.Errorf("answered %+v", out)
		}
		if arn, err := l.aws.Identify(Key{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey}, *out.Credentials.SessionToken); err != nil || arn != *out.AssumedRoleUser.Arn {
			t.Errorf("they are those of %q, %v", arn, err)
		}
	})
}

// What AWS refuses, and how.
func TestAssumeRoleWithSAMLRefuses(t *testing.T) {
	const (
		invalid = "InvalidIdentityToken"
		expired = "ExpiredTokenException"
		denied  = "AccessDenied"
	)
	for _, tc := range []struct {
		name   string
		fields func(*AssertionFields)
		edit   func(string) string
		input  func(*sts.AssumeRoleWithSAMLInput)
		wait   time.Duration
		code   string
	}{
		{name: "as it should be"},
		{name: "the response is signed, not the assertion", fields: func(f *AssertionFields) { f.SignResponse = true }},
		{name: "a changed name", edit: replace(">alice<", ">mallory<"), code: invalid},
		{name: "a changed role", edit: replace("role/Admin", "role/Other"), code: invalid},
		{name: "no signature", edit: edit(func(s string) string {
			i, j := strings.Index(s, "<ds:Signature "), strings.Index(s, "</ds:Signature>")
			return s[:i] + s[j+len("</ds:Signature>"):]
		}), code: invalid},
		{name: "a changed signature", edit: replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"), code: invalid},
		{name: "another algorithm", edit: replace(algRSA256, nsDSig+"rsa-sha1"), code: invalid},
		{name: "the signed assertion beside another", edit: edit(func(s string) string {
			i, j := strings.Index(s, "<saml:Assertion "), strings.Index(s, "</saml:Assertion>")+len("</saml:Assertion>")
			evil := strings.Replace(s[i:j], ">alice<", ">mallory<", 1)
			return s[:i] + evil + "<samlp:Extensions>" + s[i:j] + "</samlp:Extensions>" + s[j:]
		}), code: invalid},
		{name: "two assertions", edit: edit(func(s string) string {
			i, j := strings.Index(s, "<saml:Assertion "), strings.Index(s, "</saml:Assertion>")+len("</saml:Assertion>")
			return s[:j] + s[i:]
		}), code: invalid},
		{name: "a comment in the name is not covered, and changes nothing", edit: replace(">alice<", ">ali<!-- x -->ce<")},
		{name: "not base64", edit: func(string) string { return "####" }, code: invalid},
		{name: "not XML", edit: edit(func(string) string { return "<a><b></a>" }), code: invalid},
		{name: "a DTD", edit: edit(func(s string) string { return "<!DOCTYPE x []>" + s }), code: invalid},
		{name: "another issuer", fields: func(f *AssertionFields) { f.Issuer = "https://evil.test" }, code: invalid},
		{name: "another audience", fields: func(f *AssertionFields) { f.Audience = "urn:other" }, code: invalid},
		{name: "another recipient", fields: func(f *AssertionFields) { f.Recipient = "https://evil.test" }, code: denied},
		{name: "no recipient", fields: func(f *AssertionFields) { f.Recipient = "" }, code: invalid},
		{name: "expired", fields: func(f *AssertionFields) { f.NotOnOrAfter = f.Issued }, code: expired},
		{name: "old", fields: func(f *AssertionFields) { f.NotOnOrAfter = f.Issued.Add(time.Hour) }, wait: 5*time.Minute + time.Second, code: expired},
		{name: "of tomorrow", fields: func(f *AssertionFields) { f.Issued = f.Issued.Add(24 * time.Hour) }, code: invalid},
		{name: "a failure", fields: func(f *AssertionFields) { f.Status = "AuthnFailed" }, code: invalid},
		{name: "no session name", fields: func(f *AssertionFields) { f.SessionName = "" }, code: invalid},
		{name: "no role", fields: func(f *AssertionFields) { f.Roles = nil }, code: invalid},
		{name: "another role", input: func(in *sts.AssumeRoleWithSAMLInput) { in.RoleArn = aws.String("arn:aws:iam::123456789012:role/Other") }, code: denied},
		{name: "another provider", input: func(in *sts.AssumeRoleWithSAMLInput) {
			in.PrincipalArn = aws.String("arn:aws:iam::123456789012:saml-provider/other")
		}, code: invalid},
		{name: "longer than the role allows", input: func(in *sts.AssumeRoleWithSAMLInput) { in.DurationSeconds = aws.Int32(3 * 3600) }, code: "ValidationError"},
		{name: "the pair the other way round", fields: func(f *AssertionFields) {
			role, provider, _ := strings.Cut(f.Roles[0], ",")
			f.Roles[0] = provider + ", " + role
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSAMLLab()
				if tc.fields != nil {
					l.idp.SetAssertion(tc.fields)
				}
				response := l.idp.Response(l.person)
				if tc.edit != nil {
					response = tc.edit(response)
				}
				pass(tc.wait)
				_, err := l.assume(response, tc.input)
				if code, message := codeOf(t, err); code != tc.code {
					t.Errorf("got %q %q, want %q", code, message, tc.code)
				}
			})
		})
	}
}

func TestSAMLProviderOfAnotherKey(t *testing.T) {
	l := newSAMLLab()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if l.provider.certs[0], err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	_, err = l.assume(l.idp.Response(l.person), nil)
	if code, message := codeOf(t, err); code != "InvalidIdentityToken" || !strings.Contains(message, "signature") {
		t.Errorf("got %q %q", code, message)
	}
}

func TestSessionEndsWithTheProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSAMLLab()
		end := time.Now().Add(20 * time.Minute).Truncate(time.Second)
		l.idp.SetAssertion(func(f *AssertionFields) { f.SessionNotOnOrAfter = end })
		out, err := l.assume(l.idp.Response(l.person), nil)
		if err != nil || !out.Credentials.Expiration.Equal(end) {
			t.Fatalf("they expire at %v (%v), want %v", out, err, end)
		}
	})
}

func TestCreateSAMLProvider(t *testing.T) {
	l := newSAMLLab()
	admin := l.aws.Default().User("admin").AddKey()
	call := func(name, metadata string) (int, string) {
		form := url.Values{"Action": {"CreateSAMLProvider"}, "Version": {iamVersion}, "Name": {name}, "SAMLMetadataDocument": {metadata}}
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://iam.amazonaws.com/", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		Sign(r, admin, "", "iam", "us-east-1", []byte(form.Encode()), time.Now())
		resp, err := l.aws.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, _ := resp.Body.Read(b)
		return resp.StatusCode, string(b[:n])
	}
	arn := "arn:aws:iam::123456789012:saml-provider/made"
	if status, body := call("made", l.idp.Metadata()); status != 200 || !strings.Contains(body, arn) {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := call("made", l.idp.Metadata()); status != 409 || !strings.Contains(body, "EntityAlreadyExists") {
		t.Errorf("again: %d %s", status, body)
	}
	if status, body := call("broken", strings.Repeat("x", 1000)); status != 400 || !strings.Contains(body, "InvalidInput") {
		t.Errorf("no metadata: %d %s", status, body)
	}
	role := l.aws.Default().Role("Made", TrustSAML(&SAMLProvider{ARN: arn}))
	l.idp.Change(l.person, func(p *Person) { p.Roles = []string{role.ARN + "," + arn} })
	if _, err := l.assume(l.idp.Response(l.person), func(in *sts.AssumeRoleWithSAMLInput) { in.RoleArn, in.PrincipalArn = &role.ARN, &arn }); err != nil {
		t.Error(err)
	}
}

// The log and the secrets: what arrived is known as secret, and not in the log.
func TestSAMLSecrets(t *testing.T) {
	l := newSAMLLab()
	response := l.idp.Response(l.person)
	if _, err := l.assume(response, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.aws.Requests() {
		if r.Form.Has("SAMLAssertion") {
			t.Error("the log has the assertion")
		}
	}
	found := false
	for _, s := range l.aws.Secrets() {
		found = found || s == response
	}
	if !found {
		t.Error("the assertion is not among the secrets")
	}
}

func FuzzXML(f *testing.F) {
	l := newSAMLLab()
	good, err := base64.StdEncoding.DecodeString(l.idp.Response(l.person))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`<a xmlns="x" xmlns:b="y"><b:c b:d="1" e="&amp;"/><!-- --><?x y?></a>`))
	f.Add([]byte(l.idp.Metadata()))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, err := parseXML(text)
		if err != nil {
			return
		}
		once := root.canonical(nil, nil)
		again, err := parseXML(once)
		if err != nil {
			return // a prefix that stands for nothing
		}
		if twice := again.canonical(nil, nil); string(once) != string(twice) {
			t.Errorf("canonical twice:\n%q\n%q", once, twice)
		}
		for _, e := range append(root.elements(), root) {
			if checkSignature(root, e, l.provider.certs) == nil && !strings.Contains(string(text), "SignatureValue") {
				t.Errorf("believed %q", text)
			}
		}
		readMetadata(text)
	})
}

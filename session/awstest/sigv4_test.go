package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// signed returns a request signed by the SDK's signer.
func signed(t *testing.T, c creds, method, url, body, service, region string, at time.Time, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	if service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	err = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }).
		SignHTTP(t.Context(), aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, r, hash, service, region, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send returns the status and the body of the answer.
func send(t *testing.T, a *AWS, r *http.Request) (int, string) {
	t.Helper()
	resp, err := a.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

func TestSignature(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	acct.Bucket("b")
	u := acct.User("alice")
	key := u.AddKey().creds()
	idle := u.AddKey()
	a.keys[idle.ID].active = false
	session := mustSession(t, a, key, nil)
	now := time.Now()
	const sts, s3 = "https://sts.eu-west-1.amazonaws.com/", "https://s3.eu-west-1.amazonaws.com/"
	post := func(c creds, service string, headers ...string) *http.Request {
		return signed(t, c, "POST", sts, whoAmI, service, "eu-west-1", now, headers...)
	}
	list := func(c creds) *http.Request { return signed(t, c, "GET", s3, "", "s3", "eu-west-1", now) }
	with := func(r *http.Request, change func(*http.Request)) *http.Request { change(r); return r }

	for _, tc := range []struct {
		name   string
		r      *http.Request
		status int
		want   string // in the body
	}{
		{"POST", post(key, "sts"), 200, "<GetCallerIdentityResult>"},
		{"GET", signed(t, key, "GET", sts+"?"+whoAmI, "", "sts", "eu-west-1", now), 200, "<GetCallerIdentityResult>"},
		{"GET, parameters out of order", signed(t, key, "GET", sts+"?Version=2011-06-15&Z=a+b%20c~&Action=GetCallerIdentity&A.1=2&A=1", "", "sts", "eu-west-1", now), 200, "<GetCallerIdentityResult>"},
		{"path with blanks", signed(t, key, "POST", sts+"a%20b/c%2Fd/", whoAmI, "sts", "eu-west-1", now), 200, "<GetCallerIdentityResult>"},
		{"header with blanks, twice", post(key, "sts", "X-Amz-Meta", "  a   b ", "X-Amz-Meta", "c"), 200, "<GetCallerIdentityResult>"},
		{"session", post(session, "sts"), 200, "<GetCallerIdentityResult>"},
		{"S3", list(key), 200, "<Name>b</Name>"},
		{"S3, session", list(session), 200, "<Name>b</Name>"},

		{"no signature", with(post(key, "sts"), func(r *http.Request) { r.Header.Del("Authorization") }), 403, "<Code>MissingAuthenticationToken</Code>"},
		{"S3, no signature", with(list(key), func(r *http.Request) { r.Header.Del("Authorization") }), 403, "<Code>AccessDenied</Code>"},
		{"unknown key", post(creds{id: "AKIAFAKEFAKEFAKEFAKE", secret: "x"}, "sts"), 403, "<Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message>"},
		{"S3, unknown key", list(creds{id: "AKIAFAKEFAKEFAKEFAKE", secret: "x"}), 403, "<Code>InvalidAccessKeyId</Code>"},
		{"inactive key", post(idle.creds(), "sts"), 403, "<Code>InvalidClientTokenId</Code>"},
		{"wrong secret", post(creds{id: key.id, secret: key.secret + "x"}, "sts"), 403, "<Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"},
		{"S3, wrong secret", list(creds{id: key.id, secret: "x"}), 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"session without token", post(creds{id: session.id, secret: session.secret}, "sts"), 403, "<Code>InvalidClientTokenId</Code>"},
		{"session with another token", post(creds{session.id, session.secret, "x"}, "sts"), 403, "<Code>InvalidClientTokenId</Code>"},
		{"S3, session with another token", list(creds{session.id, session.secret, "x"}), 400, "<Code>InvalidToken</Code>"},
		{"key with a stale token", post(creds{key.id, key.secret, session.token}, "sts"), 403, "<Code>InvalidClientTokenId</Code>"},
		{"wrong service", post(key, "iam"), 403, "Credential should be scoped to correct service: &#39;sts&#39;."},
		{"other body", with(post(key, "sts"), func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(whoAmI + "&X=1"))
		}), 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"S3, other body", with(list(key), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }), 400, "<Code>XAmzContentSHA256Mismatch</Code>"},
		{"S3, unsigned payload", func() *http.Request {
			r, _ := http.NewRequest("GET", s3, nil)
			r.Header.Set("X-Amz-Content-Sha256", unsignedBody)
			if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key.id, SecretAccessKey: key.secret}, r, unsignedBody, "s3", "eu-west-1", now); err != nil {
				t.Fatal(err)
			}
			return r
		}(), 200, "<Name>b</Name>"},
		{"other host", with(post(key, "sts"), func(r *http.Request) { r.Host = "evil.example" }), 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"unsigned x-amz header", with(post(key, "sts"), func(r *http.Request) { r.Header.Set("X-Amz-Later", "x") }), 403, "not signed: x-amz-later"},
		{"no Signature", with(post(key, "sts"), func(r *http.Request) {
			head, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", head)
		}), 400, "<Code>IncompleteSignature</Code>"},
		{"no date", with(post(key, "sts"), func(r *http.Request) { r.Header.Del("X-Amz-Date") }), 400, "<Code>IncompleteSignature</Code>"},
		{"date of another day", with(post(key, "sts"), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), now.UTC().Format("/20060102/"), "/19990101/", 1))
		}), 403, "Date in Credential scope does not match"},
		{"host not signed", with(post(key, "sts"), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}), 403, "must be a &#39;SignedHeader&#39;"},
		{"unknown action", signed(t, key, "POST", sts, "Action=Fly&Version=2011-06-15", "sts", "eu-west-1", now), 400, "<Code>InvalidAction</Code><Message>Could not find operation Fly for version 2011-06-15</Message>"},
		{"unknown version", signed(t, key, "POST", sts, "Action=GetCallerIdentity&Version=2010-01-01", "sts", "eu-west-1", now), 400, "<Code>InvalidAction</Code>"},
		{"S3, another call", signed(t, key, "GET", s3+"b/key", "", "s3", "eu-west-1", now), 501, "<Code>NotImplemented</Code>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if status, body := send(t, a, tc.r); status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("got %d %s\nwant %d …%s…", status, body, tc.status, tc.want)
			}
		})
	}
}

// TestSignatureOfSuite recomputes get-vanilla and its kin from AWS's Signature
// Version 4 test suite, whose key, date and results are published:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-test-suite.html (archived)
func TestSignatureOfSuite(t *testing.T) {
	for name, tc := range map[string]struct {
		query, signature string
		headers          []string
	}{
		"get-vanilla":              {"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil},
		"get-vanilla-query-order":  {"Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil},
		"get-header-key-duplicate": {"", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea", []string{"value2", "value2", "value1"}},
	} {
		r, err := http.NewRequest("GET", "https://example.amazonaws.com/?"+tc.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		names := "host;x-amz-date"
		for _, v := range tc.headers {
			names = "host;my-header1;x-amz-date"
			r.Header.Add("My-Header1", v)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+names+", Signature="+tc.signature)
		auth, err := parseAuthorization(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", auth, canonicalRequest(r, auth, "service", emptyHash)); got != tc.signature {
			t.Errorf("%s: %s, want %s", name, got, tc.signature)
		}
	}
}

// TestSign compares with the SDK's signer.
func TestSign(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := creds{"AKIAFAKEFAKEFAKEFAKE", "secret", "token"}
	for _, url := range []string{"https://s3.eu-west-1.amazonaws.com/", "https://s3.eu-west-1.amazonaws.com:8080/a%20b?x=1&list"} {
		want := signed(t, c, "GET", url, "", "s3", "eu-west-1", at)
		got, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		Sign(got, Key{c.id, c.secret}, c.token, "s3", "eu-west-1", nil, at)
		if got.Header.Get("Authorization") != want.Header.Get("Authorization") {
			t.Errorf("%s:\n%s, want\n%s", url, got.Header.Get("Authorization"), want.Header.Get("Authorization"))
		}
	}
}

func TestIdentify(t *testing.T) {
	a := New(Options{})
	u := a.Default().User("alice")
	k := u.AddKey()
	s := mustSession(t, a, k.creds(), nil)
	for _, tc := range []struct {
		id, secret, token string
		ok                bool
	}{
		{k.ID, k.Secret, "", true}, {s.id, s.secret, s.token, true},
		{k.ID, "x", "", false}, {s.id, s.secret, "", false}, {s.id, s.secret, "x", false}, {s.id, k.Secret, s.token, false}, {"x", "", "", false},
	} {
		arn, err := a.Identify(Key{tc.id, tc.secret}, tc.token)
		if (err == nil) != tc.ok || tc.ok && arn != u.ARN {
			t.Errorf("%+v: %q, %v", tc, arn, err)
		}
	}
}

// TestNormalizePath uses the paths of the suite's normalize-path group.
func TestNormalizePath(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "/./": "/", "/foo/..": "/", "/foo/bar/../..": "/",
		"//foo//": "/foo/", "/./foo": "/foo", "/example/..": "/", "/a/../../b": "/b", "/a%20b/": "/a%20b/",
	} {
		if got := normalizePath(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		key := a.Default().User("alice").AddKey().creds()
		now := time.Now()
		for _, tc := range []struct {
			skew time.Duration // of the client
			sts  string
			s3   int
		}{
			{0, "", 200},
			{15 * time.Minute, "", 200},
			{-15 * time.Minute, "", 200},
			{15*time.Minute + time.Second, "Signature not yet current: 20000101T001501Z is still later than 20000101T001500Z (20000101T000000Z + 15 min.)", 403},
			{-15*time.Minute - time.Second, "Signature expired: 19991231T234459Z is now earlier than 19991231T234500Z (20000101T000000Z - 15 min.)", 403},
		} {
			status, body := send(t, a, signed(t, key, "POST", "https://sts.eu-west-1.amazonaws.com/", whoAmI, "sts", "eu-west-1", now.Add(tc.skew)))
			if (status == 200) != (tc.sts == "") || !strings.Contains(body, tc.sts) {
				t.Errorf("%v: %d %s", tc.skew, status, body)
			}
			status, body = send(t, a, signed(t, key, "GET", "https://s3.eu-west-1.amazonaws.com/", "", "s3", "eu-west-1", now.Add(tc.skew)))
			if status != tc.s3 || status != 200 && !strings.Contains(body, "<Code>RequestTimeTooSkewed</Code>") {
				t.Errorf("S3, %v: %d %s", tc.skew, status, body)
			}
		}
		// A real client finds the skew in the Date header and gets it right the second time.
		a.SetSkew(time.Hour)
		_, err := client(a, key).GetCallerIdentity(context.Background(), nil, func(o *sts.Options) { o.RetryMaxAttempts = 2 })
		if err != nil {
			t.Errorf("the client could not correct its clock: %v", err)
		}
		if n := a.Count("GetCallerIdentity"); n != 5+2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestPresigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		key := a.Default().User("alice").AddKey().creds()
		session := mustSession(t, a, key, nil)
		presign := func(c creds, seconds int) *http.Request {
			r, err := http.NewRequest("GET", "https://sts.eu-west-1.amazonaws.com/?"+whoAmI+"&X-Amz-Expires="+strconv.Itoa(seconds), nil)
			if err != nil {
				t.Fatal(err)
			}
			url, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, r, emptyHash, "sts", "eu-west-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			r, err = http.NewRequest("GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		for _, c := range []creds{key, session} {
			r := presign(c, 60)
			if status, body := send(t, a, r); status != 200 {
				t.Errorf("fresh: %d %s", status, body)
			}
			pass(61 * time.Second)
			if status, body := send(t, a, r); status != 403 || !strings.Contains(body, "Signature expired") {
				t.Errorf("stale: %d %s", status, body)
			}
		}
		if status, body := send(t, a, presign(creds{key.id, "wrong", ""}, 60)); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
			t.Errorf("wrong secret: %d %s", status, body)
		}
		if status, body := send(t, a, presign(key, 604801)); status != 400 {
			t.Errorf("longer than seven days: %d %s", status, body)
		}
	})
}

// FuzzAuthorization: whatever a client sends, the parser neither panics nor
// accepts a header without its three parts, and nothing unsigned gets in.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20150830T123600Z", "Action=GetCallerIdentity&Version=2011-06-15")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature==", "", "X-Amz-Signature=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1")
	f.Add("", "", "a=%zz&=&;&%=+")
	a := New(Options{})
	key := a.Default().User("alice").AddKey()
	f.Fuzz(func(t *testing.T, header, date, query string) {
		r, err := http.NewRequest("GET", "https://sts.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		header = strings.Replace(header, "AKID", key.ID, 1)
		r.Header.Set("Authorization", header)
		r.Header.Set("X-Amz-Date", date)
		auth, err := parseAuthorization(r)
		if err == nil && (auth.keyID == "" || auth.signature == "" || len(auth.signedHeaders) == 0) {
			t.Errorf("accepted %q", header)
		}
		canonicalQuery(query)
		if status, body := send(t, a, r); status == 200 {
			t.Errorf("let in: %s", body)
		}
	})
}

// FuzzCanonicalQuery compares with the SDK's signer.
func FuzzCanonicalQuery(f *testing.F) {
	f.Add("a", "b c+d", "a-b", "~_é%")
	f.Add("a", "", "a.b", "=&/")
	a := New(Options{})
	key := a.Default().User("alice").AddKey().creds()
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		for _, name := range []string{k1, k2} {
			switch strings.ToLower(name) {
			case "", "action", "version", "x-amz-signature", "x-amz-algorithm":
				t.Skip("a parameter with a meaning")
			}
		}
		query := whoAmI + "&" + uriEncode(k1, "") + "=" + uriEncode(v1, "") + "&" + uriEncode(k2, "") + "=" + uriEncode(v2, "")
		r := signed(t, key, "GET", "https://sts.amazonaws.com/?"+query, "", "sts", "us-east-1", time.Now())
		if status, body := send(t, a, r); status != 200 {
			t.Errorf("%q: %d %s", query, status, body)
		}
	})
}

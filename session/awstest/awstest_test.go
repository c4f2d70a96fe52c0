package awstest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		key := a.Default().User("alice").AddKey().creds()
		who := func(o ...func(*sts.Options)) error {
			_, err := client(a, key).GetCallerIdentity(context.Background(), nil, o...)
			return err
		}
		patient := func(o *sts.Options) { o.RetryMaxAttempts = 4 }

		a.Inject(Throttled("GetCallerIdentity", 1))
		if code, message := codeOf(t, who()); code != "Throttling" || message != "Rate exceeded" {
			t.Errorf("throttled: %q %q", code, message)
		}
		if err := who(); err != nil {
			t.Errorf("after the only throttling: %v", err)
		}
		a.Inject(Unavailable("", 3))
		if err := who(patient); err != nil {
			t.Errorf("three failures, four attempts: %v", err)
		}
		a.Inject(Fault{Action: "AssumeRole", Status: 500, Code: "InternalFailure"})
		if err := who(); err != nil {
			t.Errorf("struck by a fault of another action: %v", err)
		}

		a.Reset()
		a.Inject(Fault{Times: 1, Drop: true})
		if err := who(); err == nil || !strings.Contains(err.Error(), "connection dropped") {
			t.Errorf("dropped: %v", err)
		}
		if r := a.Requests(); len(r) != 1 || r[0].Status != 0 {
			t.Errorf("log of a dropped request: %+v", r)
		}

		a.Inject(Fault{Delay: 20 * time.Second})
		before := time.Now()
		if err := who(); err != nil || time.Since(before) != 20*time.Second {
			t.Errorf("delayed: %v after %v", err, time.Since(before))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		before = time.Now()
		if _, err := client(a, key).GetCallerIdentity(ctx, nil); err == nil || time.Since(before) != time.Second {
			t.Errorf("a client that went was held: %v after %v", err, time.Since(before))
		}
		a.Reset()
		if err := who(); err != nil {
			t.Errorf("after Reset: %v", err)
		}
	})
}

func TestLog(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	u := acct.User("alice")
	d := u.AddMFA("alice")
	key := u.AddKey().creds()
	code := d.Code()
	done := make(chan error, 1)
	go func() { done <- a.Wait(t.Context(), "AssumeRole", 1) }()
	if _, err := client(a, key).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: &d.Serial, TokenCode: &code}); err != nil {
		t.Fatal(err)
	}
	if _, err := assume(a, key, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/none")}); err == nil {
		t.Fatal("assumed a role that is not there")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := a.Requests()
	if len(got) != 2 || a.Count("") != 2 || a.Count("AssumeRole") != 1 || a.Count("GetUser") != 0 {
		t.Fatalf("log %+v", got)
	}
	if r := got[1]; r.Service != "sts" || r.Action != "AssumeRole" || r.Status != 403 || r.Code != "AccessDenied" || r.AccessKeyID != key.id || r.Form.Get("RoleSessionName") != "test" {
		t.Errorf("second request %+v", r)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, code) || strings.Contains(text, key.secret) {
		t.Errorf("a secret in the log: %s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Wait(ctx, "GetUser", 1); err == nil {
		t.Error("Wait did not end with its context")
	}
	a.Reset()
	if len(a.Requests()) != 0 || a.Count("") != 0 {
		t.Error("Reset left something")
	}
}

func TestSecrets(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	u := acct.User("alice")
	d := u.AddMFA("alice")
	k := u.AddKey()
	c := mustSession(t, a, k.creds(), d)
	token := acct.OIDCProvider("https://idp.example", nil, "x").Token("s", time.Minute, nil)
	all := a.Secrets()
	for _, secret := range []string{k.Secret, c.secret, c.token, d.Seed(), token} {
		if !slices.Contains(all, secret) {
			t.Errorf("%q is missing", secret)
		}
	}
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k)} {
		if strings.Contains(text, k.Secret) {
			t.Errorf("Key shows its secret: %s", text)
		}
	}
}

func TestServer(t *testing.T) {
	a := New(Options{})
	url, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("serves at %s", url)
	}
	if _, err := a.Start(); err == nil {
		t.Error("started twice")
	}
	key := a.Default().User("alice").AddKey().creds()
	overWire := func(o *sts.Options) { o.HTTPClient, o.BaseEndpoint = http.DefaultClient, &url }
	if _, err := client(a, key).GetCallerIdentity(t.Context(), nil, overWire); err != nil {
		t.Error(err)
	}
	a.SetSkew(5 * time.Minute)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if at, err := http.ParseTime(resp.Header.Get("Date")); err != nil || time.Until(at) < 4*time.Minute {
		t.Errorf("Date is %v, %v: not AWS's clock", at, err)
	}
	a.SetSkew(0)
	a.Inject(Fault{Times: 1, Drop: true})
	if _, err := client(a, key).GetCallerIdentity(t.Context(), nil, overWire); err == nil {
		t.Error("a dropped connection answered")
	}
	// Close cuts a request that is being delayed.
	a.Reset()
	a.Inject(Fault{Delay: time.Hour})
	failed := make(chan error, 1)
	go func() {
		_, err := client(a, key).GetCallerIdentity(context.WithoutCancel(t.Context()), nil, overWire)
		failed <- err
	}()
	if err := a.Wait(t.Context(), "GetCallerIdentity", 1); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("answered after Close")
	}
	if err := a.Close(); err != nil {
		t.Error("second Close:", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestConcurrent is for the race detector; a code given twenty times counts once.
func TestConcurrent(t *testing.T) {
	w := Demo(Options{})
	url, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	code := w.MFA.Code()
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for i := range 20 {
		wg.Go(func() {
			_, err := client(w.AWS, w.Key.creds()).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: &w.MFA.Serial, TokenCode: &code},
				func(o *sts.Options) { o.HTTPClient, o.BaseEndpoint = http.DefaultClient, &url })
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
			}
		})
		wg.Go(func() {
			w.Default().User(fmt.Sprint(i)).AddKey()
			w.Default().Role(fmt.Sprint(i), Trust(nil, "*"))
			w.Requests()
			w.Count("GetSessionToken")
			w.Secrets()
			w.SetSkew(0)
		})
	}
	wg.Wait()
	if accepted != 1 || w.Count("GetSessionToken") != 20 {
		t.Errorf("%d of %d accepted", accepted, w.Count("GetSessionToken"))
	}
}

// TestDemo walks every way that the sandbox's profiles go.
func TestDemo(t *testing.T) {
	w := Demo(Options{})
	key := w.Key.creds()
	session := mustSession(t, w.AWS, key, w.MFA)
	for _, r := range []*Role{w.Admin, w.ReadOnly, w.Prod} {
		if _, err := assume(w.AWS, key, &sts.AssumeRoleInput{RoleArn: &r.ARN}); err == nil {
			t.Errorf("%s needs no MFA", r.Name)
		}
		mustAssume(t, w.AWS, session, &sts.AssumeRoleInput{RoleArn: &r.ARN})
	}
	admin := mustAssume(t, w.AWS, session, &sts.AssumeRoleInput{RoleArn: &w.Admin.ARN})
	mustAssume(t, w.AWS, admin, &sts.AssumeRoleInput{RoleArn: &w.Deploy.ARN})
	if _, err := assume(w.AWS, session, &sts.AssumeRoleInput{RoleArn: &w.Deploy.ARN}); err == nil {
		t.Error("Deploy can be had without Admin")
	}
	mustAssume(t, w.AWS, key, &sts.AssumeRoleInput{RoleArn: &w.Partner.ARN, ExternalId: &w.ExternalID})
	if _, err := assume(w.AWS, key, &sts.AssumeRoleInput{RoleArn: &w.Partner.ARN}); err == nil {
		t.Error("Partner needs no external id")
	}
}

//go:build slow && linux

package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/oidc"
	"aws-runas/session/role"
)

const versitygw = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// gateway is versitygw, which is in no package of Debian: it is built once, in
// the checkout's .cache.
func gateway(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	dir, err := filepath.Abs("../../.cache/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := exec.CommandContext(t.Context(), "go", "install", versitygw)
	cmd.Dir = t.TempDir() // outside of this module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("go install %s: %v\n%s", versitygw, err, out)
		missing(t, "versitygw")
	}
	return path
}

// TestSlowTokenAtVersitygw has a token of oidc-provider accepted by a strict
// AssumeRoleWithWebIdentity. That takes issuers at port 443 of a host that is
// not loopback alone, so the test runs itself again in a network of its own.
func TestSlowTokenAtVersitygw(t *testing.T) {
	if os.Getenv("OIDC_TEST_NETWORK") != "" {
		tokenAtVersitygw(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may make a network")
	}
	ip := program(t, "ip")
	program(t, "unshare")
	program(t, "aws")
	library(t, "oidc-provider")
	newChromium(t)
	server := gateway(t)
	name := fmt.Sprintf("oidctest%d", os.Getpid())
	if out, err := exec.Command(ip, "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("this machine makes no network: %s", out) // as in a container without the right
	}
	t.Cleanup(func() { exec.Command(ip, "netns", "del", name).Run() })
	for _, args := range []string{"link set lo up", "addr add 203.0.113.10/32 dev lo"} {
		if out, err := exec.Command(ip, append([]string{"netns", "exec", name, ip}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost\n203.0.113.10 idp.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ip, "netns", "exec", name, "unshare", "-m", "sh", "-c",
		`mount --bind "$1" /etc/hosts && shift && exec "$@"`, "sh", hosts, os.Args[0], "-test.run=^TestSlowTokenAtVersitygw$", "-test.v")
	cmd.Env = append(os.Environ(), "OIDC_TEST_NETWORK="+server)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// certify writes a certificate for a host and its key.
func certify(t *testing.T, host, certificate, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, private: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// listens waits for a server that says nothing when it does.
func listens(t *testing.T, address string) {
	t.Helper()
	for range 1000 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		<-time.After(30 * time.Millisecond)
	}
	t.Fatalf("nobody listens at %s", address)
}

func tokenAtVersitygw(t *testing.T) {
	dir := t.TempDir()
	certificate, private := filepath.Join(dir, "idp.pem"), filepath.Join(dir, "idp.key")
	certify(t, "idp.example", certificate, private)
	issuer := oidcProvider(t, "https://idp.example", certificate, private)

	const address = "127.0.0.1:15650"
	server := exec.CommandContext(t.Context(), os.Getenv("OIDC_TEST_NETWORK"), "--port", address, "iam", "--dir", dir)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY=FAKEROOT", "ROOT_SECRET_KEY=FAKESECRET", "SSL_CERT_FILE="+certificate)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("versitygw said:\n%s", said)
		}
	})
	listens(t, address)
	iam := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"--endpoint-url", "http://" + address, "--region", "us-east-1", "--output", "text", "iam"}, args...)...)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=FAKEROOT", "AWS_SECRET_ACCESS_KEY=FAKESECRET", "AWS_EC2_METADATA_DISABLED=true", "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws iam %s: %v\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
	provider := iam("create-open-id-connect-provider", "--url", issuer, "--client-id-list", "aws", "--query", "OpenIDConnectProviderArn")
	trust := func(audience string) string {
		return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": %q}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {"idp.example:aud": %q}}}]}`, provider, audience)
	}
	good := iam("create-role", "--role-name", "Federated", "--assume-role-policy-document", trust("aws"), "--query", "Role.Arn")
	bad := iam("create-role", "--role-name", "Others", "--assume-role-policy-document", trust("other"), "--query", "Role.Arn")

	browser := newChromium(t)
	l := newLab(t)
	l.network = http.DefaultTransport
	l.change = func(c *oidc.Client) {
		c.URL = issuer
		c.AWS.Transport, c.AWS.CABundle, c.AWS.Region = nil, certificate, "us-east-1"
		c.AWS.Endpoint = func(string) string { return "http://" + address }
		c.Person.Open = browser.open
	}
	assume := func(arn string) (session.Credentials, error) {
		c := l.client()
		w := &role.WebIdentity{
			Cache: c.Cache, AWS: c.AWS, Name: "prod", Token: c, OSUser: "tester",
			Request: role.Request{RoleARN: arn, Duration: 15 * time.Minute},
		}
		return w.Credentials(t.Context())
	}
	got, err := assume(good)
	if err != nil {
		t.Fatal(err)
	}
	arn, err := role.Identity(t.Context(), l.client().AWS, got)
	if err != nil || !strings.Contains(arn, ":assumed-role/Federated/") || arn != got.ARN {
		t.Errorf("the credentials are those of %q, and say %q: %v", arn, got.ARN, err)
	}
	if left := time.Until(got.Expires); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("they last %s", left)
	}
	_, err = assume(bad)
	var no *session.Refused
	if !errors.As(err, &no) || session.Hint(err) == "" || browser.asked != 1 {
		t.Errorf("a role for another audience: %v; hint %q; asked %d times", err, session.Hint(err), browser.asked)
	}
	t.Logf("versitygw gave %s, and refused: %v", arn, err)
}

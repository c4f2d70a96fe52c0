//go:build slow && unix

package saml

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
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
	"syscall"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/signin"
)

const simpleSAML = "/usr/share/simplesamlphp"

func needs(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", missing)
	}
	t.Skipf("%s is not installed", missing)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// serve starts a program that ends with the test, and waits until it answers.
func serve(t *testing.T, address string, env []string, name string, args ...string) {
	t.Helper()
	log := new(bytes.Buffer)
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // php starts workers
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
		if t.Failed() {
			t.Logf("%s:\n%s", name, log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("%s ended", name)
		case <-ctx.Done():
			t.Fatalf("%s does not answer", name)
		}
	}
}

// signingKey is an identity provider's.
type signingKey struct {
	private []byte // PEM
	cert    *x509.Certificate
}

func newSigningKey(t *testing.T) signingKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), cert}
}

// startSimpleSAML runs a real identity provider and returns its URL and the
// certificate that it signs with.
func startSimpleSAML(t *testing.T, roles []string) (string, *x509.Certificate) {
	t.Helper()
	if _, err := os.Stat(simpleSAML + "/www"); err != nil {
		needs(t, "simplesamlphp")
	}
	php, err := exec.LookPath("php")
	if err != nil {
		needs(t, "php8.2-cli")
	}
	dir, key := t.TempDir(), newSigningKey(t)
	port := freePort(t)
	base := "http://127.0.0.1:" + port + "/"
	write := func(name string, content []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quoted := "'" + strings.Join(roles, "', '") + "'"
	write("cert/idp.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key.cert.Raw}))
	write("cert/idp.pem", key.private)
	write("data/.keep", nil)
	write("tmp/.keep", nil)
	write("config/config.php", fmt.Appendf(nil, `<?php
require '/etc/simplesamlphp/config.php';
$config = array_merge($config, [
 'baseurlpath' => '%[1]s', 'certdir' => '%[2]s/cert/', 'datadir' => '%[2]s/data/', 'tempdir' => '%[2]s/tmp', 'metadatadir' => '%[2]s/metadata/',
 'logging.handler' => 'errorlog', 'session.cookie.secure' => false, 'session.cookie.samesite' => null, 'session.phpsession.savepath' => '%[2]s/tmp',
 'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true], 'secretsalt' => 'FAKEsaltFAKEsaltFAKEsaltFAKEsalt',
]);
`, base, dir))
	write("config/authsources.php", fmt.Appendf(nil, `<?php
$config = ['example-userpass' => ['exampleauth:UserPass', 'alice:%s' => [
 'uid' => ['alice'],
 'https://aws.amazon.com/SAML/Attributes/Role' => [%s],
 'https://aws.amazon.com/SAML/Attributes/RoleSessionName' => ['alice@example.com'],
 'https://aws.amazon.com/SAML/Attributes/SessionDuration' => ['3600'],
]]];
`, alicePassword, quoted))
	write("metadata/saml20-idp-hosted.php", []byte(`<?php
$metadata['__DYNAMIC:1__'] = ['host' => '__DEFAULT__', 'privatekey' => 'idp.pem', 'certificate' => 'idp.crt', 'auth' => 'example-userpass',
 'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri'];
`))
	write("metadata/saml20-sp-remote.php", []byte(`<?php
$metadata['urn:amazon:webservices'] = ['entityid' => 'urn:amazon:webservices', 'AssertionConsumerService' => 'https://signin.aws.amazon.com/saml',
 'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'];
`))
	serve(t, base+"resources/default.css", []string{"SIMPLESAMLPHP_CONFIG_DIR=" + dir + "/config", "PHP_CLI_SERVER_WORKERS=4"},
		php, "-d", "display_errors=0", "-S", "127.0.0.1:"+port, "-t", simpleSAML+"/www")
	return base, key.cert
}

func TestSlowSimpleSAMLphp(t *testing.T) {
	l := newLab(t, awstest.Forms)
	home := l.aws.Default()
	name := "arn:aws:iam::123456789012:saml-provider/simple"
	base, cert := startSimpleSAML(t, []string{"arn:aws:iam::123456789012:role/Simple," + name})
	provider := home.SAMLProvider("simple", base+"saml2/idp/metadata.php", cert)
	simple := home.Role("Simple", awstest.TrustSAML(provider))
	endpoint, err := l.aws.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.aws.Close() })
	newIDP := func() *IDP {
		p := l.newIDP()
		p.AWS = l.network(endpoint)
		p.URL = base + "saml2/idp/SSOService.php?spentityid=urn:amazon:webservices"
		return p
	}

	t.Run("a wrong password", func(t *testing.T) {
		l.person.passwords = []string{"wrong a FAKE", "wrong b FAKE", "wrong c FAKE"}
		_, err := newIDP().Assertion(t.Context())
		var no *session.Refused
		if !errors.As(err, &no) || !strings.Contains(err.Error(), "ncorrect") || strings.Contains(err.Error(), "<") || session.Hint(err) != "aws-runas login dev" {
			t.Errorf("got %v (hint %q)", err, session.Hint(err))
		}
		if len(l.person.asked) != 3 {
			t.Errorf("asked %d times", len(l.person.asked))
		}
	})
	t.Run("its form, and AssumeRoleWithSAML with its signature", func(t *testing.T) {
		l.person.asked, l.person.passwords = nil, []string{"wrong FAKE", alicePassword}
		p := newIDP()
		c, err := l.newRole(p, simple.ARN).Credentials(t.Context())
		if err != nil {
			t.Fatal(err, session.Hint(err))
		}
		if c.ARN != "arn:aws:sts::123456789012:assumed-role/Simple/alice@example.com" || l.person.questions() != "password/password" {
			t.Errorf("the credentials of %q after asking for %q", c.ARN, l.person.questions())
		}
	})
	t.Run("its session cookie again", func(t *testing.T) {
		l.person.away = true
		defer func() { l.person.away = false }()
		for range 3 {
			p := newIDP()
			p.Cache.NoInput = true
			r := l.newRole(p, "")
			r.Cache = r.Cache.Renewing()
			if _, err := r.Credentials(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("its response", func(t *testing.T) {
		a, err := newIDP().Assertion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.SessionName != "alice@example.com" || len(a.Roles) != 1 || a.Audience[0] != "urn:amazon:webservices" || a.Destination != awstest.SigninURL || a.NotOnOrAfter.IsZero() {
			t.Errorf("read as %+v", *a)
		}
	})
	t.Run("Chromium", func(t *testing.T) {
		l.env["PATH"] = chromium(t)
		p := newIDP()
		p.URL += "&RelayState=x"
		p.Provider = Browser
		p.Person = &signin.Person{Open: func(context.Context, string) error { return nil }, Tell: func(string) {}, Lookup: l.lookup, Limit: time.Minute}
		key, err := p.Key()
		if err != nil {
			t.Fatal(err)
		}
		// The session of the form client serves the browser.
		kept, err := newIDP().Key()
		if err != nil {
			t.Fatal(err)
		}
		l.store.records[key.String()] = bytes.ReplaceAll(l.store.records[kept.String()], []byte(`"expires":"20`), []byte(`"expires":"19`))
		if _, err := p.Assertion(t.Context()); err != nil {
			t.Errorf("the browser with the cookies of the form client: %v", err)
		}
	})
	t.Run("the session ended", func(t *testing.T) {
		key, err := newIDP().Key()
		if err != nil {
			t.Fatal(err)
		}
		l.store.records[key.String()] = bytes.ReplaceAll(l.store.records[key.String()], []byte(`"value":"`), []byte(`"value":"x`))
		l.person.asked = nil
		if _, err := newIDP().Assertion(t.Context()); err != nil || l.person.questions() != "password" {
			t.Errorf("got %v, asked for %q", err, l.person.questions())
		}
	})
}

// TestSlowSimpleSAMLphpAtMoto has its response accepted by somebody else's AWS,
// which does not check the signature.
func TestSlowSimpleSAMLphpAtMoto(t *testing.T) {
	moto, err := exec.LookPath("moto_server")
	if err != nil {
		needs(t, "moto_server")
	}
	const role = "arn:aws:iam::123456789012:role/Simple"
	l := newLab(t, awstest.Forms)
	base, _ := startSimpleSAML(t, []string{role + ",arn:aws:iam::123456789012:saml-provider/simple"})
	port := freePort(t)
	at := "http://127.0.0.1:" + port
	serve(t, at+"/moto-api/", nil, moto, "-H", "127.0.0.1", "-p", port)
	l.person.passwords = []string{alicePassword}
	p := l.newIDP()
	p.AWS = l.network(at)
	p.URL = base + "saml2/idp/SSOService.php?spentityid=urn:amazon:webservices"
	c, err := l.newRole(p, role).Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.ARN, "assumed-role/Simple/alice@example.com") {
		t.Errorf("the credentials are those of %q", c.ARN)
	}
}

//go:build slow

package oidc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
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
	"aws-runas/session/saml"
)

// lemonLDAP runs the portal of LemonLDAP::NG as an OpenID provider until the
// test ends, and returns its issuer. Its demonstration accounts have their names
// for passwords. It announces neither a device endpoint nor revocation nor
// offline_access, and asks for consent.
func lemonLDAP(t *testing.T) string {
	t.Helper()
	const templates = "/usr/share/lemonldap-ng/portal/templates"
	if _, err := os.Stat(templates); err != nil {
		missing(t, "liblemonldap-ng-portal-perl")
	}
	plackup := program(t, "plackup")
	for _, module := range []string{"IO::String", "String::Random", "Crypt::OpenSSL::Bignum"} {
		if exec.Command("perl", "-M"+module, "-e1").Run() != nil {
			missing(t, "the Perl module "+module)
		}
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	host, port, _ := net.SplitHostPort(address)
	base, dir := "http://"+address, t.TempDir()
	files := func(name string) map[string]any {
		if err := os.MkdirAll(filepath.Join(dir, name, "lock"), 0o700); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"Directory": dir + "/" + name, "LockDirectory": dir + "/" + name + "/lock",
			"generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256"}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	client := func(id, algorithm string) map[string]any {
		options := map[string]any{}
		for name, value := range map[string]any{
			"ClientID": id, "ClientSecret": "unused", "DisplayName": id, "Public": 1, "RequirePKCE": 1, "RedirectUris": "app:/callback",
			"IDTokenSignAlg": algorithm, "IDTokenForceClaims": 1, "IDTokenExpiration": 3600, "AccessTokenExpiration": 3600, "AdditionalAudiences": "another",
		} {
			options["oidcRPMetaDataOptions"+name] = value
		}
		return options
	}
	claims := map[string]any{"preferred_username": "uid"}
	config, err := json.Marshal(map[string]any{
		"cfgNum": 1, "cfgDate": 1, "cfgAuthor": "test", "cfgVersion": "2.16.1", "key": "FAKEkeyFAKEkeyFAKEkeyFAKEkey",
		"authentication": "Demo", "userDB": "Same", "passwordDB": "Demo", "registerDB": "Null",
		"cookieName": "lemonldap", "domain": "127.0.0.1", "portal": base + "/", "securedCookie": 0, "whatToTrace": "_whatToTrace",
		"macros": map[string]any{"_whatToTrace": "$_user"}, "demoExportedVars": map[string]any{"mail": "mail", "uid": "uid"}, "exportedVars": map[string]any{}, "groups": map[string]any{},
		"locationRules": map[string]any{"127.0.0.1": map[string]any{"default": "accept"}}, "localSessionStorage": "",
		"globalStorage": "Apache::Session::File", "globalStorageOptions": files("sessions"),
		"persistentStorage": "Apache::Session::File", "persistentStorageOptions": files("psessions"),
		"captcha_mail_enabled": 0, "captcha_register_enabled": 0, "notification": 0,
		"issuerDBOpenIDConnectActivation": 1, "oidcServiceMetaDataIssuer": base, "oidcServiceMetaDataAuthnContext": map[string]any{"loa-1": 1},
		"oidcServiceAllowAuthorizationCodeFlow": 1, "oidcServiceKeyIdSig": "1",
		"oidcServicePrivateKeySig":        string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"oidcServicePublicKeySig":         string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"oidcRPMetaDataOptions":           map[string]any{"aws": client("aws", "RS256"), "shared": client("shared", "HS256")},
		"oidcRPMetaDataExportedVars":      map[string]any{"aws": claims, "shared": claims},
		"oidcServiceMetaDataAuthorizeURI": "authorize", "oidcServiceMetaDataTokenURI": "token", "oidcServiceMetaDataJWKSURI": "jwks",
		"oidcServiceMetaDataUserInfoURI": "userinfo", "oidcServiceMetaDataEndSessionURI": "logout", "oidcServiceMetaDataCheckSessionURI": "checksession.html",
		"oidcServiceMetaDataRegistrationURI": "register", "oidcServiceMetaDataIntrospectionURI": "introspect",
		"oidcServiceMetaDataBackChannelURI": "blogout", "oidcServiceMetaDataFrontChannelURI": "flogout",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"lmConf-1.json":    string(config),
		"lemonldap-ng.ini": fmt.Sprintf("[all]\nlogLevel=warn\n[configuration]\ntype=File\ndirName=%s\n[portal]\nstaticPrefix=/static\ntemplateDir=%s\nlanguages=en\n", dir, templates),
		// Its module for captchas is loaded, needed or not, and wants a library of pictures.
		"portal.psgi": "BEGIN { $INC{'GD/SecurityImage.pm'} = 1 }\nuse Lemonldap::NG::Portal::Main;\nLemonldap::NG::Portal::Main->run({});\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd, said := exec.CommandContext(t.Context(), plackup, "-s", "HTTP::Server::PSGI", "--host", host, "--port", port, dir+"/portal.psgi"), new(bytes.Buffer)
	cmd.Env = append(os.Environ(), "LLNG_DEFAULTCONFFILE="+dir+"/lemonldap-ng.ini")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("LemonLDAP::NG said:\n%s", said)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", base, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return base
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("LemonLDAP::NG ended")
		case <-ctx.Done():
			t.Fatal("LemonLDAP::NG does not answer")
		}
	}
}

type noAsker struct{}

func (noAsker) Ask(context.Context, session.Question) (string, error) {
	return "", &session.Needs{What: session.NeedAuth}
}

// With a user name and a password, at a provider that knows no more than it has
// to.
func TestSlowLemonLDAP(t *testing.T) {
	issuer := lemonLDAP(t)
	l := newLab(t)
	l.network = http.DefaultTransport
	l.env["RUNAS_PASSWORD"] = "dwho"
	l.change = func(c *oidc.Client) {
		// The authorization endpoint, as it is known to those who look at the page.
		c.URL, c.RedirectURI, c.Username, c.Person = issuer+"/oauth2/authorize", "app:/callback", "dwho", nil
		c.Form = saml.Pages{IDP: &saml.IDP{
			Cache: c.Cache, AWS: c.AWS, Ask: noAsker{}, Lookup: l.lookup, Notice: func(msg string) { l.write("%s", msg) }, Profile: "prod", URL: c.URL, Username: "dwho", Version: "1",
		}}
	}
	first, user, err := l.client().Token(t.Context(), "")
	if err != nil || user != "dwho" {
		t.Fatalf("%q, %v", user, err)
	}
	// It gives no refresh token; its cookies do.
	delete(l.env, "RUNAS_PASSWORD")
	next, _, err := l.client().Token(t.Context(), first)
	if err != nil || next == first {
		t.Errorf("with its cookies: %v", err)
	}
	change := l.change
	l.change = func(c *oidc.Client) { change(c); c.ID = "shared" }
	if _, err := l.token(); err == nil || !strings.Contains(err.Error(), `signed by "HS256"`) || !strings.Contains(session.Hint(err), "RS256") {
		t.Errorf("a token that AWS does not take: %v; hint %q", err, session.Hint(err))
	}
	l.clear()
	l.env["RUNAS_PASSWORD"] = "wrong FAKE"
	if no := fails[*session.Refused](l); !strings.Contains(no.Error(), "wrong") {
		t.Errorf("a wrong password: %v", no)
	}
}

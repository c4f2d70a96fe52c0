//go:build slow && unix

package saml

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aws-runas/session"
	"aws-runas/session/awstest"
)

// LemonLDAP::NG's demonstration accounts have their names for passwords.
const lemonUser, lemonWithCode, lemonWithChoice = "dwho", "rtyler", "msmith"

// startLemonLDAP runs the portal of LemonLDAP::NG and returns its URL.
func startLemonLDAP(t *testing.T, key signingKey, role string) string {
	t.Helper()
	const templates = "/usr/share/lemonldap-ng/portal/templates"
	if _, err := os.Stat(templates); err != nil {
		needs(t, "liblemonldap-ng-portal-perl")
	}
	plackup, err := exec.LookPath("plackup")
	if err != nil {
		needs(t, "libplack-perl")
	}
	for _, module := range []string{"Lasso", "IO::String", "XML::Simple", "String::Random"} {
		if exec.Command("perl", "-M"+module, "-e1").Run() != nil {
			needs(t, "the Perl module "+module)
		}
	}
	dir, port := t.TempDir(), freePort(t)
	base := "http://127.0.0.1:" + port
	files := func(name string) map[string]any {
		for _, d := range []string{name, name + "/lock"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		return map[string]any{"Directory": dir + "/" + name, "LockDirectory": dir + "/" + name + "/lock",
			"generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256"}
	}
	// The code is a random one of a regular expression.
	factor := func(name, code string) map[string]any {
		return map[string]any{"type": "Ext2F", "label": name, "rule": `$uid eq "` + lemonWithChoice + `"`,
			"over": map[string]any{"ext2fCodeActivation": code, "ext2FSendCommand": "/bin/true"}}
	}
	const uri = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
	config, err := json.Marshal(map[string]any{
		"cfgNum": 1, "cfgDate": 1, "cfgAuthor": "test", "cfgVersion": "2.16.1", "key": "FAKEkeyFAKEkeyFAKEkeyFAKEkey",
		"authentication": "Demo", "userDB": "Same", "passwordDB": "Demo", "registerDB": "Null",
		"cookieName": "lemonldap", "domain": "127.0.0.1", "portal": base + "/", "securedCookie": 0, "whatToTrace": "_whatToTrace",
		"macros":           map[string]any{"_whatToTrace": "$_user", "awsRole": "'" + role + "'"},
		"demoExportedVars": map[string]any{"mail": "mail", "uid": "uid"}, "exportedVars": map[string]any{}, "groups": map[string]any{},
		"locationRules": map[string]any{"127.0.0.1": map[string]any{"default": "accept"}}, "localSessionStorage": "",
		"globalStorage": "Apache::Session::File", "globalStorageOptions": files("sessions"),
		"persistentStorage": "Apache::Session::File", "persistentStorageOptions": files("psessions"),
		"captcha_mail_enabled": 0, "captcha_register_enabled": 0, "notification": 0,
		"ext2fActivation": `$uid eq "` + lemonWithCode + `"`, "ext2fCodeActivation": "246810", "ext2FSendCommand": "/bin/true",
		"sfExtra":                map[string]any{"fob": factor("Smart card", "1"), "app": factor("TOTP", "135790")},
		"issuerDBSAMLActivation": 1, "samlIDPSSODescriptorWantAuthnRequestsSigned": 0,
		"samlServicePrivateKeySig": string(key.private), "samlServicePublicKeySig": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key.cert.Raw})),
		"samlSPMetaDataXML": map[string]any{"aws": map[string]any{"samlSPMetaDataXML": `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="urn:amazon:webservices">` +
			`<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" WantAssertionsSigned="true"><NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:transient</NameIDFormat>` +
			`<AssertionConsumerService index="1" isDefault="true" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="` + awstest.SigninURL + `"/></SPSSODescriptor></EntityDescriptor>`}},
		"samlSPMetaDataExportedAttributes": map[string]any{"aws": map[string]any{
			"awsRole": "1;" + attributeRole + ";" + uri + ";", "mail": "1;" + attributeSessionName + ";" + uri + ";"}},
		"samlSPMetaDataOptions": map[string]any{"aws": map[string]any{"samlSPMetaDataOptionsEnableIDPInitiatedURL": 1, "samlSPMetaDataOptionsSignSSOMessage": 1,
			"samlSPMetaDataOptionsCheckSSOMessageSignature": 0, "samlSPMetaDataOptionsNameIDFormat": "transient"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"lmConf-1.json": string(config),
		"lemonldap-ng.ini": fmt.Sprintf("[all]\nlogLevel=warn\n[configuration]\ntype=File\ndirName=%s\n[portal]\nstaticPrefix=/static\ntemplateDir=%s\nlanguages=en\n",
			dir, templates),
		// Its module for captchas is loaded, needed or not, and wants a library of pictures.
		"portal.psgi": "BEGIN { $INC{'GD/SecurityImage.pm'} = 1 }\nuse Lemonldap::NG::Portal::Main;\nLemonldap::NG::Portal::Main->run({});\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, base, []string{"LLNG_DEFAULTCONFFILE=" + dir + "/lemonldap-ng.ini"}, plackup, "-s", "HTTP::Server::PSGI", "--host", "127.0.0.1", "--port", port, dir+"/portal.psgi")
	return base
}

// Its pages hold no words: scripts put them in.
func TestSlowLemonLDAP(t *testing.T) {
	l := newLab(t, awstest.Forms)
	home, key := l.aws.Default(), newSigningKey(t)
	base := startLemonLDAP(t, key, "arn:aws:iam::123456789012:role/Lemon,arn:aws:iam::123456789012:saml-provider/lemon")
	lemon := home.Role("Lemon", awstest.TrustSAML(home.SAMLProvider("lemon", base+"/saml/metadata", key.cert)))
	endpoint, err := l.aws.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.aws.Close() })
	newIDP := func(user string, passwords ...string) *IDP {
		l.person.asked, l.person.passwords = nil, passwords
		p := l.newIDP()
		p.AWS, p.Username = l.network(endpoint), user
		p.URL = base + "/saml/singleSignOn?IDPInitiated=1&spConfKey=aws"
		return p
	}
	var no *session.Refused

	t.Run("wrong passwords", func(t *testing.T) {
		_, err := newIDP(lemonUser, "wrong a FAKE", "wrong b FAKE", "wrong c FAKE").Assertion(t.Context())
		if !errors.As(err, &no) || !strings.Contains(err.Error(), "the user name or the password is wrong") || l.person.questions() != "password/password/password" {
			t.Errorf("got %v after asking for %q", err, l.person.questions())
		}
	})
	t.Run("its form, and AssumeRoleWithSAML with its signature", func(t *testing.T) {
		c, err := l.newRole(newIDP(lemonUser, "wrong FAKE", lemonUser), lemon.ARN).Credentials(t.Context())
		if err != nil {
			t.Fatal(err, session.Hint(err))
		}
		if c.ARN != "arn:aws:sts::123456789012:assumed-role/Lemon/dwho@badwolf.org" || l.person.questions() != "password/password" {
			t.Errorf("the credentials of %q after asking for %q", c.ARN, l.person.questions())
		}
	})
	t.Run("its session cookie again", func(t *testing.T) {
		p := newIDP(lemonUser, "unused FAKE")
		p.Cache.NoInput = true
		r := l.newRole(p, "")
		r.Cache = r.Cache.Renewing()
		if _, err := r.Credentials(t.Context()); err != nil || l.person.questions() != "" {
			t.Errorf("got %v after asking for %q", err, l.person.questions())
		}
	})
	t.Run("the session ended", func(t *testing.T) {
		p := newIDP(lemonUser, lemonUser)
		key, err := p.Key()
		if err != nil {
			t.Fatal(err)
		}
		l.store.records[key.String()] = bytes.ReplaceAll(l.store.records[key.String()], []byte(`"value":"`), []byte(`"value":"x`))
		if _, err := p.Assertion(t.Context()); err != nil || l.person.questions() != "password" {
			t.Errorf("got %v after asking for %q", err, l.person.questions())
		}
	})
	t.Run("a code, and a wrong one", func(t *testing.T) {
		l.person.code = func() string { return "000000" }
		if _, err := newIDP(lemonWithCode, lemonWithCode).Assertion(t.Context()); !errors.As(err, &no) || no.Code != "MFA" || session.Hint(err) != "aws-runas login dev" {
			t.Errorf("got %v (hint %q)", err, session.Hint(err))
		}
		l.person.code = func() string { return "246810" }
		if _, err := newIDP(lemonWithCode, lemonWithCode).Assertion(t.Context()); err != nil || l.person.questions() != "password/mfa" {
			t.Errorf("got %v after asking for %q", err, l.person.questions())
		}
	})
	t.Run("a choice of factors", func(t *testing.T) {
		l.person.code = func() string { return "135790" }
		if _, err := newIDP(lemonWithChoice, lemonWithChoice).Assertion(t.Context()); err != nil || l.person.questions() != "password/mfa" {
			t.Errorf("got %v after asking for %q", err, l.person.questions())
		}
	})
}

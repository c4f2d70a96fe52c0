package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"aws-runas/session/awstest"

	"github.com/rogpeppe/go-internal/testscript"
)

// providers gives a script that has a file of that name three identity
// providers, and a browser that signs in at their pages as alice. Each page it
// is shown, and each question that ask answers, is a line in $WORK/asked.
func providers(env *testscript.Env, w *awstest.World) (names []string, secrets func() []string, err error) {
	if _, err := os.Stat(filepath.Join(env.WorkDir, "providers")); err != nil {
		return nil, func() []string { return nil }, nil
	}
	const password = "planted-password"
	home := w.Default()

	center := w.IdentityCenter("https://corp.awsapps.com/start")
	center.AddUser("alice", password)
	center.Assign("alice", home, "Engineer", 0)
	center.Assign("alice", w.Account("210987654321"), "Auditor", 0)

	openid := awstest.NewOpenID(nil)
	issuer, err := openid.Start()
	if err != nil {
		return nil, nil, err
	}
	openid.AddUser("alice", password)
	openid.AddClient("aws", "http://127.0.0.1/callback")
	web := home.Role("Web", home.Trust(openid, "aws"))

	idp := w.NewIDP(awstest.Forms)
	if _, err := idp.Start(); err != nil {
		return nil, nil, err
	}
	provider := home.SAMLProvider("corp", idp.EntityID, idp.Certificate())
	saml := home.Role("Saml", awstest.TrustSAML(provider))
	idp.AddPerson(awstest.Person{Name: "alice", Password: password, Roles: []string{saml.ARN + "," + provider.ARN}})

	env.Defer(func() {
		openid.Close()
		idp.Close()
	})
	values := map[string]string{
		"ISSUER": issuer, "SAML_URL": idp.AuthURL(), "WEB_ROLE": web.ARN, "SAML_ROLE": saml.ARN,
		"TEST_ASKED": filepath.Join(env.WorkDir, "asked"), "TEST_PASSWORD": password,
		"BROWSER": "xdg-open", "SSH_CONNECTION": "",
	}
	for name, value := range values {
		env.Setenv(name, value)
		names = append(names, name)
	}
	return names, func() []string { return append(openid.Secrets(), idp.Secrets()...) }, nil
}

// xdgOpen is the browser.
func xdgOpen() {
	asked("page")
	v := awstest.Visitor{Username: "alice", Password: os.Getenv("TEST_PASSWORD")}
	if err := v.Open(context.Background(), os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// askPassword is an askpass program.
func askPassword() {
	asked("question")
	fmt.Println(os.Getenv("TEST_PASSWORD"))
}

// asked notes that a person was asked, and what a program that asks must not
// have been given.
func asked(what string) {
	for _, name := range privateVars {
		if _, there := os.LookupEnv(name); there {
			what += " " + name
		}
	}
	f, err := os.OpenFile(os.Getenv("TEST_ASKED"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, what)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

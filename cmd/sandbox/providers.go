package main

import (
	"context"
	"errors"
	"runtime"

	"aws-runas/session/awstest"
)

// Who signs in at the identity providers, and as what.
const (
	person        = "demo"
	password      = "sandbox-password"
	permissionSet = "Engineer"
	clientID      = "aws-runas"
	redirectURI   = "http://127.0.0.1/callback"
	startURL      = "https://corp.awsapps.com/start" // nothing asks for it: the endpoint variable leads to this machine
)

// providers are an identity provider of each kind, all with the same person.
type providers struct {
	saml              *awstest.IDP
	openID            *awstest.OpenID
	samlRole, webRole *awstest.Role
}

func startProviders(w *awstest.World) (*providers, error) {
	home := w.Default()
	p := &providers{saml: w.NewIDP(awstest.Forms), openID: awstest.NewOpenID(nil)}
	if _, err := p.openID.Start(); err != nil {
		return nil, err
	}
	if _, err := p.saml.Start(); err != nil {
		p.openID.Close()
		return nil, err
	}
	trusted := home.SAMLProvider("corp", p.saml.EntityID, p.saml.Certificate())
	p.samlRole = home.Role("Saml", awstest.TrustSAML(trusted))
	p.saml.AddPerson(awstest.Person{Name: person, Password: password, Roles: []string{p.samlRole.ARN + "," + trusted.ARN}})

	p.openID.AddUser(person, password)
	p.openID.AddClient(clientID, redirectURI)
	p.webRole = home.Role("Web", home.Trust(p.openID, clientID))

	center := w.IdentityCenter(startURL)
	center.AddUser(person, password)
	center.Assign(person, home, permissionSet, 0)
	center.Assign(person, w.Account("210987654321"), "Auditor", 0)
	return p, nil
}

func (p *providers) Close() error { return errors.Join(p.saml.Close(), p.openID.Close()) }

// secrets are all that was given out in here.
func (p *place) secrets() []string {
	return append(append(p.world.Secrets(), p.providers.saml.Secrets()...), p.providers.openID.Secrets()...)
}

// browserCommand is the command by which a program opens a page on this system,
// "" where that is none of PATH's. In here it signs in by itself.
func browserCommand() string {
	switch runtime.GOOS {
	case "windows":
		return ""
	case "darwin":
		return "open"
	}
	return "xdg-open"
}

// visit is the browser.
func visit(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New("this browser takes one address")}
	}
	v := awstest.Visitor{Username: person, Password: password}
	return v.Open(ctx, args[0])
}

package chain

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/oidc"
	"aws-runas/session/profile"
	"aws-runas/session/role"
	"aws-runas/session/saml"
	"aws-runas/session/signin"
	"aws-runas/session/sso"
)

// A SignIn is somebody's session at an identity provider. Profiles may share
// it.
type SignIn interface {
	// Login makes sure that there is one, with force by signing in anew, and
	// returns when it ends; zero where nobody can tell.
	Login(ctx context.Context, force bool) (until time.Time, err error)
	// Logout forgets it, then ends it at the provider, where that can be done.
	Logout(ctx context.Context) error
}

// SignInOf returns the one that p's credentials rest on, or nil. It asks nobody
// and reads nothing yet.
func SignInOf(p *profile.Profile, d Deps) (SignIn, error) {
	b := newBuilder(p, d)
	for q := b.top; q != nil; q = q.Source {
		switch {
		case q.WebIdentityTokenFile != "" && q.RoleARN != "":
			return nil, nil
		case q.SAMLAuthURL != "":
			return b.saml(q), nil
		case q.WebIdentityAuthURL != "":
			c := b.oidc(q)
			if pages, ok := c.Form.(saml.Pages); ok {
				return tokens{c, pages}, nil
			}
			return c, nil
		case q.Keys == nil && (q.SSOSession != "" || q.SSOStartURL != ""):
			return b.sso(q), nil
		}
	}
	return nil, nil
}

// person is who signs in for the profile asked for.
func (b *builder) person(username string) *signin.Person {
	return &signin.Person{Open: b.Browse, Tell: b.Notice, Lookup: b.Lookup, Profile: b.profile.Name, Username: username}
}

func (b *builder) oidc(p *profile.Profile) *oidc.Client {
	c := &oidc.Client{
		Cache: b.Cache, AWS: b.api,
		URL: p.WebIdentityAuthURL, ID: p.WebIdentityClientID, RedirectURI: p.WebIdentityRedirectURI, Username: p.WebIdentityUsername,
		Person: b.person(p.WebIdentityUsername),
	}
	// The browser of this machine signs in where it can come back from, unless
	// the profile names a provider whose pages are to be filled in.
	provider := strings.ToLower(p.WebIdentityProvider)
	if !signin.Loopback(c.RedirectURI) || provider != "" && provider != saml.Browser && provider != saml.BrowserNE {
		c.Form = saml.Pages{IDP: b.pages(p.WebIdentityAuthURL, p.WebIdentityUsername, p.WebIdentityProvider, p)}
	}
	return c
}

// tokens is an OpenID provider whose pages are filled in here: their cookies
// are part of the sign-in.
type tokens struct {
	*oidc.Client
	pages saml.Pages
}

// Login does not return the id_token's end: the cookies bring the next one.
func (t tokens) Login(ctx context.Context, force bool) (until time.Time, err error) {
	_, err = t.Client.Login(ctx, force)
	return time.Time{}, err
}

// Logout ends both, whatever becomes of the first.
func (t tokens) Logout(ctx context.Context) error {
	return errors.Join(t.Client.Logout(ctx), t.pages.IDP.Logout(ctx))
}

func (b *builder) sso(p *profile.Profile) *sso.Session {
	s := &sso.Session{
		Cache: b.Cache, AWS: b.api,
		Name: p.SSOSession, StartURL: p.SSOStartURL, Region: p.SSORegion, Scopes: p.SSORegistrationScopes,
		Person: b.person(""),
	}
	if b.Home != "" {
		s.CLICache = filepath.Join(b.Home, ".aws", "sso", "cache")
	}
	return s
}

func (b *builder) saml(p *profile.Profile) *saml.IDP {
	idp := b.pages(p.SAMLAuthURL, p.SAMLUsername, p.SAMLProvider, p)
	idp.EntityID = p.SAMLEntityID
	return idp
}

// pages is an identity provider that is signed in at by its pages.
func (b *builder) pages(url, username, provider string, p *profile.Profile) *saml.IDP {
	given := b.OTP
	return &saml.IDP{
		Cache: b.Cache, AWS: b.api, Ask: b.Ask, Person: b.person(username), Lookup: b.Lookup, Environ: b.Environ, Notice: b.Notice, Version: b.Version,
		OTP: func() string {
			code := given
			given = ""
			return code
		},
		Profile: b.profile.Name, URL: url, Username: username, FederatedUsername: p.FederatedUsername,
		Provider: provider, MFAType: p.MFAType, Program: p.AuthBrowser,
	}
}

// federated is the way to p's role by a sign-in which itself gives roles, as
// first does. A jump role comes first, and p's is assumed with it.
func (b *builder) federated(p *profile.Profile, first func(role.Request, *session.Cache) session.Provider) session.Provider {
	r := request(p)
	if p.JumpRoleARN == "" {
		return first(r, b.cache(p))
	}
	jump := role.Request{RoleARN: p.JumpRoleARN, SessionName: r.SessionName, Duration: profile.DefaultRoleDuration}
	if b.SessionOnly && p == b.top {
		return first(jump, b.leaf)
	}
	return &role.AssumeRole{
		Cache: b.cache(p), AWS: b.api, Name: p.Name, Source: p.Name, Parent: first(jump, b.Cache), Request: r, OSUser: b.OSUser, Notice: b.Notice,
	}
}

package cmd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"aws-runas/session/chain"
	"aws-runas/session/profile"
	"aws-runas/session/saml"
	"aws-runas/shell"
)

type loginCmd struct {
	Profile    string `arg:"" optional:"" complete:"profile" help:"Profile or role ARN."`
	SSOSession string `name:"sso-session" placeholder:"NAME" complete:"sso" help:"Sign in for an sso-session section, without a profile."`
	Force      bool   `help:"Sign in anew, though the last sign-in is still good."`
	overrides
}

// Help is shown below the usage.
func (*loginCmd) Help() string {
	return `Signs in at the identity provider behind the profile, or gets the session of an IAM user, so that later runs need nobody. Without --force it does nothing while the last sign-in is good.`
}

func (c *loginCmd) Run(a *app) error {
	p, err := a.signInProfile(c.Profile, c.SSOSession, &c.overrides)
	if err != nil {
		return err
	}
	d := a.deps(c.otp(a), c.SSOSession == "", c.Force)
	in, err := chain.SignInOf(p, d)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	if in == nil {
		// An IAM user signs in by the session that roles ride on.
		if p.RoleARN != "" && p.MFASerial == "" {
			d.SessionOnly = false
		}
		provider, err := chain.For(p, d)
		if err != nil {
			return err
		}
		creds, err := provider.Credentials(ctx)
		if err != nil {
			return err
		}
		a.sayUntil(p.Name, creds.Expires)
		return nil
	}
	until, err := in.Login(ctx, c.Force)
	if err != nil {
		return err
	}
	a.sayUntil(p.Name, until)
	return nil
}

func (a *app) sayUntil(name string, until time.Time) {
	if until.IsZero() {
		a.say("%s is signed in", name)
		return
	}
	a.say("%s is signed in for %s", name, shell.TimeLeft(until.Sub(a.now())))
}

// signInProfile is the profile to sign in for, or one made up for an
// sso-session.
func (a *app) signInProfile(name, ssoSession string, o *overrides) (*profile.Profile, error) {
	if err := a.takePassword(o); err != nil {
		return nil, err
	}
	if ssoSession == "" {
		name, err := a.profileName(name)
		if err != nil {
			return nil, err
		}
		return a.resolve(name, o.flags())
	}
	if name != "" {
		return nil, usage("a profile and --sso-session exclude each other").hint("aws-runas login --sso-session %s", word(ssoSession))
	}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	if sessions := config.SSOSessions(); !slices.Contains(sessions, ssoSession) {
		return nil, fail(exitConfig, "sso-session %q is not configured in %s", ssoSession, config.ConfigFile()).
			hint("%s", a.retyped("sso-session", profile.Nearest(ssoSession, sessions)))
	}
	made := "sso-session " + ssoSession
	if config, err = config.With(made, []profile.KV{{Key: "sso_session", Value: ssoSession}}, "--sso-session"); err != nil {
		return nil, err
	}
	return config.Resolve(made, profile.Options{Lookup: a.env.Lookup, Flags: o.flags()})
}

type passwordCmd struct {
	Profile string `arg:"" optional:"" complete:"profile" help:"Profile with an identity provider."`
	Remove  bool   `help:"Forget the password."`
	overrides
}

// Help is shown below the usage.
func (*passwordCmd) Help() string {
	return `Keeps the password for the profile's identity provider in the keyring. It is asked for, or read from stdin where that is not a terminal. Every profile with the same sign-in address and user has it then.`
}

func (c *passwordCmd) Run(a *app) error {
	name, err := a.profileName(c.Profile)
	if err != nil {
		return err
	}
	p, err := a.resolve(name, c.overrides.flags())
	if err != nil {
		return err
	}
	url, username := p.SAMLAuthURL, p.SAMLUsername
	if url == "" {
		url, username = p.WebIdentityAuthURL, p.WebIdentityUsername
	}
	if url == "" {
		return fail(exitConfig, "profile %q has no identity provider: neither saml_auth_url nor web_identity_auth_url", name).
			hint("aws-runas env --explain %s", word(name))
	}
	ctx, stop := interruptible()
	defer stop()
	if c.Remove {
		if err := saml.RemovePassword(ctx, a.keychain(), url, username); err != nil {
			return err
		}
		a.say("the password for %s is removed from the keyring", profile.Shown(url))
		return nil
	}
	known := username
	if known == "" && a.terminal().Interactive() {
		if known, err = a.terminal().Line(ctx, "Username at "+profile.Shown(url)); err != nil {
			return err
		}
	}
	password, err := a.readPassword(ctx, "Password of "+known+" at "+profile.Shown(url))
	if err != nil {
		return err
	}
	if err := saml.SavePassword(ctx, a.keychain(), url, username, known, password); err != nil {
		return err
	}
	a.say("the password for %s is in the keyring", profile.Shown(url))
	return nil
}

// readPassword asks a person, or takes the first line of stdin.
func (a *app) readPassword(ctx context.Context, prompt string) (string, error) {
	if !isTerminal(a.In) {
		return a.stdinPassword()
	}
	password, err := a.terminal().Secret(ctx, prompt)
	if err == nil && password == "" {
		err = noPassword
	}
	return password, err
}

var noPassword = usage("no password was given").hint("aws-runas password PROFILE")

// stdinPassword takes the first line of stdin, a byte at a time: a wrapped
// command reads the rest.
func (a *app) stdinPassword() (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 4096; {
		n, err := a.In.Read(b)
		if n > 0 && b[0] == '\n' || errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		line = append(line, b[:n]...)
	}
	// Blanks at the ends may be part of it.
	password := strings.TrimRight(string(line), "\r")
	if password == "" {
		return "", noPassword
	}
	return password, nil
}

type listRolesCmd struct {
	Profile    string `arg:"" optional:"" complete:"profile" help:"Profile behind an identity provider."`
	SSOSession string `name:"sso-session" placeholder:"NAME" complete:"sso" help:"The roles of an sso-session section, without a profile."`
	Write      bool   `help:"Write a profile for each role of IAM Identity Center into the config file, and remove those that are gone."`
	JSON       bool   `name:"json" help:"Print JSON."`
	overrides
}

func (c *listRolesCmd) Run(a *app) error {
	p, err := a.signInProfile(c.Profile, c.SSOSession, &c.overrides)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	roles, err := chain.Roles(ctx, p, a.deps(c.otp(a), false, false))
	if err != nil {
		return err
	}
	if c.Write {
		return a.writeRoles(p, roles)
	}
	if c.JSON {
		return a.printJSON(append([]chain.Role{}, roles...))
	}
	rows := [][]string{{"ACCOUNT", "NAME", "ROLE"}}
	for _, r := range roles {
		rows = append(rows, []string{r.AccountID, dash(r.AccountName), r.Name})
	}
	return a.table(rows...)
}

// writeRoles makes the profiles of an Identity Center what its list says.
func (a *app) writeRoles(p *profile.Profile, roles []chain.Role) error {
	if p.SSOSession == "" {
		return fail(exitConfig, "profile %q names no sso_session, which the new profiles would share", p.Name).hint("aws-runas list roles %s", word(p.Name))
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	block := "sso-session " + p.SSOSession
	old := config.InBlock(block)
	taken := func(name string) bool { return config.Has(name) && !slices.Contains(old, name) }
	var sections []profile.Section
	var names []string
	for _, r := range roles {
		name := profileNameOf(r)
		for taken(name) || slices.Contains(names, name) {
			name += "-" + r.AccountID
		}
		names = append(names, name)
		kv := []profile.KV{
			{Key: "sso_session", Value: p.SSOSession},
			{Key: "sso_account_id", Value: r.AccountID},
			{Key: "sso_role_name", Value: r.Name},
		}
		if p.Region != "" {
			kv = append(kv, profile.KV{Key: "region", Value: p.Region})
		}
		sections = append(sections, profile.Section{Header: "profile " + name, Settings: kv})
	}
	if err := profile.SetBlock(config.ConfigFile(), block, sections); err != nil {
		return err
	}
	added := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(old, n) })
	gone := slices.DeleteFunc(old, func(n string) bool { return slices.Contains(names, n) })
	a.say("%s in %s: %d new, %d gone", plural(len(names), "profile"), config.ConfigFile(), len(added), len(gone))
	return nil
}

// profileNameOf is ACCOUNT/ROLE, of letters that need no quotes in any shell.
func profileNameOf(r chain.Role) string {
	account := r.AccountName
	if account == "" {
		account = r.AccountID
	}
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("/_.@-", c):
			return c
		}
		return '-'
	}, account+"/"+r.Name)
}

package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

type logoutCmd struct {
	Profile string `arg:"" optional:"" complete:"profile" help:"Profile or role ARN."`
	All     bool   `help:"Every profile's sessions."`
	overrides
}

func (c *logoutCmd) Run(a *app) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	keys, err := a.keychain().Keys(ctx)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	if !c.All {
		name, err := a.profileName(c.Profile)
		if err != nil {
			return err
		}
		p, err := a.resolve(name, c.overrides.flags())
		if err != nil {
			return err
		}
		a.signOut(ctx, p)
		// The session that a role rides on is its source's.
		for ; p != nil; p = p.Source {
			names[p.Name] = true
		}
	} else if c.Profile != "" {
		return usage("--all and a profile exclude each other").hint("aws-runas logout --all")
	} else {
		a.signOutEverywhere(ctx, config, keys)
	}
	for _, key := range keys {
		kind, name := kindAndName(key)
		switch kind {
		case session.KindKey, session.KindPassword:
			continue
		}
		if c.All || names[name] {
			if err := a.keychain().Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	left, err := a.keychain().Keys(ctx)
	if err != nil {
		return err
	}
	n := max(0, len(keys)-len(left)) // the sign-in's among them
	for _, owner := range config.Written() {
		if c.All || names[owner] {
			if err := profile.RemoveSection(config.CredentialsFile(), profile.WrittenSection(owner)); err != nil {
				return err
			}
			n++
		}
	}
	if c.All {
		// What opens the encrypted file outlives the login session.
		if err := a.keychain().Lock(ctx); err != nil {
			return err
		}
	}
	if n == 0 {
		a.say("nothing to forget")
		return nil
	}
	a.say("forgot %s", count(n, "item"))
	return nil
}

// signOut ends a profile's sign-in at its identity provider. That fails where
// the provider is out of reach, which is no reason to keep what is here.
func (a *app) signOut(ctx context.Context, p *profile.Profile) {
	in, err := chain.SignInOf(p, a.deps("", false, false))
	if err == nil && in != nil {
		err = in.Logout(ctx)
	}
	if err != nil {
		a.say("warning: the sign-in of %q was not ended at the provider: %s", p.Name, err)
	}
}

// signOutEverywhere does so for one profile of each provider, if the keyring
// has a sign-in at all.
func (a *app) signOutEverywhere(ctx context.Context, config *profile.Config, keys []string) {
	if !slices.ContainsFunc(keys, func(key string) bool {
		kind, _ := kindAndName(key)
		return kind == session.KindIDP || kind == session.KindSSO
	}) {
		return
	}
	done := map[[6]string]bool{}
	for _, name := range config.Names() {
		p, err := config.Resolve(name, profile.Options{Lookup: a.env.Lookup})
		if err != nil {
			continue // it could not have signed in
		}
		where := [6]string{p.SSOSession, p.SSOStartURL, p.SAMLAuthURL, p.SAMLUsername, p.WebIdentityAuthURL, p.WebIdentityUsername}
		if where != ([6]string{}) && !done[where] {
			done[where] = true
			a.signOut(ctx, p)
		}
	}
}

// kindAndName takes a key of the store apart; see [session.Key].
func kindAndName(key string) (kind, name string) {
	kind, rest, _ := strings.Cut(key, "/")
	if i := strings.LastIndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	return kind, rest
}

// forget removes the records of one kind that belong to a profile.
func (a *app) forget(ctx context.Context, kind, name string) error {
	keys, err := a.keychain().Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if k, n := kindAndName(key); k == kind && n == name {
			if err := a.keychain().Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package cmd

import (
	"context"
	"fmt"
	"strings"

	"aws-runas/session"
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
		// The session that a role rides on is its source's.
		for ; p != nil; p = p.Source {
			names[p.Name] = true
		}
	} else if c.Profile != "" {
		return usage("--all and a profile exclude each other").hint("aws-runas logout --all")
	}
	n := 0
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
			n++
		}
	}
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

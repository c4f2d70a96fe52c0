package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/shell"
)

type whoamiCmd struct {
	Profile string `arg:"" optional:"" complete:"profile" help:"Profile or role ARN."`
	Check   bool   `help:"Ask AWS, and sign in if need be."`
	overrides
}

func (c *whoamiCmd) Run(a *app) error {
	name, err := a.profileName(c.Profile)
	if err != nil {
		return err
	}
	acc, err := a.open(name, &c.overrides, &request{})
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	var creds session.Credentials
	if c.Check {
		if creds, err = acc.provider.Credentials(ctx); err != nil {
			return err
		}
		creds.ARN = "" // what is remembered is not an answer
		creds, err = a.identify(ctx, acc, creds)
	} else {
		creds, err = a.kept(ctx, acc)
	}
	if err != nil {
		return err
	}
	var rows [][]string
	for _, row := range [][]string{
		{"profile", name},
		{"account", creds.Account()},
		{"identity", identity(creds.ARN)},
		{"arn", creds.ARN},
		{"region", acc.profile.Region},
		{"expires", expiry(creds, a.now())},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return a.table(rows...)
}

// kept is what is known of the profile's credentials without a request: those in
// the keyring, or temporary ones in a file.
func (a *app) kept(ctx context.Context, acc *access) (session.Credentials, error) {
	key, err := acc.provider.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	c, err := session.Get[session.Credentials](ctx, a.keychain(), key)
	if keys := acc.profile.Keys; missing(err) && keys != nil && keys.SessionToken != "" && acc.profile.RoleARN == "" {
		c, expired := chain.FileKeys(acc.profile)
		if !c.Expires.IsZero() && !a.now().Before(c.Expires) {
			return c, expired
		}
		return c, nil
	}
	if missing(err) || err == nil && !c.Expires.IsZero() && !a.now().Before(c.Expires) {
		return c, fail(exitNeeds, "profile %q is signed out", acc.profile.Name).
			hint("aws-runas whoami --check %s", word(acc.profile.Name))
	}
	return c, err
}

// identity is the part of an ARN that people know: Admin for an assumed role,
// demo for a user.
func identity(arn string) string {
	if _, assumed, ok := strings.Cut(arn, ":assumed-role/"); ok {
		role, _, _ := strings.Cut(assumed, "/")
		return role
	}
	return arn[max(strings.LastIndexByte(arn, '/'), strings.LastIndexByte(arn, ':'))+1:]
}

func expiry(c session.Credentials, now time.Time) string {
	if c.Expires.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s left)", c.Expires.UTC().Format(time.RFC3339), shell.TimeLeft(c.Expires.Sub(now)))
}

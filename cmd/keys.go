package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"aws-runas/session"
	"aws-runas/session/role"
)

type keysCmd struct {
	Add    keysAddCmd    `cmd:"" help:"Put access keys into the keyring."`
	Remove keysRemoveCmd `cmd:"" help:"Remove access keys from the keyring."`
}

type keysAddCmd struct {
	Name string `arg:"" complete:"key" help:"The profile they are for."`
}

// Help is shown below the usage.
func (*keysAddCmd) Help() string {
	return `Asks for the access key ID and the secret access key, or reads them from stdin as two lines where that is not a terminal.`
}

func (c *keysAddCmd) Run(a *app) error {
	if c.Name == "" || strings.ContainsFunc(c.Name, unicode.IsControl) {
		return usage("%q cannot be the name of a profile", c.Name).hint("aws-runas list profiles")
	}
	ctx, stop := interruptible()
	defer stop()
	old, err := session.Get[session.Credentials](ctx, a.keychain(), session.UserKey(c.Name))
	there := err == nil
	if err != nil && !missing(err) {
		return err
	}
	replace := false
	if there && isTerminal(a.In) {
		// Before anything is typed that would then be thrown away.
		if replace, err = a.terminal().Confirm(ctx, fmt.Sprintf("The keyring has keys of %q (%s). Replace them?", c.Name, old.AccessKeyID)); err != nil {
			return err
		}
		if !replace {
			a.say("the keys of %q are kept", c.Name)
			return nil
		}
	}
	keys, err := a.readKeys(ctx, c.Name)
	if err != nil {
		return err
	}
	switch {
	case there && old.AccessKeyID == keys.AccessKeyID && old.SecretAccessKey == keys.SecretAccessKey:
		a.say("the keyring has these keys of %q already", c.Name)
		return nil
	case there && !replace:
		return fail(exitFailure, "the keyring has other keys of %q (%s), which are kept", c.Name, old.AccessKeyID).
			hint("%s", commandLine(append([]string{"aws-runas", "keys", "remove"}, profileWords(c.Name)...)))
	}
	if err := role.SaveKeys(ctx, a.cache(), c.Name, keys); err != nil {
		return err
	}
	where, err := a.keychain().Backend(ctx)
	if err != nil {
		return err
	}
	a.say("the keys of %q are in the keyring (%s)", c.Name, where)
	if config, err := a.config(); err == nil && !config.Has(c.Name) {
		a.say("no profile is named %q yet: add [%s] to %s", c.Name, config.Header(c.Name), config.ConfigFile())
	}
	return nil
}

// readKeys takes the two values from a person, or from stdin as two lines.
func (a *app) readKeys(ctx context.Context, name string) (session.Credentials, error) {
	var keys session.Credentials
	var err error
	if isTerminal(a.In) {
		if keys.AccessKeyID, err = a.terminal().Line(ctx, "Access key ID"); err != nil {
			return keys, err
		}
		if keys.SecretAccessKey, err = a.terminal().Secret(ctx, "Secret access key"); err != nil {
			return keys, err
		}
	} else {
		in := bufio.NewReader(io.LimitReader(a.In, 4096))
		if keys.AccessKeyID, err = readLineOf(in); err == nil {
			keys.SecretAccessKey, err = readLineOf(in)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return keys, err
		}
	}
	if keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		console := "/dev/tty"
		if runtime.GOOS == "windows" {
			console = "CON"
		}
		return keys, usage("two lines are expected: the access key ID and the secret access key").
			hint("%s < %s", commandLine(append([]string{"aws-runas", "keys", "add"}, profileWords(name)...)), console)
	}
	return keys, validKeys(keys)
}

func readLineOf(in *bufio.Reader) (string, error) {
	s, err := in.ReadString('\n')
	return strings.TrimSpace(s), err
}

// validKeys refuses what cannot be an IAM user's key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
func validKeys(k session.Credentials) error {
	id := k.AccessKeyID
	plain := strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
	switch {
	case strings.HasPrefix(id, "ASIA"):
		return usage("%q is a temporary key, which would expire in the keyring", id).
			hint("create an access key for the IAM user, which starts with AKIA")
	case !plain || len(id) < 16 || len(id) > 128:
		// The lines may be the wrong way round, so what was read is not shown.
		return usage("the first line is no access key ID: 16 to 128 capital letters and digits").
			hint("give the access key ID first, the secret access key second")
	case strings.ContainsAny(k.SecretAccessKey, " \t\r\n") || len(k.SecretAccessKey) < 16:
		return usage("the second line is no secret access key").
			hint("give the access key ID first, the secret access key second")
	}
	return nil
}

type keysRemoveCmd struct {
	Name string `arg:"" complete:"key" help:"The profile they are for."`
}

func (c *keysRemoveCmd) Run(a *app) error {
	ctx, stop := interruptible()
	defer stop()
	key := session.UserKey(c.Name)
	there, err := a.keychain().Keys(ctx) // a damaged record is among them, and is to go
	if err != nil {
		return err
	}
	if !slices.Contains(there, key.String()) {
		return fail(exitFailure, "the keyring has no keys of %q", c.Name).hint("aws-runas list keys")
	}
	if err := role.RemoveKeys(ctx, a.cache(), c.Name); err != nil {
		return err
	}
	// A session made with keys that are gone is of no use to anybody else.
	if err := a.forget(ctx, session.KindSession, c.Name); err != nil {
		return err
	}
	a.say("the keys of %q are removed from the keyring", c.Name)
	return nil
}

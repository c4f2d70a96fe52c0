package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aws-runas/session"
	"aws-runas/session/profile"
	"aws-runas/shell"
)

// switchCmd is what the shell function of the hook calls; [shell.Hook] has the
// protocol.
type switchCmd struct {
	Words []string `arg:"" optional:""` // the shell, the function's name, what was typed behind it
}

func (c *switchCmd) Run(a *app) error {
	if len(c.Words) < 2 {
		return usage("a shell and a function are expected, not %q", c.Words)
	}
	function, args := c.Words[1], c.Words[2:]
	dialect, err := a.dialect(c.Words[0])
	if err != nil {
		return err
	}
	// Hints show the line that was typed.
	a.args = args
	env, ok := a.readSwitch(args)
	if !ok {
		return exitCode(shell.NoSwitch)
	}
	var change shell.Change
	switch env.Profile {
	case "off":
		change = a.removal()
		a.say("this shell has no credentials of aws-runas any more")
	case "-":
		again, ok := a.repeats(a.env.marker("AWSRUNAS_PREVIOUS"))
		if !ok {
			return fail(exitNeeds, "there is no profile to go back to").hint("%s PROFILE", function)
		}
		env.Profile, env.Session = again.Profile, again.Session
		env.overrides.set(again.Flags)
		fallthrough
	default:
		if change, err = a.switchTo(env); err != nil {
			return err
		}
	}
	if now := a.env.marker("AWSRUNAS_RENEW"); now != "" && now != change.Set["AWSRUNAS_RENEW"] {
		set(&change, "AWSRUNAS_PREVIOUS", now)
	}
	change.Unset = append(change.Unset, "AWSRUNAS_BEFORE")
	return a.print(dialect, change)
}

// readSwitch reads what was typed after the function's name: flags of env and
// at most a profile. Any other line is not one that switches.
func (a *app) readSwitch(args []string) (*envCmd, bool) {
	if len(args) == 1 && args[0] == "-" {
		return &envCmd{Profile: "-"}, true
	}
	line := readLine(args)
	if len(args) > 0 && (line.command != "exec" || line.wraps) {
		return nil, false
	}
	i := firstWord(args)
	if i < len(args) && args[i] != "off" && !profile.IsRoleARN(args[i]) {
		config, err := a.config()
		if err != nil || !config.Has(args[i]) {
			return nil, false // the program says what is wrong
		}
	}
	env := &envCmd{}
	var root struct{ globals }
	parser, err := a.parserOf(&root, command{name: "env", target: env})
	if err != nil {
		return nil, false
	}
	ctx, err := parser.Parse(append([]string{"env"}, args...))
	if err != nil || ctx == nil || env.Output != "" || env.Explain || env.Unset || env.Renew {
		return nil, false
	}
	root.NoInput = root.NoInput || a.NoInput // which may be the environment's
	a.globals = root.globals
	return env, true
}

// switchTo gets the credentials of another profile for this shell.
func (a *app) switchTo(c *envCmd) (shell.Change, error) {
	name, err := c.Profile, error(nil)
	if name == "" {
		if name, err = a.pickProfile(); err != nil {
			return shell.Change{}, err
		}
	}
	acc, err := a.open(name, &c.overrides, &c.request)
	if err != nil {
		return shell.Change{}, err
	}
	ctx, stop := interruptible()
	defer stop()
	creds, err := a.credentials(ctx, acc, &c.request)
	if err != nil {
		return shell.Change{}, err
	}
	a.tell("%s", a.summary(acc.profile, creds))
	return a.exports(acc.profile, creds, acc.renewal), nil
}

// summary is one line about what a shell has.
func (a *app) summary(p *profile.Profile, c session.Credentials) string {
	parts := []string{p.Name}
	for _, part := range []string{c.Account(), identity(c.ARN), p.Region} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if !c.Expires.IsZero() {
		parts = append(parts, shell.TimeLeft(c.Expires.Sub(a.now())))
	}
	return strings.Join(parts, "  ")
}

// before is what a folder's profile has pushed aside.
type before struct {
	Renew string            `json:"renew,omitempty"` // AWSRUNAS_RENEW
	Vars  map[string][]byte `json:"vars,omitempty"`  // the user's own, without secrets; a string of JSON's is UTF-8
}

// enter prints the change to a folder's profile. The name comes from a file
// that somebody else may have written.
func (a *app) enter(dialect shell.Dialect, name string) error {
	name = strings.TrimPrefix(name, "\ufeff") // of an editor on Windows
	config, err := a.config()
	if err != nil {
		return err
	}
	if !config.Has(name) {
		return fail(exitConfig, ".awsprofile names %q, which is no configured profile", name).hint("aws-runas list profiles")
	}
	acc, creds, err := a.quietly(renewal{Profile: name})
	if err != nil {
		return err
	}
	a.tell("%s", a.summary(acc.profile, creds))
	change := a.exports(acc.profile, creds, acc.renewal)
	if a.env.marker("AWSRUNAS_BEFORE") == "" {
		b := before{Renew: a.env.marker("AWSRUNAS_RENEW"), Vars: map[string][]byte{}}
		for _, name := range append(change.Unset, "AWS_REGION", "AWS_DEFAULT_REGION") {
			if v, ok := a.env.Lookup(name); ok && !slices.Contains(markerVars, name) && !slices.Contains(secretNames, name) {
				b.Vars[name] = []byte(v)
			}
		}
		data, _ := json.Marshal(b)
		set(&change, "AWSRUNAS_BEFORE", string(data))
	}
	return a.print(dialect, change)
}

// secretNames are kept nowhere: what they held is gone when a folder's profile
// has pushed it aside.
var secretNames = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_CREDENTIAL_EXPIRATION", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
}

// leave prints the change back to what there was before a folder's profile.
func (a *app) leave(dialect shell.Dialect) error {
	var b before
	// A variable of our own that cannot be read is one without content.
	_ = json.Unmarshal([]byte(a.env.marker("AWSRUNAS_BEFORE")), &b)
	change := a.removal()
	if again, ok := a.repeats(b.Renew); ok {
		acc, creds, err := a.quietly(again)
		if err == nil {
			a.tell("%s", a.summary(acc.profile, creds))
			change = a.exports(acc.profile, creds, acc.renewal)
		} else {
			a.report(err)
		}
	}
	for name, value := range b.Vars {
		if !strings.HasPrefix(name, "AWS") {
			continue
		}
		if _, ours := change.Set[name]; !ours {
			set(&change, name, string(value))
		}
	}
	change.Unset = append(change.Unset, "AWSRUNAS_BEFORE")
	return a.print(dialect, change)
}

// quietly gets credentials for a prompt: without a question, within the limit.
func (a *app) quietly(r renewal) (*access, session.Credentials, error) {
	a.NoInput = true
	a.env.vars["AWS_MAX_ATTEMPTS"] = "1" // a later prompt tries again
	delete(a.env.vars, "MFA_CODE")       // which is of an earlier sign-in
	var o overrides
	o.set(r.Flags)
	acc, err := a.open(r.Profile, &o, &request{Session: r.Session})
	if err != nil {
		return nil, session.Credentials{}, err
	}
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	c, err := acc.provider.Credentials(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &session.Unreachable{What: fmt.Sprintf("credentials of %q", r.Profile), Err: fmt.Errorf("no answer within %s", renewLimit)}
	}
	return acc, c, err
}

// set adds a variable to a change that may have been about to remove it.
func set(c *shell.Change, name, value string) {
	if c.Set == nil {
		c.Set = map[string]string{}
	}
	c.Set[name] = value
	c.Unset = slices.DeleteFunc(c.Unset, func(n string) bool { return n == name })
}

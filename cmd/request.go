package cmd

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
	"aws-runas/shell"
)

// flags are the overrides that were given, for package profile.
func (o *overrides) flags() []profile.Flag {
	var list []profile.Flag
	v := reflect.ValueOf(*o)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		attrs, overrides := field.Tag.Lookup("attr")
		if !overrides || v.Field(i).String() == "" {
			continue
		}
		for _, attr := range strings.Fields(attrs) {
			list = append(list, profile.Flag{Attr: attr, Value: v.Field(i).String(), Name: "--" + flagName(field)})
		}
	}
	return list
}

// flagName is the name that kong derives or is told.
func flagName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range f.Name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// profileName is the profile that is meant where none is named.
func (a *app) profileName(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if v := a.env.Get("AWS_PROFILE"); v != "" {
		return v, nil
	}
	if v := a.env.marker("AWSRUNAS_PROFILE"); v != "" {
		return v, nil
	}
	if v := a.env.Get("AWS_DEFAULT_PROFILE"); v != "" {
		return v, nil
	}
	return a.pickProfile()
}

// resolve lays the environment and the flags over a profile, or over nothing for
// a role's ARN.
func (a *app) resolve(name string, flags []profile.Flag) (*profile.Profile, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	if isARN(name) && !profile.IsRoleARN(name) && !config.Has(name) {
		return nil, a.noRole(name)
	}
	return config.Resolve(name, profile.Options{Lookup: a.env.Lookup, Flags: flags})
}

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }

// noRole is the error about an ARN that is not a role's. The one that
// GetCallerIdentity shows for a role has the role's name in it.
func (a *app) noRole(arn string) error {
	err := usage("%q is not a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)", arn).hint("aws-runas list profiles")
	part := strings.SplitN(arn, ":", 6)
	if len(part) < 6 || part[2] != "sts" {
		return err
	}
	words := strings.Split(part[5], "/")
	role := "arn:" + part[1] + ":iam::" + part[4] + ":role/" + words[min(1, len(words)-1)]
	if i := slices.Index(a.args, arn); i >= 0 && words[0] == "assumed-role" && profile.IsRoleARN(role) {
		return err.hint("%s", commandLine(slices.Concat([]string{"aws-runas"}, a.args[:i], []string{role}, a.args[i+1:])))
	}
	return err
}

// otp is the code that was given for this run.
func (o *overrides) otp(a *app) string {
	if o.OTP != "" {
		return o.OTP
	}
	return a.env.Get("MFA_CODE")
}

// takePassword puts the password on stdin where one in the environment would
// be, for this run alone.
func (a *app) takePassword(o *overrides) error {
	if !o.PasswordStdin {
		return nil
	}
	o.PasswordStdin = false // the rest of stdin is somebody else's
	password, err := a.stdinPassword()
	a.env.vars["RUNAS_PASSWORD"] = password
	return err
}

// access is a resolved profile and the way to its credentials.
type access struct {
	profile  *profile.Profile
	provider session.Provider
	renewal  renewal
}

// open resolves a profile and finds the way in. It asks nobody yet.
func (a *app) open(name string, o *overrides, r *request) (*access, error) {
	if err := a.takePassword(o); err != nil {
		return nil, err
	}
	flags := o.flags()
	p, err := a.resolve(name, flags)
	if err != nil {
		return nil, err
	}
	sessionOnly, err := a.boolVar(r.Session, "RUNAS_SESSION_CREDENTIALS")
	if err != nil {
		return nil, err
	}
	provider, err := chain.For(p, a.deps(o.otp(a), sessionOnly, r.Refresh))
	if err != nil {
		return nil, err
	}
	again := renewal{Profile: name, Session: sessionOnly, Keyring: a.Keyring}
	for _, f := range flags {
		if again.Flags == nil {
			again.Flags = map[string]string{}
		}
		again.Flags[strings.TrimPrefix(f.Name, "--")] = f.Value
	}
	return &access{p, provider, again}, nil
}

// credentials gets them, and does what the request wants said about them.
func (a *app) credentials(ctx context.Context, acc *access, r *request) (session.Credentials, error) {
	c, err := acc.provider.Credentials(ctx)
	if err != nil {
		return c, err
	}
	a.used(acc.profile.Name)
	if r.Expiration {
		switch {
		case c.Expires.IsZero() && c.SessionToken != "":
			a.say("nothing says when these credentials expire")
		case c.Expires.IsZero():
			a.say("these credentials do not expire")
		default:
			a.say("these credentials expire at %s, in %s", c.Expires.Local().Format("2006-01-02 15:04:05 MST"), shell.TimeLeft(c.Expires.Sub(a.now())))
		}
	}
	if r.Whoami {
		if c, err = a.identify(ctx, acc, c); err != nil {
			return c, err
		}
		a.say("these credentials are for %s", c.ARN)
	}
	write, err := a.boolVar(r.Write, "RUNAS_WRITE_CREDENTIALS")
	if err != nil {
		return c, err
	}
	if write {
		if err := a.writeCredentials(acc.profile.Name, c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// identify makes sure that c has the ARN of its identity.
func (a *app) identify(ctx context.Context, acc *access, c session.Credentials) (session.Credentials, error) {
	if c.ARN != "" {
		return c, nil
	}
	arn, err := chain.Identity(ctx, acc.profile, c, a.deps("", false, false))
	c.ARN = arn
	return c, err
}

func (a *app) writeCredentials(name string, c session.Credentials) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	kv := []profile.KV{
		{Key: "aws_access_key_id", Value: c.AccessKeyID},
		{Key: "aws_secret_access_key", Value: c.SecretAccessKey},
		{Key: "aws_session_token", Value: c.SessionToken},
	}
	if !c.Expires.IsZero() {
		kv = append(kv, profile.KV{Key: "x_security_token_expires", Value: c.Expires.UTC().Format(time.RFC3339)})
	}
	file := config.CredentialsFile()
	if err := profile.SetSection(file, profile.WrittenSection(name), kv); err != nil {
		return err
	}
	a.say("wrote credentials in plain text to [%s] of %s; aws-runas logout %s removes them", profile.WrittenSection(name), file, word(name))
	return nil
}

// boolVar is a flag that a variable may set too.
func (a *app) boolVar(flag bool, name string) (bool, error) {
	v := a.env.Get(name)
	if flag || v == "" {
		return flag, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, usage("%s is %q, neither true nor false", name, v).hint("export %s=true", name)
	}
	return on, nil
}

// missing reports whether err says that a record is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// word is s as one word of the lines that hints show.
func word(s string) string {
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:@+,=%", r) || r > 127) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	if s == "" {
		return "''"
	}
	return s
}

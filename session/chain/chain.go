// Package chain picks and composes the way from a profile to its credentials.
package chain

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/role"
	"aws-runas/session/saml"
	"aws-runas/session/sso"
)

// Deps is what the ways in may use; all but Transport, and the flags, is
// needed. The environment is without what an earlier run of this program
// exported.
type Deps struct {
	Cache   *session.Cache
	Ask     session.Asker
	Lookup  func(string) (string, bool)
	Environ func() []string // for the commands that a profile names
	Stderr  io.Writer       // theirs
	Notice  func(string)    // what a person should know, though nothing is wrong

	// Browse shows a page in a browser of this machine. Its error says that none
	// can be shown, and the person is told the address. Nil means that nobody can
	// sign in: a sign-in is then a *[session.Needs].
	Browse func(ctx context.Context, url string) error
	// Pick lets a person choose one of several roles. Nil where nobody can.
	Pick func(ctx context.Context, roles []string) (string, error)
	Home string // the folder above .aws, for the tokens of the AWS CLI; "" does without

	OTP         string // an MFA code, used once
	SessionOnly bool   // the session of the source, without the role
	Renew       bool   // the credentials asked for are made anew; those they rest on need not be

	OSUser    string            // the default session name, where AWS tells none
	Version   string            // of this program, for the User-Agent header
	Transport http.RoundTripper // replaces the network, for tests
}

// For returns the way to the credentials of p. It asks nobody and reads
// nothing yet. A profile that names no way in, or one that does not exist, is a
// *[profile.Error].
//
// The keys of an IAM user are those in the keyring under the name of the
// profile at the root of the chain, else those of its sections, else, for a
// role's ARN in place of a profile and for credential_source = Environment,
// those in the environment. Long-term keys are never handed out: a profile
// without a role gets a session, and roles with an MFA device ride on one.
//
// All calls go where p says, with the MFA device and session duration of p,
// whichever level of the chain they are for: resolution has laid the sources'
// settings under its own.
func For(p *profile.Profile, d Deps) (session.Provider, error) {
	if err := onePartition(p); err != nil {
		return nil, err
	}
	if err := jumps(p); err != nil {
		return nil, err
	}
	b := newBuilder(p, d)
	if p.MFASerial != "" {
		b.mfa = &role.MFA{
			Profile: p.Name, Serial: p.MFASerial, OTP: role.NewOTP(d.OTP), Process: p.MFAProcess,
			Command: b.command(), Ask: d.Ask, Cache: d.Cache, Notice: d.Notice,
		}
	}
	if !d.SessionOnly {
		return b.level(b.top)
	}
	base := b.top
	for base.Source != nil {
		base = base.Source
	}
	switch {
	case base.CredentialSource != "":
		provider, user, err := b.source(base)
		if err == nil && user {
			provider = b.session(base.Name, b.leaf, provider)
		}
		return provider, err
	case base.RoleARN != "" && base.JumpRoleARN != "" && (base.SAMLAuthURL != "" || base.WebIdentityAuthURL != ""):
	case base.RoleARN != "" && base == b.top:
		return nil, fault(p, "role_arn", "aws-runas "+awsapi.Word(p.Name), "the role needs no session first, so there is none to give")
	}
	return b.level(base)
}

// Identity asks AWS whose credentials c are and returns the ARN. It goes where
// p says.
func Identity(ctx context.Context, p *profile.Profile, c session.Credentials, d Deps) (string, error) {
	return role.Identity(ctx, newAPI(p, d), c)
}

func newAPI(p *profile.Profile, d Deps) *awsapi.API {
	return &awsapi.API{
		Region: p.Region, Partition: partition(p), Endpoint: p.Endpoint,
		FIPS: p.UseFIPS, DualStack: p.UseDualStack, CABundle: p.CABundle,
		Lookup: d.Lookup, Now: d.Cache.Now, Version: d.Version, Profile: p.Name, Debug: d.Cache.Debug, Transport: d.Transport,
	}
}

// partition is that of the roles of a chain, which all are in one; else the
// device's or the region's.
func partition(p *profile.Profile) string {
	for q := p; q != nil; q = q.Source {
		if s := awsapi.PartitionOfARN(q.RoleARN); s != "" {
			return s
		}
	}
	if s := awsapi.PartitionOfARN(p.MFASerial); s != "" {
		return s
	}
	return awsapi.PartitionOf(p.Region)
}

// onePartition refuses what names more than one: partitions have neither users
// nor roles in common, and what AWS says about it is that the key is unknown.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func onePartition(p *profile.Profile) error {
	first := awsapi.PartitionOfARN(p.RoleARN)
	for q := p; q != nil; q = q.Source {
		if s := awsapi.PartitionOfARN(q.RoleARN); first == "" {
			first = s
		} else if s != "" && s != first {
			return fault(q, "role_arn", "", "role_arn %q is not in the partition of the roles that rest on it, %s", q.RoleARN, first)
		}
	}
	if s := awsapi.PartitionOfARN(p.MFASerial); s != "" && first != "" && s != first {
		return fault(p, "mfa_serial", "", "mfa_serial %q is not in the partition of the role, %s", p.MFASerial, first)
	}
	return nil
}

// jumps refuses a jump role that was typed for a profile where none is taken. One
// in a file or a variable may be meant for other profiles.
func jumps(p *profile.Profile) error {
	for _, s := range p.Settings() {
		if s.Name == "jump_role_arn" && s.Origin.Flag != "" && p.SAMLAuthURL == "" && p.WebIdentityAuthURL == "" {
			return fault(p, s.Name, "", "a jump role goes with a sign-in by SAML or OIDC, which profile %q has not", p.Name)
		}
	}
	return nil
}

// giver is the level that p's credentials come from: p itself, unless it has
// neither a role nor keys and only names a source.
func giver(p *profile.Profile) *profile.Profile {
	for p.RoleARN == "" && p.Keys == nil && p.Source != nil {
		p = p.Source
	}
	return p
}

// builder makes the providers of one chain.
type builder struct {
	Deps
	profile *profile.Profile // the one asked for, which has the settings
	top     *profile.Profile // the level whose credentials are asked for
	api     *awsapi.API
	leaf    *session.Cache // of the credentials asked for
	mfa     *role.MFA      // of the user at the root; nil without a device
}

func newBuilder(p *profile.Profile, d Deps) *builder {
	b := &builder{Deps: d, profile: p, top: giver(p), api: newAPI(p, d), leaf: d.Cache}
	if d.Renew {
		b.leaf = d.Cache.Renewing()
	}
	return b
}

func (b *builder) command() *role.Command {
	return &role.Command{Environ: b.Environ, Stderr: b.Stderr}
}

// cache is the one for a level of the chain.
func (b *builder) cache(p *profile.Profile) *session.Cache {
	if p == b.top || b.SessionOnly {
		return b.leaf
	}
	return b.Cache
}

// level is the way to what one level of the chain gives: a role, or, at the
// root, a session.
func (b *builder) level(p *profile.Profile) (session.Provider, error) {
	switch {
	case p.WebIdentityTokenFile != "" && p.RoleARN != "":
		return &role.WebIdentity{
			Cache: b.cache(p), AWS: b.api, Name: p.Name, Request: request(p), OSUser: b.OSUser,
			Token: role.TokenFile{Profile: p.Name, Path: p.WebIdentityTokenFile},
		}, nil
	case p.SAMLAuthURL != "":
		idp := b.saml(p)
		return b.federated(p, func(r role.Request, cache *session.Cache) session.Provider {
			return &saml.Role{Cache: cache, AWS: b.api, Name: p.Name, IDP: idp, RoleARN: r.RoleARN, Duration: r.Duration, Pick: b.Pick, Notice: b.Notice}
		}), nil
	case p.WebIdentityAuthURL != "" && p.RoleARN == "":
		return nil, fault(p, "web_identity_auth_url", "", "web_identity_auth_url without role_arn")
	case p.WebIdentityAuthURL != "":
		token := b.oidc(p)
		return b.federated(p, func(r role.Request, cache *session.Cache) session.Provider {
			return &role.WebIdentity{Cache: cache, AWS: b.api, Name: p.Name, Token: token, Request: r, OSUser: b.OSUser}
		}), nil
	case p.RoleARN != "":
		return b.role(p)
	}
	root, err := b.root(p)
	if err != nil {
		return nil, err
	}
	return b.session(p.Name, b.cache(p), root), nil
}

// role assumes p's role with what the level below gives.
func (b *builder) role(p *profile.Profile) (session.Provider, error) {
	a := &role.AssumeRole{
		Cache: b.cache(p), AWS: b.api, Name: p.Name, Source: p.Name, Request: request(p), OSUser: b.OSUser, Notice: b.Notice,
	}
	var user bool // whether the parent may be an IAM user, who has devices
	var err error
	switch {
	case p.CredentialSource != "":
		a.Parent, user, err = b.source(p)
	case p.Source == nil:
		err = fault(p, "role_arn", "", "the role has no source_profile, credential_source or keys")
	default:
		source := giver(p.Source)
		a.Source = source.Name
		if source.RoleARN != "" {
			a.Parent, err = b.level(source)
			break
		}
		user = true
		a.Parent, err = b.root(source)
	}
	if err != nil {
		return nil, err
	}
	if user && b.mfa != nil {
		a.MFA, a.Session = b.mfa, b.session(a.Source, b.Cache, a.Parent)
	}
	return a, nil
}

// session is the session of root, which belongs to the named profile.
func (b *builder) session(name string, cache *session.Cache, root session.Provider) *role.SessionToken {
	return &role.SessionToken{
		Cache: cache, AWS: b.api, Root: root, Name: name,
		Duration: b.profile.SessionDuration, MFA: b.mfa, Notice: b.Notice,
	}
}

// root is what p starts from.
func (b *builder) root(p *profile.Profile) (session.Provider, error) {
	switch {
	case p.Keys != nil:
	case (p.SSOSession != "" || p.SSOStartURL != "") && p.SSOAccountID == "":
		name := "sso_session"
		if p.SSOSession == "" {
			name = "sso_start_url"
		}
		return nil, fault(p, name, "", "%s without sso_account_id and sso_role_name", name)
	case p.SSOSession != "" || p.SSOStartURL != "":
		return &sso.Role{Session: b.sso(p), Cache: b.cache(p), Name: p.Name, AccountID: p.SSOAccountID, RoleName: p.SSORoleName}, nil
	case p.LoginSession != "":
		return nil, notYet(p, "login_session")
	case p.WebIdentityTokenFile != "":
		return nil, fault(p, "web_identity_token_file", "", "web_identity_token_file without role_arn")
	case p.CredentialSource != "":
		return nil, fault(p, "credential_source", "", "credential_source without role_arn")
	case p.CredentialProcess != "":
		return &role.Process{
			Cache: b.cache(p), Name: p.Name, CommandLine: p.CredentialProcess, Command: b.command(), Lookup: b.Lookup,
		}, nil
	}
	k := &role.Keys{Cache: b.Cache, Name: p.Name, Missing: fault(p, "", "aws-runas keys add "+awsapi.Word(p.Name),
		"profile %q has no keys: neither in the keyring nor in a file, and it names no other source of credentials", p.Name)}
	if p.Keys != nil {
		k.Else, k.Expired = FileKeys(p)
	} else if profile.IsRoleARN(b.profile.Name) {
		k.Else, k.Given = b.environment(), true
	}
	return k, nil
}

// FileKeys are the keys in p's own sections, which there must be, and the error
// for once they have expired.
func FileKeys(p *profile.Profile) (session.Credentials, *session.Expired) {
	expired := &session.Expired{Profile: p.Name, At: p.Keys.Expires, Advice: "aws-runas keys add " + awsapi.Word(p.Name)}
	if owner, ok := strings.CutSuffix(p.Name, profile.WrittenSection("")); ok {
		expired.Advice = "aws-runas -c " + awsapi.Word(owner)
	}
	for _, s := range p.Settings() {
		if s.Name == "x_security_token_expires" {
			expired.Where = s.Origin.String()
		}
	}
	return session.Credentials{
		AccessKeyID: p.Keys.AccessKeyID, SecretAccessKey: p.Keys.SecretAccessKey, SessionToken: p.Keys.SessionToken, Expires: p.Keys.Expires,
	}, expired
}

// source is what credential_source names, and whether it may be an IAM user.
func (b *builder) source(p *profile.Profile) (provider session.Provider, user bool, err error) {
	switch p.CredentialSource {
	case profile.SourceEC2InstanceMetadata, profile.SourceECSContainer:
		return &role.Machine{
			Name: p.Name, Container: p.CredentialSource == profile.SourceECSContainer, Lookup: b.Lookup, Now: b.Cache.Now,
		}, false, nil
	}
	c := b.environment()
	if c.AccessKeyID == "" {
		return nil, false, fault(p, "credential_source", "",
			"credential_source is Environment, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY hold no keys but what aws-runas may have exported")
	}
	return role.Given(c), true, nil
}

// environment has the keys that somebody else put there.
func (b *builder) environment() session.Credentials {
	get := func(name string) string { v, _ := b.Lookup(name); return v }
	c := session.Credentials{
		AccessKeyID: get("AWS_ACCESS_KEY_ID"), SecretAccessKey: get("AWS_SECRET_ACCESS_KEY"), SessionToken: get("AWS_SESSION_TOKEN"),
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return session.Credentials{}
	}
	return c
}

func request(p *profile.Profile) role.Request {
	return role.Request{
		RoleARN: p.RoleARN, ExternalID: p.ExternalID, SessionName: p.RoleSessionName, Duration: p.RoleDuration,
		SourceIdentity: p.SourceIdentity, Tags: p.SessionTags, TransitiveTags: p.TransitiveTags,
	}
}

// notYet is the error for a way in that there is no package for.
func notYet(p *profile.Profile, setting string) error {
	return fault(p, setting, "", "this version cannot sign in by %s", setting)
}

// fault is an error about a profile, at the place of one of its settings.
func fault(p *profile.Profile, setting, advice, format string, args ...any) error {
	e := &profile.Error{Message: fmt.Sprintf(format, args...), Advice: advice}
	for _, s := range p.Settings() {
		if s.Name == setting {
			e.Origin = s.Origin
		}
	}
	if e.Origin == (profile.Origin{}) && setting != "" {
		e.Message = fmt.Sprintf("profile %q: %s", p.Name, e.Message)
	}
	return e
}

package profile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flag is a command-line flag that overrides a setting.
type Flag struct {
	Attr  string // the setting's name in the config file: "credentials_duration"
	Value string // an empty one overrides nothing
	Name  string // as typed: "--role-duration"
}

// Options are what [Config.Resolve] lays over the files.
type Options struct {
	Lookup Lookup // nil for none
	Flags  []Flag
}

// Who lends a setting, and how far the environment and flags reach.
type scope uint8

const (
	fromDefault scope = 1 << iota // [default] lends it
	fromSource                    // a source profile lends it
	everywhere                    // variables and flags reach the sources too
	address                       // of an identity provider
	secret                        // never shown
	isURL                         // shown without what is secret in it

	shared  = fromDefault | fromSource | everywhere
	ofRole  = fromDefault
	ofChain = fromDefault | fromSource
)

// attribute is a setting that is read from the files.
type attribute struct {
	name  string
	scope scope
	env   []string // highest first: a flag's variable outranks the one of the attribute
}

// attributes are in the order in which [Profile.Settings] shows them.
var attributes = [...]attribute{
	{"include_profile", 0, nil},
	{"source_profile", 0, nil},
	{"credential_source", 0, nil},
	{"role_arn", 0, nil},
	{"external_id", ofRole, []string{"EXTERNAL_ID"}},
	{"role_session_name", ofRole, []string{"AWS_ROLE_SESSION_NAME"}},
	{"source_identity", ofRole, nil},
	{"session_tags", ofRole, nil},
	{"transitive_session_tags", ofRole, nil},
	{"credentials_duration", ofChain, []string{"CREDENTIALS_DURATION"}},
	{"duration_seconds", ofChain, []string{"DURATION_SECONDS"}},
	{"session_token_duration", shared, []string{"SESSION_TOKEN_DURATION"}},
	{"mfa_serial", shared, []string{"MFA_SERIAL"}},
	{"mfa_process", shared, nil},
	{"mfa_type", shared, []string{"MFA_TYPE"}},
	{"region", shared, []string{"AWS_REGION", "AWS_DEFAULT_REGION"}},
	{"endpoint_url", fromSource | everywhere | isURL, []string{"AWS_ENDPOINT_URL"}},
	{"services", fromSource, nil},
	{"ignore_configured_endpoint_urls", fromSource | everywhere, []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"}},
	{"use_fips_endpoint", shared, []string{"AWS_USE_FIPS_ENDPOINT"}},
	{"use_dualstack_endpoint", shared, []string{"AWS_USE_DUALSTACK_ENDPOINT"}},
	{"ca_bundle", shared, []string{"AWS_CA_BUNDLE"}},
	{"credential_process", 0, nil},
	{"web_identity_token_file", 0, []string{"AWS_WEB_IDENTITY_TOKEN_FILE"}},
	{"login_session", 0, nil},
	{"sso_session", 0, nil},
	{"sso_start_url", isURL, nil},
	{"sso_region", 0, nil},
	{"sso_registration_scopes", 0, nil},
	{"sso_account_id", 0, nil},
	{"sso_role_name", 0, nil},
	{"saml_auth_url", ofChain | address | isURL, []string{"SAML_AUTH_URL"}},
	{"saml_auth_entityid", shared, []string{"SAML_ENTITY_ID", "SAML_ENTITYID"}},
	{"saml_username", shared, []string{"RUNAS_USERNAME", "SAML_USERNAME", "WEB_USERNAME"}},
	{"saml_provider", shared, []string{"RUNAS_PROVIDER", "SAML_PROVIDER", "WEB_PROVIDER"}},
	{"web_identity_auth_url", ofChain | address | isURL, []string{"WEB_AUTH_URL", "WEB_IDENTITY_AUTH_URL"}},
	{"web_identity_username", shared, []string{"RUNAS_USERNAME", "WEB_USERNAME", "WEB_IDENTITY_USERNAME", "SAML_USERNAME"}},
	{"web_identity_provider", shared, []string{"RUNAS_PROVIDER", "WEB_PROVIDER", "WEB_IDENTITY_PROVIDER", "SAML_PROVIDER"}},
	{"web_identity_client_id", shared, []string{"WEB_CLIENT_ID", "WEB_IDENTITY_CLIENT_ID"}},
	{"web_identity_redirect_uri", shared | isURL, []string{"WEB_REDIRECT_URI", "WEB_IDENTITY_REDIRECT_URI"}},
	{"federated_username", shared, []string{"FEDERATED_USERNAME"}},
	{"auth_browser", shared, []string{"AUTH_BROWSER"}},
	{"jump_role_arn", ofChain, []string{"JUMP_ROLE_ARN"}},
	{"aws_access_key_id", 0, nil},
	{"aws_secret_access_key", secret, nil},
	{"aws_session_token", secret, nil},
	{"x_security_token_expires", 0, nil}, // saml2aws's, which no AWS tool reads
}

// known returns the attribute's name for a setting's name in a file, "" if it
// is not one of ours.
func known(name string) string {
	switch name {
	case "saml_entity_id": // as upstream documents it; it reads saml_auth_entityid
		return "saml_auth_entityid"
	case "aws_security_token": // as botocore once called it
		return "aws_session_token"
	}
	for i := range attributes {
		if attributes[i].name == name {
			return name
		}
	}
	return ""
}

// shown is a setting's value as messages may have it.
func shown(name, value string) string {
	for _, a := range attributes {
		switch {
		case a.name != name:
		case a.scope&secret != 0:
			return redacted
		case a.scope&isURL != 0:
			return Shown(value)
		}
	}
	return value
}

// value is a setting in force. rank is its place in the order of resolution.
type value struct {
	text   string
	origin Origin
	rank   rank
}

type rank uint8

const (
	rankDefault rank = iota
	rankSource
	rankOwn
	rankVariable
	rankFlag
)

type values map[string]value

func (v values) text(name string) string { return v[name].text }

// set replaces a value unless the new one is empty, or no time at all.
func (v values) set(name, text string, o Origin, r rank) {
	switch name {
	case "credentials_duration", "duration_seconds", "session_token_duration":
		if d, err := duration(text, 0, 0); err == nil && d == 0 {
			return
		}
	}
	if text != "" {
		v[name] = value{text, o, r}
	}
}

// Resolve returns the profile of that name with its sources, or, for a role's
// ARN, a profile for that role whose source is [default]. Every error is an
// [*Error]; where there is no such profile, as [Config.Has] says, its cause is an
// [*UnknownError].
func (c *Config) Resolve(name string, o Options) (*Profile, error) {
	for _, f := range o.Flags {
		if known(f.Attr) != f.Attr {
			return nil, fault(Origin{Flag: f.Name}, "overrides %q, which is no setting", f.Attr)
		}
	}
	r := resolver{c, o}
	p, _, err := r.profile(name, nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

type resolver struct {
	*Config
	Options
}

// profile resolves one level. below are the profiles that have this one as
// their source, the one asked for first.
func (r *resolver) profile(name string, below []string) (*Profile, values, error) {
	leaf := len(below) == 0
	own := values{}
	switch {
	case leaf && IsRoleARN(name):
		own.set("role_arn", name, Origin{Flag: "command line"}, rankOwn)
	case r.Has(name):
		if err := r.own(name, own, nil); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, r.unknown(name)
	}
	// Flags decide what the source is, too.
	r.flags(own, leaf)
	source, err := r.source(name, own, leaf)
	if err != nil {
		return nil, nil, err
	}

	v := values{}
	if name != "default" {
		lent := values{}
		if err := r.own("default", lent, nil); err != nil {
			return nil, nil, err
		}
		v.lend(lent, fromDefault, rankDefault)
	}
	var parent *Profile
	if source != "" && source != name {
		below = append(below, name)
		if i := slices.Index(below, source); i >= 0 {
			return nil, nil, cycle("source_profile", append(below[i:], source), own["source_profile"].origin)
		}
		if !r.Has(source) {
			return nil, nil, r.unknownIn("source_profile", source, own["source_profile"].origin)
		}
		var lent values
		if parent, lent, err = r.profile(source, below); err != nil {
			return nil, nil, err
		}
		// What the source has from [default] is here already, and addresses
		// that it has from there are not for a role with a source.
		maps.DeleteFunc(lent, func(_ string, x value) bool { return x.rank == rankDefault })
		v.lend(lent, fromSource, rankSource)
	}
	for n, x := range own {
		v.set(n, x.text, x.origin, x.rank)
	}
	r.environment(v, leaf)
	r.flags(v, leaf)
	if !v.mayBorrowAddress() {
		for _, a := range attributes {
			if a.scope&address != 0 && v[a.name].rank == rankDefault {
				delete(v, a.name)
			}
		}
	}
	if err := v.oneProvider(); err != nil {
		return nil, nil, err
	}
	p, err := r.build(name, v)
	if err != nil {
		return nil, nil, err
	}
	if IsRoleARN(name) && leaf && (p.SAMLAuthURL != "" || p.WebIdentityAuthURL != "") {
		parent = nil
	}
	p.Source = parent
	p.ownSource()
	return p, v, nil
}

// lend lays what from lends over v.
func (v values) lend(from values, s scope, as rank) {
	for _, a := range attributes {
		if x := from[a.name]; a.scope&s != 0 {
			v.set(a.name, x.text, x.origin, as)
		}
	}
}

// source returns the profile whose credentials the role is assumed with.
func (r *resolver) source(name string, own values, leaf bool) (string, error) {
	s, cs := own["source_profile"], own["credential_source"]
	if leaf && IsRoleARN(name) && s.text == "" && cs.text == "" {
		return "default", nil
	}
	if s.text != "" && cs.text != "" {
		return "", fault(s.origin, "source_profile %q together with credential_source %q (%s)", s.text, cs.text, cs.origin)
	}
	return s.text, nil
}

// mayBorrowAddress reports whether v is a role for which nothing but an
// identity provider's address could say where its credentials come from.
func (v values) mayBorrowAddress() bool {
	if v.text("role_arn") == "" {
		return false
	}
	for _, n := range []string{"source_profile", "credential_source", "credential_process", "web_identity_token_file",
		"login_session", "sso_session", "sso_account_id", "sso_role_name", "aws_access_key_id"} {
		if v.text(n) != "" {
			return false
		}
	}
	return true
}

// oneProvider settles which identity provider a profile has two addresses of:
// that of the higher rank.
func (v values) oneProvider() error {
	saml, oidc := v["saml_auth_url"], v["web_identity_auth_url"]
	switch {
	case saml.text == "" || oidc.text == "":
	case saml.rank > oidc.rank:
		delete(v, "web_identity_auth_url")
	case saml.rank < oidc.rank:
		delete(v, "saml_auth_url")
	default:
		return fault(saml.origin, "saml_auth_url together with web_identity_auth_url (%s)", oidc.origin)
	}
	return nil
}

// own reads a profile's own sections into v, and those that it includes below
// them. including are the profiles on the way here.
func (r *resolver) own(name string, v values, including []string) error {
	config, credentials := r.sections(name)
	mine := values{}
	for _, part := range []struct {
		f  *file
		in []*section
	}{{&r.config, config}, {&r.credentials, credentials}} {
		for _, s := range part.in {
			settings, bad := decode(part.f.data, s, func(n string) bool { return known(n) != "" })
			if bad != nil {
				return part.f.fault(bad, s)
			}
			for _, x := range settings {
				o := Origin{File: part.f.shown, Line: x.line, Section: part.f.head(s)}
				if part.f == &r.config && name == r.over.profile && slices.Contains(r.over.settings, KV{x.name, x.value}) {
					o = Origin{Flag: r.over.from}
				}
				if x.more > 0 {
					return fault(o, "the value of %s goes on in line %d, which is indented", x.name, x.more)
				}
				if x.name == "aws_security_token" && mine.text("aws_session_token") != "" {
					continue
				}
				mine.set(known(x.name), x.value, o, rankOwn)
			}
		}
	}
	if inc := mine["include_profile"]; inc.text != "" {
		including = append(including, name)
		if i := slices.Index(including, inc.text); i >= 0 {
			return cycle("include_profile", append(including[i:], inc.text), inc.origin)
		}
		if !r.Has(inc.text) {
			return r.unknownIn("include_profile", inc.text, inc.origin)
		}
		if err := r.own(inc.text, v, including); err != nil {
			return err
		}
		for _, n := range []string{"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "x_security_token_expires"} {
			delete(v, n)
		}
	}
	for n, x := range mine {
		v.set(n, x.text, x.origin, x.rank)
	}
	return nil
}

// environment lays the variables over v. A source takes only those that are not
// about one role.
func (r *resolver) environment(v values, leaf bool) {
	for _, a := range attributes {
		if !leaf && a.scope&everywhere == 0 {
			continue
		}
		if a.name == "web_identity_token_file" && v.text(a.name) == "" && v.text("web_identity_auth_url") == "" {
			continue // it names the machine's identity, not this profile's
		}
		for _, name := range a.env {
			if text := strings.TrimSpace(r.Lookup.get(name)); text != "" {
				v.set(a.name, text, Origin{Variable: name}, rankVariable)
				break
			}
		}
	}
}

func (r *resolver) flags(v values, leaf bool) {
	for _, f := range r.Flags {
		for _, a := range attributes {
			if a.name == f.Attr && (leaf || a.scope&everywhere != 0) {
				v.set(a.name, strings.TrimSpace(f.Value), Origin{Flag: f.Name}, rankFlag)
			}
		}
	}
}

// build checks the values and makes a profile of them.
func (r *resolver) build(name string, v values) (*Profile, error) {
	p := &Profile{Name: name, lookup: r.Lookup}
	if err := r.ssoSession(v); err != nil {
		return nil, err
	}
	var errs firstError
	text := v.text
	path := func(n string) string { return expandHome(text(n), r.home) }
	check := func(n string, ok func(string) bool, want string) string {
		if s := text(n); s != "" && !ok(s) {
			errs.set(fault(v[n].origin, "%s %q is not %s", n, s, want))
		}
		return text(n)
	}
	dur := func(n string, lo, hi time.Duration) time.Duration {
		s := text(n)
		if s == "" {
			return 0
		}
		d, err := duration(s, lo, hi)
		if err != nil {
			errs.set(fault(v[n].origin, "%s %w", n, err))
		}
		return d
	}
	flag := func(n string) bool {
		s := text(n)
		if s == "" {
			return false
		}
		b, err := boolean(s)
		if err != nil {
			errs.set(fault(v[n].origin, "%s %w", n, err))
		}
		return b
	}
	const role = "a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)"

	p.RoleARN = check("role_arn", IsRoleARN, role)
	p.ExternalID = text("external_id")
	p.RoleSessionName = text("role_session_name")
	p.SourceIdentity = text("source_identity")
	if s := text("session_tags"); s != "" {
		var err error
		if p.SessionTags, err = tags(s); err != nil {
			errs.set(fault(v["session_tags"].origin, "session_tags %w", err))
		}
	}
	p.TransitiveTags = list(text("transitive_session_tags"))
	p.MFASerial = check("mfa_serial", isSerial, "an MFA device's ARN (arn:aws:iam::ACCOUNT:mfa/NAME) or serial number")
	p.MFAProcess = text("mfa_process")
	p.MFAType = strings.ToLower(check("mfa_type", oneOf("auto", "code", "push", "none"), "auto, code, push or none"))

	p.SessionDuration = dur("session_token_duration", MinSessionDuration, MaxSessionDuration)
	if p.SessionDuration == 0 {
		p.SessionDuration = DefaultSessionDuration
	}
	p.RoleDuration = dur("credentials_duration", MinRoleDuration, MaxRoleDuration)
	if s := dur("duration_seconds", MinRoleDuration, MaxRoleDuration); p.RoleDuration == 0 {
		p.RoleDuration = s
	}
	p.RoleDurationSet = p.RoleDuration != 0
	if !p.RoleDurationSet {
		p.RoleDuration = DefaultRoleDuration
	}

	p.Region = text("region")
	p.ignore = flag("ignore_configured_endpoint_urls")
	if !p.ignore {
		p.EndpointURL = text("endpoint_url")
		p.fromEnv = v["endpoint_url"].rank == rankVariable
		var err error
		if p.services, err = r.endpoints(v["services"]); err != nil {
			errs.set(err)
		}
	}
	p.UseFIPS = flag("use_fips_endpoint")
	p.UseDualStack = flag("use_dualstack_endpoint")
	p.CABundle = path("ca_bundle")

	p.CredentialProcess = text("credential_process")
	p.CredentialSource = check("credential_source",
		func(s string) bool {
			return s == SourceEnvironment || s == SourceEC2InstanceMetadata || s == SourceECSContainer
		}, "Environment, Ec2InstanceMetadata or EcsContainer")
	p.WebIdentityTokenFile = path("web_identity_token_file")
	p.LoginSession = text("login_session")

	p.SSOSession = text("sso_session")
	p.SSOStartURL = text("sso_start_url")
	p.SSORegion = text("sso_region")
	p.SSORegistrationScopes = list(text("sso_registration_scopes"))
	p.SSOAccountID = check("sso_account_id", func(s string) bool { return all(s, isDigit) }, "an account's number")
	p.SSORoleName = text("sso_role_name")
	errs.set(ssoComplete(v))

	p.SAMLAuthURL = text("saml_auth_url")
	p.SAMLEntityID = text("saml_auth_entityid")
	p.SAMLUsername = text("saml_username")
	p.SAMLProvider = text("saml_provider")
	p.WebIdentityAuthURL = text("web_identity_auth_url")
	p.WebIdentityUsername = text("web_identity_username")
	p.WebIdentityProvider = text("web_identity_provider")
	p.WebIdentityClientID = text("web_identity_client_id")
	p.WebIdentityRedirectURI = text("web_identity_redirect_uri")
	p.FederatedUsername = text("federated_username")
	p.AuthBrowser = text("auth_browser")
	p.JumpRoleARN = check("jump_role_arn", IsRoleARN, role)
	if p.RoleARN != "" && p.WebIdentityAuthURL != "" && p.WebIdentityTokenFile == "" {
		for _, n := range []string{"web_identity_client_id", "web_identity_redirect_uri"} {
			if text(n) == "" {
				errs.set(fault(v["web_identity_auth_url"].origin, "web_identity_auth_url without %s", n))
			}
		}
	}

	id, key := v["aws_access_key_id"], v["aws_secret_access_key"]
	switch {
	case id.text != "" && key.text != "":
		p.Keys = &Keys{AccessKeyID: id.text, SecretAccessKey: key.text, SessionToken: text("aws_session_token")}
		// It may be left over beside keys that were put into another file since.
		if x := v["x_security_token_expires"]; p.Keys.SessionToken != "" && x.origin.File == id.origin.File && x.origin.Section == id.origin.Section {
			p.Keys.Expires, _ = time.Parse(time.RFC3339, x.text) // else nobody has noted it
		}
	case id.text != "":
		errs.set(fault(id.origin, "aws_access_key_id without aws_secret_access_key"))
	case key.text != "":
		errs.set(fault(key.origin, "aws_secret_access_key without aws_access_key_id"))
	}
	if errs.err != nil {
		return nil, errs.err
	}
	p.settings = v.settings(p)
	return p, nil
}

// firstError keeps the first of several errors.
type firstError struct{ err error }

func (f *firstError) set(err error) {
	if f.err == nil {
		f.err = err
	}
}

func oneOf(words ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(words, strings.ToLower(s)) }
}

// ownSource makes a role without any other source its own: the keys, process or
// sign-in of its section become those of a root of the same name.
func (p *Profile) ownSource() {
	if p.RoleARN == "" || p.Source != nil || p.CredentialSource != "" || p.WebIdentityTokenFile != "" ||
		p.SAMLAuthURL != "" || p.WebIdentityAuthURL != "" {
		return
	}
	root := *p
	root.RoleARN, root.ExternalID, root.RoleSessionName, root.SourceIdentity = "", "", "", ""
	root.SessionTags, root.TransitiveTags, root.JumpRoleARN = nil, nil, ""
	root.settings = slices.DeleteFunc(slices.Clone(p.settings), func(s Setting) bool {
		switch s.Name {
		case "source_profile", "role_arn", "external_id", "role_session_name", "source_identity",
			"session_tags", "transitive_session_tags", "jump_role_arn":
			return true
		}
		return false
	})
	p.Source = &root
	p.Keys, p.CredentialProcess, p.LoginSession = nil, "", ""
	p.SSOSession, p.SSOStartURL, p.SSORegion, p.SSOAccountID, p.SSORoleName, p.SSORegistrationScopes = "", "", "", "", "", nil
}

// ssoSession fills in what the profile's sso-session section says. As in
// botocore, a setting that both have must agree.
func (r *resolver) ssoSession(v values) error {
	name := v["sso_session"]
	if name.text == "" {
		return nil
	}
	found := r.named(ssoSection, name.text)
	if len(found) == 0 {
		return fault(name.origin, "sso_session %q: there is no [sso-session %s]", name.text, name.text)
	}
	for _, s := range found {
		settings, bad := decode(r.config.data, s, func(n string) bool {
			return n == "sso_start_url" || n == "sso_region" || n == "sso_registration_scopes"
		})
		if bad != nil {
			return r.config.fault(bad, s)
		}
		for _, x := range settings {
			o := Origin{File: r.config.shown, Line: x.line, Section: r.config.head(s)}
			if had := v[x.name]; had.text != "" && x.value != "" && had.text != x.value && had.origin.Section != o.Section {
				return fault(had.origin, "%s %q is not that of the session, %q (%s)", x.name, shown(x.name, had.text), shown(x.name, x.value), o)
			}
			v.set(x.name, x.value, o, rankOwn)
		}
	}
	return nil
}

func ssoComplete(v values) error {
	account, role := v["sso_account_id"], v["sso_role_name"]
	if account.text == "" && role.text == "" {
		return nil
	}
	o := account.origin
	if account.text == "" {
		o = role.origin
	}
	for _, n := range []string{"sso_account_id", "sso_role_name", "sso_start_url", "sso_region"} {
		if v.text(n) == "" {
			return fault(o, "the sign-in by IAM Identity Center lacks %s", n)
		}
	}
	return nil
}

// endpoints reads the services section that a profile names: endpoint_url by
// service.
func (r *resolver) endpoints(name value) (map[string]string, error) {
	if name.text == "" {
		return nil, nil
	}
	found := r.named(servicesSection, name.text)
	if len(found) == 0 {
		return nil, fault(name.origin, "services %q: there is no [services %s]", name.text, name.text)
	}
	m := map[string]string{}
	for _, s := range found {
		settings, bad := decode(r.config.data, s, func(n string) bool { return n != "" && all(n, isNameByte) })
		if bad != nil {
			return nil, r.config.fault(bad, s)
		}
		for _, x := range settings {
			for _, line := range x.nested {
				k, u, ok := strings.Cut(line, "=")
				if ok && strings.ToLower(strings.TrimSpace(k)) == "endpoint_url" && strings.TrimSpace(u) != "" {
					m[x.name] = strings.TrimSpace(u)
				}
			}
		}
	}
	return m, nil
}

// settings lists v and the defaults for Profile.Settings.
func (v values) settings(p *Profile) []Setting {
	var all []Setting
	for _, a := range attributes {
		x, ok := v[a.name]
		switch {
		case ok:
			x.text = shown(a.name, x.text)
		case a.name == "session_token_duration":
			x.text = brief(p.SessionDuration)
		case a.name == "credentials_duration" && !p.RoleDurationSet:
			x.text = brief(p.RoleDuration)
		default:
			continue
		}
		all = append(all, Setting{a.name, x.text, x.origin})
	}
	return all
}

func fault(o Origin, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Origin: o, Message: err.Error(), Err: errors.Unwrap(err)}
}

func cycle(attr string, names []string, o Origin) *Error {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return fault(o, "%s goes in a circle: %s", attr, strings.Join(quoted, " -> "))
}

// unknown says that there is no such profile.
func (c *Config) unknown(name string) *Error {
	u := &UnknownError{name, c.Closest(name)}
	e := &Error{Message: u.Error() + " in " + c.where(), Err: u}
	switch {
	case u.Closest != "":
		e.Advice = fmt.Sprintf("did you mean %q?", u.Closest)
	case len(c.Names()) > 0:
		e.Advice = "aws-runas list profiles"
	}
	return e
}

// unknownIn is unknown for a profile that a setting names.
func (c *Config) unknownIn(attr, name string, o Origin) *Error {
	e := fault(o, "%s %q is not configured in %s", attr, name, c.where())
	switch near := c.Closest(name); {
	case near == "":
	case o.Line > 0:
		e.Advice = fmt.Sprintf("write %s = %s in line %d of %s", attr, near, o.Line, o.File)
	default:
		e.Advice = fmt.Sprintf("did you mean %q?", near)
	}
	return e
}

func (c *Config) where() string {
	var there, missing []string
	for _, f := range []*file{&c.config, &c.credentials} {
		switch {
		case f.path == "":
		case f.missing:
			missing = append(missing, f.shown)
		default:
			there = append(there, f.shown)
		}
	}
	switch {
	case len(there)+len(missing) == 0:
		return "any file: there is no home directory"
	case len(there) == 0:
		return strings.Join(missing, " or ") + ": neither exists"
	case len(missing) > 0:
		return fmt.Sprintf("%s (%s does not exist)", there[0], missing[0])
	}
	return strings.Join(there, " or ")
}

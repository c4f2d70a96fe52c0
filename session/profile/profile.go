// Package profile reads and edits the AWS config and credentials files and
// resolves a profile with the origin of each of its values.
//
// The files are read as the AWS SDKs read them
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html): sections
// and settings that occur twice are merged and the last one counts, the
// credentials file wins over the config file, an inline comment is a # or ;
// after a blank. As in the AWS CLI, a line indented deeper than the setting
// above it continues that setting, and names of settings know no case. [x] is a
// profile in the config file too, unless there is a [profile x].
//
// # Resolution
//
// From low to high: [default], the source profile and its sources, the
// profile's own section with what include_profile names, environment variables,
// flags. An empty value never overrides one.
//
//   - [default] lends neither an identity (role_arn, source_profile, keys, sso_*,
//     credential_process, credential_source, web_identity_token_file,
//     login_session) nor endpoint_url, services and
//     ignore_configured_endpoint_urls. The addresses of an identity provider
//     that it lends (saml_auth_url, web_identity_auth_url) hold only for a
//     role_arn that has no other source.
//   - A source lends no identity either, and none of role_session_name,
//     external_id, session_tags, transitive_session_tags and source_identity.
//     What it lends of an identity provider's address makes the role one of
//     that provider, asked for directly.
//   - include_profile reads another profile's section as if it stood in this
//     one, below its own settings; only keys are left out.
//   - Variables and flags that belong to one role (external id, role duration,
//     session name, jump role, an identity provider's address) act on the
//     profile asked for; all others (region, MFA, session duration, user name,
//     endpoints) on its sources too.
//   - AWS_ROLE_ARN is never read, and AWS_WEB_IDENTITY_TOKEN_FILE only for a
//     profile that goes by web identity already: where they are set, as in a pod
//     on EKS, they name the identity of the machine and not of a named profile.
//
// A duration is a Go duration (1h30m) or a number of seconds, in variables too;
// one of no length counts as empty.
//
// A role with neither a source_profile nor another way to its credentials is
// its own source: [Profile.Source] then has the same name and holds the keys,
// credential_process or sign-in of the section.
package profile

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Defaults and limits of durations. The session's are those of
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html,
// the role's those of https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const (
	DefaultSessionDuration = 12 * time.Hour
	MinSessionDuration     = 15 * time.Minute
	MaxSessionDuration     = 36 * time.Hour
	DefaultRoleDuration    = time.Hour
	MinRoleDuration        = 15 * time.Minute
	MaxRoleDuration        = 12 * time.Hour
)

// Values of credential_source.
const (
	SourceEnvironment         = "Environment"
	SourceEC2InstanceMetadata = "Ec2InstanceMetadata"
	SourceECSContainer        = "EcsContainer"
)

// Profile is a resolved profile, one level of a chain of roles: the role of
// each level is assumed with the credentials of its Source, down to the root,
// whose Source is nil.
type Profile struct {
	Name string // as asked; a role's ARN where one was given in place of a profile

	RoleARN         string
	ExternalID      string
	RoleSessionName string
	SourceIdentity  string
	SessionTags     map[string]string // session_tags = a=1,b=2
	TransitiveTags  []string          // transitive_session_tags = a,b

	MFASerial  string // ARN of a virtual device or a hardware device's serial number
	MFAProcess string // command that prints a code
	MFAType    string // auto, code, push or none: for identity providers

	SessionDuration time.Duration // of GetSessionToken, default 12h
	RoleDuration    time.Duration // of AssumeRole*: credentials_duration, else duration_seconds, default 1h
	RoleDurationSet bool          // whether RoleDuration was configured

	Region       string
	EndpointURL  string // AWS_ENDPOINT_URL or endpoint_url; [Profile.Endpoint] has the rule for one service
	UseFIPS      bool
	UseDualStack bool
	CABundle     string // path

	CredentialProcess    string
	CredentialSource     string // one of the three Source constants
	WebIdentityTokenFile string // path
	LoginSession         string

	SSOSession            string // name of the sso-session section, "" in the legacy form
	SSOStartURL           string
	SSORegion             string
	SSORegistrationScopes []string
	SSOAccountID          string
	SSORoleName           string

	SAMLAuthURL            string
	SAMLEntityID           string
	SAMLUsername           string
	SAMLProvider           string
	WebIdentityAuthURL     string
	WebIdentityUsername    string
	WebIdentityProvider    string
	WebIdentityClientID    string
	WebIdentityRedirectURI string
	FederatedUsername      string
	AuthBrowser            string
	JumpRoleARN            string

	Keys   *Keys    // static keys of the profile's own sections, nil if there are none
	Source *Profile // nil at the root

	settings []Setting
	services map[string]string // endpoint_url by service, of the services section
	ignore   bool              // ignore_configured_endpoint_urls
	fromEnv  bool              // EndpointURL is AWS_ENDPOINT_URL
	lookup   Lookup
}

// Root returns the end of the chain of sources: p itself if it has no source.
func (p *Profile) Root() *Profile {
	for p.Source != nil {
		p = p.Source
	}
	return p
}

// KeysName returns the name under which the keyring holds the IAM user's keys
// that p starts from.
func (p *Profile) KeysName() string { return p.Root().Name }

// Endpoint returns the configured endpoint of a service, "" if there is none.
// The service is written as in a services section: "sts", "sso_oidc". In this
// order: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, the services section,
// endpoint_url; none of them where AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func (p *Profile) Endpoint(service string) string {
	if p.ignore {
		return ""
	}
	if v := p.lookup.get(endpointVariable(service)); v != "" {
		return v
	}
	if v := p.services[service]; v != "" && !p.fromEnv {
		return v
	}
	return p.EndpointURL
}

// EndpointVariables returns the endpoints that the files configure for the
// profile as the variables that carry them, AWS_ENDPOINT_URL and
// AWS_ENDPOINT_URL_S3, without those that the environment outranks.
func (p *Profile) EndpointVariables() map[string]string {
	m := make(map[string]string, len(p.services)+1)
	if p.EndpointURL != "" && !p.fromEnv {
		m["AWS_ENDPOINT_URL"] = p.EndpointURL
	}
	for service, url := range p.services {
		name := endpointVariable(service)
		if p.lookup.get(name) == "" && !p.fromEnv {
			m[name] = url
		}
	}
	return m
}

func endpointVariable(service string) string {
	return "AWS_ENDPOINT_URL_" + strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(service))
}

// Keys are static keys from a file. They print without their secrets.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // "" for an IAM user's keys
	// Expires is what another tool, or aws-runas -c, has noted beside them; zero
	// where nobody has.
	Expires time.Time
}

// Format prints the access key ID alone, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) {
	io.WriteString(s, "{"+k.AccessKeyID+" "+redacted+"}")
}

// LogValue is what Format prints.
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalJSON is what Format prints.
func (k Keys) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", fmt.Sprint(k)), nil }

const redacted = "[redacted]"

// Setting is one value of a resolved profile.
type Setting struct {
	Name   string // as in the config file
	Value  string // "[redacted]" for a secret, an address without those in it
	Origin Origin
}

// Settings returns the values that are in force and where each came from, in a
// fixed order. Built-in defaults are among them, settings without a value are not.
func (p *Profile) Settings() []Setting { return p.settings }

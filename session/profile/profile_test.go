package profile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const account = "arn:aws:iam::123456789012:"

// home makes a home directory with the two files; an empty text makes none.
func home(t testing.TB, config, credentials string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config": config, "credentials": credentials} {
		if text == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".aws", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func env(pairs ...string) Lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func load(t testing.TB, config, credentials string) *Config {
	t.Helper()
	c, err := Load(nil, home(t, config, credentials))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func resolve(t testing.TB, c *Config, name string, o Options) *Profile {
	t.Helper()
	p, err := c.Resolve(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fails resolves a profile and returns the error, whose file is shown with a slash.
func fails(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	e.File = filepath.ToSlash(e.File)
	return e
}

// explain renders the settings as --explain might.
func explain(p *Profile) string {
	var b strings.Builder
	for _, s := range p.Settings() {
		fmt.Fprintf(&b, "%s = %s (%s)\n", s.Name, s.Value, filepath.ToSlash(s.Origin.String()))
	}
	return b.String()
}

// What is inherited from where: the rules of the package comment, one by one.
func TestPrecedence(t *testing.T) {
	const config = `[default]
region = eu-default-1
mfa_serial = ` + account + `mfa/default
session_token_duration = 8h
credentials_duration = 30m
role_arn = ` + account + `role/Default
source_profile = root
endpoint_url = http://default
services = none
ignore_configured_endpoint_urls = true
sso_account_id = 1
credential_process = /bin/default
role_session_name = me
saml_auth_url = https://idp.example/default

[profile root]
region = eu-root-1
mfa_serial = ` + account + `mfa/root
endpoint_url = http://root
role_session_name = root
external_id = root
session_tags = a=1
transitive_session_tags = a
source_identity = root
credential_process = /bin/root

[profile plain]
output = json

[profile role]
role_arn = ` + account + `role/Admin
source_profile = root
region =
external_id = own # why

[profile top]
role_arn = ` + account + `role/Top
source_profile = role
credentials_duration = 2h
`
	c := load(t, config, "")
	for _, tt := range []struct {
		name    string
		profile string
		options Options
		want    string
	}{
		{"default lends settings and no identity", "plain", Options{}, `
role_session_name = me (~/.aws/config:13 [default])
credentials_duration = 30m (~/.aws/config:5 [default])
session_token_duration = 8h (~/.aws/config:4 [default])
mfa_serial = arn:aws:iam::123456789012:mfa/default (~/.aws/config:3 [default])
region = eu-default-1 (~/.aws/config:2 [default])
`},
		{"a source lends settings, but what belongs to a role; empty overrides nothing", "role", Options{}, `
source_profile = root (~/.aws/config:32 [profile role])
role_arn = arn:aws:iam::123456789012:role/Admin (~/.aws/config:31 [profile role])
external_id = own (~/.aws/config:34 [profile role])
role_session_name = me (~/.aws/config:13 [default])
credentials_duration = 30m (~/.aws/config:5 [default])
session_token_duration = 8h (~/.aws/config:4 [default])
mfa_serial = arn:aws:iam::123456789012:mfa/root (~/.aws/config:18 [profile root])
region = eu-root-1 (~/.aws/config:17 [profile root])
endpoint_url = http://root (~/.aws/config:19 [profile root])
`},
		{"environment over files, flags over both", "top", Options{
			Lookup: env("AWS_REGION", "eu-env-1", "AWS_DEFAULT_REGION", "no", "MFA_SERIAL", "", "CREDENTIALS_DURATION", "0",
				"EXTERNAL_ID", "env", "AWS_ROLE_ARN", account+"role/Pod", "AWS_WEB_IDENTITY_TOKEN_FILE", "/pod/token"),
			Flags: []Flag{{"external_id", "flag", "--external-id"}, {"session_token_duration", "3600", "-d"}, {"mfa_serial", "", "-M"}},
		}, `
source_profile = role (~/.aws/config:38 [profile top])
role_arn = arn:aws:iam::123456789012:role/Top (~/.aws/config:37 [profile top])
external_id = flag (--external-id)
role_session_name = me (~/.aws/config:13 [default])
credentials_duration = 2h (~/.aws/config:39 [profile top])
session_token_duration = 3600 (-d)
mfa_serial = arn:aws:iam::123456789012:mfa/root (~/.aws/config:18 [profile root])
region = eu-env-1 (AWS_REGION)
endpoint_url = http://root (~/.aws/config:19 [profile root])
`},
		{"built-in defaults", "plain", Options{Flags: []Flag{{"credentials_duration", "1h", "-a"}}}, `
role_session_name = me (~/.aws/config:13 [default])
credentials_duration = 1h (-a)
session_token_duration = 8h (~/.aws/config:4 [default])
mfa_serial = arn:aws:iam::123456789012:mfa/default (~/.aws/config:3 [default])
region = eu-default-1 (~/.aws/config:2 [default])
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := explain(resolve(t, c, tt.profile, tt.options))
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("each level of a chain has its own role", func(t *testing.T) {
		p := resolve(t, c, "top", Options{
			Lookup: env("AWS_REGION", "eu-env-1"),
			Flags:  []Flag{{"external_id", "flag", "-X"}, {"mfa_serial", "GAHT12345678", "-M"}, {"credentials_duration", "4h", "-a"}},
		})
		var got []string
		for l := p; l != nil; l = l.Source {
			got = append(got, fmt.Sprintf("%s %s %q %s %s %s %s", l.Name, strings.TrimPrefix(l.RoleARN, account), l.ExternalID,
				l.MFASerial, l.RoleDuration, l.SessionDuration, l.Region))
		}
		want := []string{
			`top role/Top "flag" GAHT12345678 4h0m0s 8h0m0s eu-env-1`,
			`role role/Admin "own" GAHT12345678 30m0s 8h0m0s eu-env-1`,
			`root  "root" GAHT12345678 30m0s 8h0m0s eu-env-1`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if p.KeysName() != "root" || p.Root().CredentialProcess != "/bin/root" {
			t.Errorf("root is %q with process %q", p.KeysName(), p.Root().CredentialProcess)
		}
	})
}

func TestDefaults(t *testing.T) {
	p := resolve(t, load(t, "[profile a]\n", ""), "a", Options{})
	if p.SessionDuration != 12*time.Hour || p.RoleDuration != time.Hour || p.RoleDurationSet || p.Source != nil || p.Keys != nil {
		t.Errorf("got %+v", p)
	}
	if got, want := explain(p), "credentials_duration = 1h (default)\nsession_token_duration = 12h (default)\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestDurations(t *testing.T) {
	c := load(t, "[profile a]\nduration_seconds = 7200\n[profile b]\nduration_seconds = 7200\ncredentials_duration = 15m\n", "")
	for _, tt := range []struct {
		profile, session, role string
		wantSession, wantRole  time.Duration
	}{
		{"a", "15m", "", 15 * time.Minute, 2 * time.Hour},
		{"a", "36h", "12h", 36 * time.Hour, 12 * time.Hour},
		{"a", "129600", "43200", 36 * time.Hour, 12 * time.Hour},
		{"a", "0", "0s", 12 * time.Hour, 2 * time.Hour},
		{"b", "1h30m", "", 90 * time.Minute, 15 * time.Minute},
	} {
		p := resolve(t, c, tt.profile, Options{Lookup: env("SESSION_TOKEN_DURATION", tt.session, "CREDENTIALS_DURATION", tt.role)})
		if p.SessionDuration != tt.wantSession || p.RoleDuration != tt.wantRole || !p.RoleDurationSet {
			t.Errorf("%+v: got %s and %s", tt, p.SessionDuration, p.RoleDuration)
		}
	}
}

// A role that is its own source has no setting in both halves that is of one.
func TestOwnSourceSettings(t *testing.T) {
	c := load(t, "[profile a]\nsource_profile = a\nrole_arn = "+account+"role/R\nexternal_id = x\nregion = r\n", "")
	const want = "credentials_duration = 1h (default)\nsession_token_duration = 12h (default)\nregion = r (~/.aws/config:5 [profile a])\n"
	if got := explain(resolve(t, c, "a", Options{}).Source); got != want {
		t.Errorf("got %s", got)
	}
}

// Where the credentials come from, by what a profile says.
func TestWaysIn(t *testing.T) {
	role := "role_arn = " + account + "role/R\n"
	for _, tt := range []struct {
		name, config, credentials, profile string
		want                               Profile
	}{
		{name: "keys in the credentials file", credentials: "[a]\naws_access_key_id = AKIA1\naws_secret_access_key = s\naws_session_token = t\n",
			want: Profile{Keys: &Keys{AccessKeyID: "AKIA1", SecretAccessKey: "s", SessionToken: "t"}}},
		{name: "the credentials file wins", config: "[profile a]\naws_access_key_id = AKIA0\naws_secret_access_key = no\nregion = x\n",
			credentials: "[a]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n",
			want:        Profile{Keys: &Keys{AccessKeyID: "AKIA1", SecretAccessKey: "s"}, Region: "x"}},
		{name: "keys of default are not lent", config: "[profile a]\n", credentials: "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n"},
		{name: "its own source", config: "[profile a]\nsource_profile = a\n" + role, credentials: "[a]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n",
			want: Profile{RoleARN: account + "role/R", Source: &Profile{Name: "a", Keys: &Keys{AccessKeyID: "AKIA1", SecretAccessKey: "s"}}}},
		{name: "its own source, keys in the keyring", config: "[profile a]\nsource_profile = a\n" + role,
			want: Profile{RoleARN: account + "role/R", Source: &Profile{Name: "a"}}},
		{name: "no source named", config: "[profile a]\n" + role + "credential_process = \"C:\\x y\\p.exe\" -a\n",
			want: Profile{RoleARN: account + "role/R", Source: &Profile{Name: "a", CredentialProcess: `"C:\x y\p.exe" -a`}}},
		{name: "credential_source", config: "[profile a]\ncredential_source = Ec2InstanceMetadata\n" + role,
			want: Profile{RoleARN: account + "role/R", CredentialSource: SourceEC2InstanceMetadata}},
		{name: "web identity", config: "[profile a]\nweb_identity_token_file = ~/t\n" + role,
			want: Profile{RoleARN: account + "role/R", WebIdentityTokenFile: "HOME/t"}},
		{name: "sso session", config: "[profile a]\nsso_session = s\nsso_account_id = 012345678901\nsso_role_name = R\n[sso-session s]\nsso_start_url = https://s\nsso_region = eu-1\nsso_registration_scopes = a:b, c\n",
			want: Profile{SSOSession: "s", SSOAccountID: "012345678901", SSORoleName: "R", SSOStartURL: "https://s", SSORegion: "eu-1", SSORegistrationScopes: []string{"a:b", "c"}}},
		{name: "sso, legacy form", config: "[profile a]\nsso_account_id = 1\nsso_role_name = R\nsso_start_url = https://s\nsso_region = eu-1\n",
			want: Profile{SSOAccountID: "1", SSORoleName: "R", SSOStartURL: "https://s", SSORegion: "eu-1"}},
		{name: "role behind sso", config: "[profile a]\nsource_profile = b\n" + role + "[profile b]\nsso_account_id = 1\nsso_role_name = R\nsso_start_url = https://s\nsso_region = eu-1\n",
			want: Profile{RoleARN: account + "role/R", Source: &Profile{Name: "b", SSOAccountID: "1", SSORoleName: "R", SSOStartURL: "https://s", SSORegion: "eu-1"}}},
		{name: "login session", config: "[profile a]\nlogin_session = " + account + "user/u\n", want: Profile{LoginSession: account + "user/u"}},
		{name: "default lends a provider's address to a role without a source",
			config: "[default]\nsaml_auth_url = https://idp\nsaml_username = u\n[profile a]\n" + role,
			want:   Profile{RoleARN: account + "role/R", SAMLAuthURL: "https://idp", SAMLUsername: "u"}},
		{name: "and to no other",
			config: "[default]\nsaml_auth_url = https://idp\n[profile b]\n[profile a]\nsource_profile = b\n" + role,
			want:   Profile{RoleARN: account + "role/R", Source: &Profile{Name: "b"}}},
		{name: "not through a source either",
			config: "[default]\nsaml_auth_url = https://idp\n[profile b]\n" + role + "[profile a]\nsource_profile = b\n" + role,
			want:   Profile{RoleARN: account + "role/R", Source: &Profile{Name: "b", RoleARN: account + "role/R", SAMLAuthURL: "https://idp"}}},
		{name: "nor to a plain profile", config: "[default]\nsaml_auth_url = https://idp\n[profile a]\n"},
		{name: "a source lends a provider's address", config: "[profile b]\nsaml_auth_url = https://idp\n[profile a]\nsource_profile = b\n" + role,
			want: Profile{RoleARN: account + "role/R", SAMLAuthURL: "https://idp", Source: &Profile{Name: "b", SAMLAuthURL: "https://idp"}}},
		{name: "one's own provider outranks that of default",
			config: "[default]\nsaml_auth_url = https://idp\n[profile a]\nweb_identity_auth_url = https://o\nweb_identity_client_id = c\nweb_identity_redirect_uri = app:/x\n" + role,
			want:   Profile{RoleARN: account + "role/R", WebIdentityAuthURL: "https://o", WebIdentityClientID: "c", WebIdentityRedirectURI: "app:/x"}},
		{name: "include", config: "[profile common]\nregion = r\nsource_profile = root\nrole_session_name = n\n[profile root]\ninclude_profile = common\n[profile a]\ninclude_profile = common\nregion = own\n" + role,
			want: Profile{RoleARN: account + "role/R", Region: "own", RoleSessionName: "n", Source: &Profile{Name: "root", Region: "r", RoleSessionName: "n"}}},
		{name: "include takes no keys", config: "[profile a]\ninclude_profile = b\n", credentials: "[b]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n"},
		{name: "bare section", config: "[a]\nregion = r\n", want: Profile{Region: "r"}},
		{name: "[profile a] voids [a]", config: "[a]\nregion = no\nmfa_type = push\n[profile a]\nregion = r\n[a]\nregion = no\n", want: Profile{Region: "r"}},
		{name: "tags", config: "[profile a]\nsession_tags = Team = x , Cost=1=2\ntransitive_session_tags = Team, Cost\nsource_identity = me\n",
			want: Profile{SessionTags: map[string]string{"Team": "x", "Cost": "1=2"}, TransitiveTags: []string{"Team", "Cost"}, SourceIdentity: "me"}},
		{name: "bare ARN", profile: account + "role/x/R", config: "[default]\nregion = r\nendpoint_url = http://e\n", credentials: "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n",
			want: Profile{RoleARN: account + "role/x/R", Region: "r", EndpointURL: "http://e", Source: &Profile{Name: "default", Region: "r", EndpointURL: "http://e", Keys: &Keys{AccessKeyID: "AKIA1", SecretAccessKey: "s"}}}},
		{name: "bare ARN and no files", profile: "arn:aws-us-gov:iam::1:role/R",
			want: Profile{RoleARN: "arn:aws-us-gov:iam::1:role/R", Source: &Profile{Name: "default"}}},
		{name: "bare ARN by the provider of default", profile: account + "role/R", config: "[default]\nsaml_auth_url = https://idp\n",
			want: Profile{RoleARN: account + "role/R", SAMLAuthURL: "https://idp"}},
		{name: "default needs no section", profile: "default"},
		{name: "fips, dual stack, bundle", config: "[profile a]\nuse_fips_endpoint = True\nuse_dualstack_endpoint=true\nca_bundle = ~/ca.pem\n",
			want: Profile{UseFIPS: true, UseDualStack: true, CABundle: "HOME/ca.pem"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := home(t, tt.config, tt.credentials)
			c, err := Load(nil, dir)
			if err != nil {
				t.Fatal(err)
			}
			if tt.profile == "" {
				tt.profile = "a"
			}
			got := resolve(t, c, tt.profile, Options{})
			want := &tt.want
			want.Name = tt.profile
			for l := want; l != nil; l = l.Source {
				l.SessionDuration, l.RoleDuration = 12*time.Hour, time.Hour
			}
			for _, f := range []*string{&got.CABundle, &got.WebIdentityTokenFile} {
				if rest, ok := strings.CutPrefix(*f, dir); ok {
					*f = "HOME" + filepath.ToSlash(rest)
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Profile{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every variable of the original, and that a flag's outranks the attribute's.
func TestVariables(t *testing.T) {
	c := load(t, "[profile a]\nrole_arn = "+account+"role/R\nweb_identity_token_file = /t\n", "")
	for _, tt := range []struct {
		env  []string
		attr string
		want string
	}{
		{[]string{"CREDENTIALS_DURATION", "7200"}, "credentials_duration", "7200 (CREDENTIALS_DURATION)"},
		{[]string{"SESSION_TOKEN_DURATION", "20m"}, "session_token_duration", "20m (SESSION_TOKEN_DURATION)"},
		{[]string{"DURATION_SECONDS", "900"}, "duration_seconds", "900 (DURATION_SECONDS)"},
		{[]string{"EXTERNAL_ID", " x "}, "external_id", "x (EXTERNAL_ID)"},
		{[]string{"MFA_SERIAL", "GAHT12345678"}, "mfa_serial", "GAHT12345678 (MFA_SERIAL)"},
		{[]string{"MFA_TYPE", "PUSH"}, "mfa_type", "PUSH (MFA_TYPE)"},
		{[]string{"AWS_DEFAULT_REGION", "d"}, "region", "d (AWS_DEFAULT_REGION)"},
		{[]string{"AWS_DEFAULT_REGION", "d", "AWS_REGION", "r"}, "region", "r (AWS_REGION)"},
		{[]string{"AWS_ROLE_SESSION_NAME", "n"}, "role_session_name", "n (AWS_ROLE_SESSION_NAME)"},
		{[]string{"JUMP_ROLE_ARN", account + "role/J"}, "jump_role_arn", account + "role/J (JUMP_ROLE_ARN)"},
		{[]string{"SAML_AUTH_URL", "https://s"}, "saml_auth_url", "https://s (SAML_AUTH_URL)"},
		{[]string{"SAML_ENTITYID", "e"}, "saml_auth_entityid", "e (SAML_ENTITYID)"},
		{[]string{"SAML_ENTITYID", "e", "SAML_ENTITY_ID", "f"}, "saml_auth_entityid", "f (SAML_ENTITY_ID)"},
		{[]string{"SAML_USERNAME", "u"}, "saml_username", "u (SAML_USERNAME)"},
		{[]string{"SAML_USERNAME", "u", "RUNAS_USERNAME", "r"}, "saml_username", "r (RUNAS_USERNAME)"},
		{[]string{"SAML_PROVIDER", "okta"}, "saml_provider", "okta (SAML_PROVIDER)"},
		{[]string{"WEB_PROVIDER", "okta"}, "saml_provider", "okta (WEB_PROVIDER)"},
		{[]string{"WEB_IDENTITY_AUTH_URL", "https://w"}, "web_identity_auth_url", "https://w (WEB_IDENTITY_AUTH_URL)"},
		{[]string{"WEB_IDENTITY_AUTH_URL", "https://w", "WEB_AUTH_URL", "https://f"}, "web_identity_auth_url", "https://f (WEB_AUTH_URL)"},
		{[]string{"WEB_IDENTITY_USERNAME", "u"}, "web_identity_username", "u (WEB_IDENTITY_USERNAME)"},
		{[]string{"WEB_IDENTITY_USERNAME", "u", "WEB_USERNAME", "w"}, "web_identity_username", "w (WEB_USERNAME)"},
		{[]string{"WEB_IDENTITY_PROVIDER", "p"}, "web_identity_provider", "p (WEB_IDENTITY_PROVIDER)"},
		{[]string{"WEB_IDENTITY_CLIENT_ID", "c"}, "web_identity_client_id", "c (WEB_IDENTITY_CLIENT_ID)"},
		{[]string{"WEB_IDENTITY_CLIENT_ID", "c", "WEB_CLIENT_ID", "d"}, "web_identity_client_id", "d (WEB_CLIENT_ID)"},
		{[]string{"WEB_IDENTITY_REDIRECT_URI", "c"}, "web_identity_redirect_uri", "c (WEB_IDENTITY_REDIRECT_URI)"},
		{[]string{"WEB_IDENTITY_REDIRECT_URI", "c", "WEB_REDIRECT_URI", "d"}, "web_identity_redirect_uri", "d (WEB_REDIRECT_URI)"},
		{[]string{"AWS_WEB_IDENTITY_TOKEN_FILE", "/x"}, "web_identity_token_file", "/x (AWS_WEB_IDENTITY_TOKEN_FILE)"},
		{[]string{"FEDERATED_USERNAME", "u"}, "federated_username", "u (FEDERATED_USERNAME)"},
		{[]string{"AUTH_BROWSER", "chrome"}, "auth_browser", "chrome (AUTH_BROWSER)"},
		{[]string{"AWS_ENDPOINT_URL", "http://e"}, "endpoint_url", "http://e (AWS_ENDPOINT_URL)"},
		{[]string{"AWS_USE_FIPS_ENDPOINT", "true"}, "use_fips_endpoint", "true (AWS_USE_FIPS_ENDPOINT)"},
		{[]string{"AWS_USE_DUALSTACK_ENDPOINT", "true"}, "use_dualstack_endpoint", "true (AWS_USE_DUALSTACK_ENDPOINT)"},
		{[]string{"AWS_CA_BUNDLE", "/ca"}, "ca_bundle", "/ca (AWS_CA_BUNDLE)"},
	} {
		t.Run(strings.Join(tt.env, " "), func(t *testing.T) {
			p := resolve(t, c, "a", Options{Lookup: env(tt.env...)})
			for _, s := range p.Settings() {
				if s.Name == tt.attr {
					if got := s.Value + " (" + s.Origin.String() + ")"; got != tt.want {
						t.Errorf("got %s, want %s", got, tt.want)
					}
					return
				}
			}
			t.Errorf("%s is not set:\n%s", tt.attr, explain(p))
		})
	}
}

func TestEndpoints(t *testing.T) {
	c := load(t, `[profile a]
endpoint_url = http://all
services = s
[profile b]
source_profile = a
[profile off]
endpoint_url = http://all
ignore_configured_endpoint_urls = true
[services s]
# a comment
sts =
  endpoint_url = http://sts
  # another
s3 =
	addressing_style = path
	endpoint_url = http://s3 
`, "")
	for _, tt := range []struct {
		profile, service string
		env              []string
		want             string
	}{
		{"a", "sts", nil, "http://sts"},
		{"a", "iam", nil, "http://all"},
		{"b", "s3", nil, "http://s3"},
		{"a", "sts", []string{"AWS_ENDPOINT_URL", "http://env"}, "http://env"},
		{"a", "sts", []string{"AWS_ENDPOINT_URL", "http://env", "AWS_ENDPOINT_URL_STS", "http://envsts"}, "http://envsts"},
		{"a", "sso_oidc", []string{"AWS_ENDPOINT_URL_SSO_OIDC", "http://o"}, "http://o"},
		{"a", "sts", []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", "AWS_ENDPOINT_URL_STS", "http://envsts"}, ""},
		{"off", "sts", []string{"AWS_ENDPOINT_URL", "http://env"}, ""},
	} {
		p := resolve(t, c, tt.profile, Options{Lookup: env(tt.env...)})
		if got := p.Endpoint(tt.service); got != tt.want {
			t.Errorf("%s %s with %v: got %q, want %q", tt.profile, tt.service, tt.env, got, tt.want)
		}
	}
	for _, tt := range []struct {
		env  []string
		want map[string]string
	}{
		{nil, map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_STS": "http://sts", "AWS_ENDPOINT_URL_S3": "http://s3"}},
		{[]string{"AWS_ENDPOINT_URL_S3", "http://e"}, map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_STS": "http://sts"}},
		{[]string{"AWS_ENDPOINT_URL", "http://env"}, map[string]string{}},
		{[]string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}, map[string]string{}},
	} {
		if diff := cmp.Diff(tt.want, resolve(t, c, "b", Options{Lookup: env(tt.env...)}).EndpointVariables()); diff != "" {
			t.Error(tt.env, diff)
		}
	}
}

// What is wrong with a configuration, and where.
func TestResolveErrors(t *testing.T) {
	role := "role_arn = " + account + "role/R\n"
	for _, tt := range []struct {
		name, config, credentials string
		profile                   string
		options                   Options
		want, hint                string
	}{
		{name: "unknown", config: "[profile prod]\n", profile: "prdo",
			want: `profile "prdo" is not configured in ~/.aws/config (~/.aws/credentials does not exist)`, hint: `did you mean "prod"?`},
		{name: "unknown and nothing near", config: "[profile prod]\n", credentials: "[x]\n", profile: "elephant",
			want: `profile "elephant" is not configured in ~/.aws/config or ~/.aws/credentials`, hint: "aws-runas list profiles"},
		{name: "unknown without files", profile: "a",
			want: `profile "a" is not configured in ~/.aws/config or ~/.aws/credentials: neither exists`},
		{name: "cycle", config: "[profile z]\nsource_profile = a\n[profile a]\nsource_profile = b\n[profile b]\nsource_profile = c\n[profile c]\nsource_profile = a\n", profile: "z",
			want: `~/.aws/config:8 [profile c]: source_profile goes in a circle: "a" -> "b" -> "c" -> "a"`, hint: "edit line 8 of ~/.aws/config"},
		{name: "include cycle", config: "[profile a]\ninclude_profile = b\n[profile b]\ninclude_profile = a\n",
			want: `~/.aws/config:4 [profile b]: include_profile goes in a circle: "a" -> "b" -> "a"`, hint: "edit line 4 of ~/.aws/config"},
		{name: "unknown source", config: "[profile base]\n[profile a]\nsource_profile = bsae\n" + role,
			want: `~/.aws/config:3 [profile a]: source_profile "bsae" is not configured in ~/.aws/config (~/.aws/credentials does not exist)`,
			hint: "write source_profile = base in line 3 of ~/.aws/config"},
		{name: "two sources", config: "[profile a]\nsource_profile = b\ncredential_source = Environment\n" + role + "[profile b]\n",
			want: `~/.aws/config:2 [profile a]: source_profile "b" together with credential_source "Environment" (~/.aws/config:3 [profile a])`, hint: "edit line 2 of ~/.aws/config"},
		{name: "credential_source", config: "[profile a]\ncredential_source = environment\n" + role,
			want: `~/.aws/config:2 [profile a]: credential_source "environment" is not Environment, Ec2InstanceMetadata or EcsContainer`, hint: "edit line 2 of ~/.aws/config"},
		{name: "role_arn", config: "[profile a]\nrole_arn = arn:aws:iam::1:user/x\n",
			want: `~/.aws/config:2 [profile a]: role_arn "arn:aws:iam::1:user/x" is not a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)`, hint: "edit line 2 of ~/.aws/config"},
		{name: "role_arn with rubbish behind it", config: "[profile a]\nrole_arn = " + account + "role/x y\n",
			want: `~/.aws/config:2 [profile a]: role_arn "arn:aws:iam::123456789012:role/x y" is not a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)`, hint: "edit line 2 of ~/.aws/config"},
		{name: "mfa_serial", config: "[profile a]\n", options: Options{Lookup: env("MFA_SERIAL", "arn:aws:iam::1:role/x")},
			want: `MFA_SERIAL: mfa_serial "arn:aws:iam::1:role/x" is not an MFA device's ARN (arn:aws:iam::ACCOUNT:mfa/NAME) or serial number`},
		{name: "mfa_type", config: "[profile a]\nmfa_type = sms\n",
			want: `~/.aws/config:2 [profile a]: mfa_type "sms" is not auto, code, push or none`, hint: "edit line 2 of ~/.aws/config"},
		{name: "duration", config: "[profile a]\ncredentials_duration = 1 hour\n",
			want: `~/.aws/config:2 [profile a]: credentials_duration "1 hour" is no duration: write 1h30m, or a number of seconds`, hint: "edit line 2 of ~/.aws/config"},
		{name: "role too long", config: "[default]\n\nduration_seconds = 43201\n[profile a]\n",
			want: `~/.aws/config:3 [default]: duration_seconds "43201" is out of range: 15m to 12h`, hint: "edit line 3 of ~/.aws/config"},
		{name: "session too long", config: "[profile a]\n", options: Options{Flags: []Flag{{"session_token_duration", "37h", "--duration"}}},
			want: `--duration: session_token_duration "37h" is out of range: 15m to 36h`},
		{name: "role too short", config: "[profile a]\n", options: Options{Lookup: env("CREDENTIALS_DURATION", "-1s")},
			want: `CREDENTIALS_DURATION: credentials_duration "-1s" is out of range: 15m to 12h`},
		{name: "no such overflow", config: "[profile a]\nduration_seconds = 9223372036854775807\n",
			want: `~/.aws/config:2 [profile a]: duration_seconds "9223372036854775807" is out of range: 15m to 12h`, hint: "edit line 2 of ~/.aws/config"},
		{name: "half a key", credentials: "[a]\naws_access_key_id = AKIA1\n",
			want: `~/.aws/credentials:2 [a]: aws_access_key_id without aws_secret_access_key`, hint: "edit line 2 of ~/.aws/credentials"},
		{name: "the other half", credentials: "[a]\naws_secret_access_key = secret\n",
			want: `~/.aws/credentials:2 [a]: aws_secret_access_key without aws_access_key_id`, hint: "edit line 2 of ~/.aws/credentials"},
		{name: "two providers", config: "[profile a]\nsaml_auth_url = https://s\nweb_identity_auth_url = https://o\n",
			want: `~/.aws/config:2 [profile a]: saml_auth_url together with web_identity_auth_url (~/.aws/config:3 [profile a])`, hint: "edit line 2 of ~/.aws/config"},
		{name: "oidc without client", config: "[profile a]\nweb_identity_auth_url = https://o\n" + role,
			want: `~/.aws/config:2 [profile a]: web_identity_auth_url without web_identity_client_id`, hint: "edit line 2 of ~/.aws/config"},
		{name: "no such sso session", config: "[profile a]\nsso_session = s\n",
			want: `~/.aws/config:2 [profile a]: sso_session "s": there is no [sso-session s]`, hint: "edit line 2 of ~/.aws/config"},
		{name: "sso session disagrees", config: "[profile a]\nsso_session = s\nsso_region = b\n[sso-session s]\nsso_region = c\n",
			want: `~/.aws/config:3 [profile a]: sso_region "b" is not that of the session, "c" (~/.aws/config:5 [sso-session s])`, hint: "edit line 3 of ~/.aws/config"},
		{name: "sso session has another address", config: "[profile a]\nsso_session = s\nsso_start_url = https://u:pw@a\n[sso-session s]\nsso_start_url = https://b/?k=secret\n",
			want: `~/.aws/config:3 [profile a]: sso_start_url "https://a" is not that of the session, "https://b/?k=[redacted]" (~/.aws/config:5 [sso-session s])`, hint: "edit line 3 of ~/.aws/config"},
		{name: "sso lacks something", config: "[profile a]\nsso_account_id = 1\nsso_role_name = r\nsso_region = c\n",
			want: `~/.aws/config:2 [profile a]: the sign-in by IAM Identity Center lacks sso_start_url`, hint: "edit line 2 of ~/.aws/config"},
		{name: "no such services", config: "[profile a]\nservices = s\n",
			want: `~/.aws/config:2 [profile a]: services "s": there is no [services s]`, hint: "edit line 2 of ~/.aws/config"},
		{name: "boolean", config: "[profile a]\nuse_fips_endpoint = yes\n",
			want: `~/.aws/config:2 [profile a]: use_fips_endpoint "yes" is neither true nor false`, hint: "edit line 2 of ~/.aws/config"},
		{name: "tags", config: "[profile a]\nsession_tags = a\n",
			want: `~/.aws/config:2 [profile a]: session_tags "a" is no list of tags: write name=value,name=value`, hint: "edit line 2 of ~/.aws/config"},
		{name: "continued", config: "[profile a]\nregion = eu-west-1\n  output = json\n",
			want: `~/.aws/config:2 [profile a]: the value of region goes on in line 3, which is indented`, hint: "edit line 2 of ~/.aws/config"},
		{name: "strange quote", config: "[profile a]\nregion = `x\n",
			want: "~/.aws/config:2 [profile a]: the value of region begins with a quote that AWS's tools do not know", hint: "edit line 2 of ~/.aws/config"},
		{name: "in a source", config: "[profile a]\nsource_profile = b\n" + role + "[profile b]\nduration_seconds = x\n",
			want: `~/.aws/config:5 [profile b]: duration_seconds "x" is no duration: write 1h30m, or a number of seconds`, hint: "edit line 5 of ~/.aws/config"},
		{name: "flag", config: "[profile a]\n", options: Options{Flags: []Flag{{"colour", "x", "--colour"}}},
			want: `--colour: overrides "colour", which is no setting`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.profile == "" {
				tt.profile = "a"
			}
			_, err := load(t, tt.config, tt.credentials).Resolve(tt.profile, tt.options)
			if err == nil {
				t.Fatal("no error")
			}
			e := fails(t, err)
			if got := strings.ReplaceAll(err.Error(), `\`, "/"); got != tt.want && runtime.GOOS != "windows" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := e.Hint(); got != tt.hint {
				t.Errorf("got hint %q, want %q", got, tt.hint)
			}
			var u *UnknownError
			if want := strings.HasPrefix(tt.name, "unknown") && tt.name != "unknown source"; errors.As(err, &u) != want || want && u.Name != tt.profile {
				t.Errorf("the unknown profile is %v", u)
			}
		})
	}
}

func TestSecretsStayOut(t *testing.T) {
	c := load(t, "[profile a]\nsaml_auth_url = https://u:hunter2@x.onelogin.com/y?token=TOKEN&app_id=1#/\n",
		"[a]\naws_access_key_id = AKIA1\naws_secret_access_key = SECRET\naws_session_token = SESSION\n")
	p := resolve(t, c, "a", Options{})
	out := explain(p) + fmt.Sprintf("%v %+v %#v %s %q %d", p, *p, c, p.Keys, *p.Keys, p.Keys) + fmt.Sprint(c, p.Keys.LogValue(), *p)
	json, err := p.Keys.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	out += string(json)
	for _, s := range []string{"SECRET", "SESSION"} {
		if strings.Contains(out, s) {
			t.Errorf("%s is in the output: %s", s, out)
		}
	}
	for _, s := range []string{"hunter2", "TOKEN"} {
		if strings.Contains(explain(p), s) {
			t.Errorf("%s is in the explanation: %s", s, explain(p))
		}
	}
	if want := "saml_auth_url = https://x.onelogin.com/y?token=[redacted]&app_id=[redacted]#/ ("; !strings.Contains(explain(p), want) {
		t.Errorf("%s is not in %s", want, explain(p))
	}
	if !strings.Contains(explain(p), "aws_access_key_id = AKIA1") || !strings.Contains(explain(p), "aws_secret_access_key = [redacted] (~/.aws/credentials:3 [a])") {
		t.Errorf("got %s", explain(p))
	}
}

func TestShown(t *testing.T) {
	for address, want := range map[string]string{
		"https://idp.test/a%2Fb?":                     "https://idp.test/a%2Fb?",
		"https://TOKEN@idp.test:8443/x":               "https://idp.test:8443/x",
		"https://idp.test/?client_secret=a&SECRET&c=": "https://idp.test/?client_secret=[redacted]&[redacted]&c=[redacted]",
		"https://idp.test/start/#/":                   "https://idp.test/start/#/",
		"idp.test/saml":                               "idp.test/saml",
		"user:SECRET@idp.test":                        "[redacted]",
		"https://user:SE/CRET@idp.test":               "[redacted]",
	} {
		if got := Shown(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	c := load(t, `[default]
[profile b]
[a]
[profile "with space"]
[profile 'it is']
[profile two words]
[profile ../..]
[profile x/y@z:1]
[profile brücke]
[profile it's]
[profile a]b]
[profile c] # a comment [with brackets]
[sso-session s]
[services t]
[plugins]
[preview]
[profile ]
[profile b]
`, "[keys]\n[b]\n[b-awsrunas]\n[https://idp.example/x]\n[profile no]\n")
	want := []string{"../..", "a", "a]b", "b", "brücke", "c", "default", "it is", "it's", "keys", "two words", "with space", "x/y@z:1"}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.Names()); diff != "" {
		t.Error(diff)
	}
	for _, n := range append(want, "b-awsrunas") {
		if !c.Has(n) {
			t.Errorf("%q is not there", n)
		}
		if _, err := c.Resolve(n, Options{}); err != nil {
			t.Error(err)
		}
	}
	if !load(t, "", "").Has("default") {
		t.Error("default needs a section")
	}
	for _, n := range []string{"", "s", "t", "plugins", "no", "https://idp.example/x", "profile b", "B"} {
		if c.Has(n) {
			t.Errorf("%q is there", n)
		}
	}
}

func TestClosest(t *testing.T) {
	c := load(t, "[profile prod]\n[profile staging]\n[profile dev]\n[x]\n", "")
	for name, want := range map[string]string{
		"prdo": "prod", "PROD": "prod", "prood": "prod", "stagign": "staging", "stging": "staging", "de": "dev", "devv": "dev",
		"ops": "", "ls": "", "y": "", "": "", strings.Repeat("prod", 1000): "",
	} {
		if got := c.Closest(name); got != want {
			t.Errorf("%.20q: got %q, want %q", name, got, want)
		}
	}
}

func TestSummaries(t *testing.T) {
	c := load(t, `[default]
region = r
[profile role]
role_arn = arn:aws-cn:iam::42:role/R
source_profile = k
mfa_serial = arn:aws-cn:iam::42:mfa/u
[profile sso]
sso_session = s
sso_account_id = 007
sso_role_name = R
[profile saml]
saml_auth_url = https://idp
role_arn = `+account+`role/S
[profile oidc]
web_identity_auth_url = https://o
[profile proc]
credential_process = p
[role]
region = void
[profile broken]
role_arn = nonsense
REGION = "x" # comment
  source_profile = of the line above
`, "[k]\naws_access_key_id = AKIA\naws_secret_access_key = s\n")
	want := []Summary{
		{Name: "broken", Kind: KindRole, RoleARN: "nonsense", Region: "x"},
		{Name: "default", Kind: KindSession, Region: "r"},
		{Name: "k", Kind: KindKeys},
		{Name: "oidc", Kind: KindOIDC},
		{Name: "proc", Kind: KindProcess},
		{Name: "role", Kind: KindRole, RoleARN: "arn:aws-cn:iam::42:role/R", Account: "42", SourceProfile: "k", MFASerial: "arn:aws-cn:iam::42:mfa/u"},
		{Name: "saml", Kind: KindSAML, RoleARN: account + "role/S", Account: "123456789012"},
		{Name: "sso", Kind: KindSSO, Account: "007", SSORoleName: "R"},
	}
	if diff := cmp.Diff(want, c.Summaries()); diff != "" {
		t.Error(diff)
	}
}

func TestSummariesOf(t *testing.T) {
	c := load(t, `[profile "a b"]
region = late
[profile a-awsrunas]
region = mine
[a]
region = void
[profile ""]
region = none
[b]
region = other
[profile a]
role_arn = R
["a]
region = bare
`, "[a]\nregion = wins\n[a-awsrunas]\nregion = written\n[ab-awsrunas]\nregion = written\n")
	want := []Summary{
		{Name: "a", Kind: KindRole, RoleARN: "R", Region: "wins"},
		{Name: "a b", Kind: KindSession, Region: "late"},
		{Name: "a-awsrunas", Kind: KindSession, Region: "written"},
	}
	if diff := cmp.Diff(want, slices.Collect(c.SummariesOf("a"))); diff != "" {
		t.Error(diff)
	}
	if got := slices.Collect(c.SummariesOf(`"`)); len(got) != 1 || got[0].Name != `"a` {
		t.Errorf("%+v", got)
	}
}

func TestWithoutCredentials(t *testing.T) {
	const config = "\ufeff# top\r\n[default]\r\nregion = r\r\nROLE_ARN = x\r\n   ; inner\r\nsource_profile: y\r\n\r\n" +
		"[profile a]\r\n  aws_access_key_id = AKIA\r\n  aws_secret_access_key = s\r\n  credential_process = a \\\r\n\r\n     # no\r\n     --more\r\n  s3 =\r\n    role_arn = nested, no setting\r\n" +
		"[sso-session s]\r\nsso_region = kept\r\n[services v]\r\nsts =\r\n  endpoint_url = http://x\r\n[b]\r\nlogin_session = l\r\noutput = json"
	const want = "\ufeff# top\r\n[default]\r\nregion = r\r\n   ; inner\r\n\r\n" +
		"[profile a]\r\n  s3 =\r\n    role_arn = nested, no setting\r\n" +
		"[sso-session s]\r\nsso_region = kept\r\n[services v]\r\nsts =\r\n  endpoint_url = http://x\r\n[b]\r\noutput = json"
	c := load(t, config, "")
	got, err := c.WithoutCredentials()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if !c.DefaultYieldsCredentials() {
		t.Error("[default] yields credentials")
	}
	if load(t, want, "[default]\naws_access_key_id = in the other file\n").DefaultYieldsCredentials() {
		t.Error("[default] yields none any more")
	}
}

func TestLoad(t *testing.T) {
	dir := home(t, "[profile a]\nregion = x\n", "")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("[profile b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("nested use outranks the variables of AWS", func(t *testing.T) {
		c, err := Load(env("AWSRUNAS_CONFIG_FILE", "~/.aws/config", "AWS_CONFIG_FILE", other, "AWSRUNAS_CREDENTIALS_FILE", other, "AWS_SHARED_CREDENTIALS_FILE", os.DevNull), dir)
		if err != nil {
			t.Fatal(err)
		}
		if c.ConfigFile() != filepath.Join(dir, ".aws", "config") || c.CredentialsFile() != other || !c.Has("a") {
			t.Errorf("got %s and %s", c.ConfigFile(), c.CredentialsFile())
		}
	})
	t.Run("variables", func(t *testing.T) {
		c, err := Load(env("AWS_CONFIG_FILE", other, "AWS_SHARED_CREDENTIALS_FILE", os.DevNull), dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"b"}, c.Names()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("no home", func(t *testing.T) {
		c, err := Load(nil, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Resolve("a", Options{})
		if got, want := fails(t, err).Error(), `profile "a" is not configured in any file: there is no home directory`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("directory", func(t *testing.T) {
		_, err := Load(env("AWS_CONFIG_FILE", dir), dir+"x")
		if err == nil || !strings.HasSuffix(err.Error(), ": is a directory, not a file") {
			t.Errorf("got %v", err)
		}
		fails(t, err)
	})
	t.Run("unreadable", func(t *testing.T) {
		if runtime.GOOS == "windows" || os.Geteuid() == 0 {
			t.Skip("root reads every file")
		}
		shut := filepath.Join(dir, "shut")
		if err := os.WriteFile(shut, nil, 0); err != nil {
			t.Fatal(err)
		}
		_, err := Load(env("AWS_CONFIG_FILE", shut), dir)
		e := fails(t, err)
		if err.Error() != "~/shut: cannot be read: permission denied" || e.Hint() != "chmod u+r ~/shut" {
			t.Errorf("got %v, hint %s", err, e.Hint())
		}
	})
}

// Files that are broken, with the line.
func TestBrokenFiles(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unclosed header", "[profile a]\n\n[profile b\nregion = x\n", `~/.aws/config:3: a section header without its closing bracket`},
		{"text behind header", "[profile a] region = x\n", `~/.aws/config:1: a section header without its closing bracket`},
		{"no delimiter", "[profile a]\naws_secret_access_key SECRET\n", `~/.aws/config:2: neither a section nor a setting (name = value)`},
		{"no name", "[profile a]\n = SECRET\n", `~/.aws/config:2: a setting without a name`},
		{"before any section", "# x\nregion = x\n", `~/.aws/config:2: a setting before the first section`},
		{"no section name", "[ ]\n", `~/.aws/config:1: a section without a name`},
		{"nul", "[profile a]\nregion = x\x00\n", `~/.aws/config:2: a NUL byte`},
		{"utf-16", "\xff\xfe[\x00a\x00]\x00", `~/.aws/config:1: the file is UTF-16: save it as UTF-8`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(nil, home(t, tt.text, ""))
			if err == nil {
				t.Fatal("no error")
			}
			fails(t, err)
			if got := err.Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Files that are odd, and right.
func TestOddFiles(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct{ name, text, want string }{
		{"crlf", "[profile a]\r\nregion = x\r\n", "x"},
		{"bom", "\ufeff[profile a]\nregion = x\n", "x"},
		{"no final newline", "[profile a]\nregion = x", "x"},
		{"sections merge, the last counts", "[profile a]\nregion = x\nmfa_type = auto\n[profile b]\n[profile \"a\"]\nregion = y\n", "y"},
		{"settings, the last counts", "[profile a]\nregion = x\nregion = y\n", "y"},
		{"an empty one does not", "[profile a]\nregion = x\n[profile a]\nregion =\n", "x"},
		{"comment", "[profile a]\nregion = x # y\n", "x"},
		{"comment after a tab", "[profile a]\nregion = x\t; y # z\n", "x"},
		{"nothing but a comment", "[profile a]\nregion = # y\n", ""},
		{"no comment", "[profile a]\nregion = x#y;z\n", "x#y;z"},
		{"quoted", "[profile a]\nregion = \"x # y\" # z\n", "x # y"},
		{"unclosed quote", "[profile a]\nregion = \"x # y\n", "\"x"},
		{"indented section", "[profile a]\n\toutput = y\n\tregion = x\n\n", "x"},
		{"indented header", "  [profile a]\n  region = x\n", "x"},
		{"colon", "[profile a]\nregion: x\n", "x"},
		{"case", "[profile a]\nReGion = x\n", "x"},
		{"nested", "[profile a]\ns3 =\n  region = no\n\n  # c\n  x = y\nregion = x\n", "x"},
		{"bracket in a continuation", "[profile a]\nregion = x\ns3 =\n  [profile a]\n  region = y\n", "x"},
		{"tab in header", "[profile\ta]\nregion = x\n", "x"},
		{"blanks in header", "[ profile   a ]\nregion = x\n", "x"},
		{"comment at header", "[profile a]# [b]\nregion = x\n", "x"},
		{"backslash at the end", "[profile a]\noutput = y\\\nregion = x\n", "x"},
		{"interpolation", "[profile a]\nregion = %(x)s\n", "%(x)s"},
		{"backquote elsewhere", "[profile a]\ncli_history = `\nregion = x\n", "x"},
		{"dotted names do not inherit", "[profile a]\nregion = x\n[profile a.b]\nregion = y\n", "x"},
		{"long line", "[profile a]\nregion = " + long + "\n", long},
		{"long name", "[profile " + long + "]\n[profile a]\nregion = x\n", "x"},
		{"not UTF-8", "[profile a]\n# caf\xe9\nregion = x\n", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := resolve(t, load(t, tt.text, ""), "a", Options{}).Region; got != tt.want {
				t.Errorf("got %.40q, want %.40q", got, tt.want)
			}
		})
	}
	t.Run("a command keeps its quotes and goes on", func(t *testing.T) {
		p := resolve(t, load(t, "[profile a]\ncredential_process = \"/a b\"\n  --x 'y # z' # comment\nmfa_process = 'pass otp'\n", ""), "a", Options{})
		if p.CredentialProcess != `"/a b" --x 'y # z' # comment` || p.MFAProcess != "'pass otp'" {
			t.Errorf("got %q and %q", p.CredentialProcess, p.MFAProcess)
		}
	})
}

func TestWarnings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	dir := home(t, "[profile a]\n", "[a]\naws_access_key_id = A\naws_secret_access_key = s\n")
	warnings := func() []string {
		c, err := Load(nil, dir)
		if err != nil {
			t.Fatal(err)
		}
		return c.Readable()
	}
	if got := warnings(); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	for _, f := range []string{"config", "credentials"} {
		if err := os.Chmod(filepath.Join(dir, ".aws", f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, ".aws", "credentials"), 0o640); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, ".aws", "credentials")}
	if diff := cmp.Diff(want, warnings()); diff != "" {
		t.Error(diff)
	}
}

func TestIsRoleARN(t *testing.T) {
	for arn, want := range map[string]bool{
		account + "role/R": true, "arn:aws-cn:iam::1:role/a/b/C+=,.@_-": true, "arn:aws-us-gov:iam::12345678901234:role/x": true,
		"": false, "role/R": false, account + "role/": false, account + "role/a/": false, account + "user/u": false,
		"arn:aws:iam:eu:1:role/R": false, "arn:aws:iam::x:role/R": false, "arn:aws:iam:::role/R": false,
		"arn:aws:sts::1:assumed-role/R/s": false, "arn::iam::1:role/R": false, "arn:gcp:iam::1:role/R": false, account + "role/R\n": false,
	} {
		if got := IsRoleARN(arn); got != want {
			t.Errorf("%q: got %v", arn, got)
		}
	}
}

func manyProfiles(n int) string {
	var b strings.Builder
	b.WriteString("[default]\nregion = eu-west-1\n\n")
	for i := range n {
		fmt.Fprintf(&b, "[profile team-%d]\nrole_arn = arn:aws:iam::123456789012:role/Admin%d\nsource_profile = base\nregion = eu-west-1\n\n", i, i)
	}
	b.WriteString("[profile base]\nmfa_serial = " + account + "mfa/u\n")
	return b.String()
}

func BenchmarkLoadAndResolve10000(b *testing.B) {
	dir := home(b, manyProfiles(10000), "")
	for b.Loop() {
		c, err := Load(nil, dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Resolve("team-9999", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNames10000(b *testing.B) {
	c := load(b, manyProfiles(10000), "")
	for b.Loop() {
		c.Names()
	}
}

func BenchmarkSummaries10000(b *testing.B) {
	c := load(b, manyProfiles(10000), "")
	for b.Loop() {
		c.Summaries()
	}
}

func BenchmarkLoadAndResolveSmall(b *testing.B) {
	dir := home(b, manyProfiles(5), "")
	for b.Loop() {
		c, err := Load(nil, dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Resolve("team-4", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

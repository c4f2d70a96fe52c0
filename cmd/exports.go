package cmd

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
	"aws-runas/shell"
)

// credentialVars and rivalVars are removed wherever credentials are put: the
// first are older names for the same thing or other sources that an SDK would
// look at, the second are the marks of other tools, which a prompt would go on
// showing.
var (
	credentialVars = []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		// The SDK for JavaScript skips keys while a profile is named.
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		// botocore prefers it, however old it is.
		"AWS_SECURITY_TOKEN",
		"AWS_ACCESS_KEY", "AWS_SECRET_KEY",
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_CREDENTIAL_EXPIRATION",
	}
	rivalVars = []string{
		"AWS_VAULT", "AWSU_PROFILE", "AWS_SSO_PROFILE", "AWS_SESSION_EXPIRATION", "AWSUME_EXPIRATION",
	}
	// markerVars say what the shell has; see docs/security.md.
	markerVars = []string{
		"AWSUME_PROFILE", "AWSRUNAS_PROFILE", "AWSRUNAS_ACCOUNT", "AWSRUNAS_KEY_ID", "AWSRUNAS_EXPIRES_AT",
		"AWSRUNAS_REFRESH_AT", "AWSRUNAS_RENEW", exportsVar,
	}
)

// settings are the variables that carry a profile's settings, as opposed to
// its credentials.
func settings(p *profile.Profile) map[string]string {
	set := map[string]string{}
	if p.Region != "" {
		set["AWS_REGION"], set["AWS_DEFAULT_REGION"] = p.Region, p.Region
	}
	for name, url := range p.EndpointVariables() {
		set[name] = url
	}
	if p.UseFIPS {
		set["AWS_USE_FIPS_ENDPOINT"] = "true"
	}
	if p.UseDualStack {
		set["AWS_USE_DUALSTACK_ENDPOINT"] = "true"
	}
	if p.CABundle != "" {
		set["AWS_CA_BUNDLE"] = p.CABundle
	}
	return set
}

// exports are what a shell is told so that it has c, the credentials of p.
func (a *app) exports(p *profile.Profile, c session.Credentials, renew renewal) shell.Change {
	set := settings(p)
	set["AWS_ACCESS_KEY_ID"] = c.AccessKeyID
	set["AWS_SECRET_ACCESS_KEY"] = c.SecretAccessKey
	if c.SessionToken != "" {
		set["AWS_SESSION_TOKEN"] = c.SessionToken
	}
	set["AWSUME_PROFILE"], set["AWSRUNAS_PROFILE"] = p.Name, p.Name
	set["AWSRUNAS_KEY_ID"] = c.AccessKeyID
	if account := c.Account(); account != "" {
		set["AWSRUNAS_ACCOUNT"] = account
	}
	if !c.Expires.IsZero() {
		set["AWS_CREDENTIAL_EXPIRATION"] = c.Expires.UTC().Format(time.RFC3339)
		set["AWSRUNAS_EXPIRES_AT"] = epoch(c.Expires)
		// Rounded up: a second too early, the cache would take them for fresh.
		set["AWSRUNAS_REFRESH_AT"] = epoch(session.RenewAt(c, session.Margin).Add(time.Second - 1))
		set["AWSRUNAS_RENEW"] = renew.String()
	}
	return a.change(set)
}

// change completes what is set by what has to go with it: foreign credentials,
// what an earlier run set and this one does not, and the list of it all.
func (a *app) change(set map[string]string) shell.Change {
	list := make([]string, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if theirs, ok := a.env.Lookup(name); ok && theirs == set[name] {
			continue // such as an AWS_REGION that decided which region this is
		}
		list = append(list, name+":"+valueHash(set[name]))
	}
	set[exportsVar] = strings.Join(list, ",")

	gone := map[string]bool{}
	for _, names := range [][]string{credentialVars, rivalVars, markerVars} {
		for _, name := range names {
			gone[name] = true
		}
	}
	for name := range a.env.ours {
		gone[name] = true
	}
	return shell.Change{Set: set, Unset: remaining(gone, set)}
}

// removal takes back what earlier runs set and nobody has changed since.
func (a *app) removal() shell.Change {
	gone := map[string]bool{}
	for _, name := range markerVars {
		// Those that are not ours alone go only if we set them.
		if strings.HasPrefix(name, "AWSRUNAS_") {
			gone[name] = true
		}
	}
	for name := range a.env.ours {
		gone[name] = true
	}
	return shell.Change{Unset: remaining(gone, nil)}
}

func remaining(gone map[string]bool, set map[string]string) []string {
	var names []string
	for name := range gone {
		if _, kept := set[name]; !kept {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func epoch(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// processJSON is the form of credential_process, version 1.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func processJSON(c session.Credentials) string {
	out := struct {
		Version         int
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string `json:",omitempty"`
		Expiration      string `json:",omitempty"`
	}{1, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, ""}
	if !c.Expires.IsZero() {
		out.Expiration = c.Expires.UTC().Format(time.RFC3339)
	}
	data, _ := json.Marshal(out)
	return string(data) + "\n"
}

// childSettings are the variables of a wrapped command that gets its
// credentials from the private endpoint at url.
func (a *app) childSettings(p *profile.Profile, c *profile.Config, url, token string) map[string]string {
	set := settings(p)
	set["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url
	set["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
	set["AWSRUNAS_PROFILE"] = p.Name
	// The second is the name in the older Java SDKs.
	set["AWS_SHARED_CREDENTIALS_FILE"], set["AWS_CREDENTIAL_PROFILES_FILE"] = os.DevNull, os.DevNull
	// An aws-runas in the child reads the real ones.
	set["AWSRUNAS_CONFIG_FILE"], set["AWSRUNAS_CREDENTIALS_FILE"] = c.ConfigFile(), c.CredentialsFile()
	return set
}

package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"aws-runas/session"
	"aws-runas/session/profile"
)

// Backend is what the servers know of profiles. Several goroutines call it at
// once.
type Backend interface {
	// Config returns what the AWS files say now, and the same pointer as
	// before while they are unchanged.
	Config() (*profile.Config, error)

	// Open resolves t and finds the way to its credentials, which asks ask and
	// nobody else. Open itself asks nobody and uses no network. The provider's
	// cache renews by [session.ServerMargin] and does not wait for a person
	// who is being asked elsewhere.
	Open(t Target, ask session.Asker) (*profile.Profile, session.Provider, error)

	// Save writes c into the config file as a profile of that name, and its
	// password, if it has one, into the keyring.
	Save(ctx context.Context, name string, c Custom) error
}

// A Target is what credentials are asked for.
type Target struct {
	Profile string  // a profile's name or a role's ARN
	Custom  *Custom // instead: settings that no file has
	Renew   bool    // nothing that was issued before will do
}

func (t Target) String() string {
	if t.Custom != nil {
		return t.Custom.RoleARN
	}
	return t.Profile
}

// Custom are the settings of the page's form, without a profile in a file. It
// prints without its password.
type Custom struct {
	Type          string // CustomIAM, CustomSAML or CustomOIDC
	RoleARN       string
	ExternalID    string
	SourceProfile string
	JumpRole      string
	AuthURL       string // of the identity provider
	Username      string
	Password      string // for Save alone; a sign-in gets it by its Asker
	ClientID      string
	RedirectURI   string
}

// The values of the form's field adv-type.
const (
	CustomIAM  = "iam"
	CustomSAML = "saml"
	CustomOIDC = "oidc"
)

// Settings are c as settings of a profile's section, those without a value
// left out. The password is none of them.
func (c Custom) Settings() []profile.KV {
	all := []profile.KV{
		{Key: "role_arn", Value: c.RoleARN},
		{Key: "external_id", Value: c.ExternalID},
	}
	switch c.Type {
	case CustomIAM:
		all = append(all, profile.KV{Key: "source_profile", Value: c.SourceProfile})
	case CustomSAML:
		all = append(all,
			profile.KV{Key: "jump_role_arn", Value: c.JumpRole},
			profile.KV{Key: "saml_auth_url", Value: c.AuthURL},
			profile.KV{Key: "saml_username", Value: c.Username})
	case CustomOIDC:
		all = append(all,
			profile.KV{Key: "jump_role_arn", Value: c.JumpRole},
			profile.KV{Key: "web_identity_auth_url", Value: c.AuthURL},
			profile.KV{Key: "web_identity_username", Value: c.Username},
			profile.KV{Key: "web_identity_client_id", Value: c.ClientID},
			profile.KV{Key: "web_identity_redirect_uri", Value: c.RedirectURI})
	}
	var set []profile.KV
	for _, kv := range all {
		if kv.Value != "" {
			set = append(set, kv)
		}
	}
	return set
}

// check reports what the form lacks. Whether the values make sense is the
// business of whoever resolves them.
func (c Custom) check() error {
	switch c.Type {
	case CustomIAM, CustomSAML, CustomOIDC:
	default:
		return fmt.Errorf("adv-type is %q, none of iam, saml and oidc", c.Type)
	}
	switch {
	case !profile.IsRoleARN(c.RoleARN):
		return fmt.Errorf("role-arn is %q, not the ARN of a role", c.RoleARN)
	case c.Type != CustomIAM && c.AuthURL == "":
		return errors.New("auth-url is missing")
	case c.Type == CustomOIDC && c.ClientID == "":
		return errors.New("client-id is missing")
	case c.Type == CustomOIDC && c.RedirectURI == "":
		return errors.New("redirect-uri is missing")
	}
	return nil
}

// Format prints what is no secret, whatever the verb.
func (c Custom) Format(f fmt.State, _ rune) { io.WriteString(f, "custom "+c.Type+" "+c.RoleARN) }

// LogValue is what Format prints.
func (c Custom) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalJSON is what Format prints.
func (c Custom) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", fmt.Sprint(c)), nil }

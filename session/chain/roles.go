package chain

import (
	"context"
	"strings"

	"aws-runas/session/profile"
	"aws-runas/session/saml"
)

// Role is a role that a person may take after a sign-in.
type Role struct {
	AccountID   string `json:"account"`
	AccountName string `json:"account_name,omitempty"`
	Name        string `json:"role"`
	ARN         string `json:"role_arn,omitempty"` // where the provider tells it
}

// Roles lists what the identity provider behind p offers to whoever signs in,
// which it asks for if need be. A profile without such a provider is a
// *[profile.Error].
func Roles(ctx context.Context, p *profile.Profile, d Deps) ([]Role, error) {
	b := newBuilder(p, d)
	for q := b.top; q != nil; q = q.Source {
		if q.SAMLAuthURL != "" {
			return samlRoles(ctx, b.saml(q))
		}
		if q.Keys != nil || q.SSOSession == "" && q.SSOStartURL == "" {
			continue
		}
		assignments, err := b.sso(q).Assignments(ctx)
		if err != nil {
			return nil, err
		}
		roles := make([]Role, len(assignments))
		for i, a := range assignments {
			roles[i] = Role{AccountID: a.AccountID, AccountName: a.AccountName, Name: a.RoleName}
		}
		return roles, nil
	}
	return nil, fault(p, "", "aws-runas list profiles", "profile %q is behind no identity provider that lists roles", p.Name)
}

// samlRoles are those that an assertion admits to.
func samlRoles(ctx context.Context, idp *saml.IDP) ([]Role, error) {
	a, err := idp.Assertion(ctx)
	if err != nil {
		return nil, err
	}
	var roles []Role
	for _, pair := range a.Roles {
		part := strings.SplitN(pair.RoleARN, ":", 6)
		if len(part) < 6 {
			continue
		}
		roles = append(roles, Role{AccountID: part[4], Name: part[5][strings.LastIndexByte(part[5], '/')+1:], ARN: pair.RoleARN})
	}
	return roles, nil
}

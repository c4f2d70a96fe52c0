package saml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"aws-runas/session"
)

// signOut ends the session at the provider where there is a documented way.
// SAML's own single logout is none: it takes the key of a service provider.
func (n *signing) signOut(ctx context.Context) error {
	root := &url.URL{Scheme: n.start.Scheme, Host: n.start.Host, Path: "/"}
	var status int
	var err error
	switch n.kind {
	case Okta:
		// https://developer.okta.com/docs/reference/api/sessions/#close-current-session
		status, err = n.v.call(ctx, "DELETE", root.JoinPath("/api/v1/sessions/me"), nil, nil, new(any))
	case ForgeRock:
		// https://docs.pingidentity.com/pingam/8/am-authentication/logout-using-rest.html
		base, realm, baseErr := n.forgeBase()
		if baseErr != nil {
			return baseErr
		}
		to := forgeRealm(base, realm, "sessions/")
		to.RawQuery = "_action=logout"
		status, err = n.v.call(ctx, "POST", to, http.Header{"Iplanetdirectorypro": {n.token}, "Accept-Api-Version": {"resource=3.1, protocol=1.0"}}, nil, new(any))
	case AzureAD:
		// https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request
		to := &url.URL{Scheme: "https", Host: "login.microsoftonline.com", Path: "/common/oauth2/v2.0/logout"}
		if kindOfHost(n.start.Hostname()) != AzureAD {
			to = root.JoinPath("/common/oauth2/v2.0/logout")
		}
		status, err = n.page(ctx, get(to))
	case Keycloak:
		before, after, ok := strings.Cut(n.start.EscapedPath(), "/realms/")
		if !ok {
			return nil
		}
		realm, _, _ := strings.Cut(after, "/")
		to, parseErr := n.start.Parse(before + "/realms/" + realm + "/protocol/openid-connect/logout")
		if parseErr != nil {
			return parseErr
		}
		to.RawQuery = ""
		status, err = n.page(ctx, get(to))
	}
	var unreachable *session.Unreachable
	switch {
	case errors.As(err, &unreachable):
		return err
	case err != nil:
		return fmt.Errorf("the session is forgotten here; ending it at %s failed: %w", n.start.Host, err)
	case status >= 400 && status != http.StatusNotFound && status != http.StatusUnauthorized:
		return &session.Refused{By: n.start.Host, Message: fmt.Sprintf("the session is forgotten here; ending it there failed with HTTP status %d", status)}
	}
	return nil
}

// page opens a sign-out page and confirms it where it asks.
func (n *signing) page(ctx context.Context, r *request) (int, error) {
	p, err := n.v.open(ctx, r)
	if err != nil {
		return 0, err
	}
	if p.document == nil || p.status >= 400 {
		return p.status, nil
	}
	for _, f := range p.form {
		if b := f.buttons(); f.onlyHidden() && len(b) > 0 {
			next, err := f.submit(b[0])
			if err != nil {
				return 0, err
			}
			if err := leads(p.url, next.url); err != nil {
				return 0, err
			}
			if p, err = n.v.open(ctx, next); err != nil {
				return 0, err
			}
			break
		}
	}
	return p.status, nil
}

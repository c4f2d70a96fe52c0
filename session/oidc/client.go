// Package oidc signs people in at an OpenID provider and keeps what that gave:
// an id_token, which AWS takes for the credentials of a role, and a refresh
// token, which brings the next one without asking anybody.
//
// A sign-in is an authorization code with PKCE (RFC 7636) in the browser of
// this machine (RFC 8252), or a code typed on another device (RFC 8628).
package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
	"aws-runas/session/signin"
)

// A Form signs in with a username and a password at the pages of a provider. It
// goes to authURL, and returns the address that it is then sent to, once that is
// at redirectURI, without going there.
type Form interface {
	Login(ctx context.Context, authURL, redirectURI string) (redirected string, err error)
}

// A Client is a client of an OpenID provider, on behalf of one user. All that
// have the same URL, ID and Username share a sign-in.
type Client struct {
	Cache *session.Cache
	AWS   *awsapi.API // for its proxy and certificate authorities; AWS is not called

	URL         string // the issuer's
	ID          string // the client's
	RedirectURI string
	Username    string // whom to sign in; "" leaves it to the provider's page

	Person *signin.Person
	// Form signs in in place of the person's browser. It has to where the redirect
	// URI is no loopback address, which no browser could come back to.
	Form Form
}

// idToken is the record of an id_token.
type idToken struct {
	Token   string    `json:"id_token"`
	User    string    `json:"user,omitempty"` // what it calls its subject
	Subject string    `json:"sub"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// Lifetime implements [session.Expiring].
func (t idToken) Lifetime() (issued, expires time.Time) { return t.Issued, t.Expires }

// Format keeps the token out of every message.
func (t idToken) Format(f fmt.State, _ rune) {
	io.WriteString(f, "id_token [redacted] of "+t.Subject)
}

// LogValue is what Format prints.
func (t idToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// grant is the record of a refresh token, which ends when the provider says so.
type grant struct {
	RefreshToken string `json:"refresh_token"`
	Subject      string `json:"sub"`
	Nonce        string `json:"nonce,omitempty"`
}

// Format keeps the token out of every message.
func (g grant) Format(f fmt.State, _ rune) {
	io.WriteString(f, "refresh token [redacted] of "+g.Subject)
}

// LogValue is what Format prints.
func (g grant) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(g)) }

// host is the provider for people.
func (c *Client) host() string {
	address := normal(c.address())
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// Identity is what the tokens stand for, as parts of a key.
func (c *Client) Identity(context.Context) ([]string, error) {
	return []string{"oidc", normal(c.address()), c.Username, c.ID}, nil
}

// key is that of one of the two records. It has the provider's name in place of
// a profile's: the profiles that share a sign-in must agree on it.
func (c *Client) key(what string) session.Key {
	parts, _ := c.Identity(context.Background()) // has no error
	return session.NewKey(session.KindIDP, c.host(), append(parts, what)...)
}

// margin is short: a token is as good to AWS in its last minute, and the next
// one may cost somebody a sign-in.
func margin(lifetime time.Duration) time.Duration { return min(time.Minute, lifetime/4) }

// Token returns an id_token that is alive and is not rejected, which may be
// empty, and what it calls its subject, which may be empty too. It asks a
// person to sign in where the refresh token does not help.
func (c *Client) Token(ctx context.Context, rejected string) (token, user string, err error) {
	cache := c.Cache.WithMargin(margin)
	t, err := session.Do(ctx, cache, c.key("id_token"), c.fetch)
	if err == nil && rejected != "" && t.Token == rejected {
		t, err = session.Do(ctx, cache.IssuedSince(t.Issued.Add(1)), c.key("id_token"), c.fetch)
	}
	if err != nil {
		return "", "", c.elsewhere(err)
	}
	if c.Username != "" {
		return t.Token, c.Username, nil
	}
	return t.Token, t.User, nil
}

// elsewhere names the profile that waits, where a key can only name the provider.
func (c *Client) elsewhere(err error) error {
	if needs, ok := err.(*session.Needs); ok && needs.Elsewhere {
		mine := *needs
		mine.Profile = c.AWS.Profile
		return &mine
	}
	return err
}

// Login makes sure that somebody is signed in, with force by signing in anew,
// and returns when the id_token ends; the zero time with a refresh token, which
// lasts for as long as the provider lets it.
func (c *Client) Login(ctx context.Context, force bool) (until time.Time, err error) {
	cache, fetch := c.Cache.WithMargin(margin), c.fetch
	if force {
		cache, fetch = cache.Renewing(), c.signInAnew
	}
	t, err := session.Do(ctx, cache, c.key("id_token"), fetch)
	if err != nil {
		return time.Time{}, c.elsewhere(err)
	}
	if _, err := session.Get[grant](ctx, c.Cache.Store, c.key("refresh_token")); err == nil {
		return time.Time{}, nil
	}
	return t.Expires, nil
}

// Logout forgets the sign-in, then asks the provider to revoke the refresh token
// (RFC 7009), where it can. Without a sign-in it does nothing.
func (c *Client) Logout(ctx context.Context) error {
	var g grant
	err := c.Cache.SignOut(ctx, c.key("id_token"), func(ctx context.Context) (err error) {
		if g, err = session.Get[grant](ctx, c.Cache.Store, c.key("refresh_token")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.Cache.Warn(err)
		}
		for _, what := range [...]string{"id_token", "refresh_token"} {
			if err := c.Cache.Store.Remove(ctx, c.key(what).String()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || g.RefreshToken == "" {
		return err
	}
	p, err := c.discover(ctx)
	if err != nil {
		return err
	}
	return p.revoke(ctx, g.RefreshToken)
}

// fetch gets an id_token by the refresh token, else by asking a person.
func (c *Client) fetch(ctx context.Context) (idToken, error) {
	g, err := session.Get[grant](ctx, c.Cache.Store, c.key("refresh_token"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.signInAnew(ctx)
	case err != nil:
		c.Cache.Warn(err)
		return c.signInAnew(ctx)
	}
	p, err := c.discover(ctx)
	if err != nil {
		return idToken{}, err
	}
	t, err := p.refresh(ctx, g)
	var silent *session.Unreachable
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &silent), ctx.Err() != nil:
		return idToken{}, err
	}
	c.Cache.Debug("the refresh token of %s is of no use: %v", c.host(), err)
	if err := c.Cache.Store.Remove(ctx, c.key("refresh_token").String()); err != nil {
		return idToken{}, err
	}
	return p.signIn(ctx)
}

func (c *Client) signInAnew(ctx context.Context) (idToken, error) {
	if !c.byForm() {
		if err := c.Person.Ready(); err != nil {
			return idToken{}, err // without a request
		}
	}
	p, err := c.discover(ctx)
	if err != nil {
		return idToken{}, err
	}
	return p.signIn(ctx)
}

func (c *Client) byForm() bool { return c.Form != nil || !signin.Loopback(c.RedirectURI) }

// keep stores the refresh token, as soon as it is there: the one before may be
// worth nothing from now on.
func (c *Client) keep(ctx context.Context, g grant) {
	if g.RefreshToken == "" {
		return
	}
	if err := session.Put(ctx, c.Cache.Store, c.key("refresh_token"), g); err != nil {
		c.Cache.Warn(fmt.Errorf("the next sign-in comes sooner: %w", err))
	}
}

// Advice is what to do when AWS refuses a token.
func (c *Client) Advice(code string) string {
	switch code {
	case "ExpiredTokenException", "InvalidIdentityToken":
		return fmt.Sprintf("IAM must have an identity provider of the URL %s and the audience %s", c.address(), c.ID)
	case "IDPCommunicationError":
		return "AWS must reach " + c.host() + " by way of the internet"
	}
	return ""
}

// fault is an error of the settings of a client.
func (c *Client) fault(advice, format string, args ...any) error {
	if advice == "" {
		advice = "aws-runas env --explain " + awsapi.Word(c.AWS.Profile)
	}
	return &profile.Error{Message: fmt.Sprintf(format, args...), Advice: advice}
}

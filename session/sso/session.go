// Package sso signs people in at IAM Identity Center and gets credentials for
// the accounts and roles that are assigned to them.
//
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/Welcome.html,
// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/Welcome.html
package sso

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/signin"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
)

// A Session is a sign-in at one instance of IAM Identity Center. The profiles
// of one sso-session share it, as do those that name the same start URL
// themselves.
type Session struct {
	Cache *session.Cache
	AWS   *awsapi.API

	Name     string // the sso-session's, "" where the profile itself has the start URL
	StartURL string
	Region   string   // of the instance
	Scopes   []string // empty is sso:account:access

	Person *signin.Person
	// CLICache is the folder of the AWS CLI's tokens, ~/.aws/sso/cache, or "". A
	// token there that is alive is used, and neither refreshed nor kept.
	CLICache string
}

// accessToken is the record of an access token.
type accessToken struct {
	Token   string    `json:"access_token"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`

	borrowed bool // the AWS CLI's
}

// Lifetime implements [session.Expiring].
func (t accessToken) Lifetime() (issued, expires time.Time) {
	if t.borrowed {
		return time.Time{}, time.Time{} // the AWS CLI may revoke it
	}
	return t.Issued, t.Expires
}

// Format keeps the token out of every message.
func (t accessToken) Format(f fmt.State, _ rune) { io.WriteString(f, "access token [redacted]") }

// LogValue is what Format prints.
func (t accessToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// client is the record of a registered client, which lasts for months.
type client struct {
	ID      string    `json:"client_id"`
	Secret  string    `json:"client_secret"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// Lifetime implements [session.Expiring].
func (c client) Lifetime() (issued, expires time.Time) { return c.Issued, c.Expires }

// Format keeps the secret out of every message.
func (c client) Format(f fmt.State, _ rune) { io.WriteString(f, "client "+c.ID) }

// LogValue is what Format prints.
func (c client) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// grant is the record of a refresh token, with the client it was given to.
type grant struct {
	RefreshToken string `json:"refresh_token"`
	Client       client `json:"client"`
}

// Format keeps the token out of every message.
func (g grant) Format(f fmt.State, _ rune) { io.WriteString(f, "refresh token [redacted]") }

// LogValue is what Format prints.
func (g grant) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(g)) }

// host is the instance for people.
func (s *Session) host() string {
	if u, err := url.Parse(s.StartURL); err == nil && u.Host != "" {
		return u.Host
	}
	return s.StartURL
}

// scopes are those to register for. Without any, the tokens cannot be refreshed.
// https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sso.html
func (s *Session) scopes() []string {
	if len(s.Scopes) == 0 {
		return []string{"sso:account:access"}
	}
	scopes := slices.Clone(s.Scopes)
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// key is that of one of the records. It has the session's name in place of a
// profile's: the profiles that share a sign-in must agree on it.
func (s *Session) key(what string) session.Key {
	name := s.Name
	if name == "" {
		name = s.host()
	}
	return session.NewKey(session.KindSSO, name,
		s.StartURL, s.Region, s.AWS.EndpointOf("sso_oidc"), s.Name, strings.Join(s.scopes(), " "), what)
}

// margin is short: a token is as good in its last minute, and the next one may
// cost somebody a sign-in.
func margin(lifetime time.Duration) time.Duration { return min(time.Minute, lifetime/4) }

// token returns an access token that is alive and is not rejected, which may be
// empty. It asks a person to sign in where the refresh token does not help.
func (s *Session) token(ctx context.Context, rejected string) (accessToken, error) {
	cache := s.Cache.WithMargin(margin)
	fetch := func(ctx context.Context) (accessToken, error) { return s.fetch(ctx, rejected) }
	t, err := session.Do(ctx, cache, s.key("access_token"), fetch)
	if err == nil && rejected != "" && t.Token == rejected {
		t, err = session.Do(ctx, cache.IssuedSince(t.Issued.Add(1)), s.key("access_token"), fetch)
	}
	return t, s.elsewhere(err)
}

// elsewhere names the profile that waits, where a key can only name the session.
func (s *Session) elsewhere(err error) error {
	if needs, ok := err.(*session.Needs); ok && needs.Elsewhere {
		mine := *needs
		mine.Profile = s.AWS.Profile
		return &mine
	}
	return err
}

// Login makes sure that somebody is signed in, with force by signing in anew,
// and returns when the access token ends; the zero time with a refresh token,
// which lasts for as long as AWS lets it.
func (s *Session) Login(ctx context.Context, force bool) (until time.Time, err error) {
	var t accessToken
	if force {
		t, err = session.Do(ctx, s.Cache.WithMargin(margin).Renewing(), s.key("access_token"), s.signIn)
		err = s.elsewhere(err)
	} else {
		t, err = s.token(ctx, "")
	}
	if err != nil {
		return time.Time{}, err
	}
	if _, err := session.Get[grant](ctx, s.Cache.Store, s.key("refresh_token")); err == nil && !t.borrowed {
		return time.Time{}, nil
	}
	return t.Expires, nil
}

// Logout forgets the sign-in, then ends it at AWS. Without a sign-in of our own
// it does nothing: that of the AWS CLI is not ours to end.
func (s *Session) Logout(ctx context.Context) error {
	var t accessToken
	var g grant
	err := s.Cache.SignOut(ctx, s.key("access_token"), func(ctx context.Context) (err error) {
		store := s.Cache.Store
		if t, err = session.Get[accessToken](ctx, store, s.key("access_token")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.Cache.Warn(err)
		}
		if g, err = session.Get[grant](ctx, store, s.key("refresh_token")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.Cache.Warn(err)
		}
		for _, what := range [...]string{"access_token", "refresh_token"} {
			if err := store.Remove(ctx, s.key(what).String()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !s.Cache.Now().Before(t.Expires) {
		t = accessToken{}
	}
	if t.Token == "" && g.RefreshToken != "" {
		// Only an access token can end what the refresh token would go on with.
		out, err := s.create(ctx, g.Client, &ssooidc.CreateTokenInput{GrantType: aws.String("refresh_token"), RefreshToken: &g.RefreshToken})
		var no *session.Refused
		if errors.As(err, &no) {
			return nil // it has ended already
		} else if err != nil {
			return err
		}
		t.Token = aws.ToString(out.AccessToken)
	}
	if t.Token == "" {
		return nil
	}
	portal, err := s.AWS.SSO(s.Region)
	if err != nil {
		return err
	}
	_, err = awsapi.Call(ctx, s.AWS, portal.Logout, &sso.LogoutInput{AccessToken: &t.Token}, t.Token)
	var no *session.Refused
	if errors.As(err, &no) && no.Code == unauthorized {
		return nil
	}
	return err
}

// fetch gets an access token by the refresh token, from the AWS CLI, or by
// asking a person.
func (s *Session) fetch(ctx context.Context, rejected string) (accessToken, error) {
	g, err := session.Get[grant](ctx, s.Cache.Store, s.key("refresh_token"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.Cache.Warn(err)
	default:
		t, err := s.refresh(ctx, g)
		var no *session.Refused
		if !errors.As(err, &no) {
			return t, err
		}
		s.Cache.Debug("the refresh token of %s is of no use: %v", s.host(), err)
		if err := s.Cache.Store.Remove(ctx, s.key("refresh_token").String()); err != nil {
			return accessToken{}, err
		}
	}
	if t := s.borrow(); t.Token != "" && t.Token != rejected {
		s.Cache.Debug("the access token of %s is the AWS CLI's", s.host())
		return t, nil
	}
	return s.signIn(ctx)
}

func (s *Session) refresh(ctx context.Context, g grant) (accessToken, error) {
	out, err := s.create(ctx, g.Client, &ssooidc.CreateTokenInput{GrantType: aws.String("refresh_token"), RefreshToken: &g.RefreshToken})
	if err != nil {
		return accessToken{}, err
	}
	return s.keep(ctx, g.Client, out)
}

// create asks for tokens.
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
func (s *Session) create(ctx context.Context, c client, in *ssooidc.CreateTokenInput) (*ssooidc.CreateTokenOutput, error) {
	api, err := s.AWS.SSOOIDC(s.Region)
	if err != nil {
		return nil, err
	}
	in.ClientId, in.ClientSecret = &c.ID, &c.Secret
	return awsapi.Call(ctx, s.AWS, api.CreateToken, in, c.Secret,
		aws.ToString(in.RefreshToken), aws.ToString(in.Code), aws.ToString(in.CodeVerifier), aws.ToString(in.DeviceCode))
}

// keep takes an answer of create. The refresh token is stored as soon as it is
// there: the one before may be worth nothing from now on.
func (s *Session) keep(ctx context.Context, c client, out *ssooidc.CreateTokenOutput) (accessToken, error) {
	now := s.Cache.Now()
	t := accessToken{Token: aws.ToString(out.AccessToken), Issued: now, Expires: now.Add(time.Duration(out.ExpiresIn) * time.Second)}
	if t.Token == "" || out.ExpiresIn <= 0 {
		return accessToken{}, fmt.Errorf("sso oidc CreateToken: the answer holds no access token")
	}
	if r := aws.ToString(out.RefreshToken); r != "" {
		if err := session.Put(ctx, s.Cache.Store, s.key("refresh_token"), grant{r, c}); err != nil {
			s.Cache.Warn(fmt.Errorf("the next sign-in comes sooner: %w", err))
		}
	}
	return t, nil
}

// borrow returns the access token of the AWS CLI, or none.
func (s *Session) borrow() (none accessToken) {
	if s.CLICache == "" {
		return none
	}
	// As botocore names the file: by the session, in the legacy form by the URL.
	name := s.Name
	if name == "" {
		name = s.StartURL
	}
	digest := sha1.Sum([]byte(name))
	f, err := os.Open(filepath.Join(s.CLICache, hex.EncodeToString(digest[:])+".json"))
	if err != nil {
		return none
	}
	defer f.Close()
	var kept struct {
		StartURL    string `json:"startUrl"`
		Region      string `json:"region"`
		AccessToken string `json:"accessToken"`
		ExpiresAt   string `json:"expiresAt"`
	}
	if json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&kept) != nil || kept.StartURL != s.StartURL || kept.Region != s.Region {
		return none
	}
	// The AWS CLI v1 wrote UTC where v2 writes Z.
	expires, err := time.Parse(time.RFC3339, strings.Replace(kept.ExpiresAt, "UTC", "Z", 1))
	if err != nil || !s.Cache.Now().Add(time.Minute).Before(expires) {
		return none
	}
	return accessToken{Token: kept.AccessToken, Expires: expires, borrowed: true}
}

package sso

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"golang.org/x/sync/errgroup"
)

// unauthorized is the portal's error for an access token that has ended.
const unauthorized = "UnauthorizedException"

// Role are the credentials of a role that is assigned to whoever signs in. AWS
// sets how long they last by the permission set.
//
// https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
type Role struct {
	Session   *Session
	Cache     *session.Cache
	Name      string // the profile
	AccountID string
	RoleName  string
}

// Key implements [session.Provider].
func (r *Role) Key(context.Context) (session.Key, error) {
	s := r.Session
	return session.NewKey(session.KindRole, r.Name, s.key("access_token").Hash, s.AWS.EndpointOf("sso"), r.AccountID, r.RoleName), nil
}

// Credentials returns the role's.
func (r *Role) Credentials(ctx context.Context) (session.Credentials, error) {
	key, err := r.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	return session.Do(ctx, r.Cache, key, r.fetch)
}

func (r *Role) fetch(ctx context.Context) (session.Credentials, error) {
	none := session.Credentials{}
	out, err := withToken(ctx, r.Session, func(portal *sso.Client, token string) (*sso.GetRoleCredentialsOutput, error) {
		return awsapi.Call(ctx, r.Session.AWS, portal.GetRoleCredentials,
			&sso.GetRoleCredentialsInput{AccessToken: &token, AccountId: &r.AccountID, RoleName: &r.RoleName}, token)
	})
	var no *session.Refused
	if errors.As(err, &no) && no.Advice == "" {
		copied := *no
		copied.Advice = fmt.Sprintf("account %s must have the role %s assigned to you at %s", r.AccountID, r.RoleName, r.Session.host())
		err = &copied
	}
	if err != nil {
		return none, err
	}
	now, c := r.Cache.Now(), out.RoleCredentials
	switch {
	case c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == 0:
		return none, errors.New("sso GetRoleCredentials: the answer holds no credentials")
	case !time.UnixMilli(c.Expiration).After(now):
		return none, fmt.Errorf("sso GetRoleCredentials: the credentials expired at %s, and it is %s by the clock of this machine",
			time.UnixMilli(c.Expiration).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return session.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		Issued: now, Expires: time.UnixMilli(c.Expiration),
	}, nil
}

// withToken calls the portal with an access token, and with another one if AWS
// has ended the first: an administrator can, and so can the AWS CLI.
func withToken[T any](ctx context.Context, s *Session, call func(portal *sso.Client, token string) (T, error)) (T, error) {
	var none T
	portal, err := s.AWS.SSO(s.Region)
	if err != nil {
		return none, err
	}
	first, err := s.token(ctx, "")
	if err != nil {
		return none, err
	}
	out, err := call(portal, first.Token)
	var no *session.Refused
	if !errors.As(err, &no) || no.Code != unauthorized {
		return out, err
	}
	second, err := s.token(ctx, first.Token)
	if err != nil {
		return none, err
	}
	return call(portal, second.Token)
}

// An Assignment is a role that whoever signs in may take in an account.
type Assignment struct {
	AccountID   string
	AccountName string
	Email       string // of the account's root
	RoleName    string
}

// Assignments lists all of them, by account number and role.
func (s *Session) Assignments(ctx context.Context) ([]Assignment, error) {
	var accounts []Assignment
	err := pages(func(next *string) (*string, error) {
		out, err := withToken(ctx, s, func(portal *sso.Client, token string) (*sso.ListAccountsOutput, error) {
			return awsapi.Call(ctx, s.AWS, portal.ListAccounts, &sso.ListAccountsInput{AccessToken: &token, NextToken: next}, token)
		})
		if err != nil {
			return nil, err
		}
		for _, a := range out.AccountList {
			accounts = append(accounts, Assignment{
				AccountID: aws.ToString(a.AccountId), AccountName: aws.ToString(a.AccountName), Email: aws.ToString(a.EmailAddress),
			})
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, s.explain(err)
	}
	var (
		mu  sync.Mutex
		all []Assignment
	)
	several, ctx := errgroup.WithContext(ctx)
	several.SetLimit(4) // the portal throttles
	for _, account := range accounts {
		several.Go(func() error {
			return pages(func(next *string) (*string, error) {
				out, err := withToken(ctx, s, func(portal *sso.Client, token string) (*sso.ListAccountRolesOutput, error) {
					return awsapi.Call(ctx, s.AWS, portal.ListAccountRoles,
						&sso.ListAccountRolesInput{AccessToken: &token, AccountId: &account.AccountID, NextToken: next}, token)
				})
				if err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range out.RoleList {
					a := account
					a.RoleName = aws.ToString(r.RoleName)
					all = append(all, a)
				}
				return out.NextToken, nil
			})
		})
	}
	if err := several.Wait(); err != nil {
		return nil, s.explain(err)
	}
	slices.SortFunc(all, func(a, b Assignment) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.RoleName, b.RoleName))
	})
	return all, nil
}

// pages calls get for one page after the other.
func pages(get func(next *string) (*string, error)) error {
	var next *string
	for range 1000 {
		var err error
		if next, err = get(next); err != nil || aws.ToString(next) == "" {
			return err
		}
	}
	return errors.New("the list of the portal does not end")
}

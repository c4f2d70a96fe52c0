// Package saml gets credentials from a SAML identity provider: a person signs in
// there, and AWS gives the credentials of a role for the assertion that says so.
//
// Who signs in by pages gets a user agent without scripting, written against the
// HTML standard (visit.go, form.go), which answers each page by what it asks for
// (signing.go, fields.go). Providers whose pages are programs are spoken to as
// these programs do (okta.go, onelogin.go, entra.go, forgerock.go). Two more ways
// leave it all to a browser (browser.go, browserne.go).
package saml

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// minDuration is the shortest that a role's session can be asked for.
const minDuration = 15 * time.Minute

// A Role are the credentials of a role that an assertion admits to.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithSAML.html
type Role struct {
	Cache    *session.Cache
	AWS      *awsapi.API
	Name     string // the profile
	IDP      *IDP
	RoleARN  string        // "": the assertion's only one, or the person's choice
	Duration time.Duration // 15 min to 12 h
	// Pick lets a person choose among the ARNs of roles. Nil where nobody can.
	Pick   func(ctx context.Context, roles []string) (string, error)
	Notice func(string)
}

// Key has the session at the provider in it as the parent.
func (r *Role) Key(context.Context) (session.Key, error) {
	idp, err := r.IDP.Key()
	if err != nil {
		return session.Key{}, err
	}
	return session.NewKey(session.KindRole, r.Name, "saml", r.RoleARN, r.Duration.String(), r.AWS.Partition, r.AWS.EndpointOf("sts"), idp.Hash), nil
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
	a, err := r.IDP.Assertion(ctx)
	if err != nil {
		return none, err
	}
	pair, err := r.choose(ctx, a)
	if err != nil {
		return none, err
	}
	now := r.Cache.Now()
	duration := r.Duration
	if end := a.SessionNotOnOrAfter; !end.IsZero() && end.Sub(now) < duration {
		duration = max(end.Sub(now).Truncate(time.Second), minDuration)
		r.Notice(fmt.Sprintf("the identity provider ends the session at %s, so the credentials of profile %q last no longer", end.UTC().Format(time.RFC3339), r.Name))
	}
	client, err := r.AWS.STS(nil)
	if err != nil {
		return none, err
	}
	out, err := awsapi.Call(ctx, r.AWS, client.AssumeRoleWithSAML, &sts.AssumeRoleWithSAMLInput{
		RoleArn: &pair.RoleARN, PrincipalArn: &pair.PrincipalARN, SAMLAssertion: &a.encoded,
		DurationSeconds: aws.Int32(int32(duration / time.Second)),
	}, a.encoded)
	if err != nil {
		return none, r.explain(err, a, pair)
	}
	c, arn := out.Credentials, ""
	if out.AssumedRoleUser != nil {
		arn = aws.ToString(out.AssumedRoleUser.Arn)
	}
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return none, errors.New("sts AssumeRoleWithSAML: the answer holds no credentials")
	}
	if !c.Expiration.After(now) {
		return none, fmt.Errorf("sts AssumeRoleWithSAML: the credentials expired at %s, and it is %s by the clock of this machine",
			c.Expiration.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return session.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		Issued: now, Expires: *c.Expiration, ARN: arn,
	}, nil
}

// choose returns the pair of the role that is wanted.
func (r *Role) choose(ctx context.Context, a *Assertion) (Pair, error) {
	var arns []string
	for _, p := range a.Roles {
		if !slices.Contains(arns, p.RoleARN) {
			arns = append(arns, p.RoleARN)
		}
	}
	want := r.RoleARN
	if want == "" && len(arns) == 1 {
		want = arns[0]
	}
	if want == "" && r.Pick != nil && !r.Cache.NoInput {
		var err error
		done := session.Asking(ctx, session.NeedAuth)
		want, err = r.Pick(ctx, arns)
		done()
		var needs *session.Needs
		if errors.As(err, &needs) {
			want = ""
		} else if err != nil {
			return Pair{}, err
		}
	}
	if want == "" {
		return Pair{}, &profile.Error{Message: fmt.Sprintf("profile %q names no role_arn, and the identity provider offers %d roles: %s", r.Name, len(arns), strings.Join(arns, ", ")),
			Advice: "name one of them as role_arn in the profile"}
	}
	for _, p := range a.Roles {
		if p.RoleARN == want {
			return p, nil
		}
	}
	return Pair{}, &session.Refused{By: "the identity provider", Message: fmt.Sprintf("its assertion does not admit to %s, but to %s", want, strings.Join(arns, ", ")),
		Advice: "aws-runas list roles " + awsapi.Word(r.Name)}
}

// explain gives a refusal of STS the advice that it lacks.
func (r *Role) explain(err error, a *Assertion, pair Pair) error {
	var no *session.Refused
	if !errors.As(err, &no) || no.Advice != "" {
		return err
	}
	copied := *no
	name := awsapi.Word(r.Name)
	switch {
	case no.Code == "ExpiredTokenException":
		copied.Advice = "aws-runas login --force " + name
	case no.Code == "ValidationError" && strings.Contains(no.Message, "DurationSeconds"):
		copied.Advice = "aws-runas -a 1h " + name
	case no.Code == "InvalidIdentityToken":
		copied.Advice = fmt.Sprintf("the metadata of %s must be those of the identity provider %s", pair.PrincipalARN, hostOf(r.IDP.URL))
	case no.Code == "IDPRejectedClaim":
		copied.Advice = "aws-runas login --force " + name
	case no.Code == "AccessDenied":
		copied.Advice = fmt.Sprintf("the trust policy of %s must allow sts:AssumeRoleWithSAML to %s", pair.RoleARN, pair.PrincipalARN)
		if len(a.Audience) > 0 {
			copied.Advice += fmt.Sprintf(", with the SAML:aud of %s", oneLine(a.Destination))
		}
	}
	return &copied
}

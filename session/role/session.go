package role

import (
	"context"
	"fmt"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// SessionToken are an IAM user's session credentials, from GetSessionToken.
// AWS gives them for long-term keys alone; where Root has temporary ones, those
// are handed on.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
type SessionToken struct {
	Cache    *session.Cache
	AWS      *awsapi.API
	Root     session.Provider
	Name     string        // the profile that Root belongs to: all its roles share the session
	Duration time.Duration // 15 min to 36 h
	MFA      *MFA          // nil: without
	Notice   func(string)
}

// Key has the MFA device in it, so that a session made without MFA never
// serves a profile that asks for it.
func (s *SessionToken) Key(ctx context.Context) (session.Key, error) {
	root, err := s.Root.Key(ctx)
	if err != nil {
		return session.Key{}, err
	}
	return session.NewKey(session.KindSession, s.Name,
		s.AWS.Partition, s.AWS.EndpointOf("sts"), s.Duration.String(), s.MFA.serial(), root.Hash), nil
}

// Credentials returns the session.
func (s *SessionToken) Credentials(ctx context.Context) (session.Credentials, error) {
	key, err := s.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	got, err := session.Do(ctx, s.Cache, key, s.fetch)
	return got.Credentials, err
}

// handedOn marks credentials that somebody else keeps already.
type handedOn struct {
	session.Credentials
	kept bool
}

func (h handedOn) Lifetime() (issued, expires time.Time) {
	if h.kept {
		return time.Time{}, time.Time{}
	}
	return h.Credentials.Lifetime()
}

func (s *SessionToken) fetch(ctx context.Context) (handedOn, error) {
	keys, err := s.Root.Credentials(ctx)
	if err != nil || keys.Temporary() {
		return handedOn{keys, true}, err
	}
	signed := refusal{profile: s.AWS.Profile, source: s.Name, signer: keys, mfa: s.MFA, given: given(s.Root, keys)}
	// Before anybody is asked for a code: wrong keys show here.
	arn, err := callerARN(ctx, s.AWS, s.Root, keys)
	if err != nil {
		return handedOn{}, signed.explain(err)
	}
	client, err := s.AWS.STS(&keys)
	if err != nil {
		return handedOn{}, err
	}
	if s.MFA == nil {
		s.Notice(fmt.Sprintf("this session is made without MFA: IAM refuses its calls, and so do policies that ask for MFA; mfa_serial in profile %q names the device", s.Name))
	}
	in := &sts.GetSessionTokenInput{DurationSeconds: seconds(s.Duration)}
	var out *sts.GetSessionTokenOutput
	err = s.MFA.with(ctx, func(serial, code *string) error {
		in.SerialNumber, in.TokenCode = serial, code
		out, err = awsapi.Call(ctx, s.AWS, client.GetSessionToken, in, aws.ToString(code))
		return err
	})
	if err != nil {
		return handedOn{}, signed.explain(err)
	}
	c, err := fromSTS("sts GetSessionToken", out.Credentials, s.Cache.Now(), arn)
	return handedOn{Credentials: c}, err
}

func seconds(d time.Duration) *int32 { return aws.Int32(int32(d / time.Second)) }

// fromSTS checks what STS answered: credentials that lack something, or have
// ended already, would be handed to a program that then fails elsewhere.
func fromSTS(what string, c *types.Credentials, now time.Time, arn string) (session.Credentials, error) {
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return session.Credentials{}, fmt.Errorf("%s: the answer holds no credentials", what)
	}
	if !c.Expiration.After(now) {
		return session.Credentials{}, fmt.Errorf("%s: the credentials expired at %s, and it is %s by the clock of this machine",
			what, c.Expiration.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return session.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		Issued: now, Expires: *c.Expiration, ARN: arn,
	}, nil
}

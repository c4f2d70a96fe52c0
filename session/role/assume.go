package role

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// ChainLimit is how long a role lasts that was assumed with temporary
// credentials, whatever is asked for.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
const ChainLimit = time.Hour

// A Request is what is asked of STS for a role.
type Request struct {
	RoleARN        string
	ExternalID     string
	SessionName    string        // as configured; empty: a default
	Duration       time.Duration // 15 min to 12 h
	SourceIdentity string
	Tags           map[string]string
	TransitiveTags []string
}

// parts are those of a cache key.
func (r *Request) parts() []string {
	// Maps marshal in the order of their keys.
	tags, _ := json.Marshal([]any{r.Tags, r.TransitiveTags}) // strings always marshal
	return []string{r.RoleARN, r.ExternalID, r.SessionName, r.Duration.String(), r.SourceIdentity, string(tags)}
}

// AssumeRole are the credentials of a role, assumed with those of Parent.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
type AssumeRole struct {
	Cache  *session.Cache
	AWS    *awsapi.API
	Name   string // the profile
	Source string // the profile that Parent belongs to, named in hints
	Parent session.Provider
	Request

	// MFA is the device of the user that Parent stands for; nil where the role
	// asks for none, or Parent is a role, to which no device belongs.
	MFA *MFA
	// Session is Parent's session with the same MFA. A role of at most an hour
	// rides on it, so that one code serves all roles for as long as it lasts; for
	// a longer one the code is sent with the call itself, as a session gives an
	// hour at most.
	Session session.Provider

	OSUser string // for the default session name, where AWS tells none
	Notice func(string)
}

// Key is the same whether or not the role rides on a session: that depends
// on the duration, the device and the root's keys, which are all in it.
func (a *AssumeRole) Key(ctx context.Context) (session.Key, error) {
	parent, err := a.Parent.Key(ctx)
	if err != nil {
		return session.Key{}, err
	}
	parts := append(a.Request.parts(), a.MFA.serial(), a.AWS.Partition, a.AWS.EndpointOf("sts"), parent.Hash)
	return session.NewKey(session.KindRole, a.Name, parts...), nil
}

// Credentials returns the role's.
func (a *AssumeRole) Credentials(ctx context.Context) (session.Credentials, error) {
	key, err := a.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	return session.Do(ctx, a.Cache, key, a.fetch)
}

func (a *AssumeRole) fetch(ctx context.Context) (session.Credentials, error) {
	none := session.Credentials{}
	signer, err := a.Parent.Credentials(ctx)
	if err != nil {
		return none, err
	}
	mfa, parent := a.MFA, a.Parent
	if mfa != nil && !signer.Temporary() && a.Duration <= ChainLimit {
		if signer, err = a.Session.Credentials(ctx); err != nil {
			return none, err
		}
		mfa, parent = nil, a.Session
	}
	signed := refusal{profile: a.Name, source: a.Source, signer: signer, request: &a.Request, mfa: a.MFA, given: given(a.Parent, signer)}

	name := a.SessionName
	if name == "" || mfa != nil && signer.Temporary() {
		if signer.ARN, err = callerARN(ctx, a.AWS, parent, signer); err != nil {
			return none, signed.explain(err)
		}
		signed.signer = signer
	}
	if name == "" {
		name = nameOf(signer.ARN, a.OSUser)
	}
	if strings.Contains(signer.ARN, ":assumed-role/") {
		mfa = nil
	}
	duration := a.Duration
	if signer.Temporary() && duration > ChainLimit {
		duration = ChainLimit
		a.Notice(fmt.Sprintf("a role assumed with temporary credentials lasts an hour at most, not the %s that profile %q asks for", span(a.Duration), a.Name))
	}

	client, err := a.AWS.STS(&signer)
	if err != nil {
		return none, err
	}
	in := &sts.AssumeRoleInput{
		RoleArn:           &a.RoleARN,
		RoleSessionName:   aws.String(SessionName(name)),
		DurationSeconds:   seconds(duration),
		ExternalId:        optional(a.ExternalID),
		SourceIdentity:    optional(a.SourceIdentity),
		TransitiveTagKeys: a.TransitiveTags,
	}
	for _, k := range slices.Sorted(maps.Keys(a.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String(a.Tags[k])})
	}
	var out *sts.AssumeRoleOutput
	err = mfa.with(ctx, func(serial, code *string) error {
		in.SerialNumber, in.TokenCode = serial, code
		out, err = awsapi.Call(ctx, a.AWS, client.AssumeRole, in, aws.ToString(code), signer.SessionToken)
		return err
	})
	if err != nil {
		return none, signed.explain(err)
	}
	return fromSTS("sts AssumeRole", out.Credentials, a.Cache.Now(), assumed(out.AssumedRoleUser))
}

func assumed(u *types.AssumedRoleUser) string {
	if u == nil {
		return ""
	}
	return aws.ToString(u.Arn)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// span is a duration without its zero parts: 2h, 1h30m.
func span(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// nameOf is the default session name: the user's name, or for a role its own
// session name, so that CloudTrail shows the same person all the way.
func nameOf(arn, osUser string) string {
	if i := strings.LastIndexByte(arn, '/'); i >= 0 && arn[i+1:] != "" {
		return arn[i+1:]
	}
	return osUser
}

// SessionName makes s a legal RoleSessionName, [\w+=,.@-]{2,64}.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func SessionName(s string) string {
	s = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_+=,.@-", r) {
			return r
		}
		return '-'
	}, s)
	if len(s) < 2 {
		return "aws-runas"
	}
	return s[:min(len(s), 64)]
}

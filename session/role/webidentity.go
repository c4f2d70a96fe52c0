package role

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// WebIdentity are the credentials of a role that a token of an OpenID provider
// admits to.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
type WebIdentity struct {
	Cache *session.Cache
	AWS   *awsapi.API
	Name  string // the profile
	Token TokenSource
	Request
	OSUser string
}

// A TokenSource gives tokens of one identity.
type TokenSource interface {
	// Identity says whose the tokens are, as parts of a cache key.
	Identity(ctx context.Context) ([]string, error)
	// Token returns one that is alive and is not rejected, with a name for the
	// session or "".
	Token(ctx context.Context, rejected string) (token, user string, err error)
	// Advice is what to do when AWS refuses a token with code, or "".
	Advice(code string) string
}

// Key implements [session.Provider].
func (w *WebIdentity) Key(ctx context.Context) (session.Key, error) {
	identity, err := w.Token.Identity(ctx)
	if err != nil {
		return session.Key{}, err
	}
	parts := append(w.Request.parts(), w.AWS.Partition, w.AWS.EndpointOf("sts"), "web identity")
	return session.NewKey(session.KindRole, w.Name, append(parts, identity...)...), nil
}

// Credentials returns the role's.
func (w *WebIdentity) Credentials(ctx context.Context) (session.Credentials, error) {
	key, err := w.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	return session.Do(ctx, w.Cache, key, w.fetch)
}

func (w *WebIdentity) fetch(ctx context.Context) (session.Credentials, error) {
	none := session.Credentials{}
	token, user, err := w.Token.Token(ctx, "")
	if err != nil {
		return none, err
	}
	c, err := w.assume(ctx, token, user)
	var no *session.Refused
	if !errors.As(err, &no) || no.Code != "ExpiredTokenException" {
		return c, err
	}
	// By AWS's clock it has ended. Another one may be had without asking.
	again, user, err2 := w.Token.Token(ctx, token)
	switch {
	case err2 != nil:
		return none, err2
	case again == token:
		return none, err
	}
	return w.assume(ctx, again, user)
}

func (w *WebIdentity) assume(ctx context.Context, token, user string) (session.Credentials, error) {
	none := session.Credentials{}
	client, err := w.AWS.STS(nil)
	if err != nil {
		return none, err
	}
	name := w.SessionName
	if name == "" {
		name = user
	}
	if name == "" {
		name = w.OSUser
	}
	out, err := awsapi.Call(ctx, w.AWS, client.AssumeRoleWithWebIdentity, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          &w.RoleARN,
		RoleSessionName:  aws.String(SessionName(name)),
		DurationSeconds:  seconds(w.Duration),
		WebIdentityToken: &token,
	}, token)
	if err != nil {
		return none, (&refusal{profile: w.Name, request: &w.Request, token: w.Token}).explain(err)
	}
	return fromSTS("sts AssumeRoleWithWebIdentity", out.Credentials, w.Cache.Now(), assumed(out.AssumedRoleUser))
}

// A TokenFile is a file with a token, such as Kubernetes mounts into a pod.
// Whoever mounts it renews it.
type TokenFile struct {
	Profile string
	Path    string
}

// Identity has the digest of the token: another one may be another identity.
func (f TokenFile) Identity(context.Context) ([]string, error) {
	token, err := f.read()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(token))
	return []string{f.Path, hex.EncodeToString(digest[:])}, nil
}

// Token reads the file anew each time.
func (f TokenFile) Token(context.Context, string) (token, user string, err error) {
	token, err = f.read()
	return token, "", err
}

// Advice shows when the token was last renewed.
func (f TokenFile) Advice(code string) string {
	switch code {
	case "ExpiredTokenException", "InvalidIdentityToken", "IDPRejectedClaim":
		return "ls -l " + awsapi.Word(f.Path)
	}
	return ""
}

func (f TokenFile) read() (string, error) {
	b, err := os.ReadFile(f.Path)
	token := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		why := err
		var pe *fs.PathError
		if errors.As(err, &pe) {
			why = pe.Err
		}
		return "", &profile.Error{
			Message: fmt.Sprintf("the web identity token of profile %q cannot be read from %q: %v", f.Profile, f.Path, why),
			Advice:  "ls -l " + awsapi.Word(f.Path), Err: err,
		}
	case token == "":
		return "", &profile.Error{
			Message: fmt.Sprintf("the web identity token file %q of profile %q is empty", f.Path, f.Profile),
			Advice:  "ls -l " + awsapi.Word(f.Path),
		}
	}
	return token, nil
}

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

// WebIdentity are the credentials of a role that a token in a file admits to,
// such as Kubernetes mounts into a pod. Whoever mounts the file renews it.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
type WebIdentity struct {
	Cache *session.Cache
	AWS   *awsapi.API
	Name  string // the profile
	File  string // the path of the token
	Request
	OSUser string
}

// Key has the digest of the token in it: another token may be another identity.
func (w *WebIdentity) Key(ctx context.Context) (session.Key, error) {
	token, err := w.token()
	if err != nil {
		return session.Key{}, err
	}
	digest := sha256.Sum256([]byte(token))
	parts := append(w.Request.parts(), w.AWS.Partition, w.AWS.EndpointOf("sts"), "web identity", w.File, hex.EncodeToString(digest[:]))
	return session.NewKey(session.KindRole, w.Name, parts...), nil
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
	token, err := w.token()
	if err != nil {
		return none, err
	}
	client, err := w.AWS.STS(nil)
	if err != nil {
		return none, err
	}
	name := w.SessionName
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
		return none, (&refusal{profile: w.Name, request: &w.Request, token: w.File}).explain(err)
	}
	return fromSTS("sts AssumeRoleWithWebIdentity", out.Credentials, w.Cache.Now(), assumed(out.AssumedRoleUser))
}

func (w *WebIdentity) token() (string, error) {
	b, err := os.ReadFile(w.File)
	token := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		why := err
		var pe *fs.PathError
		if errors.As(err, &pe) {
			why = pe.Err
		}
		return "", &profile.Error{
			Message: fmt.Sprintf("the web identity token of profile %q cannot be read from %q: %v", w.Name, w.File, why),
			Advice:  "ls -l " + awsapi.Word(w.File), Err: err,
		}
	case token == "":
		return "", &profile.Error{
			Message: fmt.Sprintf("the web identity token file %q of profile %q is empty", w.File, w.Name),
			Advice:  "ls -l " + awsapi.Word(w.File),
		}
	}
	return token, nil
}

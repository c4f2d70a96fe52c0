// Package role gets credentials from AWS's own means: keys, GetSessionToken,
// the AssumeRole family, a process, a metadata service. Each way is a small
// [session.Provider]; package chain composes them.
package role

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"aws-runas/session"
	"aws-runas/session/awsapi"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Keys are the credentials that somebody was given: those of an IAM user in the
// keyring, else what a file or the environment has. The latter may be temporary.
type Keys struct {
	Cache   *session.Cache
	Name    string              // the profile they belong to, and the name of the record
	Else    session.Credentials // when the keyring has none; the zero value means none either
	Given   bool                // Else is what the environment has
	Expired *session.Expired    // the error once Else has expired
	// Missing is the error when there are none at all.
	Missing error
}

// Key reads the keyring: other keys are another source.
func (k *Keys) Key(ctx context.Context) (session.Key, error) {
	c, err := k.read(ctx) // what rests on expired keys may still be good
	if err != nil {
		return session.Key{}, err
	}
	return session.NewKey(session.KindKey, k.Name, c.AccessKeyID), nil
}

// Credentials reads them anew each time, so that keys which were changed serve at once.
func (k *Keys) Credentials(ctx context.Context) (session.Credentials, error) {
	c, err := k.read(ctx)
	if err == nil && !c.Expires.IsZero() && !k.Cache.Now().Before(c.Expires) {
		return session.Credentials{}, k.Expired
	}
	return c, err
}

func (k *Keys) read(ctx context.Context) (session.Credentials, error) {
	c, err := session.Get[session.Credentials](ctx, k.Cache.Store, session.UserKey(k.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && k.Else.AccessKeyID != "":
		return k.Else, nil
	case errors.Is(err, fs.ErrNotExist):
		return session.Credentials{}, k.Missing
	case err != nil:
		return session.Credentials{}, err
	case c.AccessKeyID == "" || c.SecretAccessKey == "":
		return session.Credentials{}, fmt.Errorf("the record %q holds no keys", session.UserKey(k.Name))
	}
	return c, nil
}

// learn keeps the identity of c with its record, so that nobody asks again.
func (k *Keys) learn(ctx context.Context, c session.Credentials, arn string) {
	err := k.Cache.Locked(ctx, session.UserKey(k.Name), func(ctx context.Context) error {
		now, err := session.Get[session.Credentials](ctx, k.Cache.Store, session.UserKey(k.Name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && now != c {
			return nil // they come from elsewhere, or have been replaced meanwhile
		} else if err != nil {
			return err
		}
		now.ARN = arn
		return session.Put(ctx, k.Cache.Store, session.UserKey(k.Name), now)
	})
	if err != nil {
		k.Cache.Warn(fmt.Errorf("the identity of the keys of %q is asked for again next time: %w", k.Name, err))
	}
}

// SaveKeys keeps an IAM user's keys under a profile's name, replacing what is
// there. Nobody else writes that record at the same time.
func SaveKeys(ctx context.Context, c *session.Cache, name string, keys session.Credentials) error {
	return c.Locked(ctx, session.UserKey(name), func(ctx context.Context) error {
		return session.Put(ctx, c.Store, session.UserKey(name), keys)
	})
}

// RemoveKeys removes the keys kept under a profile's name. A process that uses
// them, and would keep their identity with them, does not bring them back.
func RemoveKeys(ctx context.Context, c *session.Cache, name string) error {
	return c.Locked(ctx, session.UserKey(name), func(ctx context.Context) error {
		return c.Store.Remove(ctx, session.UserKey(name).String())
	})
}

// Given are credentials that are at hand and not ours to keep: those in the
// environment. Nobody knows when they expire.
type Given session.Credentials

// Key implements [session.Provider].
func (g Given) Key(context.Context) (session.Key, error) {
	return session.NewKey(session.KindKey, "environment", g.AccessKeyID), nil
}

// Credentials implements [session.Provider].
func (g Given) Credentials(context.Context) (session.Credentials, error) {
	return session.Credentials(g), nil
}

// given reports whether c, which parent gave, are the environment's.
func given(parent session.Provider, c session.Credentials) bool {
	switch p := parent.(type) {
	case Given:
		return true
	case *Keys:
		return p.Given && c.AccessKeyID == p.Else.AccessKeyID
	}
	return false
}

// Format keeps the secrets out of every message.
func (g Given) Format(f fmt.State, verb rune) { session.Credentials(g).Format(f, verb) }

// Identity asks AWS whose credentials c are and returns the ARN.
func Identity(ctx context.Context, api *awsapi.API, c session.Credentials) (string, error) {
	client, err := api.STS(&c)
	if err != nil {
		return "", err
	}
	out, err := awsapi.Call(ctx, api, client.GetCallerIdentity, &sts.GetCallerIdentityInput{}, c.SessionToken)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Arn), nil
}

// callerARN is the identity of c, which parent gave, asked for once. It is
// empty where it cannot be told: it is only needed for names.
func callerARN(ctx context.Context, api *awsapi.API, parent session.Provider, c session.Credentials) (string, error) {
	if c.ARN != "" {
		return c.ARN, nil
	}
	arn, err := Identity(ctx, api, c)
	var refused *session.Refused
	if errors.As(err, &refused) && !badKeys(refused.Code) && !awsapi.ClockSkew(refused.Code, refused.Message) {
		return "", nil // another STS than AWS's may not have the call
	} else if err != nil {
		return "", err
	}
	if k, ok := parent.(*Keys); ok {
		k.learn(ctx, c, arn)
	}
	return arn, nil
}

// badKeys reports whether AWS refused who signed, whatever was asked.
func badKeys(code string) bool {
	switch code {
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidAccessKeyId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException":
		return true
	}
	return false
}

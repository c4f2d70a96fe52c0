package awstest

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// pass moves the fake clock of a testing/synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

// creds are what a client signs with.
type creds struct{ id, secret, token string }

func (k Key) creds() creds { return creds{k.ID, k.Secret, ""} }

// client is the real SDK, in process and without retries.
func client(a *AWS, c creds) *sts.Client {
	return sts.New(sts.Options{
		Region:           "eu-west-1",
		HTTPClient:       &http.Client{Transport: a.Transport()},
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, nil
		}),
	})
}

// codeOf returns AWS's error code and message, empty for success.
func codeOf(t *testing.T, err error) (code, message string) {
	t.Helper()
	if err == nil {
		return "", ""
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("not an AWS error: %v", err)
	}
	return api.ErrorCode(), api.ErrorMessage()
}

func assume(a *AWS, c creds, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("test")
	}
	return client(a, c).AssumeRole(context.Background(), in)
}

// mustAssume returns the credentials of a role session.
func mustAssume(t *testing.T, a *AWS, c creds, in *sts.AssumeRoleInput) creds {
	t.Helper()
	out, err := assume(a, c, in)
	if err != nil {
		t.Fatal(err)
	}
	return creds{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}
}

// mustSession returns GetSessionToken's credentials, with MFA if there is a device.
func mustSession(t *testing.T, a *AWS, c creds, d *MFADevice) creds {
	t.Helper()
	in := &sts.GetSessionTokenInput{}
	if d != nil {
		in.SerialNumber, in.TokenCode = &d.Serial, aws.String(d.Code())
	}
	out, err := client(a, c).GetSessionToken(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return creds{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}
}

// program skips the test where a program is not installed.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("NO_SKIP") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

//go:build slow

package awstest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSlowAWSCLI lets the AWS CLI, and with it botocore, use every service.
func TestSlowAWSCLI(t *testing.T) {
	aws := program(t, "aws")
	w := Demo(Options{})
	url, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	session := mustSession(t, w.AWS, w.Key.creds(), w.MFA)
	key, home := w.Key.creds(), t.TempDir()
	foreign := New(Options{}).Default().User("x").AddKey() // of another AWS

	for _, tc := range []struct {
		line  string
		who   creds
		ok    bool
		wants string
	}{
		{"sts get-caller-identity", key, true, `"arn:aws:iam::123456789012:user/demo"`},
		{"s3 ls", key, true, "awsrunas-demo-photos"},
		{"s3api list-buckets", session, true, "awsrunas-demo-photos"},
		{"iam list-mfa-devices", key, true, w.MFA.Serial},
		{"iam get-user", session, true, `"UserName": "demo"`},
		{"iam get-group-policy --group-name engineers --policy-name assume", key, true, w.Prod.ARN},
		{"sts assume-role --role-session-name test --role-arn " + w.Partner.ARN + " --external-id " + w.ExternalID, key, true, `:assumed-role/Partner/test"`},
		{"sts assume-role --role-session-name test --role-arn " + w.Admin.ARN, session, true, `:assumed-role/Admin/test"`},
		{"sts assume-role --role-session-name test --role-arn " + w.Admin.ARN, key, false, "(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::123456789012:user/demo is not authorized to perform: sts:AssumeRole on resource: " + w.Admin.ARN},
		{"sts get-session-token", session, false, "(AccessDenied) when calling the GetSessionToken operation: Cannot call GetSessionToken with session credentials"},
		{"sts get-session-token --serial-number " + w.MFA.Serial + " --token-code 000000", key, false, "MultiFactorAuthentication failed with invalid MFA one time pass code."},
		{"sts get-caller-identity", foreign.creds(), false, "(InvalidClientTokenId)"},
		{"sts get-caller-identity", creds{key.id, "x", ""}, false, "(SignatureDoesNotMatch)"},
		{"s3 ls", creds{session.id, session.secret, "x"}, false, "(InvalidToken)"},
		{"iam create-access-key", key, true, `"AccessKeyId": "AKIAFAKE`},
	} {
		cmd := exec.Command(aws, strings.Fields(tc.line)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_ENDPOINT_URL=" + url, "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1",
			"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=",
			"AWS_ACCESS_KEY_ID=" + tc.who.id, "AWS_SECRET_ACCESS_KEY=" + tc.who.secret}
		if tc.who.token != "" {
			cmd.Env = append(cmd.Env, "AWS_SESSION_TOKEN="+tc.who.token)
		}
		out, err := cmd.CombinedOutput()
		if (err == nil) != tc.ok || !bytes.Contains(out, []byte(tc.wants)) {
			t.Errorf("aws %s: %v\n%s\nwant %s", tc.line, err, out, tc.wants)
		}
	}
}

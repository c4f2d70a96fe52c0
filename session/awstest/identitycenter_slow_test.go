//go:build slow

package awstest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// aPerson is what the AWS CLI does for "aws sso login --use-device-code", and
// with the token after that.
const aPerson = `
import sys, botocore.session, botocore.config
from botocore.credentials import JSONFileCache
at = sys.argv[1]
s = botocore.session.Session()
unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
oidc = s.create_client('sso-oidc', region_name='eu-west-1', endpoint_url=at, config=unsigned)
portal = s.create_client('sso', region_name='eu-west-1', endpoint_url=at, config=unsigned)
c = oidc.register_client(clientName='botocore', clientType='public', scopes=['sso:account:access'])
start = dict(clientId=c['clientId'], clientSecret=c['clientSecret'])
d = oidc.start_device_authorization(startUrl='https://demo.awsapps.com/start', **start)
grant = dict(grantType='urn:ietf:params:oauth:grant-type:device_code', deviceCode=d['deviceCode'], **start)
try:
    oidc.create_token(**grant)
except oidc.exceptions.AuthorizationPendingException as e:
    print('pending', e.response['error'])
print(d['verificationUriComplete'], flush=True)
sys.stdin.readline()
t = oidc.create_token(**grant)
t = oidc.create_token(grantType='refresh_token', refreshToken=t['refreshToken'], **start)
try:
    oidc.create_token(grantType='refresh_token', refreshToken='x', **start)
except oidc.exceptions.InvalidGrantException as e:
    print('refused', e.response['error'])
token = t['accessToken']
for page in portal.get_paginator('list_accounts').paginate(accessToken=token, PaginationConfig={'PageSize': 1}):
    for a in page['accountList']:
        roles = portal.list_account_roles(accessToken=token, accountId=a['accountId'])['roleList']
        print(a['accountId'], ','.join(r['roleName'] for r in roles))
k = portal.get_role_credentials(accessToken=token, accountId='123456789012', roleName='Admin')['roleCredentials']
sts = s.create_client('sts', region_name='eu-west-1', endpoint_url=at, aws_access_key_id=k['accessKeyId'], aws_secret_access_key=k['secretAccessKey'], aws_session_token=k['sessionToken'])
print(sts.get_caller_identity()['Arn'])
portal.logout(accessToken=token)
try:
    portal.list_accounts(accessToken=token)
except portal.exceptions.UnauthorizedException as e:
    print('ended', e.response['Error']['Message'])
`

// TestSlowIdentityCenterWithBotocore has AWS's own client for Python take the
// answers of ours for those of IAM Identity Center.
func TestSlowIdentityCenterWithBotocore(t *testing.T) {
	python := program(t, "python3")
	if err := exec.Command(python, "-c", "import botocore").Run(); err != nil {
		if os.Getenv("NO_SKIP") == "1" {
			t.Fatal("botocore is not installed")
		}
		t.Skip("botocore is not installed")
	}
	a := New(Options{})
	ic := a.IdentityCenter("https://demo.awsapps.com/start")
	ic.AddUser("jane", "secret")
	ic.Assign("jane", a.Default(), "Admin", 0)
	ic.Assign("jane", a.Account("210987654321"), "ReadOnly", 0)
	at, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cmd := exec.CommandContext(t.Context(), python, "-c", aPerson, at)
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true", "HOME="+t.TempDir(), "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "http") {
			got = append(got, lines.Text())
			continue
		}
		v := &Visitor{Username: "jane", Password: "secret"}
		if err := v.Open(t.Context(), lines.Text()); err != nil {
			t.Error(err)
		}
		// The device flow's interval of a second would be over for a person.
		for _, c := range a.centers {
			a.mu.Lock()
			for _, d := range c.devices {
				d.interval = 0
			}
			a.mu.Unlock()
		}
		io.WriteString(in, "\n")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	want := []string{
		"pending authorization_pending", "refused invalid_grant", "123456789012 Admin", "210987654321 ReadOnly",
		"arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_", "ended Session token not found or invalid",
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

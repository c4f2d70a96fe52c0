package awstest

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// iam calls IAM, for which the module has no client.
func callIAM(t *testing.T, a *AWS, c creds, params ...string) (int, string) {
	t.Helper()
	form := url.Values{"Version": {iamVersion}, "Action": {params[0]}}
	for i := 1; i+1 < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	return send(t, a, signed(t, c, "POST", "https://iam.amazonaws.com/", form.Encode(), "iam", "us-east-1", time.Now()))
}

func TestIAM(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	u := acct.User("ops/alice")
	d := u.AddMFA("alice")
	key := u.AddKey().creds()
	bob := acct.User("bob")
	bob.Put("self", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::123456789012:user/${aws:username}"}}`)
	bobKey := bob.AddKey().creds()
	policy := acct.Policy("p/managed", Allow([]string{"s3:*"}, []string{"*"}))
	u.Put("assume", Allow([]string{"*"}, []string{"*"}))
	u.Attach(policy)
	g := acct.Group("staff")
	g.Put("inline", Allow([]string{"s3:*"}, []string{"*"}))
	g.Attach(policy)
	u.Join(g)
	role := acct.Role("r", Trust(nil, acct.ID))
	role.Put("inline", Allow([]string{"*"}, []string{"*"}))
	role.Attach(policy)
	roleSession := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &role.ARN})
	plain, withMFA := mustSession(t, a, key, nil), mustSession(t, a, key, d)

	for _, tc := range []struct {
		who    creds
		params []string
		status int
		want   string
	}{
		{key, []string{"GetUser"}, 200, "<Path>/ops/</Path><UserName>alice</UserName>"},
		{key, []string{"GetUser", "UserName", "bob"}, 200, "<UserName>bob</UserName>"},
		{key, []string{"GetUser", "UserName", "nobody"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"ListMFADevices"}, 200, "<MFADevices><member><UserName>alice</UserName><SerialNumber>" + d.Serial},
		{key, []string{"ListAccessKeys"}, 200, "<AccessKeyId>" + key.id + "</AccessKeyId><Status>Active</Status>"},
		{key, []string{"ListUserPolicies"}, 200, "<PolicyNames><member>assume</member></PolicyNames><IsTruncated>false</IsTruncated>"},
		{key, []string{"GetUserPolicy", "UserName", "alice", "PolicyName", "assume"}, 200, "<UserName>alice</UserName><PolicyName>assume</PolicyName><PolicyDocument>%7B%22Statement"},
		{key, []string{"GetUserPolicy", "PolicyName", "none"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"ListAttachedUserPolicies"}, 200, "<PolicyName>managed</PolicyName><PolicyArn>" + policy},
		{key, []string{"ListGroupsForUser"}, 200, "<GroupName>staff</GroupName>"},
		{key, []string{"ListGroupPolicies", "GroupName", "staff"}, 200, "<member>inline</member>"},
		{key, []string{"GetGroupPolicy", "GroupName", "staff", "PolicyName", "inline"}, 200, "<GroupName>staff</GroupName>"},
		{key, []string{"ListAttachedGroupPolicies", "GroupName", "staff"}, 200, policy},
		{key, []string{"ListGroupPolicies", "GroupName", "none"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"GetRole", "RoleName", "r"}, 200, "<MaxSessionDuration>3600</MaxSessionDuration>"},
		{key, []string{"ListRolePolicies", "RoleName", "r"}, 200, "<member>inline</member>"},
		{key, []string{"GetRolePolicy", "RoleName", "r", "PolicyName", "inline"}, 200, "<RoleName>r</RoleName>"},
		{key, []string{"ListAttachedRolePolicies", "RoleName", "r"}, 200, policy},
		{key, []string{"GetRole", "RoleName", "none"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"GetPolicy", "PolicyArn", policy}, 200, "<DefaultVersionId>v1</DefaultVersionId>"},
		{key, []string{"GetPolicyVersion", "PolicyArn", policy, "VersionId", "v1"}, 200, "<IsDefaultVersion>true</IsDefaultVersion>"},
		{key, []string{"GetPolicyVersion", "PolicyArn", policy, "VersionId", "v2"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"GetPolicy", "PolicyArn", "arn:aws:iam::aws:policy/None"}, 404, "<Code>NoSuchEntity</Code>"},
		{key, []string{"DeleteUniverse"}, 400, "<Code>InvalidAction</Code>"},
		{key, []string{"ListUserPolicies", "MaxItems", "0"}, 400, "<Code>ValidationError</Code>"},
		{key, []string{"ListUserPolicies", "Marker", "x"}, 400, "<Code>ValidationError</Code>"},

		{bobKey, []string{"GetUser"}, 200, "<UserName>bob</UserName>"},
		{bobKey, []string{"GetUser", "UserName", "alice"}, 403, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:GetUser on resource: arn:aws:iam::123456789012:user/ops/alice because no identity-based policy allows the iam:GetUser action"},
		{bobKey, []string{"GetRole", "RoleName", "r"}, 403, "<Code>AccessDenied</Code>"},
		{bobKey, []string{"GetPolicy", "PolicyArn", policy}, 403, "<Code>AccessDenied</Code>"},
		{bobKey, []string{"ListGroupPolicies", "GroupName", "staff"}, 403, "<Code>AccessDenied</Code>"},

		{plain, []string{"GetUser"}, 403, "<Code>InvalidClientTokenId</Code>"},
		{withMFA, []string{"GetUser"}, 200, "<UserName>alice</UserName>"},
		{roleSession, []string{"GetUser"}, 400, "Must specify userName when calling with non-User credentials"},
		{roleSession, []string{"GetUser", "UserName", "alice"}, 200, "<UserName>alice</UserName>"},
	} {
		if status, body := callIAM(t, a, tc.who, tc.params...); status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s: got %d %s\nwant %d …%s…", tc.params, status, body, tc.status, tc.want)
		}
	}
}

func TestAccessKeyRotation(t *testing.T) {
	a := New(Options{})
	old := a.Default().User("alice").AddKey().creds()
	status, body := callIAM(t, a, old, "CreateAccessKey")
	var made struct {
		Key struct{ AccessKeyId, SecretAccessKey string } `xml:"CreateAccessKeyResult>AccessKey"`
	}
	if err := xml.Unmarshal([]byte(body), &made); status != 200 || err != nil {
		t.Fatalf("%d %v %s", status, err, body)
	}
	fresh := creds{made.Key.AccessKeyId, made.Key.SecretAccessKey, ""}
	if len(fresh.id) != 20 || len(fresh.secret) != 40 || !strings.HasPrefix(fresh.id, "AKIA") {
		t.Errorf("key %q of %d, secret of %d characters", fresh.id, len(fresh.id), len(fresh.secret))
	}
	works := func(c creds) bool {
		_, err := client(a, c).GetCallerIdentity(t.Context(), nil)
		return err == nil
	}
	if !works(fresh) {
		t.Error("the new key does not work")
	}
	if status, body := callIAM(t, a, old, "CreateAccessKey"); status != 409 || !strings.Contains(body, "Cannot exceed quota for AccessKeysPerUser: 2") {
		t.Errorf("third key: %d %s", status, body)
	}
	callIAM(t, a, fresh, "UpdateAccessKey", "AccessKeyId", old.id, "Status", "Inactive")
	if works(old) {
		t.Error("an inactive key works")
	}
	callIAM(t, a, fresh, "UpdateAccessKey", "AccessKeyId", old.id, "Status", "Active")
	if !works(old) {
		t.Error("a key made active again does not work")
	}
	if status, _ := callIAM(t, a, fresh, "UpdateAccessKey", "AccessKeyId", old.id, "Status", "Off"); status != 400 {
		t.Errorf("unknown status: %d", status)
	}
	if status, body := callIAM(t, a, fresh, "DeleteAccessKey", "AccessKeyId", old.id); status != 200 {
		t.Errorf("delete: %d %s", status, body)
	}
	if works(old) {
		t.Error("a deleted key works")
	}
	if status, _ := callIAM(t, a, fresh, "DeleteAccessKey", "AccessKeyId", old.id); status != 404 {
		t.Errorf("delete again: %d", status)
	}
}

func TestPages(t *testing.T) {
	a := New(Options{})
	u := a.Default().User("alice")
	for i := range 101 {
		u.Put(fmt.Sprintf("p%03d", i), Allow([]string{"*"}, []string{"*"}))
	}
	key := u.AddKey().creds()
	var names []string
	for marker := ""; ; {
		params := []string{"ListUserPolicies"}
		if marker != "" {
			params = append(params, "Marker", marker)
		}
		_, body := callIAM(t, a, key, params...)
		var got struct {
			Names       []string `xml:"ListUserPoliciesResult>PolicyNames>member"`
			IsTruncated bool     `xml:"ListUserPoliciesResult>IsTruncated"`
			Marker      string   `xml:"ListUserPoliciesResult>Marker"`
		}
		if err := xml.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		names = append(names, got.Names...)
		if marker = got.Marker; !got.IsTruncated {
			break
		}
	}
	if len(names) != 101 || names[100] != "p100" || a.Count("ListUserPolicies") != 2 {
		t.Errorf("%d names in %d pages", len(names), a.Count("ListUserPolicies"))
	}
}

func TestListBuckets(t *testing.T) {
	a := New(Options{})
	home, away := a.Default(), a.Account("210987654321")
	home.Bucket("mine")
	away.Bucket("theirs")
	alice := home.User("alice")
	no := home.User("no")
	no.Put("iam", Allow([]string{"iam:*"}, []string{"*"}))
	role := away.Role("r", Trust(nil, home.ID))
	list := func(c creds) (int, string) {
		return send(t, a, signed(t, c, "GET", "https://s3.eu-west-1.amazonaws.com/", "", "s3", "eu-west-1", time.Now()))
	}
	key := alice.AddKey().creds()
	if status, body := list(key); status != 200 || !strings.Contains(body, "<Buckets><Bucket><Name>mine</Name>") || strings.Contains(body, "theirs") {
		t.Errorf("user: %d %s", status, body)
	}
	if _, body := list(mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: aws.String(role.ARN)})); !strings.Contains(body, "theirs") {
		t.Errorf("role in the other account: %s", body)
	}
	if status, body := list(no.AddKey().creds()); status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("without permission: %d %s", status, body)
	}
}

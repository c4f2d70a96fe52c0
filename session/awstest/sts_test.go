package awstest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

func TestGetCallerIdentity(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	alice := acct.User("ops/alice")
	role := acct.Role("team/builder", Trust(nil, alice.ARN))
	key := alice.AddKey().creds()
	federated, err := client(a, key).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		who     creds
		arn, id string
	}{
		{"user", key, "arn:aws:iam::123456789012:user/ops/alice", alice.ID},
		{"root", acct.RootKey().creds(), "arn:aws:iam::123456789012:root", "123456789012"},
		{"session", mustSession(t, a, key, nil), alice.ARN, alice.ID},
		{"role", mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &role.ARN}),
			"arn:aws:sts::123456789012:assumed-role/builder/test", role.ID + ":test"},
		{"federated", creds{*federated.Credentials.AccessKeyId, *federated.Credentials.SecretAccessKey, *federated.Credentials.SessionToken},
			"arn:aws:sts::123456789012:federated-user/bob", "123456789012:bob"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := client(a, tc.who).GetCallerIdentity(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if *out.Arn != tc.arn || *out.UserId != tc.id || *out.Account != "123456789012" {
				t.Errorf("got %s %s %s, want %s %s", *out.Arn, *out.UserId, *out.Account, tc.arn, tc.id)
			}
		})
	}
}

func TestGetSessionToken(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	u := acct.User("alice")
	d := u.AddMFA("alice")
	other := acct.User("bob").AddMFA("bob")
	key := u.AddKey().creds()
	role := acct.Role("r", Trust(nil, u.ARN))
	session := mustSession(t, a, key, nil)
	roleSession := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &role.ARN})

	wrong := "000000"
	if d.Code() == wrong {
		wrong = "000001"
	}
	for _, tc := range []struct {
		name          string
		who           creds
		in            sts.GetSessionTokenInput
		code, message string
		lasts         time.Duration
	}{
		{name: "default", who: key, lasts: 12 * time.Hour},
		{name: "shortest", who: key, in: sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)}, lasts: 15 * time.Minute},
		{name: "longest", who: key, in: sts.GetSessionTokenInput{DurationSeconds: aws.Int32(129600)}, lasts: 36 * time.Hour},
		{name: "too short", who: key, in: sts.GetSessionTokenInput{DurationSeconds: aws.Int32(899)}, code: "ValidationError",
			message: "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		{name: "too long", who: key, in: sts.GetSessionTokenInput{DurationSeconds: aws.Int32(129601)}, code: "ValidationError",
			message: "1 validation error detected: Value '129601' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 129600"},
		{name: "root", who: acct.RootKey().creds(), lasts: time.Hour},
		{name: "from a session", who: session, code: "AccessDenied", message: "Cannot call GetSessionToken with session credentials"},
		{name: "from a role", who: roleSession, code: "AccessDenied", message: "Cannot call GetSessionToken with session credentials"},
		{name: "serial alone", who: key, in: sts.GetSessionTokenInput{SerialNumber: &d.Serial}, code: "AccessDenied",
			message: "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."},
		{name: "another's device", who: key, in: sts.GetSessionTokenInput{SerialNumber: &other.Serial, TokenCode: aws.String(other.Code())}, code: "AccessDenied",
			message: "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."},
		{name: "wrong code", who: key, in: sts.GetSessionTokenInput{SerialNumber: &d.Serial, TokenCode: &wrong}, code: "AccessDenied",
			message: "MultiFactorAuthentication failed with invalid MFA one time pass code. "},
		{name: "short code", who: key, in: sts.GetSessionTokenInput{SerialNumber: &d.Serial, TokenCode: aws.String("123")}, code: "ValidationError",
			message: "1 validation error detected: Value '123' at 'tokenCode' failed to satisfy constraint: Member must have length greater than or equal to 6"},
		{name: "right code", who: key, in: sts.GetSessionTokenInput{SerialNumber: &d.Serial, TokenCode: aws.String(d.Code())}, lasts: 12 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := time.Now()
			out, err := client(a, tc.who).GetSessionToken(t.Context(), &tc.in)
			if code, message := codeOf(t, err); code != tc.code || message != tc.message {
				t.Fatalf("got %q %q, want %q %q", code, message, tc.code, tc.message)
			}
			if err != nil {
				return
			}
			if d := out.Credentials.Expiration.Sub(before); d < tc.lasts-2*time.Second || d > tc.lasts+time.Minute {
				t.Errorf("lasts %v, want %v", d, tc.lasts)
			}
			if id := *out.Credentials.AccessKeyId; len(id) != 20 || !strings.HasPrefix(id, "ASIA") {
				t.Errorf("access key ID %q", id)
			}
		})
	}
}

func TestAssumeRoleTrust(t *testing.T) {
	a := New(Options{})
	home, away := a.Default(), a.Account("210987654321")
	alice, bob := home.User("alice"), home.User("bob")
	d := alice.AddMFA("alice")
	aliceKey, bobKey := alice.AddKey().creds(), bob.AddKey().creds()
	hub := home.Role("hub", Trust(nil, home.RootARN()))
	hubSession := mustAssume(t, a, aliceKey, &sts.AssumeRoleInput{RoleArn: &hub.ARN})
	withMFA, withoutMFA := mustSession(t, a, aliceKey, d), mustSession(t, a, aliceKey, nil)

	// carol may do nothing that is not said, dave may not assume anything.
	carol, dave := home.User("carol"), home.User("dave")
	carol.Put("s3", Allow([]string{"s3:*"}, []string{"*"}))
	dave.Put("no", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`)
	erin := home.User("erin")
	allowed := home.Policy("assume", Allow([]string{"sts:Assume*"}, []string{"arn:aws:iam::*:role/allowed-*"}))
	staff := home.Group("staff")
	staff.Attach(allowed)
	erin.Join(staff)

	text := func(statement string) string {
		return `{"Version":"2012-10-17","Statement":` + statement + `}`
	}
	for _, tc := range []struct {
		name  string
		trust string
		role  string // "role" unless given
		away  bool   // the role is in the other account
		who   creds
		in    sts.AssumeRoleInput
		ok    bool
	}{
		{name: "account by ARN", trust: Trust(nil, home.RootARN()), who: aliceKey, ok: true},
		{name: "account by number", trust: Trust(nil, home.ID), who: aliceKey, ok: true},
		{name: "other account", trust: Trust(nil, away.RootARN()), who: aliceKey},
		{name: "across accounts", trust: Trust(nil, home.RootARN()), away: true, who: aliceKey, ok: true},
		{name: "user", trust: Trust(nil, alice.ARN), who: aliceKey, ok: true},
		{name: "other user", trust: Trust(nil, alice.ARN), who: bobKey},
		{name: "one of two", trust: Trust(nil, alice.ARN, bob.ARN), who: bobKey, ok: true},
		{name: "anyone", trust: Trust(nil, "*"), who: bobKey, ok: true},
		{name: "anyone, in short", trust: text(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`), who: bobKey, ok: true},
		{name: "role by ARN", trust: Trust(nil, hub.ARN), who: hubSession, ok: true},
		{name: "role session by ARN", trust: Trust(nil, home.arn("sts", "assumed-role/hub/test")), who: hubSession, ok: true},
		{name: "other role session", trust: Trust(nil, home.arn("sts", "assumed-role/hub/else")), who: hubSession},
		{name: "role does not count as its user", trust: Trust(nil, alice.ARN), who: hubSession},
		{name: "session counts as its user", trust: Trust(nil, alice.ARN), who: withoutMFA, ok: true},
		{name: "service only", trust: text(`{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`), who: aliceKey},
		{name: "deny wins", trust: text(`[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":{"AWS":"` + bob.ARN + `"},"Action":"sts:*"}]`), who: bobKey},
		{name: "other action", trust: text(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithSAML"}`), who: bobKey},
		{name: "root", trust: Trust(nil, home.RootARN()), who: home.RootKey().creds()},

		{name: "no permission, account trusted", trust: Trust(nil, home.RootARN()), who: carol.AddKey().creds()},
		{name: "no permission, named", trust: Trust(nil, carol.ARN), who: carol.AddKey().creds(), ok: true},
		{name: "no permission, named, across accounts", trust: Trust(nil, carol.ARN), away: true, who: carol.AddKey().creds()},
		{name: "denied, named", trust: Trust(nil, dave.ARN), who: dave.AddKey().creds()},
		{name: "group allows", role: "allowed-one", trust: Trust(nil, home.RootARN()), who: erin.AddKey().creds(), ok: true},
		{name: "group does not allow", role: "other-one", trust: Trust(nil, home.RootARN()), who: erin.AddKey().creds()},

		{name: "MFA wanted, keys", trust: Trust(RequireMFA(), alice.ARN), who: aliceKey},
		{name: "MFA wanted, session without", trust: Trust(RequireMFA(), alice.ARN), who: withoutMFA},
		{name: "MFA wanted, session with", trust: Trust(RequireMFA(), alice.ARN), who: withMFA, ok: true},
		{name: "MFA wanted, role session", trust: Trust(RequireMFA(), hub.ARN), who: hubSession},
		{name: "MFA if exists, keys", trust: Trust(Condition{"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, alice.ARN), who: aliceKey, ok: true},
		{name: "MFA if exists, session without", trust: Trust(Condition{"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, alice.ARN), who: withoutMFA},
		{name: "MFA fresh", trust: Trust(Condition{"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}, alice.ARN), who: withMFA, ok: true},
		{name: "MFA not fresh enough", trust: Trust(Condition{"NumericLessThan": {"aws:MultiFactorAuthAge": "0"}}, alice.ARN), who: withMFA},
		{name: "MFA age unknown", trust: Trust(Condition{"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}, alice.ARN), who: aliceKey},

		{name: "external id", trust: Trust(RequireExternalID("x-1"), home.ID), who: aliceKey, in: sts.AssumeRoleInput{ExternalId: aws.String("x-1")}, ok: true},
		{name: "wrong external id", trust: Trust(RequireExternalID("x-1"), home.ID), who: aliceKey, in: sts.AssumeRoleInput{ExternalId: aws.String("x-2")}},
		{name: "no external id", trust: Trust(RequireExternalID("x-1"), home.ID), who: aliceKey},
		{name: "needless external id", trust: Trust(nil, home.ID), who: aliceKey, in: sts.AssumeRoleInput{ExternalId: aws.String("x-2")}, ok: true},
		{name: "session name", trust: Trust(Condition{"StringLike": {"sts:RoleSessionName": "${aws:username}"}}, home.ID), who: aliceKey, in: sts.AssumeRoleInput{RoleSessionName: aws.String("alice")}, ok: true},
		{name: "wrong session name", trust: Trust(Condition{"StringLike": {"sts:RoleSessionName": "${aws:username}"}}, home.ID), who: aliceKey, in: sts.AssumeRoleInput{RoleSessionName: aws.String("bob")}},
		{name: "principal ARN", trust: Trust(Condition{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/h*"}}, home.ID), who: hubSession, ok: true},
		{name: "wrong principal ARN", trust: Trust(Condition{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x*"}}, home.ID), who: hubSession},
		{name: "source identity", trust: Trust(Condition{"StringEquals": {"sts:SourceIdentity": "alice"}}, home.ID), who: aliceKey, in: sts.AssumeRoleInput{SourceIdentity: aws.String("alice")}, ok: true},
		{name: "no source identity", trust: Trust(Condition{"StringEquals": {"sts:SourceIdentity": "alice"}}, home.ID), who: aliceKey},
		{name: "source identity not permitted", trust: text(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`), who: aliceKey, in: sts.AssumeRoleInput{SourceIdentity: aws.String("alice")}},
		{name: "tags not permitted", trust: text(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`), who: aliceKey, in: sts.AssumeRoleInput{Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}},
		{name: "tag asked for", trust: Trust(Condition{"StringEquals": {"aws:RequestTag/team": "x"}}, home.ID), who: aliceKey, in: sts.AssumeRoleInput{Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("x")}}}, ok: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			acct := home
			if tc.away {
				acct = away
			}
			name := tc.role
			if name == "" {
				name = "role"
			}
			role := acct.Role(name, tc.trust)
			tc.in.RoleArn = &role.ARN
			out, err := assume(a, tc.who, &tc.in)
			switch code, message := codeOf(t, err); {
			case tc.ok && err != nil:
				t.Fatal(err)
			case !tc.ok && code != "AccessDenied":
				t.Fatalf("got %q %q, want AccessDenied", code, message)
			case tc.ok && !strings.HasPrefix(*out.AssumedRoleUser.AssumedRoleId, role.ID+":"):
				t.Errorf("assumed role id %q, want %s:…", *out.AssumedRoleUser.AssumedRoleId, role.ID)
			}
		})
	}
	// Every check of the table went through a real signature.
	for _, r := range a.Requests() {
		if r.Code == "SignatureDoesNotMatch" {
			t.Fatalf("%s: %s", r.Action, r.Code)
		}
	}
}

func TestAccessDeniedMessage(t *testing.T) {
	a := New(Options{})
	u := a.Default().User("alice")
	for _, arn := range []string{"arn:aws:iam::123456789012:role/nowhere", "arn:aws:iam::999999999999:role/nowhere"} {
		_, err := assume(a, u.AddKey().creds(), &sts.AssumeRoleInput{RoleArn: &arn})
		_, message := codeOf(t, err)
		if want := "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: sts:AssumeRole on resource: " + arn; message != want {
			t.Errorf("got %q, want %q", message, want)
		}
	}
}

func TestAssumeRoleLimits(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	u := acct.User("alice")
	d := u.AddMFA("alice")
	key := u.AddKey().creds()
	long := acct.Role("long", Trust(nil, acct.ID)).SetMaxSession(12 * time.Hour)
	short := acct.Role("short", Trust(nil, acct.ID))
	session := mustSession(t, a, key, nil)
	roleSession := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &long.ARN})
	const chaining = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."

	for _, tc := range []struct {
		name    string
		who     creds
		in      sts.AssumeRoleInput
		lasts   time.Duration
		code    string
		message string // a part of it
	}{
		{name: "default", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN}, lasts: time.Hour},
		{name: "up to the role's", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(43200)}, lasts: 12 * time.Hour},
		{name: "beyond the role's", who: key, in: sts.AssumeRoleInput{RoleArn: &short.ARN, DurationSeconds: aws.Int32(3601)}, code: "ValidationError",
			message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{name: "beyond any", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(43201)}, code: "ValidationError", message: "less than or equal to 43200"},
		{name: "below any", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(899)}, code: "ValidationError", message: "greater than or equal to 900"},
		{name: "chain, an hour", who: roleSession, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(3600)}, lasts: time.Hour},
		{name: "chain, longer", who: roleSession, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(3601)}, code: "ValidationError", message: chaining},
		{name: "session, longer", who: session, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(7200)}, code: "ValidationError", message: chaining},
		{name: "keys and MFA, longer", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, DurationSeconds: aws.Int32(7200), SerialNumber: &d.Serial, TokenCode: aws.String(d.Code())}, lasts: 2 * time.Hour},
		{name: "session name", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, RoleSessionName: aws.String("a b")}, code: "ValidationError",
			message: `1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{name: "two errors", who: key, in: sts.AssumeRoleInput{RoleArn: aws.String("short"), RoleSessionName: aws.String("a")}, code: "ValidationError", message: "2 validation errors detected: Value 'short' at 'roleArn'"},
		{name: "no role", who: key, in: sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::1234567890:role/my-role")}, code: "ValidationError", message: "arn:aws:iam::1234567890:role/my-role is invalid"},
		{name: "wrong MFA", who: roleSession, in: sts.AssumeRoleInput{RoleArn: &long.ARN, SerialNumber: &d.Serial, TokenCode: aws.String("123456")}, code: "AccessDenied", message: "unable to validate MFA code"},
		{name: "long policy", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, Policy: aws.String(strings.Repeat("x", 2049))}, code: "ValidationError", message: "less than or equal to 2048"},
		{name: "bad policy", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, Policy: aws.String("{}")}, code: "MalformedPolicyDocument"},
		{name: "transitive key is no tag", who: key, in: sts.AssumeRoleInput{RoleArn: &long.ARN, TransitiveTagKeys: []string{"a"}}, code: "ValidationError", message: "transitive"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := time.Now()
			out, err := assume(a, tc.who, &tc.in)
			if code, message := codeOf(t, err); code != tc.code || !strings.Contains(message, tc.message) {
				t.Fatalf("got %q %q, want %q …%q…", code, message, tc.code, tc.message)
			}
			if err == nil {
				if d := out.Credentials.Expiration.Sub(before); d < tc.lasts-2*time.Second || d > tc.lasts+time.Minute {
					t.Errorf("lasts %v, want %v", d, tc.lasts)
				}
			}
		})
	}
}

func TestSourceIdentityAndTagsStay(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	key := acct.User("alice").AddKey().creds()
	first := acct.Role("first", Trust(nil, acct.ID))
	second := acct.Role("second", Trust(Condition{"StringEquals": {"aws:RequestTag/team": "blue"}}, first.ARN))
	in := func() *sts.AssumeRoleInput {
		return &sts.AssumeRoleInput{RoleArn: &first.ARN, SourceIdentity: aws.String("alice"),
			Tags:              []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}, {Key: aws.String("job"), Value: aws.String("7")}},
			TransitiveTagKeys: []string{"team"}}
	}
	c := mustAssume(t, a, key, in())
	out, err := assume(a, c, &sts.AssumeRoleInput{RoleArn: &second.ARN})
	if err != nil {
		t.Fatal("the transitive tag did not reach the second role:", err)
	}
	if out.SourceIdentity == nil || *out.SourceIdentity != "alice" {
		t.Errorf("source identity %v", out.SourceIdentity)
	}
	//lint:ignore SA1019 what AWS still sends
	if size := out.PackedPolicySize; size == nil || *size == 0 {
		t.Errorf("packed policy size %v", size)
	}
	_, err = assume(a, c, &sts.AssumeRoleInput{RoleArn: &second.ARN, SourceIdentity: aws.String("mallory")})
	if code, message := codeOf(t, err); code != "AccessDenied" || !strings.Contains(message, "sts:SetSourceIdentity") {
		t.Errorf("changed source identity: %q %q", code, message)
	}
	_, err = assume(a, c, &sts.AssumeRoleInput{RoleArn: &second.ARN, Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("red")}}})
	if code, _ := codeOf(t, err); code != "InvalidParameterValue" {
		t.Errorf("changed transitive tag: %q", code)
	}
}

func TestMFACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{})
		u := a.Default().User("alice")
		d := u.AddMFA("alice")
		key := u.AddKey().creds()
		give := func(code string) string {
			_, err := client(a, key).GetSessionToken(context.Background(), &sts.GetSessionTokenInput{SerialNumber: &d.Serial, TokenCode: &code})
			c, _ := codeOf(t, err)
			return c
		}
		step := stepAt(time.Now())
		for _, tc := range []struct {
			offset int64
			want   string
		}{{-2, "AccessDenied"}, {2, "AccessDenied"}, {-1, ""}, {1, ""}, {0, ""}, {0, "AccessDenied"}, {1, "AccessDenied"}} {
			if got := give(totp(d.seed, step+tc.offset)); got != tc.want {
				t.Errorf("code of step %+d: got %q, want %q", tc.offset, got, tc.want)
			}
		}
		if c := d.Code(); c != "" {
			t.Errorf("Code offers %q when all three are used", c)
		}
		pass(30 * time.Second)
		c := d.Code()
		if c == "" {
			t.Fatal("no code in a new step")
		}
		if got := give(c); got != "" {
			t.Errorf("fresh code: %q", got)
		}
		for range 3 {
			pass(30 * time.Second)
			for range 2 {
				if c := d.Code(); c != "" && give(c) != "" {
					t.Errorf("Code offered %q, which was refused", c)
				}
			}
		}
	})
}

// TestTOTPVectors uses the SHA-1 values of RFC 6238, appendix B, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totp([]byte("12345678901234567890"), stepAt(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: got %s, want %s", at, got, want)
		}
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lifetime := range []time.Duration{0, time.Minute} {
			a := New(Options{Lifetime: lifetime})
			acct := a.Default()
			role := acct.Role("r", Trust(nil, acct.ID))
			key := acct.User("alice").AddKey().creds()
			session := mustSession(t, a, key, nil)
			c := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &role.ARN, DurationSeconds: aws.Int32(900)})
			lasts := 15 * time.Minute
			if lifetime > 0 {
				lasts = lifetime
			}
			pass(lasts - time.Second)
			if _, err := client(a, c).GetCallerIdentity(context.Background(), nil); err != nil {
				t.Errorf("a second before expiry: %v", err)
			}
			pass(time.Second)
			_, err := client(a, c).GetCallerIdentity(context.Background(), nil)
			if code, message := codeOf(t, err); code != "ExpiredToken" || message != "The security token included in the request is expired" {
				t.Errorf("at expiry: %q %q", code, message)
			}
			_, err = client(a, session).GetCallerIdentity(context.Background(), nil)
			if code, _ := codeOf(t, err); (code == "ExpiredToken") != (lifetime > 0) {
				t.Errorf("session with lifetime %v: %q", lifetime, code)
			}
		}
	})
}

func TestSessionPolicyNarrows(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	key := acct.User("alice").AddKey().creds()
	r := acct.Role("r", Trust(nil, acct.ID))
	next := acct.Role("next", Trust(nil, acct.ID))
	for _, tc := range []struct {
		policy string
		ok     bool
	}{
		{Allow([]string{"sts:*"}, []string{"*"}), true},
		{Allow([]string{"s3:*"}, []string{"*"}), false},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"s3:*","NotResource":"arn:aws:iam::*:role/x"}}`, true},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"` + next.ARN + `"}]}`, false},
	} {
		c := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &r.ARN, Policy: &tc.policy})
		_, err := assume(a, c, &sts.AssumeRoleInput{RoleArn: &next.ARN})
		if code, _ := codeOf(t, err); (code == "") != tc.ok {
			t.Errorf("%s: %q", tc.policy, code)
		}
	}
	managed := acct.Policy("none", Allow([]string{"s3:*"}, []string{"*"}))
	c := mustAssume(t, a, key, &sts.AssumeRoleInput{RoleArn: &r.ARN, PolicyArns: []types.PolicyDescriptorType{{Arn: &managed}}})
	if _, err := assume(a, c, &sts.AssumeRoleInput{RoleArn: &next.ARN}); err == nil {
		t.Error("a managed session policy did not narrow")
	}
}

func TestFederationToken(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	key := acct.User("alice").AddKey().creds()
	role := acct.Role("r", Trust(nil, acct.ID))
	get := func(who creds) (*sts.GetFederationTokenOutput, error) {
		return client(a, who).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob"), Policy: aws.String(Allow([]string{"*"}, []string{"*"}))})
	}
	_, err := get(mustSession(t, a, key, nil))
	if code, message := codeOf(t, err); code != "AccessDenied" || message != "Cannot call GetFederationToken with session credentials" {
		t.Errorf("with a session: %q %q", code, message)
	}
	out, err := get(key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = assume(a, creds{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}, &sts.AssumeRoleInput{RoleArn: &role.ARN})
	if code, _ := codeOf(t, err); code != "AccessDenied" {
		t.Errorf("AssumeRole by a federated user: %q", code)
	}
}

func TestPartitions(t *testing.T) {
	for _, tc := range []struct{ partition, good, bad string }{
		{"aws", "eu-west-1", "cn-north-1"},
		{"aws", "us-east-1", "us-gov-west-1"},
		{"aws-cn", "cn-northwest-1", "us-east-1"},
		{"aws-us-gov", "us-gov-east-1", "us-east-1"},
	} {
		a := New(Options{Partition: tc.partition})
		u := a.Default().User("alice")
		key := u.AddKey().creds()
		if want := "arn:" + tc.partition + ":iam::123456789012:user/alice"; u.ARN != want {
			t.Errorf("ARN %q, want %q", u.ARN, want)
		}
		for region, want := range map[string]string{tc.good: "", tc.bad: "SignatureDoesNotMatch", "nowhere": "SignatureDoesNotMatch"} {
			_, err := client(a, key).GetCallerIdentity(t.Context(), nil, func(o *sts.Options) {
				o.Region, o.BaseEndpoint = region, aws.String("http://sts.invalid")
			})
			if code, _ := codeOf(t, err); code != want {
				t.Errorf("%s in %s: got %q, want %q", region, tc.partition, code, want)
			}
		}
	}
}

func TestWebIdentity(t *testing.T) {
	a := New(Options{})
	acct := a.Default()
	p := acct.OIDCProvider("https://idp.example", nil, "client-1", "client-2")
	foreign := New(Options{}).Default().OIDCProvider("https://idp.example", nil, "client-1")
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"idp.example:aud":"client-1"},"StringLike":{"idp.example:sub":"user-*"}}}}`, p.ARN)
	role := acct.Role("web", trust)
	closed := acct.Role("closed", Trust(nil, acct.ID))
	for _, tc := range []struct {
		name, token, role string
		code              string
	}{
		{name: "good", token: p.Token("user-1", time.Minute, nil)},
		{name: "list of audiences", token: p.Token("user-1", time.Minute, map[string]any{"aud": []string{"client-1", "x"}})},
		{name: "other subject", token: p.Token("job-1", time.Minute, nil), code: "AccessDenied"},
		{name: "audience not in the trust policy", token: p.Token("user-1", time.Minute, map[string]any{"aud": "client-2"}), code: "AccessDenied"},
		{name: "unknown audience", token: p.Token("user-1", time.Minute, map[string]any{"aud": "client-3"}), code: "InvalidIdentityToken"},
		{name: "expired", token: p.Token("user-1", -time.Minute, nil), code: "ExpiredTokenException"},
		{name: "unknown issuer", token: p.Token("user-1", time.Minute, map[string]any{"iss": "https://else.example"}), code: "InvalidIdentityToken"},
		{name: "forged", token: foreign.Token("user-1", time.Minute, nil), code: "InvalidIdentityToken"},
		{name: "no JWT", token: "opaque", code: "InvalidIdentityToken"},
		{name: "role does not trust it", token: p.Token("user-1", time.Minute, nil), role: closed.ARN, code: "AccessDenied"},
		{name: "no such account", token: p.Token("user-1", time.Minute, nil), role: "arn:aws:iam::999999999999:role/web", code: "InvalidIdentityToken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			arn := role.ARN
			if tc.role != "" {
				arn = tc.role
			}
			out, err := client(a, creds{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: &arn, RoleSessionName: aws.String("test"), WebIdentityToken: &tc.token})
			if code, message := codeOf(t, err); code != tc.code {
				t.Fatalf("got %q %q, want %q", code, message, tc.code)
			}
			if err != nil {
				return
			}
			c := out.Credentials
			who, err := client(a, creds{*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken}).GetCallerIdentity(t.Context(), nil)
			if err != nil || *who.Arn != "arn:aws:sts::123456789012:assumed-role/web/test" {
				t.Errorf("identity %v, %v", who, err)
			}
		})
	}
}

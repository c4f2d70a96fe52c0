package chain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

const demo = `
[profile base]
region = eu-west-1

[profile mfa]
source_profile = base
mfa_serial = MFA

[profile admin]
role_arn = arn:aws:iam::123456789012:role/Admin
source_profile = base
mfa_serial = MFA

[profile readonly]
role_arn = arn:aws:iam::123456789012:role/ReadOnly
source_profile = base
mfa_serial = MFA

[profile prod]
role_arn = arn:aws:iam::210987654321:role/Prod
source_profile = base
mfa_serial = MFA
credentials_duration = 4h

[profile partner]
role_arn = arn:aws:iam::210987654321:role/Partner
source_profile = base
external_id = partner-4711

[profile deploy]
role_arn = arn:aws:iam::210987654321:role/Deploy
source_profile = admin
`

// in runs a test with a fake clock and a lab.
func in(t *testing.T, config string, f func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.config(config)
		f(t, l)
	})
}

func TestRoleRidesOnAnMFASession(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		c := l.get("admin")
		if want := "arn:aws:sts::123456789012:assumed-role/Admin/demo"; c.ARN != want {
			t.Errorf("ARN %q, want %q: the session is named after the IAM user", c.ARN, want)
		}
		if time.Until(c.Expires) != time.Hour {
			t.Errorf("lasts %s", time.Until(c.Expires))
		}
		if got := l.last("GetSessionToken"); got["DurationSeconds"] != "43200" || got["SerialNumber"] != l.world.MFA.Serial {
			t.Errorf("GetSessionToken %v", got)
		}
		if got := l.last("AssumeRole"); got["SerialNumber"] != "" || got["signer"] == l.world.Key.ID {
			t.Errorf("AssumeRole %v: it should ride on the session", got)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})

		// Another role of the same source shares the session.
		l.get("readonly")
		l.calls(map[string]int{"AssumeRole": 1})
		if l.person.count() != 1 {
			t.Errorf("asked %d times, want once", l.person.count())
		}

		// A warm run calls nobody.
		gets := l.store.gets
		if again := l.get("admin"); again.AccessKeyID != c.AccessKeyID {
			t.Error("other credentials in a warm run")
		}
		if n := l.store.gets - gets; n > 2 {
			t.Errorf("%d reads of the keyring in a warm run, want 2", n)
		}
		l.calls(nil)

		// Renewal takes a new role, not a new session.
		time.Sleep(50 * time.Minute)
		if again := l.get("admin"); again.AccessKeyID == c.AccessKeyID {
			t.Error("not renewed when due")
		}
		l.calls(map[string]int{"AssumeRole": 1})
		time.Sleep(12 * time.Hour)
		l.get("admin")
		l.calls(map[string]int{"GetSessionToken": 1, "AssumeRole": 1})
		if l.person.count() != 2 {
			t.Errorf("asked %d times, want twice", l.person.count())
		}
	})
}

func TestLongRoleSendsTheCodeItself(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		c := l.get("prod")
		if time.Until(c.Expires) != 4*time.Hour {
			t.Errorf("lasts %s, want 4h", time.Until(c.Expires))
		}
		if got := l.last("AssumeRole"); got["SerialNumber"] != l.world.MFA.Serial || got["signer"] != l.world.Key.ID {
			t.Errorf("AssumeRole %v", got)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
		l.get("prod")
		l.calls(nil)
	})
}

func TestRoleWithoutMFAIsAssumedWithTheKeys(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.get("partner")
		if got := l.last("AssumeRole"); got["signer"] != l.world.Key.ID || got["ExternalId"] != "partner-4711" {
			t.Errorf("AssumeRole %v", got)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
		if l.person.count() != 0 {
			t.Error("asked for a code that nothing needs")
		}
	})
}

func TestPlainProfileGetsASession(t *testing.T) {
	in(t, demo+"[profile plain]\nmfa_serial = MFA\n", func(t *testing.T, l *lab) {
		l.saveKeys("plain", l.world.Key)
		c := l.get("base")
		if c.ARN != l.world.User.ARN || !c.Temporary() || len(l.notices) != 1 || !strings.Contains(l.notices[0], "IAM refuses") {
			t.Errorf("got %v (%s), notices %q", c, c.ARN, l.notices)
		}
		if l.person.count() != 0 {
			t.Error("asked for a code without a device")
		}
		l.get("base")
		if len(l.notices) != 1 {
			t.Error("a warm run repeats the notice")
		}
		// A session made without MFA never serves a profile that asks for it.
		if with := l.get("plain"); with.AccessKeyID == c.AccessKeyID || l.person.count() != 1 {
			t.Errorf("asked %d times", l.person.count())
		}
		if len(l.notices) != 1 {
			t.Errorf("notices %q", l.notices)
		}
		l.calls(map[string]int{"GetCallerIdentity": 2, "GetSessionToken": 2})
	})
}

func TestSessionWithoutMFADoesNotServeARoleThatAsksForIt(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.get("base")
		l.get("admin")
		if l.person.count() != 1 {
			t.Errorf("asked %d times, want once", l.person.count())
		}
	})
}

func TestChainOfRoles(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		c := l.get("deploy")
		if want := "arn:aws:sts::210987654321:assumed-role/Deploy/demo"; c.ARN != want {
			t.Errorf("ARN %q, want %q", c.ARN, want)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 2})
		l.get("admin") // for a profile of its own it is the same role
		l.calls(nil)
	})
}

func TestDeepChainWithAnExternalIDEach(t *testing.T) {
	in(t, `
[profile base]
[profile one]
role_arn = arn:aws:iam::123456789012:role/One
source_profile = base
external_id = id-1
[profile two]
role_arn = arn:aws:iam::123456789012:role/Two
source_profile = one
external_id = id-2
[profile three]
role_arn = arn:aws:iam::123456789012:role/Three
source_profile = two
`, func(t *testing.T, l *lab) {
		a := l.world.Default()
		l.world.User.Put("all", awstest.Allow([]string{"sts:AssumeRole"}, []string{"*"}))
		one := a.Role("One", awstest.Trust(awstest.RequireExternalID("id-1"), l.world.User.ARN))
		two := a.Role("Two", awstest.Trust(awstest.RequireExternalID("id-2"), one.ARN))
		a.Role("Three", awstest.Trust(nil, two.ARN))
		l.get("three")
		if got := l.last("AssumeRole"); got["ExternalId"] != "" {
			t.Errorf("an external ID is lent: %v", got)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 3})
	})
}

func TestChainedRoleIsCappedAtAnHour(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		c := l.get("deploy", "credentials_duration=3h")
		if time.Until(c.Expires) != time.Hour {
			t.Errorf("lasts %s", time.Until(c.Expires))
		}
		if len(l.notices) != 1 || !strings.Contains(l.notices[0], "an hour at most") || !strings.Contains(l.notices[0], "3h") {
			t.Errorf("notices %q", l.notices)
		}
	})
}

// Whatever the credentials depend on, changing it never returns the earlier ones.
func TestChangesAreNeverServedFromTheCache(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*lab) []string
	}{
		{"role", func(l *lab) []string {
			l.config(strings.ReplaceAll(demo, "role/Partner", "role/Else"))
			return nil
		}},
		{"duration", func(*lab) []string { return []string{"credentials_duration=30m"} }},
		{"external ID", func(*lab) []string { return []string{"external_id=another-1"} }},
		{"MFA device", func(l *lab) []string { return []string{"mfa_serial=" + l.world.MFA.Serial} }},
		{"keys", func(l *lab) []string { l.saveKeys("base", l.world.User.AddKey()); return nil }},
		{"session name", func(*lab) []string { return []string{"role_session_name=me"} }},
		{"source identity", func(*lab) []string { return []string{"source_identity=me"} }},
		{"tags", func(*lab) []string { return []string{"session_tags=a=b"} }},
		{"transitive tags", func(*lab) []string {
			return []string{"session_tags=a=b", "transitive_session_tags=a"}
		}},
		{"endpoint", func(l *lab) []string { return []string{"endpoint_url=http://127.0.0.1:1"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in(t, demo, func(t *testing.T, l *lab) {
				trust := awstest.Trust(nil, l.world.User.ARN)
				l.world.Account(other).Role("Partner", trust)
				l.world.Account(other).Role("Else", trust)
				l.world.User.Put("all", awstest.Allow([]string{"sts:*"}, []string{"*"}))
				before := l.get("partner")
				flags := tc.change(l)
				if after := l.get("partner", flags...); after.AccessKeyID == before.AccessKeyID {
					t.Error("the earlier credentials came back")
				}
			})
		})
	}
	t.Run("the region does not matter", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			before := l.get("partner")
			if after := l.get("partner", "region=ap-southeast-2"); after.AccessKeyID != before.AccessKeyID {
				t.Error("the credentials are good everywhere, and were fetched again")
			}
		})
	})
	t.Run("session duration", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			before := l.get("base")
			if after := l.get("base", "session_token_duration=1h"); after.AccessKeyID == before.AccessKeyID {
				t.Error("the earlier session came back")
			}
		})
	})
}

func TestRequestsCarryTagsAndSourceIdentity(t *testing.T) {
	in(t, demo+`
[profile tagged]
role_arn = arn:aws:iam::210987654321:role/Partner
source_profile = base
external_id = partner-4711
session_tags = team=storage,cost=42
transitive_session_tags = team
source_identity = alice
role_session_name = alice smith/eu
`, func(t *testing.T, l *lab) {
		l.world.User.Put("all", awstest.Allow([]string{"sts:*"}, []string{"*"}))
		c := l.get("tagged")
		got := l.last("AssumeRole")
		for k, v := range map[string]string{
			"Tags.member.1.Key": "cost", "Tags.member.1.Value": "42", "Tags.member.2.Key": "team",
			"TransitiveTagKeys.member.1": "team", "SourceIdentity": "alice", "RoleSessionName": "alice-smith-eu",
		} {
			if got[k] != v {
				t.Errorf("%s is %q, want %q", k, got[k], v)
			}
		}
		if !strings.HasSuffix(c.ARN, "/alice-smith-eu") {
			t.Error(c.ARN)
		}
		l.calls(map[string]int{"AssumeRole": 1}) // a configured name needs no identity
	})
}

func TestRenew(t *testing.T) {
	renew := func(d *chain.Deps) { d.Renew = true }
	t.Run("a role, without a prompt", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			before := l.get("deploy")
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 2})
			time.Sleep(time.Second)
			l.deps = renew
			if l.get("deploy").AccessKeyID == before.AccessKeyID {
				t.Error("not renewed")
			}
			l.calls(map[string]int{"AssumeRole": 1})
			if l.person.count() != 1 {
				t.Errorf("asked %d times, want once", l.person.count())
			}
		})
	})
	t.Run("a session", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			before := l.get("base")
			time.Sleep(time.Second)
			l.deps = renew
			if l.get("base").AccessKeyID == before.AccessKeyID {
				t.Error("not renewed")
			}
		})
	})
}

func TestSessionOnly(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		role := l.get("admin")
		l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})
		l.deps = func(d *chain.Deps) { d.SessionOnly = true }
		c := l.get("admin")
		if c.AccessKeyID == role.AccessKeyID || c.ARN != l.world.User.ARN {
			t.Errorf("got %s", c.ARN)
		}
		if l.get("deploy").AccessKeyID != c.AccessKeyID {
			t.Error("not the session")
		}
		l.calls(nil)
	})
}

func TestRoleARNInPlaceOfAProfile(t *testing.T) {
	const admin, partner = "arn:aws:iam::123456789012:role/Admin", "arn:aws:iam::210987654321:role/Partner"
	t.Run("keys of default in the keyring, with -M", func(t *testing.T) {
		in(t, "", func(t *testing.T, l *lab) {
			l.saveKeys("default", l.world.Key)
			l.get(admin, "mfa_serial="+l.world.MFA.Serial)
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})
		})
	})
	t.Run("keys of the environment, last", func(t *testing.T) {
		in(t, "", func(t *testing.T, l *lab) {
			l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"] = l.world.Key.ID, l.world.Key.Secret
			l.get(partner, "external_id=partner-4711")
			l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
			key := l.world.User.AddKey()
			l.saveKeys("default", key)
			l.get(partner, "external_id=partner-4711")
			if got := l.last("AssumeRole"); got["signer"] != key.ID {
				t.Errorf("signed by %s, want the keyring's %s", got["signer"], key.ID)
			}
		})
	})
	t.Run("temporary keys of the environment make no session", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			c := l.get("mfa")
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1})
			l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"], l.env["AWS_SESSION_TOKEN"] = c.AccessKeyID, c.SecretAccessKey, c.SessionToken
			got := l.get(admin, "credentials_duration=2h")
			if time.Until(got.Expires) != time.Hour || len(l.notices) != 1 {
				t.Errorf("lasts %s, notices %q", time.Until(got.Expires), l.notices)
			}
			l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
		})
	})
	t.Run("no keys", func(t *testing.T) {
		in(t, "", func(t *testing.T, l *lab) {
			e := fails[*profile.Error](l, partner)
			if e.Hint() != "aws-runas keys add default" {
				t.Errorf("%v; hint %q", e, e.Hint())
			}
		})
	})
	t.Run("the environment is no source of a profile", func(t *testing.T) {
		in(t, "[profile x]\n", func(t *testing.T, l *lab) {
			l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"] = l.world.Key.ID, l.world.Key.Secret
			fails[*profile.Error](l, "x")
		})
	})
}

func TestKeysInFiles(t *testing.T) {
	write := func(l *lab, k awstest.Key, token string) {
		text := "[filed]\naws_access_key_id = " + k.ID + "\naws_secret_access_key = " + k.Secret + "\n"
		if token != "" {
			text += "aws_session_token = " + token + "\n"
		}
		if err := os.WriteFile(filepath.Join(l.dir, "credentials"), []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	const config = `
[profile filed]
[profile role]
role_arn = arn:aws:iam::210987654321:role/Partner
source_profile = filed
external_id = partner-4711
[profile self]
role_arn = arn:aws:iam::210987654321:role/Partner
external_id = partner-4711
`
	t.Run("long-term", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			write(l, l.world.Key, "")
			l.get("filed")
			l.get("role")
			if len(l.store.keys("key")) != 1 {
				t.Errorf("keys of a file were put into the keyring: %v", l.store.keys("key"))
			}
			// The keyring comes first.
			key := l.world.User.AddKey()
			l.saveKeys("filed", key)
			l.get("role")
			if got := l.last("AssumeRole"); got["signer"] != key.ID {
				t.Errorf("signed by %s, want the keyring's %s", got["signer"], key.ID)
			}
		})
	})
	t.Run("temporary", func(t *testing.T) {
		in(t, demo+config, func(t *testing.T, l *lab) {
			c := l.get("base")
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1})
			write(l, awstest.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.SessionToken)
			got, err := l.try("filed")
			if err != nil || got.AccessKeyID != c.AccessKeyID {
				t.Errorf("got %v, %v, want what the file has", got, err)
			}
			l.calls(nil)
		})
	})
	t.Run("a role that is its own source", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			l.saveKeys("self", l.world.Key)
			l.get("self")
		})
	})
}

func TestNoKeys(t *testing.T) {
	in(t, "[profile my keys]\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = my keys\n", func(t *testing.T, l *lab) {
		for _, name := range []string{"my keys", "role"} {
			e := fails[*profile.Error](l, name)
			if e.Hint() != "aws-runas keys add 'my keys'" || !strings.Contains(e.Error(), `"my keys"`) {
				t.Errorf("%v; hint %q", e, e.Hint())
			}
		}
	})
}

func TestIdentityIsKeptWithTheKeys(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.get("partner")
		c, err := session.Get[session.Credentials](t.Context(), l.store, session.UserKey("base"))
		if err != nil || c.ARN != l.world.User.ARN || c.SecretAccessKey != l.world.Key.Secret {
			t.Errorf("the record is %v (%s), %v", c, c.ARN, err)
		}
	})
}

// Keys that were replaced between being read and their identity being known
// stay as they are.
func TestIdentityDoesNotOverwriteNewKeys(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		replaced := false
		newer := l.world.User.AddKey()
		l.world.Inject(awstest.Fault{Action: "GetCallerIdentity", Delay: time.Second, Times: 1})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := l.world.Wait(t.Context(), "GetCallerIdentity", 1); err != nil {
				t.Error(err)
			}
			l.saveKeys("base", newer)
			replaced = true
		}()
		l.get("partner")
		<-done
		c, err := session.Get[session.Credentials](t.Context(), l.store, session.UserKey("base"))
		if err != nil || !replaced || c.AccessKeyID != newer.ID || c.ARN != "" {
			t.Errorf("the record is %v (%s), %v", c, c.ARN, err)
		}
	})
}

func TestDefaultSessionNameWithoutIdentity(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.world.Inject(awstest.Fault{Action: "GetCallerIdentity", Status: 400, Code: "InvalidAction", Message: "no such action"})
		c, err := l.try("partner")
		if err != nil || !strings.HasSuffix(c.ARN, "/os-user") {
			t.Errorf("got %s, %v; want the name of the user at the system", c.ARN, err)
		}
	})
}

func TestWaysThatNeedMore(t *testing.T) {
	in(t, `
[profile login]
login_session = arn:aws:iam::123456789012:user/me
[profile overlogin]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = login
`, func(t *testing.T, l *lab) {
		for _, name := range []string{"login", "overlogin"} {
			e := fails[*profile.Error](l, name)
			if !strings.Contains(e.Error(), "login_session") || e.Line == 0 {
				t.Errorf("%s: %v", name, e)
			}
		}
	})
}

func TestCredentialSource(t *testing.T) {
	const config = `
[profile env]
role_arn = arn:aws:iam::210987654321:role/Partner
credential_source = Environment
external_id = partner-4711
`
	t.Run("Environment", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"] = l.world.Key.ID, l.world.Key.Secret
			l.get("env")
			l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
		})
	})
	t.Run("empty Environment", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			if e := fails[*profile.Error](l, "env"); !strings.Contains(e.Error(), "AWS_ACCESS_KEY_ID") || e.Line == 0 {
				t.Errorf("%v; hint %q", e, e.Hint())
			}
		})
	})
	t.Run("temporary keys with a device of somebody else's", func(t *testing.T) {
		in(t, demo+strings.ReplaceAll(config, "Partner", "Deploy"), func(t *testing.T, l *lab) {
			c := l.get("admin")
			asked := l.person.count()
			l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"], l.env["AWS_SESSION_TOKEN"] = c.AccessKeyID, c.SecretAccessKey, c.SessionToken
			l.get("env", "mfa_serial="+l.world.MFA.Serial)
			if l.person.count() != asked {
				t.Error("asked for a code of a role, which has no device")
			}
		})
	})
}

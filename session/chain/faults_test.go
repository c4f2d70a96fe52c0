package chain_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/profile"
)

func TestRefusalsSayWhatToType(t *testing.T) {
	for _, tc := range []struct {
		name    string
		profile string
		flags   []string
		spoil   func(*lab)
		code    string
		hint    string
	}{
		{"no external ID", "partner", []string{"external_id=wrong-one"}, nil, "AccessDenied", "the role may ask for MFA (-M or mfa_serial)"},
		{"no MFA, no external ID", "arn:aws:iam::210987654321:role/Partner", nil,
			func(l *lab) { l.saveKeys("default", l.world.Key) }, "AccessDenied", "or an external ID (-X or external_id)"},
		{"not trusted, with MFA", "admin", nil,
			func(l *lab) { l.world.Default().Role("Admin", awstest.Trust(nil, "arn:aws:iam::210987654321:root")) },
			"AccessDenied", "the role may ask for an external ID (-X or external_id); if not, the trust policy of arn:aws:iam::123456789012:role/Admin must allow arn:aws:iam::123456789012:user/demo"},
		{"no such key", "partner", nil,
			func(l *lab) { l.saveKeys("base", awstest.Key{ID: "AKIANOSUCHKEY", Secret: "planted"}) },
			"InvalidClientTokenId", "aws-runas keys add base"},
		{"wrong secret", "base", nil,
			func(l *lab) { l.saveKeys("base", awstest.Key{ID: l.world.Key.ID, Secret: "planted"}) },
			"SignatureDoesNotMatch", "aws-runas keys add base"},
		{"longer than the role allows", "prod", []string{"credentials_duration=8h"}, nil, "ValidationError", "aws-runas -a 1h prod"},
		{"clock", "partner", nil, func(l *lab) { l.world.SetSkew(3 * time.Hour) }, "SignatureDoesNotMatch", ""},
		{"region off", "partner", []string{"region=me-south-1"},
			func(l *lab) {
				l.world.Inject(awstest.Fault{Status: 403, Code: "RegionDisabledException", Message: "STS is not activated in this region for account:123456789012."})
			}, "RegionDisabledException", "AWS_REGION=us-east-1"},
		{"session ended early", "admin", nil,
			func(l *lab) {
				l.world.Inject(awstest.Fault{Action: "AssumeRole", Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"})
			}, "ExpiredToken", "aws-runas logout admin"},
		{"keys of the account's root", "partner", nil,
			func(l *lab) { l.saveKeys("base", l.world.Default().RootKey()) }, "AccessDenied", "aws-runas keys add base"},
		{"bad keys in the environment", "env", nil,
			func(l *lab) {
				l.config("[profile env]\nrole_arn = arn:aws:iam::210987654321:role/Partner\ncredential_source = Environment\n")
				l.env["AWS_ACCESS_KEY_ID"], l.env["AWS_SECRET_ACCESS_KEY"], l.env["AWS_SESSION_TOKEN"] = "ASIAGONE", "planted", "planted"
			}, "InvalidClientTokenId", "put keys that are still good into AWS_ACCESS_KEY_ID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in(t, demo, func(t *testing.T, l *lab) {
				if tc.spoil != nil {
					tc.spoil(l)
				}
				e := fails[*session.Refused](l, tc.profile, tc.flags...)
				if e.Code != tc.code || !strings.Contains(e.Hint(), tc.hint) {
					t.Errorf("%v\nhint %q, want one with %q", e, e.Hint(), tc.hint)
				}
				if strings.Contains(e.Error(), "planted") {
					t.Error(e)
				}
				if n := len(l.store.keys("role")); n != 0 {
					t.Errorf("%d roles are kept", n)
				}
			})
		})
	}
}

func TestOutage(t *testing.T) {
	for name, fault := range map[string]awstest.Fault{
		"5xx":       awstest.Unavailable("", 0),
		"throttled": awstest.Throttled("", 0),
		"cut":       {Drop: true},
		"silence":   {Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, demo, func(t *testing.T, l *lab) {
				before := l.get("partner")
				l.world.Inject(fault)
				if got, err := l.try("partner"); err != nil || got.AccessKeyID != before.AccessKeyID {
					t.Errorf("warm: %v, %v", got, err)
				}
				// Due for renewal, and alive.
				time.Sleep(50 * time.Minute)
				var warned error
				l.cache.Warn = func(err error) { warned = err }
				if got, err := l.try("partner"); err != nil || got.AccessKeyID != before.AccessKeyID || warned == nil {
					t.Errorf("alive: %v, %v, warning %v", got, err, warned)
				}
				time.Sleep(20 * time.Minute)
				if e := fails[*session.Unreachable](l, "partner"); e.Hint() == "" {
					t.Error("no hint")
				}
				// It was a passing thing.
				l.world.Reset()
				l.get("partner")
			})
		})
	}
	t.Run("a short one is not noticed", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.world.Inject(awstest.Unavailable("AssumeRole", 2))
			l.world.Inject(awstest.Throttled("GetCallerIdentity", 2))
			l.get("partner")
		})
	})
}

func TestNobodyToAskLeavesWhatIsAlive(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		before := l.get("prod")
		l.person.away = true
		time.Sleep(4*time.Hour - 10*time.Minute)
		var warned error
		l.cache.Warn = func(err error) { warned = err }
		if got, err := l.try("prod"); err != nil || got.AccessKeyID != before.AccessKeyID || warned == nil {
			t.Errorf("alive: %v, %v, warning %v", got, err, warned)
		}
		time.Sleep(10 * time.Minute)
		fails[*session.Needs](l, "prod")
	})
}

func TestKeyringThatFails(t *testing.T) {
	locked := errors.New("the keyring is locked")
	t.Run("reading", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.store.fail = func(string, string) error { return locked }
			if _, err := l.try("admin"); !errors.Is(err, locked) {
				t.Errorf("got %v, want %v and not that there are no keys", err, locked)
			}
			l.calls(nil)
		})
	})
	t.Run("writing", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.store.fail = func(op, _ string) error {
				if op == "set" {
					return locked
				}
				return nil
			}
			var warned []error
			l.cache.Warn = func(err error) { warned = append(warned, err) }
			l.get("admin")
			if len(warned) != 3 { // the identity, the session and the role
				t.Errorf("warnings %v", warned)
			}
		})
	})
	t.Run("keys that are none", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.store.records[session.UserKey("base").String()] = []byte(`{}`)
			if _, err := l.try("admin"); err == nil || !strings.Contains(err.Error(), "holds no keys") {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestCallerGoesAway(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.world.Inject(awstest.Fault{Delay: time.Hour})
		p, err := l.open("partner")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := p.Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// Credentials that a wrong clock makes look dead are not handed on.
func TestShortCredentials(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		l.world.SetSkew(-4 * time.Minute) // within what signatures allow
		w := awstest.Demo(awstest.Options{Lifetime: 3 * time.Minute})
		w.SetSkew(-4 * time.Minute)
		l.world = w
		l.saveKeys("base", w.Key)
		if _, err := l.try("base"); err == nil || !strings.Contains(err.Error(), "by the clock of this machine") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOnePartition(t *testing.T) {
	for name, config := range map[string]string{
		"device": "[profile a]\nrole_arn = arn:aws-cn:iam::123456789012:role/Admin\nmfa_serial = arn:aws:iam::123456789012:mfa/demo\nsource_profile = base\n[profile base]\n",
		"source": "[profile a]\nrole_arn = arn:aws:iam::123456789012:role/Admin\nsource_profile = b\n[profile b]\nrole_arn = arn:aws-us-gov:iam::123456789012:role/Admin\nsource_profile = base\n[profile base]\n",
	} {
		t.Run(name, func(t *testing.T) {
			in(t, config, func(t *testing.T, l *lab) {
				if e := fails[*profile.Error](l, "a"); e.Line == 0 {
					t.Errorf("%v names no line", e)
				}
				l.calls(nil)
			})
		})
	}
}

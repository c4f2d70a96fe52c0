package saml

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/profile"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// products are all doubles, with the factor that each has beside codes.
var products = []string{awstest.Forms, awstest.Okta, awstest.OneLogin, awstest.Entra, awstest.ForgeRock}

// kindOf is saml_provider, "" where it has to be found out: in process the
// doubles have no host name that tells.
func kindOf(product string) string {
	switch product {
	case awstest.OneLogin:
		return OneLogin
	}
	return ""
}

func TestRoleByEachProvider(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				p := l.newIDP()
				p.Provider = kindOf(product)
				c, err := l.newRole(p, l.admin.ARN).Credentials(t.Context())
				if err != nil {
					t.Fatalf("%v (hint: %s)", err, session.Hint(err))
				}
				if want := "arn:aws:sts::123456789012:assumed-role/Admin/alice"; c.ARN != want {
					t.Errorf("the credentials are those of %q, want %q", c.ARN, want)
				}
				if got := l.person.questions(); got != "password" {
					t.Errorf("asked for %q, want the password alone", got)
				}
				l.noSecrets()

				// Another process asks nothing where there is a session.
				p = l.newIDP()
				p.Provider = kindOf(product)
				if _, err := l.newRole(p, strings.Replace(l.admin.ARN, "Admin", "ReadOnly", 1)).Credentials(t.Context()); err != nil {
					t.Fatalf("the second role: %v", err)
				}
				want := "password"
				if product == awstest.OneLogin {
					want = "password/password" // its API makes no session
				}
				if got := l.person.questions(); got != want {
					t.Errorf("asked for %q in all, want %q", got, want)
				}

				// The session ended over there.
				l.idp.EndSessions()
				l.person.away = true
				p = l.newIDP()
				p.Provider = kindOf(product)
				_, err = p.Assertion(t.Context())
				var needs *session.Needs
				if !errors.As(err, &needs) || needs.What != session.NeedAuth || needs.Username != "alice" || needs.Profile != "dev" {
					t.Errorf("with nobody there: %v, want a need for AUTH", err)
				}
				l.person.away = false
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Errorf("with somebody there again: %v", err)
				}
			})
		})
	}
}

func TestSecondFactors(t *testing.T) {
	for _, tc := range []struct {
		product, factors, mfaType, push string
		number                          int
		otp                             bool // given beforehand
		asked                           string
		notice                          string
		refused                         string // in the error
	}{
		{product: awstest.Forms, factors: "totp", asked: "password/mfa"},
		{product: awstest.Forms, factors: "totp", otp: true, asked: "password"},
		{product: awstest.Forms, factors: "totp", mfaType: "none", asked: "password", refused: "mfa_type is none"},

		{product: awstest.Okta, factors: "totp", asked: "password/mfa"},
		{product: awstest.Okta, factors: "push totp", push: "approve", asked: "password", notice: "approve the sign-in on Alice's phone"},
		{product: awstest.Okta, factors: "push totp", push: "approve", number: 42, asked: "password", notice: "choose the number 42 on Alice's phone"},
		{product: awstest.Okta, factors: "push totp", mfaType: "code", asked: "password/mfa"},
		{product: awstest.Okta, factors: "totp push", mfaType: "push", push: "approve", asked: "password"},
		{product: awstest.Okta, factors: "sms", asked: "password/mfa"},
		{product: awstest.Okta, factors: "push", push: "reject", asked: "password", refused: "rejected"},
		{product: awstest.Okta, factors: "push", asked: "password", refused: "nobody answered the push message"},
		{product: awstest.Okta, factors: "totp", mfaType: "push", asked: "password", refused: "no second factor fits mfa_type push: there are token:software:totp google"},
		{product: awstest.Okta, factors: "duo", asked: "password", refused: "no second factor fits mfa_type auto: there are web duo"},
		{product: awstest.Okta, factors: "totp", mfaType: "none", asked: "password", refused: "mfa_type is none"},

		{product: awstest.OneLogin, factors: "totp", asked: "password/mfa"},
		{product: awstest.OneLogin, factors: "push", push: "approve", asked: "password"},
		{product: awstest.OneLogin, factors: "push totp", asked: "password/mfa"}, // the default is the second
		{product: awstest.OneLogin, factors: "push totp", mfaType: "push", push: "approve", asked: "password"},
		{product: awstest.OneLogin, factors: "push", mfaType: "code", asked: "password/mfa"},
		{product: awstest.OneLogin, factors: "sms", asked: "password/mfa"},
		{product: awstest.OneLogin, factors: "push", push: "reject", asked: "password", refused: "Failed authentication with this factor"},
		{product: awstest.OneLogin, factors: "push", asked: "password", refused: "nobody answered"},

		{product: awstest.Entra, factors: "totp", asked: "password/mfa"},
		{product: awstest.Entra, factors: "push totp", push: "approve", number: 17, asked: "password", notice: "choose the number 17"},
		{product: awstest.Entra, factors: "push totp", mfaType: "code", asked: "password/mfa"},
		{product: awstest.Entra, factors: "sms", asked: "password/mfa"},
		{product: awstest.Entra, factors: "call", push: "approve", asked: "password"},
		{product: awstest.Entra, factors: "push", push: "reject", asked: "password", refused: "PhoneAppDenied"},
		{product: awstest.Entra, factors: "push", asked: "password", refused: "nobody answered"},

		{product: awstest.ForgeRock, factors: "totp", asked: "password/mfa"},
		{product: awstest.ForgeRock, factors: "push totp", push: "approve", number: 61, asked: "password", notice: "choose the number 61"},
		{product: awstest.ForgeRock, factors: "push totp", mfaType: "code", asked: "password/mfa"},
		{product: awstest.ForgeRock, factors: "push", push: "reject", asked: "password", refused: "Login failure"},
		{product: awstest.ForgeRock, factors: "push", asked: "password", refused: "nobody answered"},
		{product: awstest.ForgeRock, factors: "totp", mfaType: "push", asked: "password", refused: "no second factor fits mfa_type push"},
	} {
		name := strings.Join([]string{tc.product, tc.factors, tc.mfaType, tc.push, tc.refused}, " ")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, tc.product)
				l.idp.Change(l.alice, func(p *awstest.Person) {
					p.Factors, p.Push, p.Number = strings.Fields(tc.factors), tc.push, tc.number
				})
				p := l.newIDP()
				p.Provider, p.MFAType = kindOf(tc.product), tc.mfaType
				if tc.otp {
					code := l.idp.Code(l.alice)
					p.OTP = func() string { defer func() { code = "" }(); return code }
				}
				began := time.Now()
				_, err := p.Assertion(t.Context())
				switch {
				case tc.refused == "" && err != nil:
					t.Fatalf("%v (hint: %s)", err, session.Hint(err))
				case tc.refused != "":
					var no *session.Refused
					if !errors.As(err, &no) || !strings.Contains(err.Error(), tc.refused) || session.Hint(err) == "" {
						t.Errorf("got %v (hint %q), want a refusal with %q and a hint", err, session.Hint(err), tc.refused)
					}
				}
				if d := time.Since(began); d > pushTimeout+time.Minute {
					t.Errorf("it took %s", d)
				}
				if got := l.person.questions(); got != tc.asked {
					t.Errorf("asked for %q, want %q", got, tc.asked)
				}
				if tc.notice != "" && !strings.Contains(strings.Join(l.notices, "\n"), tc.notice) {
					t.Errorf("told %q, want %q", l.notices, tc.notice)
				}
				l.noSecrets(fmt.Sprint(err))
			})
		})
	}
}

func TestWrongPassword(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				l.person.passwords = []string{"wrong one FAKE", "wrong one FAKE", alicePassword}
				p := l.newIDP()
				p.Provider = kindOf(product)
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatalf("with the right one at the end: %v", err)
				}
				problems := l.person.problems()
				if len(problems) != 3 || problems[0] != "" || problems[1] == "" || problems[2] != "that password has just been refused" {
					t.Errorf("asked with the problems %q", problems)
				}
				// The one that was typed again was not sent again.
				if n, _, _ := l.idp.Attempts(l.alice); product != awstest.ForgeRock && n != 2 {
					t.Errorf("%d passwords were sent, want 2", n)
				}
				l.noSecrets(problems...)

				l.idp.EndSessions()
				l.person.asked, l.person.passwords = nil, []string{"wrong a FAKE", "wrong b FAKE", "wrong c FAKE", "wrong d FAKE"}
				p = l.newIDP()
				p.Provider = kindOf(product)
				_, err := p.Assertion(t.Context())
				var no *session.Refused
				if !errors.As(err, &no) || session.Hint(err) != "aws-runas login dev" || len(l.person.asked) != 3 {
					t.Errorf("after %d wrong ones: %v, hint %q", len(l.person.asked), err, session.Hint(err))
				}
				if strings.Contains(err.Error(), "<") {
					t.Errorf("the error holds markup: %v", err)
				}
			})
		})
	}
}

func TestWrongCodes(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				l.idp.Change(l.alice, func(p *awstest.Person) { p.Factors = []string{"totp"} })
				n := 0
				l.person.code = func() string {
					if n++; n == 1 {
						return "000000"
					}
					return l.idp.Code(l.alice)
				}
				p := l.newIDP()
				p.Provider = kindOf(product)
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatalf("with the right one at the end: %v", err)
				}
				if q := l.person.asked[len(l.person.asked)-1]; l.person.questions() != "password/mfa/mfa" || q.Problem == "" {
					t.Errorf("asked for %q, the last with %q", l.person.questions(), q.Problem)
				}

				l.idp.EndSessions()
				l.person.asked = nil
				l.person.code = func() string { return "000000" }
				p = l.newIDP()
				p.Provider = kindOf(product)
				_, err := p.Assertion(t.Context())
				var no *session.Refused
				if !errors.As(err, &no) || session.Hint(err) != "aws-runas login dev" || l.person.questions() != "password/mfa/mfa/mfa" {
					t.Errorf("got %v with the hint %q, asked %q", err, session.Hint(err), l.person.questions())
				}
			})
		})
	}
}

func TestAccountsThatCannotSignIn(t *testing.T) {
	for _, product := range products {
		for _, tc := range []struct {
			name   string
			change func(*awstest.Person)
			want   string
		}{
			{"locked", func(p *awstest.Person) { p.Locked = true }, "locked"},
			{"password expired", func(p *awstest.Person) { p.Expired = true }, "password"},
		} {
			t.Run(product+" "+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if product == awstest.ForgeRock && tc.name != "locked" {
						t.Skip("ForgeRock tells a refused password only")
					}
					l := newLab(t, product)
					l.idp.Change(l.alice, tc.change)
					p := l.newIDP()
					p.Provider = kindOf(product)
					_, err := p.Assertion(t.Context())
					var no *session.Refused
					if !errors.As(err, &no) || !strings.Contains(strings.ToLower(err.Error()), tc.want) || session.Hint(err) == "" {
						t.Errorf("got %v with the hint %q, want %q", err, session.Hint(err), tc.want)
					}
					if n, _, _ := l.idp.Attempts(l.alice); tc.name == "locked" && n != 1 {
						t.Errorf("%d passwords were sent to a locked account", n)
					}
				})
			})
		}
	}
}

// A password that no person typed is never sent again once it was refused,
// whichever process has it.
func TestStoredPasswordIsNotSentTwice(t *testing.T) {
	for _, product := range products {
		for _, from := range []string{"keyring", "environment"} {
			t.Run(product+" "+from, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, product)
					p := l.newIDP()
					wrong, hint := "wrong stored FAKE", "aws-runas password dev"
					if from == "keyring" {
						if err := SavePassword(t.Context(), l.store, p.URL, p.Username, "", wrong); err != nil {
							t.Fatal(err)
						}
					} else {
						l.env["SAML_PASSWORD"], hint = wrong, "unset RUNAS_PASSWORD SAML_PASSWORD WEB_PASSWORD"
					}
					l.person.away = true
					for range 5 {
						p = l.newIDP()
						p.Provider = kindOf(product)
						_, err := p.Assertion(t.Context())
						var no *session.Refused
						if !errors.As(err, &no) || session.Hint(err) != hint {
							t.Fatalf("got %v with the hint %q, want a refusal with %q", err, session.Hint(err), hint)
						}
					}
					if n, _, _ := l.idp.Attempts(l.alice); n != 1 {
						t.Errorf("it was sent %d times", n)
					}

					// A person helps, and the mark is gone.
					l.person.away = false
					if _, err := p.Assertion(t.Context()); err != nil {
						t.Fatal(err)
					}
					if from == "keyring" {
						if err := SavePassword(t.Context(), l.store, p.URL, p.Username, "", alicePassword); err != nil {
							t.Fatal(err)
						}
					} else {
						l.env["SAML_PASSWORD"] = alicePassword
					}
					l.idp.EndSessions()
					l.person.away = true
					p = l.newIDP()
					p.Provider = kindOf(product)
					if _, err := p.Assertion(t.Context()); err != nil {
						t.Errorf("with the right one: %v", err)
					}
					if err := RemovePassword(t.Context(), l.store, p.URL, p.Username); err != nil || l.store.kinds(session.KindPassword) != 0 {
						t.Errorf("after removing it: %v, %d records", err, l.store.kinds(session.KindPassword))
					}
				})
			})
		}
	}
}

func TestUsernameIsAskedForAndKept(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				p := l.newIDP()
				p.Provider, p.Username = kindOf(product), ""
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := l.person.questions(); got != "username/password" {
					t.Errorf("asked for %q", got)
				}
				if product == awstest.OneLogin {
					return // nothing is kept
				}
				l.idp.EndSessions()
				p = l.newIDP()
				p.Provider, p.Username = kindOf(product), ""
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := l.person.questions(); got != "username/password/password" {
					t.Errorf("asked for %q in all", got)
				}
			})
		})
	}
}

// Twenty processes that ask at once sign in once.
func TestOneSignIn(t *testing.T) {
	for _, product := range []string{awstest.Forms, awstest.Okta, awstest.Entra, awstest.ForgeRock} {
		t.Run(product, func(t *testing.T) {
			l := newLab(t, product)
			l.idp.Change(l.alice, func(p *awstest.Person) { p.Factors = []string{"totp"} })
			home := l.aws.Default()
			var wg sync.WaitGroup
			for i := range 20 {
				r := home.Role(fmt.Sprintf("R%d", i), awstest.TrustSAML(l.provider))
				l.idp.Change(l.alice, func(p *awstest.Person) { p.Roles = append(p.Roles, r.ARN+","+l.provider.ARN) })
				p := l.newIDP()
				p.Profile = r.Name
				wg.Go(func() {
					if _, err := l.newRole(p, r.ARN).Credentials(t.Context()); err != nil {
						t.Errorf("%s: %v", r.Name, err)
					}
				})
			}
			wg.Wait()
			if got := l.person.questions(); got != "password/mfa" {
				t.Errorf("asked for %q", got)
			}
			if n := l.store.kinds(session.KindIDP); n != 1 {
				t.Errorf("%d sessions are kept", n)
			}

			// The session ends over there, and twenty find out at once.
			l.idp.EndSessions()
			l.person.code = func() string { return l.idp.Code(l.alice) }
			for i := range 20 {
				p := l.newIDP()
				p.Profile = fmt.Sprintf("R%d", i)
				wg.Go(func() {
					if _, err := p.Assertion(t.Context()); err != nil {
						t.Errorf("%s: %v", p.Profile, err)
					}
				})
			}
			wg.Wait()
			if got := l.person.questions(); got != "password/mfa/password/mfa" {
				t.Errorf("asked for %q in all", got)
			}
		})
	}
}

// A role's credentials are renewed for a day from the session alone.
func TestRenewalForADay(t *testing.T) {
	for _, product := range []string{awstest.Forms, awstest.Okta, awstest.Entra, awstest.ForgeRock} {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				l.idp.SetSession(30 * time.Hour)
				if _, err := l.newIDP().Assertion(t.Context()); err != nil {
					t.Fatal(err)
				}
				l.person.away = true
				p := l.newIDP()
				p.Cache.NoInput = true
				r := l.newRole(p, l.admin.ARN)
				for range 26 {
					c, err := r.Credentials(t.Context())
					if err != nil || time.Until(c.Expires) < 10*time.Minute {
						t.Fatalf("after %s: %v, %s left", time.Since(c.Issued), err, time.Until(c.Expires))
					}
					<-time.After(50 * time.Minute)
				}
				if n, _, _ := l.idp.Attempts(l.alice); n != 1 && product != awstest.ForgeRock {
					t.Errorf("%d passwords were sent", n)
				}
			})
		})
	}
}

func TestPushNeedsSomebody(t *testing.T) {
	for _, product := range []string{awstest.Okta, awstest.OneLogin, awstest.Entra, awstest.ForgeRock} {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				l.idp.Change(l.alice, func(p *awstest.Person) { p.Factors, p.Push = []string{"push"}, "approve" })
				l.env["RUNAS_PASSWORD"] = alicePassword
				p := l.newIDP()
				p.Provider, p.MFAType, p.Person = kindOf(product), "push", nil
				_, err := p.Assertion(t.Context())
				var needs *session.Needs
				if !errors.As(err, &needs) || needs.What != session.NeedMFA {
					t.Errorf("got %v, want a need for MFA", err)
				}
				if _, _, pushes := l.idp.Attempts(l.alice); product != awstest.ForgeRock && pushes != 0 {
					t.Errorf("%d push messages were sent with nobody there", pushes)
				}
			})
		})
	}
}

func TestSignOut(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				p := l.newIDP()
				p.Provider = kindOf(product)
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := p.Logout(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := l.store.kinds(session.KindIDP); n != 0 {
					t.Errorf("%d sessions are kept", n)
				}
				if n := l.idp.Sessions(); (product == awstest.Okta || product == awstest.ForgeRock || product == awstest.Entra) && n != 0 {
					t.Errorf("%d sessions are left at the provider", n)
				}
				if err := p.Logout(t.Context()); err != nil {
					t.Errorf("once more: %v", err)
				}
				l.person.away = true
				var needs *session.Needs
				if _, err := p.Assertion(t.Context()); !errors.As(err, &needs) {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// A sign-in that another process is about to keep is not there afterwards.
func TestSignOutWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Okta)
		p := l.newIDP()
		if _, err := p.Assertion(t.Context()); err != nil {
			t.Fatal(err)
		}
		key, err := p.Key()
		if err != nil {
			t.Fatal(err)
		}
		kept, err := l.store.Get(t.Context(), key.String())
		if err != nil {
			t.Fatal(err)
		}
		other := make(chan error, 1)
		go func() {
			other <- l.cache().Locked(t.Context(), key, func(ctx context.Context) error {
				time.Sleep(time.Second)
				return l.store.Set(ctx, key.String(), kept, time.Time{})
			})
		}()
		synctest.Wait()
		if err := errors.Join(p.Logout(t.Context()), <-other); err != nil {
			t.Error(err)
		}
		if n := l.store.kinds(session.KindIDP); n != 0 {
			t.Errorf("%d sessions are kept", n)
		}
	})
}

func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		change func(*IDP)
		want   string
	}{
		{func(p *IDP) { p.URL = "ftp://x" }, "is not a URL"},
		{func(p *IDP) { p.URL = "https://x/?token=FAKESECRET\x7f" }, "is not a URL"},
		{func(p *IDP) { p.Provider = "ping" }, `"ping" is unknown: it is one of azuread, browser, browserne, forgerock, form, keycloak, okta, onelogin`},
		{func(p *IDP) { p.Program = "firefox" }, "neither chrome nor msedge"},
		{func(p *IDP) { p.Provider = OneLogin; p.URL = "https://x.onelogin.com/?app_id=1" }, "lacks what OneLogin's API needs"},
		{func(p *IDP) { p.Provider = ForgeRock; p.URL = "https://x/y" }, "is none of ForgeRock's"},
		{func(p *IDP) { p.Provider = BrowserNE }, "has no saml_auth_entityid"},
	} {
		l := newLab(t, awstest.Forms)
		p := l.newIDP()
		tc.change(p)
		_, err := p.Assertion(t.Context())
		var wrong *profile.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) || session.Hint(err) == "" || strings.Contains(err.Error(), "FAKESECRET") {
			t.Errorf("got %v (hint %q), want %q", err, session.Hint(err), tc.want)
		}
	}
}

func TestBadProviders(t *testing.T) {
	type answer = http.HandlerFunc
	html := func(status int, body string) answer {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	moves := func(to string) answer {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	form := func(action, response string) string {
		return `<form method=post action="` + action + `"><input type=hidden name=SAMLResponse value="` + response + `"></form>`
	}
	for _, tc := range []struct {
		name   string
		answer answer
		want   string
		down   bool // Unreachable, else Refused
	}{
		{"a circle", moves("/saml"), "in a circle", false},
		{"on and on", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/saml?"+r.URL.RawQuery+"x", http.StatusFound)
		}, "in a circle", false},
		{"pages on and on", func(w http.ResponseWriter, r *http.Request) {
			html(200, `<body onload="document.forms[0].submit()"><form action="/saml?`+r.URL.RawQuery+`x" method=post><input type=hidden name=a value=b></form>`)(w, r)
		}, "given up after 20 pages", false},
		{"to http", moves("http://elsewhere.test/"), "from https to http", false},
		{"to a file", moves("file:///etc/passwd"), `leads to a "file" address`, false},
		{"form to http", html(200, `<form action="http://elsewhere.test/" method=post><input name=user><input type=password name=p></form>`), "from https to http", false},
		{"form to a script", html(200, `<form action="javascript:go()" method=post><input name=user><input type=password name=p></form>`), `goes to a "javascript" address`, false},
		{"huge", html(200, strings.Repeat("x", 2<<20)), "larger than the MiB", false},
		{"not found", html(404, "<title>Not found</title>"), "no sign-in page (HTTP status 404)", false},
		{"broken", html(500, "<title>Oops</title>"), "HTTP status 500", true},
		{"overloaded", html(429, ""), "too often", true},
		{"JSON", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{}`))
		}, "is no page", false},
		{"Kerberos", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", "Negotiate")
			html(401, "<h1>Unauthorized</h1>")(w, r)
		}, "by HTTP Negotiate", false},
		{"only a script", html(200, `<title>App</title><div id=root></div><script src=app.js></script>`), `page "App" has nothing`, false},
		{"security key", html(200, `<title>Key</title><form id=webauth method=post><input type=hidden name=clientDataJSON></form><script>navigator.credentials.get({})</script>`), "security key", false},
		{"a field nobody knows", html(200, `<form method=post><label>Favourite colour <input name=x required></label><input name=user><input type=password name=p></form>`), `asks for "Favourite colour"`, false},
		{"malformed XML", html(200, form("https://signin.aws.amazon.com/saml", "PHNhbWw+")), "not well-formed XML", false},
		{"not base64", html(200, form("https://signin.aws.amazon.com/saml", "###")), "not base64", false},
		{"empty page", html(200, ""), "nothing that aws-runas can fill in", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, awstest.Forms)
				l.hosts["idp.test"] = handlerTransport{tc.answer}
				p := l.newIDP()
				_, err := p.Assertion(t.Context())
				var no *session.Refused
				var down *session.Unreachable
				if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, &down) != tc.down || errors.As(err, &no) == tc.down {
					t.Errorf("got %T %v, want %q", err, err, tc.want)
				}
				if strings.ContainsAny(fmt.Sprint(err), "<>") {
					t.Errorf("the error holds markup: %v", err)
				}
				l.noSecrets(fmt.Sprint(err))
			})
		})
	}
}

func TestBadAssertions(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tweak func(*awstest.AssertionFields)
		want  string
	}{
		{"expired", func(f *awstest.AssertionFields) { f.NotOnOrAfter = f.Issued.Add(-time.Hour) }, "expired at"},
		{"not yet", func(f *awstest.AssertionFields) { f.NotBefore = f.Issued.Add(time.Hour) }, "is good from"},
		{"other roles", func(f *awstest.AssertionFields) {
			f.Roles = []string{"arn:aws:iam::123456789012:role/Other,arn:aws:iam::123456789012:saml-provider/corp"}
		}, "does not admit to arn:aws:iam::123456789012:role/Admin, but to arn:aws:iam::123456789012:role/Other"},
		{"no roles", func(f *awstest.AssertionFields) { f.Roles = nil }, "admits to no role"},
		{"a failure", func(f *awstest.AssertionFields) { f.Status = "AuthnFailed" }, "AuthnFailed: the directory says no"},
		{"changed", func(f *awstest.AssertionFields) {
			f.Break = func(s string) string { return strings.Replace(s, ">alice<", ">mallory<", 1) }
		}, "Response signature invalid"},
		{"two assertions", func(f *awstest.AssertionFields) {
			f.Break = func(s string) string {
				i := strings.Index(s, "<saml:Assertion")
				return s[:i] + s[i:strings.Index(s, "</samlp:Response>")] + s[i:]
			}
		}, "has 2 assertions"},
		{"other audience", func(f *awstest.AssertionFields) { f.Audience = "urn:other" }, "Incorrect audience"},
		{"other recipient", func(f *awstest.AssertionFields) { f.Recipient = "https://signin.amazonaws.cn/saml" }, "Not authorized to perform sts:AssumeRoleWithSAML"},
		{"other issuer", func(f *awstest.AssertionFields) { f.Issuer = "urn:other" }, "Issuer not present"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, awstest.Forms)
				l.idp.SetAssertion(tc.tweak)
				_, err := l.newRole(l.newIDP(), l.admin.ARN).Credentials(t.Context())
				var no *session.Refused
				if !errors.As(err, &no) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				if tc.name != "two assertions" && session.Hint(err) == "" {
					t.Errorf("no hint for %v", err)
				}
				l.noSecrets(fmt.Sprint(err))
			})
		})
	}
}

func TestProviderDownOrSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		for name, fault := range map[string]awstest.Fault{
			"cut":  {Action: "/saml", Times: 1, Drop: true},
			"slow": {Action: "/saml", Times: 1, Delay: time.Hour},
			"down": {Action: "/saml", Times: 1, Status: 503},
		} {
			l.idp.Inject(fault)
			began := time.Now()
			_, err := l.newIDP().Assertion(t.Context())
			var down *session.Unreachable
			if !errors.As(err, &down) || session.Hint(err) == "" || !strings.Contains(err.Error(), "idp.test") {
				t.Errorf("%s: %v (hint %q)", name, err, session.Hint(err))
			}
			if d := time.Since(began); d > time.Minute {
				t.Errorf("%s took %s", name, d)
			}
		}
		if _, err := l.newIDP().Assertion(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		r := l.newRole(l.newIDP(), l.admin.ARN)
		r.Duration = 4 * time.Hour
		l.idp.SetAssertion(func(f *awstest.AssertionFields) { f.SessionNotOnOrAfter = f.Issued.Add(40 * time.Minute) })
		c, err := r.Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Until(c.Expires); d > 40*time.Minute || d < 39*time.Minute {
			t.Errorf("they last %s", d)
		}
		if !strings.Contains(strings.Join(l.notices, "\n"), "ends the session at") {
			t.Errorf("told %q", l.notices)
		}
	})
}

func TestPick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		_, err := l.newRole(l.newIDP(), "").Credentials(t.Context())
		var wrong *profile.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "offers 2 roles: "+l.admin.ARN+", ") || session.Hint(err) == "" {
			t.Errorf("with nobody to choose: %v (hint %q)", err, session.Hint(err))
		}
		r := l.newRole(l.newIDP(), "")
		r.Pick = func(_ contextContext, roles []string) (string, error) { return roles[1], nil }
		c, err := r.Credentials(t.Context())
		if err != nil || !strings.Contains(c.ARN, "/ReadOnly/") {
			t.Errorf("with a choice: %q, %v", c.ARN, err)
		}
		l.idp.Change(l.alice, func(p *awstest.Person) { p.Roles = p.Roles[:1] })
		l.store.records = nil
		if c, err := l.newRole(l.newIDP(), "").Credentials(t.Context()); err != nil || !strings.Contains(c.ARN, "/Admin/") {
			t.Errorf("with one role: %q, %v", c.ARN, err)
		}
	})
}

// Keys depend on all that the credentials depend on.
func TestKeys(t *testing.T) {
	l := newLab(t, awstest.Forms)
	base, err := l.newRole(l.newIDP(), l.admin.ARN).Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{base.Hash: "the first"}
	for name, change := range map[string]func(*Role){
		"role":      func(r *Role) { r.RoleARN += "x" },
		"duration":  func(r *Role) { r.Duration *= 2 },
		"user":      func(r *Role) { r.IDP.Username = "bob" },
		"url":       func(r *Role) { r.IDP.URL += "?x" },
		"client":    func(r *Role) { r.IDP.EntityID = "x" },
		"federated": func(r *Role) { r.IDP.FederatedUsername = "x" },
		"partition": func(r *Role) { r.AWS.Partition = "aws-cn" },
	} {
		r := l.newRole(l.newIDP(), l.admin.ARN)
		change(r)
		k, err := r.Key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[k.Hash]; other != "" {
			t.Errorf("another %s has the key of %s", name, other)
		}
		seen[k.Hash] = name
	}
	r := l.newRole(l.newIDP(), l.admin.ARN)
	r.AWS.Region, r.Name, r.IDP.Profile = "us-east-1", "other", "other"
	if k, err := r.Key(t.Context()); err != nil || k.Hash != base.Hash {
		t.Errorf("another region or name has another key (%v)", err)
	}
}

// attempt answers as the metadata servers' page does: with what it has been
// given so far, once.
type attempt struct {
	given map[string]string
	unmet string
}

func (a *attempt) Ask(_ contextContext, q session.Question) (string, error) {
	if v := a.given[q.What]; v != "" {
		delete(a.given, q.What)
		return v, nil
	}
	a.unmet = q.What
	what := session.NeedAuth
	if q.What == session.AskMFA {
		what = session.NeedMFA
	}
	return "", &session.Needs{What: what, Profile: q.Profile}
}

// A page asks for the password, then for the code, and begins anew with both.
func TestAuthThenMFA(t *testing.T) {
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, product)
				l.idp.Change(l.alice, func(p *awstest.Person) { p.Factors = []string{"totp"} })
				try := func(given map[string]string) (string, error) {
					p := l.newIDP()
					a := &attempt{given: given}
					p.Provider, p.Ask, p.Username, p.Cache.NoInput = kindOf(product), a, "", true
					_, err := l.newRole(p, l.admin.ARN).Credentials(t.Context())
					var needs *session.Needs
					if errors.As(err, &needs) {
						return needs.What, err
					}
					return "", err
				}
				if what, err := try(nil); what != session.NeedAuth {
					t.Fatalf("at first: %v", err)
				}
				if what, err := try(map[string]string{"username": "alice", "password": alicePassword}); what != session.NeedMFA {
					t.Fatalf("with the password: %v", err)
				}
				if what, err := try(map[string]string{"username": "alice", "password": alicePassword, "mfa": l.idp.Code(l.alice)}); what != "" || err != nil {
					t.Fatalf("with the code: %v", err)
				}
				if n, codes, _ := l.idp.Attempts(l.alice); codes != 1 || product != awstest.ForgeRock && n != 2 {
					t.Errorf("%d passwords and %d codes were sent", n, codes)
				}
			})
		})
	}
}

func TestInvalidTLS(t *testing.T) {
	l := newLab(t, awstest.Forms)
	s := httptest.NewUnstartedServer(l.idp)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	p := l.newIDP()
	p.URL = s.URL + "/saml"
	p.AWS = l.network("")
	_, err := p.Assertion(t.Context())
	var down *session.Unreachable
	if !errors.As(err, &down) || !strings.Contains(err.Error(), "does not trust") || session.Hint(err) != "export AWS_CA_BUNDLE=/path/to/certificates.pem" {
		t.Errorf("got %v (hint %q)", err, session.Hint(err))
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	p = l.newIDP()
	p.URL = s.URL + "/saml"
	p.AWS = l.network("")
	p.AWS.CABundle = bundle
	if _, err := p.Assertion(t.Context()); err != nil {
		t.Errorf("with its authority: %v", err)
	}
}

package sso_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/awstest"
	"aws-runas/session/signin"
	"aws-runas/session/sso"
)

// store keeps records in memory until they expire, as a keyring does.
type store struct {
	mu      sync.Mutex
	records map[string][]byte
	expires map[string]time.Time
}

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.records[key]
	if e := s.expires[key]; !ok || !e.IsZero() && !time.Now().Before(e) {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func (s *store) Set(_ context.Context, key string, payload []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key], s.expires[key] = payload, expires
	return nil
}

func (s *store) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

// count is the number of records of a kind.
func (s *store) count(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.records {
		if strings.HasPrefix(key, kind+"/") {
			n++
		}
	}
	return n
}

const (
	startURL = "https://demo.awsapps.com/start"
	account  = "123456789012"
	other    = "210987654321"
	password = "planted-password"
)

// lab is a person, AWS and a keyring.
type lab struct {
	t       *testing.T
	aws     *awstest.AWS
	center  *awstest.IdentityCenter
	store   *store
	dir     string
	visitor awstest.Visitor
	env     map[string]string

	mu      sync.Mutex
	asked   int
	output  bytes.Buffer
	warned  []error
	change  func(*sso.Session)
	network http.RoundTripper
}

// newLab has jane, who may be Admin in one account and ReadOnly in two, and who
// uses another device: no socket, so that it works in a bubble.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{
		t: t, aws: awstest.New(awstest.Options{}), dir: t.TempDir(), env: map[string]string{"SSH_TTY": "/dev/pts/1"},
		store: &store{records: map[string][]byte{}, expires: map[string]time.Time{}},
	}
	l.center = l.aws.IdentityCenter(startURL)
	l.center.AddUser("jane", password)
	l.center.Assign("jane", l.aws.Account(account), "Admin", 0)
	l.center.Assign("jane", l.aws.Account(account), "ReadOnly", 12*time.Hour)
	l.center.Assign("jane", l.aws.Account(other), "ReadOnly", 0)
	l.network = l.aws.Transport()
	l.visitor = awstest.Visitor{Username: "jane", Password: password, Transport: l.network}
	return l
}

// byBrowser gives the person a browser, and AWS a socket for it.
func (l *lab) byBrowser() string {
	l.t.Helper()
	at, err := l.aws.Start()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.aws.Close() })
	l.network, l.visitor.Transport = http.DefaultTransport, nil
	l.env = map[string]string{"DISPLAY": ":0"}
	return at
}

func (l *lab) write(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.output, format+"\n", args...)
}

func (l *lab) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
}

// session is that of one process.
func (l *lab) session() *sso.Session {
	cache := session.NewCache(l.store)
	cache.Locks = session.Locks{Dir: func() (string, error) { return l.dir, nil }}
	cache.Debug = l.write
	cache.Warn = func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.warned = append(l.warned, err)
	}
	lookup := func(name string) (string, bool) { v, ok := l.env[name]; return v, ok }
	api := &awsapi.API{Lookup: lookup, Now: time.Now, Version: "1", Profile: "prod", Debug: l.write, Transport: l.network}
	if at := l.env["AWS_ENDPOINT_URL"]; at != "" {
		api.Endpoint = func(string) string { return at }
	}
	s := &sso.Session{
		Cache: cache, AWS: api, Name: "demo", StartURL: startURL, Region: "eu-west-1",
		Person: &signin.Person{
			Profile: "prod", Lookup: lookup,
			Open: func(ctx context.Context, page string) error {
				l.count()
				go l.visitor.Open(ctx, page) // what becomes of it shows at the other end
				return nil
			},
			Tell: func(msg string) {
				l.write("%s", msg)
				if _, page, ok := strings.Cut(msg, " open "); ok && l.env["SSH_TTY"] != "" {
					l.count()
					page, _, _ = strings.Cut(page, " ")
					if err := l.visitor.Open(l.t.Context(), page); err != nil {
						l.t.Error(err)
					}
				}
			},
		},
	}
	if l.change != nil {
		l.change(s)
	}
	return s
}

func (l *lab) role(s *sso.Session, account, name string) *sso.Role {
	return &sso.Role{Session: s, Cache: s.Cache, Name: account + "-" + name, AccountID: account, RoleName: name}
}

// get gets credentials by one more process, and lets AWS say whose they are.
func (l *lab) get(account, name string) session.Credentials {
	l.t.Helper()
	c, err := l.role(l.session(), account, name).Credentials(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	arn, err := l.aws.Identify(awstest.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.SessionToken)
	if err != nil || !strings.HasPrefix(arn, "arn:aws:sts::"+account+":assumed-role/AWSReservedSSO_"+name+"_") || !strings.HasSuffix(arn, "/jane") {
		l.t.Errorf("the credentials are those of %s, %v", arn, err)
	}
	return c
}

func (l *lab) sees(asked int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked != asked {
		l.t.Errorf("asked %d times, want %d", l.asked, asked)
	}
}

func (l *lab) noSecrets(more ...error) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.output.String()
	for _, err := range append(more, l.warned...) {
		if err != nil {
			all += err.Error() + "\n" + session.Hint(err) + "\n"
		}
	}
	for _, secret := range l.aws.Secrets() {
		if strings.Contains(all, secret) {
			l.t.Errorf("%q is shown in:\n%s", secret, all)
		}
	}
}

// fails is credentials of Admin that must not be had, for a reason of type E.
func fails[E error](l *lab) E {
	l.t.Helper()
	_, err := l.role(l.session(), account, "Admin").Credentials(l.t.Context())
	var e E
	if !errors.As(err, &e) {
		l.t.Fatalf("got the error %v (%T), want a %T", err, err, e)
	}
	l.noSecrets(err)
	return e
}

func TestProfilesOfASessionShareASignIn(t *testing.T) {
	for _, way := range []string{"browser", "code"} {
		t.Run(way, func(t *testing.T) {
			l := newLab(t)
			if way == "browser" {
				l.env["AWS_ENDPOINT_URL"] = l.byBrowser()
			}
			var wg sync.WaitGroup
			for i := range 20 {
				s := l.session()
				wg.Go(func() {
					r := l.role(s, []string{account, other}[i%2], "ReadOnly")
					r.Name = fmt.Sprint("profile ", i)
					if _, err := r.Credentials(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			l.sees(1)
			before := l.aws.Count("")
			a := l.get(account, "Admin")
			l.sees(1)
			if n := l.aws.Count("") - before; n != 1 {
				t.Errorf("%d requests for another role", n)
			}
			before = l.aws.Count("")
			if again := l.get(account, "Admin"); again.AccessKeyID != a.AccessKeyID || l.aws.Count("") != before {
				t.Error("what is kept was fetched")
			}
			if l.center.Tokens() != 1 || l.aws.Count("RegisterClient") != 1 {
				t.Errorf("%d tokens, %d clients", l.center.Tokens(), l.aws.Count("RegisterClient"))
			}
			l.noSecrets()
		})
	}
}

func TestLifetimesAreThoseOfThePermissionSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for name, want := range map[string]time.Duration{"Admin": time.Hour, "ReadOnly": 12 * time.Hour} {
			c := l.get(account, name)
			if got := c.Expires.Sub(c.Issued); got > want || got < want-2*time.Second {
				t.Errorf("%s lasts %s, want %s", name, got, want)
			}
		}
	})
}

func TestRefreshLastsAsLongAsTheSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.center.SetLifetimes(time.Hour, 24*time.Hour)
		l.get(account, "Admin")
		for range 23 {
			time.Sleep(time.Hour)
			l.get(account, "Admin")
		}
		l.sees(1)
		time.Sleep(time.Hour)
		l.get(account, "Admin")
		l.sees(2)
		l.noSecrets()
		if n := l.aws.Count("RegisterClient"); n != 1 {
			t.Errorf("%d clients", n)
		}
	})
}

func TestOtherScopesCannotBeRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.change = func(s *sso.Session) { s.Scopes = []string{"codewhisperer:completions"} }
		l.get(account, "Admin")
		time.Sleep(7 * time.Hour)
		l.get(account, "Admin")
		l.sees(1)
		time.Sleep(time.Hour)
		l.get(account, "Admin")
		l.sees(2)
	})
}

func TestSignInThatAWSEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.get(account, "Admin")
		l.center.EndAll()
		l.get(account, "ReadOnly") // the access token looks alive
		l.sees(2)

		l.center.EndAll()
		time.Sleep(time.Hour)
		l.change = func(s *sso.Session) { s.Person.Open = nil }
		if needs := fails[*session.Needs](l); needs.What != session.NeedAuth || needs.Profile != "prod" {
			t.Errorf("%+v", needs)
		}
		before := l.aws.Count("")
		fails[*session.Needs](l)
		if n := l.aws.Count("") - before; n != 0 {
			t.Errorf("%d requests though nobody can be asked", n)
		}
	})
}

func TestClientThatAWSForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.get(account, "Admin")
		l.center.ForgetClients()
		time.Sleep(time.Hour)
		l.get(account, "Admin")
		l.sees(2)
		if n := l.aws.Count("RegisterClient"); n != 2 {
			t.Errorf("registered %d times", n)
		}
	})
}

func TestDenied(t *testing.T) {
	t.Run("code", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.visitor.Deny = true
			if no := fails[*session.Refused](l); no.Code != "AccessDeniedException" || no.Message != "Access denied" || session.Hint(no) != "aws-runas login prod" {
				t.Errorf("%v; hint %q", no, session.Hint(no))
			}
		})
	})
	t.Run("browser", func(t *testing.T) {
		l := newLab(t)
		at := l.byBrowser()
		l.env["AWS_ENDPOINT_URL"] = at
		l.visitor.Deny = true
		if no := fails[*session.Refused](l); no.By != "demo.awsapps.com" || no.Code != "access_denied" || session.Hint(no) == "" {
			t.Errorf("%v; hint %q", no, session.Hint(no))
		}
	})
}

func TestNobodyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.change = func(s *sso.Session) { s.Person.Tell = func(string) {} }
		start := time.Now()
		if needs := fails[*session.Needs](l); needs.What != session.NeedAuth || time.Since(start) > 10*time.Minute {
			t.Errorf("%v after %s", needs, time.Since(start))
		}
	})
}

func TestClosedBrowser(t *testing.T) {
	l := newLab(t)
	l.env["AWS_ENDPOINT_URL"] = l.byBrowser()
	l.change = func(s *sso.Session) {
		s.Person.Open = func(context.Context, string) error { return nil }
		s.Person.Limit = time.Millisecond
	}
	fails[*session.Needs](l)
}

func TestNoBrowserOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.change = func(s *sso.Session) {
			s.Person.Lookup = func(name string) (string, bool) { return ":0", name == "DISPLAY" }
			s.Person.Open = func(context.Context, string) error { return errors.New("none") }
		}
		l.get(account, "Admin")
		l.sees(1)
	})
}

func TestAuthorizationRequest(t *testing.T) {
	l := newLab(t)
	l.env["AWS_ENDPOINT_URL"] = l.byBrowser()
	l.change = func(s *sso.Session) {
		open := s.Person.Open
		s.Scopes = []string{"sso:account:access", "codecatalyst:read_write"}
		s.Person.Open = func(ctx context.Context, page string) error {
			u, err := url.Parse(page)
			if err != nil {
				return err
			}
			q := u.Query()
			back, err := url.Parse(q.Get("redirect_uri"))
			if err != nil || back.Hostname() != "127.0.0.1" || back.Path != "/oauth/callback" || q.Get("scopes") != "codecatalyst:read_write sso:account:access" {
				t.Errorf("the request is %s", page)
			}
			resp, err := http.Get(back.String() + "?code=forged&state=forged")
			if err != nil {
				return err
			}
			resp.Body.Close()
			return open(ctx, page)
		}
	}
	l.get(account, "Admin")
}

func TestRoleThatIsNotAssigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		s := l.session()
		_, err := l.role(s, other, "Admin").Credentials(t.Context())
		var no *session.Refused
		if !errors.As(err, &no) || no.Code != "ForbiddenException" || no.Message != "No access" || !strings.Contains(session.Hint(err), "account "+other) {
			t.Errorf("%v; hint %q", err, session.Hint(err))
		}
		l.noSecrets(err)
	})
}

func TestWrongStartURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.change = func(s *sso.Session) { s.StartURL = "https://elsewhere.awsapps.com/start" }
		if no := fails[*session.Refused](l); no.Code != "InvalidRequestException" || session.Hint(no) != "aws-runas env --explain prod" {
			t.Errorf("%v; hint %q", no, session.Hint(no))
		}
	})
}

func TestAWSIsSlowDownOrElsewhere(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"down":      {Drop: true},
		"slow":      {Delay: time.Hour},
		"failing":   {Action: "RegisterClient", Status: 500, Code: "InternalServerException"},
		"throttled": {Action: "GetRoleCredentials", Status: 429, Code: "TooManyRequestsException"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.aws.Inject(f)
				start := time.Now()
				fails[*session.Unreachable](l)
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("took %s", took)
				}
			})
		})
	}
	for name, body := range map[string]string{
		"a page": "<html><title>Portal</title></html>", "huge": `{"clientId": "` + strings.Repeat("x", 2<<20) + `"}`, "null": "null", "nothing": "", "another type": `{"clientId": 7}`,
		"half": `{"clientId": "x"`, "no secret": `{"clientId": "x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
				})
				if err := fails[error](l); strings.Contains(err.Error(), "<") || len(err.Error()) > 400 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLoginAndLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for range 2 {
			until, err := l.session().Login(t.Context(), false)
			if err != nil || !until.IsZero() {
				t.Fatalf("until %s, %v: the refresh token lasts longer than any token", until, err)
			}
		}
		l.sees(1)
		time.Sleep(time.Second)
		if _, err := l.session().Login(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		l.sees(2)
		alive := l.center.Tokens()
		if err := l.session().Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := l.center.Tokens(); n != alive-1 {
			t.Errorf("%d of %d tokens are alive", n, alive)
		}
		if n := l.store.count("sso"); n != 1 {
			t.Errorf("%d records are left, want the client alone", n)
		}
		before := l.aws.Count("")
		if err := l.session().Logout(t.Context()); err != nil || l.aws.Count("") != before {
			t.Errorf("with nobody signed in: %v", err)
		}
	})
}

func TestLogoutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		if _, err := l.session().Login(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // the access token has ended, the sign-in has not
		if err := l.session().Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := l.center.Tokens(); n != 0 || l.aws.Count("Logout") != 1 {
			t.Errorf("%d tokens are alive after %d calls of Logout", n, l.aws.Count("Logout"))
		}
		if _, err := l.session().Login(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		l.center.EndAll()
		time.Sleep(2 * time.Hour)
		if err := l.session().Logout(t.Context()); err != nil {
			t.Errorf("after its end: %v", err)
		}
	})
}

// A renewal that is under way brings nothing back.
func TestLogoutDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		if _, err := l.session().Login(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		next := l.network
		l.network = roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if r.URL.Path == "/token" {
				time.Sleep(time.Second) // the answer is on its way
			}
			return response, err
		})
		done := make(chan error, 1)
		go func() {
			_, err := l.session().Login(t.Context(), false)
			done <- err
		}()
		synctest.Wait()
		if err := l.session().Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := l.store.count("sso"); n != 1 {
			t.Errorf("%d records are there, want the client alone", n)
		}
	})
}

func TestAssignments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for i := range 25 { // more than a page
			l.center.Assign("jane", l.aws.Account(account), fmt.Sprintf("Role%02d", i), 0)
			l.center.Assign("jane", l.aws.Account(fmt.Sprintf("3%011d", i)), "ReadOnly", 0)
		}
		l.center.Assign("joe", l.aws.Account(account), "Secret", 0)
		got, err := l.session().Assignments(t.Context())
		if err != nil || len(got) != 3+50 {
			t.Fatalf("%d assignments, %v", len(got), err)
		}
		want := sso.Assignment{AccountID: account, AccountName: "account 9012", Email: account + "@example.com", RoleName: "Admin"}
		if got[0] != want || got[len(got)-1].AccountID != fmt.Sprintf("3%011d", 24) {
			t.Errorf("they begin with %v and end with %v", got[0], got[len(got)-1])
		}
		l.sees(1)
		l.noSecrets()
	})
}

// giveCLI signs in with the AWS CLI, as it keeps its token.
func (l *lab) giveCLI(name, region, format string) string {
	l.t.Helper()
	token, expires := l.center.GiveToken("jane")
	sum := sha1.Sum([]byte(name))
	text := fmt.Sprintf(`{"startUrl": %q, "region": %q, "accessToken": %q, "expiresAt": %q, "clientId": "x", "clientSecret": "y", "refreshToken": "z"}`,
		startURL, region, token, expires.UTC().Format(format))
	file := filepath.Join(l.dir, hex.EncodeToString(sum[:])+".json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

func TestTokenOfTheAWSCLI(t *testing.T) {
	for name, tc := range map[string]struct {
		file, region, format string
		legacy               bool
		asked                int
	}{
		"session":         {"demo", "eu-west-1", time.RFC3339, false, 0},
		"legacy":          {startURL, "eu-west-1", time.RFC3339, true, 0},
		"of v1":           {startURL, "eu-west-1", "2006-01-02T15:04:05UTC", true, 0},
		"another session": {"dev", "eu-west-1", time.RFC3339, false, 1},
		"another region":  {"demo", "us-east-1", time.RFC3339, false, 1},
		"of no sense":     {"demo", "eu-west-1", "yesterday", false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				file := l.giveCLI(tc.file, tc.region, tc.format)
				before, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				l.change = func(s *sso.Session) {
					s.CLICache = l.dir
					if tc.legacy {
						s.Name = ""
					}
				}
				l.get(account, "Admin")
				l.sees(tc.asked)
				if n := l.store.count("sso"); tc.asked == 0 && n != 0 {
					t.Errorf("%d records of what is not ours", n)
				}
				if err := l.session().Logout(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := l.center.Tokens(); n != 1 {
					t.Errorf("%d tokens are alive after our own was ended", n)
				}
				if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
					t.Error("the file of the AWS CLI has changed")
				}
				l.noSecrets()
			})
		})
	}
}

func TestTokenThatTheAWSCLIEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.giveCLI("demo", "eu-west-1", time.RFC3339)
		l.change = func(s *sso.Session) { s.CLICache = l.dir }
		l.center.EndAll()
		l.get(account, "Admin")
		l.sees(1)
	})
}

func TestDamagedTokenOfTheAWSCLI(t *testing.T) {
	sum := sha1.Sum([]byte("demo"))
	for name, text := range map[string]string{"empty": "", "half": `{"startUrl":`, "a list": "[]", "huge": `{"startUrl": "` + strings.Repeat("x", 2<<20)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				if err := os.WriteFile(filepath.Join(l.dir, hex.EncodeToString(sum[:])+".json"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				l.change = func(s *sso.Session) { s.CLICache = l.dir }
				l.get(account, "Admin")
				l.sees(1)
			})
		})
	}
}

func TestWhoSharesASignIn(t *testing.T) {
	l := newLab(t)
	hash := func(change func(*sso.Session)) string {
		s := l.session()
		change(s)
		key, err := (&sso.Role{Session: s, Cache: s.Cache, AccountID: account, RoleName: "Admin"}).Key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key.Hash
	}
	mine := hash(func(*sso.Session) {})
	for name, change := range map[string]func(*sso.Session){
		"the scope that is asked for anyway": func(s *sso.Session) { s.Scopes = []string{"sso:account:access"} },
		"profile":                            func(s *sso.Session) { s.AWS.Profile = "dev" },
	} {
		if hash(change) != mine {
			t.Errorf("%s: another sign-in", name)
		}
	}
	for name, change := range map[string]func(*sso.Session){
		"session":   func(s *sso.Session) { s.Name = "other" },
		"start URL": func(s *sso.Session) { s.StartURL += "/x" },
		"region":    func(s *sso.Session) { s.Region = "us-east-1" },
		"scopes":    func(s *sso.Session) { s.Scopes = []string{"a:b"} },
		"endpoint":  func(s *sso.Session) { s.AWS.Endpoint = func(string) string { return "http://x" } },
	} {
		if hash(change) == mine {
			t.Errorf("%s: the same sign-in", name)
		}
	}
}

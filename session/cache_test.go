package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
)

// memory is a Store that can be told to fail.
type memory struct {
	mu       sync.Mutex
	records  map[string][]byte
	gets     int
	getError error
	setError error
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	if m.getError != nil {
		return nil, m.getError
	}
	if b, ok := m.records[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.setError != nil {
		return m.setError
	}
	if m.records == nil {
		m.records = map[string][]byte{}
	}
	m.records[key] = payload
	return nil
}

func (m *memory) Remove(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

func newCache(t *testing.T, s session.Store) *session.Cache {
	t.Helper()
	dir := t.TempDir()
	c := session.NewCache(s)
	c.Locks = session.Locks{Dir: func() (string, error) { return dir, nil }}
	c.Warn = func(err error) { t.Errorf("unexpected warning: %v", err) }
	return c
}

var testKey = session.NewKey(session.KindRole, "prod", "a", "b")

// source hands out credentials that live for an hour, and counts.
type source struct {
	calls    atomic.Int32
	lifetime time.Duration
	err      error
}

func (s *source) fetch(context.Context) (session.Credentials, error) {
	n := s.calls.Add(1)
	if s.err != nil {
		return session.Credentials{}, s.err
	}
	now := time.Now()
	c := session.Credentials{
		AccessKeyID: fmt.Sprintf("ASIA%d", n), SecretAccessKey: "secret", SessionToken: "token", Issued: now,
	}
	if s.lifetime != 0 {
		c.Expires = now.Add(s.lifetime)
	}
	return c, nil
}

func do(t *testing.T, c *session.Cache, s *source) session.Credentials {
	t.Helper()
	got, err := session.Do(t.Context(), c, testKey, s.fetch)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTimeLimitInsideAFetchEnds(t *testing.T) {
	c := newCache(t, new(memory))
	s := &source{err: &session.Unreachable{What: "sts", Err: context.DeadlineExceeded}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := session.Do(ctx, c, testKey, s.fetch)
	var u *session.Unreachable
	if !errors.As(err, &u) {
		t.Errorf("got %v, want the fetch's own error", err)
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
}

func TestFetchOutlivesTheCallerThatBeganIt(t *testing.T) {
	c := newCache(t, new(memory))
	first, leave := context.WithCancel(t.Context())
	started := make(chan struct{})
	var calls atomic.Int32
	fetch := func(ctx context.Context) (session.Credentials, error) {
		if calls.Add(1) == 1 {
			close(started)
			<-ctx.Done()
			return session.Credentials{}, ctx.Err()
		}
		return session.Credentials{AccessKeyID: "AKIA", Issued: time.Now(), Expires: time.Now().Add(time.Hour)}, nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := session.Do(first, c, testKey, fetch); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
	})
	<-started
	wg.Go(func() {
		if got, err := session.Do(t.Context(), c, testKey, fetch); err != nil || got.AccessKeyID != "AKIA" {
			t.Errorf("the caller that stayed got %v, %v", got, err)
		}
	})
	leave()
	wg.Wait()
}

func TestKeptUntilDue(t *testing.T) {
	for _, tc := range []struct {
		name     string
		margin   func(time.Duration) time.Duration
		lifetime time.Duration
		fresh    time.Duration // the last second that is served from the store
	}{
		{"a short one", session.Margin, 15 * time.Minute, 15*time.Minute - 225*time.Second - time.Second},
		{"an hour", session.Margin, time.Hour, 45*time.Minute - time.Second},
		{"twelve hours", session.Margin, 12 * time.Hour, 12*time.Hour - 15*time.Minute - time.Second},
		{"a short one for a server", session.ServerMargin, 16 * time.Minute, 4*time.Minute - time.Second},
		{"an hour for a server", session.ServerMargin, time.Hour, 45*time.Minute - time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, new(memory))
				c.Margin = tc.margin
				s := &source{lifetime: tc.lifetime}
				do(t, c, s)
				time.Sleep(tc.fresh)
				if got := do(t, c, s); got.AccessKeyID != "ASIA1" {
					t.Errorf("fetched anew %s before it was due", time.Second)
				}
				time.Sleep(time.Second)
				if got := do(t, c, s); got.AccessKeyID != "ASIA2" {
					t.Error("not fetched anew when due")
				}
			})
		})
	}
}

func TestAliveIsGoodEnoughWhenNobodyAnswers(t *testing.T) {
	refused := &session.Refused{By: "sts AssumeRole", Code: "AccessDenied"}
	for _, tc := range []struct {
		name string
		err  error
		kept bool
	}{
		{"unreachable", &session.Unreachable{What: "sts", Err: errors.New("no route")}, true},
		{"a person is needed", &session.Needs{What: session.NeedMFA}, true},
		{"wrapped", fmt.Errorf("x: %w", &session.Needs{What: session.NeedMFA}), true},
		{"out of time", fmt.Errorf("x: %w", context.DeadlineExceeded), true},
		{"interrupted", context.Canceled, false},
		{"refused", refused, false},
		{"anything else", errors.New("boom"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, new(memory))
				var warned []error
				c.Warn = func(err error) { warned = append(warned, err) }
				s := &source{lifetime: time.Hour}
				do(t, c, s)
				s.err = tc.err
				time.Sleep(50 * time.Minute)
				got, err := session.Do(t.Context(), c, testKey, s.fetch)
				if tc.kept {
					if err != nil || got.AccessKeyID != "ASIA1" || len(warned) != 1 {
						t.Fatalf("got %v, %v, warnings %v; want the old ones and a warning", got, err, warned)
					}
					var u *session.Unreachable
					var n *session.Needs
					if !errors.As(warned[0], &u) && !errors.As(warned[0], &n) {
						t.Errorf("the warning is %v", warned[0])
					}
				} else if !errors.Is(err, tc.err) {
					t.Errorf("got %v, want %v", err, tc.err)
				}
				time.Sleep(10 * time.Minute)
				if _, err := session.Do(t.Context(), c, testKey, s.fetch); !errors.Is(err, tc.err) {
					t.Errorf("after the end got %v, want %v", err, tc.err)
				}
			})
		})
	}
}

// The limit of a prompt: nothing answers, not even with an error.
func TestAliveIsGoodEnoughWhenTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, new(memory))
		var warned []error
		c.Warn = func(err error) { warned = append(warned, err) }
		do(t, c, &source{lifetime: time.Hour})
		time.Sleep(50 * time.Minute)
		silent := func(ctx context.Context) (session.Credentials, error) {
			<-ctx.Done()
			return session.Credentials{}, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got, err := session.Do(ctx, c, testKey, silent)
		if err != nil || got.AccessKeyID != "ASIA1" || len(warned) != 1 ||
			warned[0].Error() != `could not renew what expires in 9m57s: credentials of "prod": no answer in time` {
			t.Errorf("got %v, %v, warnings %v", got, err, warned)
		}
		ctx, interrupt := context.WithTimeout(t.Context(), 3*time.Second)
		time.AfterFunc(time.Second, interrupt)
		if got, err := session.Do(ctx, c, testKey, silent); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted, got %v, %v", got, err)
		}
	})
}

func TestEndOfLifeDuringAFailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, new(memory))
		c.Warn = func(error) {}
		s := &source{lifetime: time.Hour}
		do(t, c, s)
		time.Sleep(59 * time.Minute)
		want := &session.Needs{What: session.NeedMFA}
		_, err := session.Do(t.Context(), c, testKey, func(context.Context) (session.Credentials, error) {
			time.Sleep(2 * time.Minute) // a person thinks
			return session.Credentials{}, want
		})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v rather than what has expired", err, want)
		}
	})
}

func TestRenewingTakesNothingOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, new(memory))
		s := &source{lifetime: time.Hour}
		do(t, c, s)
		time.Sleep(time.Second)
		r := c.Renewing()
		if got := do(t, r, s); got.AccessKeyID != "ASIA2" {
			t.Error("the old ones were taken")
		}
		if got := do(t, r, s); got.AccessKeyID != "ASIA2" {
			t.Error("the new ones were fetched again")
		}
		if got := do(t, c, s); got.AccessKeyID != "ASIA2" {
			t.Error("the old cache does not see the new ones")
		}
		s.err = &session.Unreachable{What: "sts", Err: errors.New("down")}
		time.Sleep(time.Second)
		if _, err := session.Do(t.Context(), c.Renewing(), testKey, s.fetch); !errors.Is(err, s.err) {
			t.Errorf("asked to renew, got %v rather than the failure", err)
		}
	})
}

// One that waits for another process, which has just fetched, shares that with
// nobody who wants it newer.
func TestRenewingSharesNothingOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCache(t, new(memory)), newCache(t, nil)
		other.Store, other.Locks = c.Store, c.Locks
		s := &source{lifetime: time.Hour}
		fetched := make(chan struct{})
		go session.Do(t.Context(), other, testKey, func(ctx context.Context) (session.Credentials, error) {
			<-fetched
			return s.fetch(ctx)
		})
		synctest.Wait()
		go session.Do(t.Context(), c, testKey, s.fetch)
		synctest.Wait()
		close(fetched)
		synctest.Wait()
		time.Sleep(time.Millisecond) // the one that waits looks every 20
		if got := do(t, c.Renewing(), s); got.AccessKeyID != "ASIA2" {
			t.Errorf("%s was issued before it was asked for", got.AccessKeyID)
		}
		if n := s.calls.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		synctest.Wait()
	})
}

func TestNoExpiryIsNotKept(t *testing.T) {
	m := new(memory)
	c := newCache(t, m)
	s := &source{}
	do(t, c, s)
	do(t, c, s)
	if n := s.calls.Load(); n != 2 || len(m.records) != 0 {
		t.Errorf("fetched %d times with %d records, want twice and none", n, len(m.records))
	}
}

func TestStoreThatFails(t *testing.T) {
	locked := errors.New("the keyring is locked")
	t.Run("reading", func(t *testing.T) {
		s := &source{lifetime: time.Hour}
		_, err := session.Do(t.Context(), newCache(t, &memory{getError: locked}), testKey, s.fetch)
		if !errors.Is(err, locked) || s.calls.Load() != 0 {
			t.Errorf("got %v after %d fetches, want %v and none", err, s.calls.Load(), locked)
		}
	})
	t.Run("writing", func(t *testing.T) {
		c := newCache(t, &memory{setError: locked})
		var warned error
		c.Warn = func(err error) { warned = err }
		s := &source{lifetime: time.Hour}
		if got := do(t, c, s); got.AccessKeyID != "ASIA1" || !errors.Is(warned, locked) {
			t.Errorf("got %v and the warning %v", got, warned)
		}
	})
	t.Run("damaged record", func(t *testing.T) {
		m := &memory{records: map[string][]byte{testKey.String(): []byte(`{"secret_access_key": "planted`)}}
		c := newCache(t, m)
		var warned error
		c.Warn = func(err error) { warned = err }
		s := &source{lifetime: time.Hour}
		do(t, c, s)
		if warned == nil || strings.Contains(warned.Error(), "planted") {
			t.Errorf("warning %v", warned)
		}
		c.Warn = func(err error) { t.Error(err) }
		do(t, c, s)
	})
}

func TestNoFolderForLocksWarnsAndGoesOn(t *testing.T) {
	c := newCache(t, new(memory))
	c.Locks.Dir = func() (string, error) { return "", errors.New("read-only file system") }
	var warned error
	c.Warn = func(err error) { warned = err }
	do(t, c, &source{lifetime: time.Hour})
	if warned == nil {
		t.Error("nothing was said")
	}
}

func TestWarmReadsOnceAndTakesNoLock(t *testing.T) {
	m := new(memory)
	c := newCache(t, m)
	s := &source{lifetime: time.Hour}
	do(t, c, s)
	c.Locks.Dir = func() (string, error) { t.Error("a lock was taken"); return "", fs.ErrInvalid }
	m.gets = 0
	do(t, c, s)
	if m.gets != 1 {
		t.Errorf("%d reads, want 1", m.gets)
	}
}

func TestFiftyGoroutinesFetchOnce(t *testing.T) {
	// Several caches stand for several processes: they share the store and the locks alone.
	m, dir := new(memory), t.TempDir()
	s := &source{lifetime: time.Hour}
	var wg sync.WaitGroup
	for i := range 50 {
		c := newCache(t, m)
		c.Locks.Dir = func() (string, error) { return dir, nil }
		for range 1 + i%2 {
			wg.Go(func() {
				got, err := session.Do(t.Context(), c, testKey, s.fetch)
				if err != nil || got.AccessKeyID != "ASIA1" {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
	}
	wg.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
}

func TestNoInputDoesNotWaitForOneWhoAsks(t *testing.T) {
	m, dir := new(memory), t.TempDir()
	process := func() *session.Cache {
		c := newCache(t, m)
		c.Locks.Dir = func() (string, error) { return dir, nil }
		return c
	}
	asking, answer := make(chan struct{}), make(chan string)
	asker := askerFunc(func(context.Context, session.Question) (string, error) {
		close(asking)
		return <-answer, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := session.Do(t.Context(), process(), testKey, func(ctx context.Context) (session.Credentials, error) {
			code, err := session.Ask(ctx, asker, session.Question{What: session.AskMFA})
			return session.Credentials{AccessKeyID: code, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-asking
	c := process()
	c.NoInput = true
	s := &source{lifetime: time.Hour}
	_, err := session.Do(t.Context(), c, testKey, s.fetch)
	var needs *session.Needs
	if !errors.As(err, &needs) || !needs.Elsewhere || needs.What != session.NeedMFA || s.calls.Load() != 0 {
		t.Errorf("got %v after %d fetches, want a *Needs and none", err, s.calls.Load())
	}
	answer <- "123456"
	wg.Wait()
	if got := do(t, c, s); got.AccessKeyID != "123456" {
		t.Errorf("afterwards got %v", got)
	}
}

func TestNoInputDoesNotWaitForASignIn(t *testing.T) {
	m, dir := new(memory), t.TempDir()
	process := func() *session.Cache {
		c := newCache(t, m)
		c.Locks = session.Locks{Dir: func() (string, error) { return dir, nil }}
		return c
	}
	asking, answer := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := session.Do(t.Context(), process(), testKey, func(ctx context.Context) (session.Credentials, error) {
			defer session.Asking(ctx, session.NeedAuth)()
			close(asking)
			<-answer
			return session.Credentials{}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-asking
	c := process()
	c.NoInput = true
	_, err := session.Do(t.Context(), c, testKey, new(source).fetch)
	var needs *session.Needs
	if !errors.As(err, &needs) || !needs.Elsewhere || needs.What != session.NeedAuth {
		t.Errorf("got %v, want a *Needs of a sign-in elsewhere", err)
	}
	forgot := false
	if err := process().SignOut(t.Context(), testKey, func(context.Context) error { forgot = true; return nil }); err != nil || !forgot {
		t.Errorf("signing out: %v, forgotten %v", err, forgot)
	}
	close(answer)
	wg.Wait()
}

func TestIssuedSinceTakesWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, new(memory))
		s := &source{lifetime: time.Hour}
		bad := do(t, c, s)
		time.Sleep(time.Second)
		since := c.IssuedSince(bad.Issued.Add(1))
		if got := do(t, since, s); got.AccessKeyID != "ASIA2" {
			t.Errorf("got %v, which is what was to be replaced", got)
		}
		time.Sleep(time.Second)
		if got := do(t, since, s); got.AccessKeyID != "ASIA2" {
			t.Errorf("got %v, fetched though there was a newer one", got)
		}
	})
}

func TestWithMargin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, new(memory)).WithMargin(func(time.Duration) time.Duration { return time.Minute })
		s := &source{lifetime: time.Hour}
		do(t, c, s)
		time.Sleep(59*time.Minute - time.Second)
		if got := do(t, c, s); got.AccessKeyID != "ASIA1" {
			t.Error("renewed before the margin")
		}
		time.Sleep(time.Second)
		if got := do(t, c, s); got.AccessKeyID != "ASIA2" {
			t.Error("not renewed at the margin")
		}
	})
}

type askerFunc func(context.Context, session.Question) (string, error)

func (f askerFunc) Ask(ctx context.Context, q session.Question) (string, error) { return f(ctx, q) }

func TestKeys(t *testing.T) {
	same := session.NewKey(session.KindRole, "other", "a", "b")
	if same.Hash != testKey.Hash {
		t.Error("the name is part of the hash")
	}
	for _, other := range []session.Key{
		session.NewKey(session.KindSession, "prod", "a", "b"),
		session.NewKey(session.KindRole, "prod", "ab", ""),
		session.NewKey(session.KindRole, "prod", "a"),
		session.NewKey(session.KindRole, "prod", "a", "b", ""),
		session.NewKey(session.KindRole, "prod", "b", "a"),
	} {
		if other.Hash == testKey.Hash {
			t.Errorf("%v has the same hash", other)
		}
	}
}

func TestCredentialsShowNoSecret(t *testing.T) {
	c := session.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "planted-secret", SessionToken: "planted-token"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, []session.Credentials{c}, struct{ C session.Credentials }{c}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "planted") || strings.Contains(s, "706c616e746564") {
				t.Errorf("%s of %T shows %q", verb, v, s)
			}
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back session.Credentials
	if err := json.Unmarshal(b, &back); err != nil || back != c {
		t.Errorf("JSON lost something: %v", err)
	}
}

func TestPutGet(t *testing.T) {
	m := new(memory)
	want := session.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "s"}
	if err := session.Put(t.Context(), m, session.UserKey("prod"), want); err != nil {
		t.Fatal(err)
	}
	got, err := session.Get[session.Credentials](t.Context(), m, session.UserKey("prod"))
	if err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := session.Get[session.Credentials](t.Context(), m, session.UserKey("dev")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing one: %v", err)
	}
	m.records[session.UserKey("prod").String()] = []byte(`"planted`)
	if _, err := session.Get[session.Credentials](t.Context(), m, session.UserKey("prod")); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("a damaged one: %v", err)
	}
}

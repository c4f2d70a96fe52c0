package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"aws-runas/keychain/keychaintest"
)

func FuzzName(f *testing.F) {
	for _, profile := range oddProfiles {
		f.Add("role/" + profile + "#0123")
	}
	codecs := map[string]codec{"labels": labels, "files": files("", ".", false), "folding": files("", ".", true), "pass": files(itemPrefix, "/", false)}
	f.Fuzz(func(t *testing.T, key string) {
		if check(key) != nil {
			t.SkipNow()
		}
		for which, c := range codecs {
			name := c.name(key)
			got, ours := c.key(name)
			if !ours || got != key && got != "" {
				t.Errorf("%s: %q is stored as %q, which reads as %q, %v", which, key, name, got, ours)
			}
			if got == "" && len(name) < c.longest-8 {
				t.Errorf("%s: %q is short, and shortened to %q", which, key, name)
			}
			if !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\n;") {
				t.Errorf("%s: unsafe name %q", which, name)
			}
			if which == "labels" {
				continue
			}
			base := name
			if which == "pass" {
				rest, ok := strings.CutPrefix(name, itemPrefix)
				if !ok || strings.Count(rest, "/") != 1 {
					t.Errorf("%q leaves its folder", name)
				}
				_, base, _ = strings.Cut(rest, "/")
			}
			if len(base) > 200 || strings.ContainsAny(base, "/\\:*?\"<>| ") || strings.HasPrefix(base, ".") || strings.HasSuffix(base, ".") {
				t.Errorf("%s: unsafe file name %q", which, base)
			}
			if which == "folding" && name != strings.ToLower(name) {
				t.Errorf("%q has upper-case letters", name)
			}
		}
	})
}

func TestForeignNames(t *testing.T) {
	for _, name := range []string{"", "x", "aws-runas", "aws-runas/", "aws-runas/x", "aws-runas/role/%zz", "aws-runas/role/a%4", "aws-runas/role/%61", "aws-runas/Role/x", "aws-runas-part/0/1/2"} {
		if key, ours := labels.key(name); ours {
			t.Errorf("%q reads as %q", name, key)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("role/p#1", []byte(`{"a":1}`), int64(0))
	f.Add("role/p#1", []byte("null"), int64(5))
	f.Add("idp/\xff#", []byte("\"\xff\""), int64(-1))
	f.Add("idp/\xff#", []byte("<&>\u2028"), int64(1<<40))
	f.Fuzz(func(t *testing.T, key string, payload []byte, seconds int64) {
		if _, problem := parseRecord(payload); problem == "" && !bytes.Contains(payload, []byte("version")) {
			t.Errorf("%q is taken for a record", payload)
		}
		expires := time.Unix(seconds%(1<<37), 0)
		data, err := newRecord(key, payload, expires).encode()
		if err != nil {
			t.Fatal(err)
		}
		r, problem := parseRecord(data)
		if key == "" {
			return
		}
		if problem != "" || r.Key != key || !bytes.Equal(r.payload(), payload) || !r.Expires.Equal(expires) && !expires.IsZero() {
			t.Errorf("%q, %q: %s: %+v, %s", key, payload, data, r, problem)
		}
	})
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"prod": "prod", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(id)": "'$(id)'", "-x": "-x"} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestErrorIsNeverNotExist(t *testing.T) {
	_, cause := os.Open("/nonexistent/x")
	err := error(&Error{Backend: "file", Reason: "cannot be read", Err: cause})
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("an unavailable keyring reads as a missing record")
	}
	if !strings.Contains(err.Error(), "/nonexistent/x") {
		t.Errorf("the cause is lost: %v", err)
	}
}

// hung is a backend that answers when it is told to.
type hung struct {
	mapStore
	answer chan struct{}
}

func (h hung) get(context.Context, string) ([]byte, error) {
	<-h.answer
	return nil, fs.ErrNotExist
}

func TestTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hung{answer: make(chan struct{})}
		k := memoryKeychain(Options{Backend: "memory"}, h)
		start := time.Now()
		_, err := k.Get(t.Context(), "role/p#1")
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "did not answer within 5s") || time.Since(start) != answerLimit {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// The call that hangs keeps its turn.
		if _, err := k.Keys(t.Context()); !errors.As(err, &e) {
			t.Errorf("Keys: %v", err)
		}
		close(h.answer)
		synctest.Wait()
		if _, err := k.Keys(t.Context()); err != nil {
			t.Errorf("Keys, when it answers again: %v", err)
		}
	})
}

func TestTimeLimitOfAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := memoryKeychain(Options{}, mapStore{})
		slow := func(asked, after time.Duration) error {
			_, err := run(t.Context(), k, func(context.Context, *store) (int, error) {
				done := k.person.asking()
				time.Sleep(asked)
				done()
				time.Sleep(after)
				return 0, nil
			})
			synctest.Wait()
			return err
		}
		if err := slow(time.Minute, 4*time.Second); err != nil {
			t.Errorf("a person who needs a minute: %v", err)
		}
		if err := slow(4*time.Second, 4*time.Second); err != nil {
			t.Errorf("a person who needs four seconds: %v", err)
		}
		var e *Error
		if err := slow(time.Hour, 0); !errors.As(err, &e) {
			t.Errorf("a person who went away: %v", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hung{answer: make(chan struct{})}
		k := memoryKeychain(Options{}, h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.Get(ctx, "role/p#1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		close(h.answer)
	})
}

// opening counts how often a backend is opened.
func TestOpenedOnceAndOnlyWhenUsed(t *testing.T) {
	opened := 0
	k := New(Options{})
	fail := errors.New("not yet")
	k.open = func(context.Context, *Keychain) (*store, error) {
		opened++
		if fail != nil {
			return nil, fail
		}
		return &store{backend: mapStore{}, name: "memory", codec: labels}, nil
	}
	if opened != 0 {
		t.Error("opened by New")
	}
	if _, err := k.Keys(t.Context()); !errors.Is(err, fail) {
		t.Errorf("Keys: %v", err)
	}
	fail = nil
	for range 3 {
		if _, err := k.Keys(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if opened != 2 {
		t.Errorf("opened %d times", opened)
	}
}

// folding is a backend whose names are the same in any case, as on Windows.
type folding struct{ mapStore }

func (f folding) get(ctx context.Context, name string) ([]byte, error) {
	return f.mapStore.get(ctx, strings.ToLower(name))
}

func (f folding) set(ctx context.Context, name string, data []byte, at time.Time) error {
	return f.mapStore.set(ctx, strings.ToLower(name), data, at)
}

func (f folding) remove(ctx context.Context, name string) error {
	return f.mapStore.remove(ctx, strings.ToLower(name))
}

func TestNamesThatDifferInCase(t *testing.T) {
	s := &subject{}
	s.Keychain = New(Options{Warn: func(msg string) { s.warnings = append(s.warnings, msg) }})
	s.open = func(context.Context, *Keychain) (*store, error) {
		return &store{backend: folding{mapStore{}}, name: "wincred", codec: labels, largest: windowsLike, folds: true}, nil
	}
	s.mustSet(t, "key/Prod#1", "secret of Prod")
	s.mustMiss(t, "key/prod#1")
	var e *Error
	if err := s.Set(t.Context(), "key/prod#1", []byte("x"), time.Time{}); !errors.As(err, &e) {
		t.Errorf("Set: %v", err)
	}
	if err := s.Remove(t.Context(), "key/prod#1"); err != nil {
		t.Error(err)
	}
	s.mustGet(t, "key/Prod#1", "secret of Prod")
	s.mustSet(t, "role/Prod#1", "1")
	s.mustSet(t, "role/prod#1", "2")
	s.mustGet(t, "role/prod#1", "2")
	s.mustMiss(t, "role/Prod#1")
}

const windowsLike = 2560

// failing is a backend on which the write of a part fails.
type failing struct {
	mapStore
	after *int
}

func (f failing) set(ctx context.Context, name string, data []byte, at time.Time) error {
	if *f.after--; *f.after < 0 {
		return errors.New("no room")
	}
	return f.mapStore.set(ctx, name, data, at)
}

func TestFailedWriteKeepsTheFormerRecord(t *testing.T) {
	const key = "idp/p#1"
	for after := range 3 {
		room := 100
		m := mapStore{}
		s := newSubject(keychaintest.Env{}, func(o Options) *Keychain { return memoryKeychain(o, failing{m, &room}) })
		former := strings.Repeat("former ", 500)
		s.mustSet(t, key, former)
		items := len(m)
		room = after
		if err := s.Set(t.Context(), key, bytes.Repeat([]byte("new "), 500), time.Time{}); err == nil {
			t.Fatalf("room for %d items is enough", after)
		}
		s.mustGet(t, key, former)
		if len(m) != items {
			t.Errorf("%d items, had %d", len(m), items)
		}
	}
}

func TestUnknownBackend(t *testing.T) {
	_, err := New(Options{Backend: "gopher"}).Backend(t.Context())
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), strings.Join(Backends(), ", ")) {
		t.Errorf("%v", err)
	}
}

func TestSecretsOfARecordAreNotInErrors(t *testing.T) {
	room := 0
	k := memoryKeychain(Options{}, failing{mapStore{}, &room})
	err := k.Set(t.Context(), "role/p#1", []byte("PAYLOAD"), time.Time{})
	if err == nil || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "PAYLOAD") {
		t.Errorf("%v", err)
	}
}

package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aws-runas/keychain/keychaintest"
)

// mapStore is the backend of the tests that need none in particular.
type mapStore map[string][]byte

func (m mapStore) get(_ context.Context, name string) ([]byte, error) {
	if data, ok := m[name]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (m mapStore) set(_ context.Context, name string, data []byte, _ time.Time) error {
	m[name] = data
	return nil
}

func (m mapStore) remove(_ context.Context, name string) error {
	delete(m, name)
	return nil
}

func (m mapStore) names(context.Context) ([]string, error) { return slices.Collect(maps.Keys(m)), nil }

func memoryKeychain(o Options, m backend) *Keychain {
	k := New(o)
	k.open = func(context.Context, *Keychain) (*store, error) {
		return &store{backend: m, name: "memory", codec: labels, largest: 1000}, nil
	}
	return k
}

// subject is a keychain under test, and what it has warned of.
type subject struct {
	*Keychain
	warnings []string
	now      time.Time
}

func newSubject(env keychaintest.Env, open func(Options) *Keychain) *subject {
	s := &subject{now: time.Now()}
	s.Keychain = open(Options{
		Backend: env["AWSRUNAS_KEYRING"],
		Lookup:  env.Lookup,
		Home:    env["HOME"],
		Now:     func() time.Time { return s.now },
		Warn:    func(msg string) { s.warnings = append(s.warnings, msg) },
	})
	s.limit = time.Minute // with -race a passphrase takes a second, eight at once more
	return s
}

// raw reaches below the records.
func (s *subject) raw(t *testing.T) *store {
	t.Helper()
	if _, err := s.Backend(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.store
}

func (s *subject) mustSet(t *testing.T, key, payload string) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(payload), time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func (s *subject) mustGet(t *testing.T, key, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("Get(%q) = %q, want %q", key, got, want)
	}
}

func (s *subject) mustMiss(t *testing.T, key string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Get(%q) = %q, %v, want fs.ErrNotExist", key, got, err)
	}
}

var oddProfiles = []string{
	"plain", "with space", "a/b", "../../../../etc/passwd", "..", ".", "-rf", "--help", "me@example.com", "quo'te\"s", "100%", "a=3Db", "%41", "a~b", "semi;colon",
	"Grüße/日本語", "line\nbreak", "tab\tand\x7f", "not utf-8 \xff\xfe", "nul\x00", "trailing.", "CON", "$(id)", "`id`", "back\\slash", "a#b",
	"arn:aws:iam::123456789012:role/path/Admin", strings.Repeat("long/", 200) + "x", strings.Repeat("long/", 200) + "y", strings.Repeat("é\x01", 400),
}

// conformance runs what holds for every backend. It leaves nothing behind.
func conformance(t *testing.T, env keychaintest.Env, open func(Options) *Keychain) {
	fresh := func() *subject { return newSubject(env, open) }
	t.Cleanup(func() {
		s := fresh()
		keys, err := s.Keys(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, key := range keys {
			t.Errorf("%q is left", key)
			if err := s.Remove(context.Background(), key); err != nil {
				t.Error(err)
			}
		}
	})
	remove := func(t *testing.T, keys ...string) {
		t.Helper()
		for _, key := range keys {
			if err := fresh().Remove(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
	}

	t.Run("life", func(t *testing.T) {
		const key = "role/prod#0123456789abcdef"
		s := fresh()
		s.mustMiss(t, key)
		if err := s.Remove(t.Context(), key); err != nil {
			t.Errorf("Remove of nothing: %v", err)
		}
		s.mustSet(t, key, `{"a":"<b>&\u2028"}`)
		s.mustGet(t, key, `{"a":"<b>&\u2028"}`)
		fresh().mustGet(t, key, `{"a":"<b>&\u2028"}`)
		s.mustSet(t, key, "another")
		fresh().mustGet(t, key, "another")
		if err := s.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		s.mustMiss(t, key)
		fresh().mustMiss(t, key)
		if len(s.warnings) > 0 {
			t.Errorf("warnings: %q", s.warnings)
		}
	})

	t.Run("names", func(t *testing.T) {
		s := fresh()
		var want []string
		profiles := oddProfiles
		if env["AWSRUNAS_KEYRING"] == "pass" && testing.Short() {
			profiles = profiles[:8]
		}
		for _, profile := range profiles {
			key := "session/" + profile + "#0123"
			want = append(want, key)
			s.mustSet(t, key, profile)
		}
		slices.Sort(want)
		got, err := fresh().Keys(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Keys: %v %s", err, diff)
		}
		s = fresh()
		for _, profile := range profiles {
			s.mustGet(t, "session/"+profile+"#0123", profile)
		}
		remove(t, want...)
		if got, err := s.Keys(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("Keys after removing: %q, %v", got, err)
		}
	})

	t.Run("payloads", func(t *testing.T) {
		s := fresh()
		const key = "idp/p#1"
		for _, payload := range []string{"", "null", "x", " {} ", `{"a":1}`, `"s"`, "\x00\xff", `{"bad utf-8":"` + "\xff" + `"}`} {
			s.mustSet(t, key, payload)
			fresh().mustGet(t, key, payload)
		}
		large := strings.Repeat("0123456789", 10_000)
		if err := s.Set(t.Context(), key, []byte(large), time.Time{}); err != nil {
			// An ordinary user has 20 kB in the kernel keyring.
			var e *Error
			if env["AWSRUNAS_KEYRING"] == "keyctl" && os.Getuid() != 0 && errors.As(err, &e) && e.Hint() != "" && strings.Contains(e.Error(), "quota") {
				s.mustGet(t, key, `{"bad utf-8":"`+"\xff"+`"}`)
			} else {
				t.Fatal(err)
			}
		} else {
			fresh().mustGet(t, key, large)
			s.mustSet(t, key, "small again")
			fresh().mustGet(t, key, "small again")
		}
		names, err := s.store.names(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, partPrefix) {
				t.Errorf("%q is left of a replaced record", name)
			}
		}
		remove(t, key)
	})

	t.Run("expiry", func(t *testing.T) {
		s := fresh()
		const key = "role/p#1"
		if err := s.Set(t.Context(), key, []byte("x"), s.now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		s.mustGet(t, key, "x")
		s.now = s.now.Add(time.Hour)
		s.mustMiss(t, key)
		s.mustSet(t, key, "y")
		s.mustGet(t, key, "y")
		remove(t, key)
	})

	t.Run("unusable", func(t *testing.T) {
		for _, kind := range []string{"role", "key", "password"} {
			for name, data := range map[string]string{
				"damaged": "garbage", "empty": "{}", "number": "7", "newer": `{"version":2,"kind":"` + kind + `","key":"` + kind + `/p#1","payload":"SECRET"}`,
				"another": `{"version":1,"kind":"` + kind + `","key":"` + kind + `/q#1","payload":"SECRET"}`,
			} {
				t.Run(kind+"/"+name, func(t *testing.T) {
					s := fresh()
					key := kind + "/p#1"
					store := s.raw(t)
					if err := store.set(t.Context(), store.codec.name(key), []byte(data), time.Time{}); err != nil {
						t.Fatal(err)
					}
					s.mustMiss(t, key)
					s.mustMiss(t, key)
					if len(s.warnings) != 1 || !strings.Contains(s.warnings[0], key) || strings.Contains(s.warnings[0], "SECRET") {
						t.Errorf("warnings: %q", s.warnings)
					}
					err := s.Set(t.Context(), key, []byte("PAYLOAD"), time.Time{})
					if kind == "role" {
						if err != nil {
							t.Error(err)
						}
						s.mustGet(t, key, "PAYLOAD")
						remove(t, key)
						return
					}
					var e *Error
					if !errors.As(err, &e) || e.Hint() == "" || strings.Contains(err.Error(), "PAYLOAD") || strings.Contains(err.Error(), "SECRET") {
						t.Errorf("Set: %v", err)
					}
					if got, err := store.get(t.Context(), store.codec.name(key)); err != nil || string(got) != data {
						t.Errorf("the record was changed: %q, %v", got, err)
					}
					if name != "another" {
						if err := s.Remove(t.Context(), key); err != nil {
							t.Error(err)
						}
						s.mustSet(t, key, "PAYLOAD")
						s.mustGet(t, key, "PAYLOAD")
						remove(t, key)
					} else if err := store.remove(t.Context(), store.codec.name(key)); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})

	t.Run("torn", func(t *testing.T) {
		s := fresh()
		store := s.raw(t)
		if store.largest == 0 {
			return // records are never in parts here
		}
		payload := strings.Repeat("x", store.largest+1)
		if os.Getuid() != 0 && env["AWSRUNAS_KEYRING"] == "keyctl" {
			store.largest = 1000
			payload = payload[:3000]
		}
		const key = "idp/p#1"
		for _, harm := range []func(name string) error{
			func(name string) error { return store.remove(t.Context(), name) },
			func(name string) error { return store.set(t.Context(), name, []byte("y"), time.Time{}) },
		} {
			s.mustSet(t, key, payload)
			s.mustGet(t, key, payload)
			names, err := store.names(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, partPrefix) })
			if i < 0 {
				t.Fatalf("no part in %q", names)
			}
			if err := harm(names[i]); err != nil {
				t.Fatal(err)
			}
			s.mustMiss(t, key)
			if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 1 {
				t.Errorf("Keys: %q, %v", keys, err)
			}
		}
		if err := s.Remove(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if names, err := store.names(t.Context()); err != nil || slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, partPrefix) }) {
			t.Errorf("after removing: %q, %v", names, err)
		}
	})

	t.Run("keys only", func(t *testing.T) {
		s := fresh()
		for _, bad := range []string{"", "noslash", "/x#1", "role/", "Role/x#1", "../x#1"} {
			if _, err := s.Get(t.Context(), bad); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Get(%q): %v", bad, err)
			}
			if err := s.Set(t.Context(), bad, nil, time.Time{}); err == nil {
				t.Errorf("Set(%q) succeeded", bad)
			}
			if err := s.Remove(t.Context(), bad); err == nil {
				t.Errorf("Remove(%q) succeeded", bad)
			}
		}
	})

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := fresh().Get(ctx, "role/p#1"); !errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v", err)
		}
	})

	t.Run("goroutines", func(t *testing.T) {
		s := fresh()
		done := make(chan error)
		const n = 8
		for i := range n {
			go func() {
				key := fmt.Sprintf("role/p%d#1", i)
				err := s.Set(context.Background(), key, []byte(key), time.Time{})
				if err == nil {
					var got []byte
					if got, err = s.Get(context.Background(), key); err == nil && !bytes.Equal(got, []byte(key)) {
						err = fmt.Errorf("Get(%q) = %q", key, got)
					}
				}
				done <- errors.Join(err, s.Remove(context.Background(), key))
			}()
		}
		for range n {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestMemory(t *testing.T) {
	m := mapStore{}
	conformance(t, keychaintest.Env{}, func(o Options) *Keychain { return memoryKeychain(o, m) })
}

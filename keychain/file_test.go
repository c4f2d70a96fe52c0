package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"aws-runas/keychain/keychaintest"
)

// fileEnv is an encrypted file whose derived key no other test can have left in
// the kernel keyring: the salt is new.
func fileKeychain(env keychaintest.Env, ask func(prompt string, create bool) (string, error)) *subject {
	return newSubject(env, func(o Options) *Keychain {
		if ask != nil {
			o.Passphrase = func(_ context.Context, prompt string, create bool) (string, error) { return ask(prompt, create) }
		}
		return New(o)
	})
}

// forget makes the kernel keyring forget the keys of the file stores.
func forget(t *testing.T) {
	t.Helper()
	forgetSecrets()
	t.Cleanup(forgetSecrets)
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWrongPassphrase(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	fileKeychain(env, nil).mustSet(t, "key/p#1", "SECRET")
	before := snapshot(t, env["HOME"])
	for _, cached := range []bool{true, false} {
		if !cached {
			forgetSecrets()
		}
		wrong := clone(env)
		wrong["AWSRUNAS_PASSPHRASE"] = "WRONG"
		s := fileKeychain(wrong, nil)
		_, get := s.Get(t.Context(), "key/p#1")
		for op, err := range map[string]error{
			"get": get, "set": s.Set(t.Context(), "key/p#1", []byte("PAYLOAD"), time.Time{}), "set another": s.Set(t.Context(), "role/q#1", []byte("PAYLOAD"), time.Time{}),
		} {
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), "wrong passphrase") || e.Hint() == "" || strings.Contains(err.Error(), "WRONG") {
				t.Errorf("%s, cached %v: %v", op, cached, err)
			}
		}
		after := snapshot(t, env["HOME"])
		for _, lock := range []string{"lock", "deriving"} {
			delete(after, filepath.Join(env["XDG_DATA_HOME"], "aws-runas", lock))
			delete(before, filepath.Join(env["XDG_DATA_HOME"], "aws-runas", lock))
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("files changed: %s", diff)
		}
	}
	fileKeychain(env, nil).mustGet(t, "key/p#1", "SECRET")
}

func TestPassphraseIsAskedFor(t *testing.T) {
	env := keychaintest.File(t)
	delete(env, "AWSRUNAS_PASSPHRASE")
	forget(t)
	var asked []string
	ask := func(prompt string, create bool) (string, error) {
		asked = append(asked, fmt.Sprint(create))
		return "p", nil
	}
	s := fileKeychain(env, ask)
	s.mustMiss(t, "role/p#1")
	if _, err := s.Keys(t.Context()); err != nil || len(asked) > 0 {
		t.Fatalf("nothing is there, and yet: %v, asked %v", err, asked)
	}
	s.mustSet(t, "role/p#1", "x")
	s.mustGet(t, "role/p#1", "x")
	if diff := cmp.Diff([]string{"true", "true"}, asked); diff != "" {
		t.Error(diff)
	}
	forgetSecrets()
	s = fileKeychain(env, ask)
	s.mustGet(t, "role/p#1", "x")
	s.mustGet(t, "role/p#1", "x")
	if diff := cmp.Diff([]string{"true", "true", "false"}, asked); diff != "" {
		t.Error(diff)
	}
	if keeps := keptForever(t); keeps {
		fileKeychain(env, nil).mustGet(t, "role/p#1", "x")
	}
}

// keptForever reports whether there is a kernel keyring that keeps a secret.
func keptForever(t *testing.T) bool {
	t.Helper()
	keepSecret(unlockPrefix+"test", "x", time.Minute)
	return keptSecret(unlockPrefix+"test") == "x"
}

// nobody is the error of an asker that may not ask.
type nobody struct{ field int }

func (nobody) Error() string { return "nobody is there" }

// Whoever waits for another process to ask for the passphrase need not ask.
func TestPassphraseIsAskedForOnce(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	fileKeychain(env, nil).mustSet(t, "key/p#1", "x")
	if !keptForever(t) {
		return // each is asked, as there is nowhere to leave it for the next
	}
	forgetSecrets()
	delete(env, "AWSRUNAS_PASSPHRASE")
	var asked atomic.Int32
	looked := make(chan struct{})
	second := newSubject(env, func(o Options) *Keychain {
		var once sync.Once
		o.Lookup = func(name string) (string, bool) {
			if name == "AWSRUNAS_PASSPHRASE" {
				once.Do(func() { close(looked) })
			}
			return env.Lookup(name)
		}
		o.Passphrase = func(context.Context, string, bool) (string, error) {
			asked.Add(1)
			return keychaintest.Passphrase, nil
		}
		return New(o)
	})
	both := make(chan error, 1)
	first := fileKeychain(env, func(string, bool) (string, error) {
		asked.Add(1)
		go func() {
			_, err := second.Get(t.Context(), "key/p#1")
			both <- err
		}()
		<-looked
		return keychaintest.Passphrase, nil
	})
	first.mustGet(t, "key/p#1", "x")
	if err := <-both; err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// The key is derived by one process at a time, for which the time limit of a
// keyring does not hold.
func TestKeyIsDerivedByOneAtATime(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	s.mustSet(t, "key/p#1", "x")
	forgetSecrets()
	synctest.Test(t, func(t *testing.T) {
		other := flock.New(filepath.Join(s.store.backend.(*fileStore).dir, "deriving"))
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*answerLimit, func() { _ = other.Unlock() })
		start := time.Now()
		fileKeychain(env, nil).mustGet(t, "key/p#1", "x")
		if waited := time.Since(start); waited < 2*answerLimit {
			t.Errorf("it waited for %v only", waited)
		}
	})
}

// A folder that is read-only has no place for a lock.
func TestKeyIsDerivedWithoutALock(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	s.mustSet(t, "key/p#1", "x")
	dir := s.store.backend.(*fileStore).dir
	for _, name := range []string{"asking", "deriving"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	forgetSecrets()
	fileKeychain(env, nil).mustGet(t, "key/p#1", "x")
	forgetSecrets()
	delete(env, "AWSRUNAS_PASSPHRASE")
	fileKeychain(env, func(string, bool) (string, error) { return keychaintest.Passphrase, nil }).mustGet(t, "key/p#1", "x")
}

func TestAskersErrorIsUnchanged(t *testing.T) {
	env := keychaintest.File(t)
	delete(env, "AWSRUNAS_PASSPHRASE")
	s := fileKeychain(env, func(string, bool) (string, error) { return "", nobody{7} })
	err := s.Set(t.Context(), "role/p#1", nil, time.Time{})
	var e *Error
	var n nobody
	if errors.As(err, &e) || !errors.As(err, &n) || n.field != 7 {
		t.Errorf("%#v", err)
	}
	if files := snapshot(t, env["HOME"]); len(files) > 0 {
		t.Errorf("files: %v", files)
	}
}

func TestPassphraseThatIsNoGood(t *testing.T) {
	different := 0
	for want, ask := range map[string]func(string, bool) (string, error){
		"nobody can be asked":     nil,
		"passphrase is empty":     func(string, bool) (string, error) { return "", nil },
		"two passphrases differ,": func(string, bool) (string, error) { different++; return fmt.Sprint(different), nil },
	} {
		env := keychaintest.File(t)
		delete(env, "AWSRUNAS_PASSPHRASE")
		err := fileKeychain(env, ask).Set(t.Context(), "role/p#1", nil, time.Time{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if files := snapshot(t, env["HOME"]); len(files) > 0 {
			t.Errorf("files: %v", files)
		}
	}
}

func TestPassphraseCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands here are sh's")
	}
	t.Setenv("OF_THE_PROCESS", "LEAK")
	env := keychaintest.File(t)
	delete(env, "AWSRUNAS_PASSPHRASE")
	forget(t)
	var words strings.Builder
	keychain := func() *subject {
		return newSubject(env, func(o Options) *Keychain {
			o.Stderr = &words
			o.Environ = func() []string {
				list := []string{"PATH=" + os.Getenv("PATH"), "GIVEN=here"}
				for _, name := range secretVariables {
					list = append(list, name+"=LEAK")
				}
				return list
			}
			return New(o)
		})
	}
	env["AWSRUNAS_PASSPHRASE_COMMAND"] = `echo words >&2; if env | grep -q LEAK; then echo leaked; else printf 'pass phrase %s \n' "$GIVEN"; fi`
	keychain().mustSet(t, "role/p#1", "x")
	if words.String() != "words\n" {
		t.Errorf("it said %q", words.String())
	}
	forgetSecrets()
	given := clone(env)
	given["AWSRUNAS_PASSPHRASE"] = "pass phrase here "
	fileKeychain(given, nil).mustGet(t, "role/p#1", "x")
	forgetSecrets()
	env["AWSRUNAS_PASSPHRASE_COMMAND"] = "printf SECRET; exit 3"
	_, err := keychain().Get(t.Context(), "role/p#1")
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "AWSRUNAS_PASSPHRASE_COMMAND failed: exit status 3") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("%v", err)
	}
}

func TestExpiredRecordsOfAProfileAreSwept(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	long := strings.Repeat("p", 200)
	for key, life := range map[string]time.Duration{
		"role/p#1": time.Hour, "role/p#2": time.Hour, "role/p#3": 2 * time.Hour, "role/p#x#1": time.Hour, "role/pp#1": time.Hour,
		"session/p#1": time.Hour, "role/" + long + "#1": time.Hour, "key/p#1": 0, "password/p#1": 0,
	} {
		var expires time.Time
		if life > 0 {
			expires = s.now.Add(life)
		}
		if err := s.Set(t.Context(), key, []byte("x"), expires); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(time.Hour)
	for _, key := range []string{"role/p#4", "role/" + long + "#4", "key/p#4"} {
		s.mustSet(t, key, "x")
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"key/p#1", "key/p#4", "password/p#1", "role/p#3", "role/p#4", "role/p#x#1", "role/pp#1", "session/p#1",
		"role/" + long + "#1", "role/" + long + "#4"}
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("there are %q, want %q", keys, want)
	}
}

func TestFilesAreEncryptedAndPrivate(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	s.mustSet(t, "role/p#1", "PLAINTEXT")
	s.mustSet(t, "role/p#1", "PLAINTEXT2")
	dir := filepath.Join(env["XDG_DATA_HOME"], "aws-runas")
	if runtime.GOOS == "windows" {
		dir = filepath.Join(env["LOCALAPPDATA"], "aws-runas")
	}
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		} else {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(rel))
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"items/role.p#1", "lock", "salt.json"}, found); diff != "" {
		t.Error(diff)
	}
	for path, data := range snapshot(t, dir) {
		for _, secret := range []string{"PLAINTEXT", "UExBSU5URVhU", keychaintest.Passphrase, s.store.backend.(*fileStore).secret} {
			if strings.Contains(data, secret) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
	}
}

func TestSaltIsMissingOrDamaged(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing": os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"costly": func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(data), "32768", "1073741824", 1)), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := keychaintest.File(t)
			forget(t)
			fileKeychain(env, nil).mustSet(t, "key/p#1", "x")
			dir, err := fileDir(Options{Home: env["HOME"], Lookup: env.Lookup})
			if err != nil {
				t.Fatal(err)
			}
			salt := filepath.Join(dir, "salt.json")
			saved, err := os.ReadFile(salt)
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(salt); err != nil {
				t.Fatal(err)
			}
			s := fileKeychain(env, nil)
			_, err = s.Get(t.Context(), "key/p#1")
			var e *Error
			if !errors.As(err, &e) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "salt.json") {
				t.Errorf("Get: %v", err)
			}
			if err := s.Set(t.Context(), "role/q#1", nil, time.Time{}); !errors.As(err, &e) {
				t.Errorf("Set: %v", err)
			}
			if err := os.WriteFile(salt, saved, 0o600); err != nil {
				t.Fatal(err)
			}
			fileKeychain(env, nil).mustGet(t, "key/p#1", "x")
		})
	}
}

// A server that runs while its store is set aside, and another one made, writes
// nothing that the new store cannot read.
func TestStoreIsSetAside(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	server := fileKeychain(env, nil)
	server.mustSet(t, "session/p#1", "OLD")
	dir := filepath.Join(env["XDG_DATA_HOME"], "aws-runas")
	for _, passphrase := range []string{env["AWSRUNAS_PASSPHRASE"], "ANOTHER"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		other := clone(env)
		other["AWSRUNAS_PASSPHRASE"] = passphrase
		if passphrase == "ANOTHER" {
			fileKeychain(other, nil).mustSet(t, "session/q#1", "NEW")
			if err := server.Set(t.Context(), "session/p#1", []byte("SERVER"), time.Time{}); err == nil || !strings.Contains(err.Error(), "wrong passphrase") {
				t.Errorf("stored with another passphrase: %v", err)
			}
			if _, err := server.Get(t.Context(), "session/q#1"); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("read with another passphrase: %v", err)
			}
			fileKeychain(other, nil).mustGet(t, "session/q#1", "NEW")
			continue
		}
		server.mustSet(t, "session/p#1", "SERVER")
		fileKeychain(other, nil).mustGet(t, "session/p#1", "SERVER")
	}
}

func TestFileDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths here are Unix's")
	}
	for _, test := range []struct{ home, data, want string }{
		{"/home/u", "", "/home/u/.local/share/aws-runas"},
		{"/home/u", "/data", "/data/aws-runas"},
		{"/home/u", "relative", "/home/u/.local/share/aws-runas"},
		{"", "/data", "/data/aws-runas"},
		{"", "", ""},
	} {
		got, err := fileDir(Options{Home: test.home, Lookup: keychaintest.Env{"XDG_DATA_HOME": test.data}.Lookup})
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
}

func BenchmarkFileGet(b *testing.B) {
	env := keychaintest.File(b)
	defer forgetSecrets()
	s := fileKeychain(env, nil)
	if err := s.Set(b.Context(), "role/p#1", []byte(strings.Repeat("x", 1500)), time.Time{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), "role/p#1"); err != nil {
			b.Fatal(err)
		}
	}
}

func clone(env keychaintest.Env) keychaintest.Env {
	c := keychaintest.Env{}
	for name, value := range env {
		c[name] = value
	}
	return c
}

func TestLockForgetsThePassphrase(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	if err := s.Lock(t.Context()); err != nil {
		t.Errorf("Lock of nothing: %v", err)
	}
	s.mustSet(t, "role/p#1", "x")
	if err := s.Lock(t.Context()); err != nil {
		t.Error(err)
	}
	delete(env, "AWSRUNAS_PASSPHRASE")
	for _, s := range []*subject{s, fileKeychain(env, nil)} {
		_, err := s.Get(t.Context(), "role/p#1")
		if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "nobody can be asked") {
			t.Errorf("Get: %v", err)
		}
	}
	env["AWSRUNAS_PASSPHRASE"] = keychaintest.Passphrase
	fileKeychain(env, nil).mustGet(t, "role/p#1", "x")
}

// TestStoreIsBusy has another process hold the lock.
func TestStoreIsBusy(t *testing.T) {
	env := keychaintest.File(t)
	forget(t)
	s := fileKeychain(env, nil)
	s.mustSet(t, "role/p#1", "x")
	other := flock.New(filepath.Join(s.store.backend.(*fileStore).dir, "lock"))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	s.limit = 50 * time.Millisecond
	err := s.Set(t.Context(), "role/p#1", []byte("y"), time.Time{})
	if e := (*Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), `keyring "file": it did not answer`) {
		t.Errorf("Set: %v", err)
	}
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	s.limit = answerLimit
	s.mustGet(t, "role/p#1", "y") // the write went on by itself, and had its turn first
}

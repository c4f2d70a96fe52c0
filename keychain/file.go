package keychain

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/99designs/keyring"
	jose "github.com/dvsekhvalnov/jose2go"
	"github.com/gofrs/flock"
	"golang.org/x/crypto/scrypt"
)

// fileStore is the encrypted file backend: one file per record, written by the
// library, in DIR/items. The library's password is a key that scrypt makes from
// the passphrase and the salt in DIR/salt.json; DIR/lock serialises writers,
// DIR/asking and DIR/deriving those who unlock it.
type fileStore struct {
	k      *Keychain
	dir    string
	ring   keyring.Keyring
	secret string // the library's password, once known
}

// unlockedFor is how long the kernel keyring keeps the derived key.
const unlockedFor = 12 * time.Hour

func openFile(_ context.Context, k *Keychain) (*store, error) {
	dir, err := fileDir(k.opts)
	if err != nil {
		return nil, err
	}
	onceOnly.Do(deriveOnce)
	f := &fileStore{k: k, dir: dir}
	if f.ring, err = f.at(f.items()); err != nil {
		return nil, f.failed("cannot be opened", err)
	}
	folds := runtime.GOOS == "darwin" || runtime.GOOS == "windows"
	return &store{backend: f, name: "file", codec: files("", ".", folds)}, nil
}

// fileDir returns the store's folder: XDG_DATA_HOME/aws-runas (XDG Base Directory
// Specification, which ignores relative paths), LOCALAPPDATA\aws-runas on Windows.
func fileDir(o Options) (string, error) {
	name, fallback := "XDG_DATA_HOME", filepath.Join(o.Home, ".local", "share")
	if runtime.GOOS == "windows" {
		name, fallback = "LOCALAPPDATA", filepath.Join(o.Home, "AppData", "Local")
	}
	if dir, _ := o.Lookup(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "aws-runas"), nil
	}
	if !filepath.IsAbs(o.Home) {
		return "", &Error{Backend: "file", Reason: fmt.Sprintf("neither the home folder nor %s is known", name)}
	}
	return filepath.Join(fallback, "aws-runas"), nil
}

func (f *fileStore) items() string { return filepath.Join(f.dir, "items") }

// at opens the library's backend on a folder of its own.
func (f *fileStore) at(dir string) (keyring.Keyring, error) {
	return openRing(keyring.Config{
		FileDir:          dir,
		FilePasswordFunc: func(string) (string, error) { return f.secret, nil },
	}, keyring.FileBackend)
}

func (f *fileStore) failed(reason string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) && runtime.GOOS != "windows" {
		hint = `sudo chown -R "$(id -u)" ` + shellWord(f.dir)
	}
	return unavailable("file", reason, hint, err)
}

func (f *fileStore) get(ctx context.Context, name string) ([]byte, error) {
	// The library would create the folder and then ask for the password.
	if _, err := os.Lstat(filepath.Join(f.items(), name)); errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	} else if err != nil {
		return nil, f.failed("cannot be read", err)
	}
	if runtime.GOOS == "windows" { // where a file that is being read cannot be replaced
		unlock, err := f.lock("lock", (*flock.Flock).RLock)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	if err := f.unlock(ctx, false); err != nil {
		return nil, err
	}
	data, err := ringGet(f.ring, name)
	var path *fs.PathError
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return data, err
	case errors.As(err, &path):
		return nil, f.failed("cannot be read", err)
	}
	return nil, errDamaged // the key is right: unlock has checked it
}

// set lets the library, which writes in place, write into a folder of its own on
// the same file system, and moves the file from there.
func (f *fileStore) set(ctx context.Context, name string, data []byte, _ time.Time) error {
	if err := f.unlock(ctx, true); err != nil {
		return err
	}
	unlock, err := f.lock("lock", (*flock.Flock).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.write(name, data); err != nil {
		return f.failed(fmt.Sprintf("%q is not stored", name), err)
	}
	f.sweep(ctx, name)
	return nil
}

// sweep removes what has expired of the same kind and profile as the record that
// was just stored: an edited role, a rotated key or a new token makes a record
// under another hash, and nobody asks for the former one again. Other backends
// may ask a person for each record that is read.
func (f *fileStore) sweep(ctx context.Context, stored string) {
	i := strings.LastIndexByte(stored, '#')
	names, err := f.names(ctx)
	if err != nil || i < 0 {
		return
	}
	for _, name := range names {
		if name == stored || strings.LastIndexByte(name, '#') != i || name[:i] != stored[:i] {
			continue
		}
		data, err := ringGet(f.ring, name)
		if err != nil {
			continue
		}
		if r, problem := parseRecord(data); problem == "" && r.expired(f.k.opts.Now()) {
			_ = f.remove(ctx, name) // it is no worse than it was
		}
	}
}

func (f *fileStore) write(name string, data []byte) error {
	if err := makeDir(f.items()); err != nil {
		return err
	}
	// What a killed process left behind: only the holder of the lock has one.
	if left, err := filepath.Glob(filepath.Join(f.dir, "new-*")); err == nil {
		for _, dir := range left {
			_ = os.RemoveAll(dir)
		}
	}
	tmp, err := os.MkdirTemp(f.dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ring, err := f.at(tmp)
	if err != nil {
		return err
	}
	if err := ringSet(ring, name, data); err != nil {
		return err
	}
	return replace(filepath.Join(tmp, name), filepath.Join(f.items(), name))
}

// replace moves a complete file into place.
func replace(from, to string) error {
	file, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := giveToFolder(to); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // folders cannot be synchronised there
		return nil
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f *fileStore) remove(_ context.Context, name string) error {
	if err := ringRemove(f.ring, name); err != nil {
		return f.failed(fmt.Sprintf("%q is not removed", name), err)
	}
	return nil
}

func (f *fileStore) names(context.Context) ([]string, error) {
	// The library takes a folder that it cannot read for an empty one.
	entries, err := os.ReadDir(f.items())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, f.failed("cannot be listed", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// lock holds one of the store's locks, creating its folder.
func (f *fileStore) lock(name string, take func(*flock.Flock) error) (unlock func(), err error) {
	if err := makeDir(f.dir); err != nil {
		return nil, f.failed("cannot be created", err)
	}
	l := flock.New(filepath.Join(f.dir, name), flock.SetPermissions(0o600))
	if err := take(l); err != nil {
		return nil, f.failed("cannot be locked", err)
	}
	if err := giveToFolder(l.Path()); err != nil {
		_ = l.Unlock()
		return nil, f.failed("cannot be locked", err)
	}
	return func() { _ = l.Unlock() }, nil
}

// salt is DIR/salt.json: how to make the library's password from a passphrase,
// and how to tell that it is the right one.
type salt struct {
	Version int    `json:"version"`
	KDF     string `json:"kdf"`
	N       int    `json:"n"`
	R       int    `json:"r"`
	P       int    `json:"p"`
	Salt    []byte `json:"salt"`
	Check   []byte `json:"check"`
}

func (s salt) valid() bool {
	return s.Version == 1 && s.KDF == "scrypt" && len(s.Salt) >= 16 && len(s.Check) == sha256.Size &&
		s.N >= 2 && s.N <= 1<<20 && s.R >= 1 && s.R <= 32 && s.P >= 1 && s.P <= 16
}

// derive returns the library's password.
func (s salt) derive(passphrase string) (string, error) {
	key, err := scrypt.Key([]byte(passphrase), s.Salt, s.N, s.R, s.P, 32)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(key), nil
}

func (s salt) fits(secret string) bool {
	return subtle.ConstantTimeCompare(mac(secret, "verifier"), s.Check) == 1
}

func mac(secret, text string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (f *fileStore) readSalt() (salt, error) {
	var s salt
	path := filepath.Join(f.dir, "salt.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err != nil {
		return s, f.failed("its salt cannot be read", err)
	}
	if json.Unmarshal(data, &s) != nil || !s.valid() {
		return s, &Error{Backend: "file", Reason: fmt.Sprintf("%q is damaged or of a newer version", path), hint: f.setAside()}
	}
	return s, nil
}

// unlock makes f.secret known, creating the store where it may.
func (f *fileStore) unlock(ctx context.Context, create bool) error {
	s, given, err := f.known()
	if err == nil && f.secret == "" && given == "" && !f.k.opts.NoInput {
		done, gone := f.turn(ctx, "asking")
		defer done()
		if gone != nil {
			return gone
		}
		s, given, err = f.known()
	}
	if f.secret != "" {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if names, err := f.names(ctx); err != nil {
			return err
		} else if len(names) > 0 || !create {
			return &Error{
				Backend: "file",
				Reason:  fmt.Sprintf("%q is missing, without which the records beside it cannot be read", filepath.Join(f.dir, "salt.json")),
				hint:    f.setAside(),
			}
		}
		return f.create(ctx)
	}
	if err != nil {
		return err
	}
	why := ""
	for try := 1; ; try++ {
		passphrase, err := f.ask(ctx, false, why)
		if err != nil {
			return err
		}
		err = f.use(ctx, s, passphrase)
		command, _ := f.k.opts.Lookup("AWSRUNAS_PASSPHRASE_COMMAND")
		if wrong := (*Error)(nil); given != "" || command != "" || try == passphraseTries || !errors.As(err, &wrong) || !wrong.wrong {
			return err
		}
		why = "that is not it; "
	}
}

// known makes f.secret what fits the store, if that can be had without asking.
func (f *fileStore) known() (s salt, given string, err error) {
	given, _ = f.k.opts.Lookup("AWSRUNAS_PASSPHRASE")
	s, err = f.readSalt()
	switch {
	case err == nil && s.fits(f.secret):
	case err == nil:
		f.secret = f.remembered(s, given)
	default:
		// None yet, or that of a store which somebody has set aside while this ran.
		f.secret = ""
	}
	return s, given, err
}

// turn waits until no other process asks for the passphrase, or derives the key
// from it. Once one has, the kernel keyring may have it for those who come next.
// Where there can be no lock, as in a folder that is read-only, nobody waits.
func (f *fileStore) turn(ctx context.Context, what string) (done func(), err error) {
	defer f.k.person.asking()()
	done, err = f.lock(what, func(l *flock.Flock) error {
		_, err := l.TryLockContext(ctx, 20*time.Millisecond)
		return err
	})
	if err != nil {
		done = func() {}
	}
	return done, ctx.Err()
}

// setAside is the command after which a new store is made.
func (f *fileStore) setAside() string {
	return "mv " + shellWord(f.dir) + " " + shellWord(f.dir+".unreadable")
}

// use unlocks the store with a passphrase, if it is the right one. One process
// at a time derives the key: many at once would take long and 32 MiB each, for
// what the others may find in the kernel keyring.
func (f *fileStore) use(ctx context.Context, s salt, passphrase string) error {
	defer f.k.person.asking()() // it is our own computing, not a keyring that hangs
	done, err := f.turn(ctx, "deriving")
	defer done()
	if err != nil {
		return err
	}
	if given, _ := f.k.opts.Lookup("AWSRUNAS_PASSPHRASE"); given != "" {
		if f.secret = f.remembered(s, given); f.secret != "" {
			return nil
		}
	}
	secret, err := s.derive(passphrase)
	if err != nil {
		return f.failed("cannot be unlocked", err)
	}
	if !s.fits(secret) {
		e := &Error{Backend: "file", Reason: fmt.Sprintf("wrong passphrase for %q", f.dir), wrong: true}
		for _, name := range []string{"AWSRUNAS_PASSPHRASE_COMMAND", "AWSRUNAS_PASSPHRASE"} {
			if given, _ := f.k.opts.Lookup(name); given != "" {
				e.hint = "unset " + name
			}
		}
		return e
	}
	f.secret = secret
	f.remember(s)
	return nil
}

// create makes the salt of a new store. Where two processes do so at once, the
// first one's stands and the other's passphrase has to fit it.
func (f *fileStore) create(ctx context.Context) error {
	passphrase, err := f.ask(ctx, true, "") // not under the lock: it may take minutes
	if err != nil {
		return err
	}
	defer f.k.person.asking()() // all who create it at once derive the key
	unlock, err := f.lock("lock", (*flock.Flock).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := f.readSalt()
	if err == nil {
		return f.use(ctx, s, passphrase)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// 32 MiB and 60 ms on the machine it was chosen on; RFC 7914 section 2
	// leaves the choice to the application.
	s = salt{Version: 1, KDF: "scrypt", N: 1 << 15, R: 8, P: 1, Salt: make([]byte, 16)}
	rand.Read(s.Salt)
	secret, err := s.derive(passphrase)
	if err != nil {
		return f.failed("cannot be created", err)
	}
	s.Check = mac(secret, "verifier")
	if err := f.writeSalt(s); err != nil {
		return f.failed("cannot be created", err)
	}
	f.secret = secret
	f.remember(s)
	return nil
}

func (f *fileStore) writeSalt(s salt) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, "new-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return replace(tmp.Name(), filepath.Join(f.dir, "salt.json"))
}

// The kernel keyring's copy is the secret, and, where the passphrase came from
// the environment, a digest of it keyed with the secret: another passphrase in
// the environment is then noticed without scrypt.

func (f *fileStore) remember(s salt) {
	value := f.secret
	if given, _ := f.k.opts.Lookup("AWSRUNAS_PASSPHRASE"); given != "" {
		value += " " + base64.RawURLEncoding.EncodeToString(mac(f.secret, given))
	}
	keepSecret(unlockName(s), value, unlockedFor)
}

func (f *fileStore) forget() error {
	f.secret = ""
	s, err := f.readSalt()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return dropSecret(unlockName(s))
}

// remembered returns the secret that the kernel keyring keeps, or "" when there
// is none or given, not empty, is not known to be its passphrase.
func (f *fileStore) remembered(s salt, given string) string {
	secret, check, _ := strings.Cut(keptSecret(unlockName(s)), " ")
	if !s.fits(secret) {
		return ""
	}
	if given != "" && !hmac.Equal([]byte(check), []byte(base64.RawURLEncoding.EncodeToString(mac(secret, given)))) {
		return ""
	}
	return secret
}

func unlockName(s salt) string { return unlockPrefix + digest(s.Salt)[:32] }

// The library leaves the cost of PBES2 to jose's default of 8192 rounds, 1.4 ms
// for each record read. Rounds make up for guessable passwords (RFC 7518,
// section 4.8.1.2); this password is 256 bits out of scrypt, so one is as good.
type onceAlgorithm struct{ jose.JwaAlgorithm }

func (a onceAlgorithm) WrapNewKey(bits int, key any, header map[string]any) (cek, encrypted []byte, err error) {
	header["p2c"] = 1
	return a.JwaAlgorithm.WrapNewKey(bits, key, header)
}

var onceOnly sync.Once

// deriveOnce replaces the algorithm in jose's table, its only configuration.
func deriveOnce() {
	jose.RegisterJwa(onceAlgorithm{jose.NewPbse2HmacAesKWAlg(128, 1_300_000, 1)})
}

//go:build !windows

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/99designs/keyring"
)

// passStore keeps records in the password-store, below aws-runas/.
type passStore struct {
	k    *Keychain
	dir  string
	ring keyring.Keyring
}

func openPass(_ context.Context, k *Keychain) (*store, error) {
	dir, _ := k.opts.Lookup("PASSWORD_STORE_DIR")
	if dir == "" {
		dir = filepath.Join(k.opts.Home, ".password-store")
	}
	if !filepath.IsAbs(dir) {
		return nil, &Error{Backend: "pass", Reason: fmt.Sprintf("the password-store's folder %q is not an absolute path", dir)}
	}
	if _, err := exec.LookPath("pass"); err != nil {
		return nil, &Error{Backend: "pass", Reason: "the program pass is not in PATH", hint: "export AWSRUNAS_KEYRING=file"}
	}
	if _, err := os.Stat(filepath.Join(dir, ".gpg-id")); err != nil {
		return nil, &Error{Backend: "pass", Reason: fmt.Sprintf("the password-store %q is not initialised", dir), Err: err, hint: "pass init YOUR-GPG-ID"}
	}
	ring, err := openRing(keyring.Config{PassDir: dir}, keyring.PassBackend)
	if err != nil {
		return nil, unavailable("pass", "cannot be opened", "", err)
	}
	p := &passStore{k: k, dir: dir, ring: ring}
	return &store{backend: p, name: "pass", codec: files(itemPrefix, "/", runtime.GOOS == "darwin")}, nil
}

// use calls f while gpg may ask a person, and without our secrets in the
// environment, all of which the library hands on to pass.
func (p *passStore) use(f func() error) error {
	if !p.k.opts.NoInput {
		defer p.k.person.asking()()
	}
	defer hideSecrets()()
	return f()
}

func (p *passStore) failed(reason string, err error) error {
	hint := ""
	if tty, _ := p.k.opts.Lookup("GPG_TTY"); tty == "" {
		hint = "export GPG_TTY=$(tty)"
	}
	return unavailable("pass", reason, hint, err)
}

func (p *passStore) get(_ context.Context, name string) (data []byte, err error) {
	err = p.use(func() error {
		data, err = ringGet(p.ring, name)
		return err
	})
	var exit *exec.ExitError
	if errors.As(err, &exit) && !encrypted(filepath.Join(p.dir, name+".gpg")) {
		return nil, errDamaged
	}
	return data, p.failed(fmt.Sprintf("pass could not show %q", name), err)
}

// set lets pass, which has gpg write in place, insert the record into a store of
// its own inside the real one, and moves the file from there: no reader sees half
// a record, and a full disk does not cost the former one. It follows that pass
// does not commit the record, should the store be a git repository, and session
// tokens do not pile up in its history.
func (p *passStore) set(_ context.Context, name string, data []byte, _ time.Time) error {
	err := p.use(func() error { return p.write(name, data) })
	return p.failed(fmt.Sprintf("pass could not insert %q", name), err)
}

func (p *passStore) write(name string, data []byte) error {
	path := filepath.Join(p.dir, filepath.FromSlash(name)+".gpg")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// What a killed process left behind, when it is surely dead.
	left, _ := filepath.Glob(filepath.Join(p.dir, ".aws-runas-*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
	tmp, err := os.MkdirTemp(p.dir, ".aws-runas-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := copyRecipients(tmp, p.dir, filepath.Dir(path)); err != nil {
		return err
	}
	ring, err := openRing(keyring.Config{PassDir: tmp}, keyring.PassBackend)
	if err != nil {
		return err
	}
	if err := ringSet(ring, name, data); err != nil {
		return err
	}
	return replace(filepath.Join(tmp, filepath.FromSlash(name)+".gpg"), path)
}

// copyRecipients copies to folder to what says for whom pass encrypts a record in
// folder dir of the store root: the nearest .gpg-id upwards, and its signature.
func copyRecipients(to, root, dir string) error {
	for {
		id, err := os.ReadFile(filepath.Join(dir, ".gpg-id"))
		if errors.Is(err, fs.ErrNotExist) && dir != root {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return err
		}
		signature, err := os.ReadFile(filepath.Join(dir, ".gpg-id.sig"))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, ".gpg-id.sig"), signature, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(filepath.Join(to, ".gpg-id"), id, 0o600)
	}
}

// remove removes the file, as "pass rm" does, but leaves the folder to others who
// are about to store a record there.
func (p *passStore) remove(_ context.Context, name string) error {
	err := os.Remove(filepath.Join(p.dir, filepath.FromSlash(name)+".gpg"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.failed(fmt.Sprintf("%q is not removed", name), err)
}

func (p *passStore) names(context.Context) ([]string, error) {
	// The library would walk, and list, the whole store.
	root := filepath.Join(p.dir, filepath.FromSlash(itemPrefix))
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // none yet, or removed meanwhile
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".gpg" {
			return err
		}
		name, err := filepath.Rel(p.dir, path[:len(path)-len(".gpg")])
		names = append(names, filepath.ToSlash(name))
		return err
	})
	return names, p.failed("cannot be listed", err)
}

// encrypted reports whether the file begins with a packet that holds a session
// key (RFC 9580, section 5.1), as whatever gpg has encrypted for somebody does.
// gpg's exit status is the same for a file that is not encrypted at all and for
// a key that is locked.
func encrypted(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return true // not known
	}
	defer file.Close()
	var first [1]byte
	if _, err := io.ReadFull(file, first[:]); err != nil {
		return false
	}
	return first[0]&0xc0 == 0xc0 && first[0]&0x3f == 1 || first[0]&0xc0 == 0x80 && first[0]>>2&0xf == 1
}

var environment sync.Mutex

// hideSecrets takes our secrets out of the process's environment until the
// returned function is called. The library takes it as a whole, and offers no
// other way to keep something from its child.
func hideSecrets() (restore func()) {
	environment.Lock()
	former := map[string]string{}
	for _, name := range secretVariables {
		if value, ok := os.LookupEnv(name); ok {
			former[name] = value
			os.Unsetenv(name)
		}
	}
	return func() {
		for name, value := range former {
			os.Setenv(name, value)
		}
		environment.Unlock()
	}
}

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/keyring"

	"aws-runas/keychain/busguard"
)

// keyring's own initialisation is over here: no child shall see what the guard
// put into the environment for it.
func init() { busguard.Undo() }

// Options says where a keychain is and whom it may ask. The zero value chooses
// the backend automatically and asks nobody.
type Options struct {
	// Backend is a name from [Backends], or "" for the first that is there.
	Backend string
	// Lookup finds an environment variable.
	Lookup func(string) (string, bool)
	// Environ is what the command that prints a passphrase gets, but for what is
	// secret in it, and Stderr is where it says what is wrong.
	Environ func() []string
	Stderr  io.Writer
	// Home is the user's home folder.
	Home string
	Now  func() time.Time
	// Passphrase asks a person for the passphrase of the encrypted file. With
	// create set it is a new one: there are then two calls, whose answers
	// have to be the same. Its error is returned as it is.
	Passphrase func(ctx context.Context, prompt string, create bool) (string, error)
	// NoInput keeps backends from asking a person on their own, as the Secret
	// Service does for a locked collection: such a call fails instead.
	NoInput bool
	// Warn is told, once per record, of one that cannot be used.
	Warn func(msg string)
}

// Time limits of one call. A person who unlocks the keyring is given longer.
const (
	answerLimit = 5 * time.Second
	personLimit = 5 * time.Minute
)

// Keychain is a set of records in a keyring. It is safe for concurrent use; the
// records are shared with every other process of the same user.
type Keychain struct {
	opts   Options
	limit  time.Duration
	person patience

	trying atomic.Value  // the name of the backend that is being opened
	turn   chan struct{} // held by the one call that is using the backend
	store  *store        // nil until the backend is open; guarded by turn
	warned map[string]bool
	open   func(context.Context, *Keychain) (*store, error)
}

// store is an open backend and what it can carry.
type store struct {
	backend
	name    string
	codec   codec
	largest int  // bytes that one item holds, 0 for any number
	folds   bool // names that differ in case only are the same item
}

// backend keeps items by name. A missing item is fs.ErrNotExist for get and
// nothing for remove; one that is there and cannot be decoded is errDamaged.
// names returns at least the names of all items that are ours.
// Only one method is called at a time.
type backend interface {
	get(ctx context.Context, name string) ([]byte, error)
	set(ctx context.Context, name string, data []byte, expires time.Time) error
	remove(ctx context.Context, name string) error
	names(ctx context.Context) ([]string, error)
}

// New returns a keychain. Nothing is opened before the first use.
func New(o Options) *Keychain {
	if o.Lookup == nil {
		o.Lookup = func(string) (string, bool) { return "", false }
	}
	if o.Environ == nil {
		o.Environ = func() []string { return []string{} } // nil would be all of this process's
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Keychain{opts: o, limit: answerLimit, turn: make(chan struct{}, 1), open: open}
}

// Backend returns the name of the backend that is used, and opens it.
func (k *Keychain) Backend(ctx context.Context) (string, error) {
	return run(ctx, k, func(_ context.Context, s *store) (string, error) { return s.name, nil })
}

// Get returns the payload stored under key. The error is [fs.ErrNotExist] when
// there is no record, or none that is valid and has not expired.
func (k *Keychain) Get(ctx context.Context, key string) ([]byte, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	return run(ctx, k, func(ctx context.Context, s *store) ([]byte, error) {
		r, problem, err := s.load(ctx, s.codec.name(key))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		missing := err != nil
		if !missing && problem == "" && r.Key != key {
			problem = "that of another profile"
		}
		if problem != "" && problem != torn {
			k.warn(key, fmt.Sprintf("ignoring %q in the %s keyring: the record is %s", itemPrefix+key, s.name, problem))
		}
		if missing || problem != "" || r.expired(k.opts.Now()) {
			return nil, fmt.Errorf("no record %q in the %s keyring: %w", key, s.name, fs.ErrNotExist)
		}
		return r.payload(), nil
	})
}

// Set stores payload under key until expires; the zero time means until it is
// removed. It refuses to replace a record of the kinds "key" and "password"
// that it cannot read.
func (k *Keychain) Set(ctx context.Context, key string, payload []byte, expires time.Time) error {
	if err := check(key); err != nil {
		return err
	}
	r := newRecord(key, slices.Clone(payload), expires)
	_, err := run(ctx, k, func(ctx context.Context, s *store) (struct{}, error) {
		name := s.codec.name(key)
		if r.Kind == "key" || r.Kind == "password" {
			if err := s.refuse(ctx, name, r); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, s.save(ctx, name, r)
	})
	return err
}

// Remove removes the record under key, readable or not, and succeeds when there
// is none.
func (k *Keychain) Remove(ctx context.Context, key string) error {
	if err := check(key); err != nil {
		return err
	}
	_, err := run(ctx, k, func(ctx context.Context, s *store) (struct{}, error) {
		name := s.codec.name(key)
		if s.folds || s.largest > 0 {
			r, problem, err := s.load(ctx, name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return struct{}{}, nil
			case err != nil:
				return struct{}{}, err
			case problem == "" && r.Key != key:
				return struct{}{}, nil
			}
		}
		if err := s.remove(ctx, name); err != nil || s.largest == 0 {
			return struct{}{}, err
		}
		return struct{}{}, s.sweep(ctx, key)
	})
	return err
}

// Lock forgets what keeps the records readable without a passphrase: the key of
// the encrypted file, in this process and in the kernel keyring. Other backends
// are locked by their own means.
func (k *Keychain) Lock(ctx context.Context) error {
	_, err := run(ctx, k, func(ctx context.Context, s *store) (struct{}, error) {
		if f, ok := s.backend.(*fileStore); ok {
			return struct{}{}, f.forget()
		}
		return struct{}{}, nil
	})
	return err
}

// Keys returns the keys of all records, sorted, the expired ones included.
// Items of other programs are not among them.
func (k *Keychain) Keys(ctx context.Context) ([]string, error) {
	return run(ctx, k, func(ctx context.Context, s *store) ([]string, error) {
		names, err := s.names(ctx)
		if err != nil {
			return nil, err
		}
		keys := make([]string, 0, len(names))
		for _, name := range names {
			key, ours := s.codec.key(name)
			if !ours {
				continue
			}
			if key == "" { // the name was too long: ask the record
				r, problem, err := s.load(ctx, name)
				if errors.Is(err, fs.ErrNotExist) || err == nil && (problem != "" || s.codec.name(r.Key) != name) {
					continue
				}
				if err != nil {
					return nil, err
				}
				key = r.Key
			}
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return slices.Compact(keys), nil
	})
}

// check refuses a key that is not KIND/PROFILE#HASH.
func check(key string) error {
	kind, rest, _ := strings.Cut(key, "/")
	if kind == "" || rest == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") != "" {
		return fmt.Errorf("keyring: %q is not a key of the form KIND/PROFILE#HASH", key)
	}
	return nil
}

func (r record) expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// refuse returns an error when the item under name must not be replaced by r.
func (s *store) refuse(ctx context.Context, name string, r record) error {
	former, problem, err := s.load(ctx, name)
	if errors.Is(err, fs.ErrNotExist) || problem == torn {
		return nil
	}
	if err != nil {
		return err
	}
	if problem == "" && former.Key != r.Key {
		problem = fmt.Sprintf("that of %q, which this keyring cannot tell apart", former.Key)
	}
	if problem == "" {
		return nil
	}
	e := &Error{Backend: s.name, Reason: fmt.Sprintf("%q is not replaced: the record there is %s", itemPrefix+r.Key, problem)}
	if profile, _, _ := strings.Cut(strings.TrimPrefix(r.Key, "key/"), "#"); r.Kind == "key" {
		e.hint = "aws-runas keys remove " + shellWord(profile)
	} else {
		e.hint = "remove that item with the keyring's own viewer"
	}
	return e
}

// shellWord quotes s where a shell needs it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// sweep removes the parts of a removed record.
func (s *store) sweep(ctx context.Context, key string) error {
	names, err := s.names(ctx)
	if err != nil {
		return err
	}
	prefix := partPrefix + digest([]byte(key))[:16] + "/"
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			err = errors.Join(err, s.remove(ctx, name))
		}
	}
	return err
}

func (k *Keychain) warn(key, msg string) {
	if k.warned[key] {
		return
	}
	if k.warned == nil {
		k.warned = map[string]bool{}
	}
	k.warned[key] = true
	k.opts.Warn(msg)
}

// run calls use on the open backend, and returns when it has, or when the time
// is up or ctx is done. The libraries below know neither contexts nor time
// limits, so the call then goes on by itself and keeps its turn: the backend is
// not used by two at a time.
func run[T any](ctx context.Context, k *Keychain, use func(context.Context, *store) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() { done <- r }()
		select {
		case k.turn <- struct{}{}:
			defer func() { <-k.turn }()
		case <-ctx.Done():
		}
		if r.err = ctx.Err(); r.err != nil { // also where its turn came at the same time
			return
		}
		if k.store == nil {
			if k.store, r.err = k.open(ctx, k); r.err != nil {
				return
			}
		}
		r.value, r.err = use(ctx, k.store)
	}()

	start := time.Now()
	timer := time.NewTimer(k.limit)
	defer timer.Stop()
	for {
		select {
		case r := <-done:
			return r.value, r.err
		case <-ctx.Done():
			return *new(T), ctx.Err()
		case <-timer.C:
			if wait := k.person.left(start, k.limit); wait > 0 {
				timer.Reset(wait)
				continue
			}
			e := &Error{Reason: fmt.Sprintf("it did not answer within %v", k.limit)}
			if e.Backend, _ = k.trying.Load().(string); e.Backend != "file" {
				e.hint = "export AWSRUNAS_KEYRING=file"
			}
			return *new(T), e
		}
	}
}

// patience knows whether a person is being asked, for whom the time limit does
// not hold, nor for what this program computes itself.
type patience struct {
	mu    sync.Mutex
	asked int
	until time.Time // when the last one had answered
}

// asking says that no answer of the keyring is due, as a person is being asked, until the returned function is called.
func (p *patience) asking() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked--
		p.until = time.Now()
	}
}

// left returns how much longer to wait for a call begun at start.
func (p *patience) left(start time.Time, limit time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked > 0 {
		return min(limit, personLimit-time.Since(start))
	}
	return limit - time.Since(p.until)
}

// open opens the backend that is asked for, or the first that is there.
func open(ctx context.Context, k *Keychain) (*store, error) {
	if k.opts.Backend != "" {
		for _, c := range candidates() {
			if c.name == k.opts.Backend {
				k.trying.Store(c.name)
				return c.open(ctx, k)
			}
		}
		return nil, &Error{
			Backend: k.opts.Backend,
			Reason:  "there is no such keyring on this system, only " + strings.Join(Backends(), ", "),
		}
	}
	for _, c := range candidates() {
		if !c.automatic {
			continue
		}
		k.trying.Store(c.name)
		s, err := c.open(ctx, k)
		if e := (*Error)(nil); errors.As(err, &e) && e.absent {
			continue
		}
		return s, err
	}
	return nil, &Error{Reason: "there is none on this system" + because(Note()), hint: "export AWSRUNAS_KEYRING=file"}
}

func because(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

// candidate is a backend of this platform.
type candidate struct {
	name      string
	automatic bool // tried when none is named
	open      func(context.Context, *Keychain) (*store, error)
}

// Backends returns the names that Options.Backend may have on this platform: in
// the order in which they are tried when none is named, then those that are
// used only when named.
func Backends() []string {
	var names []string
	for _, automatic := range []bool{true, false} {
		for _, c := range candidates() {
			if c.automatic == automatic {
				names = append(names, c.name)
			}
		}
	}
	return names
}

// openRing opens one of the library's backends, and no other.
func openRing(config keyring.Config, name keyring.BackendType) (keyring.Keyring, error) {
	config.AllowedBackends = []keyring.BackendType{name}
	return keyring.Open(config)
}

// ringGet reads an item through the library.
func ringGet(r keyring.Keyring, name string) ([]byte, error) {
	item, err := r.Get(name)
	switch {
	case err == nil:
		return item.Data, nil
	case errors.Is(err, keyring.ErrKeyNotFound):
		return nil, fs.ErrNotExist
	case isJSON(err):
		return nil, errDamaged
	}
	return nil, err
}

func ringSet(r keyring.Keyring, name string, data []byte) error {
	return r.Set(keyring.Item{Key: name, Data: data, Label: name, Description: "aws-runas"})
}

// ringRemove removes an item through the library; one that is not there is fine.
func ringRemove(r keyring.Keyring, name string) error {
	if err := r.Remove(name); err != nil && !errors.Is(err, keyring.ErrKeyNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

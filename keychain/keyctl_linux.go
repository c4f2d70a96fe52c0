package keychain

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/99designs/keyring"
	"golang.org/x/sys/unix"
)

// keyctlPermissions lets the possessor and every process of the user do all.
// Without the second half another login's session could not read the key.
const keyctlPermissions = 0x3f3f0000

// keyctlLargest is below the 32,767 bytes of a "user" key (keyrings(7)).
const keyctlLargest = 30000

type keyctlStore struct {
	ring keyring.Keyring
	now  func() time.Time
}

func openKeyctl(_ context.Context, k *Keychain) (*store, error) {
	s, err := newKeyctlStore(k.opts.Now)
	if err != nil {
		return nil, err
	}
	return &store{backend: s, name: "keyctl", codec: labels, largest: keyctlLargest}, nil
}

func newKeyctlStore(now func() time.Time) (*keyctlStore, error) {
	// The library makes no system call yet. Containers commonly forbid this one.
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); err != nil {
		return nil, &Error{Backend: "keyctl", Reason: "the kernel keyring is not available here", Err: err, hint: "export AWSRUNAS_KEYRING=file"}
	}
	// No keyring of our own within the user's: two processes that create one
	// at once would displace each other's.
	ring, err := openRing(keyring.Config{KeyCtlScope: "user", KeyCtlPerm: keyctlPermissions}, keyring.KeyCtlBackend)
	if err != nil {
		return nil, keyctlFailed(err)
	}
	return &keyctlStore{ring: ring, now: now}, nil
}

func keyctlFailed(err error) error {
	switch {
	case err == nil:
		return nil
	case is(err, unix.EDQUOT):
		return unavailable("keyctl", "the user's quota is used up (/proc/sys/kernel/keys/maxbytes and maxkeys)", "aws-runas logout --all", err)
	case is(err, unix.EACCES), is(err, unix.EPERM), is(err, unix.ENOSYS):
		return unavailable("keyctl", "the kernel keyring is not available here", "export AWSRUNAS_KEYRING=file", err)
	}
	return unavailable("keyctl", "the kernel keyring failed", "", err)
}

// is reports whether err is errno, whose number the library drops in places.
func is(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || err != nil && strings.HasSuffix(err.Error(), errno.Error())
}

func gone(err error) bool {
	return is(err, unix.ENOKEY) || is(err, unix.EKEYEXPIRED) || is(err, unix.EKEYREVOKED)
}

func (s *keyctlStore) get(ctx context.Context, name string) (data []byte, err error) {
	err = s.again(ctx, func() error {
		data, err = ringGet(s.ring, name)
		return err
	})
	if gone(err) {
		err = fs.ErrNotExist
	}
	return data, keyctlFailed(err)
}

func (s *keyctlStore) set(ctx context.Context, name string, data []byte, expires time.Time) error {
	return keyctlFailed(s.again(ctx, func() error { return s.put(name, data, expires) }))
}

// again does what failed only because another process was at the same name. The
// library finds a key and then uses its number: one that was replaced in between
// is no key any more. It makes a key in the session's keyring, links it to the
// user's and unlinks it again: two processes of one session share it on the way,
// and one fails to unlink what the other has unlinked or, in between, is refused
// a key that nobody possesses. A key that was replaced or removed also counts
// until the kernel's next grace period is over, some 20 ms.
//
// All of it is done on one thread: where no login gave the process a session's
// keyring (cron, containers), the kernel makes one for each thread
// (session-keyring(7), add_key(2)), and a key in it is nobody else's.
func (s *keyctlStore) again(ctx context.Context, do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for attempt := 1; ; attempt++ {
		err := do()
		passing := is(err, unix.ENOKEY) || is(err, unix.ENOENT) || is(err, unix.EACCES) || is(err, unix.EDQUOT)
		if !passing || attempt == 20 {
			return err
		}
		select {
		case <-time.After(rand.N(20 * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *keyctlStore) put(name string, data []byte, expires time.Time) error {
	if err := ringSet(s.ring, name, data); err != nil {
		return err
	}
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", name, 0)
	if err != nil {
		return err
	}
	seconds := 0 // none
	if !expires.IsZero() {
		seconds = max(1, int(expires.Sub(s.now())/time.Second)+1)
	}
	_, err = unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, seconds, 0, 0)
	return err
}

func (s *keyctlStore) remove(ctx context.Context, name string) error {
	return keyctlFailed(s.again(ctx, func() error { return ringRemove(s.ring, name) }))
}

// names lists the user's keyring. The library's Keys fails as a whole when one
// of the other programs' keys goes away meanwhile or may not be looked at.
func (s *keyctlStore) names(context.Context) ([]string, error) {
	ids := make([]byte, 4*256)
	for {
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_USER_KEYRING, ids, 0)
		if err != nil {
			return nil, keyctlFailed(err)
		}
		if n <= len(ids) {
			ids = ids[:n]
			break
		}
		ids = make([]byte, n)
	}
	var names []string
	for ; len(ids) >= 4; ids = ids[4:] {
		id := int(int32(binary.NativeEndian.Uint32(ids)))
		description, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
		if err != nil {
			continue
		}
		fields := strings.SplitN(description, ";", 5) // type, uid, gid, permissions, name
		if len(fields) != 5 || fields[0] != "user" || !strings.HasPrefix(fields[4], "aws-runas") {
			continue
		}
		// An expired key stays listed until the kernel collects it.
		if _, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", fields[4], 0); gone(err) {
			continue
		}
		names = append(names, fields[4])
	}
	return names, nil
}

// keepSecret keeps value in the kernel keyring, where there is one.
func keepSecret(name, value string, lifetime time.Duration) {
	if s, err := newKeyctlStore(time.Now); err == nil {
		_ = s.set(context.Background(), name, []byte(value), time.Now().Add(lifetime)) // else it is asked for again
	}
}

// keptSecret returns what keepSecret has kept, or "".
func keptSecret(name string) string {
	s, err := newKeyctlStore(time.Now)
	if err != nil {
		return ""
	}
	value, err := s.get(context.Background(), name)
	if err != nil {
		return ""
	}
	return string(value)
}

// dropSecret forgets what keepSecret has kept.
func dropSecret(name string) error {
	s, err := newKeyctlStore(time.Now)
	if err != nil {
		return nil // so nothing was kept
	}
	return s.remove(context.Background(), name)
}

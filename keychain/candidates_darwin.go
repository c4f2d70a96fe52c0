//go:build darwin && cgo

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/99designs/keyring"
)

// candidates returns this platform's backends in the automatic order.
func candidates() []candidate {
	return []candidate{
		{"keychain", true, openMacOS},
		{"file", false, openFile},
		{"pass", false, openPass},
	}
}

// Note returns a sentence on what this build lacks, or "".
func Note() string { return "" }

// macOS keeps records as generic passwords of the service "aws-runas" in the
// user's default keychain.
type macOS struct {
	k    *Keychain
	ring keyring.Keyring
}

func openMacOS(_ context.Context, k *Keychain) (*store, error) {
	ring, err := openRing(keyring.Config{ServiceName: "aws-runas", KeychainTrustApplication: true}, keyring.KeychainBackend)
	if err != nil {
		return nil, unavailable("keychain", "it cannot be opened", "", err)
	}
	return &store{backend: &macOS{k, ring}, name: "keychain", codec: labels}, nil
}

// use calls f while macOS may ask a person to unlock the keychain.
func (m *macOS) use(f func() error) error {
	if !m.k.opts.NoInput {
		defer m.k.person.asking()()
	}
	return f()
}

func (m *macOS) failed(reason string, err error) error {
	return unavailable("keychain", reason, "security unlock-keychain", err)
}

func (m *macOS) get(ctx context.Context, name string) (data []byte, err error) {
	err = m.use(func() error {
		data, err = ringGet(m.ring, name)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		// The library takes every failure for a missing item. The attributes
		// can be listed while the keychain is locked.
		names, listErr := m.names(ctx)
		if listErr != nil {
			return nil, listErr
		}
		if slices.Contains(names, name) {
			return nil, &Error{Backend: "keychain", Reason: fmt.Sprintf("%q is there and cannot be read: the keychain is locked, or access was denied", name), hint: "security unlock-keychain"}
		}
	}
	return data, m.failed(fmt.Sprintf("%q cannot be read", name), err)
}

func (m *macOS) set(_ context.Context, name string, data []byte, _ time.Time) error {
	return m.failed(fmt.Sprintf("%q is not stored", name), m.use(func() error { return ringSet(m.ring, name, data) }))
}

func (m *macOS) remove(_ context.Context, name string) error {
	return m.failed(fmt.Sprintf("%q is not removed", name), m.use(func() error { return ringRemove(m.ring, name) }))
}

func (m *macOS) names(context.Context) (names []string, err error) {
	err = m.use(func() error {
		names, err = m.ring.Keys()
		return err
	})
	return names, m.failed("it cannot be listed", err)
}

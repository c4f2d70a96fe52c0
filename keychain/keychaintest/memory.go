// Package keychaintest has what tests of other packages need of a keyring: a
// double in memory, and real keyrings of their own, started for one test.
package keychaintest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// Memory keeps records in memory, with the semantics of keychain.Keychain. The
// zero value is empty and ready for concurrent use. Set its fields before use.
type Memory struct {
	// Now is the clock that records expire by; nil means time.Now.
	Now func() time.Time
	// Fail, if not nil, is called before every operation ("get", "set",
	// "remove" or "keys", which has no key), without a lock held. An error
	// is returned in the operation's place.
	Fail func(op, key string) error

	mu      sync.Mutex
	records map[string]memoryRecord
	calls   map[string]int
	locked  error
}

type memoryRecord struct {
	payload []byte
	expires time.Time
}

// Lock lets every operation fail with err until Lock(nil).
func (m *Memory) Lock(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locked = err
}

// Count returns how often op ("get", "set", "remove" or "keys") was called.
func (m *Memory) Count(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// begin counts the call and takes the lock.
func (m *Memory) begin(ctx context.Context, op, key string) error {
	m.mu.Lock()
	if m.calls == nil {
		m.calls = map[string]int{}
		m.records = map[string]memoryRecord{}
	}
	m.calls[op]++
	locked := m.locked
	m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Fail != nil {
		if err := m.Fail(op, key); err != nil {
			return err
		}
	}
	if locked != nil {
		return locked
	}
	m.mu.Lock()
	return nil
}

// Get returns a copy of the payload, or an error that is [fs.ErrNotExist].
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := m.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok || !r.expires.IsZero() && !m.now().Before(r.expires) {
		return nil, fmt.Errorf("no record %q in the memory keyring: %w", key, fs.ErrNotExist)
	}
	return slices.Clone(r.payload), nil
}

// Set keeps a copy of payload until expires; the zero time is never.
func (m *Memory) Set(ctx context.Context, key string, payload []byte, expires time.Time) error {
	if err := m.begin(ctx, "set", key); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.records[key] = memoryRecord{slices.Clone(payload), expires}
	return nil
}

// Remove succeeds when there is no record under key.
func (m *Memory) Remove(ctx context.Context, key string) error {
	if err := m.begin(ctx, "remove", key); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// Keys returns the keys of all records, sorted.
func (m *Memory) Keys(ctx context.Context) ([]string, error) {
	if err := m.begin(ctx, "keys", ""); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.records))
	for key := range m.records {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, nil
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

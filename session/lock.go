package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Locks is the folder of the locks that processes share. The operating system
// drops the lock of a process that dies, however it dies.
type Locks struct {
	Dir func() (string, error)
}

// SystemLocks are those of the current user. The folder goes by user ID and
// not by environment, so that a shell, cron, sudo and ssh agree about it.
func SystemLocks() Locks { return Locks{Dir: lockDir} }

// lockPoll is how often a waiting process looks again. Waiting is for a
// network call or for a person, so it need not be quicker.
const lockPoll = 20 * time.Millisecond

// held is a lock that a context carries.
type held struct {
	asking string // the file that exists while the holder waits for a person
	outer  *held
}

type heldKey struct{}

// lock takes the lock of key and returns a context that carries it.
func (c *Cache) lock(ctx context.Context, key Key) (context.Context, func(), error) {
	dir, err := c.Locks.Dir()
	if err != nil {
		// Better two sign-ins than none.
		c.Warn(fmt.Errorf("no lock can be taken, so several processes may ask at once: %w", err))
		return ctx, func() {}, nil
	}
	path := filepath.Join(dir, key.Kind+"-"+key.Hash)
	asking := path + ".asking"
	l := flock.New(path, flock.SetPermissions(0o600))
	for {
		ok, err := l.TryLock()
		if err != nil {
			c.Warn(fmt.Errorf("no lock can be taken, so several processes may ask at once: %w", err))
			return ctx, func() {}, nil
		}
		if ok {
			break
		}
		if c.NoInput {
			if b, err := os.ReadFile(asking); err == nil {
				need := NeedAuth
				if string(b) == NeedMFA {
					need = NeedMFA
				}
				return ctx, nil, &Needs{What: need, Profile: key.Name, Elsewhere: true}
			}
		}
		select {
		case <-ctx.Done():
			return ctx, nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
	// One that a holder which was killed left behind.
	os.Remove(asking)
	outer, _ := ctx.Value(heldKey{}).(*held)
	// The file stays: removing it would race with one who has just opened it.
	return context.WithValue(ctx, heldKey{}, &held{asking, outer}), func() { l.Close() }, nil
}

// Locked runs f while it alone, of all processes, holds the lock of key: no [Do]
// fetches meanwhile. It must not run within a Do of that key.
func (c *Cache) Locked(ctx context.Context, key Key, f func(context.Context) error) error {
	ctx, unlock, err := c.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	return f(ctx)
}

// SignOut runs f, which forgets what is kept under key, as [Cache.Locked] does:
// a renewal under way would store what it brings after f. Where a person is
// being asked to sign in it does not wait, as there is nothing to renew.
func (c *Cache) SignOut(ctx context.Context, key Key, f func(context.Context) error) error {
	asked := *c
	asked.NoInput = true
	err := asked.Locked(ctx, key, f)
	if needs := (*Needs)(nil); errors.As(err, &needs) && needs.Elsewhere {
		return f(ctx)
	}
	return err
}

// markAsking tells those who wait for a lock of ctx that a person is being
// asked, until the returned function is called.
func markAsking(ctx context.Context, need string) func() {
	var files []string
	h, _ := ctx.Value(heldKey{}).(*held)
	for ; h != nil; h = h.outer {
		if err := os.WriteFile(h.asking, []byte(need), 0o600); err == nil {
			files = append(files, h.asking)
		}
	}
	return func() {
		for _, f := range files {
			os.Remove(f)
		}
	}
}

// privateDir makes dir, readable by its owner alone, or checks that it is so.
// Somebody else may have made one of that name in a folder open to all.
func privateDir(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !owned(info) {
		return "", fmt.Errorf("%q is not a folder of this user's alone", dir)
	}
	return dir, nil
}

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sync/singleflight"
)

// Expiring is what a [Cache] can hold. A value whose expiry is zero is handed
// on and not kept.
type Expiring interface {
	Lifetime() (issued, expires time.Time)
}

// Margin is how long before its end a value of the given lifetime is renewed:
// a quarter of it, 15 minutes at most.
func Margin(lifetime time.Duration) time.Duration {
	return min(15*time.Minute, lifetime/4)
}

// ServerMargin is Margin for the metadata servers. The SDKs ask again when as
// much as 15 minutes are left, and would be handed the same credentials over
// and over.
func ServerMargin(lifetime time.Duration) time.Duration {
	return min(15*time.Minute, lifetime*3/4)
}

// RenewAt is when v is due for renewal; zero when it does not expire.
func RenewAt(v Expiring, margin func(time.Duration) time.Duration) time.Time {
	issued, expires := v.Lifetime()
	if expires.IsZero() {
		return time.Time{}
	}
	return expires.Add(-margin(expires.Sub(issued)))
}

// A Cache remembers across processes what was dear to get. It is used by
// pointer and must not be copied; [Cache.Renewing] makes a variant of it.
type Cache struct {
	Store  Store
	Locks  Locks
	Now    func() time.Time                  // the clock
	Margin func(time.Duration) time.Duration // Margin or ServerMargin
	// NoInput makes Do return a *Needs rather than wait for a process that is
	// asking a person.
	NoInput bool
	// Warn is told of what went wrong without stopping anything.
	Warn func(error)
	// Debug is told what is taken from the store and what is fetched.
	Debug func(format string, args ...any)

	flights *singleflight.Group
	renew   time.Time // take nothing issued before
}

// NewCache returns a cache over store with the system's clock and locks.
func NewCache(store Store) *Cache {
	return &Cache{
		Store: store, Locks: SystemLocks(), Now: time.Now, Margin: Margin,
		Warn: func(error) {}, Debug: func(string, ...any) {}, flights: new(singleflight.Group),
	}
}

// Renewing returns a cache that shares everything with c but takes nothing
// that was issued before this moment.
func (c *Cache) Renewing() *Cache { return c.IssuedSince(c.Now()) }

// IssuedSince is Renewing with another moment, such as just after the issue of
// what has turned out to be worth nothing.
func (c *Cache) IssuedSince(t time.Time) *Cache {
	r := *c
	r.renew = t
	return &r
}

// WithMargin returns a cache that shares everything with c but renews by margin.
func (c *Cache) WithMargin(margin func(lifetime time.Duration) time.Duration) *Cache {
	r := *c
	r.Margin = margin
	return &r
}

// Do returns what is kept under key, or fetches and keeps it. However many
// goroutines and processes ask, one of them fetches.
//
// A value is fetched anew when it is due for renewal (see [RenewAt]). Where
// that fails because a person is needed or nobody answers, be it within the time
// that ctx has, and the value is still alive, the value is returned: it is as good
// as it was.
func Do[T Expiring](ctx context.Context, c *Cache, key Key, fetch func(context.Context) (T, error)) (T, error) {
	var none T
	v, usable, err := lookup[T](ctx, c, key)
	if err != nil {
		return none, err
	}
	if usable == fresh {
		c.Debug("%s is kept and good for %s", key, until(c, v))
		return v, nil
	}
	// Who takes nothing older shares no flight with those who do; the lock makes
	// one fetch of theirs serve all that it can.
	flight := key.String() + c.renew.String()
	for {
		got, err, _ := c.flights.Do(flight, func() (any, error) {
			v, err := fetchLocked(ctx, c, key, fetch)
			if err != nil && ctx.Err() != nil {
				return nil, &gaveUp{err}
			}
			return v, err
		})
		var left *gaveUp
		switch {
		case err == nil:
			return got.(T), nil
		case errors.As(err, &left) && ctx.Err() == nil:
			continue // the caller that fetched for all of us gave up; we have not
		case usable == alive && until(c, v) > 0:
			if why := passing(err, key); why != nil {
				c.Warn(fmt.Errorf("could not renew what expires in %s: %w", until(c, v), why))
				return v, nil
			}
		}
		return none, err
	}
}

func until(c *Cache, v Expiring) time.Duration {
	_, expires := v.Lifetime()
	return expires.Sub(c.Now()).Round(time.Second)
}

// fetchLocked fetches under the lock of all processes, unless another one did
// while this one waited for it.
func fetchLocked[T Expiring](ctx context.Context, c *Cache, key Key, fetch func(context.Context) (T, error)) (T, error) {
	var none T
	ctx, unlock, err := c.lock(ctx, key)
	if err != nil {
		return none, err
	}
	defer unlock()
	if v, usable, err := lookup[T](ctx, c, key); err != nil || usable == fresh {
		return v, err
	}
	c.Debug("%s is fetched", key)
	v, err := fetch(ctx)
	if err != nil {
		return none, err
	}
	if _, expires := v.Lifetime(); !expires.IsZero() {
		if err := put(ctx, c.Store, key, v, expires); err != nil {
			// What was fetched is good, and may have cost an MFA code.
			c.Warn(fmt.Errorf("not kept for the next run: %w", err))
		}
	}
	return v, nil
}

// How usable a kept value is.
const (
	gone  = iota
	alive // it works, and is due for renewal
	fresh
)

func lookup[T Expiring](ctx context.Context, c *Cache, key Key) (v T, usable int, err error) {
	data, err := c.Store.Get(ctx, key.String())
	if errors.Is(err, fs.ErrNotExist) {
		return v, gone, nil
	} else if err != nil {
		return v, gone, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		var none T
		c.Warn(fmt.Errorf("the record %q is damaged and is fetched again", key.String()))
		return none, gone, nil
	}
	issued, expires := v.Lifetime()
	now := c.Now()
	switch {
	case !now.Before(expires), issued.Before(c.renew):
		return v, gone, nil
	case !now.Before(RenewAt(v, c.Margin)):
		return v, alive, nil
	}
	return v, fresh, nil
}

// Put keeps v under key, for records that no fetch brings: the keys of an IAM
// user, a password.
func Put[T any](ctx context.Context, s Store, key Key, v T) error {
	return put(ctx, s, key, v, time.Time{})
}

func put(ctx context.Context, s Store, key Key, v any, expires time.Time) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Set(ctx, key.String(), data, expires)
}

// Get returns what [Put] kept. The error is [io/fs.ErrNotExist] when there is nothing.
func Get[T any](ctx context.Context, s Store, key Key) (v T, err error) {
	data, err := s.Get(ctx, key.String())
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		// The decoder's words may quote the record, which is secret.
		return v, fmt.Errorf("the record %q is damaged", key.String())
	}
	return v, nil
}

// gaveUp is the error of a fetch whose caller went away. A time limit inside
// the fetch is not that: whoever tried again would only run into it again.
type gaveUp struct{ error }

func (e *gaveUp) Unwrap() error { return e.error }

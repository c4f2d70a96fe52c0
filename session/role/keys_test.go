package role

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
)

type memory struct{ records sync.Map }

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	if v, ok := m.records.Load(key); ok {
		return v.([]byte), nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	m.records.Store(key, payload)
	return nil
}

func (m *memory) Remove(_ context.Context, key string) error { m.records.Delete(key); return nil }

func testCache(t *testing.T) *session.Cache {
	dir := t.TempDir()
	c := session.NewCache(new(memory))
	c.Locks = session.Locks{Dir: func() (string, error) { return dir, nil }}
	c.Warn = func(err error) { t.Errorf("unexpected warning: %v", err) }
	return c
}

func TestSaveKeys(t *testing.T) {
	c := testCache(t)
	k := &Keys{Cache: c, Name: "prod", Missing: errors.New("none")}
	if _, err := k.Credentials(t.Context()); err != k.Missing {
		t.Errorf("got %v", err)
	}
	first := session.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "s"}
	second := session.Credentials{AccessKeyID: "AKIA2", SecretAccessKey: "s"}
	for _, want := range []session.Credentials{first, second} {
		if err := SaveKeys(t.Context(), c, "prod", want); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Credentials(t.Context()); err != nil || got != want {
			t.Errorf("got %v, %v", got, err)
		}
	}
	k.learn(t.Context(), first, "arn:old")
	if got, _ := k.Credentials(t.Context()); got != second {
		t.Errorf("the identity of replaced keys was kept: %v %s", got, got.ARN)
	}
	k.learn(t.Context(), second, "arn:new")
	if got, _ := k.Credentials(t.Context()); got.ARN != "arn:new" || got.SecretAccessKey != "s" {
		t.Errorf("got %v %s", got, got.ARN)
	}
}

// slow lets another go on between a read and what follows it.
type slow struct {
	*memory
	read, goOn chan struct{}
}

func (s slow) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.memory.Get(ctx, key)
	if err == nil {
		s.read <- struct{}{}
		<-s.goOn
	}
	return data, err
}

// Keys that are removed while somebody keeps their identity are gone.
func TestRemoveKeysWhileTheirIdentityIsLearned(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := testCache(t)
		c.Locks = session.Locks{Dir: func() (string, error) { return dir, nil }}
		keys := session.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "s"}
		if err := SaveKeys(t.Context(), c, "prod", keys); err != nil {
			t.Fatal(err)
		}
		other := session.NewCache(slow{c.Store.(*memory), make(chan struct{}), make(chan struct{})})
		other.Locks = c.Locks
		learned := make(chan struct{})
		go func() {
			(&Keys{Cache: other, Name: "prod"}).learn(t.Context(), keys, "arn:new")
			close(learned)
		}()
		s := other.Store.(slow)
		removed := make(chan error, 1)
		for n := 1; ; n++ {
			select {
			case <-s.read:
				if n == 1 {
					go func() { removed <- RemoveKeys(t.Context(), c, "prod") }()
					synctest.Wait()
				}
				s.goOn <- struct{}{}
				continue
			case <-learned:
			}
			break
		}
		if err := <-removed; err != nil {
			t.Fatal(err)
		}
		if _, err := c.Store.Get(t.Context(), session.UserKey("prod").String()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the keys are back: %v", err)
		}
	})
}

// None of those who hold the lock at the same time is left out.
func TestLockedRunsEveryone(t *testing.T) {
	c := testCache(t)
	var wg sync.WaitGroup
	var n, inside atomic.Int32 // the race detector knows nothing of locks of files
	for range 20 {
		wg.Go(func() {
			err := c.Locked(t.Context(), session.UserKey("prod"), func(context.Context) error {
				if inside.Add(1) != 1 {
					t.Error("two at once")
				}
				n.Add(1)
				inside.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := n.Load(); n != 20 {
		t.Errorf("%d of 20 ran", n)
	}
}

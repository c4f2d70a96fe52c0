package keychaintest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	now := time.Now()
	m := &Memory{Now: func() time.Time { return now }}
	ctx := t.Context()
	if _, err := m.Get(ctx, "role/p#1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of nothing: %v", err)
	}
	payload := []byte("x")
	if err := m.Set(ctx, "role/p#1", payload, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	payload[0] = 'y'
	got, err := m.Get(ctx, "role/p#1")
	if err != nil || string(got) != "x" {
		t.Errorf("Get: %q, %v", got, err)
	}
	got[0] = 'z'
	if got, err := m.Get(ctx, "role/p#1"); err != nil || string(got) != "x" {
		t.Errorf("Get: %q, %v", got, err)
	}
	now = now.Add(time.Minute)
	if _, err := m.Get(ctx, "role/p#1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of an expired record: %v", err)
	}
	if err := m.Remove(ctx, "role/p#1"); err != nil {
		t.Error(err)
	}
	if err := m.Remove(ctx, "role/p#1"); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"b/1", "a/2"} {
		if err := m.Set(ctx, key, nil, time.Time{}); err != nil {
			t.Error(err)
		}
	}
	if keys, err := m.Keys(ctx); err != nil || fmt.Sprint(keys) != "[a/2 b/1]" {
		t.Errorf("Keys: %v, %v", keys, err)
	}
	if m.Count("get") != 4 || m.Count("set") != 3 || m.Count("remove") != 2 || m.Count("keys") != 1 {
		t.Errorf("counts: %v", m.calls)
	}
}

func TestMemoryFails(t *testing.T) {
	locked, failed := errors.New("locked"), errors.New("failed")
	m := &Memory{Fail: func(op, key string) error {
		if op == "set" && key == "role/bad#1" {
			return failed
		}
		return nil
	}}
	ctx := t.Context()
	if err := m.Set(ctx, "role/bad#1", nil, time.Time{}); !errors.Is(err, failed) {
		t.Errorf("Set: %v", err)
	}
	if err := m.Set(ctx, "role/good#1", nil, time.Time{}); err != nil {
		t.Errorf("Set: %v", err)
	}
	m.Lock(locked)
	if _, err := m.Get(ctx, "role/good#1"); !errors.Is(err, locked) {
		t.Errorf("Get: %v", err)
	}
	if _, err := m.Keys(ctx); !errors.Is(err, locked) {
		t.Errorf("Keys: %v", err)
	}
	m.Lock(nil)
	if _, err := m.Get(ctx, "role/good#1"); err != nil {
		t.Errorf("Get: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Remove(cancelled, "role/good#1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Remove: %v", err)
	}
}

func TestMemoryConcurrently(t *testing.T) {
	var m Memory
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			key := fmt.Sprintf("role/%d#1", i)
			_ = m.Set(context.Background(), key, []byte(key), time.Time{})
			if got, err := m.Get(context.Background(), key); err != nil || string(got) != key {
				t.Errorf("Get(%q) = %q, %v", key, got, err)
			}
		})
	}
	group.Wait()
}

package keychain

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestKeyctlThreads stores from many goroutines at once, which go from thread to
// thread, in a process that may have no session keyring of its own.
func TestKeyctlThreads(t *testing.T) {
	ctx := context.Background()
	env := kernelKeyring(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			s := newSubject(env, New)
			for j := range 50 {
				key := fmt.Sprintf("role/thread %d#%d", i, j%2)
				if err := s.Set(ctx, key, []byte("x"), time.Now().Add(time.Hour)); err != nil {
					t.Error(err)
				}
				if err := s.Remove(ctx, key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

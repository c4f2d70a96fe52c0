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

// Announce keeps data where the user's other processes find it, until the
// returned function is called or this process ends, however it ends. The name
// is that of a file; it is an error if a living process announces it already.
func (l Locks) Announce(name string, data []byte) (withdraw func(), err error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name)
	lock := flock.New(file+".lock", flock.SetPermissions(0o600))
	// Whoever removes what a dead process has left holds the lock for a moment.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, lockPoll); errors.Is(err, context.DeadlineExceeded) || err == nil && !ok {
		return nil, fmt.Errorf("%q is announced by another process", name)
	} else if err != nil {
		return nil, err
	}
	// In one step: others may be reading.
	err = os.WriteFile(file+".new", data, 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() {
		os.Remove(file)
		lock.Close() // its file stays, as in [Cache.lock]
	}, nil
}

// Announced returns what living processes announce under the names that match
// pattern, as [filepath.Match] has it, and removes what dead ones have left.
func (l Locks) Announced(pattern string) ([][]byte, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, file := range files {
		lock := flock.New(file+".lock", flock.SetPermissions(0o600))
		dead, err := lock.TryLock()
		if err != nil {
			return nil, err
		}
		if dead {
			os.Remove(file)
			lock.Close()
			continue
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // withdrawn meanwhile
		} else if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

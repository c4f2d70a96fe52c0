package keychain

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
)

func kernelKeyring(t testing.TB) keychaintest.Env      { return keychaintest.KernelKeyring(t) }
func startSecretService(t testing.TB) keychaintest.Env { return keychaintest.SecretService(t) }
func snapshotKernelKeyring() func()                    { return keychaintest.SnapshotKernelKeyring() }

// clearKernelKeyring is a process that removes all that is ours from the kernel
// keyring of its user, who is one of the tests' own.
func clearKernelKeyring() int {
	s, err := newKeyctlStore(time.Now)
	if err != nil {
		return 0 // there is none
	}
	names, err := s.names(context.Background())
	for _, name := range names {
		if err == nil {
			err = s.remove(context.Background(), name)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

//go:build !windows && !linux

package keychain

import (
	"testing"

	"aws-runas/keychain/keychaintest"
)

func kernelKeyring(t testing.TB) keychaintest.Env {
	t.Skip("the kernel keyring is Linux's")
	return nil
}

func startSecretService(t testing.TB) keychaintest.Env {
	t.Skip("the Secret Service is used on Linux")
	return nil
}

func snapshotKernelKeyring() func() { return func() {} }

func clearKernelKeyring() int { return 0 }

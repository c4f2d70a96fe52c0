package keychain

import (
	"os"
	"testing"

	"aws-runas/keychain/keychaintest"
)

func kernelKeyring(t testing.TB) keychaintest.Env      { return keychaintest.KernelKeyring(t) }
func startSecretService(t testing.TB) keychaintest.Env { return keychaintest.SecretService(t) }

// TestClear empties the kernel keyring of the user it runs as.
func TestClear(t *testing.T) {
	if os.Getenv(inner) == "clear" {
		keychaintest.ClearKernelKeyring()
	}
}

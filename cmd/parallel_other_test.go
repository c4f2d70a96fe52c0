//go:build !linux

package cmd

import (
	"os/exec"
	"testing"

	"aws-runas/keychain/keychaintest"
)

func kernelKeyring(t *testing.T) (keychaintest.Env, func(*exec.Cmd)) {
	t.Skip("only Linux has a kernel keyring, for root and everybody else")
	return nil, nil
}

package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"aws-runas/keychain/keychaintest"

	"golang.org/x/sys/unix"
)

// kernelKeyring leads to a kernel keyring. Each user has one, which the tests of
// other packages use at the same time; so where root runs this one, it is that of
// a user who is nobody else.
func kernelKeyring(t *testing.T) (keychaintest.Env, func(*exec.Cmd)) {
	if os.Geteuid() != 0 || !canBeOrdinary() {
		return keychaintest.KernelKeyring(t), nil
	}
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); err != nil {
		keychaintest.Skip(t, "the kernel keyring: "+err.Error(), "")
	}
	home, err := os.MkdirTemp("", "parallel")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	program, err := exec.LookPath("aws-runas")
	if err != nil {
		t.Fatal(err)
	}
	user := uint32(1<<30 + os.Getpid())
	for _, step := range []error{
		os.Chown(home, int(user), int(user)),
		os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755),
		os.Chmod(filepath.Dir(program), 0o755),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	env := keychaintest.Env{"HOME": home, "AWSRUNAS_KEYRING": "keyctl", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
	return env, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	}
}

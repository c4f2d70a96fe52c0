//go:build !windows

package keychaintest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Pass returns the way to a new password-store, encrypted to a new gpg key
// without a passphrase.
func Pass(t testing.TB) Env {
	t.Helper()
	need(t, "gpg", "gnupg")
	need(t, "pass", "pass")
	home := shortDir(t)
	env := Env{
		"HOME": home, "GNUPGHOME": filepath.Join(home, "gnupg"), "PASSWORD_STORE_DIR": filepath.Join(home, "store"),
		"AWSRUNAS_KEYRING": "pass", "DBUS_SESSION_BUS_ADDRESS": noBus,
	}
	if err := os.Mkdir(env["GNUPGHOME"], 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Command(env, "gpgconf", "--kill", "all").Run() })
	run(t, Command(env, "gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "",
		"--quick-generate-key", "aws-runas-test", "default", "default", "never"))
	run(t, Command(env, "pass", "init", "aws-runas-test"))
	return env
}

// Command returns a command that runs in env.
func Command(env Env, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = env.Environ()
	return cmd
}

func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out.Bytes(), messages.Bytes())
	}
	return out.String()
}

// shortDir returns a folder for sockets, whose paths have at most 107 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

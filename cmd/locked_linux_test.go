package cmd

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"aws-runas/keychain/keychaintest"
)

// A locked collection of the real gnome-keyring is told, by every command, and
// never taken for an empty one.
func TestLockedSecretService(t *testing.T) {
	env := keychaintest.Bus(t)
	stop := keychaintest.StartGnomeKeyring(t, env, true)
	h := newHousehold(t, env, nil)
	first := h.run("-O", "json", "admin").start().succeed()
	h.calls(1, 1, 1)

	keychaintest.LockSecretService(t, env)
	for _, args := range [][]string{
		{"--no-input", "-O", "json", "admin"},
		{"--no-input", "-r", "-O", "json", "admin"},
		{"--no-input", "whoami", "admin"},
		{"--no-input", "list", "keys"},
		{"--no-input", "logout", "admin"},
		{"--no-input", "keys", "remove", "demo"},
		{"--no-input", "keys", "add", "demo"},
		{"--no-input", "keys", "add", "other"},
		{"--no-input", "-c", "-O", "json", "admin"},
		{"--no-input", "admin", "echo", "RAN"},
		{"-O", "json", "admin"}, // there is no desktop that could ask
	} {
		want := exitKeyring
		if args[len(args)-1] == "RAN" {
			want = exitNotStarted
		}
		p := h.run(args...)
		p.Stdin = strings.NewReader(h.world.Key.ID + "\n" + h.world.Key.Secret + "\n")
		err := p.start().Wait()
		var exited *exec.ExitError
		if !errors.As(err, &exited) || exited.ExitCode() != want || p.out.Len() != 0 {
			t.Errorf("%v: %v, stdout %q; want exit code %d", args, err, &p.out, want)
		}
		if !strings.HasPrefix(p.err.String(), `aws-runas: keyring "secret-service": `) || !strings.Contains(p.err.String(), "\nhint: ") {
			t.Errorf("%v: %s", args, &p.err)
		}
	}
	h.calls(1, 1, 1)

	// Unlocked by the next login, all is there.
	stop()
	keychaintest.StartGnomeKeyring(t, env, true)
	if again := h.run("-O", "json", "admin").start().succeed(); again != first {
		t.Errorf("got %q, want what there was before", again)
	}
	h.calls(1, 1, 1)
}

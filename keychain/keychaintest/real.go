package keychaintest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Env holds the environment variables that lead a program to a keyring.
type Env map[string]string

// Lookup finds a variable, and nothing that is not in the set.
func (e Env) Lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// Environ returns the test's own environment with the variables set.
func (e Env) Environ() []string {
	var list []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if _, ok := e[name]; !ok {
			list = append(list, entry)
		}
	}
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	return list
}

// noBus is a bus address that cannot be dialled.
const noBus = "disabled:"

// Passphrase is that of the keyring which [File] makes.
const Passphrase = "correct horse battery staple"

// File returns the way to an encrypted file that does not exist yet, with a home
// folder of its own.
func File(t testing.TB) Env {
	t.Helper()
	home := t.TempDir()
	return Env{
		"HOME": home, "XDG_DATA_HOME": filepath.Join(home, ".local", "share"), "LOCALAPPDATA": filepath.Join(home, "AppData"),
		"AWSRUNAS_KEYRING": "file", "AWSRUNAS_PASSPHRASE": Passphrase, "DBUS_SESSION_BUS_ADDRESS": noBus,
	}
}

// Skip skips the test because a program or a facility is missing, with the
// command that installs it, or fails it where NO_SKIP=1 is set.
func Skip(t testing.TB, what, install string) {
	t.Helper()
	message := fmt.Sprintf("%s is not available", what)
	if install != "" {
		message += " (" + install + ")"
	}
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatal(message)
	}
	t.Skip(message)
}

func need(t testing.TB, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		Skip(t, program, "apt-get install "+pkg)
	}
}

package busguard

import (
	"os"
	"syscall"
	"testing"
)

func TestUnused(t *testing.T) {
	for _, test := range []struct {
		keyring string
		args    string
		want    bool
	}{
		{"", "env prod", false},
		{"", "", false},
		{"secret-service", "env prod", false},
		{"kwallet", "env prod", false},
		{"file", "env prod", true},
		{"keyctl", "env prod", true},
		{"pass", "env prod", true},
		{"file", "--keyring secret-service env prod", false},
		{"file", "--keyring=secret-service env prod", false},
		{"file", "env --keyring secret-service prod", false},
		{"", "--version", true},
		{"", "-V", true},
		{"", "prompt", true},
		{"", "hook zsh", true},
		{"", "completion fish", true},
		{"secret-service", "__complete -- env p", true},
		{"", "env prompt", false},
		{"", "prod --version", false},
		{"", "diagnose", false},
	} {
		args := []string{"aws-runas"}
		word := ""
		for _, c := range test.args + " " {
			if c != ' ' {
				word += string(c)
			} else if word != "" {
				args = append(args, word)
				word = ""
			}
		}
		if got := unused(test.keyring, args); got != test.want {
			t.Errorf("AWSRUNAS_KEYRING=%q, %q: %v", test.keyring, args, got)
		}
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	none := socket() // that of the user who runs this, if there is one
	if err := os.WriteFile(dir+"/bus", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := socket(); got != none {
		t.Errorf("a plain file is taken for a bus: %q", got)
	}
	if err := os.Remove(dir + "/bus"); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: dir + "/bus"}); err != nil {
		t.Skipf("a socket in %s: %v", dir, err)
	}
	if got := socket(); got != "unix:path="+dir+"/bus" {
		t.Errorf("socket() = %q", got)
	}
	for _, bad := range []string{"relative", dir + ",x", ""} {
		t.Setenv("XDG_RUNTIME_DIR", bad)
		if got := socket(); got != none {
			t.Errorf("XDG_RUNTIME_DIR=%q: %q", bad, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		address, peer string
		want          bool
	}{
		{"unix:path=/run/user/1000/bus", "/run/user/1000/bus", true},
		{"unix:path=/tmp/dbus-x,guid=00", "/tmp/dbus-x", true},
		{"unix:abstract=/tmp/dbus-x,guid=00", "@/tmp/dbus-x", true},
		{"unix:path=/tmp/dbus-x", "/tmp/dbus-y", false},
		{"unix:path=/tmp/dbus-x", "", false},
		{"unix:path=/tmp/dbus-x", "@", false},
	} {
		if got := names(test.address, &syscall.SockaddrUnix{Name: test.peer}); got != test.want {
			t.Errorf("%q, %q: %v", test.address, test.peer, got)
		}
	}
	if names("tcp:host=127.0.0.1", &syscall.SockaddrInet4{}) {
		t.Error("a TCP socket is taken for the bus")
	}
}

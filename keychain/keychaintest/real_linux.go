package keychaintest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus"
	"golang.org/x/sys/unix"
)

// KernelKeyring returns the way to the kernel keyring of the test's user, in which
// the test's records are removed when it ends. There is one per user: such tests
// must not run in parallel, and are skipped where the user keeps records there.
func KernelKeyring(t testing.TB) Env {
	t.Helper()
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); err != nil {
		Skip(t, "the kernel keyring: "+err.Error(), "")
	}
	for _, description := range kernelKeys() {
		if strings.Contains(description, ";aws-runas/") {
			Skip(t, "a kernel keyring without records of "+strconv.Quote(description), "")
		}
	}
	t.Cleanup(SnapshotKernelKeyring())
	return Env{"HOME": t.TempDir(), "AWSRUNAS_KEYRING": "keyctl", "DBUS_SESSION_BUS_ADDRESS": noBus}
}

// SnapshotKernelKeyring returns a function that removes what this project's
// programs have put into the user's kernel keyring since.
func SnapshotKernelKeyring() (restore func()) {
	before := kernelKeys()
	return func() {
		for id, description := range kernelKeys() {
			if _, old := before[id]; !old && strings.Contains(description, ";aws-runas") {
				_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
			}
		}
	}
}

// kernelKeys returns the descriptions of the keys in the user's keyring.
func kernelKeys() map[int]string {
	keys := map[int]string{}
	ids := make([]byte, 1<<16)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_USER_KEYRING, ids, 0)
	if err != nil {
		return nil
	}
	for ids = ids[:min(n, len(ids))]; len(ids) >= 4; ids = ids[4:] {
		id := int(int32(binary.NativeEndian.Uint32(ids)))
		if description, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id); err == nil {
			keys[id] = description
		}
	}
	return keys
}

// Bus starts a session bus that ends with the test, and returns the way to it.
func Bus(t testing.TB) Env {
	t.Helper()
	need(t, "dbus-daemon", "dbus-daemon")
	home := shortDir(t)
	env := Env{"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run"), "XDG_DATA_HOME": filepath.Join(home, "data"), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
	for _, dir := range []string{env["XDG_RUNTIME_DIR"], env["XDG_DATA_HOME"]} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A configuration of its own: the machine's would activate its services.
	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>unix:path=`+home+`/bus</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	cmd.Env = env.Environ()
	env["DBUS_SESSION_BUS_ADDRESS"] = firstLine(t, cmd)
	return env
}

// SecretService starts a session bus with gnome-keyring, whose default collection
// "login" is unlocked, and returns the way to it.
func SecretService(t testing.TB) Env {
	t.Helper()
	need(t, "gnome-keyring-daemon", "gnome-keyring")
	env := Bus(t)
	StartGnomeKeyring(t, env, true)
	return env
}

// StartGnomeKeyring starts gnome-keyring on the bus of env. Unlocked, it has a
// collection "login", made at its first start; else that is locked, or not there.
// The returned function ends it, as does the end of the test.
func StartGnomeKeyring(t testing.TB, env Env, unlocked bool) (stop func()) {
	t.Helper()
	need(t, "gnome-keyring-daemon", "gnome-keyring")
	env["AWSRUNAS_KEYRING"] = "secret-service"
	conn := Dial(t, env)
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gnome-keyring-daemon", "--foreground", "--components=secrets")
	if unlocked {
		cmd.Args = append(cmd.Args, "--unlock")
		cmd.Stdin = strings.NewReader(Passphrase)
	}
	cmd.Env = env.Environ()
	stop = start(t, cmd)
	for signal := range signals {
		if len(signal.Body) == 3 && signal.Body[0] == "org.freedesktop.secrets" && signal.Body[2] != "" {
			return stop
		}
	}
	t.Fatal("the bus ended before gnome-keyring was there")
	return nil
}

// Dial connects to the bus of env until the test ends.
func Dial(t testing.TB, env Env) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Dial(env["DBUS_SESSION_BUS_ADDRESS"])
	if err == nil {
		err = errors.Join(conn.Auth(nil), conn.Hello())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// DefaultCollection returns the path of the collection behind the alias
// "default" of the Secret Service of env, "/" when there is none.
func DefaultCollection(t testing.TB, env Env) dbus.ObjectPath {
	t.Helper()
	var path dbus.ObjectPath
	service := Dial(t, env).Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	if err := service.Call("org.freedesktop.Secret.Service.ReadAlias", 0, "default").Store(&path); err != nil {
		t.Fatal(err)
	}
	return path
}

// LockSecretService locks the default collection of env.
func LockSecretService(t testing.TB, env Env) {
	t.Helper()
	service := Dial(t, env).Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	var locked []dbus.ObjectPath
	var dialog dbus.ObjectPath
	err := service.Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{DefaultCollection(t, env)}).Store(&locked, &dialog)
	if err != nil || len(locked) != 1 {
		t.Fatalf("locking the collection: %v, %v", locked, err)
	}
}

// start starts cmd, which is ended by the returned function or with the test.
func start(t testing.TB, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	stop = func() {
		if !done {
			done = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// firstLine starts cmd and returns the first line it prints.
func firstLine(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || line == "" {
		t.Fatalf("%s printed nothing: %v", cmd.Args[0], err)
	}
	return strings.TrimSpace(line)
}

package keychain

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus"
	"golang.org/x/sys/unix"

	"aws-runas/keychain/keychaintest"
)

// expect runs a process in env all of whose calls must fail with these words.
func expect(t *testing.T, env keychaintest.Env, words string) {
	t.Helper()
	mustRun(t, innerCommand(os.Args[0], env, "error", words))
}

// items returns the labels of the items of a collection.
func items(t *testing.T, env keychaintest.Env, path dbus.ObjectPath) []string {
	t.Helper()
	conn := keychaintest.Dial(t, env)
	paths, err := conn.Object(secretsName, path).GetProperty(collection + ".Items")
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, p := range paths.Value().([]dbus.ObjectPath) {
		label, err := conn.Object(secretsName, p).GetProperty(item + ".Label")
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, label.Value().(string))
	}
	slices.Sort(labels)
	return labels
}

func TestSecretServiceLocked(t *testing.T) {
	t.Parallel()
	env := keychaintest.SecretService(t)
	mustRun(t, innerCommand(os.Args[0], env, "set", "key/p#1", "former"))
	keychaintest.LockSecretService(t, env)
	expect(t, env, `the collection "login" is locked`)
	auto := clone(env)
	auto["AWSRUNAS_KEYRING"] = ""
	expect(t, auto, `the collection "login" is locked`)
	shown := clone(env)
	shown["DISPLAY"] = ":nonexistent" // the dialog fails at once
	expect(t, shown, `the collection "login" is locked`)

	// The hint does unlock it, and the record is as it was.
	hint := &strings.Builder{}
	cmd := innerCommand(os.Args[0], env, "hint", "key/p#1")
	cmd.Stdout = hint
	mustRun2(t, cmd)
	replaceGnomeKeyring(t, env, hint.String())
	mustRun(t, innerCommand(os.Args[0], env, "get", "key/p#1", "former"))
}

// replaceGnomeKeyring types the password into the command of a hint, and waits
// for the new daemon, which outlives the command: it ends with the bus.
func replaceGnomeKeyring(t *testing.T, env keychaintest.Env, command string) {
	t.Helper()
	conn := keychaintest.Dial(t, env)
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged")); err != nil {
		t.Fatal(err)
	}
	cmd := keychaintest.Command(env, "sh", "-c", command)
	cmd.Stdin = strings.NewReader(keychaintest.Passphrase + "\n")
	mustRun2(t, cmd)
	for signal := range signals {
		if len(signal.Body) == 3 && signal.Body[0] == secretsName && signal.Body[2] != "" {
			return
		}
	}
	t.Fatal("the bus ended")
}

// mustRun2 is mustRun for a command whose output is of use, or held open by a
// daemon that it leaves.
func mustRun2(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.Stdout == nil {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		cmd.Stdout, cmd.Stderr = null, null
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
}

func TestSecretServiceWithoutDefault(t *testing.T) {
	env := keychaintest.Bus(t)
	keychaintest.StartGnomeKeyring(t, env, false)
	collections := func() int {
		paths, err := keychaintest.Dial(t, env).Object(secretsName, secretsPath).GetProperty("org.freedesktop.Secret.Service.Collections")
		if err != nil {
			t.Fatal(err)
		}
		return len(paths.Value().([]dbus.ObjectPath))
	}
	before := collections()
	expect(t, env, "there is no default collection")
	env["AWSRUNAS_KEYRING"] = ""
	expect(t, env, "there is no default collection")
	if after := collections(); after != before {
		t.Errorf("%d collections, were %d", after, before)
	}
}

func TestSecretServiceCustomDefault(t *testing.T) {
	t.Parallel()
	env := keychaintest.Bus(t)
	keyrings := filepath.Join(env["XDG_DATA_HOME"], "keyrings")
	if err := os.Mkdir(keyrings, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"work items_1.keyring": "[keyring]\ndisplay-name=Something else\nctime=0\nmtime=0\nlock-on-idle=false\nlock-after=false\n",
		"default":              "work items_1",
	} {
		if err := os.WriteFile(filepath.Join(keyrings, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keychaintest.StartGnomeKeyring(t, env, true)
	path := keychaintest.DefaultCollection(t, env)
	if !strings.Contains(string(path), "work") {
		t.Fatalf("the default collection is %q", path)
	}
	mustRun(t, innerCommand(os.Args[0], env, "conformance", "-test.run=^TestInner$"))
	mustRun(t, innerCommand(os.Args[0], env, "set", "key/p q#1", "payload"))
	mustRun(t, innerCommand(os.Args[0], env, "get", "key/p q#1", "payload"))
	if got := items(t, env, path); len(got) != 1 || got[0] != "aws-runas/key/p q#1" {
		t.Errorf("items: %q", got)
	}
}

func TestSecretServiceForeignItems(t *testing.T) {
	t.Parallel()
	env := keychaintest.SecretService(t)
	path := keychaintest.DefaultCollection(t, env)
	conn := keychaintest.Dial(t, env)
	var output dbus.Variant
	var session dbus.ObjectPath
	if err := conn.Object(secretsName, secretsPath).Call(service+"OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&output, &session); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"aws-runas/role/not ours#1", "aws-vault", "x"}
	for _, label := range foreign {
		secret := struct {
			Session     dbus.ObjectPath
			Parameters  []byte
			Value       []byte
			ContentType string
		}{session, nil, []byte("foreign"), "text/plain"}
		properties := map[string]dbus.Variant{
			item + ".Label":      dbus.MakeVariant(label),
			item + ".Attributes": dbus.MakeVariant(map[string]string{"profile": "of another program", "n": label}),
		}
		if err := conn.Object(secretsName, path).Call(collection+".CreateItem", 0, properties, secret, true).Err; err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, innerCommand(os.Args[0], env, "conformance", "-test.run=^TestInner$"))
	if got := items(t, env, path); !slices.Equal(got, foreign) {
		t.Errorf("items: %q", got)
	}
}

func TestNoSecretService(t *testing.T) {
	for name, env := range map[string]keychaintest.Env{"no service": keychaintest.Bus(t), "no bus": keychaintest.File(t)} {
		t.Run(name, func(t *testing.T) {
			env["AWSRUNAS_PASSPHRASE"] = keychaintest.Passphrase
			env["AWSRUNAS_KEYRING"] = "secret-service"
			words := map[string]string{"no service": "no program on the session bus provides", "no bus": "there is no D-Bus session bus"}[name]
			expect(t, env, words)
			env["AWSRUNAS_KEYRING"] = "kwallet"
			expect(t, env, words)
			env["AWSRUNAS_KEYRING"] = ""
			mustRun(t, innerCommand(os.Args[0], env, "set", "key/p#1", "payload"))
			env["AWSRUNAS_KEYRING"] = "file"
			mustRun(t, innerCommand(os.Args[0], env, "get", "key/p#1", "payload"))
		})
	}
}

// silentBus is an address at which connections are accepted, and not answered.
func silentBus(t *testing.T) (address string, dialled func() int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	n := 0
	dialled = func() int {
		for {
			select {
			case <-accepted:
				n++
			default:
				return n
			}
		}
	}
	t.Cleanup(func() {
		listener.Close()
		for conn := range accepted {
			conn.Close()
		}
	})
	return "unix:path=" + path + ",guid=00", dialled
}

func TestSilentBus(t *testing.T) {
	t.Parallel()
	address, dialled := silentBus(t)
	env := keychaintest.File(t)
	env["DBUS_SESSION_BUS_ADDRESS"] = address
	for _, name := range []string{"secret-service", "kwallet", ""} {
		env["AWSRUNAS_KEYRING"] = name
		expect(t, env, "accepts connections and does not answer")
	}
	if dialled() == 0 {
		t.Error("the bus was not dialled: this test tests nothing")
	}
	before := dialled()
	env["AWSRUNAS_KEYRING"] = "file"
	mustRun(t, innerCommand(os.Args[0], env, "set", "key/p#1", "payload"))
	if after := dialled(); after != before {
		t.Error("a bus was dialled that is not used")
	}
}

// silentService answers when the test is over.
type silentService chan struct{}

func (s silentService) ReadAlias(string) (dbus.ObjectPath, *dbus.Error) { <-s; return "/", nil }

func TestSilentService(t *testing.T) {
	t.Parallel()
	env := keychaintest.Bus(t)
	env["AWSRUNAS_KEYRING"] = "secret-service"
	conn := keychaintest.Dial(t, env)
	s := make(silentService)
	defer close(s)
	if err := conn.Export(s, secretsPath, strings.TrimSuffix(service, ".")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(secretsName, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, env, "did not answer within 1s")
}

// fakeService is a Secret Service with one locked collection that a dialog
// unlocks, unless the person dismisses it.
type fakeService struct {
	conn    *dbus.Conn
	mu      sync.Mutex
	locked  bool
	dismiss bool
	shown   int
}

const (
	fakeCollection = dbus.ObjectPath(collectionsPath + "fake")
	fakeDialog     = dbus.ObjectPath(secretsPath + "/prompt/p1")
)

func (f *fakeService) ReadAlias(string) (dbus.ObjectPath, *dbus.Error) { return fakeCollection, nil }

func (f *fakeService) OpenSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	return dbus.MakeVariant(""), secretsPath + "/session/s1", nil
}

func (f *fakeService) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return nil, fakeDialog, nil
}

func (f *fakeService) Get(iface, name string) (dbus.Variant, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch name {
	case "Locked":
		return dbus.MakeVariant(f.locked), nil
	case "Collections":
		return dbus.MakeVariant([]dbus.ObjectPath{fakeCollection}), nil
	case "Items":
		return dbus.MakeVariant([]dbus.ObjectPath{}), nil
	}
	return dbus.Variant{}, dbus.MakeFailedError(os.ErrNotExist)
}

func (f *fakeService) SearchItems(map[string]string) ([]dbus.ObjectPath, *dbus.Error) {
	return nil, nil
}

func (f *fakeService) Prompt(string) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown++
	f.locked = f.dismiss
	_ = f.conn.Emit(fakeDialog, prompt+"Completed", f.dismiss, dbus.MakeVariant(""))
	return nil
}

func TestSecretServiceDialog(t *testing.T) {
	for _, test := range []struct {
		name              string
		dismiss, headless bool
		shown             int
	}{{"unlocked", false, false, 1}, {"dismissed", true, false, 4}, {"headless", false, true, 0}} {
		t.Run(test.name, func(t *testing.T) {
			env := keychaintest.Bus(t)
			env["AWSRUNAS_KEYRING"] = "secret-service"
			if !test.headless {
				env["WAYLAND_DISPLAY"] = "wayland-0"
			}
			f := &fakeService{conn: keychaintest.Dial(t, env), locked: true, dismiss: test.dismiss}
			for path, interfaces := range map[dbus.ObjectPath][]string{
				secretsPath:    {"org.freedesktop.Secret.Service", "org.freedesktop.DBus.Properties"},
				fakeCollection: {collection, "org.freedesktop.DBus.Properties"},
				fakeDialog:     {"org.freedesktop.Secret.Prompt"},
			} {
				for _, name := range interfaces {
					if err := f.conn.Export(f, path, name); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := f.conn.RequestName(secretsName, 0); err != nil {
				t.Fatal(err)
			}
			if test.dismiss || test.headless {
				expect(t, env, `the collection "fake" is locked`)
			} else {
				mustRun(t, innerCommand(os.Args[0], env, "miss", "key/p#1"))
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.shown != test.shown {
				t.Errorf("the dialog was shown %d times, want %d", f.shown, test.shown)
			}
		})
	}
}

// fakeWallet is KWallet with one open wallet, as far as the library uses it.
type fakeWallet struct {
	mu      sync.Mutex
	entries map[string][]byte
	refuse  bool
}

// IsOpen is asked for a wallet by name, and for one by its handle.
func (f *fakeWallet) IsOpen(dbus.Variant) (bool, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.refuse, nil
}

func (f *fakeWallet) Open(string, int64, string) (int32, *dbus.Error) { return 7, nil }

func (f *fakeWallet) EntryList(int32, string, string) ([]string, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := []string{}
	for name := range f.entries {
		names = append(names, name)
	}
	return names, nil
}

func (f *fakeWallet) WriteEntry(_ int32, folder, key string, value []byte, _ string) (int32, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if folder != "aws-runas" {
		return -1, nil
	}
	f.entries[key] = value
	return 0, nil
}

func (f *fakeWallet) RemoveEntry(_ int32, _, key, _ string) (int32, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.entries, key)
	return 0, nil
}

func (f *fakeWallet) ReadEntry(_ int32, _, key, _ string) ([]byte, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[key], nil
}

func TestKWallet(t *testing.T) {
	t.Parallel()
	env := keychaintest.Bus(t)
	conn := keychaintest.Dial(t, env)
	f := &fakeWallet{entries: map[string][]byte{"of another program": []byte("{}")}}
	names := map[string]string{"IsOpen": "isOpen", "Open": "open", "EntryList": "entryList", "WriteEntry": "writeEntry", "RemoveEntry": "removeEntry", "ReadEntry": "readEntry"}
	if err := conn.ExportWithMap(f, names, kwalletPath, strings.TrimSuffix(kwallet, ".")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(kwalletName, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kwallet", ""} {
		env["AWSRUNAS_KEYRING"] = name
		mustRun(t, innerCommand(os.Args[0], env, "conformance", "-test.run=^TestInner$"))
		if entries, _ := f.EntryList(0, "", ""); len(entries) != 1 {
			t.Errorf("entries: %q", entries)
		}
	}
	f.mu.Lock()
	f.refuse = true
	f.mu.Unlock()
	expect(t, env, `the wallet "kdewallet" is locked`)
}

// TestNoBusIsSpawned has a dbus-launch in PATH that tells of its being run.
func TestNoBusIsSpawned(t *testing.T) {
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho called >>" + calls + "\necho DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent\n"
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("this user has a bus that would be found")
	}
	env := keychaintest.File(t)
	env["PATH"] = dir + ":" + os.Getenv("PATH")
	env["XDG_RUNTIME_DIR"] = dir
	for _, address := range []string{"", "autolaunch:"} {
		env["DBUS_SESSION_BUS_ADDRESS"] = address
		env["AWSRUNAS_KEYRING"] = ""
		mustRun(t, innerCommand(os.Args[0], env, "set", "key/p#1", "payload"))
		mustRun(t, innerCommand(os.Args[0], env, "environment", "DBUS_SESSION_BUS_ADDRESS="+address))
	}
	if said, err := os.ReadFile(calls); err == nil {
		t.Errorf("dbus-launch was run: %s", said)
	}
	// Without the guard it is run, or this test tests nothing.
	t.Setenv("PATH", env["PATH"])
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	_, _ = dbus.SessionBusPrivate()
	if _, err := os.ReadFile(calls); err != nil {
		t.Errorf("dbus-launch was not run: %v", err)
	}
}

// TestSocketInRuntimeDir has a bus that no variable names.
func TestSocketInRuntimeDir(t *testing.T) {
	env := keychaintest.SecretService(t)
	path, ok := strings.CutPrefix(env["DBUS_SESSION_BUS_ADDRESS"], "unix:path=")
	if !ok {
		t.Fatal(env["DBUS_SESSION_BUS_ADDRESS"])
	}
	path, _, _ = strings.Cut(path, ",")
	if err := os.Symlink(path, filepath.Join(env["XDG_RUNTIME_DIR"], "bus")); err != nil {
		t.Fatal(err)
	}
	env["DBUS_SESSION_BUS_ADDRESS"] = ""
	mustRun(t, innerCommand(os.Args[0], env, "set", "key/p#1", "payload"))
	mustRun(t, innerCommand(os.Args[0], env, "get", "key/p#1", "payload"))
	mustRun(t, innerCommand(os.Args[0], env, "environment", "DBUS_SESSION_BUS_ADDRESS="))
}

// TestGuardComesFirst has Go tell in which order it initialises.
func TestGuardComesFirst(t *testing.T) {
	env := keychaintest.File(t)
	env["GODEBUG"] = "inittrace=1"
	cmd := innerCommand(os.Args[0], env, "environment", "AWSRUNAS_KEYRING=file")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var order []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "init" {
			order = append(order, fields[1])
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	guard, library := slices.Index(order, "aws-runas/keychain/busguard"), slices.Index(order, "github.com/99designs/keyring")
	if guard < 0 || library < 0 || guard > library {
		t.Errorf("the guard is number %d, keyring number %d of %q", guard, library, order)
	}
}

// TestFullDisk fills a file system of 64 kB.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := t.TempDir()
	if err := mountSmall(dir, 0); err != nil {
		t.Skipf("mounting: %v", err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	env := keychaintest.File(t)
	env["XDG_DATA_HOME"] = dir
	s := fileKeychain(env, nil)
	former := strings.Repeat("former", 1000)
	s.mustSet(t, "key/p#1", former)
	err := s.Set(t.Context(), "key/p#1", []byte(strings.Repeat("new", 40_000)), time.Time{})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Set: %v", err)
	}
	s.mustGet(t, "key/p#1", former)
	s.mustSet(t, "key/p#1", "short")
	if left, _ := filepath.Glob(filepath.Join(dir, "aws-runas", "new-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestReadOnlyHome has a home folder in which nothing can be created.
func TestReadOnlyHome(t *testing.T) {
	env := keychaintest.File(t)
	dir := t.TempDir()
	want := "read-only file system"
	if os.Getuid() != 0 {
		want = "permission denied"
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	} else if err := mountSmall(dir, unix.MS_RDONLY); err != nil {
		t.Skipf("mounting: %v", err)
	} else {
		t.Cleanup(func() { unmount(t, dir) })
	}
	for _, home := range []string{dir, "/proc"} { // /proc has "no such file" for an answer
		env["XDG_DATA_HOME"] = home
		s := fileKeychain(env, nil)
		s.mustMiss(t, "key/p#1")
		if keys, err := s.Keys(t.Context()); err != nil || len(keys) > 0 {
			t.Errorf("Keys: %q, %v", keys, err)
		}
		err := s.Set(t.Context(), "key/p#1", nil, time.Time{})
		var e *Error
		if !errors.As(err, &e) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), home) {
			t.Errorf("Set: %v", err)
		}
		if home == dir && !strings.Contains(err.Error(), want) {
			t.Errorf("Set: %v, want %q", err, want)
		}
	}
}

// TestForeignOwner has a store that another user made, as sudo does.
func TestForeignOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make files that are another user's")
	}
	env := keychaintest.File(t)
	fileKeychain(env, nil).mustSet(t, "key/p#1", "payload")
	if err := filepath.WalkDir(env["HOME"], func(path string, _ fs.DirEntry, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
	open := t.TempDir()
	if err := os.Chmod(filepath.Dir(open), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(env["XDG_DATA_HOME"], "aws-runas"), filepath.Join(open, "aws-runas")); err != nil {
		t.Fatal(err)
	}
	env["XDG_DATA_HOME"] = open
	mustRun(t, as(innerCommand(program(t), env, "error", "permission denied"), ordinary))
}

func mountSmall(dir string, flags uintptr) error {
	return unix.Mount("tmpfs", dir, "tmpfs", flags, "size=64k,mode=700")
}

func unmount(t *testing.T, dir string) {
	if err := unix.Unmount(dir, 0); err != nil {
		t.Error(err)
	}
}

//go:build !windows

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
)

// Each real backend is tested in a process of its own, since the library meets
// its surroundings when it is initialised.

// inner names the variable that says what such a process is to do.
const inner = "KEYCHAIN_TEST_INNER"

func TestMain(m *testing.M) {
	switch os.Getenv(inner) {
	case "writer":
		os.Exit(writer())
	case "error":
		os.Exit(expectError())
	case "set", "get", "miss", "hint", "environment":
		os.Exit(simple(os.Getenv(inner), os.Args[1:]))
	case "clean":
		os.Exit(clearKernelKeyring())
	}
	forgetSecrets = snapshotKernelKeyring()
	code := m.Run()
	forgetSecrets()
	os.Exit(code)
}

// forgetSecrets makes the kernel keyring forget the keys of the file stores that
// the tests have made.
var forgetSecrets func()

// innerEnv is the environment of an inner process as the keychain shall see it.
func innerEnv() keychaintest.Env {
	env := keychaintest.Env{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// TestInner is the conformance suite, run by the tests below in a real keyring.
func TestInner(t *testing.T) {
	if os.Getenv(inner) != "conformance" {
		return // part of the other tests
	}
	t.Cleanup(forgetSecrets)
	conformance(t, innerEnv(), New)
}

// program returns a copy of the test binary that any user may run.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return os.Args[0]
	}
	defer self.Close()
	dir, err := os.MkdirTemp("", "keychain")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keychain.test")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, self); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func innerCommand(binary string, env keychaintest.Env, task string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(env.Environ(), inner+"="+task)
	return cmd
}

// ordinary is a user id that nobody has.
const ordinary = 54321

// as runs cmd as an ordinary user. Only root can.
func as(cmd *exec.Cmd, uid uint32) *exec.Cmd {
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: false}}
		cmd.Dir = "/"
	}
	return cmd
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, out)
	}
}

// give makes the home folder of env that of uid.
func give(t *testing.T, env keychaintest.Env, uid uint32) {
	t.Helper()
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chown(home, int(uid), int(uid)); err != nil {
		t.Fatal(err)
	}
	old := env["HOME"]
	for name, value := range env {
		env[name] = strings.ReplaceAll(value, old, home)
	}
}

func TestReal(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(testing.TB) keychaintest.Env
		byUID bool // what it does depends on the user
	}{
		{"file", keychaintest.File, true},
		{"keyctl", kernelKeyring, true},
		{"pass", keychaintest.Pass, false},
		{"secret-service", startSecretService, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name != "keyctl" { // of which there is one
				t.Parallel()
			}
			inAProcess(t, test.start(t), 0)
		})
		if test.byUID && os.Getuid() == 0 {
			t.Run(test.name+" of an ordinary user", func(t *testing.T) {
				env := test.start(t)
				give(t, env, ordinary)
				inAProcess(t, env, ordinary)
			})
		}
	}
}

func inAProcess(t *testing.T, env keychaintest.Env, uid uint32) {
	t.Helper()
	binary := program(t)
	if uid != 0 {
		t.Cleanup(func() { mustRun(t, as(innerCommand(binary, env, "clean"), uid)) })
	}
	mustRun(t, as(innerCommand(binary, env, "conformance", "-test.run=^TestInner$"), uid))
	concurrently(t, binary, env, uid)
}

// concurrently lets processes that know nothing of each other write the same and
// different records, on a store that the first of them creates.
func concurrently(t *testing.T, binary string, env keychaintest.Env, uid uint32) {
	t.Helper()
	const n = 8
	if uid == 0 && env["AWSRUNAS_KEYRING"] == "file" {
		env = clone(env)
		env["XDG_DATA_HOME"] = t.TempDir()
	}
	var cmds []*exec.Cmd
	for i := range n {
		cmd := as(innerCommand(binary, env, "writer", strconv.Itoa(i)), uid)
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer %d: %v\n%s", i, err, cmd.Stdout)
		}
	}
}

// writer is one of the processes of concurrently.
func writer() int {
	ctx := context.Background()
	own := "role/writer " + os.Args[1] + "#1"
	const shared = "role/shared#1"
	s := newSubject(innerEnv(), New)
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := range 5 {
		payload := []byte(strings.Repeat(os.Args[1], 500+i))
		for _, key := range []string{own, shared} {
			if err := s.Set(ctx, key, payload, time.Now().Add(time.Hour)); err != nil {
				return fail(err)
			}
		}
		got, err := s.Get(ctx, own)
		if err != nil || string(got) != string(payload) {
			return fail(fmt.Errorf("own record: %d bytes, %w", len(got), err))
		}
		got, err = s.Get(ctx, shared)
		if err != nil || len(got) < 500 || strings.Trim(string(got), string(got[:1])) != "" {
			return fail(fmt.Errorf("shared record: %q, %w", got, err))
		}
	}
	if err := s.Remove(ctx, own); err != nil {
		return fail(err)
	}
	if len(s.warnings) > 0 {
		return fail(fmt.Errorf("warnings: %q", s.warnings))
	}
	return 0
}

// expectError is a process whose Get, Set, Remove and Keys must all fail with an
// *Error that holds the words in its argument and has a hint.
func expectError() int {
	ctx := context.Background()
	s := newSubject(innerEnv(), New)
	s.limit = time.Second
	_, get := s.Get(ctx, "role/p#1")
	_, keys := s.Keys(ctx)
	for _, err := range []error{get, keys, s.Set(ctx, "key/p#1", []byte("x"), time.Time{}), s.Remove(ctx, "key/p#1")} {
		var e *Error
		if !errors.As(err, &e) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), os.Args[1]) || e.Hint() == "" {
			fmt.Fprintf(os.Stderr, "%v (hint %q)\n", err, func() string {
				if e != nil {
					return e.Hint()
				}
				return ""
			}())
			return 1
		}
	}
	return 0
}

// simple is a process that does one thing.
func simple(task string, args []string) int {
	ctx := context.Background()
	s := newSubject(innerEnv(), New)
	var err error
	switch task {
	case "set":
		err = s.Set(ctx, args[0], []byte(args[1]), time.Time{})
	case "get":
		var got []byte
		if got, err = s.Get(ctx, args[0]); err == nil && string(got) != args[1] {
			err = fmt.Errorf("got %q", got)
		}
	case "miss":
		if _, err = s.Get(ctx, args[0]); errors.Is(err, fs.ErrNotExist) {
			err = nil
		} else if err == nil {
			err = errors.New("there is such a record")
		}
	case "hint":
		_, err = s.Get(ctx, args[0])
		if e := (*Error)(nil); errors.As(err, &e) {
			fmt.Print(e.Hint())
			err = nil
		}
	case "environment":
		name, want, _ := strings.Cut(args[0], "=")
		if got := os.Getenv(name); got != want {
			err = fmt.Errorf("%s is %q", name, got)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

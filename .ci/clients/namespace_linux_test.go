package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network with nothing but loopback: a client that does not find
// what it is meant to find reaches nobody else, and every address and port is
// free. The servers that are known there are those that were started there.
type namespace struct{ net, mounts *os.File }

// newNamespace makes one and enters it.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	ip := program(t, "ip")
	// The thread is not given back: it ends with the goroutine that locked it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); errors.Is(err, unix.EPERM) {
		t.Skip("a network namespace needs root that has all rights of root")
	} else if err != nil {
		t.Fatalf("a network namespace: %v", err)
	}
	// Where servers announce themselves goes by the user.
	known := "/run/user/0"
	if _, err := os.Stat(known); err != nil {
		known = "/tmp/aws-runas-0"
		if err := os.MkdirAll(known, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("mounts of its own: %v", err)
	}
	if err := unix.Mount("none", known, "tmpfs", 0, "mode=0700"); err != nil {
		t.Fatalf("%s of its own: %v", known, err)
	}
	n := &namespace{}
	for name, file := range map[string]**os.File{"net": &n.net, "mnt": &n.mounts} {
		var err error
		if *file, err = os.Open("/proc/thread-self/ns/" + name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*file).Close() })
	}
	if out, err := exec.Command(ip, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v: %s", err, out)
	}
	return n
}

// enter takes the goroutine of a subtest there, with all that it starts.
func (n *namespace) enter(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	err := unix.Setns(int(n.net.Fd()), unix.CLONE_NEWNET)
	if err == nil && n.mounts != nil {
		if err = unix.Unshare(unix.CLONE_FS); err == nil {
			err = unix.Setns(int(n.mounts.Fd()), unix.CLONE_NEWNS)
		}
	}
	if err != nil {
		t.Fatalf("setns: %v", err)
	}
}

// with is the person with further variables; NAME alone removes one.
func (p *person) with(t *testing.T, variables ...string) *person {
	env := slices.Clone(p.env)
	for _, v := range variables {
		name, _, set := strings.Cut(v, "=")
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		if set {
			env = append(env, v)
		}
	}
	return &person{t, p.home, env}
}

// serve starts a server, waits until it listens, and returns its first line and
// what ends it, which fails the test unless the server ends with 0.
func (p *person) serve(argv ...string) (line string, stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, bin+"/aws-runas", argv...)
	var said bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stderr = p.env, p.home, &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop = func() {
		p.t.Helper()
		defer cancel()
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("%q: %v\n%s", argv, err, &said)
		}
	}
	r := bufio.NewReader(out)
	if line, err = r.ReadString('\n'); err != nil {
		stop()
		p.t.Fatalf("%q says nothing: %v", argv, err)
	}
	go io.Copy(io.Discard, r) // ends with the server
	return line, stop
}

// try runs a command that may fail, and returns what it said.
func (p *person) try(limit time.Duration, argv ...string) (out string, err error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = p.env, p.home, time.Second
	all, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return string(all), err
}

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
// what it is meant to find reaches nobody else, and every address and port is free.
type namespace struct{ file *os.File }

// newNamespace makes one and enters it.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	ip := program(t, "ip")
	// The thread is not given back: it ends with the goroutine that locked it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace: %v", err)
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if out, err := exec.Command(ip, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v: %s", err, out)
	}
	return &namespace{file}
}

// enter takes the goroutine of a subtest there, with all that it starts.
func (n *namespace) enter(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
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

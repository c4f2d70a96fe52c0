package metadata

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playServer is the program of the privileged mode: the parent as root, the
// child as the user who called sudo. In the mode loopback it serves until its
// stdin ends, without either.
func playServer() int {
	l, err := Inherited(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	mode := os.Getenv("METADATA_TEST_CHILD")
	if mode == "loopback" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	if l == nil {
		at := EC2Address
		if mode == "ecs" {
			at = ECSAddress
		}
		code, err := (&Parent{Address: at, Args: os.Args, Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}).Run()
		if err != nil {
			fmt.Fprintln(os.Stderr, "parent:", err)
			return 5
		}
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	dir, err := os.MkdirTemp("", "metadata-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	defer os.RemoveAll(dir)
	d := &double{now: time.Now, dir: dir, fetches: map[string]int{}, lifetime: time.Hour, needing: map[string][]string{}}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(testConfig), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	s, err := New(Options{Backend: d, Pages: testPages, CredentialsPath: CredentialsPath, Containers: true})
	if err == nil {
		err = s.Activate(ctx, Target{Profile: "dev"}, nobody{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	if mode == "loopback" {
		fmt.Println(l.Addr())
		ended, end := context.WithCancel(ctx)
		go func() {
			io.Copy(io.Discard, os.Stdin)
			end()
		}()
		ctx = ended
	}
	groups, _ := os.Getgroups()
	fmt.Printf("ready uid=%d euid=%d gid=%d groups=%v HOME=%s XDG=%s BUS=%s SUDO=%s USER=%s\n", os.Getuid(), os.Geteuid(), os.Getgid(), groups,
		os.Getenv("HOME"), os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("DBUS_SESSION_BUS_ADDRESS"), os.Getenv("SUDO_UID")+os.Getenv("SUDO_COMMAND"), os.Getenv("USER"))
	if err := s.Serve(ctx, l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	return 7
}

// run runs a program and returns what it printed.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// namespace makes a network namespace with nothing but lo.
func namespace(t *testing.T, suffix string) string {
	t.Helper()
	needRoot(t)
	if _, err := exec.LookPath("ip"); err != nil {
		skip(t, "needs ip: apt-get install iproute2")
	}
	name := fmt.Sprintf("awsrunas-%d-%s", os.Getpid(), suffix)
	if out, err := run(t, "ip", "netns", "add", name); err != nil {
		skip(t, "needs network namespaces: %s", out)
	}
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	must(t, "ip", "netns", "exec", name, "ip", "link", "set", "lo", "up")
	return name
}

// startParent starts the privileged mode inside a namespace, as sudo would for
// user 54321, and returns once the child says that it is ready.
func startParent(t *testing.T, ns, mode, home string) (parent *exec.Cmd, out io.ReadCloser, ready string) {
	t.Helper()
	parent = exec.Command("ip", "netns", "exec", ns, "/proc/self/exe")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent.Args[4] = exe
	parent.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "METADATA_TEST_CHILD=" + mode, "SUDO_UID=54321", "SUDO_GID=54321", "SUDO_COMMAND=x", "TMPDIR=/tmp"}
	parent.Stderr = os.Stderr
	out, err = parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { parent.Process.Kill(); parent.Wait() })
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	return parent, out, string(line[:n])
}

func TestPrivilegedMode(t *testing.T) {
	ns := namespace(t, "host")
	home := t.TempDir()
	if err := os.Chown(home, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	addresses := func() string { return must(t, "ip", "netns", "exec", ns, "ip", "addr", "show", "dev", "lo") }
	// The test program may be where the user cannot walk to, as it is here.
	dial := func(in, address string, uid string) string {
		t.Helper()
		exe, _ := os.Executable()
		open := filepath.Join(t.TempDir(), "client")
		must(t, "cp", exe, open)
		for dir := filepath.Dir(open); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
			os.Chmod(dir, 0o755)
		}
		return must(t, "ip", "netns", "exec", in, "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", open, "dial", "plain", address)
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		skip(t, "needs setpriv: apt-get install util-linux")
	}

	parent, _, ready := startParent(t, ns, "ec2", home)
	for _, want := range []string{"uid=54321 euid=54321 gid=54321", "HOME=" + home, "SUDO= "} {
		if !strings.Contains(ready, want) {
			t.Errorf("the child is not %q: %s", want, ready)
		}
	}
	if got := addresses(); !strings.Contains(got, "169.254.169.254/32") || !strings.Contains(got, "lo:aws-runas") {
		t.Errorf("the address is not there: %s", got)
	}
	for uid, want := range map[string]string{"54321": "HTTP/1.1 200", "0": "HTTP/1.1 200", "54322": "HTTP/1.1 403"} {
		if got := dial(ns, "169.254.169.254:80", uid); !strings.HasPrefix(got, want) {
			t.Errorf("uid %s: %s", uid, got)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "ip", "netns", "exec", ns, "env", "METADATA_TEST_CHILD=ec2", exe); err == nil || !strings.Contains(out, "address already in use") {
		t.Errorf("a second server: %v %s", err, out)
	}
	if got := addresses(); !strings.Contains(got, "169.254.169.254/32") {
		t.Errorf("the second server took the address away: %s", got)
	}

	t.Run("container", func(t *testing.T) {
		inside := namespace(t, "inside")
		nobody := namespace(t, "nobody")
		for i, other := range []string{inside, nobody} {
			bridge := []string{"docker0", "eth9"}[i]
			subnet := fmt.Sprintf("10.77.%d", i)
			must(t, "ip", "link", "add", bridge, "netns", ns, "type", "veth", "peer", "name", "eth0", "netns", other)
			must(t, "ip", "-n", ns, "addr", "add", subnet+".1/24", "dev", bridge)
			must(t, "ip", "-n", ns, "link", "set", bridge, "up")
			must(t, "ip", "-n", other, "addr", "add", subnet+".2/24", "dev", "eth0")
			must(t, "ip", "-n", other, "link", "set", "eth0", "up")
			must(t, "ip", "-n", other, "route", "add", "default", "via", subnet+".1")
		}
		if got := dial(inside, "169.254.169.254:80", "54399"); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "ASIA-Developer-") {
			t.Errorf("a container: %s", got)
		}
		if got := dial(nobody, "169.254.169.254:80", "54399"); !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "--allow-from 10.77.1.2/32") {
			t.Errorf("another network: %s", got)
		}
		api := must(t, "ip", "netns", "exec", inside, "sh", "-c", "printf 'GET /profile HTTP/1.1\\r\\nHost: 169.254.169.254\\r\\nConnection: close\\r\\n\\r\\n' | timeout 5 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80; cat >&3; cat <&3'")
		if !strings.HasPrefix(api, "HTTP/1.1 403") || !strings.Contains(api, "containers get credentials") {
			t.Errorf("the API from a container: %s", api)
		}
		// Somebody else on the host who takes the bridge's address is no container.
		if got := must(t, "ip", "netns", "exec", ns, "setpriv", "--reuid", "54322", "--regid", "54322", "--clear-groups", "bash", "-c",
			"exec 3<>/dev/tcp/169.254.169.254/80; printf 'GET /credentials HTTP/1.1\\r\\nHost: 169.254.169.254\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3"); !strings.HasPrefix(got, "HTTP/1.1 403") {
			t.Errorf("another user of the host: %s", got)
		}
	})

	// A polite end: the child's code, and no address.
	parent.Process.Signal(syscall.SIGTERM)
	if err := parent.Wait(); parent.ProcessState.ExitCode() != 7 {
		t.Errorf("the parent ended with %v", err)
	}
	if got := addresses(); strings.Contains(got, "169.254.169.254") {
		t.Errorf("the address is still there: %s", got)
	}

	t.Run("crash", func(t *testing.T) {
		parent, out, _ := startParent(t, ns, "ec2", home)
		parent.Process.Kill()
		io.Copy(io.Discard, out) // until its child has ended with it
		parent.Wait()
		if got := addresses(); !strings.Contains(got, "169.254.169.254/32") {
			t.Fatalf("a killed parent cleaned up: %s", got)
		}
		parent, _, ready := startParent(t, ns, "ec2", home)
		if !strings.HasPrefix(ready, "ready") {
			t.Errorf("%s", ready)
		}
		parent.Process.Signal(syscall.SIGINT)
		parent.Wait()
		if got := addresses(); strings.Contains(got, "169.254.169.254") {
			t.Errorf("what the crash left behind is still there: %s", got)
		}
	})

	t.Run("somebody's own address", func(t *testing.T) {
		must(t, "ip", "-n", ns, "addr", "add", "169.254.170.2/32", "dev", "lo")
		parent, _, _ := startParent(t, ns, "ecs", home)
		if got := dial(ns, "169.254.170.2:80", "54321"); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s", got)
		}
		parent.Process.Signal(syscall.SIGTERM)
		parent.Wait()
		if got := addresses(); !strings.Contains(got, "169.254.170.2") {
			t.Errorf("somebody's address was removed: %s", got)
		}
	})
}

func TestChildEnvironment(t *testing.T) {
	me := fmt.Sprint(os.Getuid())
	home := t.TempDir()
	p := &Parent{Args: []string{"aws-runas", "serve", "ec2"}, Env: []string{"HOME=" + home, "SUDO_UID=" + me, "SUDO_GID=" + me, "SUDO_USER=x", "AWS_CONFIG_FILE=/c", "PATH=/bin"}}
	c, err := p.child()
	if err != nil {
		t.Fatal(err)
	}
	got := environment(c.Env)
	if got["HOME"] != home || got["AWS_CONFIG_FILE"] != "/c" || got["PATH"] != "/bin" || got[listenerVariable] != "3" || got["SUDO_UID"]+got["SUDO_USER"] != "" {
		t.Errorf("%q", c.Env)
	}
	for _, env := range [][]string{
		{"HOME=" + home, "SUDO_UID=x", "SUDO_GID=1"},
		{"HOME=" + home, "SUDO_UID=1", "SUDO_GID=-1"},
		{"HOME=" + home, "SUDO_UID=54321", "SUDO_GID=54321"}, // not its owner
	} {
		p.Env = env
		if _, err := p.child(); err == nil {
			t.Errorf("%q was accepted", env)
		}
	}
}

func TestInherited(t *testing.T) {
	lookup := func(v string) func(string) (string, bool) {
		return func(name string) (string, bool) { return v, name == listenerVariable }
	}
	if l, err := Inherited(func(string) (string, bool) { return "", false }); l != nil || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	for _, v := range []string{"", "x", "-1", "99999", "9999"} {
		if l, err := Inherited(lookup(v)); err == nil {
			t.Errorf("%q: %v", v, l)
		}
	}
}

func TestListenAt(t *testing.T) {
	for _, at := range []string{"127.0.0.1:80", "10.0.0.1:80", "[fe80::1]:80", "8.8.8.8:80"} {
		if _, _, err := ListenAt(netip.MustParseAddrPort(at)); err == nil {
			t.Errorf("%s was accepted", at)
		}
	}
}

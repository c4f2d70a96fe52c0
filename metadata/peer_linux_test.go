package metadata

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// TestMain lets the test program play a client of another user: see [client].
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "dial" {
		os.Exit(playClient(os.Args[2], os.Args[3]))
	}
	if os.Getenv("METADATA_TEST_CHILD") != "" {
		os.Exit(playServer())
	}
	os.Exit(m.Run())
}

// playClient sends a request by a socket of IPv4, or of IPv6 to the mapped
// address, and prints what comes back.
func playClient(family, address string) int {
	to := netip.MustParseAddrPort(address)
	domain, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if family == "mapped" {
		domain, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Connect(fd, sa)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f := os.NewFile(uintptr(fd), "socket")
	fmt.Fprintf(f, "GET /credentials HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
	io.Copy(os.Stdout, f)
	return 0
}

// dialAs runs a client as a user and returns what the server answered.
func dialAs(t *testing.T, uid uint32, family, address string) string {
	t.Helper()
	c := exec.Command("/proc/self/exe", "dial", family, address)
	if uid != uint32(os.Geteuid()) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "needs root")
	}
}

func TestPeersOfRealProcesses(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	s.admit = checkPeer
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	for _, family := range []string{"plain", "mapped"} {
		if got := dialAs(t, uint32(os.Geteuid()), family, address); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("own process, %s: %s", family, got)
		}
	}
	t.Run("another user", func(t *testing.T) {
		needRoot(t)
		for _, family := range []string{"plain", "mapped"} {
			got := dialAs(t, 54321, family, address)
			if !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "another user (uid 54321)") || !strings.Contains(got, "--allow-any-user") || strings.Contains(got, "planted") {
				t.Errorf("another user's process, %s: %s", family, got)
			}
		}
	})
	t.Run("any user", func(t *testing.T) {
		needRoot(t)
		o := ecsOptions()
		o.AnyUser = true
		s, _ := newTestServer(t, o)
		s.admit = checkPeer
		mustActivate(t, s, "dev")
		address, _ := listen(t, s)
		if got := dialAs(t, 54321, "plain", address); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s", got)
		}
	})
}

// Both ways of asking the kernel find the same, for both families.
func TestSocketOwner(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			skip(t, "no listener on %s: %v", at, err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		own, far := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		for name, ask := range map[string]func(own, far netip.AddrPort) (uint32, error){
			"sock_diag": diagOwner,
			"list":      func(own, far netip.AddrPort) (uint32, error) { return listedOwner(os.DirFS("/proc/net"), own, far) },
		} {
			if uid, err := ask(own, far); err != nil || uid != uint32(os.Geteuid()) {
				t.Errorf("%s, %s: %d, %v", at, name, uid, err)
			}
			// Not that of a listener with the same port, nor of anything else.
			for _, wrong := range [][2]netip.AddrPort{
				{far, netip.AddrPortFrom(own.Addr(), own.Port()^1)},
				{netip.AddrPortFrom(own.Addr(), own.Port()^1), far},
			} {
				if uid, err := ask(wrong[0], wrong[1]); err == nil {
					t.Errorf("%s, %s: uid %d for a socket that is not there", at, name, uid)
				}
			}
		}
		// One that its process has closed is nobody's, though the kernel still has it.
		c.Close()
		if uid, err := socketOwner(own, far); !errors.Is(err, errNoSocket) {
			t.Errorf("closed: %d, %v", uid, err)
		}
	}
}

func TestListedOwner(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		skip(t, "the sample is of a little-endian machine")
	}
	const tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:9C40 0100007F:3039 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000\n" +
		"   1: 0100007F:9C41 0100007F:3039 01 00000000:00000000 00:00000000 00000000  1001        0 4711 1 0000000000000000 20 4 30 10 -1\n" +
		"   2: nonsense\n"
	const tcp6 = "  sl  local_address                         remote_address\n" +
		"   0: 0000000000000000FFFF00000100007F:9C42 0000000000000000FFFF00000100007F:3039 01 00000000:00000000 00:00000000 00000000  1002        0 4712 1\n" +
		"   1: 00000000000000000000000001000000:9C43 00000000000000000000000001000000:3039 01 00000000:00000000 00:00000000 00000000  1003        0 4713 1\n"
	for _, tt := range []struct {
		own, far string
		files    fstest.MapFS
		uid      uint32
		err      string
	}{
		{"127.0.0.1:40001", "127.0.0.1:12345", fstest.MapFS{"tcp": {Data: []byte(tcp)}, "tcp6": {Data: []byte(tcp6)}}, 1001, ""},
		{"127.0.0.1:40002", "127.0.0.1:12345", fstest.MapFS{"tcp": {Data: []byte(tcp)}, "tcp6": {Data: []byte(tcp6)}}, 1002, ""},
		{"[::1]:40003", "[::1]:12345", fstest.MapFS{"tcp": {Data: []byte(tcp)}, "tcp6": {Data: []byte(tcp6)}}, 1003, ""},
		{"127.0.0.1:40000", "127.0.0.1:12345", fstest.MapFS{"tcp": {Data: []byte(tcp)}}, 0, "no process"}, // inode 0
		{"127.0.0.1:40009", "127.0.0.1:12345", fstest.MapFS{"tcp": {Data: []byte(tcp)}}, 0, "no process"},
		{"127.0.0.1:40001", "127.0.0.1:12345", fstest.MapFS{}, 0, "file does not exist"},
	} {
		uid, err := listedOwner(tt.files, netip.MustParseAddrPort(tt.own), netip.MustParseAddrPort(tt.far))
		if uid != tt.uid || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %d, %v", tt.own, uid, err)
		}
	}
}

func FuzzListedAddress(f *testing.F) {
	f.Add("0100007F:3039")
	f.Add("00000000000000000000000001000000:9C43")
	f.Add(":")
	f.Fuzz(func(t *testing.T, s string) {
		if a := listedAddress(s); a.IsValid() && !strings.Contains(s, ":") {
			t.Errorf("%q is %s", s, a)
		}
	})
}

func FuzzDiagAnswer(f *testing.F) {
	own, far := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	f.Add(diagRequest(own, far))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) { diagAnswer(b, own, far) })
}

// The peer is asked once for each connection.
func TestPeerOncePerConnection(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	asked := make(chan struct{}, 100)
	s.admit = func(remote, local netip.AddrPort) error {
		asked <- struct{}{}
		return checkPeer(remote, local)
	}
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for range 10 {
		fmt.Fprintf(c, "GET /credentials HTTP/1.1\r\nHost: %s\r\n\r\n", address)
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
		io.Copy(io.Discard, response.Body)
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times", len(asked))
	}
}

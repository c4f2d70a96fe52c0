//go:build linux

package metadata

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The remote end of "ssh -R" over a real OpenSSH on loopback: whoever holds the
// token gets credentials there, and nobody else does, though the peer that the
// server sees is its own user's ssh.
func TestTunnel(t *testing.T) {
	for _, program := range []string{"ssh", "/usr/sbin/sshd", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "needs %s: apt-get install openssh-server openssh-client", program)
		}
	}
	if _, err := user.LookupId(strconv.Itoa(os.Geteuid())); err != nil {
		skip(t, "ssh needs a user who has a name: %v", err)
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "user"} {
		must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(key))
	}
	// A port that is free at the moment.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nAllowTcpForwarding remote\n",
		port, file("host"), file("user.pub"))
	if err := os.WriteFile(file("sshd_config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", file("sshd_config"))
	if os.Geteuid() == 0 {
		// As root it insists on a folder, which it gets in a /run of its own.
		daemon = exec.Command("unshare", append([]string{"-m", "sh", "-c", `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh"}, daemon.Args...)...)
	}
	said, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Kill(); daemon.Wait() })
	await(t, said, regexp.MustCompile(`Server listening`))

	o := ecsOptions()
	o.Token = "tunnel-token"
	s, _ := newTestServer(t, o)
	s.admit = checkPeer
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	tunnel := exec.Command("ssh", "-N", "-R", "127.0.0.1:0:"+address, "-F", "none", "-i", file("user"), "-p", port, "-o", "IdentitiesOnly=yes",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "127.0.0.1")
	tunnel.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	said, err = tunnel.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tunnel.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tunnel.Process.Kill(); tunnel.Wait() })
	far := "http://127.0.0.1:" + await(t, said, regexp.MustCompile(`Allocated port (\d+)`))

	for token, want := range map[string]int{"tunnel-token": 200, "Bearer tunnel-token": 200, "": 401, "another": 401} {
		r, _ := http.NewRequest("GET", far+"/credentials/ops", nil)
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || strings.Contains(string(body), "ASIA-Ops-") != (want == 200) {
			t.Errorf("with %q: %d %s", token, response.StatusCode, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// await reads until a line matches, and returns its group; the rest is read too,
// so that the program does not block.
func await(t *testing.T, from io.Reader, want *regexp.Regexp) string {
	t.Helper()
	lines := bufio.NewScanner(from)
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := want.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, from)
			return m[len(m)-1]
		}
	}
	if strings.Contains(all.String(), "Permission denied (") {
		skip(t, "this account may not sign in by ssh: %s", all.String())
	}
	t.Fatalf("%s never came:\n%s", want, all.String())
	return ""
}

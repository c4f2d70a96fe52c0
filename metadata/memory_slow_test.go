//go:build slow && linux

package metadata

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A million requests, some by connections of their own, leave the server, a
// process of its own, small.
func TestSlowMemory(t *testing.T) {
	server := exec.Command("/proc/self/exe")
	server.Env = []string{"METADATA_TEST_CHILD=loopback", "TMPDIR=" + t.TempDir()}
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer in.Close()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	before := resident(t, server.Process.Pid)
	load(t, address, "/credentials", 500_000, true)
	load(t, address, "/credentials/ops", 480_000, true)
	load(t, address, "/credentials", 20_000, false)
	after := resident(t, server.Process.Pid)
	t.Logf("resident %d KiB at the start, %d KiB after a million requests", before, after)
	if after > 25<<10 {
		t.Errorf("%d KiB are more than 25 MiB", after)
	}
	open, err := filepath.Glob("/proc/" + strconv.Itoa(server.Process.Pid) + "/fd/*")
	if err != nil || len(open) > 64 {
		t.Errorf("%d descriptors, %v", len(open), err)
	}
	response, err := http.Get("http://" + address + "/credentials")
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("%s", status)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

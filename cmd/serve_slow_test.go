//go:build slow && linux

package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
	"aws-runas/session/awstest"
)

// TestSlowRenewals has serve ecs renew credentials of some seconds 480 times,
// as often as in eight hours those of a minute. Whoever asks meanwhile is given
// what is good, each profile its own; in the end the server is as small as it was.
func TestSlowRenewals(t *testing.T) {
	const renewals, roles, warm = 480, 8, 120
	env := keychaintest.File(t)
	t.Cleanup(func() { forgetPassphrase(func(name string) string { return env[name] }) })
	h := newHousehold(t, env, nil)
	h.world.SetLifetime(4 * time.Second) // a server renews once a quarter is over
	h.world.User.Put("any role", awstest.Allow([]string{"sts:AssumeRole"}, []string{"*"}))
	config := "[profile robot]\nregion = eu-west-1\n"
	arns := map[string]string{} // by the path that serves it
	for i := range roles {
		name := "r" + strconv.Itoa(i)
		role := h.world.Default().Role(name, awstest.Trust(nil, h.world.Default().RootARN()))
		config += fmt.Sprintf("[profile %s]\nrole_arn = %s\nsource_profile = robot\n", name, role.ARN)
		arns["/credentials/"+name] = role.ARN
	}
	arns["/credentials"] = arns["/credentials/r0"]
	if err := os.WriteFile(filepath.Join(env["HOME"], ".aws", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	add := h.run("keys", "add", "robot")
	add.Stdin = strings.NewReader(h.world.Key.ID + "\n" + h.world.Key.Secret + "\n")
	add.start().succeed()

	server := h.run("serve", "ecs", "-p", "0", "r0")
	server.Stdout = nil
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.start()
	defer server.Process.Kill()
	var url string
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).FindString(lines.Text())
	}
	if url == "" {
		t.Fatalf("it says no address: %v\n%s", server.Wait(), &server.err)
	}
	go io.Copy(io.Discard, out)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	polling, stop := context.WithCancel(ctx)
	var asked atomic.Int64
	var clients sync.WaitGroup
	for path, arn := range arns {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for tick := time.NewTicker(50 * time.Millisecond); ; {
				asked.Add(1)
				if problem := poll(client, url+path, arn); problem != "" {
					t.Errorf("%s: %s", path, problem)
				}
				select {
				case <-tick.C:
				case <-polling.Done():
					return
				}
			}
		})
	}
	wait := func(n int) {
		if err := h.world.Wait(ctx, "AssumeRole", n); err != nil {
			stop()
			clients.Wait()
			t.Fatalf("%d of %d renewals: %v\n%s", h.world.Count("AssumeRole"), n, err, &server.err)
		}
	}
	start := time.Now()
	wait(warm)
	before, items := measure(t, server.Process.Pid), keptFiles(t, env["HOME"])
	wait(warm + renewals)
	after := measure(t, server.Process.Pid)
	took := time.Since(start)
	stop()
	clients.Wait()

	// QUIT makes Go tell of every goroutine.
	if err := server.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	server.Wait() // with status 2, as ever
	goroutines := strings.Count("\n"+server.err.String(), "\ngoroutine ")
	t.Logf("%d renewals in %s, %d answers; then %d goroutines; before %+v, after %+v", renewals, took.Round(time.Second), asked.Load(), goroutines, before, after)
	if goroutines == 0 || goroutines > 300 {
		t.Errorf("%d goroutines", goroutines)
	}
	// Connections to AWS are kept for some seconds.
	if after.files > before.files+16 || after.threads > before.threads+8 || after.kib > before.kib+16<<10 {
		t.Errorf("it has grown from %+v to %+v", before, after)
	}
	if now := keptFiles(t, env["HOME"]); now > items+2 { // some are under way to their names
		t.Errorf("%d files are kept after %d", now, items)
	}
	if said := server.err.String(); strings.Contains(strings.SplitN(said, "SIGQUIT", 2)[0], "aws-runas: warning") {
		t.Errorf("it says\n%s", said)
	}
}

// poll asks as an SDK does and says what is wrong with the answer.
func poll(client *http.Client, url, arn string) string {
	start := time.Now()
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	var c struct {
		AccessKeyID string `json:"AccessKeyId"`
		RoleARN     string `json:"RoleArn"`
		Expiration  time.Time
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err.Error()
	case response.StatusCode != http.StatusOK:
		return response.Status + ": " + string(body)
	case json.Unmarshal(body, &c) != nil:
		return "it is not JSON"
	case c.RoleARN != arn:
		return "the credentials are those of " + c.RoleARN
	case !c.Expiration.After(start):
		return fmt.Sprintf("%s expired at %s, %s before it was asked for", c.AccessKeyID, c.Expiration, start.Sub(c.Expiration))
	}
	return ""
}

// size is what a process holds.
type size struct{ files, threads, kib int }

func measure(t *testing.T, pid int) (s size) {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string) int {
		m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindSubmatch(status)
		if m == nil {
			t.Fatalf("no %s in %s", name, status)
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	return size{len(open), number("Threads"), number("VmRSS")}
}

// keptFiles counts what the keyring is made of.
func keptFiles(t *testing.T, home string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(home, ".local"), func(_ string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a temporary file that has been renamed
		}
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
	"aws-runas/session/awstest"
)

// crowd is how many processes start at once.
const crowd = 50

// askCode is the askpass program of these tests: it gets a code from the person
// in the test, whom it tells which process asks.
func askCode() {
	response, err := http.Get(os.Getenv("TEST_PERSON") + "?pid=" + strconv.Itoa(os.Getppid()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

// household is a user with a keyring, and the person who has the MFA device.
type household struct {
	t     *testing.T
	world *awstest.World
	env   []string
	as    func(*exec.Cmd) // makes a command this user's
	asked chan int        // the processes that asked
}

// newHousehold has keys in the keyring that env leads to.
func newHousehold(t *testing.T, env keychaintest.Env, as func(*exec.Cmd)) *household {
	h := &household{t: t, world: awstest.Demo(awstest.Options{}), as: as, asked: make(chan int, 2*crowd)}
	url, err := h.world.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.world.Close() })
	person := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pid, _ := strconv.Atoi(r.FormValue("pid"))
		h.asked <- pid
		io.WriteString(w, h.world.MFA.Code())
	}))
	t.Cleanup(person.Close)
	home := env["HOME"]
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[default]\nregion = eu-west-1\n[profile demo]\nmfa_serial = %s\n[profile admin]\nrole_arn = %s\nsource_profile = demo\n",
		h.world.MFA.Serial, h.world.Admin.ARN)
	if err := os.WriteFile(filepath.Join(home, ".aws", "config"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// PATH alone is taken over: it leads to the programs of this test.
	h.env = []string{
		"PATH=" + os.Getenv("PATH"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"), "TEST_LOCKS=" + filepath.Join(home, "locks"),
		"AWS_ENDPOINT_URL=" + url, "AWS_EC2_METADATA_DISABLED=true", "NO_COLOR=1", "GORACE=" + raceOptions(),
		"AWSRUNAS_ASKPASS=askcode", "TEST_PERSON=" + person.URL,
	}
	for name, value := range env {
		h.env = append(h.env, name+"="+value)
	}
	add := h.run("keys", "add", "demo")
	add.Stdin = strings.NewReader(h.world.Key.ID + "\n" + h.world.Key.Secret + "\n")
	add.start().succeed()
	return h
}

// program is one run of aws-runas.
type program struct {
	*exec.Cmd
	t        *testing.T
	out, err bytes.Buffer
}

func (h *household) run(args ...string) *program {
	p := &program{Cmd: exec.CommandContext(h.t.Context(), "aws-runas", args...), t: h.t}
	p.Env, p.Stdout, p.Stderr = h.env, &p.out, &p.err
	if h.as != nil {
		h.as(p.Cmd)
	}
	return p
}

func (p *program) start() *program {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *program) succeed() string {
	p.t.Helper()
	if err := p.Wait(); err != nil {
		p.t.Errorf("%v: %v\n%s", p.Args[1:], err, &p.err)
	}
	return p.out.String()
}

// keyrings are those in which the processes of a user meet.
func keyrings(t *testing.T, test func(t *testing.T, h *household)) {
	t.Run("file", func(t *testing.T) {
		env := keychaintest.File(t)
		t.Cleanup(func() { forgetPassphrase(func(name string) string { return env[name] }) })
		test(t, newHousehold(t, env, nil))
	})
	t.Run("kernel keyring", func(t *testing.T) {
		env, as := kernelKeyring(t)
		h := newHousehold(t, env, as)
		t.Cleanup(func() {
			for _, args := range [][]string{{"logout", "--all"}, {"keys", "remove", "demo"}} {
				p := h.run(args...)
				p.Cmd = exec.Command(p.Path, args...) // the test's context is over
				p.Env = h.env
				if as != nil {
					as(p.Cmd)
				}
				p.Run()
			}
		})
		test(t, h)
	})
}

// crowd starts the processes, all cold.
func (h *household) crowd() map[int]*program {
	all := map[int]*program{}
	for range crowd {
		p := h.run("env", "--shell", "posix", "admin").start()
		all[p.Process.Pid] = p
	}
	return all
}

// alike expects one answer of all.
func (h *household) alike(all map[int]*program) {
	h.t.Helper()
	answers := map[string]int{}
	for _, p := range all {
		answers[p.succeed()]++
		for _, s := range h.world.Secrets() {
			if strings.Contains(p.err.String(), s) {
				h.t.Errorf("a secret on stderr: %s", &p.err)
			}
		}
	}
	if len(answers) != 1 {
		h.t.Errorf("%d different answers: %v", len(answers), answers)
	}
	for answer := range answers {
		if !strings.Contains(answer, "export AWS_ACCESS_KEY_ID='ASIA") && !strings.Contains(answer, "export AWS_ACCESS_KEY_ID=ASIA") {
			h.t.Errorf("the answer is %q", answer)
		}
	}
}

func (h *household) calls(sessions, roles, asked int) {
	h.t.Helper()
	if s, r, a := h.world.Count("GetSessionToken"), h.world.Count("AssumeRole"), len(h.asked); s != sessions || r != roles || a != asked {
		h.t.Errorf("GetSessionToken %d, AssumeRole %d, asked %d times; want %d, %d, %d", s, r, a, sessions, roles, asked)
	}
}

func TestFiftyColdStarts(t *testing.T) {
	keyrings(t, func(t *testing.T, h *household) {
		h.alike(h.crowd())
		h.calls(1, 1, 1)
	})
}

// A process that is killed while it holds the lock and waits for AWS keeps nobody
// from going on.
func TestFiftyColdStartsOneKilled(t *testing.T) {
	for _, tc := range []struct {
		action                 string
		sessions, roles, asked int
	}{
		{"GetSessionToken", 2, 1, 2}, // its code was on the way, so another one is asked for
		{"AssumeRole", 1, 2, 1},      // the session is kept already
	} {
		t.Run(tc.action, func(t *testing.T) {
			keyrings(t, func(t *testing.T, h *household) {
				h.world.Inject(awstest.Fault{Action: tc.action, Times: 1, Delay: time.Hour})
				all := h.crowd()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := h.world.Wait(ctx, tc.action, 1); err != nil {
					t.Fatal(err)
				}
				// Whoever asked for the code holds the lock of the role, too.
				pid := <-h.asked
				holder := all[pid]
				if holder == nil {
					t.Fatalf("process %d, which asked, is none of ours", pid)
				}
				if err := holder.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				holder.Wait()
				delete(all, pid)
				h.alike(all)
				h.asked <- pid // which has been taken out above
				h.calls(tc.sessions, tc.roles, tc.asked)
			})
		})
	}
}

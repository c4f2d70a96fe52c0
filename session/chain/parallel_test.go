package chain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

func TestFiftyColdStartsSignInOnce(t *testing.T) {
	l := newLab(t)
	l.config(demo)
	providers := make([]session.Provider, 50)
	for i := range providers {
		if i%5 == 0 {
			l.cache = l.process() // ten processes with five goroutines each
		}
		p, err := l.open("admin")
		if err != nil {
			t.Fatal(err)
		}
		providers[i] = p
	}
	ids := make([]string, len(providers))
	var wg sync.WaitGroup
	for i, p := range providers {
		wg.Go(func() {
			c, err := p.Credentials(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.AccessKeyID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("different credentials: %q", ids)
		}
	}
	l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})
	if n := l.person.count(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// Roles of one source, all cold at once, share one sign-in as well.
func TestColdRolesOfOneSourceSignInOnce(t *testing.T) {
	l := newLab(t)
	l.config(demo)
	var wg sync.WaitGroup
	for _, name := range []string{"admin", "readonly", "deploy", "admin", "deploy"} {
		l.cache = l.process()
		p, err := l.open(name)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := p.Credentials(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 3})
	if n := l.person.count(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// files is a Store that processes share.
type files string

func (f files) path(key string) string { return filepath.Join(string(f), fmt.Sprintf("%x", key)) }

func (f files) Get(_ context.Context, key string) ([]byte, error) { return os.ReadFile(f.path(key)) }

func (f files) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	temp, err := os.CreateTemp(string(f), "new")
	if err != nil {
		return err
	}
	if _, err := temp.Write(payload); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.path(key))
}

func (f files) Remove(_ context.Context, key string) error {
	if err := os.Remove(f.path(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// askParent asks the test for a code, naming this process.
type askParent string

func (a askParent) Ask(ctx context.Context, q session.Question) (string, error) {
	r, err := http.Get(string(a) + "?pid=" + strconv.Itoa(os.Getpid()))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// getInChild is a whole run, in a process of its own: it prints the access key
// ID, or what went wrong and how it would end.
func getInChild() {
	dir := os.Getenv("CHAIN_TEST_DIR")
	c, err := func() (session.Credentials, error) {
		config, err := profile.Load(os.LookupEnv, dir)
		if err != nil {
			return session.Credentials{}, err
		}
		p, err := config.Resolve("admin", profile.Options{Lookup: os.LookupEnv})
		if err != nil {
			return session.Credentials{}, err
		}
		cache := session.NewCache(files(filepath.Join(dir, "store")))
		cache.Locks = session.Locks{Dir: func() (string, error) { return filepath.Join(dir, "locks"), nil }}
		cache.NoInput = os.Getenv("CHAIN_TEST_NO_INPUT") != ""
		cache.Warn = func(err error) { fmt.Fprintln(os.Stderr, "warning:", err) }
		provider, err := chain.For(p, chain.Deps{
			Cache: cache, Ask: askParent(os.Getenv("CHAIN_TEST_ASK")), Lookup: os.LookupEnv, Environ: os.Environ,
			Stderr: os.Stderr, Notice: func(string) {},
		})
		if err != nil {
			return session.Credentials{}, err
		}
		return provider.Credentials(context.Background())
	}()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%T: %v\n", err, err)
		os.Exit(1)
	}
	fmt.Print(c.AccessKeyID)
	os.Exit(0)
}

// family is a user's processes, with the real network, files and locks.
type family struct {
	t     *testing.T
	world *awstest.World
	dir   string
	url   string
	ask   *httptest.Server
	asked chan int // the process that asks
}

// newFamily has a person who answers, where gate is not nil, once it is closed.
func newFamily(t *testing.T, gate chan struct{}) *family {
	f := &family{t: t, world: awstest.Demo(awstest.Options{}), dir: t.TempDir(), asked: make(chan int, 100)}
	var err error
	if f.url, err = f.world.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.world.Close() })
	f.ask = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pid, _ := strconv.Atoi(r.FormValue("pid"))
		f.asked <- pid
		if gate != nil {
			<-gate
		}
		io.WriteString(w, f.world.MFA.Code())
	}))
	t.Cleanup(f.ask.Close)
	for _, d := range []string{"store", "locks", ".aws"} {
		if err := os.Mkdir(filepath.Join(f.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(demo, "= MFA", "= "+f.world.MFA.Serial)
	if err := os.WriteFile(filepath.Join(f.dir, ".aws", "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := session.Credentials{AccessKeyID: f.world.Key.ID, SecretAccessKey: f.world.Key.Secret}
	if err := session.Put(t.Context(), files(filepath.Join(f.dir, "store")), session.UserKey("base"), keys); err != nil {
		t.Fatal(err)
	}
	return f
}

type member struct {
	*exec.Cmd
	out, err strings.Builder
}

func (f *family) start(env ...string) *member {
	f.t.Helper()
	path, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	m := &member{Cmd: exec.CommandContext(f.t.Context(), path)}
	m.Env = append([]string{
		childVar + "=get", "CHAIN_TEST_DIR=" + f.dir, "CHAIN_TEST_ASK=" + f.ask.URL, "AWS_ENDPOINT_URL=" + f.url,
		"AWS_EC2_METADATA_DISABLED=true", "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"),
	}, env...)
	m.Stdout, m.Stderr = &m.out, &m.err
	if err := m.Start(); err != nil {
		f.t.Fatal(err)
	}
	return m
}

const processes = 12

func TestProcessesSignInOnce(t *testing.T) {
	f := newFamily(t, nil)
	var all []*member
	for range processes {
		all = append(all, f.start())
	}
	ids := map[string]int{}
	for _, m := range all {
		if err := m.Wait(); err != nil {
			t.Errorf("%v: %s", err, m.err.String())
		}
		ids[m.out.String()]++
	}
	if len(ids) != 1 {
		t.Errorf("different credentials: %v", ids)
	}
	f.counts(1, 1, 1)
}

func (f *family) counts(sessions, roles, asked int) {
	f.t.Helper()
	if s, r, a := f.world.Count("GetSessionToken"), f.world.Count("AssumeRole"), len(f.asked); s != sessions || r != roles || a != asked {
		f.t.Errorf("%d sessions, %d roles, asked %d times; want %d, %d, %d", s, r, a, sessions, roles, asked)
	}
}

// The operating system drops the lock of a process that was killed, and
// another one takes over.
func TestHolderOfTheLockIsKilled(t *testing.T) {
	f := newFamily(t, nil)
	f.world.Inject(awstest.Fault{Action: "GetSessionToken", Times: 1, Delay: time.Hour})
	all := map[int]*member{}
	for range processes {
		m := f.start()
		all[m.Process.Pid] = m
	}
	if err := f.world.Wait(t.Context(), "GetSessionToken", 1); err != nil {
		t.Fatal(err)
	}
	holder := all[<-f.asked]
	if holder == nil {
		t.Fatal("a stranger asked")
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, m := range all {
		err := m.Wait()
		if m == holder {
			continue
		}
		if err != nil {
			t.Errorf("%v: %s", err, m.err.String())
		}
		ids[m.out.String()]++
	}
	if len(ids) != 1 {
		t.Errorf("different credentials: %v", ids)
	}
	f.counts(2, 1, 1) // the first was cut; its question has been taken out above
}

func TestNoInputDoesNotWaitForOneWhoAsks(t *testing.T) {
	answer := make(chan struct{})
	f := newFamily(t, answer)
	first := f.start()
	<-f.asked
	hook := f.start("CHAIN_TEST_NO_INPUT=1")
	if err := hook.Wait(); err == nil || !strings.Contains(hook.err.String(), "session.Needs") {
		t.Errorf("got %v, %s %s", err, hook.out.String(), hook.err.String())
	}
	close(answer)
	if err := first.Wait(); err != nil {
		t.Errorf("%v: %s", err, first.err.String())
	}
	after := f.start("CHAIN_TEST_NO_INPUT=1")
	if err := after.Wait(); err != nil || after.out.String() != first.out.String() {
		t.Errorf("afterwards got %v, %s %s", err, after.out.String(), after.err.String())
	}
}

func TestSharedFoldersHoldNoSecret(t *testing.T) {
	f := newFamily(t, nil)
	m := f.start()
	if err := m.Wait(); err != nil {
		t.Fatalf("%v: %s", err, m.err.String())
	}
	entries, err := os.ReadDir(filepath.Join(f.dir, "locks"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(f.dir, "locks", e.Name()))
		if err != nil || len(b) != 0 {
			t.Errorf("%s holds %d bytes, %v", e.Name(), len(b), err)
		}
	}
	for _, s := range f.world.Secrets() {
		if strings.Contains(m.err.String(), s) {
			t.Error("a secret on stderr")
		}
	}
}

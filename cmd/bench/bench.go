package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"aws-runas/session/awstest"
)

const (
	parallel    = 50
	profiles    = 10_000
	fewProfiles = 100
	region      = "eu-west-1"
)

// hello is the unit of every ratio.
const hello = `package main

import "fmt"

func main() { fmt.Println("hello, world") }
`

// bench is one run: where it keeps its files, what it built, the AWS it asks,
// and how to take back all that it began.
type bench struct {
	ctx     context.Context
	out     io.Writer
	dir     string // everything that is written; short-lived sockets apart
	program string
	hello   string
	env     []string
	aws     *awstest.AWS
	undo    []func()
}

func run(args, environ []string, out io.Writer) (err error) {
	if len(args) > 1 && args[0] == peakCommand {
		return printPeak(args[1:], out)
	}
	if len(args) == 1 && args[0] == bareCommand {
		return serveBare(os.Stdin, out)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("n", 60, "rounds of interleaved runs")
	limit := flags.Duration("limit", 75*time.Second, "stop adding rounds after this long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 {
		return errors.New("-n must be at least 1")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	b := &bench{ctx: ctx, out: out}
	defer b.close()
	if err := b.setUp(environ); err != nil {
		return err
	}
	work, err := b.workloads()
	if err != nil {
		return err
	}
	times, err := interleave(ctx, *rounds, *limit, work)
	if err != nil {
		return err
	}
	table(out, work, times)
	fmt.Fprintln(out)
	if err := b.coldStarts(); err != nil {
		return err
	}
	if err := b.peak(work); err != nil {
		return err
	}
	if err := b.size(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := b.prompts(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return b.servers()
}

// onClose has f called when the run ends, the last one first.
func (b *bench) onClose(f func()) { b.undo = append(b.undo, f) }

func (b *bench) close() {
	for _, f := range slices.Backward(b.undo) {
		f()
	}
}

// setUp builds what is measured and starts the AWS that it asks.
func (b *bench) setUp(environ []string) error {
	if err := os.MkdirAll(".cache", 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(".cache", "bench-")
	if err != nil {
		return err
	}
	b.onClose(func() { os.RemoveAll(dir) })
	if b.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	b.program, b.hello = b.path("aws-runas"+exe()), b.path("hello"+exe())
	if err := os.WriteFile(b.path("hello.go"), []byte(hello), 0o644); err != nil {
		return err
	}
	for _, build := range [][2]string{{b.hello, b.path("hello.go")}, {b.program, "./cmd/aws-runas"}} {
		cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", build[0], build[1])
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", build[1], err, out)
		}
	}

	b.aws = awstest.New(awstest.Options{})
	endpoint, err := b.aws.Start()
	if err != nil {
		return err
	}
	b.onClose(func() { b.aws.Close() })

	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); strings.ToUpper(name) {
		case "PATH", "LANG", "TZ", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP":
			b.env = append(b.env, kv)
		}
	}
	b.env = append(b.env,
		"HOME="+b.dir, "USERPROFILE="+b.dir,
		"XDG_DATA_HOME="+b.path("data"),
		"XDG_STATE_HOME="+b.path("state"),
		"AWS_CONFIG_FILE="+b.path("config"),
		"AWS_SHARED_CREDENTIALS_FILE="+b.path("credentials"),
		"AWS_ENDPOINT_URL="+endpoint,
		"AWS_EC2_METADATA_DISABLED=true",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent",
	)
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) note(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// with returns the environment with changes, the last of which wins.
func (b *bench) with(env ...string) []string { return slices.Concat(b.env, env) }

// person is an IAM user with a profile for the keys and one for a role.
type person struct {
	user       *awstest.User
	key        awstest.Key
	keys, role string // profile names
	config     string
}

// person makes one up. Its name is in no keyring yet.
func (b *bench) person(mfa *awstest.MFADevice, user *awstest.User) person {
	account := b.aws.Default()
	name := "bench-" + strings.ToLower(rand.Text()[:8])
	if user == nil {
		user = account.User(name)
	}
	role := account.Role(name, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`, account.RootARN()))
	p := person{user: user, key: user.AddKey(), keys: name, role: name + "-role"}
	p.config = fmt.Sprintf("[profile %s]\nregion = %s\n\n[profile %s]\nrole_arn = %s\nsource_profile = %s\n", p.keys, region, p.role, role.ARN, p.keys)
	if mfa != nil {
		p.config += "mfa_serial = " + mfa.Serial + "\n"
	}
	return p
}

// addKeys puts p's keys into the keyring that env names.
func (b *bench) addKeys(p person, env []string) error {
	cmd := exec.CommandContext(b.ctx, b.program, "keys", "add", p.keys)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(p.key.ID + "\n" + p.key.Secret + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("keys add: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// forget takes p's records out of the keyring that env names.
func (b *bench) forget(p person, env []string) {
	for _, args := range [][]string{{"logout", p.role}, {"logout", p.keys}, {"keys", "remove", p.keys}} {
		// Not b.ctx: this has to happen after an interrupt, too.
		cmd := exec.Command(b.program, args...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			b.note("%s was left in the keyring: %s", p.keys, bytes.TrimSpace(out))
		}
	}
}

func (b *bench) workloads() ([]workload, error) {
	p := b.person(nil, nil)
	if err := os.WriteFile(b.path("config"), []byte(p.config), 0o600); err != nil {
		return nil, err
	}
	for _, n := range []int{fewProfiles, profiles} {
		if err := b.manyProfiles(p, n); err != nil {
			return nil, err
		}
	}
	many := "AWS_CONFIG_FILE=" + b.path("config-"+strconv.Itoa(profiles))
	work := []workload{
		{name: "hello-world", argv: []string{b.hello}, env: b.env},
		{name: "aws-runas --version", argv: []string{b.program, "--version"}, env: b.env, target: 3},
	}
	var warm []string // the environment of the first keyring that works
	for _, k := range b.keyrings() {
		w := workload{name: "env, warm, " + k.name, argv: []string{b.program, "env", "--shell", "posix", p.role}, target: k.target}
		env, err := k.start()
		if err == nil {
			w.env = env
			err = b.makeWarm(p, w)
		}
		if err != nil {
			b.note("not measured: env with %s: %v", k.name, err)
			continue
		}
		if k.after != nil {
			w.env = k.after(w.env)
			if err := b.isWarm(w); err != nil {
				b.note("not measured: env with %s: %v", k.name, err)
				continue
			}
		}
		if warm == nil {
			warm = w.env
		}
		work = append(work, w)
	}
	if warm == nil {
		return nil, errors.New("no keyring works here")
	}
	cold := slices.Clone(work[2].argv)
	work = append(work,
		workload{name: "env, cold: one AssumeRole on loopback", argv: slices.Insert(cold, 2, "--refresh"), env: warm},
		workload{name: fmt.Sprintf("env, warm, %d profiles", profiles), argv: work[2].argv, env: slices.Concat(warm, []string{many}), target: 15},
		workload{name: fmt.Sprintf("list profiles, %d of them", profiles), argv: []string{b.program, "list", "profiles"}, env: slices.Concat(b.env, []string{many})},
		workload{
			name: fmt.Sprintf("completion, %d profiles, all fit", fewProfiles), argv: []string{b.program, "__complete", "fish", "aws-runas", "env", "team"},
			env: b.with("AWS_CONFIG_FILE=" + b.path("config-"+strconv.Itoa(fewProfiles))), target: 4,
		},
		workload{
			name: fmt.Sprintf("completion, %d profiles, 11 fit", profiles), argv: []string{b.program, "__complete", "fish", "aws-runas", "env", "team777"},
			env: b.with(many), target: 10,
		},
		workload{
			name: fmt.Sprintf("completion, %d profiles, all fit", profiles), argv: []string{b.program, "__complete", "fish", "aws-runas", "env", "team"},
			env: b.with(many),
		},
	)
	for _, peer := range []string{"aws-vault", "granted", "aws-sso", "saml2aws", "awsume"} {
		if path, err := exec.LookPath(peer); err == nil {
			w := workload{name: peer + " --version", argv: []string{path, "--version"}, env: b.env}
			if _, err := w.output(b.ctx); err != nil {
				b.note("not measured: %v", err)
				continue
			}
			work = append(work, w)
		}
	}
	return work, nil
}

// makeWarm puts p's keys into the keyring of w and runs w until it is warm.
func (b *bench) makeWarm(p person, w workload) error {
	b.onClose(func() { b.forget(p, w.env) })
	if err := b.addKeys(p, w.env); err != nil {
		return err
	}
	if _, err := w.output(b.ctx); err != nil {
		return err
	}
	return b.isWarm(w)
}

// isWarm makes sure that w prints credentials and asks nobody for them.
func (b *bench) isWarm(w workload) error {
	before := b.aws.Count("")
	out, err := w.output(b.ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "AWS_SESSION_TOKEN=") {
		return fmt.Errorf("it printed no session token")
	}
	if asked := b.aws.Count("") - before; asked > 0 {
		return fmt.Errorf("a second run asked AWS %d times", asked)
	}
	return nil
}

// manyProfiles writes a config file of n profiles with p's in the middle.
func (b *bench) manyProfiles(p person, n int) error {
	var text bytes.Buffer
	for i := range n {
		if i == n/2 {
			text.WriteString(p.config)
		}
		fmt.Fprintf(&text, "[profile team%d-role]\nrole_arn = arn:aws:iam::%012d:role/engineer\nsource_profile = default\nregion = %s\n\n", i, i, region)
	}
	return os.WriteFile(b.path("config-"+strconv.Itoa(n)), text.Bytes(), 0o600)
}

// coldStarts begins many processes at once with nothing cached, as a parallel
// make does, and counts what reaches AWS.
func (b *bench) coldStarts() error {
	var walls []time.Duration
	var calls string
	for i := range 3 {
		user := b.aws.Default().User("cold" + strconv.Itoa(i))
		device := user.AddMFA(user.Name)
		p := b.person(device, user)
		config := b.path("config-cold" + strconv.Itoa(i))
		if err := os.WriteFile(config, []byte(p.config), 0o600); err != nil {
			return err
		}
		env := b.with("AWS_CONFIG_FILE="+config, "AWSRUNAS_KEYRING=file", "AWSRUNAS_PASSPHRASE="+rand.Text(), "XDG_DATA_HOME="+b.path("cold"+strconv.Itoa(i)))
		if err := b.addKeys(p, env); err != nil {
			return err
		}
		b.aws.Reset()
		w := workload{name: "env, cold, parallel", argv: []string{b.program, "-o", device.Code(), "env", "--shell", "posix", p.role}, env: env}
		outputs, errs := make([]string, parallel), make([]error, parallel)
		var all sync.WaitGroup
		start := time.Now()
		for n := range parallel {
			all.Go(func() { outputs[n], errs[n] = w.output(b.ctx) })
		}
		all.Wait()
		walls = append(walls, time.Since(start))
		if err := errors.Join(errs...); err != nil {
			return err
		}
		slices.Sort(outputs)
		calls = fmt.Sprintf("%d GetSessionToken, %d AssumeRole, ", b.aws.Count("GetSessionToken"), b.aws.Count("AssumeRole"))
		if different := len(slices.Compact(outputs)); different == 1 {
			calls += "all with the same credentials"
		} else {
			calls += fmt.Sprintf("%d different outputs", different)
		}
	}
	b.note("%-46s %9.0f ms (%.0f-%.0f)  %s", fmt.Sprintf("%d parallel cold starts, encrypted file", parallel),
		ms(quantile(walls, 0.5)), ms(quantile(walls, 0)), ms(quantile(walls, 1)), calls)
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// peakCommand makes the program print the peak memory of a command instead. A
// child started by a large process is charged with that process's memory, so a
// small one has to start it.
const peakCommand = "-peak-of"

func printPeak(argv []string, out io.Writer) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Run(); err != nil {
		return err
	}
	peak, ok := maxRSS(cmd.ProcessState)
	if !ok {
		return errors.ErrUnsupported
	}
	_, err := fmt.Fprintln(out, peak)
	return err
}

// peak prints the peak memory of a warm run.
func (b *bench) peak(work []workload) error {
	i := slices.IndexFunc(work, func(w workload) bool { return strings.HasPrefix(w.name, "env, warm, ") })
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w := work[i]
	w.argv = append([]string{self, peakCommand}, w.argv...)
	var peaks []int64
	for range 5 {
		out, err := w.output(b.ctx)
		if err != nil {
			b.note("not measured: peak memory: %v", err)
			return nil
		}
		bytes, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return err
		}
		peaks = append(peaks, bytes)
	}
	mib := float64(slices.Max(peaks)) / (1 << 20)
	b.note("%-46s %9.1f MiB  %s", "peak memory of "+w.name, mib, verdict(mib, 18, " MiB"))
	return nil
}

// size prints the size of the stripped program.
func (b *bench) size() error {
	info, err := os.Stat(b.program)
	if err != nil {
		return err
	}
	mb := float64(info.Size()) / 1e6
	b.note("%-46s %9.1f MB   %s", "stripped program", mb, verdict(mb, 15, " MB"))
	return nil
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

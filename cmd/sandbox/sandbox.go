package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"aws-runas/session/awstest"
	"aws-runas/shell"
)

// controlVariable holds the address at which a command inside the sandbox
// reaches it.
const controlVariable = "AWSRUNAS_SANDBOX"

// run is the whole program: the sandbox itself or, under another name, one of
// the commands that it puts into its PATH.
func run(args, env []string, in *os.File, out, messages io.Writer) int {
	signals := catch()
	defer signals.stop()
	ctx := signals.ctx
	lookup := lookupIn(env)
	var err error
	switch strings.TrimSuffix(filepath.Base(args[0]), ".exe") {
	case "mfa":
		err = mfa(ctx, lookup, out, messages)
	case "buckets":
		err = buckets(ctx, lookup, out)
	case "aws":
		err = awsCLI(ctx, args, env, in, out, messages)
	case browserCommand():
		err = visit(ctx, args[1:])
	default:
		err = sandbox(signals, args[1:], env, in, out, messages)
	}
	var usage usageError
	var child childStatus
	switch sig := signals.caught(); {
	case sig != 0:
		return 128 + int(sig)
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &child):
		return int(child)
	case errors.As(err, &usage):
		fmt.Fprintf(messages, "sandbox: %v\n", err)
		return 2
	}
	fmt.Fprintf(messages, "sandbox: %v\n", err)
	return 1
}

type usageError struct{ error }

// childStatus is the exit code of a program that this one stood in for.
type childStatus int

func (s childStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// signals ends a context on INT, TERM or HUP. INT is caught rather than
// ignored, because what is ignored stays so in every child.
type signals struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	c      chan os.Signal
	noINT  atomic.Bool // a key pressed is the affair of whoever has the terminal
}

func catch() *signals {
	s := &signals{c: make(chan os.Signal, 1)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	signal.Notify(s.c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for {
			select {
			case sig := <-s.c:
				if sig != os.Interrupt || !s.noINT.Load() {
					s.cancel(stopped{sig})
					return
				}
			case <-s.ctx.Done():
				return
			}
		}
	}()
	return s
}

func (s *signals) stop() {
	signal.Stop(s.c)
	s.cancel(nil)
}

// caught is the signal that ended the context, or 0.
func (s *signals) caught() syscall.Signal {
	var by stopped
	if errors.As(context.Cause(s.ctx), &by) {
		if n, ok := by.Signal.(syscall.Signal); ok {
			return n
		}
	}
	return 0
}

type stopped struct{ os.Signal }

func (s stopped) Error() string { return "stopped by " + s.Signal.String() }

func lookupIn(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, entry := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// options are the flags.
type options struct {
	lifetime       time.Duration
	script         bool
	throttle, fail int
	delay, skew    time.Duration
}

func parse(args []string, messages io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	f.SetOutput(messages)
	f.Usage = func() {
		fmt.Fprintln(messages, "usage: sandbox [flags]\n\nOpens a shell with aws-runas and a local AWS; without a terminal, tours them.")
		f.PrintDefaults()
	}
	f.DurationVar(&o.lifetime, "lifetime", 0, "let credentials last this long at most, such as 60s")
	f.BoolVar(&o.script, "script", false, "tour, even on a terminal")
	f.IntVar(&o.throttle, "throttle", 0, "throttle the first `n` requests")
	f.IntVar(&o.fail, "fail", 0, "answer the first `n` requests with 503")
	f.DurationVar(&o.delay, "delay", 0, "answer each request this late")
	f.DurationVar(&o.skew, "skew", 0, "put AWS's clock this far ahead")
	if err := f.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = usageError{err}
		}
		return o, err
	}
	if f.NArg() > 0 {
		return o, usageError{fmt.Errorf("unexpected argument %q", f.Arg(0))}
	}
	return o, nil
}

// place is a running sandbox.
type place struct {
	world     *awstest.World
	url       string // of the AWS
	providers *providers
	home      string
	bin       string // first in PATH
	env       []string
}

func sandbox(signals *signals, args, env []string, in *os.File, out, messages io.Writer) (err error) {
	o, err := parse(args, messages)
	if err != nil {
		return err
	}
	interactive := !o.script && isatty.IsTerminal(in.Fd()) && isTerminal(out)

	world := awstest.Demo(awstest.Options{Lifetime: o.lifetime})
	world.SetSkew(o.skew)
	url, err := world.Start()
	if err != nil {
		return err
	}
	defer world.Close()
	signIn, err := startProviders(world)
	if err != nil {
		return err
	}
	defer signIn.Close()
	control, err := startControl(world.MFA)
	if err != nil {
		return err
	}
	defer control.Close()

	p, err := furnish(world, url, signIn, control.url, env, !interactive)
	if p != nil {
		// Whatever was started in here ends before its home goes.
		defer func() {
			err = errors.Join(err, p.signOut())
			endLeftovers(controlVariable + "=" + control.url)
			err = errors.Join(err, os.RemoveAll(p.home))
		}()
	}
	if err != nil {
		return err
	}
	if o.throttle > 0 {
		world.Inject(awstest.Throttled("", o.throttle))
	}
	if o.fail > 0 {
		world.Inject(awstest.Unavailable("", o.fail))
	}
	if o.delay > 0 {
		world.Inject(awstest.Fault{Delay: o.delay})
	}
	if interactive {
		signals.noINT.Store(true)
		return p.shell(signals.ctx, in, out, messages)
	}
	return p.tour(signals.ctx, out)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// furnish makes the home: profiles, and a folder of commands. The place comes
// back even with an error, so that it can be removed.
func furnish(world *awstest.World, url string, signIn *providers, control string, env []string, tour bool) (*place, error) {
	home, err := os.MkdirTemp("", "aws-runas-sandbox-")
	if err != nil {
		return nil, err
	}
	p := &place{world: world, url: url, providers: signIn, home: home, bin: filepath.Join(home, "bin")}
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	program, err := findProgram(self)
	if err != nil {
		return p, err
	}
	for _, dir := range []string{p.bin, filepath.Join(home, ".aws"), filepath.Join(home, "tmp"), filepath.Join(home, ".config", "fish")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return p, err
		}
	}
	commands := map[string]string{"aws-runas": program, "mfa": self, "buckets": self}
	if browser := browserCommand(); browser != "" {
		commands[browser] = self
	}
	if _, err := lookPath(env, "aws", p.bin); err == nil {
		commands["aws"] = self
	}
	for name, target := range commands {
		if err := link(target, filepath.Join(p.bin, name)); err != nil {
			return p, err
		}
	}
	files := map[string]string{
		".aws/config": p.config(tour),
		".bashrc":     "PS1='sandbox:\\w\\$ '\n" + `eval "$(aws-runas hook bash)"` + "\n",
		// -D, -u: no file is kept, nothing is asked about folders of others.
		".zshrc": "PROMPT='sandbox:%~%# '\nautoload -Uz compinit; compinit -D -u\n" + `eval "$(aws-runas hook zsh)"` + "\n",

		".config/fish/config.fish": "set fish_greeting\naws-runas hook fish | source\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			return p, err
		}
	}
	p.env = p.environment(env, control)
	return p, nil
}

// findProgram prefers the aws-runas that was built with this sandbox.
func findProgram(self string) (string, error) {
	name := "aws-runas"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	if beside := filepath.Join(filepath.Dir(self), name); isFile(beside) {
		return beside, nil
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside %s nor in PATH: run make demo", name, self)
	}
	return filepath.Abs(found)
}

// hasAWS reports whether the AWS CLI is there.
func (p *place) hasAWS() bool {
	_, err := lookPath(p.env, "aws", p.bin)
	return err == nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// link makes a command of another name; Windows, where links need a privilege,
// gets a copy.
func link(target, path string) error {
	if runtime.GOOS != "windows" {
		return os.Symlink(target, path)
	}
	from, err := os.Open(target)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".exe", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// config is ~/.aws/config. Only in the tour, where nobody can be asked, does a
// command give the MFA code.
func (p *place) config(tour bool) string {
	var b strings.Builder
	section := func(name string, settings ...string) {
		fmt.Fprintf(&b, "[%s]\nregion = eu-west-1\nendpoint_url = %s\n", name, p.url)
		for i := 0; i+1 < len(settings); i += 2 {
			fmt.Fprintf(&b, "%s = %s\n", settings[i], settings[i+1])
		}
		b.WriteByte('\n')
	}
	mfa := []string{"mfa_serial", p.world.MFA.Serial}
	if tour {
		mfa = append(mfa, "mfa_process", "mfa")
	}
	role := func(r *awstest.Role, more ...string) []string {
		return append([]string{"source_profile", "demo-user", "role_arn", r.ARN}, more...)
	}
	section("default", mfa...)
	section("profile demo-user", mfa...)
	section("profile demo", role(p.world.Admin, mfa...)...)
	section("profile readonly", role(p.world.ReadOnly, mfa...)...)
	section("profile prod", role(p.world.Prod, append(mfa, "credentials_duration", "2h")...)...)
	section("profile external", role(p.world.Partner, "external_id", p.world.ExternalID)...)
	section("profile chain", "source_profile", "demo", "role_arn", p.world.Deploy.ARN)
	section("profile saml", "role_arn", p.providers.samlRole.ARN, "saml_auth_url", p.providers.saml.AuthURL(), "saml_username", person)
	section("profile oidc", "role_arn", p.providers.webRole.ARN, "web_identity_auth_url", p.providers.openID.Issuer(),
		"web_identity_client_id", clientID, "web_identity_redirect_uri", redirectURI)
	section("profile sso", "sso_session", "corp", "sso_account_id", "123456789012", "sso_role_name", permissionSet)
	fmt.Fprintf(&b, "[sso-session corp]\nsso_start_url = %s\nsso_region = eu-west-1\nsso_registration_scopes = sso:account:access\n", startURL)
	return b.String()
}

// kept are the variables that a shell is useless without. Everything else of
// the caller's environment stays outside: real credentials, proxies, settings.
var kept = []string{"PATH", "TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "SHELL", "USER", "LOGNAME", "COLUMNS", "LINES",
	"SystemRoot", "windir", "ComSpec", "PATHEXT", "USERNAME"}

// deadProxy is an address at which nobody answers: port 9 is discard.
const deadProxy = "http://127.0.0.1:9"

func (p *place) environment(env []string, control string) []string {
	lookup := lookupIn(env)
	var out []string
	set := func(name, value string) { out = append(out, name+"="+value) }
	for _, entry := range env {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "LC_") {
			out = append(out, entry)
		}
	}
	for _, name := range kept {
		if value, ok := lookup(name); ok && name != "PATH" {
			set(name, value)
		}
	}
	path, _ := lookup("PATH")
	set("PATH", p.bin+string(os.PathListSeparator)+path)
	tmp := filepath.Join(p.home, "tmp")
	for name, value := range map[string]string{
		"HOME": p.home, "USERPROFILE": p.home, "APPDATA": p.home, "LOCALAPPDATA": p.home,
		"XDG_CONFIG_HOME": filepath.Join(p.home, ".config"),
		"XDG_DATA_HOME":   filepath.Join(p.home, ".local", "share"),
		"XDG_STATE_HOME":  filepath.Join(p.home, ".local", "state"),
		"XDG_CACHE_HOME":  filepath.Join(p.home, ".cache"),
		"TMPDIR":          tmp, "TMP": tmp, "TEMP": tmp,
		"AWS_CONFIG_FILE":             filepath.Join(p.home, ".aws", "config"),
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(p.home, ".aws", "credentials"),
		// Nothing may leave this machine, whichever service a command asks for:
		// what does not know the endpoint variable runs into a dead proxy.
		"AWS_ENDPOINT_URL":          p.url,
		"AWS_EC2_METADATA_DISABLED": "true",
		"HTTP_PROXY":                deadProxy,
		"HTTPS_PROXY":               deadProxy,
		"NO_PROXY":                  "127.0.0.1,localhost",
		"DBUS_SESSION_BUS_ADDRESS":  "unix:path=" + filepath.Join(p.home, "no-bus"),
		"BROWSER":                   browserCommand(),
		"AWSRUNAS_KEYRING":          "file",
		"AWSRUNAS_PASSPHRASE":       rand.Text(),
		controlVariable:             control,
	} {
		set(name, value)
	}
	slices.Sort(out)
	return out
}

// command prepares a command inside. It ends with ctx: politely at first.
func (p *place) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = p.env, p.home
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// addKeys puts the demo user's keys into the keyring, as a person would.
func (p *place) addKeys(ctx context.Context, name string) error {
	cmd := p.command(ctx, filepath.Join(p.bin, "aws-runas"), "keys", "add", name)
	cmd.Stdin = strings.NewReader(p.world.Key.ID + "\n" + p.world.Key.Secret + "\n")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("aws-runas keys add %s: %w\n%s", name, err, said)
	}
	return nil
}

// signOut takes back what aws-runas keeps outside the home: the kernel keyring
// may hold the key that opens the encrypted file.
func (p *place) signOut() error {
	if p.env == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if said, err := p.command(ctx, filepath.Join(p.bin, "aws-runas"), "logout", "--all").CombinedOutput(); err != nil {
		return fmt.Errorf("aws-runas logout --all: %w\n%s", err, said)
	}
	return nil
}

const welcome = `
An AWS of your own: nothing here is real, nothing leaves this machine, and all
of it goes when you leave the shell. Who asks for an MFA code gets what mfa
prints; the password of the identity provider is %s.

`

func (p *place) welcome(shellName string) string {
	d, err := shell.Parse(shellName)
	if err != nil {
		d = shell.POSIX
	}
	list := "buckets"
	if p.hasAWS() {
		list = "aws s3 ls"
	}
	on, off := d.EvalLine("aws-runas env demo"), d.EvalLine("aws-runas env off")
	if d == shell.Bash || d == shell.Zsh || d == shell.Fish { // which load the hook here
		on, off = "runas demo", "runas off"
	}
	var b strings.Builder
	fmt.Fprintf(&b, welcome, password)
	for _, line := range [][2]string{
		{"aws-runas list profiles", "what there is"},
		{on, "this shell has demo's credentials"},
		{"aws-runas whoami demo", "who that is, and for how long"},
		{"aws-runas readonly -- " + list, "one command has them, kept fresh"},
		{"aws-runas whoami --check external", "a role that asks for an external id"},
		{"aws-runas -O json chain", "a chain of roles, as credential_process"},
		{"aws-runas whoami --check saml", "by SAML; oidc and sso are there, too"},
		{off, "back to nothing"},
		{"exit", "the end"},
	} {
		fmt.Fprintf(&b, "  %-36s  %s\n", line[0], line[1])
	}
	return b.String() + "\n"
}

// shell opens a subshell and returns when it ends, whatever its status.
func (p *place) shell(ctx context.Context, in *os.File, out, messages io.Writer) error {
	for _, name := range []string{"demo-user", "default"} {
		if err := p.addKeys(ctx, name); err != nil {
			return err
		}
	}
	program, _ := lookupIn(p.env)("SHELL")
	if program == "" {
		program = "sh"
		if runtime.GOOS == "windows" {
			program = "powershell"
		}
	}
	io.WriteString(out, p.welcome(program))

	cmd := p.command(ctx, program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, messages
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil // the status of a person's last command is no failure of ours
	}
	return err
}

// control answers commands that run inside.
type control struct {
	url    string
	server *http.Server
	done   chan struct{}
}

func (c *control) Close() error {
	err := c.server.Close()
	<-c.done
	return err
}

package cmd

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/metadata"
	"aws-runas/session"
	"aws-runas/session/profile"
	"aws-runas/shell"
)

type execCmd struct {
	Env    bool     `short:"E" help:"Give the command plain variables rather than the renewing endpoint. ($$RUNAS_ENV_CREDENTIALS)"`
	Output string   `short:"O" placeholder:"FORMAT" complete:"output" help:"Without a command: env, json (credential_process) or dotenv. ($$RUNAS_OUTPUT_FORMAT)"`
	Words  []string `arg:"" optional:"" passthrough:"partial" complete:"profile" name:"PROFILE|ROLE-ARN" help:"The profile, and the command with its arguments."`
	overrides
	request
}

// Help is shown below the usage.
func (*execCmd) Help() string {
	return `Everything after the profile belongs to the command; flags of aws-runas come before it. With AWS_PROFILE set, or after --, the words are the command alone.

Without a command the credentials are printed, as env does.`
}

func (c *execCmd) Run(a *app) error {
	if c.Output != "" {
		if _, err := a.format(c.Output, strings.Join(c.Words, "")); err != nil {
			return err
		}
	}
	name, command, err := a.split(c.Words)
	if err != nil {
		return err
	}
	a.wraps = len(command) > 0
	if !a.wraps {
		return a.printCredentials(name, &envCmd{Output: c.Output, overrides: c.overrides, request: c.request})
	}
	if c.Output != "" {
		return usage("-O says how to print credentials, so it takes no command").hint("aws-runas -O %s %s", c.Output, word(name))
	}
	start, err := a.prepare(name, c)
	if err != nil {
		return err
	}
	return start(a, command)
}

// split tells the profile from the command.
func (a *app) split(words []string) (name string, command []string, err error) {
	if len(words) > 0 && words[0] == "--" {
		words = words[1:] // readLine's
	}
	if len(words) == 0 || words[0] == "--" {
		name, err = a.profileName("")
		if len(words) > 0 {
			words = words[1:]
		}
		if own := (*failure)(nil); errors.As(err, &own) && len(words) > 0 {
			if config, e := a.config(); e == nil && config.Has(words[0]) { // the original's way
				i := len(a.args) - len(words) - 1
				own.advice = commandLine(slices.Concat([]string{"aws-runas"}, a.args[:i], words))
			}
		}
		return name, words, err
	}
	first, rest := words[0], words[1:]
	known := profile.IsRoleARN(first)
	if !known {
		config, err := a.config()
		if err != nil {
			return "", nil, err
		}
		known = config.Has(first)
		if !known {
			for _, v := range [...]string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
				if name := a.env.Get(v); name != "" {
					return name, words, nil
				}
			}
			return "", nil, a.unknownWord(config, first, rest)
		}
	}
	if len(rest) > 0 && rest[0] == "--" {
		return first, rest[1:], nil
	}
	if len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		return "", nil, a.misplacedFlag(first, rest)
	}
	return first, rest, nil
}

// unknownWord is the error about a first word that is neither a profile nor a
// command. The hint is the line with the nearest of either.
func (a *app) unknownWord(config *profile.Config, first string, rest []string) error {
	if isARN(first) {
		return a.noRole(first)
	}
	err := fail(exitConfig, "no profile and no command is named %q", first)
	if line := a.elsewhere(first, rest); line != "" {
		err.code, a.wraps = exitUsage, false
		return err.hint("%s", line)
	}
	var meant []string
	if c := profile.Nearest(first, commandNames()); c != "" {
		meant = append(meant, c)
		err.code, a.wraps = exitUsage, false
	}
	if p := config.Closest(first); p != "" {
		meant = append(meant, p)
	}
	if len(meant) == 0 {
		return err.hint("%s", cmp.Or(a.noProfiles(config), "aws-runas list profiles"))
	}
	var lines []string
	for _, m := range meant {
		lines = append(lines, commandLine(slices.Concat([]string{"aws-runas"}, a.before(rest), []string{m}, rest)))
	}
	return err.hint("%s", strings.Join(lines, "\nhint: "))
}

// elsewhere is the line of ours for a command by another name: one that the
// original, aws-vault, granted, aws-sso-cli or saml2aws has for it, or "".
func (a *app) elsewhere(name string, rest []string) string {
	alone, with := "", ""
	switch name {
	case "help":
		return "aws-runas --help"
	case "ls":
		alone, with = "list profiles", "list"
	case "profiles", "roles":
		with = "list " + name
	case "diagnose", "diag":
		with = "env --explain"
	case "add", "configure":
		with = "keys add"
	case "remove", "rm":
		with = "keys remove"
	case "export", "eval", "assume", "use", "script":
		with = "env"
	case "unset", "off":
		alone = "env off"
	case "clear", "flush":
		alone, with = "logout --all", "logout"
	case "srv", "server":
		with = "serve"
	case "ec2", "ecs":
		with = "serve " + name
	case "passwd", "pw":
		with = "password"
	}
	line := append([]string{"aws-runas"}, a.before(rest)...)
	switch {
	case alone != "" && len(rest) == 0:
		with = alone
	case with == "":
		return ""
	case slices.ContainsFunc(rest, func(s string) bool { return strings.HasPrefix(s, "-") }):
		rest = []string{"--help"} // the flags are other ones, too
	}
	return commandLine(slices.Concat(line, strings.Fields(with), rest))
}

// before is what was typed before the profile that stands before rest.
func (a *app) before(rest []string) []string { return a.args[:len(a.args)-len(rest)-1] }

// misplacedFlag is the error about a flag behind the profile. If it is ours,
// the hint is the line put right.
func (a *app) misplacedFlag(name string, rest []string) error {
	err := usage("%q stands behind the profile, where the command is expected", rest[0])
	if !isFlag(rest[0]) {
		return err.hint("aws-runas exec --help")
	}
	flags, command := rest[:firstWord(rest)], rest[firstWord(rest):]
	return err.hint("%s", commandLine(slices.Concat([]string{"aws-runas"}, a.before(rest), flags, []string{name}, command)))
}

func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = word(w)
	}
	return strings.Join(quoted, " ")
}

// prepare gets the credentials and makes all ready, so that whatever goes wrong
// does so before the command starts.
func (a *app) prepare(name string, c *execCmd) (func(*app, []string) error, error) {
	plain, err := a.boolVar(c.Env, "RUNAS_ENV_CREDENTIALS")
	if err != nil {
		return nil, err
	}
	acc, err := a.open(name, &c.overrides, &c.request)
	if err != nil {
		return nil, err
	}
	ctx, stop := interruptible()
	defer stop()
	creds, err := a.credentials(ctx, acc, &c.request)
	if err != nil {
		return nil, err
	}
	if plain {
		change := a.exports(acc.profile, creds, acc.renewal)
		for name, value := range change.Set {
			if strings.IndexByte(value, 0) >= 0 {
				return nil, fail(exitFailure, "variable %q: no variable can carry a NUL byte", name)
			}
		}
		return func(a *app, command []string) error {
			return replaceProcess(a, command, a.env.with(change.Set, change.Unset))
		}, nil
	}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	return a.withEndpoint(acc, config, creds, c, nil)
}

// withEndpoint starts the private endpoint and returns what runs the command
// with it.
func (a *app) withEndpoint(acc *access, config *profile.Config, creds session.Credentials, c *execCmd, more map[string]string) (func(*app, []string) error, error) {
	// From here on the terminal is the command's: a renewal asks nobody, and the
	// code that was given has had its time.
	quiet := *c
	quiet.OTP, quiet.Refresh = "", false
	delete(a.env.vars, "MFA_CODE")
	silent := a.unattended()
	again, err := silent.open(acc.renewal.Profile, &quiet.overrides, &quiet.request)
	if err != nil {
		return nil, err
	}
	token, err := randomToken()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           metadata.Private(metadata.Hold(again.provider, creds, a.now), token, a.now),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	set := a.childSettings(acc.profile, config, "http://"+listener.Addr().String()+metadata.CredentialsPath, token)
	cleanup := func() {}
	if config.DefaultYieldsCredentials() {
		// The AWS CLI asks [default] before it asks the endpoint.
		path, err := a.configWithoutCredentials(config)
		if err != nil {
			listener.Close()
			return nil, err
		}
		set["AWS_CONFIG_FILE"] = path
		cleanup = func() { os.Remove(path) }
	}
	change := a.change(set)
	maps.Copy(change.Set, more)
	return func(a *app, command []string) error {
		defer cleanup()
		go server.Serve(listener)
		defer server.Close()
		return runChild(a, command, a.env.with(change.Set, change.Unset))
	}, nil
}

// unattended is this run without anybody to ask.
func (a *app) unattended() *app {
	b := *a
	b.NoInput, b.ttyOnce, b.cacheOnce = true, nil, nil
	b.keychain() // shared: what is open stays open
	b.cache().Margin = session.ServerMargin
	return &b
}

func randomToken() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// configWithoutCredentials writes the config file that the command is to see.
func (a *app) configWithoutCredentials(config *profile.Config) (string, error) {
	text, err := config.WithoutCredentials()
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(a.env.Get("TMPDIR"), "aws-runas-config-") // 0600
	if err != nil {
		return "", a.noCopy(err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", a.noCopy(err)
	}
	return f.Name(), nil
}

// noCopy is the error about the copy of the config file. A folder for temporary
// files that is not the user's is none to change the owner of.
func (a *app) noCopy(err error) error {
	var denied *fs.PathError
	if a.env.Get("TMPDIR") == "" || errors.As(err, &denied) && full(denied) {
		return err
	}
	return fail(exitFailure, "the config file for the command cannot be written: %v", err).hint("unset TMPDIR")
}

// runChild runs the command, waits for it and returns its exit code.
func runChild(a *app, command, env []string) error {
	path, err := lookPath(a, command[0])
	if err != nil {
		return err
	}
	child := &exec.Cmd{Path: path, Args: command, Env: env, Stdin: a.In, Stdout: a.Out, Stderr: a.Err}
	// Ctrl-C reaches the child by the terminal and is the child's to answer. A
	// signal that is caught here is not ignored there, as one that is ignored
	// would be.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, caught(droppedSignals, forwardedSignals)...)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return a.notRunnable(command[0], err)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				for _, f := range forwardedSignals {
					if s == f {
						child.Process.Signal(s)
					}
				}
			case <-done:
				return
			}
		}
	}()
	err = child.Wait()
	close(done)
	var exited *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exited):
		return exitCode(statusOf(exited))
	}
	return err
}

// lookPath finds the command as a shell does: where PATH names the current
// folder, there too.
func lookPath(a *app, name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && (!errors.Is(err, exec.ErrDot) || runtime.GOOS == "windows") {
		return "", a.notRunnable(name, err)
	}
	return path, nil
}

func (a *app) notRunnable(name string, err error) error {
	code, why := exitNotRunnable, "cannot be run"
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		code, why = exitNotFound, "is not found"
	case errors.Is(err, exec.ErrDot):
		why = "is in this folder and not in PATH: name it " + strconv.Quote(`.\`+name)
	}
	a.say("command %s %s", strconv.Quote(name), why)
	return exitCode(code)
}

// interruptible is a context that Ctrl-C and a polite kill end.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), caught([]os.Signal{os.Interrupt}, forwardedSignals)...)
}

// caught are those of the signals that this process was not started to ignore,
// as nohup has it with the hang-up and a script with the Ctrl-C of its background
// jobs: to catch one would undo that, here and in the command. SIGTERM, or Ctrl-C
// on Windows, is always left.
func caught(lists ...[]os.Signal) []os.Signal {
	return slices.DeleteFunc(slices.Concat(lists...), signal.Ignored)
}

// plainVariables are the variables that a program needs, without the marks
// that are for shells.
func (a *app) plainVariables(p *profile.Profile, c session.Credentials) shell.Change {
	set := maps.Clone(a.exports(p, c, renewal{}).Set)
	for _, name := range markerVars {
		delete(set, name)
	}
	return shell.Change{Set: set}
}

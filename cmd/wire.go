package cmd

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/user"
	"runtime"
	"slices"
	"time"

	"aws-runas/cmd/tty"
	"aws-runas/keychain"
	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/session/profile"

	"github.com/mattn/go-isatty"
)

// app is one run: the streams, the environment, and the parts, each opened
// when it is first needed.
type app struct {
	Streams
	globals
	args  []string
	wraps bool // a command is to be run
	env   environ
	now   func() time.Time
	locks session.Locks

	configOnce *profile.Config
	keysOnce   *keychain.Keychain
	ttyOnce    *tty.TTY
	cacheOnce  *session.Cache
}

func newApp(env []string, s Streams) *app {
	return &app{Streams: s, env: newEnviron(env), now: time.Now, locks: session.SystemLocks()}
}

func (a *app) home() string {
	if h := a.env.Get("HOME"); h != "" {
		return h
	}
	if h := a.env.Get("USERPROFILE"); h != "" {
		return h
	}
	// cron and systemd may start us without HOME.
	h, _ := os.UserHomeDir()
	if h == "" {
		if u, err := user.Current(); err == nil {
			h = u.HomeDir
		}
	}
	return h
}

func (a *app) config() (*profile.Config, error) {
	if a.configOnce == nil {
		c, err := profile.Load(a.env.Lookup, a.home())
		if err != nil {
			return nil, err
		}
		for _, file := range c.Readable() {
			a.say("warning: %s holds secret keys and other users may read it", a.path(file))
			a.tell("hint: chmod 600 %s", a.path(file))
		}
		a.debug("config %s, credentials %s", c.ConfigFile(), c.CredentialsFile())
		a.configOnce = c
	}
	return a.configOnce, nil
}

func (a *app) keychain() *keychain.Keychain {
	if a.keysOnce == nil {
		name := a.Keyring
		if name == "" {
			name = a.env.Get("AWSRUNAS_KEYRING")
		}
		a.keysOnce = keychain.New(keychain.Options{
			Backend: name, Lookup: a.env.Lookup, Home: a.home(), Now: a.now,
			Environ: a.childEnviron, Stderr: a.Err,
			NoInput: a.NoInput, Passphrase: a.passphrase,
			Warn: func(msg string) { a.say("warning: %s", msg) },
		})
	}
	return a.keysOnce
}

// passphrase asks for that of the encrypted file. The keychain asks twice for
// a new one.
func (a *app) passphrase(ctx context.Context, prompt string, _ bool) (string, error) {
	answer, err := a.terminal().Secret(ctx, prompt)
	if errors.Is(err, tty.ErrNobody) {
		return "", fail(exitNeeds, "the keyring needs its passphrase and %w", err).
			hint("export AWSRUNAS_PASSPHRASE_COMMAND='...'")
	}
	return answer, err
}

// childEnviron is for the commands that a configuration names: what we exported
// is never their input either, and where we ask nobody they shall not.
func (a *app) childEnviron() []string {
	var set map[string]string
	if a.NoInput {
		set = map[string]string{noInputVar: "true"}
	}
	return a.env.with(set, slices.Collect(maps.Keys(a.env.ours)))
}

func (a *app) osUser() string {
	for _, name := range [...]string{"USER", "LOGNAME", "USERNAME"} {
		if v := a.env.Get(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (a *app) terminal() *tty.TTY {
	if a.ttyOnce == nil {
		a.ttyOnce = tty.New(tty.Options{
			Lookup: a.env.Lookup, NoInput: a.NoInput, Environ: a.env.with(nil, nil), Stderr: a.Err, Locks: a.locks,
		})
	}
	return a.ttyOnce
}

func (a *app) cache() *session.Cache {
	if a.cacheOnce == nil {
		c := session.NewCache(a.keychain())
		c.Now, c.Locks, c.NoInput = a.now, a.locks, a.NoInput
		c.Warn = func(err error) { a.say("warning: %s", err) }
		c.Debug = a.debug
		a.cacheOnce = c
	}
	return a.cacheOnce
}

// deps is what the way in may use.
func (a *app) deps(otp string, sessionOnly, renew bool) chain.Deps {
	d := chain.Deps{
		Cache: a.cache(), Ask: a.terminal(), Lookup: a.env.Lookup, Home: a.home(),
		Environ: a.childEnviron, Stderr: a.Err,
		OTP: otp, SessionOnly: sessionOnly, Renew: renew,
		Notice: func(msg string) { a.say("%s", msg) },
		OSUser: a.osUser(), Version: Version,
	}
	if a.attended() {
		d.Browse, d.Pick = a.terminal().Browse, a.pickRole
	}
	return d
}

// attended reports whether there may be a person, who sees a browser or a
// terminal. Under cron there is neither, and nobody to wait for.
func (a *app) attended() bool {
	if a.NoInput {
		return false
	}
	for _, name := range [...]string{"DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"} {
		if a.env.Get(name) != "" {
			return true
		}
	}
	return runtime.GOOS == "windows" || runtime.GOOS == "darwin" || a.terminal().Interactive()
}

// pickRole lets a person choose among the roles of a sign-in.
func (a *app) pickRole(ctx context.Context, roles []string) (string, error) {
	items := make([]tty.Item, len(roles))
	for i, arn := range roles {
		items[i] = tty.Item{Name: identity(arn), Detail: arn}
	}
	i, err := a.terminal().Pick(ctx, "Role", items)
	if errors.Is(err, tty.ErrNobody) {
		return "", &session.Needs{What: session.NeedAuth}
	} else if err != nil {
		return "", err
	}
	return roles[i], nil
}

// isTerminal reports whether a stream is one that a person looks at.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}

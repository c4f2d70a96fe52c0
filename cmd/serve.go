package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aws-runas/metadata"
	"aws-runas/metadata/ui"
	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
	"aws-runas/session/saml"
	"aws-runas/shell"
)

type serveCmd struct {
	EC2    serveEC2Cmd    `cmd:"" name:"ec2" help:"Be the EC2 metadata service."`
	ECS    serveECSCmd    `cmd:"" name:"ecs" help:"Be the ECS credentials endpoint."`
	Status serveStatusCmd `cmd:"" help:"List the servers that run."`
	Stop   serveStopCmd   `cmd:"" help:"Stop them."`
}

// serving is what both servers take.
type serving struct {
	Profile      string         `arg:"" optional:"" complete:"profile" help:"Profile or role ARN; the page can choose one, too."`
	Token        bool           `help:"Ask every request for a token, which start-up prints. ($$AWS_CONTAINER_AUTHORIZATION_TOKEN, else a random one)"`
	AllowAnyUser bool           `help:"Let in other users' processes of this machine."`
	AllowFrom    []netip.Prefix `placeholder:"CIDR" help:"Subnets that may have credentials, beside those of docker and podman bridges."`
	Headless     bool           `short:"H" help:"Ask on the terminal, not in the browser."`
	Background   bool           `help:"Return once the server answers."`
	Detached     bool           `hidden:""`
	overrides
}

type serveEC2Cmd struct {
	Port       int  `short:"p" default:"-1" placeholder:"PORT" help:"Port on 127.0.0.1, 0 for a free one. Without it: 169.254.169.254:80, which needs root."`
	IMDSv2Only bool `name:"imds-v2-only" help:"Refuse requests without a session token, as IMDSv2 does."`
	serving
}

// Help is shown below the usage.
func (*serveEC2Cmd) Help() string {
	return `Where port 80 of 169.254.169.254 is wanted, as for containers:

  sudo --preserve-env=HOME aws-runas serve ec2 PROFILE`
}

func (c *serveEC2Cmd) Run(a *app) error {
	s := server{app: a, serving: &c.serving, kind: "ec2", v2only: c.IMDSv2Only}
	address := ""
	var err error
	if endpoint := a.env.Get("AWS_EC2_METADATA_SERVICE_ENDPOINT"); endpoint != "" && c.Port < 0 {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return usage("AWS_EC2_METADATA_SERVICE_ENDPOINT is %q, not a URL of the kind http://HOST:PORT/", profile.Shown(endpoint)).hint("%s", s.line("-p 8000"))
		}
		address, s.variable = hostPort(u), "AWS_EC2_METADATA_SERVICE_ENDPOINT"
	} else if c.Port >= 0 {
		if address, err = loopback(c.Port); err != nil {
			return err
		}
	}
	if address == "" || address == metadata.EC2Address.String() {
		return s.privileged(metadata.EC2Address)
	}
	return s.listen(address)
}

type serveECSCmd struct {
	Port int `short:"p" default:"12319" placeholder:"PORT" help:"Port on 127.0.0.1, 0 for a free one. Default: 12319."`
	serving
}

func (c *serveECSCmd) Run(a *app) error {
	s := server{app: a, serving: &c.serving, kind: "ecs", path: metadata.CredentialsPath}
	address, err := loopback(c.Port)
	if err != nil {
		return err
	}
	if full := a.env.Get("AWS_CONTAINER_CREDENTIALS_FULL_URI"); full != "" {
		u, err := url.Parse(full)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return usage("AWS_CONTAINER_CREDENTIALS_FULL_URI is %q, not a URL of the kind http://HOST:PORT/PATH", profile.Shown(full)).
				hint("unset AWS_CONTAINER_CREDENTIALS_FULL_URI")
		}
		address, s.variable = hostPort(u), "AWS_CONTAINER_CREDENTIALS_FULL_URI"
		if path := strings.TrimSuffix(u.Path, "/"); path != "" {
			s.path = path
		}
	}
	if address == metadata.ECSAddress.String() {
		return s.privileged(metadata.ECSAddress)
	}
	return s.listen(address)
}

func loopback(port int) (string, error) {
	if port > 65535 {
		return "", usage("--port is %d, not from 0 to 65535", port)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// server is one run of serve.
type server struct {
	*app
	*serving
	kind     string // ec2 or ecs
	path     string // of the credentials, for ecs
	variable string // that has the address, if one has
	v2only   bool
}

// listen serves at an address of loopback.
func (s *server) listen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usage("%q is no address: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		// The SDKs take these hosts alone, and others than this machine's
		// processes have no business here.
		// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
		return usage("%q is not an address of loopback, 169.254.169.254 or 169.254.170.2", address).hint("unset %s", s.variable)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return s.busy(address, err)
	}
	if s.Background && !s.Detached {
		l.Close() // it is free: nobody is asked for a code in vain
		return s.detach()
	}
	return s.serve(l, false)
}

// busy says who has the address, if that is one of our own.
func (s *server) busy(address string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	}
	list, _ := s.servers()
	for _, r := range list {
		if r.Address == address {
			return fail(exitFailure, "your %s server is at http://%s/ already (process %d)", r.Kind, address, r.Process).hint("aws-runas serve stop")
		}
	}
	failed := fail(exitFailure, "cannot listen on %s: %w", address, errors.Unwrap(err))
	if s.variable != "" {
		return failed.hint("unset %s", s.variable)
	}
	return failed.hint("%s", s.line("-p 0"))
}

// line is this command with other flags, for hints.
func (s *server) line(flags string) string {
	line := "aws-runas serve " + s.kind + " " + flags
	if s.Profile != "" {
		line += " " + word(s.Profile)
	}
	return line
}

// privileged serves at an address of the link, which root has to add.
func (s *server) privileged(at netip.AddrPort) error {
	l, err := metadata.Inherited(func(name string) (string, bool) { v, ok := s.env.vars[name]; return v, ok })
	if err != nil {
		return err
	}
	if l != nil {
		return s.serve(l, true)
	}
	if s.Background {
		return usage("--background needs a port: the server on %s has a parent that waits for it", at).hint("%s", s.line("--background -p 8000"))
	}
	if runtime.GOOS == "windows" {
		l, remove, err := metadata.ListenAt(at)
		if err != nil {
			return err
		}
		return errors.Join(s.serve(l, true), remove())
	}
	exe, err := executable()
	if err != nil {
		return err
	}
	parent := metadata.Parent{
		Address: at, Args: append([]string{exe}, s.args...), Env: s.env.list(), In: s.In, Out: s.Out, Err: s.Err,
	}
	code, err := parent.Run()
	if errors.Is(err, metadata.ErrNotRoot) {
		return fail(exitFailure, "%w", err).hint("sudo --preserve-env=HOME %s", commandLine(parent.Args))
	} else if op, ok := errors.AsType[*net.OpError](err); ok {
		return s.busy(at.String(), op)
	} else if err != nil {
		return err
	}
	return exitCode(code)
}

// serve activates the profile and answers until a signal ends it.
func (s *server) serve(l net.Listener, privileged bool) error {
	defer l.Close()
	ctx, stop := interruptible()
	defer stop()
	otp := ""
	if !s.Detached { // who has it in its environment already
		if err := s.takePassword(&s.overrides); err != nil {
			return err
		}
		otp = s.otp(s.app)
	}
	page := "http://" + l.Addr().String() + "/"
	token := ""
	if s.Token {
		if token = s.env.Get("AWS_CONTAINER_AUTHORIZATION_TOKEN"); token == "" {
			var err error
			if token, err = randomToken(); err != nil {
				return err
			}
		}
	}
	o := metadata.Options{
		Backend: &backend{app: s.app, initial: s.startProfile(), overrides: s.overrides, otp: otp}, CredentialsPath: s.path, Pages: ui.Files, Address: page,
		Token: token, AnyUser: s.AllowAnyUser, Containers: privileged, AllowFrom: s.AllowFrom, IMDSv2Only: s.v2only, Log: s.Err, Now: s.now,
	}
	if s.Headless {
		o.Ask = s.terminal()
	}
	m, err := metadata.New(o)
	if err != nil {
		return usage("%w", err)
	}
	defer m.Close()
	release, err := s.register(l.Addr().String())
	if err != nil {
		s.say("warning: serve status will not show this server: %s", err)
	} else {
		defer release()
	}

	name := s.startProfile()
	if name != "" {
		err := m.Activate(ctx, metadata.Target{Profile: name}, s.terminal())
		var needs *session.Needs
		switch {
		case errors.As(err, &needs) && !s.Detached:
			s.say("profile %q needs a sign-in: open %s", name, s.pageURL(page, token))
		case err != nil:
			return err
		}
	}
	if err := s.announce(l.Addr().String(), name, token, privileged); err != nil {
		return err
	}
	if s.Detached {
		// Whoever started this has what it needs and is gone.
		s.detached()
	} else {
		s.say("the page is at %s; Ctrl-C ends the server", s.pageURL(page, token))
	}
	return m.Serve(ctx, l)
}

// pageURL is where a person opens the page. What stands behind # is sent to
// nobody.
func (s *server) pageURL(page, token string) string {
	if token == "" {
		return page
	}
	return page + "#token=" + url.PathEscape(token)
}

// startProfile is the profile that was named, in the line or the environment.
// Without one the page chooses.
func (s *server) startProfile() string {
	for _, name := range []string{s.Profile, s.env.Get("AWS_PROFILE"), s.env.marker("AWSRUNAS_PROFILE"), s.env.Get("AWS_DEFAULT_PROFILE")} {
		if name != "" {
			return name
		}
	}
	return ""
}

// announce prints the variables that lead the SDKs here.
func (s *server) announce(address, name, token string, privileged bool) error {
	variables := map[string]string{}
	unset := []string{}
	if config, err := s.config(); err == nil {
		if p, err := config.Resolve(name, profile.Options{Lookup: s.env.Lookup, Flags: s.overrides.flags()}); err == nil && name != "" {
			variables = settings(p)
		}
		if config.DefaultYieldsCredentials() {
			s.say("[default] of %s has credentials of its own, which some SDKs prefer to this server", config.ConfigFile())
		}
	}
	variables["AWS_SHARED_CREDENTIALS_FILE"], variables["AWS_CREDENTIAL_PROFILES_FILE"] = os.DevNull, os.DevNull
	if config, err := s.config(); err == nil {
		variables["AWSRUNAS_CREDENTIALS_FILE"] = config.CredentialsFile()
	}
	switch {
	case s.kind == "ecs":
		variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://" + address + s.path
		if token != "" {
			variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
		}
	default:
		unset = append(unset, "AWS_EC2_METADATA_DISABLED")
		if !privileged {
			// The AWS CLI 2.9 needs the slash.
			variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://" + address + "/"
		}
	}
	dialect := shell.Detect(s.env.Lookup)
	if !s.Detached {
		// For a person to copy, into another shell: this one is busy.
		delete(variables, "AWSRUNAS_CREDENTIALS_FILE")
		delete(variables, "AWS_CREDENTIAL_PROFILES_FILE")
		return s.print(dialect, shell.Change{Set: variables})
	}
	change := s.change(variables)
	change.Unset = append(change.Unset, unset...)
	return s.print(dialect, change)
}

// detach signs in while there is somebody to ask, then starts this program
// again in the background and waits until it answers.
func (s *server) detach() error {
	if name := s.startProfile(); name != "" {
		acc, err := s.open(name, &s.overrides, &request{})
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		_, err = acc.provider.Credentials(ctx)
		stop()
		if err != nil {
			return err
		}
	}
	exe, err := executable()
	if err != nil {
		return err
	}
	args := slices.Clone(s.args)
	for i, arg := range args {
		if arg == "--background" {
			args = slices.Replace(args, i, i+1, "--detached", "--no-input")
			break
		}
	}
	child := &exec.Cmd{Path: exe, Args: append([]string{exe}, args...), Env: s.env.list(), SysProcAttr: inBackground()}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	said, err := child.StderrPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	var relay sync.WaitGroup
	relay.Go(func() { io.Copy(s.Err, said) })
	exports, err := io.ReadAll(out)
	relay.Wait()
	if err != nil {
		return err
	}
	if len(exports) == 0 {
		var ended *exec.ExitError
		if errors.As(child.Wait(), &ended) {
			return exitCode(ended.ExitCode())
		}
		return fail(exitFailure, "the server ended before it answered")
	}
	s.say("the server runs in the background; aws-runas serve stop ends it")
	_, err = s.Out.Write(exports)
	return err
}

// detached lets go of the streams of whoever started this server.
func (s *server) detached() {
	s.Err = io.Discard
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		err = replaceStreams(null)
	}
	if err != nil {
		os.Stdout.Close()
		os.Stderr.Close()
	}
}

// backend gives the servers their profiles.
type backend struct {
	app       *app
	initial   string
	overrides overrides

	mu     sync.Mutex
	config *profile.Config
	otp    string // for the initial profile, until it has been handed out
}

// Config implements [metadata.Backend].
func (b *backend) Config() (*profile.Config, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.config != nil && !b.config.Stale() {
		return b.config, nil
	}
	c, err := profile.Load(b.app.env.Lookup, b.app.home())
	if err != nil {
		return nil, err
	}
	b.config = c
	return c, nil
}

// Open implements [metadata.Backend].
func (b *backend) Open(t metadata.Target, ask session.Asker) (*profile.Profile, session.Provider, error) {
	config, err := b.Config()
	if err != nil {
		return nil, nil, err
	}
	name := t.Profile
	var o overrides
	if t.Custom != nil {
		name = "custom"
		for config.Has(name) {
			name += "-"
		}
		if config, err = config.With(name, t.Custom.Settings(), "the custom settings"); err != nil {
			return nil, nil, err
		}
	} else if name == b.initial {
		o = b.overrides
	}
	p, err := config.Resolve(name, profile.Options{Lookup: b.app.env.Lookup, Flags: o.flags()})
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock() // the parts are opened once
	otp := ""
	if t.Custom == nil && name == b.initial {
		otp, b.otp = b.otp, ""
	}
	d := b.app.deps(otp, false, t.Renew)
	b.mu.Unlock()
	cache := *d.Cache
	cache.Margin, cache.NoInput = session.ServerMargin, true
	d.Cache, d.Ask = &cache, ask
	provider, err := chain.For(p, d)
	return p, provider, err
}

// Save implements [metadata.Backend].
func (b *backend) Save(ctx context.Context, name string, c metadata.Custom) error {
	config, err := b.Config()
	if err != nil {
		return err
	}
	if err := profile.SetSection(config.ConfigFile(), config.Header(name), c.Settings()); err != nil || c.Password == "" {
		return err
	}
	b.mu.Lock()
	keys := b.app.keychain()
	b.mu.Unlock()
	return saml.SavePassword(ctx, keys, c.AuthURL, c.Username, c.Username, c.Password)
}

// running is what a server says of itself to serve status and stop.
type running struct {
	Kind    string    `json:"kind"`
	Address string    `json:"address"`
	Process int       `json:"process"`
	Started time.Time `json:"started"`
}

// register lets the other commands find this server while it lives.
func (s *server) register(address string) (func(), error) {
	data, err := json.Marshal(running{s.kind, address, os.Getpid(), s.now()})
	if err != nil {
		return nil, err
	}
	return s.locks.Announce("serve-"+strings.NewReplacer(":", "-", "[", "", "]", "").Replace(address)+".json", data)
}

// servers are those that run.
func (a *app) servers() ([]running, error) {
	all, err := a.locks.Announced("serve-*.json")
	if err != nil {
		return nil, err
	}
	list := make([]running, len(all))
	for i, data := range all {
		if err := json.Unmarshal(data, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

type serveStatusCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *serveStatusCmd) Run(a *app) error {
	list, err := a.servers()
	if err != nil {
		return err
	}
	if c.JSON {
		type now struct {
			running
			Profile string `json:"profile"`
		}
		all := []now{}
		for _, r := range list {
			all = append(all, now{r, activeProfile(r.Address)})
		}
		return a.printJSON(all)
	}
	if len(list) == 0 {
		return fail(exitFailure, "no server runs").hint("aws-runas serve ecs --background PROFILE")
	}
	rows := [][]string{{"KIND", "PAGE", "PROFILE", "PROCESS", "SINCE"}}
	for _, r := range list {
		rows = append(rows, []string{r.Kind, "http://" + r.Address + "/", dash(activeProfile(r.Address)), strconv.Itoa(r.Process), r.Started.Local().Format("2006-01-02 15:04")})
	}
	return a.table(rows...)
}

// activeProfile asks a server, and is "" if nothing is active. One that wants a
// token does not tell.
func activeProfile(address string) string {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // by no proxy
	response, err := client.Get("http://" + address + "/profile")
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var p struct {
		Name    string `json:"name"`
		RoleARN string `json:"role_arn"`
	}
	if json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&p) != nil || p.Name == "" {
		return p.RoleARN
	}
	return p.Name
}

type serveStopCmd struct{}

func (c *serveStopCmd) Run(a *app) error {
	list, err := a.servers()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fail(exitFailure, "no server runs").hint("aws-runas serve status")
	}
	for _, r := range list {
		p, err := os.FindProcess(r.Process)
		if err == nil {
			err = terminate(p)
		}
		if err != nil {
			return fail(exitFailure, "process %d does not end: %w", r.Process, err)
		}
	}
	for deadline := a.now().Add(10 * time.Second); a.now().Before(deadline); {
		left, err := a.servers()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(left, func(r running) bool { return slices.Contains(list, r) }) {
			a.say("stopped %s", plural(len(list), "server"))
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fail(exitFailure, "a server does not end").hint("aws-runas serve status")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

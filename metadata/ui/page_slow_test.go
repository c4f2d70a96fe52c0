//go:build slow

package ui_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/metadata"
	"aws-runas/metadata/ui"
	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

const config = `[profile base]
aws_access_key_id = %s
aws_secret_access_key = %s
region = eu-west-1

[profile readonly]
role_arn = arn:aws:iam::123456789012:role/ReadOnly
source_profile = base
mfa_serial = %[3]s

[profile prod]
role_arn = arn:aws:iam::210987654321:role/Prod
source_profile = base
mfa_serial = %[3]s
region = eu-central-1

[profile partner]
role_arn = arn:aws:iam::210987654321:role/Partner
source_profile = base
external_id = partner-4711

[profile broken]
role_arn = arn:aws:iam::210987654321:role/Partner
source_profile = base
external_id = wrong

[profile idp]
role_arn = arn:aws:iam::210987654321:role/Partner
saml_auth_url = https://idp.example/saml
saml_username = alice@example.com
`

// samlConfig has a profile of an identity provider that is met over loopback.
const samlConfig = `
[profile saml]
role_arn = %s
saml_auth_url = %s
region = eu-west-1
`

// lab is what the browser meets: the server, over profiles that draw on a
// pretended AWS and a pretended identity provider. The script steers it.
type lab struct {
	t     *testing.T
	world *awstest.World
	idp   *awstest.IDP // of SAML
	saml  *awstest.Role
	alice *awstest.Person
	dir   string

	mu      sync.Mutex
	keyring *memory
	cache   *session.Cache
	config  *profile.Config
	down    bool // AWS cannot be reached
	saved   []string
	address string
	end     func()
}

func (l *lab) Config() (*profile.Config, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config != nil && !l.config.Stale() {
		return l.config, nil
	}
	c, err := profile.Load(l.lookup, l.dir)
	if err == nil {
		l.config = c
	}
	return c, err
}

func (l *lab) lookup(name string) (string, bool) {
	switch name {
	case "AWS_CONFIG_FILE":
		return filepath.Join(l.dir, "config"), true
	case "AWS_SHARED_CREDENTIALS_FILE":
		return os.DevNull, true
	case "AWS_EC2_METADATA_DISABLED":
		return "true", true
	}
	return "", false
}

func (l *lab) Open(t metadata.Target, ask session.Asker) (*profile.Profile, session.Provider, error) {
	c, err := l.Config()
	if err != nil {
		return nil, nil, err
	}
	name := t.Profile
	if t.Custom != nil {
		name = "custom"
		if c, err = c.With(name, t.Custom.Settings(), "the custom settings"); err != nil {
			return nil, nil, err
		}
	}
	p, err := c.Resolve(name, profile.Options{Lookup: l.lookup})
	if err != nil {
		return nil, nil, err
	}
	if p.SAMLAuthURL != "" && p.SAMLAuthURL != l.idp.AuthURL() {
		return p, &identityProvider{l, p, ask}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	cache := *l.cache
	cache.Margin, cache.NoInput = session.ServerMargin, true
	provider, err := chain.For(p, chain.Deps{
		Cache: &cache, Ask: ask, Lookup: l.lookup, Environ: func() []string { return nil }, Stderr: io.Discard, Notice: func(string) {},
		Renew: t.Renew, OSUser: "demo", Version: "test", Transport: l,
	})
	return p, provider, err
}

// RoundTrip is the way to AWS and to the identity provider.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return nil, errors.New("no route to host")
	}
	if strings.HasPrefix(r.URL.String(), l.idp.URL()+"/") {
		return http.DefaultTransport.RoundTrip(r)
	}
	return l.world.Transport().RoundTrip(r)
}

func (l *lab) Save(_ context.Context, name string, c metadata.Custom) error {
	config, err := l.Config()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.saved = append(l.saved, name+" "+c.Password)
	l.mu.Unlock()
	return profile.SetSection(config.ConfigFile(), config.Header(name), c.Settings())
}

// identityProvider wants a username, a password and the device's code, and
// asks once more about what is wrong.
type identityProvider struct {
	l   *lab
	p   *profile.Profile
	ask session.Asker
}

func (i *identityProvider) Key(context.Context) (session.Key, error) {
	return session.NewKey(session.KindRole, i.p.Name, i.p.RoleARN), nil
}

func (i *identityProvider) Credentials(ctx context.Context) (session.Credentials, error) {
	get := func(what, problem string) (string, error) {
		return session.Ask(ctx, i.ask, session.Question{What: what, Profile: i.p.Name, Subject: "idp.example", Problem: problem})
	}
	username, err := get(session.AskUsername, "")
	if err != nil {
		return session.Credentials{}, err
	}
	for problem := ""; ; problem = "idp.example refused the username or password" {
		password, err := get(session.AskPassword, problem)
		if err != nil {
			return session.Credentials{}, err
		}
		if username == "alice@example.com" && password == "correct horse" {
			break
		}
	}
	for problem := ""; ; problem = "idp.example refused the code" {
		code, err := get(session.AskMFA, problem)
		if err != nil {
			return session.Credentials{}, err
		}
		if code == "424242" {
			break
		}
	}
	now := time.Now()
	return session.Credentials{
		AccessKeyID: "ASIAIDENTITYPROVIDER", SecretAccessKey: "s", SessionToken: "t", Issued: now, Expires: now.Add(time.Hour),
		ARN: "arn:aws:sts::210987654321:assumed-role/Partner/alice@example.com",
	}, nil
}

// memory is a keyring.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.records[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[key] = payload
	return nil
}

func (m *memory) Remove(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// reset is everything from the beginning, but for the port.
type reset struct {
	Kind, Token, Profile string
	Roles                int
	SAML, Username       string // the provider's product, and the configured name
}

func (l *lab) reset(o reset) error {
	l.stop()
	var text strings.Builder
	fmt.Fprintf(&text, config, l.world.Key.ID, l.world.Key.Secret, l.world.MFA.Serial)
	for i := range o.Roles {
		fmt.Fprintf(&text, "\n[profile team-%03d/service-%05d]\nrole_arn = arn:aws:iam::210987654321:role/Partner\nsource_profile = base\n", i%97, i)
	}
	if o.SAML != "" {
		if err := l.trust(o.SAML); err != nil {
			return err
		}
		fmt.Fprintf(&text, samlConfig, l.saml.ARN, l.idp.AuthURL())
		if o.Username != "" {
			fmt.Fprintf(&text, "saml_username = %s\n", o.Username)
		}
	}
	if err := os.WriteFile(filepath.Join(l.dir, "config"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	l.world.Reset()
	l.world.SetLifetime(0)
	l.mu.Lock()
	l.keyring = &memory{records: map[string][]byte{}}
	l.cache = session.NewCache(l.keyring)
	l.cache.Locks = session.Locks{Dir: func() (string, error) { return l.dir, nil }}
	l.config, l.down, l.saved = nil, false, nil
	l.mu.Unlock()
	return l.start(o)
}

// trust has a role trust a new identity provider, where alice has an
// authenticator.
func (l *lab) trust(product string) error {
	l.idp.Close()
	l.idp = l.world.NewIDP(product)
	if _, err := l.idp.Start(); err != nil {
		return err
	}
	home := l.world.Default()
	provider := home.SAMLProvider("page-"+product, l.idp.EntityID, l.idp.Certificate())
	l.saml = home.Role("Saml-"+product, awstest.TrustSAML(provider))
	l.alice = l.idp.AddPerson(awstest.Person{
		Name: "alice", Password: "correct horse", Factors: []string{"totp"}, Roles: []string{l.saml.ARN + "," + provider.ARN},
	})
	return nil
}

func (l *lab) start(o reset) error {
	at := "127.0.0.1:0"
	if l.address != "" {
		at = l.address
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	l.address = listener.Addr().String()
	options := metadata.Options{
		Backend: l, CredentialsPath: metadata.CredentialsPath, Pages: ui.Files, Address: "http://" + l.address + "/", Token: o.Token,
	}
	if o.Kind == "ec2" {
		options.CredentialsPath = ""
	}
	s, err := metadata.New(options)
	if err != nil {
		return err
	}
	if o.Profile != "" {
		err := s.Activate(l.t.Context(), metadata.Target{Profile: o.Profile}, nobody{})
		var needs *session.Needs
		if err != nil && !errors.As(err, &needs) {
			return err
		}
	}
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	l.end = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	}
	return nil
}

// nobody is at the terminal.
type nobody struct{}

func (nobody) Ask(_ context.Context, q session.Question) (string, error) {
	what := session.NeedAuth
	if q.What == session.AskMFA {
		what = session.NeedMFA
	}
	return "", &session.Needs{What: what, Profile: q.Profile}
}

func (l *lab) stop() {
	if l.end != nil {
		l.end()
		l.end = nil
	}
}

// control is the script's hand.
func (l *lab) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		var o reset
		err := json.NewDecoder(r.Body).Decode(&o)
		if err == nil {
			err = l.reset(o)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, "http://"+l.address+"/")
	})
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { l.stop() })
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		if err := l.start(reset{}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /down", func(http.ResponseWriter, *http.Request) { l.mu.Lock(); l.down = true; l.mu.Unlock() })
	mux.HandleFunc("POST /up", func(http.ResponseWriter, *http.Request) { l.mu.Lock(); l.down = false; l.mu.Unlock() })
	mux.HandleFunc("POST /refuse", func(http.ResponseWriter, *http.Request) {
		l.world.Inject(awstest.Fault{Action: "AssumeRole", Status: http.StatusForbidden, Code: "AccessDenied", Message: "not any more"})
	})
	mux.HandleFunc("POST /allow", func(http.ResponseWriter, *http.Request) { l.world.Reset() })
	mux.HandleFunc("POST /forget", func(http.ResponseWriter, *http.Request) {
		l.keyring.mu.Lock()
		defer l.keyring.mu.Unlock()
		clear(l.keyring.records)
	})
	mux.HandleFunc("POST /lifetime", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		d, err := time.ParseDuration(string(text))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.world.SetLifetime(d)
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, l.world.MFA.Code()) })
	mux.HandleFunc("POST /idp-code", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, l.idp.Code(l.alice)) })
	mux.HandleFunc("POST /attempts", func(w http.ResponseWriter, _ *http.Request) {
		passwords, codes, _ := l.idp.Attempts(l.alice)
		fmt.Fprintf(w, "%d passwords, %d codes", passwords, codes)
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		action, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, l.world.Count(string(action)))
	})
	mux.HandleFunc("POST /saved", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		io.WriteString(w, strings.Join(l.saved, "\n"))
	})
	// Whose credentials an SDK gets now, as AWS sees it.
	mux.HandleFunc("POST /whoami", func(w http.ResponseWriter, _ *http.Request) {
		answer, err := http.Get("http://" + l.address + metadata.CredentialsPath)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer answer.Body.Close()
		var c struct {
			ID     string `json:"AccessKeyId"`
			Secret string `json:"SecretAccessKey"`
			Token  string
		}
		json.NewDecoder(answer.Body).Decode(&c)
		arn, err := l.world.Identify(awstest.Key{ID: c.ID, Secret: c.Secret}, c.Token)
		if err != nil {
			arn = err.Error()
		}
		io.WriteString(w, arn)
	})
	return mux
}

// TestSlowPage has a person's deeds done in a browser by testdata/page.mjs,
// which leaves pictures in .cache/page.
func TestSlowPage(t *testing.T) {
	node, browser := program(t, "node"), program(t, "chromium")
	root, err := exec.Command(program(t, "npm"), "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "playwright-core")
	if _, err := os.Stat(library); err != nil {
		missing(t, "npm package playwright-core")
	}
	pictures, err := filepath.Abs("../../.cache/page")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}

	l := &lab{t: t, world: awstest.Demo(awstest.Options{}), dir: t.TempDir()}
	l.idp = l.world.NewIDP(awstest.Forms)
	t.Cleanup(func() { l.stop(); l.idp.Close() })
	control := httptest.NewServer(l.control())
	t.Cleanup(control.Close)

	cmd := exec.CommandContext(t.Context(), node, "testdata/page.mjs", library, browser, control.URL, pictures, os.Getenv("PAGE_ONLY"))
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := 0
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var scenario struct{ Name, Error string }
		if err := json.Unmarshal(lines.Bytes(), &scenario); err != nil {
			t.Errorf("%s", lines.Text())
			continue
		}
		done++
		t.Run(scenario.Name, func(t *testing.T) {
			if scenario.Error != "" {
				t.Error(scenario.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil || done == 0 {
		t.Errorf("%v after %d scenarios", err, done)
	}
	t.Log(stderr.String())
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

package chain_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

// store keeps records in memory.
type store struct {
	mu      sync.Mutex
	records map[string][]byte
	gets    int
	fail    func(op, key string) error
}

func (s *store) begin(op, key string) error {
	if s.fail != nil {
		return s.fail(op, key)
	}
	return nil
}

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if err := s.begin("get", key); err != nil {
		return nil, err
	}
	if b, ok := s.records[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (s *store) Set(_ context.Context, key string, payload []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin("set", key); err != nil {
		return err
	}
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	s.records[key] = payload
	return nil
}

func (s *store) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

func (s *store) keys(kind string) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.records {
		if strings.HasPrefix(k, kind+"/") {
			keys = append(keys, k)
		}
	}
	return keys
}

// person answers questions with what the device shows, or with answers.
type person struct {
	mu      sync.Mutex
	device  *awstest.MFADevice
	answers []string
	away    bool
	asked   []session.Question
}

func (p *person) Ask(_ context.Context, q session.Question) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return "", &session.Needs{What: session.NeedMFA, Profile: q.Profile}
	}
	p.asked = append(p.asked, q)
	if len(p.answers) > 0 {
		a := p.answers[0]
		p.answers = p.answers[1:]
		return a, nil
	}
	return p.device.Code(), nil
}

func (p *person) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// lab is a person with the demo's AWS, a keyring and a config file.
type lab struct {
	t       *testing.T
	world   *awstest.World
	store   *store
	cache   *session.Cache
	person  *person
	env     map[string]string
	dir     string
	notices []string
	deps    func(*chain.Deps) // changes them, if not nil
}

const (
	other = "210987654321"
	home  = "123456789012"
)

// newLab has the demo user's keys in the keyring under "base".
func newLab(t *testing.T) *lab {
	t.Helper()
	w := awstest.Demo(awstest.Options{})
	l := &lab{t: t, world: w, store: new(store), person: &person{device: w.MFA}, dir: t.TempDir(), env: map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "PATH": os.Getenv("PATH"),
	}}
	l.cache = l.process()
	l.saveKeys("base", w.Key)
	return l
}

// process is the cache of one more process of the same user.
func (l *lab) process() *session.Cache {
	c := session.NewCache(l.store)
	locks := filepath.Join(l.dir, "locks")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		l.t.Fatal(err)
	}
	c.Locks = session.Locks{Dir: func() (string, error) { return locks, nil }}
	c.Warn = func(err error) { l.t.Errorf("unexpected warning: %v", err) }
	return c
}

func (l *lab) saveKeys(name string, k awstest.Key) {
	l.t.Helper()
	err := session.Put(l.t.Context(), l.store, session.UserKey(name), session.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) lookup(name string) (string, bool) { v, ok := l.env[name]; return v, ok }

// config replaces the config file.
func (l *lab) config(text string) {
	l.t.Helper()
	text = strings.NewReplacer("MFA", l.world.MFA.Serial).Replace(text)
	if err := os.WriteFile(filepath.Join(l.dir, "config"), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// open resolves a profile and finds its way in.
func (l *lab) open(name string, flags ...string) (session.Provider, error) {
	l.t.Helper()
	p, d := l.resolved(name, flags...)
	return chain.For(p, d)
}

// resolved is a profile, and what the ways in may use.
func (l *lab) resolved(name string, flags ...string) (*profile.Profile, chain.Deps) {
	l.t.Helper()
	var o profile.Options
	o.Lookup = l.lookup
	for _, f := range flags {
		attr, value, _ := strings.Cut(f, "=")
		o.Flags = append(o.Flags, profile.Flag{Attr: attr, Value: value, Name: "--" + attr})
	}
	c, err := profile.Load(func(n string) (string, bool) {
		switch n {
		case "AWS_CONFIG_FILE":
			return filepath.Join(l.dir, "config"), true
		case "AWS_SHARED_CREDENTIALS_FILE":
			return filepath.Join(l.dir, "credentials"), true
		}
		return "", false
	}, l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	p, err := c.Resolve(name, o)
	if err != nil {
		l.t.Fatal(err)
	}
	d := chain.Deps{
		Cache: l.cache, Ask: l.person, Lookup: l.lookup, Stderr: l.t.Output(), OSUser: "os user",
		Environ: func() (list []string) {
			for k, v := range l.env {
				list = append(list, k+"="+v)
			}
			return list
		},
		Notice:    func(s string) { l.notices = append(l.notices, s) },
		Transport: l.world.Transport(), Version: "test",
	}
	if l.deps != nil {
		l.deps(&d)
	}
	return p, d
}

func (l *lab) try(name string, flags ...string) (session.Credentials, error) {
	l.t.Helper()
	p, err := l.open(name, flags...)
	if err != nil {
		return session.Credentials{}, err
	}
	return p.Credentials(l.t.Context())
}

// get is try, checked: AWS itself says whose the credentials are.
func (l *lab) get(name string, flags ...string) session.Credentials {
	l.t.Helper()
	c, err := l.try(name, flags...)
	if err != nil {
		l.t.Fatalf("%s: %v", name, err)
	}
	arn, err := l.world.Identify(awstest.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.SessionToken)
	if err != nil {
		l.t.Fatalf("%s: AWS does not take %v: %v", name, c, err)
	}
	if c.ARN != arn {
		l.t.Errorf("%s: the credentials say %q, AWS %q", name, c.ARN, arn)
	}
	return c
}

// fails is try that must fail with an error of type E.
func fails[E error](l *lab, name string, flags ...string) E {
	l.t.Helper()
	c, err := l.try(name, flags...)
	var e E
	if !errors.As(err, &e) {
		l.t.Fatalf("%s: got %v and the error %v (%T), want a %T", name, c, err, err, e)
	}
	l.noSecrets(err.Error())
	l.noSecrets(session.Hint(err))
	return e
}

func (l *lab) noSecrets(s string) {
	l.t.Helper()
	for _, secret := range l.world.Secrets() {
		if strings.Contains(s, secret) {
			l.t.Errorf("a secret is shown: %s", s)
		}
	}
}

// calls checks how often each action was called since the last look.
func (l *lab) calls(want map[string]int) {
	l.t.Helper()
	got := map[string]int{}
	for _, r := range l.world.Requests() {
		got[r.Action]++
	}
	for _, action := range []string{"GetSessionToken", "AssumeRole", "GetCallerIdentity", "AssumeRoleWithWebIdentity"} {
		if got[action] != want[action] {
			l.t.Errorf("%s was called %d times, want %d", action, got[action], want[action])
		}
	}
	l.world.Reset()
}

// last is the form of the last call of an action.
func (l *lab) last(action string) map[string]string {
	l.t.Helper()
	form := map[string]string{}
	for _, r := range l.world.Requests() {
		if r.Action == action {
			clear(form)
			for k, v := range r.Form {
				form[k] = v[0]
			}
			form["signer"] = r.AccessKeyID
		}
	}
	return form
}

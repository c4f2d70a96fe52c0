package awstest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Account is one AWS account.
type Account struct {
	ID        string
	aws       *AWS
	users     map[string]*User
	roles     map[string]*Role
	groups    map[string]*Group
	policies  map[string]*managedPolicy // by ARN
	providers map[string]*IdentityProvider
	// samlProviders are by ARN.
	samlProviders map[string]*SAMLProvider
	buckets       []bucket
}

type bucket struct {
	name    string
	created time.Time
}

// Key is an access key as the console shows it once.
type Key struct {
	ID, Secret string
}

// String keeps the secret out of logs.
func (k Key) String() string { return k.ID }

// GoString keeps the secret out of %#v.
func (k Key) GoString() string { return k.ID }

// accessKey is a long-term key of a user, or of the root of an account.
type accessKey struct {
	id, secret string
	active     bool
	created    time.Time
	user       *User
	account    *Account
}

// permissions are the identity policies of a user, group or role. Who has none
// may do everything: a test that does not care about permissions need not
// write any.
type permissions struct {
	inline   map[string]policyText // by name
	attached []*managedPolicy
}

type policyText struct {
	text string
	doc  *document
}

type managedPolicy struct {
	arn, name string
	policyText
}

// User is an IAM user.
type User struct {
	ARN, Name, Path, ID string
	account             *Account
	created             time.Time
	keys                []*accessKey
	devices             []*MFADevice
	groups              []*Group
	permissions
}

// Group is an IAM group.
type Group struct {
	ARN, Name, Path, ID string
	account             *Account
	created             time.Time
	permissions
}

// Role is an IAM role.
type Role struct {
	ARN, Name, Path, ID string
	account             *Account
	created             time.Time
	trust               policyText
	maxSession          time.Duration
	permissions
}

// Account returns an account, made at first use.
func (a *AWS) Account(id string) *Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.accounts[id]
	if c == nil {
		c = &Account{
			ID: id, aws: a,
			users:     map[string]*User{},
			roles:     map[string]*Role{},
			groups:    map[string]*Group{},
			policies:  map[string]*managedPolicy{},
			providers: map[string]*IdentityProvider{},
		}
		a.accounts[id] = c
	}
	return c
}

// Default returns the account that Options name.
func (a *AWS) Default() *Account { return a.Account(a.opt.Account) }

func (c *Account) arn(service, resource string) string {
	return fmt.Sprintf("arn:%s:%s::%s:%s", c.aws.opt.Partition, service, c.ID, resource)
}

// RootARN names the account as a principal.
func (c *Account) RootARN() string { return c.arn("iam", "root") }

// RootKey makes an access key of the account's root.
func (c *Account) RootKey() Key {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	return c.aws.newKey(&accessKey{account: c})
}

// User returns a user, made at first use. The name may be preceded by a path,
// as in "ops/alice".
func (c *Account) User(name string) *User {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	path, name := splitPath(name)
	u := c.users[name]
	if u == nil {
		u = &User{ARN: c.arn("iam", "user"+path+name), Name: name, Path: path, ID: "AIDA" + random(17), account: c, created: c.aws.now()}
		c.users[name] = u
	}
	return u
}

// Group returns a group, made at first use.
func (c *Account) Group(name string) *Group {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	path, name := splitPath(name)
	g := c.groups[name]
	if g == nil {
		g = &Group{ARN: c.arn("iam", "group"+path+name), Name: name, Path: path, ID: "AGPA" + random(17), account: c, created: c.aws.now()}
		c.groups[name] = g
	}
	return g
}

// Role makes a role with a trust policy, or gives an existing one another. The
// name may be preceded by a path. It panics if the policy is malformed.
func (c *Account) Role(name, trust string) *Role {
	p := mustPolicy(trust, true)
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	path, name := splitPath(name)
	r := c.roles[name]
	if r == nil {
		r = &Role{ARN: c.arn("iam", "role"+path+name), Name: name, Path: path, ID: "AROA" + random(17), account: c, created: c.aws.now(), maxSession: time.Hour}
		c.roles[name] = r
	}
	r.trust = p
	return r
}

// Policy makes a managed policy and returns its ARN.
func (c *Account) Policy(name, document string) string {
	p := mustPolicy(document, false)
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	path, name := splitPath(name)
	m := &managedPolicy{arn: c.arn("iam", "policy"+path+name), name: name, policyText: p}
	c.policies[m.arn] = m
	return m.arn
}

// Bucket makes an S3 bucket.
func (c *Account) Bucket(name string) {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	c.buckets = append(c.buckets, bucket{name, c.aws.now()})
}

// AddKey makes an access key of the user.
func (u *User) AddKey() Key {
	u.account.aws.mu.Lock()
	defer u.account.aws.mu.Unlock()
	return u.account.aws.newKey(&accessKey{account: u.account, user: u})
}

// AddMFA gives the user a virtual MFA device.
func (u *User) AddMFA(name string) *MFADevice {
	a := u.account.aws
	a.mu.Lock()
	defer a.mu.Unlock()
	d := &MFADevice{Serial: u.account.arn("iam", "mfa/"+name), aws: a, user: u, seed: newSeed(), enabled: a.now(), used: map[int64]bool{}}
	u.devices = append(u.devices, d)
	a.secrets = append(a.secrets, d.Seed())
	return d
}

// Join puts the user into a group.
func (u *User) Join(g *Group) {
	u.account.aws.mu.Lock()
	defer u.account.aws.mu.Unlock()
	u.groups = append(u.groups, g)
}

// Put adds an inline policy. It panics if the policy is malformed.
func (u *User) Put(name, document string) { u.put(u.account.aws, name, document) }

// Attach attaches a managed policy of the account.
func (u *User) Attach(arn string) { u.attach(u.account, arn) }

// Put adds an inline policy. It panics if the policy is malformed.
func (g *Group) Put(name, document string) { g.put(g.account.aws, name, document) }

// Attach attaches a managed policy of the account.
func (g *Group) Attach(arn string) { g.attach(g.account, arn) }

// Put adds an inline policy. It panics if the policy is malformed.
func (r *Role) Put(name, document string) { r.put(r.account.aws, name, document) }

// Attach attaches a managed policy of the account.
func (r *Role) Attach(arn string) { r.attach(r.account, arn) }

// SetMaxSession sets MaxSessionDuration, an hour unless set, and returns r.
func (r *Role) SetMaxSession(d time.Duration) *Role {
	r.account.aws.mu.Lock()
	defer r.account.aws.mu.Unlock()
	r.maxSession = d
	return r
}

func (p *permissions) put(a *AWS, name, document string) {
	t := mustPolicy(document, false)
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.inline == nil {
		p.inline = map[string]policyText{}
	}
	p.inline[name] = t
}

func (p *permissions) attach(c *Account, arn string) {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	m := c.policies[arn]
	if m == nil {
		panic(fmt.Sprintf("awstest: no policy %q in account %s", arn, c.ID))
	}
	p.attached = append(p.attached, m)
}

func (p *permissions) documents() []*document {
	var docs []*document
	for _, t := range p.inline {
		docs = append(docs, t.doc)
	}
	for _, m := range p.attached {
		docs = append(docs, m.doc)
	}
	return docs
}

// Allow writes an identity policy that allows actions on resources.
func Allow(actions, resources []string) string {
	text, err := json.Marshal(map[string]any{
		"Version":   "2012-10-17",
		"Statement": []any{map[string]any{"Effect": "Allow", "Action": actions, "Resource": resources}},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

func mustPolicy(text string, trust bool) policyText {
	d, err := parsePolicy(text, trust)
	if err != nil {
		panic("awstest: " + err.Error())
	}
	return policyText{text, d}
}

// newKey completes, registers and returns a key. It is called with mu held.
func (a *AWS) newKey(k *accessKey) Key {
	k.id, k.secret = "AKIA"+fakeID(), a.newSecret()
	k.active, k.created = true, a.now()
	a.keys[k.id] = k
	if k.user != nil {
		k.user.keys = append(k.user.keys, k)
	}
	return Key{k.id, k.secret}
}

// fakeID is the rest of an access key ID, of the right length and plainly fake.
func fakeID() string { return "FAKE" + random(12) }

// newSecret makes a secret access key: 40 characters, as AWS's, that can be
// told for what it is.
func (a *AWS) newSecret() string {
	s := "awstest/FAKE/SECRET/" + random(20)
	a.secrets = append(a.secrets, s)
	return s
}

// random returns n characters of the alphabet of AWS's identifiers.
func random(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b)
}

// splitPath turns "a/b/name" into "/a/b/" and "name".
func splitPath(s string) (path, name string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "/", s
	}
	return "/" + strings.Trim(s[:i], "/") + "/", s[i+1:]
}

package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Lookup is the environment: a variable's value and whether it is set. The
// caller has removed what aws-runas itself exported.
type Lookup func(name string) (string, bool)

func (l Lookup) get(name string) string {
	if l == nil {
		return ""
	}
	v, _ := l(name)
	return v
}

// Config is what the two files say. It is immutable.
type Config struct {
	home        string
	config      file
	credentials file
	over        overlay
}

// overlay says which settings of config no file has.
type overlay struct {
	profile, from string
	settings      []KV
}

// file is one of the two files and the layout of its text.
type file struct {
	path     string // "" if there is no home directory to find it in
	shown    string // path as messages show it
	missing  bool
	mode     fs.FileMode
	time     time.Time // of the last change
	data     []byte
	sections []section
}

// Load reads the config and credentials files: AWSRUNAS_CONFIG_FILE (which
// wrapper mode sets for nested runs), AWS_CONFIG_FILE or ~/.aws/config, and
// AWSRUNAS_CREDENTIALS_FILE, AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials.
// A leading ~ stands for home. A missing file is an empty one. Every error is
// an [*Error].
func Load(lookup Lookup, home string) (*Config, error) {
	c := &Config{home: home}
	var err error
	if c.config, err = c.read(false, "config", lookup.get("AWSRUNAS_CONFIG_FILE"), lookup.get("AWS_CONFIG_FILE")); err != nil {
		return nil, err
	}
	if c.credentials, err = c.read(true, "credentials", lookup.get("AWSRUNAS_CREDENTIALS_FILE"), lookup.get("AWS_SHARED_CREDENTIALS_FILE")); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) read(credentials bool, base string, named ...string) (file, error) {
	var f file
	for _, n := range named {
		if n != "" {
			f.path = expandHome(n, c.home)
			break
		}
	}
	if f.path == "" {
		if c.home == "" {
			f.missing = true
			return f, nil
		}
		f.path = filepath.Join(c.home, ".aws", base)
	}
	f.shown = showPath(f.path, c.home)
	data, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.missing = true
		return f, nil
	case err != nil:
		return f, unreadable(f.path, f.shown, err)
	}
	f.data = data
	if info, err := os.Stat(f.path); err == nil {
		f.mode, f.time = info.Mode(), info.ModTime()
	}
	var bad *badLine
	if f.sections, bad = lay(data, credentials); bad != nil {
		return f, f.fault(bad, nil)
	}
	return f, nil
}

// Stale reports whether a file has changed since it was read.
func (c *Config) Stale() bool { return c.config.stale() || c.credentials.stale() }

func (f *file) stale() bool {
	info, err := os.Stat(f.path)
	if f.path == "" || f.missing && err != nil {
		return false
	}
	return err != nil || f.missing || !info.ModTime().Equal(f.time) || info.Size() != int64(len(f.data))
}

// With returns c with settings laid over a profile, as if they stood in the
// config file; no file is touched. Messages say that they come from what from
// names: "--sso-session". The values are held to what [SetSection] would write.
func (c *Config) With(name string, settings []KV, from string) (*Config, error) {
	with := *c
	with.over = overlay{name, from, settings}
	header := c.Header(name)
	data, err := setSection(slices.Clone(c.config.data), header, settings)
	if err != nil {
		return nil, &Error{Origin: Origin{Flag: from}, Message: err.Error(), Err: err}
	}
	with.config.data = data
	var bad *badLine
	if with.config.sections, bad = lay(data, false); bad != nil {
		return nil, with.config.fault(bad, nil)
	}
	return &with, nil
}

// unreadable makes an error of what the system said about a file.
func unreadable(path, shown string, err error) *Error {
	cause := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		cause = pe.Err
	}
	e := &Error{Origin: Origin{File: shown}, Message: "cannot be read: " + cause.Error(), Err: err}
	if info, serr := os.Stat(path); serr == nil && info.IsDir() {
		e.Message = "is a directory, not a file"
	} else if errors.Is(err, fs.ErrPermission) && runtime.GOOS != "windows" {
		e.Advice = "chmod u+r " + shown
	}
	return e
}

func (f *file) fault(bad *badLine, s *section) *Error {
	e := &Error{Origin: Origin{File: f.shown, Line: bad.num}, Message: bad.message}
	if s != nil {
		e.Section = f.head(s)
	}
	return e
}

func (f *file) head(s *section) string { return string(f.data[s.headLo:s.headHi]) }

func expandHome(path, home string) string {
	if home != "" && (path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, "~"+string(filepath.Separator))) {
		return filepath.Join(home, path[1:])
	}
	return path
}

func showPath(path, home string) string {
	if home != "" {
		if rest, ok := strings.CutPrefix(path, filepath.Clean(home)+string(filepath.Separator)); ok {
			return "~" + string(filepath.Separator) + rest
		}
	}
	return path
}

// Format keeps the text of the files, secrets included, out of every message.
func (c *Config) Format(s fmt.State, _ rune) { io.WriteString(s, "profile.Config") }

// ConfigFile returns the path of the config file, whether or not it exists.
func (c *Config) ConfigFile() string { return c.config.path }

// CredentialsFile returns the path of the credentials file, whether or not it exists.
func (c *Config) CredentialsFile() string { return c.credentials.path }

// sections returns the sections of a profile in the order in which they apply,
// the weightier last. [profile x] makes the config file's [x] void, as it does
// for the AWS SDKs and [default]; the credentials file wins over the config
// file; sections of one name are one.
func (c *Config) sections(name string) (config, credentials []*section) {
	kind := bareSection
	for i := range c.config.sections {
		s := &c.config.sections[i]
		if s.kind != profileSection && s.kind != kind || !s.is(c.config.data, name) {
			continue
		}
		if s.kind == profileSection && kind == bareSection {
			kind, config = profileSection, nil
		}
		config = append(config, s)
	}
	for i := range c.credentials.sections {
		if s := &c.credentials.sections[i]; s.kind == bareSection && s.is(c.credentials.data, name) {
			credentials = append(credentials, s)
		}
	}
	return config, credentials
}

// named returns the sso-session or services sections of that name.
func (c *Config) named(kind sectionKind, name string) []*section {
	var found []*section
	for i := range c.config.sections {
		if s := &c.config.sections[i]; s.kind == kind && s.is(c.config.data, name) {
			found = append(found, s)
		}
	}
	return found
}

// SSOSessions returns the names of the sso-session sections, sorted.
func (c *Config) SSOSessions() []string {
	var names []string
	for i := range c.config.sections {
		if s := &c.config.sections[i]; s.kind == ssoSection {
			names = append(names, s.name(c.config.data))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Has reports whether a profile is configured in either file. "default" needs no
// section: its keys may be in the keyring.
func (c *Config) Has(name string) bool {
	config, credentials := c.sections(name)
	return name == "default" || name != "" && len(config)+len(credentials) > 0
}

// writtenSuffix ends the names of the credentials file's sections that
// --write-credentials makes. Scripts made for the original aws-runas name it.
const writtenSuffix = "-awsrunas"

// WrittenSection returns the section of the credentials file that
// --write-credentials makes for a profile.
func WrittenSection(name string) string { return name + writtenSuffix }

// Written returns the profiles that have such a section, sorted.
func (c *Config) Written() []string {
	var names []string
	for i := range c.credentials.sections {
		if name, ok := strings.CutSuffix(c.credentials.sections[i].name(c.credentials.data), writtenSuffix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Names returns the configured profiles of both files, sorted: [profile x] and
// [x], but neither sso-session and services sections nor what
// --write-credentials wrote.
func (c *Config) Names() []string {
	parts := c.parts("")
	names := make([]string, len(parts))
	for i := range parts {
		names[i] = parts[i].name
	}
	return slices.Compact(names)
}

// part is a section of a profile. Those of one name apply from the lowest order
// to the highest: [x] of the config file, [profile x], the credentials file.
type part struct {
	name  string
	order int
}

func (c *Config) part(order int) (*file, *section) {
	n := len(c.config.sections)
	if order < 2*n {
		return &c.config, &c.config.sections[order%n]
	}
	return &c.credentials, &c.credentials.sections[order-2*n]
}

// parts returns the sections of the profiles that begin with prefix, sorted by
// name.
func (c *Config) parts(prefix string) []part {
	n := len(c.config.sections)
	all := make([]part, 0, n+len(c.credentials.sections))
	add := func(f *file, kind sectionKind, order int) {
		for i := range f.sections {
			if s := &f.sections[i]; s.kind == kind && s.begins(f.data, prefix) {
				all = append(all, part{s.name(f.data), order + i})
			}
		}
	}
	add(&c.config, bareSection, 0)
	add(&c.config, profileSection, n)
	add(&c.credentials, bareSection, 2*n)
	slices.SortFunc(all, func(a, b part) int {
		if by := strings.Compare(a.name, b.name); by != 0 {
			return by
		}
		return a.order - b.order
	})
	before := ""
	return slices.DeleteFunc(all, func(p part) bool {
		if p.name == "" || p.order >= 2*n && p.name != before && strings.HasSuffix(p.name, writtenSuffix) {
			return true // [profile ""], or what --write-credentials wrote
		}
		before = p.name
		return false
	})
}

// Closest returns the configured name that name is most likely a misspelling
// of, "" if none is near.
func (c *Config) Closest(name string) string { return Nearest(name, c.Names()) }

// Nearest returns the one among the names that name is most likely a
// misspelling of: about one slip in three letters. It is "" if none is near.
func Nearest(name string, among []string) string {
	best, least := "", (len(name)+1)/3+1
	name = strings.ToLower(name)
	for _, n := range among {
		if d := distance(name, strings.ToLower(n), least); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours between a and b, in bytes; it returns limit if there are as many.
func distance(a, b string, limit int) int {
	if a == b {
		return 0
	}
	if d := len(a) - len(b); d >= limit || -d >= limit || len(a) > 256 {
		return limit
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, prev, row = prev, row, before
	}
	return min(prev[len(b)], limit)
}

// Readable returns the files that hold secret keys and that other users may read.
func (c *Config) Readable() []string {
	var all []string
	for _, f := range []*file{&c.config, &c.credentials} {
		if runtime.GOOS == "windows" || !f.mode.IsRegular() || f.mode.Perm()&0o077 == 0 || !f.holdsKeys() {
			continue
		}
		all = append(all, f.path)
	}
	return all
}

func (f *file) holdsKeys() bool {
	return strings.Contains(strings.ToLower(string(f.data)), "aws_secret_access_key")
}

// Summary is what a profile's own sections say, for lists and completion.
// Nothing in it is inherited or checked.
type Summary struct {
	Name          string `json:"name"`
	Kind          string `json:"kind"` // one of the Kind constants
	RoleARN       string `json:"role_arn,omitempty"`
	Account       string `json:"account,omitempty"` // of the role, or sso_account_id
	Region        string `json:"region,omitempty"`
	SourceProfile string `json:"source_profile,omitempty"`
	MFASerial     string `json:"mfa_serial,omitempty"`
	SSORoleName   string `json:"sso_role_name,omitempty"`
}

// HasRole reports whether the profile assumes a role of its own.
func (s Summary) HasRole() bool { return s.RoleARN != "" }

// The kinds of profile, by the way its credentials are come by.
const (
	KindSession     = "session" // keys in the keyring, or only settings for others
	KindKeys        = "keys"    // keys in a file
	KindProcess     = "process"
	KindLogin       = "login"
	KindSSO         = "sso"
	KindRole        = "role"
	KindOIDC        = "oidc"
	KindWebIdentity = "web-identity"
	KindSAML        = "saml"
)

// kinds has the one that counts last, where a profile could be of several.
var kinds = [...]string{KindSession, KindKeys, KindProcess, KindLogin, KindSSO, KindRole, KindOIDC, KindWebIdentity, KindSAML}

// Summaries returns a summary of each profile, in the order of [Config.Names].
// It looks at the lines of every section and does without ini.v1, which would
// take ten times as long.
func (c *Config) Summaries() []Summary { return slices.Collect(c.SummariesOf("")) }

// SummariesOf is Summaries for the names that begin with prefix.
func (c *Config) SummariesOf(prefix string) iter.Seq[Summary] {
	return func(yield func(Summary) bool) {
		parts := c.parts(prefix)
		for len(parts) > 0 {
			name, kind := parts[0].name, otherSection
			var sum Summary
			for ; len(parts) > 0 && parts[0].name == name; parts = parts[1:] {
				f, s := c.part(parts[0].order)
				if s.kind != kind && kind != profileSection {
					sum = Summary{Name: name, Kind: KindSession} // [profile x] makes [x] void
				}
				kind = s.kind
				sum.read(f.data, s)
			}
			if !yield(sum) {
				return
			}
		}
	}
}

// read takes over what a section says.
func (s *Summary) read(data []byte, sec *section) {
	lines := scanner{data: data[:sec.end], pos: sec.body, num: sec.line}
	var l line
	for lines.next(&l) {
		if l.kind != settingLine {
			continue
		}
		name := data[l.lo:l.nameEnd]
		to, kind := s.field(name)
		if kind == "" && to == nil {
			if to, kind = s.field(bytes.ToLower(name)); kind == "" && to == nil {
				continue
			}
		}
		value := unquote(rawValue(data, l.valueLo, l.hi))
		if value == "" {
			continue
		}
		if to != nil {
			*to = value
		}
		if kind != "" && slices.Index(kinds[:], kind) > slices.Index(kinds[:], s.Kind) {
			s.Kind = kind
		}
		switch {
		case to == &s.RoleARN:
			s.Account = roleAccount(value)
		case s.Account == "" && kind == KindSSO && string(name) == "sso_account_id":
			s.Account = value
		}
	}
}

// field returns what a setting fills in, and the kind of profile that it makes.
func (s *Summary) field(name []byte) (to *string, kind string) {
	switch string(name) {
	case "role_arn":
		return &s.RoleARN, KindRole
	case "region":
		return &s.Region, ""
	case "source_profile":
		return &s.SourceProfile, ""
	case "mfa_serial":
		return &s.MFASerial, ""
	case "saml_auth_url":
		return nil, KindSAML
	case "web_identity_auth_url":
		return nil, KindOIDC
	case "web_identity_token_file":
		return nil, KindWebIdentity
	case "sso_role_name":
		return &s.SSORoleName, KindSSO
	case "sso_session", "sso_start_url", "sso_account_id":
		return nil, KindSSO
	case "login_session":
		return nil, KindLogin
	case "credential_process":
		return nil, KindProcess
	case "aws_access_key_id":
		return nil, KindKeys
	}
	return nil, ""
}

// isCredential reports whether a setting of a profile makes the AWS SDKs look
// for credentials.
func isCredential(name string) bool {
	switch name {
	case "role_arn", "source_profile", "credential_source", "credential_process",
		"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token",
		"sso_session", "sso_start_url", "sso_region", "sso_account_id", "sso_role_name", "sso_registration_scopes",
		"web_identity_token_file", "login_session":
		return true
	}
	return false
}

// DefaultYieldsCredentials reports whether [default] in the config file has any
// setting that the AWS SDKs would take credentials from.
func (c *Config) DefaultYieldsCredentials() bool {
	config, _ := c.sections("default")
	for _, s := range config {
		for _, e := range entries(c.config.data, s) {
			if isCredential(e.name) {
				return true
			}
		}
	}
	return false
}

// WithoutCredentials returns the text of the config file without the credential
// settings of any profile: every other line, and the sso-session and services
// sections, are as they were. It fails if the AWS SDKs would still find one in
// the result.
func (c *Config) WithoutCredentials() ([]byte, error) {
	data := c.config.data
	out := make([]byte, 0, len(data))
	from := 0
	for i := range c.config.sections {
		s := &c.config.sections[i]
		if s.kind == ssoSection || s.kind == servicesSection {
			continue
		}
		for _, e := range entries(data, s) {
			if isCredential(e.name) {
				out = append(out, data[from:e.start]...)
				from = e.end
			}
		}
	}
	out = append(out, data[from:]...)
	left := Config{config: file{data: out}}
	var bad *badLine
	if left.config.sections, bad = lay(out, false); bad != nil || left.DefaultYieldsCredentials() {
		return nil, &Error{Origin: Origin{File: c.config.shown}, Message: "cannot be copied without its credential settings"}
	}
	return out, nil
}

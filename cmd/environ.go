package cmd

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"slices"
	"strings"
)

// environ is the environment the program was started with.
type environ struct {
	vars map[string]string
	ours map[string]bool // set by an earlier run and unchanged since
}

// exportsVar lists the variables that a run has set, as NAME:HASH separated by
// commas. HASH is the start of the value's SHA-256, so that a variable which
// somebody has changed since is recognised as theirs.
const exportsVar = "AWSRUNAS_EXPORTS"

func newEnviron(list []string) environ {
	e := environ{vars: make(map[string]string, len(list)), ours: map[string]bool{}}
	for _, kv := range list {
		// Windows has variables such as "=C:".
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			e.vars[envName(name)] = value
		}
	}
	for _, item := range strings.Split(e.vars[exportsVar], ",") {
		name, hash, _ := strings.Cut(item, ":")
		if v, set := e.vars[envName(name)]; set && hash == valueHash(v) {
			e.ours[envName(name)] = true
		}
	}
	return e
}

func envName(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

func valueHash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:4])
}

// Lookup finds a variable, but for those that an earlier run exported: what we
// said is never what we are told.
func (e environ) Lookup(name string) (string, bool) {
	name = envName(name)
	if e.ours[name] {
		return "", false
	}
	v, ok := e.vars[name]
	return v, ok
}

// Get is Lookup for those to whom unset and empty are the same.
func (e environ) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// marker finds a variable of our own that says what the shell has now.
func (e environ) marker(name string) string { return e.vars[name] }

// with returns the environment for a child process: this one without the
// variables in unset and without what reaches no child, and with those in set.
func (e environ) with(set map[string]string, unset []string) []string {
	vars := make(map[string]string, len(e.vars)+len(set))
	for k, v := range e.vars {
		vars[k] = v
	}
	for _, names := range [][]string{unset, privateVars[:]} {
		for _, name := range names {
			delete(vars, envName(name))
		}
	}
	for k, v := range set {
		vars[k] = v
	}
	return environ{vars: vars}.list()
}

// list is the whole environment, for this program started again.
func (e environ) list() []string {
	list := make([]string, 0, len(e.vars))
	for k, v := range e.vars {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// noInputVar is --no-input, for a run of this program that a run without anybody
// to ask starts, such as a credential_process.
const noInputVar = "AWSRUNAS_NO_INPUT"

// privateVars are meant for this program alone: they may hold a secret, and the
// last one names a file descriptor that no child has.
var privateVars = [...]string{
	"MFA_CODE", "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD", "AWSRUNAS_PASSPHRASE", "AWSRUNAS_LISTENER_FD",
}

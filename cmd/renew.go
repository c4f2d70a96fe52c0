package cmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"aws-runas/shell"
)

// renewLimit is how long a prompt may be kept waiting.
const renewLimit = 3 * time.Second

// renewal is the request in a form that a later run can repeat: the profile
// and those flags that are no secret.
type renewal struct {
	Profile string            `json:"profile"`
	Bytes   []byte            `json:"bytes,omitempty"` // the profile's, where it is no UTF-8, which JSON demands
	Flags   map[string]string `json:"flags,omitempty"`
	Session bool              `json:"session,omitempty"`
	Keyring string            `json:"keyring,omitempty"` // where --keyring named one
}

func (r renewal) String() string {
	if !utf8.ValidString(r.Profile) {
		r.Bytes = []byte(r.Profile)
	}
	data, _ := json.Marshal(r) // strings, bytes and a bool
	return string(data)
}

// repeats makes this run one that repeats the request in text, a variable of
// our own: with its keyring, and with hints for the line that it came from.
func (a *app) repeats(text string) (renewal, bool) {
	var r renewal
	if json.Unmarshal([]byte(text), &r) != nil || r.Profile == "" {
		return r, false
	}
	if r.Bytes != nil {
		r.Profile = string(r.Bytes)
	}
	a.Keyring, a.args = r.Keyring, []string{"env"}
	if r.Keyring != "" {
		a.args = append(a.args, "--keyring", r.Keyring)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Flags)) {
		a.args = append(a.args, "--"+name, r.Flags[name])
	}
	a.args = append(a.args, profileWords(r.Profile)...)
	return r, true
}

// renew prints new credentials for the shell that asks at its prompt, or
// nothing where those it has are the best there are. It asks nobody. Told is
// the exit code of a failure that has been told already.
func (a *app) renew(dialect shell.Dialect, told int) error {
	again, ok := a.repeats(a.env.marker("AWSRUNAS_RENEW"))
	if !ok {
		return fail(exitNeeds, "this shell has no credentials to renew").hint("aws-runas list profiles")
	}
	a.NoInput = true
	var left error // why what is left of the old ones is all there is
	a.cache().Warn = func(err error) { left = err }
	acc, c, err := a.quietly(again)
	if err == nil && c.AccessKeyID == a.env.marker("AWSRUNAS_KEY_ID") {
		err = left
		if err == nil {
			return nil
		}
	}
	switch code := codeOf(err); {
	case err == nil:
	case code == told:
		return exitCode(code)
	case code == exitUnreachable && err != left:
		err = fmt.Errorf("could not renew: %w", err)
		fallthrough
	case code == exitUnreachable:
		return fail(code, "%s", err) // in one line: the next attempts need no hand
	default:
		return err
	}
	return a.print(dialect, a.exports(acc.profile, c, acc.renewal))
}

// set gives the flags back their values; see [overrides.flags].
func (o *overrides) set(flags map[string]string) {
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if value, ok := flags[flagName(field)]; ok && field.Tag.Get("attr") != "" {
			v.Field(i).SetString(value)
		}
	}
}

package cmd

import (
	"strings"
	"testing"
)

// A request comes back as it went into the environment, whatever the profile
// is called.
func TestRenewalRoundTrip(t *testing.T) {
	for _, name := range []string{"prod", "prod env", `a'b"c$d`, "--help", "😀", "caf\xe9", "\xff", "caf\ufffd"} {
		var a app
		text := renewal{Profile: name, Flags: map[string]string{"region": "eu-west-1"}}.String()
		got, ok := a.repeats(text)
		if !ok || got.Profile != name || got.Flags["region"] != "eu-west-1" {
			t.Errorf("%q became %+v, by way of %s", name, got, text)
		}
		if strings.ContainsRune(text, '\xff') {
			t.Errorf("%q is not text", text)
		}
	}
}

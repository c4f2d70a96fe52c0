package shell

import (
	"strings"
	"testing"
	"time"
)

func TestPromptFormat(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	full := map[string]string{
		"AWS_ACCESS_KEY_ID": "ASIA1", "AWSRUNAS_KEY_ID": "ASIA1", "AWSRUNAS_PROFILE": "prod", "AWSRUNAS_ACCOUNT": "123456789012",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1", "AWSRUNAS_EXPIRES_AT": "1700003599",
	}
	with := func(changes ...string) map[string]string {
		m := map[string]string{}
		for k, v := range full {
			m[k] = v
		}
		for _, c := range changes {
			k, v, set := strings.Cut(c, "=")
			if m[k] = v; !set {
				delete(m, k)
			}
		}
		return m
	}
	all := "{profile} {account} {region} {left} {expired} {depth}"
	cases := []struct {
		name, format string
		env          map[string]string
		want         string
	}{
		{"default", DefaultFormat, full, "prod 59m"},
		{"all", all, full, "prod 123456789012 eu-west-1 59m"},
		{"expired", all, with("AWSRUNAS_EXPIRES_AT=1700000000"), "prod 123456789012 eu-west-1 expired"},
		{"default, expired", DefaultFormat, with("AWSRUNAS_EXPIRES_AT=1"), "prod expired"},
		{"static", DefaultFormat, with("AWSRUNAS_EXPIRES_AT"), "prod"},
		{"endpoint", DefaultFormat, map[string]string{"AWSRUNAS_PROFILE": "prod"}, "prod"},
		{"damaged time", DefaultFormat, with("AWSRUNAS_EXPIRES_AT=soon"), "prod"},
		{"depth", DefaultFormat, with("AWSRUNAS_DEPTH=2"), "prod 59m (2)"},
		{"depth one", DefaultFormat, with("AWSRUNAS_DEPTH=1"), "prod 59m"},
		{"default region", "{region}", with("AWS_REGION"), "us-east-1"},
		{"no region", "{profile} in {region}, {left}", with("AWS_REGION", "AWS_DEFAULT_REGION"), "prod in, 59m"},
		{"first is empty", "{account} {profile}", with("AWSRUNAS_ACCOUNT"), "prod"},
		{"braces", "{{{profile}}} }}{{", full, "{prod} }{"},
		{"text", "aws", full, "aws"},
		{"nothing exported", "aws {profile}", nil, ""},
		{"another tool's keys", all, with("AWS_ACCESS_KEY_ID=AKIA2"), ""},
		{"keys gone", all, with("AWS_ACCESS_KEY_ID"), ""},
		{"control characters", "{profile}", with("AWSRUNAS_PROFILE=a\x1b]0;\n\u009bb"), "a?]0;??b"},
		{"UTF-8", "{profile}", with("AWSRUNAS_PROFILE=caf\u00e9"), "caf\u00e9"},
		{"braces in a name", "{profile}", with("AWSRUNAS_PROFILE={left}"), "{left}"},
	}
	for _, c := range cases {
		got, err := ReadPrompt(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }).Format(c.format, now)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	for _, format := range []string{"{", "}", "{profile", "profile}", "{profil}", "{}", "{ profile }", "{{{", "a}b"} {
		if got, err := (Prompt{Profile: "prod"}).Format(format, now); err == nil {
			t.Errorf("%q passes: %q", format, got)
		}
		if _, err := (Prompt{}).Format(format, now); err == nil {
			t.Errorf("%q passes where there is no profile", format)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                      "0s",
		0:                                 "0s",
		999 * time.Millisecond:            "1s",
		59 * time.Second:                  "59s",
		time.Minute:                       "1m",
		time.Hour - time.Second:           "59m",
		time.Hour - time.Nanosecond:       "1h00m",
		time.Hour:                         "1h00m",
		36*time.Hour + 5*time.Minute + 59: "36h05m",
	} {
		if got := TimeLeft(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func FuzzPromptFormat(f *testing.F) {
	f.Add(DefaultFormat, "prod", "1")
	f.Add("{{{profile}}}", "{left}", "2")
	f.Fuzz(func(t *testing.T, format, profile, depth string) {
		p := ReadPrompt(func(name string) (string, bool) {
			return map[string]string{"AWSRUNAS_PROFILE": profile, "AWSRUNAS_DEPTH": depth}[name], true
		})
		got, err := p.Format(format, time.Unix(0, 0))
		if err != nil {
			return
		}
		if profile == "" && got != "" {
			t.Errorf("%q without a profile", got)
		}
		if printable(profile) != p.Profile {
			t.Errorf("%q shown as %q", profile, p.Profile)
		}
		// a name is not taken for a format, and braces can be had
		escaped := strings.NewReplacer("{", "{{", "}", "}}").Replace(strings.TrimLeft(format, " "))
		if text, err := p.Format(escaped, time.Unix(0, 0)); profile != "" && (err != nil || text != strings.TrimLeft(format, " ")) {
			t.Errorf("%q came out as %q, %v", escaped, text, err)
		}
	})
}

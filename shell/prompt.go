package shell

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Prompt is what the environment of a shell says about the credentials in it,
// without a look at any file or keyring.
type Prompt struct {
	Profile string    // empty if the environment has no credentials of ours
	Account string    // twelve digits; empty if unknown
	Region  string    // empty if unknown
	Expires time.Time // zero if they do not expire, or somebody else renews them
	Depth   int       // how many shells started by Subshell are inside each other
}

// ReadPrompt reads the variables that aws-runas exports: AWSRUNAS_PROFILE,
// AWSRUNAS_ACCOUNT, AWSRUNAS_EXPIRES_AT (seconds since 1970), AWSRUNAS_KEY_ID
// and AWSRUNAS_DEPTH, beside AWS_REGION, AWS_DEFAULT_REGION and
// AWS_ACCESS_KEY_ID. Where the last is not AWSRUNAS_KEY_ID, another tool has
// put its own keys in place, and there is no profile.
func ReadPrompt(lookup func(name string) (string, bool)) Prompt {
	get := func(name string) string {
		value, _ := lookup(name)
		return printable(value)
	}
	p := Prompt{Depth: depth(lookup)}
	if ours := get("AWSRUNAS_KEY_ID"); ours != "" && ours != get("AWS_ACCESS_KEY_ID") {
		return p
	}
	p.Profile = get("AWSRUNAS_PROFILE")
	p.Account = get("AWSRUNAS_ACCOUNT")
	if p.Region = get("AWS_REGION"); p.Region == "" {
		p.Region = get("AWS_DEFAULT_REGION")
	}
	if s, err := strconv.ParseInt(get("AWSRUNAS_EXPIRES_AT"), 10, 64); err == nil {
		p.Expires = time.Unix(s, 0)
	}
	return p
}

// DefaultFormat shows "prod 59m".
const DefaultFormat = "{profile} {left} {expired} {depth}"

// Format returns format with each field in braces replaced:
//
//	{profile}  name of the profile, or the role ARN
//	{account}  account number
//	{region}   region
//	{left}     time left, as TimeLeft writes it; nothing once it is over
//	{expired}  "expired" once it is over
//	{depth}    "(2)" in a shell in a shell, nothing in the first
//
// A field without a value takes the blanks before it along. "{{" and "}}" are
// braces. Where there is no profile the result is empty, whatever the format.
func (p Prompt) Format(format string, now time.Time) (string, error) {
	fields := map[string]string{
		"profile": p.Profile, "account": p.Account, "region": p.Region, "left": "", "expired": "", "depth": "",
	}
	switch {
	case p.Expires.IsZero():
	case now.Before(p.Expires):
		fields["left"] = TimeLeft(p.Expires.Sub(now))
	default:
		fields["expired"] = "expired"
	}
	if p.Depth > 1 {
		fields["depth"] = "(" + strconv.Itoa(p.Depth) + ")"
	}
	text := ""
	for rest := format; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			text += rest
			break
		}
		text += rest[:i]
		rest = rest[i:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			text += rest[:1]
			rest = rest[2:]
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if rest[0] == '}' || !closed {
			return "", fmt.Errorf("a brace without its partner in format %q", format)
		}
		value, known := fields[name]
		if !known {
			return "", fmt.Errorf("unknown field %q in format %q: known are profile, account, region, left, expired, depth", name, format)
		}
		if value == "" {
			text = strings.TrimRight(text, " ")
		}
		text += value
		rest = after
	}
	if p.Profile == "" {
		return "", nil
	}
	return strings.TrimLeft(text, " "), nil
}

// TimeLeft writes d as 1h05m, 59m or 45s, rounded down as clocks do. A second
// that has begun counts, as for the hooks, whose shells know no fractions.
func TimeLeft(d time.Duration) string {
	d = max(d+time.Second-1, 0).Truncate(time.Second)
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// printable replaces what could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

func depth(lookup func(string) (string, bool)) int {
	value, _ := lookup("AWSRUNAS_DEPTH")
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

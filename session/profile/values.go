package profile

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// IsRoleARN reports whether s has the form of an IAM role's ARN, in any
// partition: arn:PARTITION:iam::ACCOUNT:role/PATH/NAME. The account is digits,
// twelve at AWS; emulators have others.
func IsRoleARN(s string) bool {
	_, ok := iamARN(s, "role/")
	return ok
}

// iamARN returns the account of an IAM ARN whose resource begins with one of
// the prefixes.
func iamARN(s string, resources ...string) (account string, ok bool) {
	var part [6]string // without an allocation: lists have thousands of them
	for i := range 5 {
		part[i], s, _ = strings.Cut(s, ":")
	}
	part[5] = s
	if part[0] != "arn" || part[2] != "iam" || part[3] != "" {
		return "", false
	}
	if !strings.HasPrefix(part[1], "aws") || !all(part[1], isNameByte) || part[4] == "" || !all(part[4], isDigit) {
		return "", false
	}
	for _, r := range resources {
		// IAM: printable ASCII in paths, letters, digits and +=,.@_- in names.
		if name, found := strings.CutPrefix(part[5], r); found && name != "" && !strings.HasSuffix(name, "/") &&
			all(name, func(b byte) bool { return b > ' ' && b < 0x7f }) {
			return part[4], true
		}
	}
	return "", false
}

func roleAccount(arn string) string {
	account, _ := iamARN(arn, "role/")
	return account
}

// isSerial reports whether s can be the SerialNumber of an MFA device: an ARN,
// or 9 to 256 of the characters that
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html allows.
func isSerial(s string) bool {
	if strings.HasPrefix(s, "arn:") {
		_, ok := iamARN(s, "mfa/", "sms-mfa/")
		return ok
	}
	return len(s) >= 9 && len(s) <= 256 && all(s, func(b byte) bool {
		return isNameByte(b) || strings.IndexByte("+=/:,.@", b) >= 0
	})
}

func all(s string, ok func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isNameByte(b byte) bool {
	return isDigit(b) || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b == '-' || b == '_'
}

// duration reads a Go duration or a number of seconds. 0 means that there is
// none, as an empty value does.
func duration(s string, lo, hi time.Duration) (time.Duration, error) {
	var d time.Duration
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > int64(hi/time.Second) {
			n = int64(hi/time.Second) + 1
		}
		d = time.Duration(max(n, -1)) * time.Second
	} else if d, err = time.ParseDuration(s); err != nil {
		return 0, fmt.Errorf("%q is no duration: write 1h30m, or a number of seconds", s)
	}
	if d == 0 {
		return 0, nil
	}
	if d < lo || d > hi {
		return 0, fmt.Errorf("%q is out of range: %s to %s", s, brief(lo), brief(hi))
	}
	return d, nil
}

// brief writes whole hours and minutes as a person does: 15m, 12h.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func boolean(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

// tags reads the form of aws-vault: a=1,b=2.
func tags(s string) (map[string]string, error) {
	m := map[string]string{}
	for _, pair := range list(s) {
		k, v, ok := strings.Cut(pair, "=")
		k = strings.TrimSpace(k)
		if !ok || k == "" {
			return nil, fmt.Errorf("%q is no list of tags: write name=value,name=value", s)
		}
		if _, twice := m[k]; twice {
			return nil, fmt.Errorf("%q names the tag %q twice", s, k)
		}
		m[k] = strings.TrimSpace(v)
	}
	return m, nil
}

func list(s string) []string {
	var all []string
	for _, v := range strings.Split(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// Shown is an address as it may be shown: without the user and password in it,
// and without the values of its query, where OneLogin's have a client's secret.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		return redacted
	}
	if u.User == nil && u.RawQuery == "" {
		return address
	}
	u.User = nil
	if u.RawQuery != "" {
		query := strings.Split(u.RawQuery, "&")
		for i, q := range query {
			name, _, named := strings.Cut(q, "=")
			if query[i] = redacted; named {
				query[i] = name + "=" + redacted
			}
		}
		u.RawQuery = strings.Join(query, "&")
	}
	return u.String()
}

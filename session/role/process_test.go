package role

import (
	"strings"
	"testing"
	"time"
)

func FuzzParseProcess(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range []string{
		`{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s"}`,
		`{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-01-01T01:00:00.123456+02:00"}`,
		`{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-01-01T01:00:00Z"}`,
		`{"Version":"1"}`, `null`, `[]`, ``, `{"Version":1,"AccessKeyId":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		c, err := parseProcess(out, now)
		if err != nil {
			if c.AccessKeyID != "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v with %v", c, err)
			}
			return
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" || !c.Expires.IsZero() && !c.Expires.After(now) {
			t.Errorf("took %q for %v", out, c)
		}
	})
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", 2 * time.Minute: "2m", 15 * time.Second: "15s", 12 * time.Hour: "12h", 3601 * time.Second: "1h0m1s",
		10 * time.Minute: "10m", 100 * time.Hour: "100h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

package profile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWithAndStale(t *testing.T) {
	home := t.TempDir()
	none := func(string) (string, bool) { return "", false }
	c, err := Load(none, home)
	if err != nil {
		t.Fatal(err)
	}
	if c.Stale() {
		t.Error("stale, though there still is no file")
	}
	file := filepath.Join(home, ".aws", "config")
	if err := SetSection(file, "profile base", []KV{{"region", "eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	if !c.Stale() {
		t.Error("not stale, though the file is there now")
	}
	if c, err = Load(none, home); err != nil || c.Stale() {
		t.Fatal(err, "or stale at once")
	}
	with, err := c.With("a b", []KV{{"role_arn", "arn:aws:iam::123456789012:role/R"}, {"source_profile", "base"}}, "--x")
	if err != nil {
		t.Fatal(err)
	}
	p, err := with.Resolve("a b", Options{Lookup: none})
	if err != nil || p.RoleARN == "" || p.Region != "eu-west-1" || p.Source.Name != "base" {
		t.Fatalf("resolved %+v, %v", p, err)
	}
	if c.Has("a b") || c.Stale() {
		t.Error("the original or the file changed")
	}
	if _, err := c.With("x", []KV{{"external_id", "a\nb"}}, "--x"); err == nil {
		t.Error("a line break was taken")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !c.Stale() {
		t.Error("not stale, though the file is gone")
	}
}

// What stands in no file is not to be mended in one.
func TestWithFaults(t *testing.T) {
	c := load(t, "[profile base]\nregion = eu-west-1\n[profile bad]\nsession_token_duration = 1s\n", "")
	for _, tt := range []struct {
		settings   []KV
		want, hint string
	}{
		{[]KV{{"sso_session", "s"}}, `--x: sso_session "s": there is no [sso-session s]`, ""},
		{[]KV{{"source_profile", "bse"}}, `--x: source_profile "bse" is not configured in ~/.aws/config (~/.aws/credentials does not exist)`, `did you mean "base"?`},
		{[]KV{{"role_arn", "arn:x"}}, `--x: role_arn "arn:x" is not a role's ARN (arn:aws:iam::ACCOUNT:role/NAME)`, ""},
		{[]KV{{"role_arn", "a\nb"}}, `--x: the value of role_arn has a line break or a control character in it`, ""},
		{[]KV{{"source_profile", "bad"}}, `~/.aws/config:4 [profile bad]: session_token_duration "1s" is out of range: 15m to 36h`, "edit line 4 of ~/.aws/config"},
	} {
		with, err := c.With("made up", tt.settings, "--x")
		if err == nil {
			_, err = with.Resolve("made up", Options{})
		}
		if err == nil || err.Error() != tt.want || err.(*Error).Hint() != tt.hint {
			t.Errorf("%q: got %v, want %s and the hint %q", tt.settings, err, tt.want, tt.hint)
		}
	}
}

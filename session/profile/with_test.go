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
	with, err := c.With("a b", []KV{{"role_arn", "arn:aws:iam::123456789012:role/R"}, {"source_profile", "base"}})
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
	if _, err := c.With("x", []KV{{"external_id", "a\nb"}}); err == nil {
		t.Error("a line break was taken")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !c.Stale() {
		t.Error("not stale, though the file is gone")
	}
}

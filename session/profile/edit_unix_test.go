//go:build unix

package profile

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full in the middle of the write: a process that may write no
// more than a few bytes into a file gets the same failure at the same place.
func TestEditFullDisk(t *testing.T) {
	if file := os.Getenv("PROFILE_TEST_FULL"); file != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8, Max: 8}); err != nil {
			t.Fatal(err)
		}
		err := SetSection(file, "b", []KV{{"y", "2"}})
		if err == nil {
			t.Fatal("no error")
		}
		os.Stdout.WriteString("err: " + err.Error() + "\n")
		return
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	const text = "[a]\nx = 1\n# enough to be cut off\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEditFullDisk$")
	cmd.Env = append(os.Environ(), "PROFILE_TEST_FULL="+file)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "err: "+file+": cannot be changed: file too large\n") {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("the file is %q now, %v", got, err)
	}
	onlyFiles(t, dir, "config", "config.lock")
}

// An edit by root leaves the files to their owner.
func TestEditKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 1235); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, ".aws", "of", "config")
	for range 2 { // new, then replaced
		if err := SetSection(file, "a", []KV{{"x", "1"}, {"y", "2"}}); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{filepath.Join(dir, ".aws"), filepath.Dir(file), file, file + ".lock"} {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			if s := info.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 1235 {
				t.Errorf("%s belongs to %d:%d", f, s.Uid, s.Gid)
			}
		}
		if err := os.WriteFile(file, []byte("[a]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The lock's place may hold another name of a file that is root's.
func TestEditGivesNothingElseAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	theirs, file := filepath.Join(dir, "theirs"), filepath.Join(dir, "user", "config")
	if err := errors.Join(os.WriteFile(theirs, nil, 0o600), os.Mkdir(filepath.Dir(file), 0o700),
		os.Chown(filepath.Dir(file), 1234, 1234), os.Link(theirs, file+".lock")); err != nil {
		t.Fatal(err)
	}
	if err := SetSection(file, "a", []KV{{"x", "1"}}); err == nil {
		t.Error("no error")
	}
	info, err := os.Stat(theirs)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("it is no longer root's (%v)", err)
	}
}

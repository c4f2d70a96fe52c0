package cmd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-runas/keychain"
	"aws-runas/session"
	"aws-runas/session/awstest"

	"github.com/rogpeppe/go-internal/testscript"
)

// runAsProgram is the program itself, but that it touches nothing outside the
// work folder.
func runAsProgram() {
	leaveTerminal()
	a := newApp(os.Environ(), Streams{os.Stdin, os.Stdout, os.Stderr})
	dir := os.Getenv("TEST_LOCKS")
	a.locks = session.Locks{Dir: func() (string, error) { return dir, os.MkdirAll(dir, 0o700) }}
	os.Exit(a.main(os.Args[1:]))
}

// raceOptions keep a program that was built with -race from sleeping for a second
// before it ends: there are a thousand of them.
func raceOptions() string { return cmp.Or(os.Getenv("GORACE"), "atexit_sleep_ms=10") }

// forgetPassphrase makes the kernel keyring forget that of an encrypted file that
// is about to go: for 12 hours it would count against the user's quota.
func forgetPassphrase(getenv func(string) string) {
	lookup := func(name string) (string, bool) { v := getenv(name); return v, v != "" }
	keychain.New(keychain.Options{Backend: "file", Lookup: lookup, Home: getenv("HOME")}).Lock(context.Background())
}

// cmdFails runs a program that has to fail with an exit code, a message, a hint
// (or, with -nohint, none) and nothing on stdout.
func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	hint := true
	if len(args) > 0 && args[0] == "-nohint" {
		hint, args = false, args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails [-nohint] CODE PROGRAM [ARGS...]")
	}
	code := 0
	var exited *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exited) {
		code = exited.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout is not empty")
	}
	message := ts.ReadFile("stderr")
	if !strings.Contains("\n"+message, "\naws-runas: ") {
		ts.Fatalf("no message")
	}
	if hint != strings.Contains(message, "\nhint: ") {
		ts.Fatalf("a hint: %t, want %t", !hint, hint)
	}
}

// condition knows what a script may ask for in brackets: whether "ordinary" can
// be an ordinary user, and whether this user may mount in a namespace of its own.
func condition(name string) (bool, error) {
	switch name {
	case "ordinary":
		return canBeOrdinary(), nil
	case "mount":
		return exec.Command("unshare", "-rm", "sh", "-c", `d=$(mktemp -d) && mount -t tmpfs tmpfs "$d"; s=$?; umount "$d"; rmdir "$d"; exit $s`).Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// scriptT runs scripts and looks at what their commands printed.
type scriptT struct {
	*testing.T
	secrets func() []string
}

func (t *scriptT) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(&scriptT{T: t}) })
}

// Verbose makes the log have the output of every command.
func (t *scriptT) Verbose() bool { return true }

// Skip is for what a script needs and the machine has not. Who runs the tests,
// root or not, is no lack.
func (t *scriptT) Skip(args ...any) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" && !strings.Contains(fmt.Sprint(args...), "root") {
		t.Fatal(args...)
	}
	t.T.Skip(args...)
}

// Log gets the whole log of a script, once, at its end.
func (t *scriptT) Log(args ...any) {
	text := fmt.Sprint(args...)
	if !t.Skipped() { // of a skipped one, the reason is the last word
		t.T.Log(text)
	}
	if t.secrets != nil {
		t.check(text)
	}
}

// check holds every command of a script against the rules for both streams.
func (t *scriptT) check(log string) {
	var command, stream string
	for _, line := range strings.Split(log, "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			command, stream = line, ""
			continue
		case line == "[stdout]" || line == "[stderr]":
			stream = line
			if stream == "[stdout]" && (strings.HasPrefix(command, "> ! aws-runas ") || strings.HasPrefix(command, "> ! ordinary ")) {
				t.Errorf("it failed and yet printed something on stdout: %s", command)
			}
			continue
		}
		if stream != "[stderr]" {
			continue
		}
		for _, s := range t.secrets() {
			if s != "" && strings.Contains(line, s) {
				t.Errorf("a secret on stderr: %s", command)
			}
		}
		message, ours := strings.CutPrefix(line, "aws-runas: ")
		hint, advises := strings.CutPrefix(line, "hint: ")
		switch {
		case ours && (strings.HasSuffix(message, ".") || capitalised(message)):
			t.Errorf("a message does not begin in lower case, or ends with a full stop: %s", line)
		case advises && (strings.Contains(hint, "   ") || strings.HasSuffix(hint, ".") || strings.TrimSpace(hint) == ""):
			t.Errorf("a hint cannot be pasted: %s", line)
		}
	}
}

// capitalised reports whether s begins like a sentence. AWS_REGION and an ARN do not.
func capitalised(s string) bool {
	return len(s) > 1 && 'A' <= s[0] && s[0] <= 'Z' && 'a' <= s[1] && s[1] <= 'z'
}

// open lets an ordinary user find the work folder, which testscript makes for
// whoever runs the tests.
func open(dir string) error {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func cmdDeactivate(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "deactivate")
	w := world(ts)
	body := url.Values{"Action": {"UpdateAccessKey"}, "Version": {"2010-05-08"}, "AccessKeyId": {w.Key.ID}, "Status": {"Inactive"}}.Encode()
	r, err := http.NewRequest(http.MethodPost, ts.Getenv("AWS_ENDPOINT_URL"), strings.NewReader(body))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	awstest.Sign(r, w.Key, "", "iam", "us-east-1", []byte(body), time.Now())
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("UpdateAccessKey: %s", answer.Status)
	}
}

func cmdNewKey(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "newkey ID SECRET")
	k := world(ts).User.AddKey()
	ts.Setenv(args[0], k.ID)
	ts.Setenv(args[1], k.Secret)
}

func cmdTLS(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "tls VAR")
	server := httptest.NewUnstartedServer(world(ts))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
}

func cmdTree(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "tree FOLDER")
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(ts.Stdout(), "%s %x\n", path, sha256.Sum256(text))
		return err
	}))
}

package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/session/awstest"
)

// binaries are both programs, built once, as make demo does.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "aws-runas/cmd/aws-runas", "aws-runas/cmd/sandbox")
	if said, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", &buildError{err, said}
	}
	return dir, nil
})

type buildError struct {
	error
	said []byte
}

func (e *buildError) Error() string { return e.error.Error() + "\n" + string(e.said) }

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := binaries(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// prepare returns the sandbox as a command, with an empty folder for what it
// makes, and the check that it left nothing there.
func prepare(t *testing.T, args ...string) (*exec.Cmd, func()) {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	tmp := t.TempDir()
	name := "sandbox"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, name), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "TMP="+tmp, "TEMP="+tmp,
		"AWS_PROFILE=real", "AWS_ACCESS_KEY_ID=real", "HTTP_PROXY=http://127.0.0.1:1", "MFA_CODE=1")
	return cmd, func() {
		t.Helper()
		left, err := os.ReadDir(tmp)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
}

func sh(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		if os.Getenv("NO_SKIP") == "1" {
			t.Fatal("sh is not installed")
		}
		t.Skip("sh is not installed")
	}
}

func TestTour(t *testing.T) {
	sh(t)
	for _, flags := range [][]string{nil, {"--script"}, {"--lifetime", "60s"}, {"--fail", "1"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			cmd, clean := prepare(t, flags...)
			var out, messages bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &messages
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, out.Bytes(), messages.Bytes())
			}
			clean()
			for _, want := range []string{"$ aws-runas keys add demo-user\n", "awsrunas-demo-photos", "awsrunas-prod-invoices", "AWSReservedSSO_Engineer", "steps are as they should be"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.Bytes())
				}
			}
			// What is shown of a secret is what is the same in all of them.
			for _, secret := range []string{"awstest/FAKE/", "awstestFAKETOKEN", password} {
				if strings.Contains(out.String(), secret) {
					t.Errorf("a secret in\n%s", out.Bytes())
				}
			}
			if messages.Len() > 0 {
				t.Errorf("on stderr: %s", messages.Bytes())
			}
		})
	}
}

// TestTourFails: a step that goes wrong is named and ends the tour.
func TestTourFails(t *testing.T) {
	sh(t)
	cmd, clean := prepare(t, "--throttle", "1000")
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	err := cmd.Run()
	clean()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(messages.String(), "sandbox: creds=$(aws-runas env demo)") {
		t.Errorf("%v\n%s%s", err, out.Bytes(), messages.Bytes())
	}
	if strings.Contains(out.String(), "as they should be") {
		t.Error("went on after a failure")
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--nope"}, 2, "flag provided but not defined: -nope"},
		{[]string{"--lifetime", "long"}, 2, "invalid value \"long\""},
		{[]string{"demo"}, 2, `unexpected argument "demo"`},
		{[]string{"--help"}, 0, "usage: sandbox"},
	} {
		var out, messages bytes.Buffer
		if got := run(append([]string{"sandbox"}, tc.args...), nil, os.Stdin, &out, &messages); got != tc.status {
			t.Errorf("%v: exit %d, want %d", tc.args, got, tc.status)
		}
		if out.Len() > 0 || !strings.Contains(messages.String(), tc.says) {
			t.Errorf("%v: %q %q", tc.args, out.String(), messages.String())
		}
	}
}

func TestMFA(t *testing.T) {
	a := awstest.New(awstest.Options{})
	u := a.Default().User("alice")
	d := u.AddMFA("alice")
	c, err := startControl(d)
	if err != nil {
		t.Fatal(err)
	}
	var out, messages bytes.Buffer
	if got := run([]string{"/somewhere/mfa"}, []string{controlVariable + "=" + c.url}, os.Stdin, &out, &messages); got != 0 || len(out.String()) != 7 {
		t.Errorf("exit %d: %q %q", got, out.String(), messages.String())
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, env := range [][]string{nil, {controlVariable + "=" + c.url}} {
		out.Reset()
		messages.Reset()
		if got := run([]string{"mfa.exe"}, env, os.Stdin, &out, &messages); got != 1 || out.Len() > 0 || !strings.Contains(messages.String(), "sandbox") {
			t.Errorf("without a sandbox: exit %d: %q %q", got, out.String(), messages.String())
		}
	}
}

func TestBuckets(t *testing.T) {
	w := awstest.Demo(awstest.Options{})
	url, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	good := []string{"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=" + w.Key.ID, "AWS_SECRET_ACCESS_KEY=" + w.Key.Secret}
	for _, tc := range []struct {
		name       string
		env        []string
		status     int
		out, error string
	}{
		{"keys", good, 0, "awsrunas-demo-photos\n", ""},
		{"wrong secret", append(good[:2:2], "AWS_SECRET_ACCESS_KEY=x"), 1, "", "SignatureDoesNotMatch"},
		{"no credentials", good[:1], 1, "", "aws-runas demo -- buckets"},
		{"a container endpoint elsewhere", append(good[:1:1], "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://192.0.2.1/"), 1, "", "no credentials"},
		{"outside", nil, 1, "", "make demo"},
	} {
		var out, messages bytes.Buffer
		if got := run([]string{"buckets"}, tc.env, os.Stdin, &out, &messages); got != tc.status || out.String() != tc.out || !strings.Contains(messages.String(), tc.error) {
			t.Errorf("%s: exit %d: %q %q", tc.name, got, out.String(), messages.String())
		}
	}
}

// TestEnvironment: nothing of the caller's that matters to AWS gets in.
func TestEnvironment(t *testing.T) {
	p := &place{url: "http://127.0.0.1:1", home: filepath.Join(t.TempDir(), "home"), bin: "bin"}
	in := []string{"PATH=/bin", "TERM=vt100", "LC_ALL=C", "HOME=/home/real", "AWS_PROFILE=real", "AWS_SESSION_TOKEN=real", "AWSRUNAS_PROFILE=real",
		"MFA_CODE=123456", "RUNAS_PASSWORD=real", "https_proxy=http://real", "XDG_RUNTIME_DIR=/run/real", "SSH_AUTH_SOCK=/real"}
	env := p.environment(in, "http://control")
	for _, entry := range env {
		if strings.Contains(entry, "real") || strings.HasPrefix(entry, "MFA_CODE=") {
			t.Errorf("%s got in", entry)
		}
	}
	for _, want := range []string{"PATH=bin" + string(os.PathListSeparator) + "/bin", "TERM=vt100", "LC_ALL=C", "HOME=" + p.home, "AWS_EC2_METADATA_DISABLED=true", "AWSRUNAS_KEYRING=file"} {
		if !strings.Contains("\n"+strings.Join(env, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}

// furnished is a place with a home and identity providers, in which nothing runs.
func furnished(t *testing.T) *place {
	t.Helper()
	w := awstest.Demo(awstest.Options{})
	p, err := startProviders(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &place{world: w, providers: p, home: t.TempDir()}
}

// TestMask: no secret is shown, whatever surrounds it.
func TestMask(t *testing.T) {
	p := furnished(t)
	for _, secret := range p.secrets() {
		if got := p.mask("x=" + secret + ";"); strings.Contains(got, secret) || !strings.HasSuffix(got, "...;") {
			t.Errorf("shown as %q", got)
		}
	}
}

// TestSearchFiles: the tour's last step sees a secret wherever it lies.
func TestSearchFiles(t *testing.T) {
	p := furnished(t)
	if err := p.searchFiles(); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(p.home, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.home, "a", "b"), []byte("key="+p.world.Key.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.searchFiles(); err == nil {
		t.Error("a secret in a file was not found")
	}
}

func TestRetryAfter(t *testing.T) {
	// The client takes a code as soon as there is one, and says why it waits.
	answers := make(chan string, 2)
	answers <- ""
	answers <- "123456"
	s := httptest.NewServer(codes(func() string { return <-answers }, func() time.Duration { return 0 }))
	defer s.Close()
	var out, messages bytes.Buffer
	if got := run([]string{"mfa"}, []string{controlVariable + "=" + s.URL}, os.Stdin, &out, &messages); got != 0 || out.String() != "123456\n" {
		t.Errorf("exit %d: %q", got, out.String())
	}
	if !strings.Contains(messages.String(), "has been used") {
		t.Errorf("said %q", messages.String())
	}
}

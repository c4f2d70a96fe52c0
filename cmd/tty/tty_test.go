package tty

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"aws-runas/session"
)

// TestMain makes the test binary the program that asks, and the askpass program.
func TestMain(m *testing.M) {
	switch os.Getenv("TTY_TEST_MODE") {
	case "":
		// Whatever started the tests may ignore hang-ups, as nohup does. A signal
		// that is caught here is not ignored in the programs started here.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		os.Exit(m.Run())
	case "askpass":
		askpassMain()
	default:
		os.Exit(askMain(os.Getenv("TTY_TEST_MODE")))
	}
}

// askpassMain answers with what it was given, on several lines.
func askpassMain() {
	switch os.Getenv("TTY_TEST_ASKPASS") {
	case "fail":
		fmt.Fprintln(os.Stderr, "no display")
		os.Exit(1)
	case "silent":
	case "long":
		fmt.Println(strings.Repeat("x", 100_000))
	case "hang":
		signal.Notify(make(chan os.Signal, 1)) // else it counts as a deadlock
		fmt.Fprintln(os.Stderr, "waiting")
		select {}
	default:
		var secret []string
		for _, name := range secrets() {
			if _, there := os.LookupEnv(name); there {
				secret = append(secret, name)
			}
		}
		fmt.Printf("  %q %q \r\nsecond line\n", os.Args[1:], secret)
	}
}

func lookup(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// viaAskpass is a TTY whose askpass program is this one.
func viaAskpass(t *testing.T, behaviour string) (*TTY, *strings.Builder) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "TTY_TEST_MODE=askpass", "TTY_TEST_ASKPASS="+behaviour)
	for _, name := range secrets() {
		env = append(env, name+"=Pla1nted")
	}
	var stderr strings.Builder
	return New(Options{Lookup: lookup(map[string]string{"AWSRUNAS_ASKPASS": exe}), Environ: env, Stderr: &stderr}), &stderr
}

func TestAskpass(t *testing.T) {
	tt, _ := viaAskpass(t, "")
	for q, want := range map[session.Question]string{
		{What: session.AskMFA, Profile: "prod", Subject: "arn:aws:iam::123456789012:mfa/jane"}: `["MFAcodeforarn:aws:iam::123456789012:mfa/jane(profileprod):"][]`, // a code has no blanks
		{What: session.AskUsername, Profile: "p\x1b[2J\nq", Subject: "idp.example.com"}:        `["Username at idp.example.com (profile p?[2J?q):"] []`,
		{What: session.AskPassword, Problem: "the password was refused"}:                       `["the password was refused; Password:"] []`,
	} {
		if got, err := tt.Ask(t.Context(), q); err != nil || got != want {
			t.Errorf("%+v: %q, %v; want %q", q, got, err, want)
		}
	}
	if got, err := tt.Secret(t.Context(), "Passphrase"); err != nil || got != `["Passphrase:"] []` {
		t.Errorf("Secret: %q, %v", got, err)
	}
	if yes, err := tt.Confirm(t.Context(), "Sure?"); err != nil || yes {
		t.Errorf("Confirm: %v, %v", yes, err)
	}
}

func TestAskpassFails(t *testing.T) {
	for behaviour, want := range map[string]string{
		"fail": "exit status 1", "silent": "gave no answer", "long": "longer than 1000 bytes",
	} {
		tt, stderr := viaAskpass(t, behaviour)
		got, err := tt.Line(t.Context(), "Name")
		if got != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %.40q, %v; want an error with %q", behaviour, got, err, want)
		}
		if behaviour == "fail" && stderr.String() != "no display\n" {
			t.Errorf("standard error is %q", stderr)
		}
	}
	missing := New(Options{Lookup: lookup(map[string]string{"AWSRUNAS_ASKPASS": "/nonexistent/askpass"})})
	if got, err := missing.Line(t.Context(), "Name"); err == nil || !strings.Contains(err.Error(), `"/nonexistent/askpass"`) {
		t.Errorf("%q, %v", got, err)
	}
}

// notify runs f at the first write.
type notify func()

func (f notify) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestAskpassIsCancelled(t *testing.T) {
	tt, _ := viaAskpass(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tt.opts.Stderr = notify(cancel)
	if got, err := tt.Line(ctx, "Name"); !errors.Is(err, context.Canceled) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tt.Line(ctx, "Name"); !errors.Is(err, context.Canceled) {
		t.Errorf("asked with a cancelled context: %q, %v", got, err)
	}
}

func TestNoInput(t *testing.T) {
	tt := New(Options{Lookup: lookup(map[string]string{"AWSRUNAS_ASKPASS": "/bin/false"}), NoInput: true})
	if tt.Interactive() {
		t.Error("a person may be asked")
	}
	for what, want := range map[string]string{
		session.AskMFA: session.NeedMFA, session.AskUsername: session.NeedAuth, session.AskPassword: session.NeedAuth,
	} {
		_, err := tt.Ask(t.Context(), session.Question{What: what, Profile: "prod"})
		var needs *session.Needs
		if !errors.As(err, &needs) || *needs != (session.Needs{What: want, Profile: "prod"}) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := tt.Secret(t.Context(), "Passphrase"); !errors.Is(err, ErrNobody) {
		t.Errorf("Secret: %v", err)
	}
	if _, err := tt.Line(t.Context(), "Name"); !errors.Is(err, ErrNobody) {
		t.Errorf("Line: %v", err)
	}
	if _, err := tt.Confirm(t.Context(), "Sure?"); !errors.Is(err, ErrNobody) {
		t.Errorf("Confirm: %v", err)
	}
	if _, err := tt.Ask(t.Context(), session.Question{What: "riddle"}); err == nil || errors.Is(err, ErrNobody) {
		t.Errorf("an unknown question: %v", err)
	}
}

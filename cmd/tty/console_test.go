//go:build unix

package tty

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"aws-runas/session"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// askMain asks as mode says and prints on standard output what came of it. It
// has the terminal as its controlling one, and nowhere else.
func askMain(mode string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	go func() { <-usr1; cancel() }()

	tt := New(Options{
		Lookup: func(string) (string, bool) { return "", false },
		Locks:  session.Locks{Dir: func() (string, error) { return os.Getenv("TTY_TEST_LOCKS"), nil }},
	})
	var answer any
	var err error
	switch mode {
	case "mfa":
		answer, err = tt.Ask(ctx, session.Question{What: session.AskMFA, Profile: "prod", Subject: "jane"})
	case "secret":
		answer, err = tt.Secret(ctx, "Secret")
	case "line":
		answer, err = tt.Line(ctx, "Line")
	case "confirm":
		answer, err = tt.Confirm(ctx, "Sure?")
	case "interactive":
		answer = tt.Interactive()
	case "crowd":
		return crowdMain()
	case "pick":
		return pickMain(ctx)
	case "pick-panic":
		return pickPanicMain(ctx)
	}
	var needs *session.Needs
	switch {
	case errors.As(err, &needs):
		fmt.Println("needs", needs.What, needs.Profile)
	case errors.Is(err, ErrNobody):
		fmt.Println("nobody")
	case errors.Is(err, context.Canceled):
		fmt.Println("canceled")
	case err != nil:
		fmt.Println("error:", err)
	default:
		fmt.Printf("%v\n", answer)
	}
	return 0
}

// crowd is how many processes ask at once in TestProcessesTakeTurns.
const crowd = 8

// crowdMain lets several processes of this session ask at the same time.
func crowdMain() int {
	exe, err := os.Executable()
	if err != nil {
		return 1
	}
	var all []*exec.Cmd
	for range crowd {
		c := exec.Command(exe)
		c.Env = append(os.Environ(), "TTY_TEST_MODE=line")
		c.Stdout = os.Stdout
		if err := c.Start(); err != nil {
			return 1
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			return 1
		}
	}
	return 0
}

// asker is a process that asks on a terminal of its own. The test is the person.
type asker struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File
	screen bytes.Buffer
	stdout *bufio.Reader
}

func start(t *testing.T, mode string) *asker {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), "TTY_TEST_MODE="+mode, "TTY_TEST_LOCKS="+t.TempDir())
	c.ExtraFiles = []*os.File{slave}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	a := &asker{t: t, cmd: c, master: master, slave: slave, stdout: bufio.NewReader(out)}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		master.Close()
		slave.Close()
	})
	return a
}

// see waits until the screen shows text that was not seen before, and returns
// what came before it.
func (a *asker) see(text string) (before string) {
	a.t.Helper()
	buf := make([]byte, 1024)
	for !bytes.Contains(a.screen.Bytes(), []byte(text)) {
		n, err := a.master.Read(buf)
		if err != nil {
			a.t.Fatalf("%q has not come: %v; the screen shows %q", text, err, &a.screen)
		}
		a.screen.Write(buf[:n])
	}
	before = string(a.screen.Next(bytes.Index(a.screen.Bytes(), []byte(text))))
	a.screen.Next(len(text))
	return before
}

func (a *asker) enter(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a.master, text); err != nil {
		a.t.Fatal(err)
	}
}

// result is what the process made of the answer.
func (a *asker) result() string {
	a.t.Helper()
	line, err := a.stdout.ReadString('\n')
	if err != nil {
		a.t.Fatalf("no result: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (a *asker) echoes() bool {
	a.t.Helper()
	s, err := unix.IoctlGetTermios(int(a.slave.Fd()), getTermios)
	if err != nil {
		a.t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

func (a *asker) signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
}

func TestAskOnTerminal(t *testing.T) {
	for _, c := range []struct{ mode, prompt, typed, want string }{
		{"mfa", "MFA code for jane (profile prod): ", "123456\n", "123456"},
		{"mfa", "MFA code for jane (profile prod): ", " 123 456\t \n", "123456"},
		{"line", "Line: ", "  caf\u00e9 au lait  \n", "caf\u00e9 au lait"},
		{"line", "Line: ", "abd\x7fc\n", "abc"},
		{"line", "Line: ", "pasted\r", "pasted"},
		{"line", "Line: ", "\n", ""},
		{"line", "Line: ", "half\x04\x04", "half"},
		{"line", "Line: ", "\x04", "canceled"},
		{"line", "Line: ", strings.Repeat("x", 1001) + "\n", "error: the answer is longer than 1000 bytes"},
		{"confirm", "Sure? [y/N] ", "Yes\n", "true"},
		{"confirm", "Sure? [y/N] ", "\n", "false"},
		{"confirm", "Sure? [y/N] ", "yeah\n", "false"},
	} {
		a := start(t, c.mode)
		a.see(c.prompt)
		a.enter(c.typed)
		if got := a.result(); got != c.want {
			t.Errorf("%s %.20q: %q; want %q", c.mode, c.typed, got, c.want)
		}
	}
	if got := start(t, "interactive").result(); got != "true" {
		t.Errorf("Interactive is %s", got)
	}
}

func TestEmptyAnswerIsAskedAgain(t *testing.T) {
	a := start(t, "mfa")
	for range 2 {
		a.see("MFA code for jane (profile prod): ")
		a.enter("\n")
	}
	a.see("MFA code for jane (profile prod): ")
	a.enter("42\n")
	if got := a.result(); got != "42" {
		t.Error(got)
	}
	a = start(t, "mfa")
	for range 3 {
		a.see("MFA code for jane (profile prod): ")
		a.enter(" \n")
	}
	if got := a.result(); got != "canceled" {
		t.Error(got)
	}
}

func TestSecretIsNotShown(t *testing.T) {
	a := start(t, "secret")
	a.see("Secret: ")
	if a.echoes() {
		t.Error("the terminal echoes")
	}
	a.enter("hunter2 \n")
	if got := a.result(); got != "hunter2" {
		t.Error(got)
	}
	if !a.echoes() {
		t.Error("the terminal stays without echo")
	}
	a.see("\r\n")
	if strings.TrimSpace(a.screen.String()) != "" {
		t.Errorf("after the prompt comes %q", &a.screen)
	}
}

// Whatever breaks a question off, the terminal echoes again, the cursor is at
// the start of a line, and what was typed so far is thrown away.
func TestBrokenOff(t *testing.T) {
	for name, breakOff := range map[string]func(a *asker){
		"Ctrl-C":       func(a *asker) { a.enter("half\x03") },
		"Ctrl-\\":      func(a *asker) { a.enter("half\x1c") },
		"SIGTERM":      func(a *asker) { a.enter("half"); a.signal(syscall.SIGTERM) },
		"SIGHUP":       func(a *asker) { a.enter("half"); a.signal(syscall.SIGHUP) },
		"cancellation": func(a *asker) { a.enter("half"); a.signal(syscall.SIGUSR1) },
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "secret")
			a.see("Secret: ")
			breakOff(a)
			if got := a.result(); got != "canceled" {
				t.Error(got)
			}
			if !a.echoes() {
				t.Error("the terminal stays without echo")
			}
			a.see("\r\n")
			// the next reader gets only what is typed from now on
			a.enter("next\n")
			buf := make([]byte, 100)
			n, err := unix.Read(int(a.slave.Fd()), buf)
			if err != nil || string(buf[:n]) != "next\n" {
				t.Errorf("left in the terminal: %q, %v", buf[:max(n, 0)], err)
			}
		})
	}
}

func TestHangUp(t *testing.T) {
	a := start(t, "secret")
	a.see("Secret: ")
	a.slave.Close()
	a.master.Close()
	if got := a.result(); got != "canceled" {
		t.Error(got)
	}
	if err := a.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A shell takes the terminal back while a job is stopped, and leaves it
// echoing when the job goes on.
func TestContinued(t *testing.T) {
	a := start(t, "secret")
	a.see("Secret: ")
	a.signal(syscall.SIGSTOP)
	s, err := unix.IoctlGetTermios(int(a.slave.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	s.Lflag |= unix.ECHO
	if err := unix.IoctlSetTermios(int(a.slave.Fd()), setTermios, s); err != nil {
		t.Fatal(err)
	}
	a.signal(syscall.SIGCONT)
	a.see("Secret: ")
	if a.echoes() {
		t.Error("the terminal echoes after the stop")
	}
	a.enter("hunter2\n")
	if got := a.result(); got != "hunter2" {
		t.Error(got)
	}
	if !a.echoes() {
		t.Error("the terminal stays without echo")
	}
}

func TestProcessesTakeTurns(t *testing.T) {
	a := start(t, "crowd")
	for i := range crowd {
		a.see("Line: ")
		answer := fmt.Sprint("answer", i)
		a.enter(answer + "\n")
		if got := a.result(); got != answer {
			t.Errorf("answer %d arrived as %q", i, got)
		}
		if between := a.see(answer + "\r\n"); between != "" {
			t.Errorf("between a prompt and its answer comes %q", between)
		}
	}
}

// Asking works inside what shells substitute and pipe, where standard input and
// output are not the terminal, and Ctrl-C there gives the shell back.
func TestAskInsideShells(t *testing.T) {
	for name, c := range map[string]struct{ argv, line string }{
		"bash":          {"bash --norc --noprofile -i", `V="$(%s)"; echo got"<$V>"`},
		"zsh":           {"zsh -f -i", `V="$(%s)"; echo got"<$V>"`},
		"dash":          {"dash -i", `V="$(%s)"; echo got"<$V>"`},
		"fish":          {"fish --no-config -i", `set V (%s); echo got"<$V>"`},
		"fish pipeline": {"fish --no-config -i", `%s | read V; echo got"<$V>"`},
		"tcsh":          {"tcsh -f -i", "set V = \"`%s`\"; echo got\"<$V>\""},
	} {
		t.Run(name, func(t *testing.T) {
			argv := strings.Fields(c.argv)
			if _, err := exec.LookPath(argv[0]); err != nil {
				if os.Getenv("NO_SKIP") == "1" {
					t.Fatalf("%s is not installed", argv[0])
				}
				t.Skipf("%s is not installed", argv[0])
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			master, slave, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			sh := exec.Command(argv[0], argv[1:]...)
			sh.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=dumb", "LC_ALL=C.UTF-8", "PS1=ready> ",
				"TTY_TEST_MODE=secret", "TTY_TEST_LOCKS=" + t.TempDir(),
			}
			sh.Stdin, sh.Stdout, sh.Stderr = slave, slave, slave
			sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := sh.Start(); err != nil {
				t.Fatal(err)
			}
			a := &asker{t: t, cmd: sh, master: master, slave: slave}
			t.Cleanup(func() {
				sh.Process.Kill()
				sh.Wait()
				master.Close()
				slave.Close()
			})
			line := fmt.Sprintf(c.line, exe) + "\r"
			a.enter(line)
			a.see("Secret: ")
			a.enter("hunter2\r")
			a.see("got<hunter2>")
			a.enter(line)
			a.see("Secret: ")
			a.enter("\x03")
			a.see("\r\n") // what is typed before that is thrown away
			a.enter("echo al''ive\r")
			a.see("alive")
			a.enter(line)
			a.see("Secret: ")
			a.enter("again\r")
			a.see("got<again>")
		})
	}
}

func TestNoTerminal(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{
		"mfa": "needs MFA prod\n", "secret": "nobody\n", "confirm": "nobody\n", "interactive": "false\n",
	} {
		c := exec.Command(exe)
		c.Env = append(os.Environ(), "TTY_TEST_MODE="+mode, "TTY_TEST_LOCKS="+t.TempDir())
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if out, err := c.Output(); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", mode, out, err, want)
		}
	}
}

//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// session is the sandbox on a terminal.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	seen bytes.Buffer
}

func open(t *testing.T, program string) (*session, func()) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("NO_SKIP") == "1" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	cmd, clean := prepare(t)
	cmd.Env = append(cmd.Env, "SHELL="+path, "TERM=dumb", "PS1=$ ")
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return &session{t: t, cmd: cmd, tty: tty}, clean
}

// until reads up to a text and returns what came before it.
func (s *session) until(text string) string {
	s.t.Helper()
	b := make([]byte, 4096)
	for {
		if before, after, found := strings.Cut(s.seen.String(), text); found {
			s.seen.Reset()
			s.seen.WriteString(after)
			return before
		}
		n, err := s.tty.Read(b)
		s.seen.Write(b[:n])
		if err != nil {
			s.t.Fatalf("%v before %q came; got %q", err, text, s.seen.String())
		}
	}
}

// do types a line and returns what it prints. The marks are not spelt in the
// line, so that its echo does not count.
func (s *session) do(line string) string {
	s.t.Helper()
	fmt.Fprintf(s.tty, "printf 'be%%s\\n' gin; %s; printf 'en%%s\\n' d\n", line)
	s.until("begin\r\n")
	return strings.ReplaceAll(s.until("end\r\n"), "\r", "")
}

// wait returns the exit code once the terminal is closed from the other side.
func (s *session) wait() int {
	io.Copy(io.Discard, s.tty) // ends with EIO, as terminals do
	s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func TestShell(t *testing.T) {
	for _, program := range []string{"sh", "bash", "zsh"} {
		t.Run(program, func(t *testing.T) {
			s, clean := open(t, program)
			hooked := program != "sh"
			on := map[bool]string{false: `eval "$(aws-runas env demo)"`, true: "runas demo"}[hooked]
			said := s.until("the end\r\n")
			if !strings.Contains(said, "  "+on+"  ") {
				t.Errorf("greeted with %q", said)
			}
			for _, line := range strings.Split(said, "\r\n") {
				if len(line) > 80 {
					t.Errorf("wider than a terminal: %s", line)
				}
			}
			code := strings.TrimSpace(s.do("mfa"))
			if len(code) != 6 {
				t.Errorf("mfa printed %q", code)
			}
			if out := s.do(`eval "$(aws-runas -o ` + code + ` env demo)" && buckets`); !strings.Contains(out, "awsrunas-demo-photos\n") {
				t.Errorf("with a code: %q", out)
			}
			if hooked {
				if out := s.do("runas demo 2>/dev/null; aws-runas whoami"); !strings.Contains(out, "demo") {
					t.Errorf("runas: %q", out)
				}
			}
			if program == "zsh" {
				if out := s.do("echo ${_comps[aws-runas]} ${_comps[runas]}"); out != "_aws_runas _aws_runas\n" {
					t.Errorf("completed by %q", out)
				}
			}
			if again := strings.TrimSpace(s.do("mfa")); len(again) != 6 || again == code {
				t.Errorf("mfa offers %q after %q was used", again, code)
			}
			if out := s.do("aws-runas readonly -- buckets"); !strings.Contains(out, "awsrunas-demo-photos\n") {
				t.Errorf("wrapped: %q", out)
			}
			if out := s.do(`echo "<$AWS_PROFILE$MFA_CODE>"`); out != "<>\n" {
				t.Errorf("from outside: %q", out)
			}
			// An interrupt ends what runs in the shell, not the sandbox.
			fmt.Fprintln(s.tty, `sh -c 'trap "echo interr""upted; exit" INT; echo wai""ting; while :; do sleep 1; done'`)
			s.until("waiting\r\n")
			s.tty.Write([]byte{3})
			s.until("interrupted\r\n")
			if out := s.do("echo alive"); out != "alive\n" {
				t.Errorf("after an interrupt: %q", out)
			}
			fmt.Fprintln(s.tty, "exit 3")
			if status := s.wait(); status != 0 {
				t.Errorf("exit status %d", status)
			}
			clean()
		})
	}
}

// TestAWSCLI: the aws that is first in PATH tells the real one where to go.
func TestAWSCLI(t *testing.T) {
	sh(t)
	mine, theirs := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n"
	for _, dir := range []string{mine, theirs} {
		if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1", "PATH=" + mine + string(os.PathListSeparator) + theirs}
	var out, messages bytes.Buffer
	if got := run([]string{filepath.Join(mine, "aws"), "s3", "ls", "a b"}, env, os.Stdin, &out, &messages); got != 7 || out.String() != "<--endpoint-url><http://127.0.0.1:1><s3><ls><a b>" || messages.Len() > 0 {
		t.Errorf("exit %d: %q %q", got, out.String(), messages.String())
	}
	for name, env := range map[string][]string{"outside": env[1:], "not installed": {env[0], "PATH=" + mine}} {
		out.Reset()
		messages.Reset()
		if got := run([]string{filepath.Join(mine, "aws")}, env, os.Stdin, &out, &messages); got != 1 || out.Len() > 0 || messages.Len() == 0 {
			t.Errorf("%s: exit %d: %q %q", name, got, out.String(), messages.String())
		}
	}
}

// TestShellTerminated: TERM ends the shell, what it left in the background, and
// the sandbox.
func TestShellTerminated(t *testing.T) {
	s, clean := open(t, "sh")
	s.until("the end\r\n")
	pid, err := strconv.Atoi(strings.TrimSpace(s.do(`nohup sleep 600 >/dev/null 2>&1 & echo $!`)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := s.wait(); status != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d", status)
	}
	clean()
	if runtime.GOOS != "linux" {
		return
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && bytes.Contains(env, []byte("sleep")) {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !bytes.Contains(state, []byte(") Z ")) {
			t.Errorf("process %d still runs", pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

//go:build unix

package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
	"aws-runas/shell"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// liveShell is an interactive shell on a pseudo-terminal with a screen, in which
// the program's hook is loaded. Its prompt shows the status of the last command.
type liveShell struct {
	t      *testing.T
	d      shell.Dialect
	home   string
	cmd    *exec.Cmd
	file   *os.File
	screen vt10x.Terminal
	ended  chan struct{}
	asked  int
}

// The shells as they start without any start-up file, and their prompts.
var liveShells = []struct {
	d            shell.Dialect
	argv         []string
	prompt, load string
}{
	{shell.Bash, []string{"bash", "--norc", "--noprofile", "-i"}, `PS1='$? P> '`, `eval "$(aws-runas hook bash)"`},
	{shell.Zsh, []string{"zsh", "-f", "-i"}, `PROMPT='%? P> '; unsetopt prompt_sp`, `eval "$(aws-runas hook zsh)"`},
	{shell.Fish, []string{"fish", "--no-config", "-i"}, `function fish_prompt; echo -n "$status P> "; end; function fish_right_prompt; end; set -g fish_greeting`, `aws-runas hook fish | source`},
}

// inLiveShells runs test in bash, zsh and fish, each with an AWS of its own whose
// credentials last no longer than lifetime.
func inLiveShells(t *testing.T, lifetime time.Duration, test func(*liveShell, *household)) {
	for _, s := range liveShells {
		t.Run(string(s.d), func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(s.argv[0])
			if err != nil {
				keychaintest.Skip(t, s.argv[0], "apt-get install "+s.argv[0])
			}
			env := keychaintest.File(t)
			t.Cleanup(func() { forgetPassphrase(func(name string) string { return env[name] }) })
			h := newHousehold(t, env, nil)
			h.world.SetLifetime(lifetime)
			config, err := os.OpenFile(filepath.Join(env["HOME"], ".aws", "config"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			// A role without MFA renews without anybody.
			_, err = fmt.Fprintf(config, "[profile prod]\nrole_arn = %s\nexternal_id = %s\nsource_profile = robot\n[profile robot]\n", h.world.Partner.ARN, h.world.ExternalID)
			if err = errors.Join(err, config.Close()); err != nil {
				t.Fatal(err)
			}
			// The same keys by another name, of which nobody says that there is MFA.
			add := h.run("keys", "add", "robot")
			add.Stdin = strings.NewReader(h.world.Key.ID + "\n" + h.world.Key.Secret + "\n")
			add.start().succeed()

			x := &liveShell{t: t, d: s.d, home: env["HOME"], ended: make(chan struct{})}
			x.cmd = &exec.Cmd{Path: path, Args: s.argv, Dir: x.home}
			x.cmd.Env = append(slices.Clone(h.env), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "SHELL="+path, "TEST_TERMINAL=1")
			x.start()
			x.run(s.prompt)
			x.run(s.load)
			test(x, h)
		})
	}
}

func (x *liveShell) start() {
	x.t.Helper()
	const columns, lines = 160, 600 // all that the test is shown
	var err error
	if x.file, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: lines, Cols: columns}); err != nil {
		x.t.Fatal(err)
	}
	x.screen = vt10x.New(vt10x.WithSize(columns, lines), vt10x.WithWriter(x.file)) // fish asks the terminal what it is
	go func() {
		defer close(x.ended)
		buf := make([]byte, 4096)
		for {
			n, err := x.file.Read(buf)
			x.screen.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	x.t.Cleanup(func() {
		x.cmd.Process.Kill()
		x.cmd.Wait() // it was killed, which is all there is to learn
		x.file.Close()
		<-x.ended
	})
}

func (x *liveShell) send(text string) {
	x.t.Helper()
	if _, err := x.file.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// run types a line and waits until it has run and the next prompt is there.
func (x *liveShell) run(line string) {
	x.t.Helper()
	x.send(line + "\r")
	x.say("")
}

// say returns what the shell makes of a double-quoted word.
func (x *liveShell) say(word string) string {
	x.t.Helper()
	x.asked++
	x.send(fmt.Sprintf("echo \"=%d= %s =\"\r", x.asked, word))
	return x.wait(fmt.Sprintf(`^=%d= (.*) =$`, x.asked))
}

// text is what the screen shows after the last line that ends with after.
func (x *liveShell) text(after string) string {
	var lines []string
	for _, line := range strings.Split(x.screen.String(), "\n") {
		line = strings.TrimRight(line, " ")
		if lines = append(lines, line); after != "" && strings.HasSuffix(line, after) {
			lines = nil
		}
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// until looks again and again, and presses Enter before if asked to.
func (x *liveShell) until(what string, enter bool, yes func() bool) {
	x.t.Helper()
	every := 10 * time.Millisecond
	if enter {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for limit := time.After(time.Minute); !yes(); {
		select {
		case <-tick.C:
			if enter {
				x.send("\r")
			}
		case <-x.ended:
			x.t.Fatalf("the shell ended before %s:\n%s", what, x.text(""))
		case <-limit:
			x.t.Fatalf("no %s:\n%s", what, x.text(""))
		}
	}
}

// wait returns the last group of what matches on the screen.
func (x *liveShell) wait(pattern string) (group string) {
	x.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	x.until(pattern, false, func() bool {
		m := re.FindStringSubmatch(x.text(""))
		if m != nil {
			group = m[len(m)-1]
		}
		return m != nil
	})
	return group
}

// variables are the names of the AWS variables that the shell's children have.
func (x *liveShell) variables() []string {
	x.t.Helper()
	x.run("env | grep -o '^AWS[A-Z_]*' | sort > names")
	text, err := os.ReadFile(filepath.Join(x.home, "names"))
	if err != nil {
		x.t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// has fails the test unless the shell has these variables and no others.
func (x *liveShell) has(want ...[]string) {
	x.t.Helper()
	now, all := x.variables(), slices.Sorted(slices.Values(slices.Concat(want...)))
	if !slices.Equal(now, all) {
		x.t.Errorf("the shell has %q, want %q", now, all)
	}
}

// The real program, the real hook and a real shell: the function switches, goes
// back and clears, the segment shows it, and what is not a switch runs as it is.
func TestPromptSwitches(t *testing.T) {
	inLiveShells(t, time.Hour, func(x *liveShell, h *household) {
		before := x.variables()
		x.run("runas prod")
		x.wait(`^prod  210987654321  Partner  eu-west-1  (59m|1h00m)$`)
		x.wait(`^\[! prod (59m|1h00m)\] 0 P>`)
		with := x.variables()
		x.run("runas robot")
		x.wait(`^\[robot (59m|1h00m)\] 0 P>`)
		x.run("runas nosuch")
		x.wait(`^\[robot (59m|1h00m)\] 4 P>`)
		x.run("runas -")
		if got := x.say("$AWSRUNAS_PROFILE"); got != "prod" {
			x.t.Errorf("back to %q", got)
		}
		x.run(`runas prod sh -c 'exit 7'`)
		x.wait(`^\[! prod (59m|1h00m)\] 7 P>`)
		x.has(with, []string{"AWSRUNAS_PREVIOUS"})
		x.run("runas off")
		x.has(before, []string{"AWSRUNAS_PREVIOUS"})
		if x.t.Failed() {
			x.t.Log("\n" + x.text(""))
		}
	})
}

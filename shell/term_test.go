package shell

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// term is an interactive shell on a pseudo-terminal with a screen, in a home
// of its own, where aws-runas is the stub.
type term struct {
	t      *testing.T
	d      Dialect
	cmd    *exec.Cmd
	file   *os.File
	screen vt10x.Terminal
	ended  chan struct{}
	home   string // the shell's home and first folder
	stub   string // the folder of the stub
	asked  int
}

// Wide, so that no line breaks that has a path of the test in it.
const columns, lines = 240, 150

// The shells as they start without any start-up file, and their prompts, which
// show the status of the last command.
var (
	plainShell = map[Dialect][]string{
		Bash: {"bash", "--norc", "--noprofile", "-i"},
		Zsh:  {"zsh", "-f", "-i"},
		Fish: {"fish", "--no-config", "-i"},
	}
	plainPrompt = map[Dialect]string{
		Bash: `PS1='$? P> '`,
		Zsh:  `PROMPT='%? P> '; unsetopt prompt_sp zle_bracketed_paste 2>/dev/null`,
		Fish: `function fish_prompt; set -l p $pipestatus; set -l s $status; echo -n "$s P> "; test (count $p) -gt 1; and echo -n "$p "; end; function fish_right_prompt; end; set -g fish_greeting`,
	}
)

// eachShell runs test in bash, zsh and fish.
func eachShell(t *testing.T, test func(t *testing.T, d Dialect)) {
	for _, d := range []Dialect{Bash, Zsh, Fish} {
		t.Run(string(d), func(t *testing.T) {
			need(t, string(d))
			t.Parallel()
			test(t, d)
		})
	}
}

// start starts a program that is, or runs, a shell of dialect d.
func start(t *testing.T, d Dialect, argv []string, env ...string) *term {
	t.Helper()
	x := &term{t: t, d: d, ended: make(chan struct{}), home: t.TempDir(), stub: t.TempDir()}
	if err := os.Symlink(self(t), filepath.Join(x.stub, "aws-runas")); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	x.cmd = &exec.Cmd{Path: path, Args: argv, Dir: x.home}
	x.cmd.Env = append([]string{
		"HOME=" + x.home, "PATH=" + x.stub + ":/usr/bin:/bin", "TERM=xterm-256color", "LC_ALL=C.UTF-8",
		"STUB=" + x.stub, "SHELL_TEST_MODE=runas", "SHELL=" + path,
	}, env...)
	if x.file, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: lines, Cols: columns}); err != nil {
		t.Fatal(err)
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
	t.Cleanup(func() {
		x.cmd.Process.Kill()
		x.cmd.Wait()
		x.file.Close()
		<-x.ended
	})
	return x
}

// hooked starts a shell, sets its prompt, runs the lines in setup and then
// loads the hook.
func hooked(t *testing.T, d Dialect, setup ...string) *term {
	t.Helper()
	x := start(t, d, plainShell[d])
	x.run(plainPrompt[d])
	for _, line := range setup {
		x.run(line)
	}
	x.run(d.EvalLine("aws-runas hook " + string(d)))
	return x
}

// run types a line and waits until it has run.
func (x *term) run(line string) {
	x.t.Helper()
	x.send(line + "\r")
	x.eval("")
}

func (x *term) send(text string) {
	x.t.Helper()
	if _, err := x.file.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// eval returns what the shell makes of a double-quoted word, on one line.
func (x *term) eval(word string) string {
	x.t.Helper()
	x.asked++
	x.send(fmt.Sprintf("echo \"=%d= %s =\"\r", x.asked, word))
	return x.wait(fmt.Sprintf(`^=%d= (.*) =$`, x.asked))
}

// get returns the value of a variable, empty if it is not set.
func (x *term) get(name string) string {
	x.t.Helper()
	if x.d == Fish {
		return x.eval("$" + name)
	}
	return x.eval("${" + name + "-}")
}

// put exports a variable.
func (x *term) put(name, value string) {
	x.t.Helper()
	text, err := x.d.Render(Change{Set: map[string]string{name: value}})
	if err != nil {
		x.t.Fatal(err)
	}
	x.run(strings.TrimSpace(text))
}

func (x *term) text() string {
	var b strings.Builder
	for _, line := range strings.Split(x.screen.String(), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// wait returns the first group, or all, of what matches on the screen.
func (x *term) wait(pattern string) string {
	x.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		if m := re.FindAllStringSubmatch(x.text(), -1); m != nil {
			last := m[len(m)-1]
			return last[len(last)-1]
		}
		select {
		case <-tick.C:
		case <-x.ended:
			if !re.MatchString(x.text()) {
				x.t.Fatalf("the shell ended, and nothing matches %q on\n%s", pattern, x.text())
			}
		case <-limit:
			x.t.Fatalf("nothing matches %q on\n%s", pattern, x.text())
		}
	}
}

// until asks again and again until the answer is yes.
func (x *term) until(what string, yes func() bool) {
	x.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); !yes(); {
		select {
		case <-tick.C:
		case <-limit:
			x.t.Fatalf("no %s:\n%s", what, x.text())
		}
	}
}

// is fails the test unless the variable has the value.
func (x *term) is(name, want string) {
	x.t.Helper()
	if got := x.get(name); got != want {
		x.t.Errorf("%s is %q, want %q\n%s", name, got, want, x.text())
	}
}

// once fails the test unless text is on the screen exactly once, wherever the
// screen breaks it.
func (x *term) once(text string) {
	x.t.Helper()
	solid := func(s string) string { return strings.Join(strings.Fields(s), "") }
	if n := strings.Count(solid(x.text()), solid(text)); n != 1 {
		x.t.Errorf("%q is %d times on\n%s", text, n, x.text())
	}
}

// tell tells the stub what to do.
func (x *term) tell(file string, n int) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.stub, file), []byte(fmt.Sprint(n)), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// log is what the stub was asked.
func (x *term) log() string {
	x.t.Helper()
	text, err := os.ReadFile(filepath.Join(x.stub, "log"))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

func (x *term) write(name, text string) {
	x.t.Helper()
	path := filepath.Join(x.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

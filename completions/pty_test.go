//go:build unix

package completions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// screen is an interactive shell on a terminal.
type screen struct {
	t       *testing.T
	pty     *os.File
	mu      sync.Mutex
	vt      vt10x.Terminal // guarded by mu
	changed chan struct{}  // has an element when the shell has written
	dir     string         // HOME and working folder
	cleared int
}

const (
	prompt    = "P> "
	oddFolder = `b'i "$x n` // has to be quoted in every shell
)

// start runs argv with the test binary as aws-runas, and with an aws that
// aws_completer completes.
func start(t *testing.T, env []string, argv ...string) *screen {
	t.Helper()
	need(t, argv[0])
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, odd := filepath.Join(dir, "bin"), filepath.Join(dir, oddFolder)
	for _, d := range []string{bin, odd} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(odd, "aws-runas")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"aws": "exit 0",
		// what the real one looks at
		"aws_completer": `case $COMP_LINE in
*" st") echo sts ;;
"aws s3 "*) printf '%s\n' cp ls mb mv | grep "^${2-}" ;;
"aws s"*) printf '%s\n' s3 s3api sts | grep "^${2-}" ;;
*) printf '%s %s\n' "unexpected=$COMP_LINE" "$COMP_POINT" ;;
esac`,
		"zzdeploy": "exit 0",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	inputrc := "set bell-style none\nset completion-query-items 0\nset page-completions off\nset show-all-if-ambiguous on\n"
	if err := os.WriteFile(filepath.Join(dir, "inputrc"), []byte(inputrc), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &screen{t: t, dir: dir, changed: make(chan struct{}, 1)}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"HOME=" + dir, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PATH=" + bin + ":" + odd + ":/usr/bin:/bin",
		"COMPLETIONS_TEST_PROGRAM=1", "COMPLETIONS_TEST_NAMES=" + strings.ReplaceAll(strings.Join(randomNames(), "\n"), " ", "\u2420"), "HISTFILE=",
		"GORACE=atexit_sleep_ms=0", // else the program takes a second to end under -race
		"INPUTRC=inputrc", "fish_greeting=",
	}, env...)
	if x.pty, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	x.vt = vt10x.New(vt10x.WithSize(120, 40), vt10x.WithWriter(x.pty))
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := x.pty.Read(b)
			if n > 0 {
				x.mu.Lock()
				x.vt.Write(b[:n])
				x.mu.Unlock()
				select {
				case x.changed <- struct{}{}:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		x.pty.Close()
	})
	return x
}

// program is the path of the program, which the script has to quote.
func (x *screen) program() string { return filepath.Join(x.dir, oddFolder, "aws-runas") }

// file writes a file into the shell's folder.
func (x *screen) file(name, text string) {
	x.t.Helper()
	name = filepath.Join(x.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *screen) script(shell, name string) {
	x.t.Helper()
	text, err := Script(shell, x.program(), "runas")
	if err != nil {
		x.t.Fatal(err)
	}
	x.file(name, text)
}

func (x *screen) send(keys string) {
	x.t.Helper()
	if _, err := x.pty.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// look returns the screen without the blanks that fill it, the line that the
// cursor is in, and the column that it is in.
func (x *screen) look() (text, line string, column int) {
	x.mu.Lock()
	lines, cursor := strings.Split(x.vt.String(), "\n"), x.vt.Cursor()
	x.mu.Unlock()
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	if cursor.Y < len(lines) {
		line = lines[cursor.Y]
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), line, cursor.X
}

// await waits until ok likes the screen.
func (x *screen) await(what string, ok func(text, line string, column int) bool) {
	x.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		if ok(x.look()) {
			return
		}
		select {
		case <-x.changed:
		case <-limit:
			text, _, column := x.look()
			x.t.Fatalf("%s is not on the screen, which has the cursor in column %d:\n%s", what, column, text)
		}
	}
}

// completes types keys and waits for the line to become want, with the cursor
// behind it, or where want has a "⎸".
func (x *screen) completes(keys, want string) {
	x.t.Helper()
	x.send(keys)
	before, behind, _ := strings.Cut(prompt+want, "⎸")
	x.await(fmt.Sprintf("%q, from %q,", want, keys), func(_, line string, column int) bool {
		return line == strings.TrimRight(before+behind, " ") && column == len([]rune(before))
	})
}

// shows waits for a text anywhere on the screen.
func (x *screen) shows(text string) {
	x.t.Helper()
	x.await(text, func(s, _ string, _ int) bool { return strings.Contains(s, text) })
}

// clear begins an empty line on an empty screen.
func (x *screen) clear() {
	x.t.Helper()
	x.cleared++
	mark := fmt.Sprintf(":%d", x.cleared)
	x.send("\x05\x15clear; echo " + mark + "\r") // to the end, kill the line
	x.await("an empty screen", func(s, _ string, _ int) bool { return s == mark+"\n"+strings.TrimRight(prompt, " ") })
}

// ready waits for the shell, and lets it show the plain prompt.
func (x *screen) ready(commands ...string) {
	x.t.Helper()
	for _, c := range commands {
		x.send(c + "\r")
	}
	x.send("echo rea''dy\r")
	x.shows("\nready")
	x.clear()
}

// alive checks that the shell goes on as if nothing had happened.
func (x *screen) alive() {
	x.t.Helper()
	x.clear()
	x.send("echo a''live\r")
	x.shows("\nalive\n")
}

func (x *screen) absent(name string) {
	x.t.Helper()
	if _, err := os.Lstat(filepath.Join(x.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		x.t.Errorf("%s is there: %v", name, err)
	}
}

// namesRoundTrip checks that each name, completed behind each opening quote and
// behind none, reaches the program unchanged.
func (x *screen) namesRoundTrip(unfit map[string]string) {
	x.t.Helper()
	for _, quote := range []string{"", "'", `"`} {
		for i, name := range randomNames() {
			if strings.ContainsAny(name, unfit[quote]) {
				continue
			}
			x.send(fmt.Sprintf("aws-runas env %sn%dn\t\r", quote, i))
			x.shows("\nran env|" + name + "\n")
			x.clear()
		}
	}
}

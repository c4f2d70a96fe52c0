//go:build unix

package completions

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// screen is an interactive shell on a terminal.
type screen struct {
	t       *testing.T
	pty     *os.File
	vt      vt10x.Terminal
	changed chan struct{} // has an element when the shell has written
	dir     string        // HOME and working folder
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
"aws s3 "*) printf '%s\n' cp ls mb mv ;;
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
		"COMPLETIONS_TEST_PROGRAM=1", "COMPLETIONS_TEST_NAMES=" + strings.ReplaceAll(strings.Join(randomNames(), "\n"), " ", "\u2420"), "HISTFILE=", "INPUTRC=inputrc", "fish_greeting=",
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
				x.vt.Write(b[:n])
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
	if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
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

// text is the screen without the blanks that fill it.
func (x *screen) text() string {
	lines := strings.Split(x.vt.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// await waits until ok likes the screen.
func (x *screen) await(what string, ok func(screen string) bool) {
	x.t.Helper()
	limit := time.After(15 * time.Second)
	for {
		if ok(x.text()) {
			return
		}
		select {
		case <-x.changed:
		case <-limit:
			x.t.Fatalf("%s is not on the screen:\n%s", what, x.text())
		}
	}
}

// completes types keys and waits for the line to become want, with the cursor
// behind it.
func (x *screen) completes(keys, want string) {
	x.t.Helper()
	x.send(keys)
	want = prompt + want
	x.await(fmt.Sprintf("%q, from %q,", want, keys), func(string) bool {
		return strings.TrimRight(x.current(), " ") == strings.TrimRight(want, " ") && x.vt.Cursor().X == len([]rune(want))
	})
}

// current is the line that the cursor is in.
func (x *screen) current() string {
	lines := strings.Split(x.vt.String(), "\n")
	y := x.vt.Cursor().Y
	if y >= len(lines) {
		return ""
	}
	return lines[y]
}

// shows waits for a text anywhere on the screen.
func (x *screen) shows(text string) {
	x.t.Helper()
	x.await(text, func(s string) bool { return strings.Contains(s, text) })
}

// clear begins an empty line on an empty screen.
func (x *screen) clear() {
	x.t.Helper()
	x.cleared++
	mark := fmt.Sprintf(":%d", x.cleared)
	x.send("\x05\x15clear; echo " + mark + "\r") // to the end, kill the line
	x.await("an empty screen", func(s string) bool { return s == mark+"\n"+strings.TrimRight(prompt, " ") })
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

func (x *screen) absent(name string) {
	x.t.Helper()
	if _, err := os.Lstat(filepath.Join(x.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		x.t.Errorf("%s is there: %v", name, err)
	}
}

// randomNames are names full of what shells act upon, each with a beginning of
// its own.
func randomNames() []string {
	const acted = " '\"\\$`!*?[]{}()<>|&;#~^%=@:,./+-_aZ0\u00e9\u2019"
	r := rand.New(rand.NewPCG(1, 2))
	names := make([]string, 60)
	for i := range names {
		name := fmt.Sprintf("n%dn", i)
		for range 1 + r.IntN(12) {
			runes := []rune(acted)
			name += string(runes[r.IntN(len(runes))])
		}
		names[i] = name + "z"
	}
	return names
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

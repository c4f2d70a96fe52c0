//go:build unix

package tty

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aws-runas/session"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// pickMain lets pick among the items in TTY_TEST_ITEMS, a JSON list or a number
// of them, and prints the name on standard output.
func pickMain(ctx context.Context) int {
	var items []Item
	spec := os.Getenv("TTY_TEST_ITEMS")
	if n := 0; json.Unmarshal([]byte(spec), &n) == nil {
		items = many(n)
	} else if err := json.Unmarshal([]byte(spec), &items); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	tt := New(Options{
		Lookup: os.LookupEnv,
		Locks:  session.Locks{Dir: func() (string, error) { return os.Getenv("TTY_TEST_LOCKS"), nil }},
	})
	i, err := tt.Pick(ctx, "Profile", items)
	switch {
	case errors.Is(err, ErrNobody):
		fmt.Println("nobody")
	case errors.Is(err, context.Canceled):
		fmt.Println("canceled")
	case err != nil:
		fmt.Println("error:", err)
	default:
		fmt.Printf("%d %s\n", i, printable(items[i].Name))
		return 0
	}
	return 1
}

// pickPanicMain comes upon a bug while the terminal is in raw mode.
func pickPanicMain(ctx context.Context) int {
	defer func() { fmt.Println("recovered from", recover()) }()
	c, err := openConsole()
	if err != nil {
		return 1
	}
	p := newPicker("Profile", many(3))
	p.found[0].item = 99
	c.pick(ctx, p)
	return 0
}

// few is in order of recency, as the program has it.
var few = []Item{
	{"prod", "123456789012  Admin"},
	{"prod-readonly", "123456789012  ReadOnly"},
	{"staging", "210987654321  Developer"},
	{"sandbox", ""},
	{"caf\u00e9", "999988887777  Barista"},
	{"it's $(a) \"b\"\t\x1b[2J\nc", "999988887777"},
}

// display is a process that lets pick, and what its terminal shows.
type display struct {
	*asker
	vt      vt10x.Terminal
	overdue atomic.Bool
}

// startPick starts it on a terminal of that size, in an environment with vars
// added and PATH without fzf.
func startPick(t *testing.T, cols, lines int, items any, vars ...string) *display {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + t.TempDir(), "TERM=xterm", "TTY_TEST_MODE=pick", "TTY_TEST_ITEMS=" + string(spec), "TTY_TEST_LOCKS=" + t.TempDir()}
	return startOn(t, cols, lines, "", append(env, vars...), exe)
}

// startOn starts a program on a terminal that already shows something.
func startOn(t *testing.T, cols, lines int, before string, env []string, argv ...string) *display {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: uint16(cols), Rows: uint16(lines)}); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = env
	c.ExtraFiles = []*os.File{slave}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d := &display{
		asker: &asker{t: t, cmd: c, master: master, slave: slave, stdout: bufio.NewReader(out)},
		vt:    vt10x.New(vt10x.WithSize(cols, lines), vt10x.WithWriter(master)),
	}
	io.WriteString(d.vt, before)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// What never comes is a failure that shows the screen, rather than a test
	// that hangs.
	watchdog := time.AfterFunc(30*time.Second, func() {
		d.overdue.Store(true)
		c.Process.Kill()
		slave.Close()
	})
	t.Cleanup(func() {
		watchdog.Stop()
		c.Process.Kill()
		c.Wait()
		master.Close()
		slave.Close()
	})
	return d
}

// lines are what the terminal shows, without trailing blanks and blank lines.
func (d *display) lines() []string {
	all := strings.Split(d.vt.String(), "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// until reads what the process writes until the terminal is as wanted.
func (d *display) until(what string, wanted func() bool) {
	d.t.Helper()
	buf := make([]byte, 4096)
	for !wanted() {
		n, err := d.master.Read(buf)
		if err != nil {
			d.t.Fatalf("%s has not come (%v, overdue: %v); the terminal shows\n%s", what, err, d.overdue.Load(), strings.Join(d.lines(), "\n"))
		}
		d.vt.Write(buf[:n])
	}
}

// shows waits until the terminal shows exactly these lines.
func (d *display) shows(want ...string) {
	d.t.Helper()
	d.until(fmt.Sprintf("the screen %q", want), func() bool {
		return d.vt.CursorVisible() && slices.Equal(d.lines(), want)
	})
}

// has waits until the terminal shows text somewhere.
func (d *display) has(text string) {
	d.t.Helper()
	d.until(fmt.Sprintf("%q", text), func() bool {
		return d.vt.CursorVisible() && strings.Contains(strings.Join(d.lines(), "\n"), text)
	})
}

// tidy checks that the terminal is as it was before.
func (d *display) tidy(want ...string) {
	d.t.Helper()
	d.shows(want...)
	s, err := unix.IoctlGetTermios(int(d.slave.Fd()), getTermios)
	if err != nil {
		d.t.Fatal(err)
	}
	if s.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != unix.ECHO|unix.ICANON|unix.ISIG || s.Oflag&unix.OPOST == 0 {
		d.t.Errorf("the terminal stays in raw mode: %#x %#x", s.Lflag, s.Oflag)
	}
	if c := d.vt.Cursor(); c.X != 0 || c.Y != len(want) || !d.vt.CursorVisible() {
		d.t.Errorf("the cursor is at %d,%d", c.X, c.Y)
	}
}

func TestPick(t *testing.T) {
	const down, up = "\x1b[B", "\x1b[A"
	for _, c := range []struct{ typed, want string }{
		{"\r", "0 prod"},
		{down + down + "\r", "2 staging"},
		{"\x1bOB\x1bOB\x1bOA\r", "1 prod-readonly"}, // application mode
		{"\x0e\x0e\x0e\x10\r", "2 staging"},         // Ctrl-N, Ctrl-P
		{"\n\n\n\x0b\r", "2 staging"},               // Ctrl-J, Ctrl-K
		{"\t\t\x1b[Z\r", "1 prod-readonly"},
		{up + "\r", "0 prod"},
		{"\x1b[F\r", `5 it's $(a) "b"??[2J?c`},
		{"\x1b[4~\x1b[1~\r", "0 prod"},
		{"\x1b[6~\x1b[5~" + down + "\r", "1 prod-readonly"},
		{"\x1b[1;5B\r", "1 prod-readonly"}, // with Ctrl
		{"stag\r", "2 staging"},
		{"STG\r", "2 staging"},
		{"prr\r", "1 prod-readonly"},
		{"2109\r", "2 staging"},            // the account
		{"admin\r", "0 prod"},              // the role
		{"read prod\r", "1 prod-readonly"}, // words in any order
		{"readonly 1234\r", "1 prod-readonly"},
		{"caf\u00e9\r", "4 caf\u00e9"},
		{"CAF\u00c9\r", "4 caf\u00e9"},
		{"xyz\r\x7f\x7f\x7fsand\r", "3 sandbox"}, // nothing to choose at the first Enter
		{"caf\u00e9\x7f\x7f\x08\x7fsand\r", "3 sandbox"},
		{"prod nothing\x17read\r", "1 prod-readonly"}, // Ctrl-W
		{"prod nothing  \x17read\r", "1 prod-readonly"},
		{"prod xx\x1b\x7fread\r", "1 prod-readonly"}, // Alt-Backspace
		{"nothing\x15\r", "0 prod"},                  // Ctrl-U
		{"\x1b[200~stag\ning\r\x1b[201~\r", "2 staging"},
		{"\x1b[200~stag\x1b[201~" + "\x15pr\r", "0 prod"},
		{"\x1b[99;1Qstag\x00\x01\xff\r", "2 staging"}, // what means nothing
		{"\x1bxstag\r", "2 staging"},
	} {
		d := startPick(t, 80, 24, few)
		d.has("1234")
		d.enter(c.typed)
		if got := d.result(); got != c.want {
			t.Errorf("%q: %q; want %q", c.typed, got, c.want)
		}
		d.tidy()
	}
}

func TestPickScreen(t *testing.T) {
	d := startPick(t, 80, 24, few)
	d.shows(
		"Profile: type to search, Enter chooses, Esc leaves",
		"> prod                  123456789012  Admin",
		"  prod-readonly         123456789012  ReadOnly",
		"  staging               210987654321  Developer",
		"  sandbox",
		"  caf\u00e9                  999988887777  Barista",
		`  it's $(a) "b"??[2J?c  999988887777`,
	)
	d.enter("prod")
	d.shows(
		"Profile: prod",
		"> prod                  123456789012  Admin",
		"  prod-readonly         123456789012  ReadOnly",
	)
	if c := d.vt.Cursor(); c.X != len("Profile: prod") || c.Y != 0 {
		t.Errorf("the cursor is at %d,%d", c.X, c.Y)
	}
	d.enter("\x1b[B")
	d.shows(
		"Profile: prod",
		"  prod                  123456789012  Admin",
		"> prod-readonly         123456789012  ReadOnly",
	)
	d.enter("x")
	d.shows("Profile: prodx", "  nothing matches")
	d.enter("\x15bari")
	d.shows("Profile: bari", "> caf\u00e9                  999988887777  Barista")
	d.enter("\r")
	if got := d.result(); got != "4 caf\u00e9" {
		t.Error(got)
	}
	d.tidy()
}

// Bit 1 of a glyph's mode is underlined, bit 2 bold.
func TestPickHighlights(t *testing.T) {
	for name, c := range map[string]struct {
		vars  []string
		match func(g vt10x.Glyph) bool
	}{
		"colours":  {[]string{"NO_COLOR="}, func(g vt10x.Glyph) bool { return g.FG == vt10x.LightGreen || g.FG == vt10x.Green }},
		"NO_COLOR": {[]string{"NO_COLOR=1"}, func(g vt10x.Glyph) bool { return g.Mode&2 != 0 && g.FG == vt10x.DefaultFG }},
	} {
		t.Run(name, func(t *testing.T) {
			d := startPick(t, 80, 24, []Item{{"first", ""}, {"pre-prod-eu", "1234"}, {"x-prod", "5678"}}, c.vars...)
			d.has("> first")
			d.enter("pr eu 23")
			d.shows("Profile: pr eu 23", "> pre-prod-eu  1234")
			var got strings.Builder
			for x := range 19 {
				if g := d.vt.Cell(x, 1); c.match(g) {
					got.WriteRune(g.Char)
				} else {
					got.WriteByte('.')
				}
			}
			if want := "..pr.......eu...23."; got.String()+"." != want+"." {
				t.Errorf("marked are %q; want %q", &got, want)
			}
		})
	}
}

func TestPickScrolls(t *testing.T) {
	var items []Item
	for i := range 25 {
		items = append(items, Item{Name: fmt.Sprint("profile", i)})
	}
	d := startPick(t, 80, 24, items)
	window := func(query string, first, marked, of int) {
		t.Helper()
		want := []string{strings.TrimRight("Profile: "+query, " ")}
		for i := first; i < first+10; i++ {
			mark := "  "
			if i == marked {
				mark = "> "
			}
			want = append(want, mark+"profile"+fmt.Sprint(i))
		}
		d.shows(append(want, fmt.Sprintf("  %d-%d of %d", first+1, first+10, of))...)
	}
	const hint = "type to search, Enter chooses, Esc leaves"
	window(hint, 0, 0, 25)
	d.enter("\x1b[6~")
	window(hint, 1, 10, 25)
	d.enter("\x1b[6~\x1b[6~\x1b[6~")
	window(hint, 15, 24, 25)
	d.enter("\x1b[5~")
	window(hint, 14, 14, 25)
	d.enter("\x1b[H")
	window(hint, 0, 0, 25)
	d.enter("\x1b[A")
	window(hint, 0, 0, 25)
	d.enter("\x1b[F")
	window(hint, 15, 24, 25)
	d.enter("profile")
	window("profile", 0, 0, 25)
	d.enter("\x1b")
	d.result()
	d.tidy()
}

func TestPickResizes(t *testing.T) {
	items := []Item{
		{"production-administrator-of-the-data-lake", "123456789012  AdministratorAccess"},
		{"staging", "210987654321  Developer"},
		{"third", ""}, {"fourth", ""}, {"fifth", ""},
	}
	d := startPick(t, 80, 24, items)
	resize := func(cols, lines int) {
		t.Helper()
		d.vt.Resize(cols, lines)
		if err := pty.Setsize(d.master, &pty.Winsize{Cols: uint16(cols), Rows: uint16(lines)}); err != nil {
			t.Fatal(err)
		}
	}
	d.shows(
		"Profile: type to search, Enter chooses, Esc leaves",
		"> production-administrator-of-the-data-lake  123456789012  AdministratorAccess",
		"  staging                                    210987654321  Developer",
		"  third", "  fourth", "  fifth",
	)
	resize(60, 24)
	d.shows(
		"Profile: type to search, Enter chooses, Esc leaves",
		"> production-administrator-of-the-data-lake  123456789012\u2026",
		"  staging                                    210987654321\u2026",
		"  third", "  fourth", "  fifth",
	)
	resize(40, 24)
	d.shows(
		"Profile:",
		"> production-\u2026-data-lake  123456789012\u2026",
		"  staging                 210987654321\u2026",
		"  third", "  fourth", "  fifth",
	)
	resize(20, 24)
	d.shows(
		"Profile:",
		"> producti\u2026ata-lake",
		"  staging",
		"  third", "  fourth", "  fifth",
	)
	d.enter("administrator data")
	d.shows(
		"Profile: rator data",
		"> producti\u2026ata-lake",
	)
	d.enter("\x15")
	resize(20, 4)
	d.shows(
		"Profile:",
		"> producti\u2026ata-lake",
		"  staging",
		"  1-2 of 5",
	)
	d.enter("\x1b[F")
	d.shows(
		"Profile:",
		"  fourth",
		"> fifth",
		"  4-5 of 5",
	)
	resize(5, 2)
	d.shows(">", "> f\u2026")
	resize(80, 24)
	d.has("  staging                                    210987654321  Developer")
	d.enter("\r")
	if got := d.result(); got != "4 fifth" {
		t.Error(got)
	}
	d.tidy()
}

// What stands on the terminal stays: the lines above, and one that has not ended.
func TestPickBelowWhatIsThere(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + t.TempDir(), "TERM=xterm", "TTY_TEST_MODE=pick", `TTY_TEST_ITEMS=[{"Name":"one"},{"Name":"two"}]`, "TTY_TEST_LOCKS=" + t.TempDir()}
	for before, above := range map[string][]string{
		"$ x=...\r\n":               {"$ x=..."},
		"$ x=...\r\nthinking ":      {"$ x=...", "thinking"},
		"a\r\nb\r\nc\r\nd\r\ne\r\n": {"c", "d", "e"}, // the list makes room for itself
	} {
		d := startOn(t, 60, 6, before, env, exe)
		d.shows(append(slices.Clone(above), "Profile: type to search, Enter chooses, Esc leaves", "> one", "  two")...)
		d.enter("\x1b")
		d.result()
		d.tidy(above...)
	}
}

func TestPickLeaves(t *testing.T) {
	for name, breakOff := range map[string]func(d *display){
		"Escape":       func(d *display) { d.enter("\x1b") },
		"Ctrl-C":       func(d *display) { d.enter("pr\x03") },
		"Ctrl-D":       func(d *display) { d.enter("pr\x04") },
		"Ctrl-G":       func(d *display) { d.enter("\x07") },
		"SIGTERM":      func(d *display) { d.signal(syscall.SIGTERM) },
		"SIGHUP":       func(d *display) { d.signal(syscall.SIGHUP) },
		"SIGINT":       func(d *display) { d.signal(syscall.SIGINT) },
		"cancellation": func(d *display) { d.signal(syscall.SIGUSR1) },
	} {
		t.Run(name, func(t *testing.T) {
			d := startPick(t, 80, 24, few)
			d.has("> prod")
			breakOff(d)
			if got := d.result(); got != "canceled" {
				t.Error(got)
			}
			d.tidy()
		})
	}
}

func TestPickHangUp(t *testing.T) {
	d := startPick(t, 80, 24, few)
	d.has("> prod")
	d.slave.Close()
	d.master.Close()
	if got := d.result(); got != "canceled" {
		t.Error(got)
	}
}

func TestPickContinued(t *testing.T) {
	d := startPick(t, 80, 24, few)
	d.has("> prod")
	d.signal(syscall.SIGSTOP)
	s, err := unix.IoctlGetTermios(int(d.slave.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	s.Lflag |= unix.ECHO | unix.ICANON | unix.ISIG
	s.Iflag |= unix.ICRNL
	s.Oflag |= unix.OPOST
	if err := unix.IoctlSetTermios(int(d.slave.Fd()), setTermios, s); err != nil {
		t.Fatal(err)
	}
	io.WriteString(d.vt, "\r\x1b[J$ fg\r\n") // as the shell does
	d.signal(syscall.SIGCONT)
	d.has("$ fg\nProfile: type")
	d.enter("stag")
	d.has("> staging")
	d.enter("\r")
	if got := d.result(); got != "2 staging" {
		t.Error(got)
	}
	d.tidy("$ fg")
}

// What is typed before the list is there counts as well.
func TestPickTypedAhead(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"TERM=xterm", "PATH=" + t.TempDir(), "EXE=" + exe, "TTY_TEST_MODE=pick", `TTY_TEST_ITEMS=[{"Name":"one"},{"Name":"two"}]`, "TTY_TEST_LOCKS=" + t.TempDir()}
	for typed, want := range map[string]string{"tw\n": "1 two", "\n": "0 one", "one": "0 one"} {
		d := startOn(t, 60, 10, "", env, "/bin/sh", "-c", `read x </dev/tty; exec "$EXE"`)
		d.enter("x\n" + typed)
		if typed == "one" {
			d.has("> one")
			d.enter("\r")
		}
		if got := d.result(); got != want {
			t.Errorf("%q: %q; want %q", typed, got, want)
		}
	}
}

func TestPickPanics(t *testing.T) {
	d := startPick(t, 80, 24, few, "TTY_TEST_MODE=pick-panic")
	if got := d.result(); !strings.HasPrefix(got, "recovered from runtime error") {
		t.Error(got)
	}
	d.tidy()
}

func TestPickMany(t *testing.T) {
	d := startPick(t, 80, 24, 10_000)
	d.has("1-10 of 10000")
	d.enter("web 09998")
	d.has("> web-09998-prod")
	d.enter("\r")
	if got := d.result(); got != "9998 web-09998-prod" {
		t.Error(got)
	}
	d.tidy()
}

// A terminal that cannot move its cursor, such as a shell inside an editor.
func TestPickDumb(t *testing.T) {
	for _, term := range []string{"TERM=dumb", "TERM="} {
		d := startPick(t, 60, 24, few[:4], term)
		list := []string{
			" 1  prod           123456789012  Admin",
			" 2  prod-readonly  123456789012  ReadOnly",
			" 3  staging        210987654321  Developer",
			" 4  sandbox",
		}
		const prompt = "Profile (number or part of it): "
		d.has("(number or part of it):")
		d.enter("nothing\n")
		d.has(`nothing matches "nothing"`)
		d.enter("pr\n")
		d.has(prompt + "pr\n")
		want := slices.Concat(
			list, []string{prompt + "nothing"},
			list, []string{`nothing matches "nothing"`, prompt + "pr"},
			list[:2], []string{strings.TrimRight(prompt, " ")},
		)
		d.shows(want...)
		d.enter("2\n")
		if got := d.result(); got != "1 prod-readonly" {
			t.Error(got)
		}
		d.tidy(append(want[:len(want)-1], prompt+"2")...)
	}
	for typed, want := range map[string]string{
		"3\n": "2 staging", "prod\n": "0 prod", "210987654321\n": "2 staging", "\n": "canceled",
		"\x03": "canceled", "\x04": "canceled", "9\nsand\n": "3 sandbox",
	} {
		d := startPick(t, 60, 24, few[:4], "TERM=dumb")
		d.has("(number or part of it):")
		d.enter(typed)
		if got := d.result(); got != want {
			t.Errorf("%q: %q; want %q", typed, got, want)
		}
	}
	d := startPick(t, 60, 40, 10_000, "TERM=dumb")
	d.has("    9980 more\nProfile (number or part of it):")
	d.enter("09998\n")
	if got := d.result(); got != "9998 web-09998-prod" {
		t.Error(got)
	}
}

// Picking works where standard input, output and error are no terminal.
func TestPickInsideShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		skip(t, "bash is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(t.TempDir(), "rc")
	if err := os.WriteFile(rc, []byte(`PS1='$ '
a() { x="$("$EXE" </dev/null 2>/dev/null)"; echo "$? got <$x>"; }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	// The program has to find the terminal by itself.
	d := startOn(t, 70, 24, "", []string{
		"PATH=" + t.TempDir(), "HOME=" + t.TempDir(), "TERM=xterm", "LC_ALL=C.UTF-8", "EXE=" + exe,
		"TTY_TEST_MODE=pick", "TTY_TEST_LOCKS=" + t.TempDir(), `TTY_TEST_ITEMS=[{"Name":"one"},{"Name":"two"}]`,
	}, bash, "-c", `exec </dev/tty >/dev/tty 2>&1 "$0" --rcfile "$1" --noediting -i`, bash, rc)
	d.shows("$")
	d.enter("a\n")
	d.shows("$ a", "Profile: type to search, Enter chooses, Esc leaves", "> one", "  two")
	d.enter("tw\r")
	d.shows("$ a", "0 got <1 two>", "$")
	d.enter("a\n")
	d.has("> one")
	d.enter("\x03")
	d.shows("$ a", "0 got <1 two>", "$ a", "1 got <canceled>", "$")
	d.enter("echo al''ive\n")
	d.shows("$ a", "0 got <1 two>", "$ a", "1 got <canceled>", "$ echo al''ive", "alive", "$")
}

func TestPickNobody(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), "TTY_TEST_MODE=pick", "TTY_TEST_ITEMS=3", "TTY_TEST_LOCKS="+t.TempDir(), "AWSRUNAS_ASKPASS=/bin/false")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, _ := c.Output(); string(out) != "nobody\n" {
		t.Errorf("%q", out)
	}
	tt := New(Options{Lookup: lookup(nil), NoInput: true})
	if _, err := tt.Pick(t.Context(), "Profile", few); !errors.Is(err, ErrNobody) {
		t.Errorf("without input: %v", err)
	}
	if _, err := tt.Pick(t.Context(), "Profile", nil); err == nil || errors.Is(err, ErrNobody) {
		t.Errorf("from nothing: %v", err)
	}
}

// script puts a program named fzf into a folder and returns PATH with it.
func script(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fzf"), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

func TestPickByFzf(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"chosen":   {`printf '2\tstaging  whatever\0'`, "2 staging"},
		"left":     {`exit 130`, "canceled"},
		"no match": {`exit 1`, "canceled"},
		"strange":  {`printf 'what?\0'`, ""},
		"beyond":   {`printf '99\tx\0'`, ""},
		"option":   {`echo 'unknown option: --read0' >&2; exit 2`, ""},
		"killed":   {`kill -9 $$`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := startPick(t, 80, 24, few, script(t, c.script))
			if c.want == "" { // our own takes over
				d.has("> prod")
				if name == "option" {
					d.has("unknown option: --read0\nProfile: type")
				}
				d.enter("sand\r")
				c.want = "3 sandbox"
			}
			if got := d.result(); got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
}

// fzf gets the list, its options, the terminal on standard error, and no secret.
func TestFzfIsGiven(t *testing.T) {
	dir := t.TempDir()
	path := script(t, `
cat >"$OUT/list"
for a; do printf '%s\n' "$a"; done >"$OUT/args"
printf '%s\n' "$FZF_DEFAULT_OPTS" >"$OUT/opts"
env >"$OUT/env"
test -t 2 && echo drawn >&2
printf '0\tprod\0'`)
	vars := []string{path, "OUT=" + dir, "FZF_DEFAULT_OPTS=--color=bw --height=50%"}
	for _, name := range secrets() {
		vars = append(vars, name+"=Pla1nted")
	}
	d := startPick(t, 80, 24, few, vars...)
	d.has("drawn")
	if got := d.result(); got != "0 prod" {
		t.Error(got)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := "0\tprod                  123456789012  Admin\x00" +
		"1\tprod-readonly         123456789012  ReadOnly\x00" +
		"2\tstaging               210987654321  Developer\x00" +
		"3\tsandbox\x00" +
		"4\tcaf\u00e9                  999988887777  Barista\x00" +
		"5\tit's $(a) \"b\"??[2J?c  999988887777\x00"
	if diff := cmp.Diff(want, read("list")); diff != "" {
		t.Error(diff)
	}
	if got := read("args"); !strings.Contains(got, "--read0\n") || !strings.Contains(got, "--prompt=Profile: \n") {
		t.Error(got)
	}
	if got := read("opts"); got != fzfDefaults+" --color=bw --height=50%\n" {
		t.Error(got)
	}
	if got := read("env"); strings.Contains(got, "Pla1nted") || !strings.Contains(got, "OUT=") {
		t.Error(got)
	}
	d = startPick(t, 80, 24, few, append(vars, "FZF_DEFAULT_OPTS_FILE=/some/file")...)
	if got := d.result(); got != "0 prod" {
		t.Error(got)
	}
	if got := read("opts"); got != "--color=bw --height=50%\n" {
		t.Error(got)
	}
}

func TestFzfIsEnded(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1} {
		d := startPick(t, 80, 24, few, script(t, `
trap 'echo ended >&2; exit 130' TERM
echo waiting >&2
while :; do read x </dev/tty; done`))
		d.has("waiting")
		d.signal(s)
		if got := d.result(); got != "canceled" {
			t.Error(got)
		}
		d.has("ended")
	}
}

func TestPickByRealFzf(t *testing.T) {
	fzf, err := exec.LookPath("fzf")
	if err != nil {
		skip(t, "fzf is not installed")
	}
	// What a person may have set, and what would make the answer unreadable.
	const theirs = "--multi --print-query --expect=ctrl-x --delimiter=: --nth=1 --preview='echo {}' --layout=default --no-sort"
	for _, c := range []struct{ typed, left, key, want string }{
		{"", "6/6", "\r", "0 prod"},
		{"stag", "1/6", "\r", "2 staging"},
		{"2109", "1/6", "\r", "2 staging"},
		{"quote$(a", "0/6", "\r", "canceled"},
		{"b\"", "1/6", "\r", `5 it's $(a) "b"??[2J?c`},
		{"caf\u00e9", "1/6", "\r", "4 caf\u00e9"},
		{"", "6/6", "\x1b", "canceled"},
		{"p", "3/6", "\x03", "canceled"},
	} {
		for _, opts := range []string{"", theirs} {
			d := startPick(t, 80, 24, few, "PATH="+filepath.Dir(fzf)+":"+os.Getenv("PATH"), "FZF_DEFAULT_OPTS="+opts)
			d.has("6/6")
			d.has("Profile:")
			d.enter(c.typed)
			d.has(c.left)
			d.enter(c.key)
			if got := d.result(); got != c.want {
				t.Errorf("%q with %q: %q; want %q", c.typed, opts, got, c.want)
			}
			d.tidy()
		}
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

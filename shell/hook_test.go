package shell

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"
)

func TestFunctionSwitches(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run("runas prod")
		x.wait(`^prod  123456789012  Admin  eu-west-1  59m$`)
		x.wait(`^\[prod 59m\] 0 P>`)
		key := x.get("AWS_ACCESS_KEY_ID")
		if !strings.HasPrefix(key, "ASIA") {
			t.Fatalf("the key is %q", key)
		}
		x.run("runas nope")
		x.wait(`^aws-runas: no profile is named "nope"$`)
		x.wait(`^\[prod 59m\] 4 P>`)
		x.is("AWS_ACCESS_KEY_ID", key)

		x.run("runas -d 8h 'team/dev role'")
		x.wait(`^\[team/dev role 59m\] 0 P>`)
		if renew := x.get("AWSRUNAS_RENEW"); !strings.Contains(renew, "8h") {
			t.Errorf("the flag is lost: %s", renew)
		}
		x.run("runas -")
		x.is("AWSRUNAS_PROFILE", "prod")
		x.run("runas -")
		x.is("AWSRUNAS_PROFILE", "team/dev role")
		if renew := x.get("AWSRUNAS_RENEW"); !strings.Contains(renew, "8h") {
			t.Errorf("the flag is lost: %s", renew)
		}

		x.run("runas off")
		x.wait(`^0 P> echo`)
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWSRUNAS_PROFILE", "AWSRUNAS_PROMPT"} {
			x.is(name, "")
		}
		x.run("runas")
		x.is("AWSRUNAS_PROFILE", "picked")

		x.run("runas prod 'a  b' '' \"it's\" 7")
		x.wait(`^ran \["prod" "a  b" "" "it's" "7"\]$`)
		x.wait(`\] 7 P>`)
		x.run("runas whoami")
		x.wait(`^ran \["whoami"\]$`)
		x.is("AWSRUNAS_PROFILE", "picked")
	})
}

// A trace shows what is run and not what the program answers, and goes on.
func TestTraced(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		on, off := "set -x", "set +x"
		if d == Fish {
			on, off = "set -g fish_trace 1", "set -e fish_trace"
		}
		x.run(on + "; runas prod; true traced; " + off)
		x.wait(`^[+>].*true traced$`)
		x.is("AWSRUNAS_PROFILE", "prod")
		if key := x.get("AWS_ACCESS_KEY_ID"); strings.Contains(x.text(), "secret of") || x.get("AWS_SECRET_ACCESS_KEY") != "secret of "+key {
			t.Error(x.text())
		}
	})
}

// wiped are the variables that no expired shell may have.
var wiped = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWSUME_PROFILE", "AWSRUNAS_PROFILE", "AWSRUNAS_KEY_ID", "AWSRUNAS_EXPIRES_AT", "AWSRUNAS_PROMPT"}

func TestRenewsWhenDue(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 60)
		x.tell("refresh", 1)
		x.run("runas -d 8h prod")
		key := x.get("AWS_ACCESS_KEY_ID")
		x.tell("refresh", 3000)
		x.until("new key", func() bool { return x.get("AWS_ACCESS_KEY_ID") != key })
		x.is("AWSRUNAS_KEY_ID", x.get("AWS_ACCESS_KEY_ID"))
		if renew := x.get("AWSRUNAS_RENEW"); !strings.Contains(renew, "8h") {
			t.Errorf("the flag is lost: %s", renew)
		}
		if n := strings.Count(x.log(), "--renew"); n != 1 {
			t.Errorf("renewed %d times:\n%s", n, x.log())
		}
		x.tell("refresh", 1)
		x.run("runas prod")
		for range 2 { // what is due again sooner than 30 s later is renewed again
			key := x.get("AWS_ACCESS_KEY_ID")
			x.until("new key", func() bool { return x.get("AWS_ACCESS_KEY_ID") != key })
		}
	})
}

func TestExpires(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 3)
		x.tell("refresh", 1)
		x.tell("fail", 7)
		x.run("runas -d 8h prod")
		x.until("removal", func() bool { return x.get("AWS_ACCESS_KEY_ID") == "" })
		x.once("aws-runas: no way to AWS")
		x.once("aws-runas: the credentials of prod have expired and are removed: runas - gets new ones")
		for _, name := range wiped {
			x.is(name, "")
		}
		x.wait(`^0 P> echo`)
		if n := strings.Count(x.log(), "--renew"); n != 2 {
			t.Errorf("tried %d times, want one when it was due and one at the expiry:\n%s", n, x.log())
		}
		x.tell("fail", 0)
		x.tell("lifetime", 3000)
		x.run("runas -")
		x.is("AWSRUNAS_PROFILE", "prod")
		if renew := x.get("AWSRUNAS_RENEW"); !strings.Contains(renew, "8h") {
			t.Errorf("the flag is lost: %s", renew)
		}
	})
}

// Where a person is needed, the line to type is said once, and again when
// another failure came between.
func TestSaysOnceWhatToType(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("refresh", 0)
		x.tell("fail", 3)
		x.run("runas prod")
		x.run("true")
		x.once("hint: runas prod")
		again := "__awsrunas_try=0"
		if d == Fish {
			again = "set -g __awsrunas_try 0"
		}
		x.run(again) // as after 30 s
		x.once("hint: runas prod")
		x.tell("fail", 7)
		x.run(again)
		x.once("aws-runas: no way to AWS")
		if n := strings.Count(x.log(), "--renew"); n != 3 {
			t.Errorf("tried %d times, want 3:\n%s", n, x.log())
		}
		x.is("AWSRUNAS_PROFILE", "prod")
	})
}

// A value that the user has changed since is the user's.
func TestRemovalKeepsWhatTheUserChanged(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 2)
		x.tell("refresh", 1)
		x.tell("fail", 7)
		x.run("runas prod")
		x.put("AWS_REGION", "mars-1")
		x.until("removal", func() bool { return x.get("AWS_ACCESS_KEY_ID") == "" })
		x.is("AWS_REGION", "mars-1")
	})
}

func TestLeavesAnotherToolsKeysAlone(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run("runas prod")
		x.put("AWS_ACCESS_KEY_ID", "AKIAOTHER")
		x.put("AWS_SECRET_ACCESS_KEY", "theirs")
		x.wait(`^0 P> echo`)
		x.is("AWS_ACCESS_KEY_ID", "AKIAOTHER")
		x.is("AWS_SECRET_ACCESS_KEY", "theirs")
		for _, name := range []string{"AWSUME_PROFILE", "AWSRUNAS_PROFILE", "AWSRUNAS_KEY_ID", "AWSRUNAS_EXPIRES_AT", "AWSRUNAS_REFRESH_AT", "AWSRUNAS_RENEW", "AWSRUNAS_EXPORTS", "AWSRUNAS_PROMPT"} {
			x.is(name, "")
		}
		if strings.Contains(x.log(), `"env"`) {
			t.Errorf("the program was called:\n%s", x.log())
		}
	})
}

func TestProgramGone(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 3)
		x.tell("refresh", 1)
		x.run("runas prod")
		x.run("rm " + x.stub + "/aws-runas")
		x.until("removal", func() bool { return x.get("AWS_ACCESS_KEY_ID") == "" })
		x.once("is not there, so nothing is renewed")
		x.once("have expired and are removed")
		for _, name := range wiped {
			x.is(name, "")
		}
		x.run("runas prod")
		x.wait(`^12[67] P>`)
	})
}

func TestStatusOfTheLastCommand(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 50)
		x.tell("refresh", 0)
		x.run("runas prod") // so that each prompt has something to do
		x.send("sh -c 'exit 7'\r")
		x.wait(`^\[prod \d+s\] 7 P>`)
		x.send("\r")
		x.wait(`^\[prod \d+s\] 7 P>\n(.*\n)*\[prod \d+s\] 7 P>`)
		if d == Fish {
			x.send("true | sh -c 'exit 3' | true\r")
			x.wait(`0 P> 0 3 0$`)
			return
		}
		x.run("sh -c 'exit 8'")
		x.wait(`^\[prod \d+s\] 8 P>`)
		if got := x.eval("$?"); got != "0" {
			t.Errorf("status %s", got)
		}
		x.send("false | true\r")
		x.wait(`\] 0 P>$`)
		x.send("sh -c 'exit 9'\r")
		x.wait(`\] 9 P>$`)
		x.send("echo \"status $? of ${PIPESTATUS-$pipestatus}\"\r")
		x.wait(`^status 9 of 9$`)
	})
}

// A shell with every strictness on is neither ended nor disturbed.
func TestStrictShells(t *testing.T) {
	for _, d := range []Dialect{Bash, Zsh} {
		t.Run(string(d), func(t *testing.T) {
			need(t, string(d))
			t.Parallel()
			x := start(t, d, plainShell[d])
			x.run(plainPrompt[d])
			x.run("set -euo pipefail; set -o noclobber")
			x.run(d.EvalLine("aws-runas hook " + string(d)))
			x.tell("lifetime", 3)
			x.tell("refresh", 1)
			x.run("runas prod")
			x.run("! true") // does not end a shell by itself, a prompt command's status would
			x.tell("fail", 7)
			x.until("removal", func() bool { return x.get("AWS_ACCESS_KEY_ID") == "" })
			x.once("have expired and are removed")
			x.tell("fail", 0)
			x.put("AWSRUNAS_AUTO", "1")
			x.write("in/.awsprofile", "dev\n")
			x.run("cd in")
			x.is("AWSRUNAS_PROFILE", "dev")
			x.run("cd ..")
			x.is("AWSRUNAS_PROFILE", "")
			x.run("runas nope || true")
			x.run("runas off")
			if strings.Contains(x.text(), "unbound") || strings.Contains(x.text(), "not set") {
				t.Error(x.text())
			}
		})
	}
}

// Ctrl-C where a code is asked for changes nothing, nor does it during a
// renewal, which is not tried again at once.
func TestInterrupted(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run("runas prod")
		key := x.get("AWS_ACCESS_KEY_ID")
		x.send("runas mfa\r")
		x.wait(`MFA code:$`)
		x.send("\x03")
		x.wait(`\] (?:130|1) P>$`) // 1 is zsh's
		x.is("AWS_ACCESS_KEY_ID", key)
		x.is("AWSRUNAS_PROFILE", "prod")

		x.tell("refresh", 0)
		x.tell("hang", 1)
		x.send("runas dev\r")
		x.wait(`^hanging`)
		x.send("\x03")
		x.wait(`^\[dev 59m\] \d+ P>$`)
		x.tell("hang", 0)
		x.is("AWSRUNAS_PROFILE", "dev")
		if n := strings.Count(x.log(), "--renew"); n != 1 {
			t.Errorf("tried %d times in less than 30 s:\n%s", n, x.log())
		}
	})
}

func TestLoadedTwice(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run(d.EvalLine("aws-runas hook " + string(d)))
		x.run("runas prod")
		x.wait(`^\[prod 59m\] 0 P>`)
		x.tell("refresh", 0)
		x.run("runas prod")
		x.run("true")
		if n := strings.Count(x.log(), "--renew"); n != 1 {
			t.Errorf("renewed %d times:\n%s", n, x.log())
		}
		switch d {
		case Bash:
			if got := x.eval("${PROMPT_COMMAND//$'\\n'/ }"); got != `${__awsrunas_exe:+"__awsrunas_hook"} ${__awsrunas_exe:+"__awsrunas_draw"}` {
				t.Errorf("PROMPT_COMMAND is %s", got)
			}
			x.is("PS1", "${__awsrunas_ps1-}$? P> ")
		case Zsh:
			if got := x.eval("$precmd_functions"); got != "__awsrunas_precmd __awsrunas_draw" {
				t.Errorf("precmd_functions is %s", got)
			}
		}
	})
}

// What others have hooked in goes on running and sees the right status.
func TestOtherHooks(t *testing.T) {
	cases := []struct {
		name  string
		d     Dialect
		setup string
	}{
		{"string", Bash, `PROMPT_COMMAND='seen=$?; : '`},
		{"string after", Bash, `late() { PROMPT_COMMAND="${PROMPT_COMMAND};seen=\$?"; }; seen=`},
		{"array", Bash, `PROMPT_COMMAND=('seen=$?' 'also=1')`},
		{"exported", Bash, `export PROMPT_COMMAND='seen=$?'`},
		{"precmd", Zsh, `precmd() { seen=$? }`},
		{"precmd_functions", Zsh, `other() { seen=$? }; precmd_functions=(other)`},
		{"event", Fish, `function other --on-event fish_prompt; set -g seen $status; end`},
	}
	for _, c := range cases {
		t.Run(string(c.d)+" "+c.name, func(t *testing.T) {
			need(t, string(c.d))
			t.Parallel()
			x := hooked(t, c.d, c.setup)
			if c.name == "string after" {
				x.run("late")
			}
			x.run("runas prod")
			x.send("sh -c 'exit 5'\r")
			x.wait(`^\[prod 59m\] 5 P>$`)
			x.is("seen", "5")
		})
	}
}

func TestReadonlyPromptCommand(t *testing.T) {
	need(t, "bash")
	x := hooked(t, Bash, "readonly PROMPT_COMMAND=:")
	x.once("PROMPT_COMMAND is readonly")
	x.run("runas prod")
	x.is("AWSRUNAS_PROFILE", "prod")
}

func TestOutlived(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 2)
		x.tell("refresh", 1)
		if d == Bash && x.eval("$((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))") == "0" {
			return // it does not say when a command starts
		}
		x.run("runas 'team/dev role'")
		x.run("sleep 2.1")
		hint := map[Dialect]string{Bash: `team/dev\ role`, Zsh: `'team/dev role'`, Fish: `'team/dev role'`}[d]
		x.once("hint: aws-runas " + hint + " -- COMMAND renews while it runs")
		x.run("sleep 2.1")
		x.once(" -- COMMAND renews while it runs")
	})
}

// An idle prompt is no command.
func TestNotOutlived(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.tell("lifetime", 2)
		x.tell("refresh", 1)
		x.tell("fail", 7)
		x.run("runas prod")
		x.until("removal", func() bool {
			x.send("\r")
			return strings.Contains(x.text(), "have expired")
		})
		if strings.Contains(x.text(), "COMMAND renews") {
			t.Error(x.text())
		}
	})
}

func TestFolders(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.write("work/.awsprofile", "prod\n")
		x.write("work/deep/er/file", "")
		x.write("work/team/.awsprofile", "  team/dev role \r\nignored\n")
		x.write("evil/.awsprofile", "$(touch pwned)`touch pwned`\n")
		x.write("flag/.awsprofile", "--unset\n")
		x.run("cd work")
		x.is("AWSRUNAS_PROFILE", "") // not opted in
		x.run("cd ..")
		x.put("AWSRUNAS_AUTO", "1")
		x.put("AWS_PROFILE", "mine")

		x.run("cd work")
		x.is("AWSRUNAS_PROFILE", "prod")
		x.is("AWS_PROFILE", "")
		x.run("cd deep/er")
		x.run("cd ../..")
		x.is("AWSRUNAS_PROFILE", "prod")
		if n := strings.Count(x.log(), "--enter"); n != 1 {
			t.Errorf("entered %d times:\n%s", n, x.log())
		}
		x.run("cd team")
		x.is("AWSRUNAS_PROFILE", "team/dev role")
		x.run("cd ../..")
		x.is("AWSRUNAS_PROFILE", "")
		x.is("AWS_ACCESS_KEY_ID", "")
		x.is("AWS_PROFILE", "mine")
		x.is("AWSRUNAS_BEFORE", "")

		x.run("runas -d 8h dev")
		x.run("cd work")
		x.is("AWSRUNAS_PROFILE", "prod")
		x.run("cd ..")
		x.is("AWSRUNAS_PROFILE", "dev")
		if renew := x.get("AWSRUNAS_RENEW"); !strings.Contains(renew, "8h") {
			t.Errorf("the flag is lost: %s", renew)
		}

		x.run("cd work")
		x.run("runas picked") // by hand, so it stays
		x.run("cd ..")
		x.is("AWSRUNAS_PROFILE", "picked")

		x.run("cd evil")
		x.once(`aws-runas: no profile is named "$(touch pwned)` + "`touch pwned`" + `"`)
		x.run("true")
		x.once(`aws-runas: no profile is named "$(touch pwned)`)
		x.is("AWSRUNAS_PROFILE", "picked")
		x.run("cd ../flag")
		x.once(`aws-runas: no profile is named "--unset"`)
		x.is("AWSRUNAS_PROFILE", "picked")
		x.run("cd ..")
		if found, err := filepath.Glob(x.home + "/*/pwned"); len(found) > 0 || err != nil {
			t.Error(found, err)
		}

		x.run("mkdir new; cd new")
		x.run("echo prod >.awsprofile")
		x.is("AWSRUNAS_PROFILE", "prod")
		x.run("sleep 1; echo dev >.awsprofile") // in another second
		x.is("AWSRUNAS_PROFILE", "dev")
		x.run("rm .awsprofile")
		x.is("AWSRUNAS_PROFILE", "picked")
	})
}

// A folder whose profile cannot be entered does not go on with another folder's.
func TestFolderFailure(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.put("AWSRUNAS_AUTO", "1")
		x.write("a/.awsprofile", "prod")
		x.write("b/.awsprofile", "nope")
		x.run("cd a")
		x.is("AWSRUNAS_PROFILE", "prod")
		x.run("cd ../b")
		x.once(`no profile is named "nope"`)
		x.is("AWSRUNAS_PROFILE", "")

		x.put("AWS_ACCESS_KEY_ID", "AKIAOTHER")
		x.run("cd ../a")
		x.is("AWSRUNAS_PROFILE", "")
		x.is("AWS_ACCESS_KEY_ID", "AKIAOTHER")
	})
}

// While nothing is due a prompt starts no process, also in a folder that has a
// profile and after a change of folder.
func TestNoForkWhileNothingIsDue(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		need(t, "strace")
		trace := filepath.Join(t.TempDir(), "trace")
		x := start(t, d, append([]string{"strace", "-f", "-qq", "-e", "trace=process", "-o", trace}, plainShell[d]...))
		x.run(plainPrompt[d])
		x.run(d.EvalLine("aws-runas hook " + string(d)))
		x.write("in/.awsprofile", "prod\n")
		x.write("in/deep/er/file", "")
		x.put("AWSRUNAS_AUTO", "1")
		x.run("cd in")
		x.is("AWSRUNAS_PROFILE", "prod")
		// A thread is no process.
		started := regexp.MustCompile(`(?m)^\d+ +(v?fork|clone3?)\((.*)$`)
		count := func() (n int) {
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range started.FindAllStringSubmatch(string(text), -1) {
				if !strings.Contains(call[2], "CLONE_THREAD") {
					n++
				}
			}
			return n
		}
		x.run("/bin/true")
		before := count()
		if before == 0 {
			t.Fatal("the trace shows no process at all")
		}
		for range 5 {
			x.run("true")
			x.run("cd deep")
			x.run("cd er")
			x.run("cd ../..")
		}
		x.wait(`^\[prod 59m\] 0 P>$`)
		if n := count() - before; n != 0 {
			text, err := os.ReadFile(trace)
			t.Errorf("%d processes were started: %v\n%s", n, err, text)
		}
	})
}

// A name from a config file is shown, not acted on.
func TestSegmentShowsNamesAsTheyAre(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		if d == Zsh {
			x.run("setopt prompt_subst")
		}
		for _, name := range []string{configured[5], "caf\u00e9"} {
			word, err := d.Quote(name)
			if err != nil {
				t.Fatal(err)
			}
			x.run("runas " + word)
			x.wait(`^\[` + regexp.QuoteMeta(name) + ` 59m\] 0 P>`)
		}
		x.run("runas static")
		x.wait(`^\[static\] 0 P>`)
		text, err := d.Render(Change{Set: map[string]string{"AWSRUNAS_PROFILE": "a\x1b]0;t\ab"}})
		if err != nil {
			t.Fatal(err)
		}
		x.write("odd", text)
		x.run("source ./odd")
		x.wait(`^\[a\?\]0;t\?b\] 0 P>`)
		x.put("AWSRUNAS_DEPTH", "2")
		x.wait(`^\[a.*b \(2\)\] 0 P>`)
	})
}

// Colours take no room: what is typed wraps at the edge of the screen.
func TestSegmentTakesNoMoreRoomThanItShows(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run("runas prod")
		x.wait(`^\[prod 59m\] 0 P>`)
		x.send(": " + strings.Repeat("x", columns))
		x.wait(`^xxx+$`)
		for _, line := range strings.Split(x.text(), "\n") {
			if strings.Contains(line, "P> : xxx") && len(line) != columns {
				t.Errorf("the line ends at column %d of %d:\n%s", len(line), columns, x.text())
			}
		}
	})
}

func TestWarnStandsOut(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		// background is the colour behind the first letter of the segment.
		background := func(name string) vt10x.Color {
			t.Helper()
			x.run("clear")
			x.run("runas " + name)
			x.wait(`^\[` + name + ` 59m\] 0 P>$`)
			rows := strings.Split(x.screen.String(), "\n")
			for y := len(rows) - 1; y >= 0; y-- {
				if strings.HasPrefix(rows[y], "["+name) {
					return x.screen.Cell(1, y).BG
				}
			}
			t.Fatalf("no segment on\n%s", x.text())
			return 0
		}
		if c := background("prod"); c != vt10x.Red {
			t.Errorf("prod has background %d, want red", c)
		}
		if c := background("dev"); c == vt10x.Red {
			t.Error("dev is red")
		}
		x.put("AWSRUNAS_WARN", "nothing de?,other")
		if c := background("dev"); c != vt10x.Red {
			t.Errorf("dev has background %d, want red", c)
		}
		if c := background("prod"); c == vt10x.Red {
			t.Error("prod is red although AWSRUNAS_WARN names others")
		}
	})
}

func TestNoColor(t *testing.T) {
	for _, variable := range []string{"NO_COLOR=1", "TERM=dumb", "TERM="} {
		t.Run(variable, func(t *testing.T) {
			eachShell(t, func(t *testing.T, d Dialect) {
				x := hooked(t, d)
				name, value, _ := strings.Cut(variable, "=")
				x.put(name, value)
				x.run("runas prod")
				x.wait(`\[! prod 59m\] 0 P>$`)
				x.run("runas dev")
				x.wait(`\[dev 59m\] 0 P>$`)
			})
		})
	}
}

// Where another draws the prompt, or the user wants none, AWSRUNAS_PROMPT is
// kept and the prompt is not touched.
func TestStaysOutOfThePrompt(t *testing.T) {
	cases := map[string]map[Dialect]string{
		"starship": {
			Bash: `starship_precmd() { PS1='$? P> '; }; PROMPT_COMMAND=starship_precmd`,
			Zsh:  `setopt prompt_subst; PROMPT='$(: /usr/bin/starship prompt)%? P> '`,
			Fish: `function fish_prompt; set -l s $status; : starship prompt; echo -n "$s P> "; end; function :; end`,
		},
		"oh-my-posh": {
			Bash: `_omp_hook() { PS1='$? P> '; }; PROMPT_COMMAND=_omp_hook`,
			Zsh:  `_omp_precmd() { PROMPT='%? P> ' }; precmd_functions=(_omp_precmd)`,
			Fish: `function fish_prompt; set -l s $status; : $POSH_THEME; echo -n "$s P> "; end; function :; end`,
		},
		"powerlevel10k": {Zsh: `p10k() { : }`},
		"own": {
			Bash: `PS1='$? P> '; : '$AWSRUNAS_PROMPT'; AWSRUNAS_SEGMENT=off`,
			Zsh:  `AWSRUNAS_SEGMENT=off`,
			Fish: `set -g AWSRUNAS_SEGMENT off`,
		},
	}
	for name, setups := range cases {
		for d, setup := range setups {
			t.Run(name+" "+string(d), func(t *testing.T) {
				need(t, string(d))
				t.Parallel()
				x := hooked(t, d, setup)
				x.run("runas prod")
				if got := x.get("AWSRUNAS_PROMPT"); got != "prod 59m" {
					t.Errorf("AWSRUNAS_PROMPT is %q", got)
				}
				x.wait(`^0 P> echo "=\d+= [$]`)
				if strings.Contains(x.text(), "[prod") {
					t.Errorf("there is a segment on\n%s", x.text())
				}
			})
		}
	}
}

// The segment is there where a prompt is made anew each time, or begins with an
// empty line, and what a prompt's command ends in does no harm.
func TestPromptOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		d     Dialect
		setup []string
	}{
		"bash made anew":      {Bash, []string{`mine() { PS1="$? P> "; }; PROMPT_COMMAND=mine`}},
		"bash semicolon":      {Bash, []string{`mine() { PS1="$? P> "; }; PROMPT_COMMAND='mine; '`}},
		"bash comment":        {Bash, []string{`mine() { PS1="$? P> "; }; PROMPT_COMMAND='mine # mine'`}},
		"bash array":          {Bash, []string{`mine() { PS1="$? P> "; }; PROMPT_COMMAND=(: mine)`}},
		"bash empty line":     {Bash, []string{`PS1='\n$? P> '`}},
		"bash DEBUG":          {Bash, []string{`shopt -s extdebug; trap 'seen=$_' DEBUG`}},
		"bash IFS":            {Bash, []string{`IFS=_`}},
		"bash vi":             {Bash, []string{`set -o vi`}},
		"zsh made anew":       {Zsh, []string{`mine() { PROMPT="$? P> " }; precmd_functions=(mine)`}},
		"zsh precmd":          {Zsh, []string{`precmd() { PROMPT="$? P> " }`}},
		"zsh empty line":      {Zsh, []string{`PROMPT=$'\n%? P> '`}},
		"zsh ksh_arrays":      {Zsh, []string{`setopt ksh_arrays sh_word_split; mine() { PROMPT="$? P> " }; precmd_functions=(: mine)`}},
		"zsh strange options": {Zsh, []string{`setopt sh_glob no_glob no_short_loops ignore_braces rc_quotes extended_glob nounset no_prompt_subst`}},
		"zsh emulates sh":     {Zsh, []string{`emulate sh; setopt prompt_percent`}},
		"zsh emulates ksh":    {Zsh, []string{`emulate ksh; PS1='%? P> '; setopt prompt_percent`}},
		"fish right":          {Fish, []string{`function fish_right_prompt; echo right; end`}},
	} {
		t.Run(name, func(t *testing.T) {
			need(t, string(c.d))
			t.Parallel()
			x := hooked(t, c.d, c.setup...)
			x.run("runas dev")
			x.wait(`^\[dev 59m\] 0 P>`)
			x.send("false\r")
			x.wait(`^\[dev 59m\] 1 P>`)
			x.run("runas off")
			x.wait(`^0 P>`)
			if text := x.screen.String(); strings.Contains(text, "error") || strings.Contains(text, "not found") {
				t.Error(text)
			}
		})
	}
}

// A shell without the hook inherits what was exported, and nothing to complain of.
func TestInheritedPromptCommand(t *testing.T) {
	x := hooked(t, Bash, `export PROMPT_COMMAND='seen=$?' PS1`)
	x.run("runas dev")
	x.run("bash --norc --noprofile")
	x.send("false\r")
	x.wait(`^1 P>$`)
	if text := x.screen.String(); strings.Contains(text, "not found") {
		t.Error(text)
	}
}

// A prompt that cannot be changed is left alone, without a word.
func TestReadonlyPrompt(t *testing.T) {
	for d, setup := range map[Dialect]string{Bash: "readonly PS1", Zsh: "readonly PROMPT"} {
		t.Run(string(d), func(t *testing.T) {
			need(t, string(d))
			t.Parallel()
			x := hooked(t, d, setup)
			x.run("runas prod")
			x.run("true")
			x.wait(`^0 P>$`)
			x.is("AWSRUNAS_PROMPT", "prod 59m")
			if text := x.text(); strings.Contains(text, "read-only") || strings.Contains(text, "readonly variable") {
				t.Error(text)
			}
		})
	}
}

// What another user wrote, in /tmp for example, chooses nobody's profile.
func TestFolderOfAnotherUser(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.put("AWSRUNAS_AUTO", "1")
		file := filepath.Join(x.home, "theirs", ".awsprofile")
		x.write("theirs/.awsprofile", "prod\n")
		if os.Geteuid() == 0 {
			if err := os.Chown(file, 12345, 12345); err != nil {
				t.Fatal(err)
			}
		} else { // root's is another's, too
			if err := errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)); err != nil {
				t.Fatal(err)
			}
		}
		x.run("cd theirs")
		x.once("belongs to another user and is not read")
		x.run("true")
		x.once("belongs to another user and is not read")
		x.is("AWSRUNAS_PROFILE", "")
		x.run("cd ..")
		x.write("mine/.awsprofile", "prod\n")
		x.run("cd mine")
		x.is("AWSRUNAS_PROFILE", "prod")
	})
}

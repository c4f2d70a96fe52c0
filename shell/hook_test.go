package shell

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFunctionSwitches(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := hooked(t, d)
		x.run("runas prod")
		x.wait(`^prod  123456789012  Admin$`)
		x.wait(`^\[prod (59m|1h00m)\] 0 P>`)
		key := x.get("AWS_ACCESS_KEY_ID")
		if !strings.HasPrefix(key, "ASIA") {
			t.Fatalf("the key is %q", key)
		}
		x.run("runas nope")
		x.wait(`^aws-runas: no profile is named "nope"$`)
		x.wait(`^\[prod (59m|1h00m)\] 4 P>`)
		x.is("AWS_ACCESS_KEY_ID", key)

		x.run("runas -d 8h 'team/dev role'")
		x.wait(`^\[team/dev role (59m|1h00m)\] 0 P>`)
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
		if n := strings.Count(x.log(), "--renew"); n != 1 {
			t.Errorf("tried %d times in less than 30 s:\n%s", n, x.log())
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
		x.wait(`^\[dev (59m|1h00m)\] \d+ P>$`)
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
		x.wait(`^\[prod (59m|1h00m)\] 0 P>`)
		x.tell("refresh", 0)
		x.run("runas prod")
		x.run("true")
		if n := strings.Count(x.log(), "--renew"); n != 1 {
			t.Errorf("renewed %d times:\n%s", n, x.log())
		}
		switch d {
		case Bash:
			x.is("PROMPT_COMMAND", "__awsrunas_hook")
			x.is("PS1", "${__awsrunas_ps1-}$? P> ")
		case Zsh:
			if got := x.eval("$precmd_functions"); got != "__awsrunas_precmd" {
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
			x.wait(`^\[prod (59m|1h00m)\] 5 P>$`)
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
		x.run("runas 'team/dev role'")
		x.run("sleep 2.5")
		hint := map[Dialect]string{Bash: `team/dev\ role`, Zsh: `'team/dev role'`, Fish: `'team/dev role'`}[d]
		x.once("hint: aws-runas " + hint + " -- COMMAND renews while it runs")
		x.run("sleep 2.5")
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

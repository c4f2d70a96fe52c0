package shell

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// costs are what the hook takes at each prompt: with nothing exported, with
// credentials that are not yet due, and in a folder with a profile besides.
var costs = []struct {
	name string
	env  []string
}{
	{"idle", nil},
	{"fresh", []string{
		"AWS_ACCESS_KEY_ID=ASIA1", "AWSRUNAS_KEY_ID=ASIA1", "AWSRUNAS_PROFILE=prod",
		"AWSRUNAS_EXPIRES_AT=" + strconv.FormatInt(time.Now().Add(5*time.Hour).Unix(), 10),
		"AWSRUNAS_REFRESH_AT=" + strconv.FormatInt(time.Now().Add(4*time.Hour).Unix(), 10),
	}},
	{"folder", []string{
		"AWS_ACCESS_KEY_ID=ASIA1", "AWSRUNAS_KEY_ID=ASIA1", "AWSRUNAS_PROFILE=prod", "AWSRUNAS_AUTO=1", "AWSRUNAS_BEFORE={}",
		"AWSRUNAS_EXPIRES_AT=" + strconv.FormatInt(time.Now().Add(5*time.Hour).Unix(), 10),
		"AWSRUNAS_REFRESH_AT=" + strconv.FormatInt(time.Now().Add(4*time.Hour).Unix(), 10),
	}},
}

// BenchmarkPrompt runs what each prompt runs, in one shell, and reports
// microseconds over those of an empty function called as often.
func BenchmarkPrompt(b *testing.B) {
	for _, d := range []Dialect{Bash, Zsh, Fish} {
		for _, c := range costs {
			b.Run(string(d)+"/"+c.name, func(b *testing.B) {
				need(b, string(d))
				var us float64
				for b.Loop() {
					us = promptCost(b, d, c.env)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(us, "us/prompt")
			})
		}
	}
}

// promptCost is the least of five measurements.
func promptCost(b *testing.B, d Dialect, env []string) float64 {
	b.Helper()
	const n = 500
	dir := b.TempDir()
	deep := filepath.Join(dir, "a/b/c/d")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".awsprofile"), []byte("prod\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	text, err := Hook(d, HookOptions{Exe: "/bin/false"})
	if err != nil {
		b.Fatal(err)
	}
	hook := filepath.Join(dir, "hook")
	if err := os.WriteFile(hook, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	script := map[Dialect]string{
		Bash: `. HOOK; nothing() { local s=$?; return "$s"; }
			clock() { local t=${EPOCHREALTIME/[^0-9]/}; at=$t; }
			for k in 1 2 3 4 5; do
				clock; t0=$at; for ((i=0;i<COUNT;i++)); do nothing; done; clock; t1=$at
				for ((i=0;i<COUNT;i++)); do __awsrunas_hook; __awsrunas_draw; done; clock
				echo $((at-t1-(t1-t0)))
			done`,
		Zsh: `. HOOK; nothing() { : }
			for k in 1 2 3 4 5; do
				t0=$EPOCHREALTIME; for ((i=0;i<COUNT;i++)); do nothing; done; t1=$EPOCHREALTIME
				for ((i=0;i<COUNT;i++)); do __awsrunas_precmd; __awsrunas_draw; done
				printf '%d\n' $(( (EPOCHREALTIME-t1-(t1-t0))*1e6 ))
			done`,
		Fish: `function fish_prompt; echo -n '> '; end; functions --copy fish_prompt bare_prompt
			source HOOK; function nothing --on-event nothing; end; emit fish_prompt
			function clock; date +%s%N; end
			for k in 1 2 3 4 5
				set t0 (clock); for i in (seq COUNT); emit nothing; bare_prompt >/dev/null; end; set t1 (clock)
				for i in (seq COUNT); emit fish_prompt; fish_prompt >/dev/null; end
				echo (math -s0 "("(clock)" - $t1 - ($t1 - $t0)) / 1000")
			end`,
	}[d]
	script = strings.NewReplacer("HOOK", hook, "COUNT", strconv.Itoa(n)).Replace(script)
	// interactive, or the hook would not hook itself in
	argv := append(plainShell[d][:len(plainShell[d]):len(plainShell[d])], "-c", script)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = deep
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TERM=xterm-256color", "LC_ALL=C.UTF-8"}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %s", err, stderr.String())
	}
	least := 0.0
	for i, field := range strings.Fields(string(out)) {
		var us float64
		if _, err := fmt.Sscan(field, &us); err != nil {
			b.Fatalf("%q: %v", out, err)
		}
		if us /= n; i == 0 || us < least {
			least = us
		}
	}
	return least
}

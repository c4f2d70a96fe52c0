package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// prompter is a shell and a script that prints the microseconds which COUNT
// prompts take with the hook beyond those that they take without.
type prompter struct {
	shell  string
	argv   []string
	count  int
	target float64 // microseconds a prompt
	script string
}

// An interactive shell calls these functions at each prompt; one that does so for
// a script has no terminal to wait for. The empty function costs what it costs to
// call one at all.
var prompters = []prompter{
	{"bash", []string{"bash", "--norc", "--noprofile", "-i", "-c"}, 400, 100, `
		. HOOK; nothing() { local s=$?; return "$s"; }
		clock() { local t=${EPOCHREALTIME/[^0-9]/}; at=$t; }
		clock; t0=$at; for ((i=0;i<COUNT;i++)); do nothing; done; clock; t1=$at
		for ((i=0;i<COUNT;i++)); do __awsrunas_hook; __awsrunas_draw; done; clock
		echo $((at-t1-(t1-t0)))`},
	{"zsh", []string{"zsh", "-f", "-i", "-c"}, 400, 100, `
		. HOOK; nothing() { : }
		t0=$EPOCHREALTIME; for ((i=0;i<COUNT;i++)); do nothing; done; t1=$EPOCHREALTIME
		for ((i=0;i<COUNT;i++)); do __awsrunas_precmd; __awsrunas_draw; done
		printf '%d\n' $(( (EPOCHREALTIME-t1-(t1-t0))*1e6 ))`},
	{"fish", []string{"fish", "--no-config", "-i", "-c"}, 100, 1000, `
		function fish_prompt; echo -n '> '; end; functions --copy fish_prompt bare_prompt
		source HOOK; function nothing --on-event nothing; end; emit fish_prompt
		function clock; date +%s%N; end
		set t0 (clock); for i in (seq COUNT); emit nothing; bare_prompt >/dev/null; end; set t1 (clock)
		for i in (seq COUNT); emit fish_prompt; fish_prompt >/dev/null; end
		echo (math -s0 "("(clock)" - $t1 - ($t1 - $t0)) / 1000")`},
}

// prompts prints what the hook adds to a prompt while the shell has credentials
// that are not due.
func (b *bench) prompts() error {
	const rounds = 15
	var here []prompter
	for _, p := range prompters {
		if _, err := exec.LookPath(p.shell); err != nil {
			b.note("not measured: prompts of %s: %v", p.shell, err)
			continue
		}
		w := workload{name: "hook " + p.shell, argv: []string{b.program, "hook", p.shell}, env: b.env}
		script, err := w.output(b.ctx)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.path("hook."+p.shell), []byte(script), 0o600); err != nil {
			return err
		}
		here = append(here, p)
	}
	times := make([][]time.Duration, len(here))
	for round := range rounds {
		for i := range here {
			i = (i + round) % len(here)
			took, err := b.prompt(here[i])
			if err != nil {
				return err
			}
			times[i] = append(times[i], took)
		}
	}
	for i, p := range here {
		b.note("%-46s %9.0f us   %-11s %s", "prompt with the hook over "+p.shell+" alone", us(quantile(times[i], 0.5)),
			fmt.Sprintf("%.0f-%.0f", us(quantile(times[i], 0.25)), us(quantile(times[i], 0.75))), verdict(us(quantile(times[i], 0.5)), p.target, " us"))
	}
	return nil
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// prompt is what the hook adds to one prompt.
func (b *bench) prompt(p prompter) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	script := strings.NewReplacer("HOOK", "'"+strings.ReplaceAll(b.path("hook."+p.shell), "'", `'\''`)+"'", "COUNT", strconv.Itoa(p.count)).Replace(p.script)
	cmd := exec.CommandContext(ctx, p.argv[0], append(slices.Clone(p.argv[1:]), script)...)
	now := time.Now()
	cmd.Env = b.with("TERM=xterm-256color", "LC_ALL=C.UTF-8",
		"AWS_ACCESS_KEY_ID=ASIA1", "AWSRUNAS_KEY_ID=ASIA1", "AWSRUNAS_PROFILE=prod",
		"AWSRUNAS_EXPIRES_AT="+strconv.FormatInt(now.Add(5*time.Hour).Unix(), 10),
		"AWSRUNAS_REFRESH_AT="+strconv.FormatInt(now.Add(4*time.Hour).Unix(), 10),
	)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("prompts of %s: %w: %s", p.shell, err, stderr.Bytes())
	}
	all, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return 0, fmt.Errorf("prompts of %s: it printed %q", p.shell, out)
	}
	return time.Duration(all) * time.Microsecond / time.Duration(p.count), nil
}

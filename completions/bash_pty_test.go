//go:build unix

package completions

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// bashProgram is bash, or another version of it: the tests ran with 3.2, which
// macOS has.
func bashProgram() string {
	if name := os.Getenv("COMPLETIONS_TEST_BASH"); name != "" {
		return name
	}
	return "bash"
}

func startBash(t *testing.T, env []string, setup ...string) *screen {
	t.Helper()
	x := start(t, append(env, "PS1="+prompt), bashProgram(), "--norc", "--noprofile", "-i")
	x.script("bash", "completion")
	x.ready(setup...)
	return x
}

func TestBash(t *testing.T) {
	t.Parallel()
	x := startBash(t, nil, ". ./completion", "complete -C aws_completer aws; complete -o nospace -C 'aws_completer #' awsn",
		`_myfunc() { [[ "$1,$COMP_CWORD,${COMP_WORDS[0]}" == myfunc,*,myfunc ]] && COMPREPLY=($(compgen -W 'one two three' -- "$2")); }; complete -F _myfunc myfunc`,
		"complete -W 'a:one one' mywords")
	for _, tt := range []struct{ keys, line string }{
		{"aws-runas de\t", "aws-runas dev "},
		{"runas de\t", "runas dev "},
		{"aws-runas key\tad\tde\t", "aws-runas keys add dev "},
		{"aws-runas --dur\t8h prod-\t", "aws-runas --duration 8h prod-eu "},
		{"aws-runas -O j\t", "aws-runas -O json "},
		{"aws-runas --region=us\t", "aws-runas --region=us-east-1 "},

		// names
		{"aws-runas org:p\t", "aws-runas org:prod "},
		{"aws-runas org\\:p\t", "aws-runas org:prod "},
		{"aws-runas 'org:p\t", "aws-runas 'org:prod' "},
		{"aws-runas me@c\t", "aws-runas me@corp "},
		{"aws-runas me\t", "aws-runas me@corp "},
		{"aws-runas a=\t", "aws-runas a=b "},
		{"aws-runas tea\t", `aws-runas team/dev\ role `},
		{"aws-runas team/dev\\ \t", `aws-runas team/dev\ role `},
		{"aws-runas 'tea\t", "aws-runas 'team/dev role' "},
		{"aws-runas 'team/dev r\t", "aws-runas 'team/dev role' "},
		{"aws-runas \"tea\t", `aws-runas "team/dev role" `},
		{"aws-runas it\t", `aws-runas it\'s `},
		{"aws-runas \"it\t", `aws-runas "it's" `},
		{"aws-runas back\t", `aws-runas back\\slash `},
		{"aws-runas say\t", `aws-runas say\"hi\" `},
		{"aws-runas caf\t", "aws-runas café "},
		{"aws-runas 日\t", "aws-runas 日本 "},
		{"aws-runas 50\t", "aws-runas 50%off "},
		{"aws-runas cost\t", `aws-runas cost\$HOME `},
		{"aws-runas \"cost\t", `aws-runas "cost\$HOME" `},
		{"aws-runas 'cost\t", `aws-runas 'cost$HOME' `},
		{"aws-runas tick\t", "aws-runas tick\\`s "},
		{"aws-runas x\t", `aws-runas x,y\{z\} `},
		{"aws-runas '[\t", `aws-runas '[1]*' `},
		{"aws-runas ün\t", `aws-runas ünï:cö\ de `},
		{"aws-runas ünï:\t", `aws-runas ünï:cö\ de `},
		{"aws-runas '~\t", "aws-runas '~tilde' "},
		{"aws-runas keys rm caf\ttea\t", `aws-runas keys rm café team/dev\ role `},

		// what is wrapped
		{"aws-runas prod zzd\t", "aws-runas prod zzdeploy "},
		{"aws-runas prod -- zzd\t", "aws-runas prod -- zzdeploy "},
		{"aws-runas -- zzd\t", "aws-runas -- zzdeploy "},
		{"aws-runas prod aws st\t", "aws-runas prod aws sts "},
		{"aws-runas prod aws s3 m\t\t", "aws-runas prod aws s3 m"},
		{"aws-runas prod -- aws st\t", "aws-runas prod -- aws sts "},
		{"aws-runas -d 8h -E org:prod aws st\t", "aws-runas -d 8h -E org:prod aws sts "},
		{"aws-runas 'team/dev role' aws st\t", "aws-runas 'team/dev role' aws sts "},
		{"aws-runas ünï:cö\\ de aws st\t", `aws-runas ünï:cö\ de aws sts `},
		{"aws-runas -- aws st\t", "aws-runas -- aws sts "},
		{"runas prod aws st\t", "runas prod aws sts "},
		{"aws-runas prod aws-runas dev aws st\t", "aws-runas prod aws-runas dev aws sts "},
		{"aws-runas prod cat ./inp\t", "aws-runas prod cat ./inputrc "},
		{"aws-runas prod ./nof\t", "aws-runas prod ./nof"},
		{"aws-runas keys import inp\t", "aws-runas keys import inputrc "},
		{"aws-runas env prod >inp\t", "aws-runas env prod >inputrc "},
		{"aws-runas env prod > inp\t", "aws-runas env prod > inputrc "},
		{"aws-runas prod myfunc on\t", "aws-runas prod myfunc one "},
		{"aws-runas prod mywords a:o\t", "aws-runas prod mywords a:one "},
		{"aws-runas prod myfunc one x=tw\t", "aws-runas prod myfunc one x=two "},

		// nothing to say
		{"aws-runas -d \t", "aws-runas -d "},
		{"aws-runas env prod \t", "aws-runas env prod "},
		{"aws-runas zzz\t", "aws-runas zzz"},

		// nothing is run
		{"aws-runas \"$(touch ran)\" \t", `aws-runas "$(touch ran)" `},
		{"aws-runas $(touch ran) de\t", "aws-runas $(touch ran) de"},
		{"aws-runas `touch ran` env de\t", "aws-runas `touch ran` env de"},
		{"aws-runas -d $(touch ran) de\t", "aws-runas -d $(touch ran) dev "},
		{"aws-runas -d `touch ran` de\t", "aws-runas -d `touch ran` de"},
		{"aws-runas prod aws $(touch ran) st\t", "aws-runas prod aws $(touch ran) sts "},
		{"aws-runas prod $(touch ran) de\t", "aws-runas prod $(touch ran) de"},
		{"aws-runas prod '$(touch ran)' de\t", "aws-runas prod '$(touch ran)' de"},
		{"aws-runas 'x;touch ran' '`touch ran`' de\t", "aws-runas 'x;touch ran' '`touch ran`' de"},
	} {
		x.completes(tt.keys, tt.line)
		x.clear()
	}
	if modern(t) {
		x.completes("aws-runas prod awsn st\t", "aws-runas prod awsn sts")
		x.clear()
		x.completes("true; FOO=1 aws-runas prod aws st\t", "true; FOO=1 aws-runas prod aws sts ")
		x.clear()
	}
	x.absent("ran")
}

// modern reports whether bash is younger than 3.2, which finds no command
// behind another, and cannot be told to leave out a blank.
func modern(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command(bashProgram(), "-c", "echo $BASH_VERSINFO").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out) != "3\n"
}

func TestBashNames(t *testing.T) {
	t.Parallel()
	x := startBash(t, nil, ". ./completion")
	// between double quotes bash has no way to write an exclamation mark
	x.namesRoundTrip(map[string]string{`"`: "!"})
}

func TestBashSurroundings(t *testing.T) {
	const loader = "/usr/share/bash-completion/bash_completion"
	for name, tt := range map[string]struct {
		env   []string
		setup []string
		keys  string
		line  string
	}{
		"loaded twice, strict": {
			setup: []string{". ./completion", "set -euo pipefail; set -o noclobber", ". ./completion"},
			keys:  "aws-runas prod aws st\t", line: "aws-runas prod aws sts ",
		},
		"strict, wrapped names": {
			setup: []string{"set -euo pipefail; set -o noclobber", ". ./completion"},
			keys:  "aws-runas prod zzd\t", line: "aws-runas prod zzdeploy ",
		},
		"strict, nothing to say": {
			setup: []string{"set -euo pipefail", ". ./completion"},
			keys:  "aws-runas env prod \t", line: "aws-runas env prod ",
		},
		"strict, default completion": {
			setup: []string{"set -euo pipefail", ". ./completion"},
			keys:  "aws-runas prod true inp\t", line: "aws-runas prod true inputrc ",
		},
		"odd settings": {
			setup: []string{"IFS=:; set -f; shopt -s nullglob failglob extglob nocasematch; alias command='echo no' local=false", ". ./completion", "unalias local"},
			keys:  "aws-runas keys add tea\t", line: `aws-runas keys add team/dev\ role `,
		},
		"AWS_PROFILE, command": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{". ./completion"},
			keys: "aws-runas zzd\t", line: "aws-runas zzdeploy ",
		},
		"AWS_PROFILE, its argument": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{". ./completion"},
			keys: "aws-runas -E aws st\t", line: "aws-runas -E aws sts ",
		},
		"AWS_PROFILE, another profile": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{". ./completion"},
			keys: "aws-runas org:p\taws st\t", line: "aws-runas org:prod aws sts ",
		},
		"in the middle of the line": {
			setup: []string{". ./completion"},
			keys:  "aws-runas prod aws st tail\x1bb\x02\t", line: "aws-runas prod aws sts⎸ tail",
		},
		"a command's name with a word break": {
			setup: []string{". ./completion", "zz:deploy() { :; }"},
			keys:  "aws-runas prod zz:d\t", line: "aws-runas prod zz:deploy ",
		},
		"a command's name in quotes": {
			setup: []string{". ./completion"},
			keys:  "aws-runas prod 'zzd\t", line: "aws-runas prod 'zzdeploy' ",
		},
		"the program is gone": {
			setup: []string{"sed 's,/aws-runas.,/gone&,' completion >gone", ". ./gone"},
			keys:  "aws-runas de\t", line: "aws-runas de",
		},
		"other word breaks": {
			setup: []string{". ./completion", `COMP_WORDBREAKS=$' \t\n;|&'`},
			keys:  "aws-runas org:p\taws st\t", line: "aws-runas org:prod aws sts ",
		},
		"bash-completion, loaded on demand": {
			env: []string{"XDG_DATA_HOME=data"}, setup: []string{". " + loader, ". ./completion"},
			keys: "aws-runas org:prod lazy sec\t", line: "aws-runas org:prod lazy second ",
		},
		"bash-completion, behind --": {
			env: []string{"XDG_DATA_HOME=data"}, setup: []string{". ./completion", ". " + loader},
			keys: "aws-runas -- lazy a:b sec\t", line: "aws-runas -- lazy a:b second ",
		},
		"bash-completion, strict": {
			env: []string{"XDG_DATA_HOME=data"}, setup: []string{". " + loader, "set -e", ". ./completion"},
			keys: "aws-runas prod lazy first sec\t", line: "aws-runas prod lazy first second ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(name, "bash-completion") {
				needFile(t, loader, "bash-completion")
				if !modern(t) {
					t.Skip("bash-completion needs bash 4.2")
				}
			}
			x := startBash(t, tt.env)
			x.file("data/bash-completion/completions/lazy",
				`_lazy() { local cur prev words cword; _init_completion -n : || return; COMPREPLY=($(compgen -W 'first second' -- "$cur")); }; complete -F _lazy lazy`)
			x.ready(append(tt.setup, "aws() { :; }; lazy() { :; }; complete -C aws_completer aws")...)
			x.completes(tt.keys, tt.line)
			x.alive()
		})
	}
}

// What it offers is listed when there is more than one.
func TestBashLists(t *testing.T) {
	t.Parallel()
	x := startBash(t, nil, ". ./completion", "complete -C aws_completer aws")
	x.completes("aws-runas org:\t", "aws-runas org:")
	x.shows("\ndev   prod\n")
	x.clear()
	x.completes("aws-runas prod aws s3 m\t", "aws-runas prod aws s3 m")
	x.shows("\nmb  mv\n")
}

// What bash 3.2 lacks, which is what macOS has.
func TestBashScriptIsOld(t *testing.T) {
	text, err := Script("bash", "/usr/bin/aws-runas", "runas")
	if err != nil {
		t.Fatal(err)
	}
	newer := regexp.MustCompile(`\b(mapfile|readarray|coproc|shopt -s globstar)\b|declare -[A-Za-z]*[Anglu]|local -[A-Za-z]*[Anglu-]|local -$|\$\{[^}]*(,,|\^\^|@[A-Za-z])\}|\[-[0-9]+\]|\$\{[^}]*: -[0-9]|printf -v|;;?&|\|&|&>>|\[\[ -v|\$EPOCH|\$BASHPID|wait -n|read -[a-zA-Z]*[Ni]\b|%\(.*\)T|\{[a-z]+\}[<>]|< <\(`)
	for i, line := range strings.Split(text, "\n") {
		if code, _, _ := strings.Cut(line, " # "); !strings.HasPrefix(line, "#") && newer.MatchString(code) {
			t.Errorf("line %d is for a younger bash: %s", i+1, line)
		}
		if strings.Contains(line, "compopt \"") && !strings.Contains(text, "if type compopt") {
			t.Error("compopt is not guarded")
		}
	}
	for _, bad := range []string{"mapfile -t x", "declare -A m", "local -n r", "${x,,}", "${x@Q}", "${a[-1]}", "printf -v x", ";;&", "a |& b", "[[ -v x ]]", "while read; done < <(a)"} {
		if !newer.MatchString(bad) {
			t.Errorf("%s passes for bash 3.2", bad)
		}
	}
}

func TestBashLint(t *testing.T) {
	need(t, "shellcheck")
	text, err := Script("bash", "/usr/bin/aws-runas", "runas")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("shellcheck", "--shell=bash", "--severity=style", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

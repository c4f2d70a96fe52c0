//go:build unix

package completions

import (
	"os"
	"os/exec"
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

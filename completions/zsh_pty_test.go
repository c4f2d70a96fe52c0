//go:build unix

package completions

import "testing"

func startZsh(t *testing.T, env []string, setup ...string) *screen {
	t.Helper()
	x := start(t, env, "zsh", "-f", "-i")
	x.script("zsh", "completion")
	x.ready(append([]string{"PS1='" + prompt + "' RPS1= PROMPT_EOL_MARK=; unsetopt beep prompt_sp; LISTMAX=1000"}, setup...)...)
	return x
}

const compinit = "autoload -Uz compinit; compinit -u -D"

func TestZsh(t *testing.T) {
	t.Parallel()
	x := startZsh(t, nil, compinit, ". ./completion",
		"autoload -Uz bashcompinit; bashcompinit; complete -C aws_completer aws",
		"_myfunc() { compadd one two three }; compdef _myfunc myfunc")
	for _, tt := range []struct{ keys, line string }{
		{"aws-runas de\t", "aws-runas dev "},
		{"runas de\t", "runas dev "},
		{"aws-runas key\tad\tde\t", "aws-runas keys add dev "},
		{"aws-runas --dur\t8h prod-\t", "aws-runas --duration 8h prod-eu "},
		{"aws-runas -O j\t", "aws-runas -O json "},
		{"aws-runas --region=us\t", "aws-runas --region=us-east-1 "},

		// names
		{"aws-runas org:p\t", "aws-runas org:prod "},
		{"aws-runas 'org:p\t", "aws-runas 'org:prod' "},
		{"aws-runas me@c\t", "aws-runas me@corp "},
		{"aws-runas a=\t", "aws-runas a=b "},
		{"aws-runas tea\t", `aws-runas team/dev\ role `},
		{"aws-runas team/dev\\ \t", `aws-runas team/dev\ role `},
		{"aws-runas 'tea\t", "aws-runas 'team/dev role' "},
		{"aws-runas \"tea\t", `aws-runas "team/dev role" `},
		{"aws-runas it\t", `aws-runas it\'s `},
		{"aws-runas \"it\t", `aws-runas "it's" `},
		{"aws-runas back\t", `aws-runas back\\slash `},
		{"aws-runas say\t", `aws-runas say\"hi\" `},
		{"aws-runas caf\t", "aws-runas café "},
		{"aws-runas 日\t", "aws-runas 日本 "},
		{"aws-runas 50\t", "aws-runas 50%off "},
		{"aws-runas cost\t", `aws-runas cost\$HOME `},
		{"aws-runas 'cost\t", `aws-runas 'cost$HOME' `},
		{"aws-runas tick\t", "aws-runas tick\\`s "},
		{"aws-runas x\t", `aws-runas x,y\{z\} `},
		{"aws-runas '[\t", `aws-runas '[1]*' `},
		{"aws-runas ün\t", `aws-runas ünï:cö\ de `},
		{"aws-runas '~\t", "aws-runas '~tilde' "},
		{"aws-runas keys rm caf\ttea\t", `aws-runas keys rm café team/dev\ role `},

		// what is wrapped
		{"aws-runas prod zzd\t", "aws-runas prod zzdeploy "},
		{"aws-runas prod -- zzd\t", "aws-runas prod -- zzdeploy "},
		{"aws-runas -- zzd\t", "aws-runas -- zzdeploy "},
		{"aws-runas prod aws st\t", "aws-runas prod aws sts "},
		{"aws-runas prod -- aws st\t", "aws-runas prod -- aws sts "},
		{"aws-runas -d 8h -E org:prod aws st\t", "aws-runas -d 8h -E org:prod aws sts "},
		{"aws-runas 'team/dev role' aws st\t", "aws-runas 'team/dev role' aws sts "},
		{"aws-runas -- aws st\t", "aws-runas -- aws sts "},
		{"runas prod aws st\t", "runas prod aws sts "},
		{"true; FOO=1 aws-runas prod aws st\t", "true; FOO=1 aws-runas prod aws sts "},
		{"aws-runas prod aws-runas dev aws st\t", "aws-runas prod aws-runas dev aws sts "},
		{"aws-runas prod cat ./inp\t", "aws-runas prod cat ./inputrc "},
		{"aws-runas keys import inp\t", "aws-runas keys import inputrc "},
		{"aws-runas env prod > inp\t", "aws-runas env prod > inputrc "},
		{"aws-runas prod myfunc on\t", "aws-runas prod myfunc one "},

		// nothing to say
		{"aws-runas -d \t", "aws-runas -d "},
		{"aws-runas env prod \t", "aws-runas env prod "},
		{"aws-runas zzz\t", "aws-runas zzz"},

		// nothing is run
		{"aws-runas \"$(touch ran)\" \t", `aws-runas "$(touch ran)" `},
		{"aws-runas -d $(touch ran) de\t", "aws-runas -d $(touch ran) dev "},
		{"aws-runas -d `touch ran` de\t", "aws-runas -d `touch ran` dev "},
		{"aws-runas prod aws $(touch ran) st\t", "aws-runas prod aws $(touch ran) sts "},
		{"aws-runas 'x;touch ran' '`touch ran`' de\t", "aws-runas 'x;touch ran' '`touch ran`' de"},
	} {
		x.completes(tt.keys, tt.line)
		x.clear()
	}
	x.absent("ran")
}

func TestZshNames(t *testing.T) {
	t.Parallel()
	x := startZsh(t, nil, compinit, ". ./completion")
	x.namesRoundTrip(nil)
}

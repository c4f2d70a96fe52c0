//go:build unix

package completions

import "testing"

func startZsh(t *testing.T, env []string, setup ...string) *screen {
	t.Helper()
	x := start(t, env, "zsh", "-f", "-i")
	x.script("zsh", "completion")
	x.ready(append([]string{"PS1='" + prompt + "' RPS1= PROMPT_EOL_MARK=; unsetopt beep prompt_sp; LISTMAX=100000"}, setup...)...)
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

func TestZshSurroundings(t *testing.T) {
	for name, tt := range map[string]struct {
		env   []string
		setup []string
		keys  string
		line  string
	}{
		"loaded twice, strict": {
			setup: []string{compinit, ". ./completion", "setopt err_return no_unset pipe_fail no_clobber", ". ./completion"},
			keys:  "aws-runas prod aws st\t", line: "aws-runas prod aws sts ",
		},
		"odd settings": {
			setup: []string{compinit, "setopt ksh_arrays sh_word_split no_extended_glob glob_subst rc_quotes; alias local=false command=false", "unalias local; . ./completion", "unalias command"},
			keys:  "aws-runas keys add tea\t", line: `aws-runas keys add team/dev\ role `,
		},
		"before compinit": {
			setup: []string{". ./completion", ". ./completion", compinit},
			keys:  "aws-runas org:p\tzzd\t", line: "aws-runas org:prod zzdeploy ",
		},
		"before compinit, strict": {
			setup: []string{"setopt no_unset err_return", ". ./completion", compinit},
			keys:  "aws-runas org:p\tzzd\t", line: "aws-runas org:prod zzdeploy ",
		},
		"fpath": {
			setup: []string{"mkdir site; cp completion site/_aws-runas; fpath=($PWD/site $fpath)", compinit},
			keys:  "aws-runas org:p\taws-runas de\t", line: "aws-runas org:prod aws-runas dev ",
		},
		"fpath, the function": {
			setup: []string{"mkdir site; cp completion site/_aws-runas; fpath=($PWD/site $fpath)", compinit},
			keys:  "runas org:p\trunas de\t", line: "runas org:prod runas dev ",
		},
		"AWS_PROFILE, command": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{compinit, ". ./completion"},
			keys: "aws-runas zzd\t", line: "aws-runas zzdeploy ",
		},
		"AWS_PROFILE, its argument": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{compinit, ". ./completion"},
			keys: "aws-runas -E aws st\t", line: "aws-runas -E aws sts ",
		},
		"AWS_PROFILE, another profile": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{compinit, ". ./completion"},
			keys: "aws-runas org:p\taws st\t", line: "aws-runas org:prod aws sts ",
		},
		"the user's own matching": {
			setup: []string{compinit, "zstyle ':completion:*' matcher-list '' 'm:{a-z}={A-Z} l:|=* r:|=*'", ". ./completion"},
			keys:  "aws-runas role\t", line: `aws-runas team/dev\ role `,
		},
		"in the middle of the line": {
			setup: []string{compinit, ". ./completion"},
			keys:  "aws-runas prod aws st tail\x1bb\x02\t", line: "aws-runas prod aws sts ⎸ tail",
		},
		"the program is gone": {
			setup: []string{compinit, "sed 's,/aws-runas.,/gone&,' completion >gone", ". ./gone"},
			keys:  "aws-runas de\t", line: "aws-runas de",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := startZsh(t, tt.env)
			x.ready(append(tt.setup, "aws() { :; }; (( $+functions[compdef] )) && autoload -Uz bashcompinit && bashcompinit && complete -C aws_completer aws")...)
			x.completes(tt.keys, tt.line)
			x.alive()
		})
	}
}

func TestZshLists(t *testing.T) {
	t.Parallel()
	x := startZsh(t, nil, compinit, ". ./completion")
	x.send("aws-runas pro\t\t")
	x.shows("\nprod     -- 111122223333 Admin\nprod-eu  -- 111122223333 Reader")
	x.clear()
	x.send("aws-runas --d\x08\t\t")
	x.shows("\n--duration    -- Lifetime of the session token, such as 8h\n")
	x.clear()
	x.send("aws-runas e\t\t")
	x.shows("\nexec  -- Run a command\nenv   -- Print credentials")
}

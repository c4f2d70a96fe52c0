//go:build unix

package completions

import "testing"

func startFish(t *testing.T, env []string, setup ...string) *screen {
	t.Helper()
	x := start(t, env, "fish", "--no-config", "-i")
	x.script("fish", "completion")
	x.ready(append([]string{"function fish_prompt; echo -n '" + prompt + "'; end; set fish_autosuggestion_enabled 0"}, setup...)...)
	return x
}

func TestFish(t *testing.T) {
	t.Parallel()
	x := startFish(t, nil, "source completion", "complete -c aws -f -a '(__aws_complete)'",
		"function __aws_complete; set -lx COMP_LINE (commandline -pc); aws_completer aws (commandline -ct); end",
		"complete -c myfunc -f -a 'one two three'")
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
		{"aws-runas 50\t", "aws-runas 50\\%off "},
		{"aws-runas cost\t", `aws-runas cost\$HOME `},
		{"aws-runas 'cost\t", `aws-runas 'cost$HOME' `},
		{"aws-runas tick\t", "aws-runas tick`s "},
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
		{"aws-runas prod aws $(touch ran) st\t", "aws-runas prod aws $(touch ran) sts "},
		{"aws-runas 'x;touch ran' '`touch ran`' de\t", "aws-runas 'x;touch ran' '`touch ran`' de"},
	} {
		x.completes(tt.keys, tt.line)
		x.clear()
	}
	x.absent("ran")
}

func TestFishNames(t *testing.T) {
	t.Parallel()
	x := startFish(t, nil, "source completion")
	x.namesRoundTrip(nil)
}

func TestFishSurroundings(t *testing.T) {
	for name, tt := range map[string]struct {
		env   []string
		setup []string
		keys  string
		line  string
	}{
		"loaded twice": {
			setup: []string{"source completion", "source completion"},
			keys:  "aws-runas prod zzd\t", line: "aws-runas prod zzdeploy ",
		},
		"a file of fish's own": {
			setup: []string{"mkdir -p own; cp completion own/aws-runas.fish; set -p fish_complete_path $PWD/own"},
			keys:  "aws-runas org:p\tzzd\t", line: "aws-runas org:prod zzdeploy ",
		},
		"AWS_PROFILE, command": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{"source completion"},
			keys: "aws-runas zzd\t", line: "aws-runas zzdeploy ",
		},
		"AWS_PROFILE, its argument": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{"source completion"},
			keys: "aws-runas -E myfunc tw\t", line: "aws-runas -E myfunc two ",
		},
		"AWS_PROFILE, another profile": {
			env: []string{"AWS_PROFILE=dev"}, setup: []string{"source completion"},
			keys: "aws-runas org:p\tmyfunc tw\t", line: "aws-runas org:prod myfunc two ",
		},
		"by a part of the name": {
			setup: []string{"source completion"},
			keys:  "aws-runas ole\t", line: `aws-runas team/dev\ role `,
		},
		"in the middle of the line": {
			setup: []string{"source completion"},
			keys:  "aws-runas prod myfunc tw tail\x1bb\x02\t", line: "aws-runas prod myfunc two ⎸tail",
		},
		"a wrapped name with blanks": {
			setup: []string{"source completion", "touch 'a  b'"},
			keys:  "aws-runas prod cat a\\ \t", line: `aws-runas prod cat a\ \ b `,
		},
		"the program is gone": {
			setup: []string{"sed 's,/aws-runas.,/gone&,' completion >gone", "source gone"},
			keys:  "aws-runas de\t", line: "aws-runas de",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := startFish(t, tt.env)
			x.ready(append(tt.setup, "function myfunc; end; complete -c myfunc -f -a 'one two three'")...)
			x.completes(tt.keys, tt.line)
			x.alive()
		})
	}
}

func TestFishLists(t *testing.T) {
	t.Parallel()
	x := startFish(t, nil, "source completion")
	x.send("aws-runas pro\t\t")
	x.shows("prod  (111122223333 Admin)  prod-eu  (111122223333 Reader)")
	x.clear()
	x.send("aws-runas --re\t\t")
	x.shows("--region  (AWS region)  --refresh  (Get new credentials even if there are some)")
}

package cmd

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aws-runas/completions"
	"aws-runas/shell"
)

type hookCmd struct {
	Shell    string `arg:"" complete:"hooked" help:"bash, zsh, fish or powershell."`
	Function string `placeholder:"NAME" help:"Name of the function that switches this shell. Default: runas, in PowerShell awsr."`
}

// Help is shown below the usage.
func (*hookCmd) Help() string {
	return `Put one line into the shell's start-up file:

  bash        eval "$(aws-runas hook bash)"
  zsh         eval "$(aws-runas hook zsh)"
  fish        aws-runas hook fish | source
  PowerShell  aws-runas hook powershell | Out-String | Invoke-Expression`
}

func (c *hookCmd) Run(a *app) error {
	d, exe, err := a.hooked(c.Shell)
	if err != nil {
		return err
	}
	function := c.Function
	if function == "" {
		function = d.DefaultFunction()
	}
	complete, err := completions.Script(string(d), exe, function)
	if err != nil {
		return usage("%w", err)
	}
	script, err := shell.Hook(d, shell.HookOptions{Exe: exe, Function: function, Completion: complete})
	if err != nil {
		return usage("%w", err).hint("%s", d.EvalLine("aws-runas hook "+string(d)))
	}
	_, err = io.WriteString(a.Out, script)
	return err
}

type completionCmd struct {
	Shell string `arg:"" complete:"hooked" help:"bash, zsh, fish or powershell."`
}

func (c *completionCmd) Run(a *app) error {
	d, exe, err := a.hooked(c.Shell)
	if err != nil {
		return err
	}
	if name := os.Args[0]; filepath.Base(name) == name {
		exe = name // found in PATH, as it will be by the lines that are completed
	}
	script, err := completions.Script(string(d), exe, "")
	if err != nil {
		return usage("%w", err)
	}
	_, err = io.WriteString(a.Out, script)
	return err
}

// hooked is the dialect of a shell that has a hook, and the program's path.
func (a *app) hooked(name string) (shell.Dialect, string, error) {
	d, err := shell.Parse(name)
	if err != nil {
		return "", "", usage("%w", err).hint("aws-runas hook bash")
	}
	if !slices.Contains(completions.Shells(), string(d)) {
		return "", "", usage("there is no hook for %q and nothing that completes: only for %s", name, strings.Join(completions.Shells(), ", ")).
			hint("%s", d.EvalLine("aws-runas env"))
	}
	exe, err := executable()
	return d, exe, err
}

// executable is the path of this program, which scripts have to call whatever
// PATH becomes. A symbolic link is kept: an upgrade changes where it leads.
func executable() (string, error) {
	if path := os.Args[0]; filepath.Base(path) != path {
		if abs, err := filepath.Abs(path); err == nil {
			return abs, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "", fail(exitFailure, "this program does not find itself: %w", err)
	}
	return path, nil
}

type promptCmd struct {
	Format string `default:"${promptformat}" help:"Text with the fields {profile}, {account}, {region}, {left}, {expired} and {depth}."`
}

func (c *promptCmd) Run(a *app) error {
	text, err := shell.ReadPrompt(func(name string) (string, bool) {
		v, ok := a.env.vars[envName(name)]
		return v, ok
	}).Format(c.Format, a.now())
	if err != nil {
		return usage("%w", err).hint("aws-runas prompt --format '%s'", shell.DefaultFormat)
	}
	if text == "" {
		return nil
	}
	_, err = io.WriteString(a.Out, text+"\n")
	return err
}

type shellCmd struct {
	Profile string `arg:"" optional:"" complete:"profile" help:"Profile or role ARN."`
	overrides
	request
}

// Help is shown below the usage.
func (*shellCmd) Help() string {
	return `Starts your own shell with the profile's credentials, which renew while you are in it. Leave it with exit.`
}

func (c *shellCmd) Run(a *app) error {
	name, err := a.profileName(c.Profile)
	if err != nil {
		return err
	}
	acc, err := a.open(name, &c.overrides, &c.request)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	creds, err := a.credentials(ctx, acc, &c.request)
	if err != nil {
		return err
	}
	stop()
	exe, err := executable()
	if err != nil {
		return err
	}
	sub, err := shell.NewSubshell(shell.SubshellOptions{
		Shell: a.userShell(), Exe: exe, TempDir: a.env.Get("TMPDIR"), Interactive: isTerminal(a.In),
		Lookup: func(name string) (string, bool) { v, ok := a.env.vars[envName(name)]; return v, ok },
	})
	if err != nil {
		return err
	}
	defer sub.Remove()
	if depth := sub.Set["AWSRUNAS_DEPTH"]; depth != "1" {
		a.say("this is shell %s in a shell of aws-runas; exit leaves it", depth)
	}
	if !sub.Hooked {
		// Nothing renews what is exported here, so the endpoint has to.
		config, err := a.config()
		if err != nil {
			return err
		}
		run, err := a.withEndpoint(acc, config, creds, &execCmd{overrides: c.overrides, request: c.request}, sub.Set)
		if err != nil {
			return err
		}
		return run(a, sub.Args)
	}
	change := a.exports(acc.profile, creds, acc.renewal)
	for k, v := range sub.Set {
		change.Set[k] = v
	}
	return replaceProcess(a, sub.Args, a.env.with(change.Set, change.Unset))
}

// userShell is the shell to start: the one that runs this program if it is
// known, else the one of the account.
func (a *app) userShell() string {
	if s := a.env.Get("SHELL"); s != "" {
		return s
	}
	switch d := shell.Detect(a.env.Lookup); d {
	case shell.PowerShell:
		return "powershell"
	case shell.Cmd:
		return "cmd"
	}
	return "/bin/sh"
}

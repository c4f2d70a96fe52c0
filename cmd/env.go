package cmd

import (
	"io"
	"strings"

	"aws-runas/session/profile"
	"aws-runas/shell"
)

type envCmd struct {
	Profile string `arg:"" optional:"" complete:"profile" help:"Profile or role ARN; off takes back what was exported."`
	Shell   string `placeholder:"SHELL" complete:"shell" help:"Shell to print for: ${dialects}. Default: the one that runs this."`
	Output  string `short:"O" placeholder:"FORMAT" complete:"output" help:"env, json (credential_process) or dotenv. ($$RUNAS_OUTPUT_FORMAT)"`
	Unset   bool   `help:"Take back what was exported."`
	Explain bool   `help:"Say where each setting comes from."`
	forHook
	overrides
	request
}

// forHook is what the hook asks for at a prompt; [shell.Hook] has the protocol.
type forHook struct {
	Renew    bool   `hidden:""`
	Enter    string `hidden:""`
	Leave    bool   `hidden:""`
	Function string `hidden:""`
	Told     int    `hidden:""`
}

func (c *envCmd) Run(a *app) error {
	if c.Unset || c.Profile == "off" || c.forHook != (forHook{}) {
		dialect, err := a.dialect(c.Shell)
		switch {
		case err != nil:
			return err
		case c.Renew:
			return a.renew(dialect, c.Told)
		case c.Enter != "":
			return a.enter(dialect, c.Enter)
		case c.Leave:
			return a.leave(dialect)
		}
		return a.print(dialect, a.removal())
	}
	if _, err := a.format(c.Output, c.Profile); err != nil {
		return err
	}
	name, err := a.profileName(c.Profile)
	if err != nil {
		return err
	}
	return a.printCredentials(name, c)
}

// printCredentials is what env and a profile without a command do.
func (a *app) printCredentials(name string, c *envCmd) error {
	format, err := a.format(c.Output, name)
	if err != nil {
		return err
	}
	// A shell that does not exist is said before anybody is asked for a code.
	dialect, err := a.dialect(c.Shell)
	if err != nil {
		return err
	}
	acc, err := a.open(name, &c.overrides, &c.request)
	if err != nil {
		return err
	}
	if c.Explain {
		a.explain(acc.profile)
	}
	ctx, stop := interruptible()
	defer stop()
	creds, err := a.credentials(ctx, acc, &c.request)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		_, err = io.WriteString(a.Out, processJSON(creds))
		return err
	case "dotenv":
		text, err := shell.Dotenv(a.plainVariables(acc.profile, creds))
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.Out, text)
		return err
	}
	if err := a.print(dialect, a.exports(acc.profile, creds, acc.renewal)); err != nil {
		return err
	}
	if isTerminal(a.Out) {
		a.say("this shell is unchanged; to change it, type")
		a.tell("hint: %s", dialect.EvalLine(a.envLine()))
	}
	return nil
}

func (a *app) print(dialect shell.Dialect, change shell.Change) error {
	text, err := dialect.Render(change)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.Out, text)
	return err
}

// dialect is the one named, or that of the shell which runs this program.
func (a *app) dialect(name string) (shell.Dialect, error) {
	if name == "" {
		return shell.Detect(a.env.Lookup), nil
	}
	d, err := shell.Parse(name)
	if err != nil {
		return "", usage("%w", err).hint("%s", a.retyped("shell", ""))
	}
	return d, nil
}

// format is the output format asked for. Where no profile was typed, the word
// that is none may have been meant as one.
func (a *app) format(flag, typed string) (string, error) {
	from := "-O"
	if flag == "" {
		flag, from = a.env.Get("RUNAS_OUTPUT_FORMAT"), "RUNAS_OUTPUT_FORMAT"
	}
	switch f := strings.ToLower(flag); f {
	case "", "env":
		return "env", nil
	case "json", "dotenv":
		return f, nil
	}
	err := usage("%s is %q, which is no output format: env, json, dotenv", from, flag)
	if from != "-O" {
		return "", err.hint("export %s=json", from)
	}
	line := a.retyped("output", "json")
	if config, bad := a.config(); bad == nil && typed == "" && config.Has(flag) {
		line += " " + word(flag)
	}
	return "", err.hint("%s", line)
}

// explain says on stderr where each setting of p comes from.
func (a *app) explain(p *profile.Profile) {
	width := 0
	list := p.Settings()
	for _, s := range list {
		width = max(width, len(s.Name)+len(s.Value))
	}
	for _, s := range list {
		a.tell("%s = %s%s  %s", s.Name, s.Value, strings.Repeat(" ", width-len(s.Name)-len(s.Value)), s.Origin)
	}
}

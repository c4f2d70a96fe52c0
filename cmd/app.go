// Package cmd is the program aws-runas: its grammar (this file), one file for
// each command, and the wiring between the parts.
//
// Data flows one way: the line ([readLine]) names a profile, [profile.Config]
// resolves it, [chain.For] picks the way in, the provider consults the keyring
// or asks AWS, and the command prints, serves or runs.
package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"aws-runas/keychain"
	"aws-runas/shell"

	"github.com/alecthomas/kong"
)

// Version is set when the program is linked.
var Version = "dev"

const about = `Short-lived AWS credentials where work happens.

  aws-runas [flags] PROFILE|ROLE-ARN [--] [COMMAND [ARGS...]]

  eval "$$(aws-runas env prod)"     this shell has prod's credentials
  aws-runas prod aws s3 ls         one command has them, renewed while it runs
  aws-runas prod                   prints them, as env does
  eval "$$(aws-runas hook bash)"    in ~/.bashrc: runas prod, always fresh`

// grammar is the whole command line. It is a function, because kong looks at
// all that it is given: a run registers the one command that it means.
func grammar() []command {
	return []command{
		{name: "exec", help: "Run a command with a profile's credentials (the default).", target: &execCmd{}},
		{name: "env", help: "Print a profile's credentials for a shell to evaluate.", target: &envCmd{}},
		{name: "shell", help: "Start your shell with a profile's credentials.", target: &shellCmd{}},
		{name: "hook", help: "Print what a shell's start-up file has to evaluate.", target: &hookCmd{}},
		{name: "completion", help: "Print the completions for a shell; the hook has them.", target: &completionCmd{}},
		{name: "prompt", help: "Print what a prompt says of this shell's credentials.", target: &promptCmd{}},
		{name: "login", help: "Sign in, so that later runs need nobody.", target: &loginCmd{}},
		{name: "whoami", help: "Show who a profile is and how long it lasts.", target: &whoamiCmd{}},
		{name: "logout", help: "Forget a profile's sessions.", target: &logoutCmd{}},
		{name: "list", help: "List profiles, roles, or the keys in the keyring.", target: &listCmd{}},
		{name: "keys", help: "Put long-term access keys into the keyring, or remove them.", target: &keysCmd{}},
		{name: "serve", help: "Serve credentials to SDKs that know only a metadata endpoint.", target: &serveCmd{}},
		{name: "password", help: "Keep the password for an identity provider in the keyring.", target: &passwordCmd{}},
		{name: "version", help: "Print the version.", target: &versionCmd{}},
		{name: "__complete", target: &completeCmd{}, hidden: true},
		{name: "__switch", target: &switchCmd{}, hidden: true},
	}
}

func commandNames() []string {
	var names []string
	for _, c := range grammar() {
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	return names
}

type command struct {
	name, help string
	target     any
	hidden     bool // for the scripts that this program prints
}

// globals are the flags of every command.
type globals struct {
	Verbose int         `short:"v" type:"counter" help:"Say what is being done. Twice: say more."`
	Version versionFlag `short:"V" help:"Print the version."`
	Help    helpFlag    `short:"h" help:"Show help."`
	NoInput bool        `help:"Never ask anything: exit 3 instead. ($$AWSRUNAS_NO_INPUT)"`
	Keyring string      `placeholder:"NAME" complete:"keyring" help:"Where secrets are kept: ${keyrings}. ($$AWSRUNAS_KEYRING)"`
}

// overrides are the flags of every command that takes a PROFILE. Package
// profile reads the variables named in the help.
type overrides struct {
	Duration      string `short:"d" group:"overrides" placeholder:"TIME" help:"Lifetime of the session token, such as 8h. ($$SESSION_TOKEN_DURATION)" attr:"session_token_duration"`
	RoleDuration  string `short:"a" group:"overrides" placeholder:"TIME" help:"Lifetime of role credentials. ($$CREDENTIALS_DURATION)" attr:"credentials_duration"`
	OTP           string `short:"o" name:"otp" group:"overrides" placeholder:"CODE" help:"MFA code. ($$MFA_CODE)"`
	MFASerial     string `short:"M" name:"mfa-serial" group:"overrides" placeholder:"ARN" complete:"mfa" help:"MFA device. ($$MFA_SERIAL)" attr:"mfa_serial"`
	MFAType       string `short:"t" name:"mfa-type" group:"overrides" placeholder:"TYPE" complete:"mfatype" help:"At a provider: auto, code, push, none. ($$MFA_TYPE)" attr:"mfa_type"`
	ExternalID    string `short:"X" name:"external-id" group:"overrides" placeholder:"ID" help:"External ID of the role. ($$EXTERNAL_ID)" attr:"external_id"`
	JumpRole      string `short:"J" group:"overrides" placeholder:"ARN" complete:"role" help:"Role to pass through on the way. ($$JUMP_ROLE_ARN)" attr:"jump_role_arn"`
	SAMLURL       string `short:"S" name:"saml-url" group:"overrides" placeholder:"URL" help:"SAML sign-in address. ($$SAML_AUTH_URL)" attr:"saml_auth_url"`
	SAMLEntityID  string `short:"I" name:"saml-entityid" group:"overrides" placeholder:"ID" help:"SAML entity ID. ($$SAML_ENTITY_ID)" attr:"saml_auth_entityid"`
	WebURL        string `short:"W" name:"web-url" group:"overrides" placeholder:"URL" help:"OIDC sign-in address. ($$WEB_AUTH_URL)" attr:"web_identity_auth_url"`
	WebRedirect   string `short:"T" group:"overrides" placeholder:"URI" help:"OIDC redirect URI. ($$WEB_REDIRECT_URI)" attr:"web_identity_redirect_uri"`
	WebClient     string `short:"C" group:"overrides" placeholder:"ID" help:"OIDC client ID. ($$WEB_CLIENT_ID)" attr:"web_identity_client_id"`
	Username      string `short:"U" group:"overrides" placeholder:"NAME" help:"User at the identity provider. ($$RUNAS_USERNAME)" attr:"saml_username web_identity_username"`
	PasswordStdin bool   `group:"overrides" help:"Password from stdin, its first line. ($$RUNAS_PASSWORD)"`
	Provider      string `short:"R" group:"overrides" placeholder:"NAME" complete:"provider" help:"Kind of identity provider. ($$RUNAS_PROVIDER)" attr:"saml_provider web_identity_provider"`
	Region        string `group:"overrides" placeholder:"REGION" complete:"region" help:"AWS region. ($$AWS_REGION)" attr:"region"`
}

// request says how credentials are asked for and what is said about them.
type request struct {
	Session    bool `short:"s" help:"The session token's credentials, without the role. ($$RUNAS_SESSION_CREDENTIALS)"`
	Refresh    bool `short:"r" help:"Get new credentials even if there are some."`
	Expiration bool `short:"e" help:"Say when they expire."`
	Whoami     bool `short:"w" help:"Say who they are for."`
	Write      bool `short:"c" name:"write-credentials" help:"Write them to the credentials file, too, in plain text. ($$RUNAS_WRITE_CREDENTIALS)"`
}

// Streams are the standard streams of the process.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs the program and returns its exit code. It uses nothing of the
// process but what it is given, save where a child process inherits it: what no
// child may have it takes out of the process's environment.
func Main(args, env []string, s Streams) int { return newApp(env, s).main(args) }

func (a *app) main(args []string) int {
	for _, name := range privateVars {
		os.Unsetenv(name) // a library may start a child, such as a browser, with all that there is
	}
	err := a.run(args)
	if errors.Is(err, errDone) {
		return exitOK
	}
	var told exitCode
	code := a.report(err)
	if a.wraps && code != exitOK && code < exitSignal && !errors.As(err, &told) {
		// The command's own status would not be told from ours.
		return exitNotStarted
	}
	return code
}

// errDone ends a run whose flag, --help or --version, did all the work.
var errDone = errors.New("done")

func (a *app) run(args []string) error {
	a.args = args
	line := readLine(args)
	if line.command == "" && len(line.args) == 0 {
		io.WriteString(a.Err, brief)
		return exitCode(exitUsage)
	}
	a.wraps = line.wraps
	var root struct{ globals }
	parser, err := a.parser(&root, line.command)
	if err != nil {
		return err
	}
	ctx, err := parser.Parse(line.args)
	if err != nil {
		if errors.Is(err, errDone) {
			return errDone
		}
		if own := (*failure)(nil); errors.As(err, &own) {
			return own
		}
		return a.misread(err, line)
	}
	a.globals = root.globals
	if a.NoInput, err = a.boolVar(a.NoInput, noInputVar); err != nil {
		return err
	}
	return ctx.Run(a)
}

// everyCommand is what --help alone is about.
const everyCommand = "*"

// parser knows the one command that the line names.
func (a *app) parser(root any, name string) (*kong.Kong, error) {
	var known []command
	for _, c := range grammar() {
		if name == c.name || name == everyCommand {
			known = append(known, c)
		}
	}
	return a.parserOf(root, known...)
}

func (a *app) parserOf(root any, known ...command) (*kong.Kong, error) {
	options := []kong.Option{
		kong.Name("aws-runas"), kong.Description(about),
		kong.NoDefaultHelp(), kong.Writers(a.Out, a.Err), kong.Exit(func(int) {}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{{Key: "overrides", Title: "Profile overrides:"}}),
		kong.Vars{
			"keyrings":     strings.Join(keychain.Backends(), ", "),
			"dialects":     strings.Join(shell.Dialects(), ", "),
			"promptformat": shell.DefaultFormat,
		},
		kong.KindMapper(reflect.String, kong.MapperFunc(verbatim)),
		kong.Bind(a),
	}
	for _, c := range known {
		var tags []string
		if c.hidden {
			tags = append(tags, `hidden:""`)
		}
		options = append(options, kong.DynamicCommand(c.name, c.help, "", c.target, tags...))
	}
	return kong.New(root, options...)
}

// verbatim takes a word as it was typed. Kong's own mapper goes by way of JSON,
// which replaces every byte that is not UTF-8: those of a file's name, say.
func verbatim(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Pop()
	text, ok := token.Value.(string)
	if !ok || !token.IsValue() {
		return errors.New("a value is missing")
	}
	target.SetString(text)
	return nil
}

type helpFlag bool

// BeforeReset prints the help before anything is missed that the line lacks. The
// overrides, of which there are many, are explained by exec alone, so that every
// other help fits a screen.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	more := "aws-runas COMMAND --help has more; the flags of exec need no exec before them."
	if command := ctx.Selected(); command != nil {
		more = ""
		for _, f := range command.Flags {
			if f.Group != nil && f.Group.Key == "overrides" && command.Name != "exec" {
				f.Hidden = true
				more += " --" + f.Name
			}
		}
		if more != "" {
			more = "Profile overrides (aws-runas exec --help explains them):\n" + wrap(more, 78)
		}
	}
	err := ctx.PrintUsage(false)
	if err == nil && more != "" {
		_, err = fmt.Fprintln(ctx.Stdout, "\n"+more)
	}
	if err != nil {
		return fail(exitFailure, "%w", err) // which is not about the line
	}
	return errDone
}

// wrap breaks words into indented lines of at most a width.
func wrap(words string, width int) string {
	var b strings.Builder
	at := width
	for _, w := range strings.Fields(words) {
		if at+1+len(w) > width {
			b.WriteString("\n ")
			at = 1
		}
		b.WriteString(" " + w)
		at += 1 + len(w)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

type versionFlag bool

// BeforeReset does what the command version does.
func (versionFlag) BeforeReset(a *app) error {
	if err := (&versionCmd{}).Run(a); err != nil {
		return fail(exitFailure, "%w", err)
	}
	return errDone
}

const brief = `usage: aws-runas [flags] PROFILE|ROLE-ARN [--] [COMMAND [ARGS...]]

  eval "$(aws-runas env prod)"     this shell has prod's credentials
  aws-runas prod aws s3 ls         one command has them, renewed while it runs
  aws-runas whoami prod            who that is, and for how long
  aws-runas list profiles          what there is to choose from
  aws-runas keys add NAME          put access keys into the keyring

aws-runas --help shows every command, aws-runas COMMAND --help its flags
`

package shell

import (
	"embed"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

//go:embed hooks/hook.bash hooks/hook.zsh hooks/hook.fish hooks/hook.ps1
var hooks embed.FS

// NoSwitch is the exit status by which the program tells the function that its
// arguments are no switch of profile, but a line to run as it is.
const NoSwitch = 10

// HookOptions are what differs between one printed hook and another.
type HookOptions struct {
	Exe        string // absolute path of the program
	Function   string // name of the function that switches; empty means DefaultFunction
	Completion string // script to append, such as the completions for the program and the function
}

// DefaultFunction is the name of the function that switches the shell. Windows
// has a program runas, so PowerShell's differs.
func (d Dialect) DefaultFunction() string {
	if d == PowerShell {
		return "awsr"
	}
	return "runas"
}

// Hook returns the script that a start-up file of an interactive shell
// evaluates. It defines the function that switches the shell's profile, and at
// each prompt keeps what was exported fresh, or removes it once it has expired.
// Bash (from 3.2), Zsh, Fish and PowerShell (from 5.1) have one.
//
// The script calls the program in these ways. What it evaluates is standard
// output, and only after exit status 0; standard error reaches the terminal.
//
//	__switch SHELL FUNCTION [ARGS...]
//
// tells what ARGS, typed after the function's name, mean. A line that switches
// (flags and at most a profile or a role ARN; "-" for the request in
// AWSRUNAS_PREVIOUS; "off"; nothing at all, for the picker) is carried out as
// env would, and answered by the change, which also sets AWSRUNAS_PREVIOUS to
// the AWSRUNAS_RENEW that it replaces and removes AWSRUNAS_BEFORE; one line on
// standard error says what the shell has now. Any other line is answered by
// status [NoSwitch] and silence, and the function runs "EXE ARGS...".
//
//	env --renew --no-input --shell SHELL --function FUNCTION --told CODE
//
// repeats the request in AWSRUNAS_RENEW and prints the new exports, or nothing
// if those at hand will do. It asks nobody, ends within 3 s, and leaves
// AWSRUNAS_PREVIOUS and AWSRUNAS_BEFORE alone. Where it fails with status CODE,
// that of the failure that was told last (0 for none), it says nothing; else
// one line and, where that helps, the line to type, as where a person is
// needed (status 3).
//
//	env --enter=NAME --no-input --shell SHELL --function FUNCTION
//	env --leave --no-input --shell SHELL --function FUNCTION
//
// enter and leave the profile of a folder, under the same limits as --renew.
// NAME is untrusted text from a file: anything but the name of a configured
// profile is an error. --enter keeps in AWSRUNAS_BEFORE what it pushes aside,
// unless a folder's profile was entered before: the request in AWSRUNAS_RENEW,
// and variables without secrets that are not ours, such as AWS_PROFILE and
// AWS_REGION. --leave brings that back; what cannot be had without a person
// is left out, and the line to type said.
//
//	env --unset --shell SHELL
//
// takes back what was exported.
func Hook(d Dialect, o HookOptions) (string, error) {
	file := map[Dialect]string{Bash: "hook.bash", Zsh: "hook.zsh", Fish: "hook.fish", PowerShell: "hook.ps1"}[d]
	if file == "" {
		return "", fmt.Errorf("no hook for shell %q: there is one for bash, zsh, fish and powershell", string(d))
	}
	function := o.Function
	if function == "" {
		function = d.DefaultFunction()
	}
	if !isFunction(function) {
		return "", fmt.Errorf("%q is not a function name: letters, digits, \"_\" and \"-\", a letter first", function)
	}
	exe := o.Exe
	if runtime.GOOS == "windows" && d != PowerShell {
		exe = strings.ReplaceAll(exe, `\`, "/") // as the shells of MSYS and Cygwin show paths
	}
	if exe == "" {
		return "", fmt.Errorf("the program's path is empty")
	}
	if err := d.check(exe); err != nil {
		return "", fmt.Errorf("path %q: %s cannot carry %w", exe, d, err)
	}
	script, err := hooks.ReadFile("hooks/" + file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	_, err = strings.NewReplacer("@EXE@", d.literal(exe), "@FUNCTION@", function, "@NOSWITCH@", strconv.Itoa(NoSwitch)).WriteString(&b, string(script))
	if err != nil {
		return "", err
	}
	if o.Completion != "" {
		b.WriteString(o.Completion)
		if !strings.HasSuffix(o.Completion, "\n") {
			b.WriteByte('\n')
		}
		if d == Bash || d == Zsh {
			b.WriteString(":\n") // the status of eval, under set -e
		}
	}
	return b.String(), nil
}

// isFunction reports whether every shell takes name as a function's.
func isFunction(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && (c == '_' || c == '-' || '0' <= c && c <= '9'):
		default:
			return false
		}
	}
	return name != ""
}

package shell

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// SubshellOptions say which shell to start and how.
type SubshellOptions struct {
	Shell       string                                    // the user's shell, as SHELL names it: a path, or a name to look up in PATH
	Exe         string                                    // absolute path of the program
	Function    string                                    // as in HookOptions
	TempDir     string                                    // folder for start-up files; empty means os.TempDir()
	Lookup      func(name string) (value string, ok bool) // the environment that the shell gets
	Interactive bool                                      // whether a person sits at it: standard input is a terminal
}

// Subshell is a shell that is ready to be started, best by replacing this
// process, so that its status, signals and job control are its own.
type Subshell struct {
	Args []string          // the program first, as SubshellOptions.Shell has it
	Set  map[string]string // variables it needs beside those it inherits

	// Hooked says that the hook keeps the credentials fresh. Otherwise what is
	// exported now is all it will have.
	Hooked bool

	files string // what the shell deletes as it starts
}

// NewSubshell prepares the user's shell so that it reads its own start-up
// files, as ever, and then loads the hook, unless these have.
//
// bash, zsh, fish and PowerShell are hooked; any other shell, or one that no
// person sits at, is started plainly. AWSRUNAS_DEPTH counts the shells that
// are inside each other.
//
// Bash gets a start-up file and zsh a folder of such (in TempDir, 0600 and
// 0700), which the shell deletes before it reads the user's own. Where it is
// not started after all, Remove does.
func NewSubshell(o SubshellOptions) (*Subshell, error) {
	if o.Shell == "" {
		return nil, errors.New("no shell is named")
	}
	s := &Subshell{Args: []string{o.Shell}, Set: map[string]string{"AWSRUNAS_DEPTH": strconv.Itoa(depth(o.Lookup) + 1)}}
	d, err := Parse(o.Shell)
	if err != nil || !o.Interactive || d != Bash && d != Zsh && d != Fish && d != PowerShell {
		return s, nil
	}
	load, err := loadLine(d, o.Exe, o.Function)
	if err != nil {
		return nil, err
	}
	s.Hooked = true
	switch d {
	case Bash:
		err = s.bash(o.TempDir, load)
	case Zsh:
		err = s.zsh(o.TempDir, load, o.Lookup)
	case Fish: // runs it after config.fish
		s.Args = append(s.Args, "--interactive", "--init-command", "functions -q __awsrunas_show; or "+load)
	case PowerShell: // runs it after the profile
		s.Args = append(s.Args, "-NoLogo", "-NoExit", "-Command",
			"if (-not (Get-Variable -Name __AwsRunasPrompt -Scope Global -ErrorAction Ignore)) { "+load+" }")
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// loadLine is the line that loads the hook.
func loadLine(d Dialect, exe, function string) (string, error) {
	if exe == "" {
		return "", errors.New("the program's path is empty")
	}
	if err := d.check(exe); err != nil {
		return "", fmt.Errorf("path %q: %s cannot carry %w", exe, d, err)
	}
	command := d.literal(exe) + " hook " + string(d)
	if d == PowerShell {
		command = "& " + command
	}
	if function != "" {
		if !isFunction(function) {
			return "", fmt.Errorf("%q is not a function name", function)
		}
		command += " --function " + function
	}
	return d.EvalLine(command), nil
}

// bash reads all of a start-up file before it runs the first line. It reads
// the system's one, where it has such, as without --rcfile. On macOS terminals
// start login shells, so that many have no ~/.bashrc.
func (s *Subshell) bash(dir, load string) error {
	f, err := os.CreateTemp(dir, "aws-runas-shell-") // 0600
	if err != nil {
		return err
	}
	s.files = f.Name()
	s.Args = append(s.Args, "--rcfile", s.files, "-i")
	_, err = f.WriteString("command rm -f -- " + Bash.literal(s.files) + `
if [ -f ~/.bashrc ]; then
  . ~/.bashrc
elif [[ $OSTYPE == darwin* ]]; then
  if [ -f ~/.bash_profile ]; then
    . ~/.bash_profile
  elif [ -f ~/.bash_login ]; then
    . ~/.bash_login
  elif [ -f ~/.profile ]; then
    . ~/.profile
  fi
fi
declare -F __awsrunas_hook >/dev/null || ` + load + "\n")
	return errors.Join(err, f.Close())
}

// zsh finds the user's start-up files by ZDOTDIR, so the first that it reads,
// .zshenv, is ours: it puts ZDOTDIR back as it was, and leaves a function that
// loads the hook at the first prompt, when all the others have been read.
func (s *Subshell) zsh(dir, load string, lookup func(string) (string, bool)) error {
	dir, err := os.MkdirTemp(dir, "aws-runas-shell-") // 0700
	if err != nil {
		return err
	}
	s.files = dir
	s.Set["ZDOTDIR"] = dir
	s.Args = append(s.Args, "-i")
	restore := "unset ZDOTDIR"
	if own, ok := lookup("ZDOTDIR"); ok {
		restore = "export ZDOTDIR=" + Zsh.literal(own)
	}
	text := "command rm -rf -- " + Zsh.literal(dir) + "\n" + restore + `
if [[ -r ${ZDOTDIR-$HOME}/.zshenv ]]; then
  source ${ZDOTDIR-$HOME}/.zshenv
fi
typeset -ga precmd_functions
precmd_functions+=(__awsrunas_start)
function __awsrunas_start {
  precmd_functions=(${precmd_functions:#__awsrunas_start})
  if (( ! ${+functions[__awsrunas_precmd]} )); then
    ` + load + `
    __awsrunas_precmd
    __awsrunas_draw
  fi
  unfunction __awsrunas_start
}
`
	return os.WriteFile(filepath.Join(dir, ".zshenv"), []byte(text), 0o600)
}

// Remove deletes the start-up files of a shell that was not started. It may be
// called in any case.
func (s *Subshell) Remove() error {
	if s.files == "" {
		return nil
	}
	return os.RemoveAll(s.files)
}

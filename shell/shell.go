// Package shell speaks the shells' languages: it quotes words, renders
// variables to set and to remove so that a shell can evaluate them, and finds
// out which shell asks.
package shell

import (
	"fmt"
	"strings"
)

// Dialect is a shell language by the name that --shell takes.
type Dialect string

const (
	Bash       Dialect = "bash"
	Zsh        Dialect = "zsh"
	Fish       Dialect = "fish"
	PowerShell Dialect = "powershell" // Windows PowerShell 5.1 and pwsh 7
	POSIX      Dialect = "posix"      // sh, dash, ksh, mksh, busybox ash
	Tcsh       Dialect = "tcsh"
	Cmd        Dialect = "cmd" // cmd.exe
)

// Dialects returns the names that Parse accepts without an alias.
func Dialects() []string {
	return []string{"bash", "zsh", "fish", "powershell", "posix", "tcsh", "cmd"}
}

// Parse reads a shell's name as people and processes spell it: a dialect, an
// alias (sh, dash, ksh, pwsh, csh, ...), a path, a login shell's "-zsh", a
// name with a version ("ksh93", "zsh-5.9") or with ".exe".
func Parse(name string) (Dialect, error) {
	base := strings.ToLower(name[strings.LastIndexAny(name, `/\`)+1:])
	base = strings.TrimSuffix(strings.TrimPrefix(base, "-"), ".exe")
	base = strings.TrimRight(base, "0123456789.-")
	switch base {
	case "bash", "rbash":
		return Bash, nil
	case "zsh", "rzsh":
		return Zsh, nil
	case "fish":
		return Fish, nil
	case "powershell", "pwsh", "pwsh-preview":
		return PowerShell, nil
	case "posix", "sh", "dash", "ash", "ksh", "rksh", "mksh", "lksh", "pdksh", "oksh", "loksh":
		return POSIX, nil
	case "tcsh", "csh":
		return Tcsh, nil
	case "cmd":
		return Cmd, nil
	}
	return "", fmt.Errorf("unknown shell %q: known are %s", name, strings.Join(Dialects(), ", "))
}

// EvalLine returns the line to type, or to put in a start-up file, so that the
// running shell evaluates what command prints. The words of command are plain,
// or quoted by Quote. For cmd it is the interactive form; in a batch file both
// %i are written %%i.
func (d Dialect) EvalLine(command string) string {
	switch d {
	case Fish:
		return command + " | source"
	case PowerShell:
		return command + " | Out-String | Invoke-Expression"
	case Tcsh:
		// Without the double quotes what is printed would be globbed; what is
		// special between them steps outside.
		return "eval \"`" + strings.NewReplacer("$", `"'$'"`, `"`, `"'"'"`, "`", "\"'`'\"").Replace(command) + "`\""
	case Cmd:
		return `for /f "delims=" %i in ('` + command + `') do @%i`
	}
	return `eval "$(` + command + `)"`
}

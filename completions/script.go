package completions

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed scripts
var scripts embed.FS

// Shells are the names that [Script] takes.
func Shells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

func unknownShell(name string) error {
	return fmt.Errorf("no completions for the shell %q: there are some for %s", name, strings.Join(Shells(), ", "))
}

// Script returns the text that a shell evaluates, or keeps in a file of its
// completions, so that lines of aws-runas are completed by the program exe: an
// absolute path, or a name to be found in PATH. function names a shell function
// that takes the same words; empty means none.
//
// For zsh the text is also a file _aws-runas for a folder of fpath.
func Script(shell, exe, function string) (string, error) {
	var quoted string
	switch shell {
	case "bash", "zsh":
		quoted = "'" + strings.ReplaceAll(exe, "'", `'\''`) + "'"
	case "fish":
		quoted = "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(exe) + "'"
	case "powershell":
		quoted = "'" + doubled(exe) + "'"
	default:
		return "", unknownShell(shell)
	}
	if exe == "" || strings.ContainsAny(exe, "\x00\r\n") {
		return "", fmt.Errorf("%q is no path of a program", exe)
	}
	if !isName(function) {
		return "", fmt.Errorf("%q is no name for a shell function: letters, digits, _ and -", function)
	}
	text, err := scripts.ReadFile("scripts/" + shell)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("'@exe@'", quoted, " @function@", prefixed(shell, function)).Replace(string(text)), nil
}

// prefixed is the function's name as one more in a list of commands.
func prefixed(shell, function string) string {
	switch {
	case function == "":
		return ""
	case shell == "powershell":
		return ", '" + function + "'"
	}
	return " " + function
}

// isName reports whether every shell takes s for a function's name as it
// stands. Nothing is as good as a name.
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return true
}

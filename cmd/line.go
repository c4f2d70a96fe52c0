package cmd

import (
	"slices"
	"strings"
)

// line is what was typed, read into the form that kong is given.
type line struct {
	command string   // a name of the grammar, everyCommand, or empty for --version
	args    []string // the command, the flags that stood before it, the rest
	wraps   bool     // there is more than a profile for exec: a command to run
}

// readLine finds the command and puts its name first, so that flags may stand
// before or behind it:
//
//	-d 8h env prod      env -d 8h prod
//	-E prod make        exec -E prod make
//	-- make             exec -- make
//	keys add prod       keys add prod
func readLine(args []string) line {
	i := firstWord(args)
	if i == len(args) {
		// Flags alone. They are those of exec, but for --help and --version.
		for _, a := range args {
			switch a {
			case "-h", "--help":
				return line{command: everyCommand, args: args}
			case "-V", "--version":
				return line{args: args}
			}
		}
		if len(args) == 0 {
			return line{}
		}
		return line{command: "exec", args: append([]string{"exec"}, args...)}
	}
	flags, rest := args[:i:i], args[i:]
	name := "exec"
	if isCommand(rest[0]) {
		name, rest = rest[0], rest[1:]
	}
	wraps := false
	if name == "exec" {
		// From the profile on, everything belongs to the wrapped command. This
		// "--" is for kong; one that was typed stays behind it.
		i := firstWord(rest)
		flags = append(flags, rest[:i]...)
		wraps = len(rest[i:]) > 1
		rest = append([]string{"--"}, rest[i:]...)
	} else if strings.HasPrefix(name, "__") {
		rest = append([]string{"--"}, rest...) // words of another line
	}
	return line{name, append(append([]string{name}, flags...), rest...), wraps}
}

// firstWord is the index of the first argument that is neither a flag nor a
// flag's value: a word, or "--". It is len(args) when there is none.
func firstWord(args []string) int {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" || len(a) < 2 || a[0] != '-' {
			return i
		}
		if takesValue(a) {
			i++
		}
	}
	return len(args)
}

// The flags whose value may be the next argument. A test holds them against
// the grammar.
const valueLetters = "daoMtXJSIWTCUROp"

var valueNames = [...]string{
	"duration", "role-duration", "otp", "mfa-serial", "mfa-type", "external-id", "jump-role",
	"saml-url", "saml-entityid", "web-url", "web-redirect", "web-client", "username", "provider",
	"region", "output", "shell", "keyring", "function", "format", "enter", "told", "port", "allow-from", "sso-session",
}

func takesValue(flag string) bool {
	if name, long := strings.CutPrefix(flag, "--"); long {
		for _, v := range valueNames {
			if name == v {
				return true
			}
		}
		return false
	}
	// Letters may be bundled, and the rest of the word may be the value: in
	// -rd 8h the value is the next argument, in -d8h it is not.
	letters := flag[1:]
	i := strings.IndexAny(letters, valueLetters)
	return i >= 0 && i == len(letters)-1
}

func isCommand(word string) bool {
	return slices.ContainsFunc(grammar(), func(c command) bool { return c.name == word })
}

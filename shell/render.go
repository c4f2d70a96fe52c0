package shell

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Change is what a shell is told: variables to set and variables to remove.
type Change struct {
	Set   map[string]string
	Unset []string
}

// names returns the names to remove and those to set, each sorted. It is an
// error if one is not a name ([A-Za-z_][A-Za-z0-9_]*), or is in both.
func (c Change) names() (unset, set []string, err error) {
	set = slices.Sorted(maps.Keys(c.Set))
	unset = slices.Compact(slices.Sorted(slices.Values(c.Unset)))
	for _, name := range slices.Concat(unset, set) {
		if !isName(name) {
			return nil, nil, fmt.Errorf("%q is not a variable name", name)
		}
	}
	for _, name := range unset {
		if _, both := c.Set[name]; both {
			return nil, nil, fmt.Errorf("variable %q is to be both set and removed", name)
		}
	}
	return unset, set, nil
}

func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

// Render returns c as statements of the dialect, one per line: the removals
// first, then the assignments, each sorted by name. They are meant for the
// evaluation that EvalLine shows, succeed where a name to remove is not there,
// and also work in bash, zsh and POSIX shells under "set -eu".
//
// A value that the dialect cannot carry unchanged is an error that names the
// variable and the dialect, and does not show the value.
//
//   - No shell carries a NUL.
//   - fish: a removal erases the name in every scope, the universal one too:
//     left there, it would still be exported to every child.
//   - tcsh: a newline is written $'\n', which tcsh before 6.23 rejects. Where
//     the whole text is longer than 4096 bytes, bytes above 0x7f are an error:
//     tcsh 6.24 misreads those that lie across its read buffer's edge, and then
//     loses the quotes around them.
//   - PowerShell: strings are UTF-16, so other than UTF-8 is an error; so is an
//     empty value, since PowerShell before 7.5 removes the variable. The text is
//     ASCII: Windows decodes a program's output by the console's code page.
//   - cmd: only printable ASCII and tabs, without "%" and "!", which an
//     interactive line, a batch file and delayed expansion each read in their
//     own way; not empty; at most 8191 characters to the line. After an odd
//     number of double quotes, none of "&|<>^".
func (d Dialect) Render(c Change) (string, error) {
	if !slices.Contains(Dialects(), string(d)) {
		return "", fmt.Errorf("unknown shell %q", string(d))
	}
	unset, set, err := c.names()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range unset {
		b.WriteString(d.unset(name))
		b.WriteByte('\n')
	}
	for _, name := range set {
		statement, err := d.set(name, c.Set[name])
		if err != nil {
			return "", fmt.Errorf("variable %q: %s cannot carry %w", name, d, err)
		}
		b.WriteString(statement)
		b.WriteByte('\n')
	}
	if d == Tcsh && b.Len() > tcshBuffer {
		for _, name := range set {
			if !isASCII(c.Set[name]) {
				return "", fmt.Errorf("variable %q: tcsh cannot carry characters beyond ASCII in more than %d bytes of output", name, tcshBuffer)
			}
		}
	}
	return b.String(), nil
}

// tcshBuffer is the size in bytes of the buffer through which tcsh reads what
// a command prints (BUFSIZE in its sources).
const tcshBuffer = 4096

func (d Dialect) unset(name string) string {
	switch d {
	case Fish:
		return "while set -e " + name + "; end;"
	case PowerShell:
		return "Remove-Item -LiteralPath Env:" + name + " -ErrorAction Ignore"
	case Tcsh:
		return "unsetenv " + name + ";"
	case Cmd:
		return `set "` + name + `="`
	}
	return "unset " + name
}

// set returns the statement, or what in value the dialect cannot carry.
func (d Dialect) set(name, value string) (string, error) {
	if err := d.check(value); err != nil {
		return "", err
	}
	switch d {
	case Fish:
		return "set -gx " + name + " " + d.literal(value) + ";", nil
	case PowerShell:
		if value == "" {
			return "", errors.New("an empty value")
		}
		return "$env:" + name + " = " + powershellExpr(value), nil
	case Tcsh:
		return "setenv " + name + " " + d.literal(value) + ";", nil
	case Cmd:
		if err := checkCmdValue(value); err != nil {
			return "", err
		}
		statement := `set "` + name + "=" + value + `"`
		if len(statement) > cmdLine {
			return "", fmt.Errorf("a line of more than %d characters", cmdLine)
		}
		return statement, nil
	}
	return "export " + name + "=" + d.literal(value), nil
}

// Quote returns value as one word of the dialect's command line, bare where
// that is safe. It is an error if the dialect cannot carry the value; the
// error does not show it.
//
// For cmd the word is one argument as the C runtime and Go split a Windows
// command line, and only printable text without quotation marks, "%" and "!"
// has a form that is safe in every setting.
func (d Dialect) Quote(value string) (string, error) {
	if !slices.Contains(Dialects(), string(d)) {
		return "", fmt.Errorf("unknown shell %q", string(d))
	}
	if isBare(value) {
		return value, nil
	}
	if err := d.check(value); err != nil {
		return "", fmt.Errorf("%s cannot carry %w", d, err)
	}
	if d == Cmd {
		for i := range len(value) {
			if strings.IndexByte("\"%!", value[i]) >= 0 || value[i] < ' ' || value[i] == 0x7f {
				return "", fmt.Errorf("cmd cannot carry a word with %q", value[i])
			}
		}
	}
	return d.literal(value), nil
}

// isBare reports whether value means itself as an argument in every dialect,
// whatever their options: no globs, splatting, numbers or leading hyphens.
func isBare(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case c == '_', c == '/', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && (c == '-' || c == '.' || c == ':' || '0' <= c && c <= '9'):
		default:
			return false
		}
	}
	return value != ""
}

// check finds what no text of the dialect can express.
func (d Dialect) check(value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return errors.New("a NUL byte")
	}
	if (d == PowerShell || d == Cmd) && !utf8.ValidString(value) {
		return errors.New("text that is not UTF-8")
	}
	return nil
}

// literal returns value in quotes.
func (d Dialect) literal(value string) string {
	switch d {
	case Fish:
		// eval (command) splits at newlines, so none is left bare.
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `'\n'`).Replace(value) + "'"
	case PowerShell:
		return powershellLiteral(value)
	case Tcsh:
		// History expansion works inside '...' too; backslashes mean themselves
		// there only while backslash_quote is not set; and backquotes turn
		// newlines into spaces. Outside the quotes all three have one meaning.
		return "'" + strings.NewReplacer(`'`, `'\''`, `!`, `'\!'`, `\`, `'\\'`, "\n", `'$'\n''`).Replace(value) + "'"
	case Cmd:
		// A backslash before a quotation mark would escape it.
		word := strings.TrimRight(value, `\`)
		return `"` + value + value[len(word):] + `"`
	}
	return "'" + strings.ReplaceAll(value, `'`, `'\''`) + "'"
}

// powershellLiteral doubles each of the characters that PowerShell takes for a
// single quote: U+2018 to U+201B mean the same to it as the ASCII one
// (about_Quoting_Rules; CharExtensions.IsSingleQuote in its sources).
func powershellLiteral(value string) string {
	return "'" + strings.NewReplacer(`'`, `''`,
		"\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019",
		"\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b").Replace(value) + "'"
}

// powershellExpr returns an expression in printable ASCII, on one line. Beyond
// that, PowerShell changes what a program prints before it can be evaluated: it
// splits lines at CR and LF, joins them by the platform's line ending, and
// decodes bytes by [Console]::OutputEncoding.
func powershellExpr(value string) string {
	var terms []string
	for rest := value; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return r < ' ' || r > '~' })
		if n < 0 {
			n = len(rest)
		}
		// A string on the left makes every "+" a concatenation.
		if n > 0 || terms == nil {
			terms = append(terms, powershellLiteral(rest[:n]))
		}
		rest = rest[n:]
		n = strings.IndexFunc(rest, func(r rune) bool { return ' ' <= r && r <= '~' })
		if n < 0 {
			n = len(rest)
		}
		if n > 0 {
			var codes []string
			for _, unit := range utf16.Encode([]rune(rest[:n])) {
				codes = append(codes, fmt.Sprintf("0x%x", unit))
			}
			terms = append(terms, "(-join [char[]]("+strings.Join(codes, ",")+"))")
		}
		rest = rest[n:]
	}
	return strings.Join(terms, " + ")
}

// cmdLine is the longest line cmd.exe reads, in characters
// (learn.microsoft.com, "Command prompt line string limitation").
const cmdLine = 8191

// checkCmdValue finds what set "NAME=value" does not carry unchanged through
// both for /f and a batch file. Inside quotation marks all but % and ! mean
// themselves, and set takes everything up to the last mark; but each mark in
// the value turns quoting off and on again.
func checkCmdValue(value string) error {
	if value == "" {
		return errors.New("an empty value")
	}
	quoted := true
	for _, r := range value {
		switch {
		case r == '\n' || r == '\r':
			return errors.New("a line break")
		case r < ' ' && r != '\t' || r == 0x7f:
			return errors.New("a control character")
		case r > 0x7f:
			return errors.New("characters beyond ASCII")
		case r == '%' || r == '!':
			return fmt.Errorf("%q", r)
		case r == '"':
			quoted = !quoted
		case !quoted && strings.ContainsRune("&|<>^", r):
			return fmt.Errorf("%q after a quotation mark", r)
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

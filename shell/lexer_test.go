package shell

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The readers below are the shells' own rules written a second time, from
// their manuals, for where the real shell is not to be had and for fuzzing.
// Each reads one word, all of it, and knows no more than quoting may use.

// readWord reads a word of the dialect as the shell would see it.
func readWord(d Dialect, word string) (string, error) {
	switch d {
	case Fish:
		return readFish(word)
	case Tcsh:
		return readTcsh(word)
	case PowerShell:
		return readPowerShell(word)
	case Cmd:
		return readCmdArgument(word)
	}
	return readPOSIX(word)
}

// special are the characters that end a bare word or mean something in it in
// one shell or another.
const special = " \t\n\r'\"\\`$&|;<>()[]{}*?~#!%^=@,+"

func bare(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte(special, c) < 0 }

func readPOSIX(s string) (string, error) {
	var out []byte
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\'':
			n := strings.IndexByte(s[i+1:], '\'')
			if n < 0 {
				return "", fmt.Errorf("unbalanced quote")
			}
			out = append(out, s[i+1:i+1+n]...)
			i += n + 2
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '\'':
			out = append(out, '\'')
			i += 2
		case bare(s[i]):
			out = append(out, s[i])
			i++
		default:
			return "", fmt.Errorf("bare %q", s[i])
		}
	}
	return string(out), nil
}

func readFish(s string) (string, error) {
	var out []byte
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			quoted = !quoted
		case c == '\n':
			return "", fmt.Errorf("a bare newline")
		case c == '\\' && i+1 == len(s):
			return "", fmt.Errorf("backslash at the end")
		case c == '\\' && quoted && (s[i+1] == '\\' || s[i+1] == '\''):
			i++
			out = append(out, s[i])
		case c == '\\' && !quoted && s[i+1] == 'n':
			i++
			out = append(out, '\n')
		case quoted || bare(c):
			out = append(out, c)
		default:
			return "", fmt.Errorf("bare %q", c)
		}
	}
	if quoted {
		return "", fmt.Errorf("unbalanced quote")
	}
	return string(out), nil
}

// readTcsh refuses what history expansion, backslash_quote or the newlines of
// command substitution would change.
func readTcsh(s string) (string, error) {
	var out []byte
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, `$'\n'`):
			out = append(out, '\n')
			i += 5
		case rest[0] == '\'':
			n := strings.IndexByte(rest[1:], '\'')
			if n < 0 {
				return "", fmt.Errorf("unbalanced quote")
			}
			if strings.ContainsAny(rest[1:1+n], "!\\\n") {
				return "", fmt.Errorf("%q is not safe in quotes", rest[1:1+n])
			}
			out = append(out, rest[1:1+n]...)
			i += n + 2
		case rest[0] == '\\' && len(rest) > 1 && strings.IndexByte(`'!\`, rest[1]) >= 0:
			out = append(out, rest[1])
			i += 2
		case bare(rest[0]):
			out = append(out, rest[0])
			i++
		default:
			return "", fmt.Errorf("bare %q", rest[0])
		}
	}
	return string(out), nil
}

// readPowerShell reads a bare word or terms joined by " + ": '...' literals and
// (-join [char[]](0x..,..)).
func readPowerShell(s string) (string, error) {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !bare(byte(r)) }) < 0 {
		return s, nil
	}
	var out []uint16
	for {
		switch r := []rune(s); {
		case isPSQuote(r, 0):
			end := 1
			for ; ; end++ {
				if end >= len(r) {
					return "", fmt.Errorf("unbalanced quote")
				}
				if isPSQuote(r, end) {
					if !isPSQuote(r, end+1) {
						break
					}
					end++ // the second of the two is kept
				}
				out = utf16.AppendRune(out, r[end])
			}
			s = string(r[end+1:])
		case strings.HasPrefix(s, "(-join [char[]]("):
			codes, rest, ok := strings.Cut(strings.TrimPrefix(s, "(-join [char[]]("), "))")
			if !ok {
				return "", fmt.Errorf("unbalanced parenthesis")
			}
			for _, code := range strings.Split(codes, ",") {
				n, err := strconv.ParseUint(code, 0, 16)
				if err != nil {
					return "", err
				}
				out = append(out, uint16(n))
			}
			s = rest
		default:
			return "", fmt.Errorf("neither a string nor characters: %.20q", s)
		}
		if s == "" {
			return string(utf16.Decode(out)), nil
		}
		var ok bool
		if s, ok = strings.CutPrefix(s, " + "); !ok {
			return "", fmt.Errorf("no operator at %.20q", s)
		}
	}
}

func isPSQuote(r []rune, i int) bool {
	return i < len(r) && (r[i] == '\'' || '\u2018' <= r[i] && r[i] <= '\u201b')
}

// readCmdArgument reads a word through cmd.exe's parser and then as the C
// runtime splits a command line.
func readCmdArgument(s string) (string, error) {
	if err := cmdParser(s); err != nil {
		return "", err
	}
	var out []byte
	quoted := false
	for i := 0; i < len(s); {
		slashes := 0
		for i < len(s) && s[i] == '\\' {
			slashes++
			i++
		}
		if i == len(s) || s[i] != '"' {
			out = append(out, strings.Repeat(`\`, slashes)...)
			if i < len(s) {
				if !quoted && (s[i] == ' ' || s[i] == '\t') {
					return "", fmt.Errorf("splits at a blank")
				}
				out = append(out, s[i])
				i++
			}
			continue
		}
		out = append(out, strings.Repeat(`\`, slashes/2)...)
		if slashes%2 == 1 {
			out = append(out, '"')
		} else {
			quoted = !quoted
		}
		i++
	}
	if quoted {
		return "", fmt.Errorf("unbalanced quote")
	}
	return string(out), nil
}

// readCmdSet reads a set "NAME=VALUE" statement.
func readCmdSet(name, statement string) (string, error) {
	if err := cmdParser(statement); err != nil {
		return "", err
	}
	for i := range len(statement) {
		if c := statement[i]; c != '\t' && (c < ' ' || c > '~') {
			return "", fmt.Errorf("%q depends on the code page or ends the text", c)
		}
	}
	rest, ok := strings.CutPrefix(statement, `set "`+name+`=`)
	last := strings.LastIndexByte(rest, '"')
	if !ok || last != len(rest)-1 || last == 0 {
		return "", fmt.Errorf("not a set statement with a value")
	}
	return rest[:last], nil
}

// cmdParser refuses what cmd.exe would expand, split or redirect.
func cmdParser(s string) error {
	quoted := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case strings.IndexByte("%!\r\n\x00\x1a", c) >= 0, !quoted && strings.IndexByte("&|<>^", c) >= 0:
			return fmt.Errorf("cmd.exe acts on %q", c)
		}
	}
	return nil
}

// readSet reads the value out of Render's statement that sets name.
func readSet(d Dialect, name, text string) (string, error) {
	statement, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return "", fmt.Errorf("no newline at the end")
	}
	if d == Cmd {
		return readCmdSet(name, statement)
	}
	before := map[Dialect]string{
		Bash: "export " + name + "=", Zsh: "export " + name + "=", POSIX: "export " + name + "=",
		Fish: "set -gx " + name + " ", Tcsh: "setenv " + name + " ", PowerShell: "$env:" + name + " = ",
	}[d]
	after := map[Dialect]string{Fish: ";", Tcsh: ";"}[d]
	word, ok := strings.CutPrefix(statement, before)
	if !ok {
		return "", fmt.Errorf("does not begin with %q", before)
	}
	if word, ok = strings.CutSuffix(word, after); !ok {
		return "", fmt.Errorf("does not end with %q", after)
	}
	if d == PowerShell {
		for i := range len(word) {
			if word[i] < ' ' || word[i] > '~' {
				return "", fmt.Errorf("%q does not survive Out-String on every console", word[i])
			}
		}
	}
	return readWord(d, word)
}

// frame and unframe carry byte strings between processes.
func frame(values []string) []byte {
	var b []byte
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}

func unframe(b []byte) (values []string, err error) {
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || uint64(len(b)-k) < n {
			return nil, fmt.Errorf("torn frame")
		}
		values = append(values, string(b[k:k+int(n)]))
		b = b[k+int(n):]
	}
	return values, nil
}

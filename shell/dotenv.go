package shell

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Dotenv returns c.Set as NAME=VALUE lines, sorted by name. A file cannot
// remove a variable; c.Unset is checked, and otherwise has no part in it.
//
// The values stand bare, because that alone means the same to everybody:
// docker run --env-file keeps quotation marks as part of the value, and the
// libraries differ in what they expand inside them. A value that docker, docker
// compose (compose-go), godotenv, python-dotenv and npm's dotenv would not all
// read back unchanged is an error: anything not printable, space at either end,
// a leading quote, "#", "$", or a line over 64 KiB.
func Dotenv(c Change) (string, error) {
	_, set, err := c.names()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range set {
		line := name + "=" + c.Set[name]
		err := checkDotenv(c.Set[name])
		if err == nil && len(line) >= dotenvLine {
			err = fmt.Errorf("a line of more than %d bytes", dotenvLine-1)
		}
		if err != nil {
			return "", fmt.Errorf("variable %q: dotenv cannot carry %w", name, err)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// dotenvLine is where docker's reader gives up on a line (bufio.Scanner).
const dotenvLine = 64 * 1024

func checkDotenv(value string) error {
	if !utf8.ValidString(value) {
		return errors.New("text that is not UTF-8")
	}
	for _, r := range value {
		switch {
		case r == '\n' || r == '\r':
			return errors.New("a line break")
		case !unicode.IsPrint(r):
			return errors.New("characters that do not print")
		case r == '#' || r == '$':
			return fmt.Errorf("%q", r)
		}
	}
	if strings.Trim(value, " ") != value {
		return errors.New("a space at either end")
	}
	if value != "" && strings.IndexByte("'\"`", value[0]) >= 0 {
		return errors.New("a leading quote")
	}
	return nil
}

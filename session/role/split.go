package role

import (
	"errors"
	"strings"
)

var (
	errQuote  = errors.New("a quote is not closed")
	errEscape = errors.New("it ends in the middle of an escape")
	errEmpty  = errors.New("no command is named")
)

// splitCommand splits a command line into words as the AWS CLI does, without a
// shell: by POSIX quoting, on Windows by that of its C run-time.
func splitCommand(line, goos string) ([]string, error) {
	split := splitPOSIX
	if goos == "windows" {
		split = splitWindows
	}
	words, err := split(line)
	if err == nil && (len(words) == 0 || words[0] == "") {
		err = errEmpty
	}
	return words, err
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// splitPOSIX follows Python's shlex.split, which the AWS CLI uses.
func splitPOSIX(line string) ([]string, error) {
	var words []string
	var word []byte
	in := false // a word has begun, even an empty one
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case isSpace(b):
			if in {
				words, word, in = append(words, string(word)), nil, false
			}
		case b == '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errQuote
			}
			word, in = append(word, line[i+1:i+1+end]...), true
			i += 1 + end
		case b == '"':
			in = true
			for i++; ; i++ {
				if i >= len(line) {
					return nil, errQuote
				}
				if line[i] == '"' {
					break
				}
				// Inside, a backslash escapes itself and the quote alone.
				if line[i] == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\') {
					i++
				}
				word = append(word, line[i])
			}
		case b == '\\':
			if i++; i >= len(line) {
				return nil, errEscape
			}
			word, in = append(word, line[i]), true
		default:
			word, in = append(word, b), true
		}
	}
	if in {
		words = append(words, string(word))
	}
	return words, nil
}

// splitWindows follows the rules of Microsoft's C run-time, as the AWS CLI
// does there: a run of backslashes counts only before a quote.
// https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
func splitWindows(line string) ([]string, error) {
	var words []string
	var word []byte
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case b == '\\':
			n := 1
			for i+n < len(line) && line[i+n] == '\\' {
				n++
			}
			in = true
			i += n - 1
			if i+1 < len(line) && line[i+1] == '"' {
				word = append(word, strings.Repeat(`\`, n/2)...)
				if n%2 == 1 {
					word = append(word, '"')
					i++
				}
				continue
			}
			word = append(word, strings.Repeat(`\`, n)...)
		case b == '"':
			if quoted && i+1 < len(line) && line[i+1] == '"' {
				word = append(word, '"') // "" inside quotes is one
				i++
				continue
			}
			quoted, in = !quoted, true
		case isSpace(b) && !quoted:
			if in {
				words, word, in = append(words, string(word)), nil, false
			}
		default:
			word, in = append(word, b), true
		}
	}
	if quoted {
		return nil, errQuote
	}
	if in {
		words = append(words, string(word))
	}
	return words, nil
}

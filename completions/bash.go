package completions

import (
	"strconv"
	"strings"
)

// bashLine is a command line, as bash splits it.
type bashLine struct {
	words  []string // without quotes; the unfinished last one may be empty
	starts []int    // where each of them begins, in bytes
	quote  string   // the quote that is open at the end: ', ", $' or none
	kept   int      // how many bytes of the last word readline leaves alone

	redirected bool // the last word is what > or < redirects to, and not in words
}

// readBash splits the text up to the cursor into words and takes off their
// quotes. It expands nothing: $x and $(x) stand for themselves.
//
// Readline replaces what follows the last word break that is not quoted, or the
// quote that is still open. breaks is COMP_WORDBREAKS.
// https://www.gnu.org/software/bash/manual/html_node/Programmable-Completion.html
func readBash(text, breaks string) bashLine {
	var l bashLine
	var word []byte
	inWord, target := false, false // target: of a redirection
	begin := func(i int) {
		if !inWord {
			inWord, word, l.kept = true, word[:0], 0
			l.starts = append(l.starts, i)
		}
	}
	drop := func() {
		if inWord {
			inWord, target = false, false
			l.starts = l.starts[:len(l.starts)-1]
		}
	}
	end := func() {
		if target {
			drop()
		} else if inWord {
			inWord = false
			l.words = append(l.words, string(word))
		}
	}
	i := 0
	// quoted reads up to the closing quote, which is not there if false.
	quoted := func(quote byte, escapes string) bool {
		for ; i < len(text); i++ {
			c := text[i]
			switch {
			case c == quote:
				return true
			case c == '\\' && i+1 < len(text) && strings.IndexByte(escapes, text[i+1]) >= 0:
				i++
				if text[i] != '\n' {
					word = append(word, text[i])
				}
			default:
				word = append(word, c)
			}
		}
		return false
	}
	for ; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\n':
			end()
			continue
		case ';', '|', '(', ')', '&':
			if c == '&' && i+1 < len(text) && text[i+1] == '>' {
				end() // &> redirects both
				continue
			}
			end() // what stands before it is another command
			l, target = bashLine{}, false
			continue
		case '<', '>':
			if inWord && strings.Trim(string(word), "0123456789") == "" {
				drop() // 2> redirects what has that number
			}
			end()
			target = true
			for i+1 < len(text) && strings.IndexByte("<>&|", text[i+1]) >= 0 {
				i++
			}
			continue
		}
		begin(i)
		switch c {
		case '\\':
			if i+1 == len(text) {
				break
			}
			if i++; text[i] != '\n' {
				word = append(word, text[i])
			}
		case '\'', '"':
			from := len(word)
			escapes := ""
			if c == '"' {
				escapes = "$`\"\\\n"
			}
			i++
			if !quoted(c, escapes) {
				l.quote, l.kept = string(c), from
			}
		case '$':
			if i+1 < len(text) && text[i+1] == '\'' {
				from := len(word)
				i += 2
				var closed bool
				word, i, closed = ansiC(word, text, i)
				if !closed {
					l.quote, l.kept = "$'", from
				}
				break
			}
			n := expansion(text[i:])
			word = append(word, text[i:i+n]...)
			i += n - 1
		case '`':
			n := 1
			for i+n < len(text) && text[i+n] != '`' {
				if text[i+n] == '\\' {
					n++
				}
				n++
			}
			n = min(n+1, len(text)-i)
			word = append(word, text[i:i+n]...)
			i += n - 1
		default:
			word = append(word, c)
			if strings.IndexByte(breaks, c) >= 0 {
				l.kept = len(word)
				if c == '@' {
					l.kept-- // of which hostname completion takes notice
				}
			}
		}
	}
	if !inWord {
		begin(len(text))
	}
	l.redirected = target
	end()
	return l
}

// ansiC reads $'...' from behind the opening quote.
func ansiC(word []byte, text string, i int) ([]byte, int, bool) {
	for i < len(text) {
		switch c := text[i]; {
		case c == '\'':
			return word, i, true
		case c == '\\' && i+1 < len(text):
			r, multibyte, rest, err := strconv.UnquoteChar(text[i:], '\'')
			switch {
			case err != nil:
				word = append(word, text[i+1])
				i += 2
				continue
			case multibyte:
				word = append(word, string(r)...)
			default:
				word = append(word, byte(r))
			}
			i = len(text) - len(rest)
		default:
			word = append(word, c)
			i++
		}
	}
	return word, i, false
}

// expansion is the length of the expansion at the start of text: $(...), ${...}
// or the $ alone.
func expansion(text string) int {
	if len(text) < 2 || text[1] != '(' && text[1] != '{' {
		return 1
	}
	open, closing := text[1], byte(')')
	if open == '{' {
		closing = '}'
	}
	depth := 0
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
		case '\'':
			n := strings.IndexByte(text[i+1:], '\'')
			if n < 0 {
				return len(text)
			}
			i += n + 1
		case open:
			depth++
		case closing:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// quoteBash writes what is to be inserted behind an open quote, or behind none.
func quoteBash(s, quote string) string {
	special := ""
	switch quote {
	case "'":
		return strings.ReplaceAll(s, "'", `'\''`)
	case "$'":
		special = `'\`
	case `"`:
		special = "$`\"\\"
	default:
		special = " \t\"'\\$`!&|;<>()[]{}*?#~^"
	}
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if strings.IndexByte(special, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

package completions

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Complete writes the answer to "__complete args..." to w; the comment on the
// package has the form of both. An error means that args are of no such form,
// or is the writer's.
func (g *Grammar) Complete(w io.Writer, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("a shell and a line are expected, not %q", args)
	}
	out := bufio.NewWriterSize(w, 64<<10) // what a pipe takes at once
	words := args[1:]
	switch shell := args[0]; shell {
	case "bash":
		if len(words) != 2 {
			return fmt.Errorf("a line and the word breaks are expected, not %q", words)
		}
		g.bash(out, words[0], words[1])
	case "zsh":
		a := g.complete(words, true)
		a.head(out, "")
		for _, c := range a.candidates {
			escapeColons(out, c.Value)
			if c.Description != "" {
				out.WriteByte(':')
				out.WriteString(plain(c.Description))
			}
			out.WriteByte('\n')
		}
	case "fish":
		a := g.complete(words, true)
		a.head(out, "")
		for _, c := range a.candidates {
			out.WriteString(c.Value)
			if c.Description != "" {
				out.WriteByte('\t')
				out.WriteString(plain(c.Description))
			}
			out.WriteByte('\n')
		}
	case "powershell":
		var decoded []string
		for _, word := range words {
			text, err := url.PathUnescape(strings.TrimPrefix(word, "."))
			if err != nil {
				return err
			}
			decoded = append(decoded, text)
		}
		a := g.complete(decoded, true)
		a.head(out, "")
		for _, c := range a.candidates {
			// A tooltip must not be empty.
			help := plain(c.Description)
			if help == "" {
				help = c.Value
			}
			for i, field := range [...]string{quotePowerShell(c.Value), c.Value, help} {
				if i > 0 {
					out.WriteByte('\t')
				}
				out.WriteString(url.PathEscape(field))
			}
			out.WriteByte('\n')
		}
	default:
		return unknownShell(shell)
	}
	return out.Flush()
}

// head writes the first line of an answer.
func (a answer) head(out *bufio.Writer, text string) {
	switch {
	case a.files:
		out.WriteString("files")
	case a.command > 0:
		out.WriteString("command ")
		out.WriteString(strconv.Itoa(a.command))
		out.WriteString(text)
	default:
		out.WriteString("words")
	}
	out.WriteByte('\n')
}

func (g *Grammar) bash(out *bufio.Writer, text, breaks string) {
	l := readBash(text, breaks)
	a := g.complete(l.words, false)
	if l.redirected {
		a = answer{files: true}
	}
	tail := ""
	if a.command > 0 {
		// The answer's first line cannot hold a line break, and to words it is a blank.
		tail = " " + strings.ReplaceAll(text[l.starts[a.command]:], "\n", " ")
	}
	a.head(out, tail)
	for _, c := range a.candidates {
		out.WriteString(quoteBash(c.Value[l.kept:], l.quote))
		out.WriteByte('\n')
	}
}

// plain is a description that takes one line of a terminal and no more.
func plain(s string) string {
	if !hasControl(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// escapeColons writes s as _describe reads it.
func escapeColons(out *bufio.Writer, s string) {
	for {
		i := strings.IndexAny(s, `:\`)
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		out.WriteByte('\\')
		out.WriteByte(s[i])
		s = s[i+1:]
	}
	out.WriteString(s)
}

// quotePowerShell writes a word for PowerShell, which takes the typographic
// single quotes for the ASCII one, and takes apart what begins with a dash at
// the first dot or colon.
// https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_quoting_rules
func quotePowerShell(s string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`_./\:+=-`, r))
	}
	if s != "" && !strings.ContainsFunc(s, special) && !(s[0] == '-' && strings.ContainsAny(s, ".:")) {
		return s
	}
	return "'" + doubled(s) + "'"
}

// doubled is s between single quotes in PowerShell.
func doubled(s string) string {
	var b strings.Builder
	for rest := s; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch r {
		case '\'', '\u2018', '\u2019', '\u201a', '\u201b':
			b.WriteString(rest[:n])
		}
		b.WriteString(rest[:n])
		rest = rest[n:]
	}
	return b.String()
}

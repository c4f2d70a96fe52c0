package cmd

import (
	"bufio"
	"fmt"
	"strings"
	"unicode"

	"aws-runas/cmd/tty"
)

// tell writes lines for people to stderr.
func (a *app) tell(format string, args ...any) {
	fmt.Fprintln(a.Err, printable(fmt.Sprintf(format, args...), "\n\t"))
}

// widest is how many columns of the terminal a column of a table has at most: a
// single name that is longer shifts its own row alone.
const widest = 40

// table prints rows to stdout, in columns.
func (a *app) table(rows ...[]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell, "")
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if n := tty.Width(row[i]); n <= widest {
				widths[i] = max(widths[i], n)
			}
		}
	}
	out := bufio.NewWriter(a.Out)
	for _, row := range rows {
		for i, cell := range row {
			out.WriteString(cell)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", max(0, widths[i]-tty.Width(cell))+2))
			}
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// printable replaces what could control a terminal, but for the characters in
// keep: a name in a file of somebody else's, or what a provider says, may hold
// anything.
func printable(s, keep string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune(keep, r) {
			return '?'
		}
		return r
	}, s)
}

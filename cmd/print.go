package cmd

import (
	"bufio"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

// tell writes lines for people to stderr.
func (a *app) tell(format string, args ...any) {
	fmt.Fprintln(a.Err, printable(fmt.Sprintf(format, args...), "\n\t"))
}

// table prints rows to stdout, in columns.
func (a *app) table(rows ...[]string) error {
	out := bufio.NewWriter(a.Out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, printable(cell, ""))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
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

// Package completions completes command lines of a kong program in bash, zsh,
// fish and PowerShell, and what stands behind it, the command that the program
// wraps, as the shell itself would.
//
// A shell runs the script that [Script] returns. At each TAB it calls the
// hidden command
//
//	PROGRAM __complete SHELL ARG...
//
// which [Grammar.Complete] answers by walking kong's model, so that a new
// command or flag completes by itself. Nothing on the line is evaluated: words
// travel as arguments.
//
//	bash LINE BREAKS      the line up to the cursor, and $COMP_WORDBREAKS
//	zsh WORD...           the words without their quotes, the unfinished last
//	fish WORD...          the same
//	powershell .WORD...   the same, percent-encoded behind a dot: Windows
//	                      PowerShell loses empty arguments and quotes
//
// The answer is lines, of which the first says what follows:
//
//	words                 candidates, one a line
//	files                 names of files
//	command N             a command line of its own begins at word N of the
//	                      line (the program is word 0), and what may stand
//	                      there besides is in the lines that follow
//
// A candidate is VALUE TAB DESCRIPTION in fish; VALUE:DESCRIPTION, as _describe
// takes it, in zsh; TEXT TAB VALUE TAB DESCRIPTION, each percent-encoded, in
// PowerShell. In bash it is the text to insert, quoted as the word has been
// begun and without what readline keeps in front of a word break, and N is
// followed by the text of that command line.
//
// Which values a flag or an argument takes is said by its enum, or by the name
// of a source in its tag:
//
//	Profile string `arg:"" complete:"profile"`
//
// Sources are functions in [Grammar.Values]; "file" stands for names of files,
// as do kong's types path, existingfile, existingdir and filecontent. What has
// none of these completes to nothing.
package completions

import "github.com/alecthomas/kong"

// Candidate is a word that may stand where the cursor is.
type Candidate struct {
	Value       string
	Description string // one short line, or empty
}

// Grammar is what a line is read by.
//
// Flags may stand in front of the command that they belong to. An argument
// with kong's tag passthrough:"partial" takes one word, and all behind that
// word, or behind a "--" in its place, is a command line of its own.
type Grammar struct {
	Model *kong.Application

	// Default names the command that is meant where the first word names none.
	Default string

	// Values are the sources of words. A source is called only for a word that
	// it completes, and is given what has been typed of it: it may leave out
	// what does not begin so, but does not have to. Where nothing does, it may
	// be called again for all it has. It fails by returning nothing. What it
	// returns is the caller's, to change.
	Values map[string]func(prefix string) []Candidate

	// CommandFirst reports whether word, in the place of a passthrough
	// argument's first word, begins the command line already. It may be nil.
	CommandFirst func(word string) bool

	// Function are the words that a shell function with another name than the
	// program's takes besides the program's.
	Function []Candidate
}

package completions

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// answer is what may stand at the cursor.
type answer struct {
	candidates []Candidate
	files      bool
	command    int // the word at which a command line of its own begins, or 0
}

// complete completes the last of words, the first of which is the program's
// name as typed.
//
// Candidates begin with what has been typed. A shell that matches in ways of
// its own (fish by substrings, zsh as its user configured) is better off with
// loose: where nothing begins so, what contains it, whatever the case. A flag is
// never completed to one that begins otherwise.
func (g *Grammar) complete(words []string, loose bool) answer {
	if len(words) < 2 {
		return answer{}
	}
	loose = loose && !strings.HasPrefix(words[len(words)-1], "-")
	w := &walk{
		Grammar: g, node: g.Model.Node, words: words, cur: words[len(words)-1], loose: loose,
		used: map[string]bool{}, given: map[string]bool{},
	}
	a := w.read()
	a.candidates = match(a.candidates, w.cur, loose)
	return a
}

// match leaves in list what fits.
func match(list []Candidate, typed string, loose bool) []Candidate {
	fits := func(c Candidate) bool { return strings.HasPrefix(c.Value, typed) && sound(c.Value) }
	if loose && !slices.ContainsFunc(list, fits) {
		typed = strings.ToLower(typed)
		fits = func(c Candidate) bool { return strings.Contains(strings.ToLower(c.Value), typed) && sound(c.Value) }
	}
	return slices.DeleteFunc(list, func(c Candidate) bool { return !fits(c) })
}

// sound reports whether a value can be shown and stand on a line: control
// characters could do neither.
func sound(value string) bool { return value != "" && !hasControl(value) }

func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c >= utf8.RuneSelf {
			return strings.IndexFunc(s[i:], unicode.IsControl) >= 0
		}
	}
	return false
}

// walk reads a line from left to right.
type walk struct {
	*Grammar
	words []string
	cur   string // the last of words, which is being completed
	loose bool

	node  *kong.Node
	args  int             // how many of the node's arguments are complete
	ended bool            // there are no flags from here on
	used  map[string]bool // the names of the flags so far
	given map[string]bool // the arguments so far
}

func (w *walk) read() answer {
	last := len(w.words) - 1
	for i := 1; i < last; i++ {
		word := w.words[i]
		if !w.ended && word == "--" {
			if w.wraps() {
				return answer{command: i + 1}
			}
			w.ended = true
			continue
		}
		if !w.ended && isFlag(word) {
			if f := w.readFlag(word); f != nil {
				if i++; i == last {
					return w.values(f.Value, "")
				}
			}
			continue
		}
		if c := child(w.node, word); c != nil {
			w.enter(c)
			continue
		}
		if d := w.fallback(); d != nil {
			w.enter(d)
		}
		p := w.argument()
		if p == nil {
			return answer{} // no such command, or one argument too many
		}
		if p.PassthroughMode != kong.PassThroughModeNone {
			return w.wrapped(i)
		}
		w.args++
		w.given[word] = true
	}
	if !w.ended && strings.HasPrefix(w.cur, "-") {
		return w.flags()
	}
	return w.word(last)
}

// wrapped reads on from words[i], the first word of a passthrough argument.
func (w *walk) wrapped(i int) answer {
	last := len(w.words) - 1
	if w.commandFirst(w.words[i]) {
		return answer{command: i}
	}
	next := w.words[i+1]
	switch {
	case next == "--" && i+1 < last:
		return answer{command: i + 2}
	case !strings.HasPrefix(next, "-"):
		return answer{command: i + 1}
	case i+1 == last:
		return answer{candidates: []Candidate{{"--", "the command follows"}}}
	}
	return answer{} // a flag, which would have to stand further left
}

// word completes a command or an argument, words[i].
func (w *walk) word(i int) answer {
	parent := w.node
	top := parent == w.Model.Node
	if d := w.fallback(); d != nil {
		w.enter(d)
	} else if len(parent.Children) > 0 {
		return answer{candidates: w.children(parent)}
	}
	p := w.argument()
	if p == nil {
		return answer{candidates: w.children(parent)}
	}
	a := w.values(p, "")
	// A command or a word of the function's hides an argument of the same name,
	// and what looks like a flag is one.
	var function []Candidate
	if top && programName(w.words[0]) != w.Model.Name {
		function = w.Function
	}
	list := slices.DeleteFunc(a.candidates, func(c Candidate) bool {
		return child(parent, c.Value) != nil || !w.ended && strings.HasPrefix(c.Value, "-") || p.IsCumulative() && w.given[c.Value] ||
			slices.ContainsFunc(function, func(f Candidate) bool { return f.Value == c.Value })
	})
	list = append(list, function...)
	a.candidates = append(list, w.children(parent)...)
	if p.PassthroughMode != kong.PassThroughModeNone && w.commandFirst(w.cur) {
		a.command = i
	}
	return a
}

func (w *walk) commandFirst(word string) bool {
	return w.CommandFirst != nil && w.CommandFirst(word)
}

// enter goes down to a command.
func (w *walk) enter(n *kong.Node) {
	w.node, w.args = n, 0
	if n.Passthrough {
		w.ended = true
	}
}

// fallback is the command that a word means which is none of the node's commands.
func (w *walk) fallback() *kong.Node {
	if w.node == w.Model.Node && w.Default != "" {
		return child(w.node, w.Default)
	}
	return w.node.DefaultCmd
}

// wraps reports whether a command line of its own may follow here.
func (w *walk) wraps() bool {
	n, args := w.node, w.args
	if d := w.fallback(); d != nil {
		n, args = d, 0
	}
	return args < len(n.Positional) && n.Positional[args].PassthroughMode != kong.PassThroughModeNone
}

// argument is the one that the next word is.
func (w *walk) argument() *kong.Positional {
	list := w.node.Positional
	if w.args < len(list) {
		return list[w.args]
	}
	if n := len(list); n > 0 && list[n-1].IsCumulative() {
		return list[n-1]
	}
	return nil
}

func child(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
		for _, alias := range c.Aliases {
			if alias == name {
				return c
			}
		}
	}
	return nil
}

func (w *walk) children(n *kong.Node) []Candidate {
	var list []Candidate
	for _, c := range n.Children {
		if c.Type == kong.CommandNode && !c.Hidden {
			list = append(list, Candidate{w.spelling(c.Name, c.Aliases), summary(c.Help)})
		}
	}
	return list
}

// spelling is the name, unless an alias is what is being typed.
func (w *walk) spelling(name string, aliases []string) string {
	if !strings.HasPrefix(name, w.cur) {
		for _, alias := range aliases {
			if strings.HasPrefix(alias, w.cur) {
				return alias
			}
		}
	}
	return name
}

// values completes the value of a flag or an argument; lead is what stands in
// front of it in the same word.
func (w *walk) values(v *kong.Value, lead string) answer {
	source := v.Tag.Get("complete")
	var list []Candidate
	switch {
	case source == "file":
		return answer{files: true}
	case source != "":
		if f := w.Values[source]; f != nil {
			typed := w.cur[len(lead):]
			list = f(typed)
			begins := func(c Candidate) bool { return strings.HasPrefix(c.Value, typed) }
			if w.loose && typed != "" && !slices.ContainsFunc(list, begins) {
				list = f("")
			}
		}
	case v.Enum != "":
		for _, e := range v.EnumSlice() {
			list = append(list, Candidate{Value: e})
		}
	default:
		switch v.Tag.Type {
		case "path", "existingfile", "existingdir", "filecontent":
			return answer{files: true}
		}
	}
	if lead != "" {
		for i := range list {
			list[i].Value = lead + list[i].Value
		}
	}
	return answer{candidates: list}
}

// isFlag reports whether a word is read as one or more flags.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' && word != "--" }

// readFlag notes the flags of a word, and returns the one whose value is the
// next word.
func (w *walk) readFlag(word string) *kong.Flag {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, _, joined := strings.Cut(name, "=")
		f := w.flagNamed(name)
		if f == nil {
			return nil
		}
		w.used[f.Name] = true
		if joined || !takesValue(f) {
			return nil
		}
		return f
	}
	for i, letter := range word {
		f := w.flagLettered(letter)
		if i == 0 || f == nil {
			continue
		}
		w.used[f.Name] = true
		if takesValue(f) {
			if i+utf8.RuneLen(letter) == len(word) {
				return f
			}
			return nil // the rest of the word is the value
		}
	}
	return nil
}

func takesValue(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// flags completes a word that begins like a flag.
func (w *walk) flags() answer {
	if name, value, joined := strings.Cut(w.cur, "="); joined && strings.HasPrefix(name, "--") {
		if f := w.flagNamed(name[2:]); f != nil && takesValue(f) {
			return w.values(f.Value, w.cur[:len(w.cur)-len(value)])
		}
		return answer{}
	}
	if len(w.cur) > 2 && w.cur[1] != '-' {
		for i, letter := range w.cur {
			if f := w.flagLettered(letter); i > 0 && f != nil && takesValue(f) {
				return w.values(f.Value, w.cur[:i+utf8.RuneLen(letter)])
			}
		}
	}
	var list []Candidate
	add := func(n *kong.Node) {
		for _, f := range n.Flags {
			if f.Hidden || w.used[f.Name] && !f.IsCounter() && !f.IsCumulative() {
				continue
			}
			help := summary(f.Help)
			list = append(list, Candidate{"--" + w.spelling(f.Name, f.Aliases), help})
			if no := negation(f); no != "" {
				list = append(list, Candidate{"--" + no, help})
			}
			if f.Short != 0 {
				list = append(list, Candidate{"-" + string(f.Short), help})
			}
		}
	}
	if d := w.fallback(); d != nil {
		add(d)
	}
	for n := w.node; n != nil; n = n.Parent {
		add(n)
	}
	return answer{candidates: list}
}

// negation is the name of the flag that says the opposite, if there is one.
func negation(f *kong.Flag) string {
	switch f.Tag.Negatable {
	case "":
		return ""
	case "_": // kong's mark for the usual one
		return "no-" + f.Name
	}
	return f.Tag.Negatable
}

func (w *walk) flagNamed(name string) *kong.Flag {
	return w.findFlag(func(f *kong.Flag) bool {
		if f.Name == name || negation(f) == name {
			return true
		}
		for _, alias := range f.Aliases {
			if alias == name {
				return true
			}
		}
		return false
	})
}

func (w *walk) flagLettered(letter rune) *kong.Flag {
	return w.findFlag(func(f *kong.Flag) bool { return f.Short == letter })
}

// findFlag looks at the commands of the line first, from the innermost out,
// and then at all others, since their flags may stand in front of them.
func (w *walk) findFlag(is func(*kong.Flag) bool) *kong.Flag {
	if d := w.fallback(); d != nil {
		for _, f := range d.Flags {
			if is(f) {
				return f
			}
		}
	}
	for n := w.node; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if is(f) {
				return f
			}
		}
	}
	return below(w.Model.Node, is)
}

func below(n *kong.Node, is func(*kong.Flag) bool) *kong.Flag {
	for _, f := range n.Flags {
		if is(f) {
			return f
		}
	}
	for _, c := range n.Children {
		if f := below(c, is); f != nil {
			return f
		}
	}
	return nil
}

// programName is the name that a program goes by, without folder and extension.
func programName(word string) string {
	word = strings.ReplaceAll(word, `\`, "/")
	return strings.TrimSuffix(path.Base(word), ".exe")
}

// summary is the first sentence of a help text, without its full stop.
func summary(help string) string {
	help, _, _ = strings.Cut(help, "\n")
	for i := 0; i+2 < len(help); i++ {
		// "such as 8h. ($VARIABLE)" ends at the full stop, "e.g. 8h" does not.
		if c := rune(help[i+2]); help[i] == '.' && help[i+1] == ' ' && (c == '(' || unicode.IsUpper(c)) {
			help = help[:i]
			break
		}
	}
	return strings.TrimSuffix(help, ".")
}

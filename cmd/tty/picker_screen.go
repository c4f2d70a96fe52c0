package tty

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sahilm/fuzzy"
	"golang.org/x/text/width"
)

// picker is what the person sees and has typed. It knows nothing of a terminal
// but its size: keys go in by press, and frame draws it.
type picker struct {
	prompt string
	rows   []row
	style  style

	query   string
	found   []hit // best first
	at      int   // the marked one in found
	top     int   // the first one on the screen
	pasting bool
	chosen  int // index of the item, or -1

	cols, lines            int // of the terminal
	nameWidth, detailWidth int // of the widest
}

// row is an item as it is shown.
type row struct {
	name, detail             string
	foldedName, foldedDetail string
}

// hit is an item that matches, with the offsets of what does so.
type hit struct {
	item         int
	rank         int // of words that stand there in one piece
	score        int // of the others
	name, detail []int
}

// style holds the control sequences for the parts of a row.
type style struct{ mark, marked, match, quiet string }

// plain is for NO_COLOR, which is about colours alone (https://no-color.org).
var (
	plain   = style{mark: "\x1b[1m", marked: "\x1b[1m", match: "\x1b[1;4m", quiet: "\x1b[2m"}
	colours = style{mark: "\x1b[1;36m", marked: "\x1b[1m", match: "\x1b[1;32m", quiet: "\x1b[2m"}
)

func newPicker(prompt string, items []Item) *picker {
	p := &picker{prompt: prompt, rows: make([]row, len(items)), style: plain, chosen: -1}
	for i, item := range items {
		name, detail := printable(item.Name), printable(item.Detail)
		p.rows[i] = row{name, detail, strings.ToLower(name), strings.ToLower(detail)}
		p.nameWidth = max(p.nameWidth, cells(name))
		p.detailWidth = max(p.detailWidth, cells(detail))
	}
	p.resize(0, 0)
	p.search("")
	return p
}

// resize tells the size of the terminal; a pipe or a serial line says 0.
func (p *picker) resize(cols, lines int) {
	if cols <= 0 {
		cols = 80
	}
	if lines <= 0 {
		lines = 24
	}
	p.cols, p.lines = cols, lines
}

// search finds the rows that match all words of query, the best first, and
// those that match as well as each other in the order of the items.
func (p *picker) search(query string) {
	p.query, p.at, p.top = query, 0, 0
	found := make([]hit, len(p.rows))
	for i := range found {
		found[i].item = i
	}
	words := strings.Fields(query)
	for _, word := range words {
		found = p.narrow(found, word)
	}
	if len(words) > 0 {
		slices.SortStableFunc(found, func(a, b hit) int { return cmp.Or(b.rank-a.rank, b.score-a.score) })
	}
	p.found = found
}

// names are those of hits, for package fuzzy.
type names struct {
	rows []row
	hits []hit
}

func (n names) String(i int) string { return n.rows[n.hits[i].item].name }
func (n names) Len() int            { return len(n.hits) }

// narrow keeps the hits that match one more word: in the name, in one piece or
// letter by letter, or in the detail in one piece.
func (p *picker) narrow(hits []hit, word string) []hit {
	matches := fuzzy.FindFromNoSort(word, names{p.rows, hits})
	folded := strings.ToLower(word)
	kept := hits[:0]
	for i, h := range hits {
		var letters []int
		score := 0
		if len(matches) > 0 && matches[0].Index == i {
			letters, score = matches[0].MatchedIndexes, matches[0].Score
			matches = matches[1:]
		}
		row := &p.rows[h.item]
		if at, rank := find(row.foldedName, folded); rank > 0 {
			letters, score = span(at, len(folded)), 0
			h.rank += rank
		} else if letters == nil || score < 0 {
			// a piece of the detail is better than letters strewn over the name
			if at := strings.Index(row.foldedDetail, folded); at >= 0 {
				h.detail = append(h.detail, span(at, len(folded))...)
				letters, score = nil, 0
			} else if letters == nil {
				continue
			}
		}
		h.name = append(h.name, letters...)
		h.score += score
		kept = append(kept, h)
	}
	return kept
}

// find returns where word stands in text at its best, and how good that is: 4
// for the whole text, 3 for its beginning, 2 for that of a part of it, 1 for
// anywhere else, 0 for nowhere.
func find(text, word string) (at, rank int) {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return at, rank
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		switch {
		case text == word:
			return 0, 4
		case i == 0:
			return 0, 3
		case !unicode.IsLetter(before) && !unicode.IsDigit(before):
			return i, 2
		case rank == 0:
			at, rank = i, 1
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		from = i + size
	}
}

func span(at, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = at + i
	}
	return all
}

// page is how many rows are on the screen.
func (p *picker) page() int {
	n := min(10, p.lines-1)
	if len(p.found) > n && n > 1 && p.lines <= 11 {
		n-- // for the line that counts
	}
	return max(n, 0)
}

// maxQuery is the longest query in bytes.
const maxQuery = 200

// press does what a key is for. The error is that of leaving.
func (p *picker) press(k rune) error {
	if p.pasting {
		switch {
		case k == keyPasted:
			p.pasting = false
		case k == '\r' || k == '\n' || k == '\t':
			p.insert(' ')
		default:
			p.insert(k)
		}
		return nil
	}
	switch k {
	case '\r':
		if p.at < len(p.found) {
			p.chosen = p.found[p.at].item
		}
	case keyEscape, ctrl('c'), ctrl('d'), ctrl('g'):
		return errNone()
	case keyDown, ctrl('n'), ctrl('j'), '\t':
		p.move(1)
	case keyUp, ctrl('p'), ctrl('k'), keyBackTab:
		p.move(-1)
	case keyPageDown:
		p.move(p.page())
	case keyPageUp:
		p.move(-p.page())
	case keyHome:
		p.move(-len(p.found))
	case keyEnd:
		p.move(len(p.found))
	case '\b', 0x7f:
		_, size := utf8.DecodeLastRuneInString(p.query)
		p.search(p.query[:len(p.query)-size])
	case ctrl('w'), keyWordBack:
		before := strings.TrimRightFunc(p.query, unicode.IsSpace)
		p.search(before[:1+strings.LastIndexFunc(before, unicode.IsSpace)])
	case ctrl('u'):
		p.search("")
	case keyPaste:
		p.pasting = true
	default:
		p.insert(k)
	}
	return nil
}

func (p *picker) insert(k rune) {
	if unicode.IsPrint(k) && len(p.query) < maxQuery {
		p.search(p.query + string(k))
	}
}

func (p *picker) move(by int) {
	p.at = max(0, min(p.at+by, len(p.found)-1))
}

const (
	leave = "\r\x1b[J\x1b[?2004l\x1b[?25h" // undoes all that frame has done
	usage = "type to search, Enter chooses, Esc leaves"
)

// enter goes to a line of our own: blanks up to the last column go to the next
// line, but from the first column.
func (p *picker) enter() string {
	return strings.Repeat(" ", p.cols-1) + "\r\x1b[J"
}

// frame draws everything, from the line of the query, where the cursor is and
// will be. What was there is written over rather than cleared first, so that
// nothing flickers. No line reaches the last column, where terminals differ.
// What is pasted arrives marked as such, so that a newline in it chooses nothing.
func (p *picker) frame() string {
	var b strings.Builder
	room := p.cols - 1
	b.WriteString("\x1b[?2004h\x1b[?25l\r")

	// the query, of which the end counts
	prompt := p.prompt + ": "
	if cells(prompt)+10 > room {
		prompt = "> "
	}
	prompt = prompt[:min(len(prompt), room)]
	query := p.query
	for cells(prompt)+cells(query) > room {
		_, size := utf8.DecodeRuneInString(query)
		query = query[size:]
	}
	b.WriteString(prompt + query)
	cursor := cells(prompt) + cells(query)
	if p.query == "" && cursor+len(usage) <= room {
		b.WriteString(p.style.quiet + usage + reset)
	}
	b.WriteString("\x1b[K")

	page, below := p.page(), 0
	p.top = min(p.top, p.at, max(len(p.found)-page, 0)) // a page grows with the terminal
	p.top = max(p.top, p.at-page+1)
	line := func() *strings.Builder {
		b.WriteString("\r\n")
		below++
		return &b
	}
	for i := p.top; i < min(p.top+page, len(p.found)); i++ {
		p.drawRow(line(), p.found[i], i == p.at)
		b.WriteString("\x1b[K")
	}
	note := ""
	if len(p.found) == 0 {
		note = "  nothing matches"
	} else if len(p.found) > page {
		note = fmt.Sprintf("  %d-%d of %d", p.top+1, p.top+page, len(p.found))
	}
	if note != "" && below < p.lines-1 {
		line().WriteString(p.style.quiet + note[:min(len(note), room)] + reset + "\x1b[K")
	}

	b.WriteString("\x1b[J\r")
	if below > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", below)
	}
	if cursor > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", cursor)
	}
	b.WriteString("\x1b[?25h")
	return b.String()
}

const reset = "\x1b[0m"

// drawRow writes the name and, where there is room, the detail. The column of
// details is the same for all rows.
func (p *picker) drawRow(b *strings.Builder, h hit, marked bool) {
	const mark, gap = 2, 2
	room := p.cols - 1 - mark
	if room < 1 {
		return
	}
	name := min(p.nameWidth, room)
	// An account number is worth having, but not for a name that nobody can
	// read any more.
	least := min(p.detailWidth, len("123456789012")+1)
	if name+gap+least > room {
		name = min(room, max(room-gap-least, 20))
	}
	detail := min(p.detailWidth, room-name-gap)
	if detail < least {
		detail, name = 0, min(p.nameWidth, room)
	}

	base := ""
	if marked {
		base = p.style.marked
		b.WriteString(p.style.mark + ">" + reset + " ")
	} else {
		b.WriteString("  ")
	}
	row := p.rows[h.item]
	used := p.paint(b, cutMiddle(row.name, name), h.name, base)
	if detail > 0 && row.detail != "" {
		b.WriteString(strings.Repeat(" ", name-used+gap))
		p.paint(b, cutEnd(row.detail, detail), h.detail, p.style.quiet)
	}
}

// paint writes glyphs, those at the offsets in matches as such, and returns
// their width.
func (p *picker) paint(b *strings.Builder, glyphs []glyph, matches []int, base string) (used int) {
	now := ""
	for _, g := range glyphs {
		want := base
		if slices.Contains(matches, g.at) {
			want = p.style.match
		}
		if want != now {
			if now != "" {
				b.WriteString(reset)
			}
			b.WriteString(want)
			now = want
		}
		b.WriteRune(g.r)
		used += cellsOf(g.r)
	}
	if now != "" {
		b.WriteString(reset)
	}
	return used
}

// glyph is a rune and where it stands in its text.
type glyph struct {
	r  rune
	at int
}

const ellipsis = '…'

// cutMiddle keeps both ends of a text that is too wide: names often differ in
// their ends alone.
func cutMiddle(s string, width int) []glyph {
	all := glyphs(s)
	if cells(s) <= width {
		return all
	}
	if width < 1 {
		return nil
	}
	tail, used := len(all), 0
	for tail > 0 && used+cellsOf(all[tail-1].r) <= (width-1)/2 {
		tail--
		used += cellsOf(all[tail].r)
	}
	head := 0
	for used+cellsOf(all[head].r) <= width-1 {
		used += cellsOf(all[head].r)
		head++
	}
	return slices.Concat(all[:head], []glyph{{ellipsis, -1}}, all[tail:])
}

// cutEnd drops the end of a text that is too wide.
func cutEnd(s string, width int) []glyph {
	all := glyphs(s)
	if cells(s) <= width {
		return all
	}
	if width < 1 {
		return nil
	}
	head, used := 0, 0
	for used+cellsOf(all[head].r) <= width-1 {
		used += cellsOf(all[head].r)
		head++
	}
	for head > 0 && all[head-1].r == ' ' {
		head--
	}
	return append(all[:head:head], glyph{ellipsis, -1})
}

func glyphs(s string) []glyph {
	all := make([]glyph, 0, len(s))
	for at, r := range s {
		all = append(all, glyph{r, at})
	}
	return all
}

// Width is how many columns of the terminal s takes up.
func Width(s string) int { return cells(s) }

func cells(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

func cellsOf(r rune) int {
	if r < 0x300 { // where the combining marks begin
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// The keys that are no rune.
const (
	keyUnknown rune = -iota - 1
	keyEscape
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyBackTab
	keyWordBack
	keyPaste  // what follows is pasted
	keyPasted // up to here
)

// ctrl is what the key sends together with Ctrl.
func ctrl(key rune) rune { return key & 0x1f }

// parseKey reads the first key of what a terminal sent, in the sequences of
// xterm (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html) and their
// variants in rxvt and the Linux console. A size of 0 says that the key may not
// be complete; with last it is as complete as it gets.
func parseKey(typed []byte, last bool) (k rune, size int) {
	if typed[0] != '\x1b' {
		if !last && !utf8.FullRune(typed) {
			return 0, 0
		}
		k, size = utf8.DecodeRune(typed)
		if k == utf8.RuneError && size == 1 {
			k = keyUnknown
		}
		return k, size
	}
	if len(typed) == 1 {
		if last {
			return keyEscape, 1
		}
		return 0, 0
	}
	switch typed[1] {
	case '[':
		for i, c := range typed[2:] {
			if c < 0x20 || c > 0x7e {
				return keyUnknown, i + 2 // no part of a sequence
			}
			if c >= 0x40 {
				return sequence(typed[2:i+2], c), i + 3
			}
		}
	case 'O':
		if len(typed) > 2 {
			return sequence(nil, typed[2]), 3
		}
	case ']', 'P', '_':
		// A string, up to BEL or ESC \: the late answer to what another program
		// has asked the terminal.
		for i, c := range typed[2:] {
			switch {
			case c == '\a':
				return keyUnknown, i + 3
			case c == '\x1b' && i+3 == len(typed):
				if last {
					return keyUnknown, i + 2
				}
				return 0, 0
			case c == '\x1b' && typed[i+3] == '\\':
				return keyUnknown, i + 4
			case c == '\x1b':
				return keyUnknown, i + 2
			}
		}
	case 0x7f, '\b':
		return keyWordBack, 2
	case '\x1b':
		return keyEscape, 1
	default:
		if last || utf8.FullRune(typed[1:]) {
			_, size := utf8.DecodeRune(typed[1:])
			return keyUnknown, 1 + size // with Alt
		}
	}
	if last {
		return keyUnknown, len(typed)
	}
	return 0, 0
}

// sequence is the key of ESC [ params final, or ESC O final.
func sequence(params []byte, final byte) rune {
	switch final {
	case 'A':
		return keyUp
	case 'B':
		return keyDown
	case 'H':
		return keyHome
	case 'F':
		return keyEnd
	case 'Z':
		return keyBackTab
	case '~':
		number, _, _ := strings.Cut(string(params), ";")
		switch number {
		case "1", "7":
			return keyHome
		case "4", "8":
			return keyEnd
		case "5":
			return keyPageUp
		case "6":
			return keyPageDown
		case "200":
			return keyPaste
		case "201":
			return keyPasted
		case "27": // xterm's modifyOtherKeys
			mods, code, _ := strings.Cut(strings.TrimPrefix(string(params), "27;"), ";")
			return encoded(code, mods)
		}
	case 'u':
		code, mods, _ := strings.Cut(string(params), ";")
		return encoded(code, mods)
	}
	return keyUnknown
}

// encoded is the key of a sequence that names it by its code point, which a
// program may have left the terminal to send for keys with modifiers and Escape
// (https://sw.kovidgoyal.net/kitty/keyboard-protocol/).
func encoded(code, mods string) rune {
	k, err := strconv.ParseUint(code, 10, 31)
	m, _ := strconv.Atoi(mods) // none is none
	const alt, control = 2, 4
	switch m = max(m-1, 0); {
	case err != nil || k > utf8.MaxRune || m&alt != 0:
		return keyUnknown
	case m&control != 0 && 'a' <= k && k <= 'z':
		return ctrl(rune(k))
	case m&control != 0:
		return keyUnknown
	case k == '\x1b':
		return keyEscape
	}
	return rune(k)
}

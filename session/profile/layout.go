package profile

import (
	"bytes"
	"strings"
)

// The layout of a file: which lines are sections, settings and their
// continuations. It follows Python's configparser as botocore uses it, because
// that is what the AWS CLI does: a line indented deeper than the setting above
// it continues that setting, whatever it looks like. Values are decoded
// elsewhere (decode.go); the layout is what gives every value its line number
// and what lets an edit change only the lines it must.

type lineKind uint8

const (
	blankLine lineKind = iota // nothing, or a comment
	headerLine
	settingLine
	moreLine // continues the setting above it
)

// line is one line of a file. lo and hi bound its text without the indentation,
// trailing blanks and line ending; [start, next) is all of it.
type line struct {
	kind             lineKind
	num              int
	start, next      int
	lo, hi           int
	nameEnd, valueLo int // settingLine: end of the name, first byte after the delimiter; nameEnd < lo if there is none
}

type scanner struct {
	data   []byte
	pos    int
	num    int
	open   bool // a setting may be continued
	indent int  // of that setting
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\f' || b == '\v' }

// next reads the next line into l, which spares the time to copy it.
func (s *scanner) next(l *line) bool {
	if s.pos >= len(s.data) {
		return false
	}
	s.num++
	*l = line{num: s.num, start: s.pos, next: len(s.data)}
	l.hi = l.next
	if i := bytes.IndexByte(s.data[s.pos:], '\n'); i >= 0 {
		l.hi = s.pos + i
		l.next = l.hi + 1
	}
	s.pos = l.next
	l.lo = l.start
	for l.lo < l.hi && isBlank(s.data[l.lo]) {
		l.lo++
	}
	for l.hi > l.lo && isBlank(s.data[l.hi-1]) {
		l.hi--
	}
	if l.lo == l.hi {
		return true
	}
	switch s.data[l.lo] {
	case '#', ';':
		return true
	}
	indent := l.lo - l.start
	if s.open && indent > s.indent {
		l.kind = moreLine
		return true
	}
	if s.data[l.lo] == '[' {
		l.kind = headerLine
		s.open = false
		return true
	}
	l.kind = settingLine
	s.open, s.indent = true, indent
	l.nameEnd = l.lo - 1
	text := s.data[l.lo:l.hi]
	end := bytes.IndexByte(text, '=')
	if end < 0 {
		end = len(text)
	}
	if colon := bytes.IndexByte(text[:end], ':'); colon >= 0 {
		end = colon
	}
	if end < len(text) {
		l.nameEnd, l.valueLo = l.lo+end, l.lo+end+1
		for l.nameEnd > l.lo && isBlank(s.data[l.nameEnd-1]) {
			l.nameEnd--
		}
	}
	return true
}

type sectionKind uint8

const (
	otherSection   sectionKind = iota // no profile: [plugins], a section without a name, an IdP's address
	bareSection                       // [x], [default]
	profileSection                    // [profile x]
	ssoSection                        // [sso-session x]
	servicesSection
)

// section is a header and the lines up to the next one.
type section struct {
	kind             sectionKind
	line             int
	start, body, end int // the header's line, the line after it, the next header
	headLo, headHi   int // the text between the brackets
	nameLo, nameHi   int // the name in it, as written
}

// badLine says what is wrong with a line. Its text never quotes the line, which
// may hold a secret.
type badLine struct {
	num     int
	message string
}

var utf8BOM = "\xef\xbb\xbf"

// lay finds the sections of a file. credentials says that it is the credentials
// file, where [profile x] is no profile and a section may be named by the
// address of an identity provider.
func lay(data []byte, credentials bool) ([]section, *badLine) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, &badLine{1, "the file is UTF-16: save it as UTF-8"}
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &badLine{1 + bytes.Count(data[:i], []byte("\n")), "a NUL byte"}
	}
	s := scanner{data: data}
	if bytes.HasPrefix(data, []byte(utf8BOM)) {
		s.pos = len(utf8BOM)
	}
	all := make([]section, 0, 1+bytes.Count(data, []byte("\n[")))
	var l line
	for s.next(&l) {
		switch l.kind {
		case headerLine:
			lo, hi, ok := header(data, l.lo, l.hi)
			if !ok {
				return nil, &badLine{l.num, "a section header without its closing bracket"}
			}
			if lo == hi {
				return nil, &badLine{l.num, "a section without a name"}
			}
			if n := len(all); n > 0 {
				all[n-1].end = l.start
			}
			all = append(all, section{line: l.num, start: l.start, body: l.next, end: len(data), headLo: lo, headHi: hi})
			classify(data, &all[len(all)-1], credentials)
		case settingLine:
			switch {
			case l.nameEnd < l.lo:
				return nil, &badLine{l.num, "neither a section nor a setting (name = value)"}
			case l.nameEnd == l.lo:
				return nil, &badLine{l.num, "a setting without a name"}
			case len(all) == 0:
				return nil, &badLine{l.num, "a setting before the first section"}
			}
		}
	}
	return all, nil
}

// header bounds the text between the brackets of a header line. The closing
// bracket is the first one that only a comment may follow, so names can hold
// brackets, and comments too.
func header(data []byte, lo, hi int) (int, int, bool) {
	for i := lo + 1; i < hi; i++ {
		if data[i] != ']' {
			continue
		}
		rest := i + 1
		for rest < hi && isBlank(data[rest]) {
			rest++
		}
		if rest == hi || data[rest] == '#' || data[rest] == ';' {
			lo, hi = lo+1, i
			for lo < hi && isBlank(data[lo]) {
				lo++
			}
			for hi > lo && isBlank(data[hi-1]) {
				hi--
			}
			return lo, hi, true
		}
	}
	return 0, 0, false
}

func classify(data []byte, s *section, credentials bool) {
	s.nameLo, s.nameHi = s.headLo, s.headHi
	s.kind = bareSection
	head := data[s.headLo:s.headHi]
	word := bytes.IndexByte(head, ' ')
	if tab := bytes.IndexByte(head, '\t'); tab >= 0 && (word < 0 || tab < word) {
		word = tab
	}
	prefix := head
	if word >= 0 {
		prefix = head[:word]
	}
	kind := otherSection
	switch string(prefix) {
	case "profile":
		kind = profileSection
		if credentials {
			kind = otherSection
		}
	case "sso-session":
		kind = ssoSection
	case "services":
		kind = servicesSection
	default:
		// The AWS CLI keeps settings of its own in these two.
		if !credentials && (string(head) == "plugins" || string(head) == "preview") ||
			credentials && bytes.Contains(head, []byte("://")) {
			s.kind = otherSection
		}
		return
	}
	if word < 0 {
		// [profile] is a profile of that name in the credentials file, and
		// nothing in the config file.
		if !credentials {
			s.kind = otherSection
		}
		return
	}
	s.kind = kind
	s.nameLo += word
	for s.nameLo < s.nameHi && isBlank(data[s.nameLo]) {
		s.nameLo++
	}
}

// name returns the section's name with its quotes removed: [profile "a b"] and
// [profile 'a b'] are a b. A bare name and one whose quotes do not match are
// taken as they are.
func (s *section) name(data []byte) string {
	raw := string(data[s.nameLo:s.nameHi])
	if s.kind == bareSection || s.kind == otherSection {
		return raw
	}
	return unquoteName(raw)
}

func unquoteName(raw string) string {
	if raw == "" || raw[0] != '"' && raw[0] != '\'' {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); {
		quote := raw[i]
		if quote != '"' && quote != '\'' {
			return raw
		}
		i++
		for ; ; i++ {
			if i >= len(raw) {
				return raw
			}
			c := raw[i]
			if c == quote {
				break
			}
			if c == '\\' && quote == '"' && i+1 < len(raw) && (raw[i+1] == '"' || raw[i+1] == '\\') {
				i++
				c = raw[i]
			}
			b.WriteByte(c)
		}
		i++
	}
	return b.String()
}

// is reports whether the section has this name, without allocating for the
// plain names that nearly all are.
func (s *section) is(data []byte, name string) bool {
	raw := data[s.nameLo:s.nameHi]
	if len(raw) > 0 && (raw[0] == '"' || raw[0] == '\'') {
		return s.name(data) == name
	}
	return string(raw) == name
}

// begins reports whether the section's name has this prefix, likewise.
func (s *section) begins(data []byte, prefix string) bool {
	raw := data[s.nameLo:s.nameHi]
	if len(raw) > 0 && (raw[0] == '"' || raw[0] == '\'') {
		return strings.HasPrefix(s.name(data), prefix)
	}
	return len(raw) >= len(prefix) && string(raw[:len(prefix)]) == prefix
}

// entry is one setting of a section.
type entry struct {
	name             string // lower case, as configparser reads it
	line             int
	start, lineEnd   int // the first line, [start, lineEnd)
	end              int // after its last continuation
	nameLo           int
	nameEnd, valueLo int
	valueHi          int    // end of the first line's text
	more             []line // its continuations
}

// entries lists the settings of a section in the order of the file.
func entries(data []byte, sec *section) []entry {
	var all []entry
	s := scanner{data: data[:sec.end], pos: sec.body, num: sec.line}
	var l line
	for s.next(&l) {
		switch l.kind {
		case settingLine:
			all = append(all, entry{
				name: strings.ToLower(string(data[l.lo:l.nameEnd])), line: l.num,
				start: l.start, lineEnd: l.next, end: l.next,
				nameLo: l.lo, nameEnd: l.nameEnd, valueLo: l.valueLo, valueHi: l.hi,
			})
		case moreLine:
			e := &all[len(all)-1]
			e.more = append(e.more, l)
			e.end = l.next
		}
	}
	return all
}

// valueEnd returns where the value in data[lo:hi], the text after a delimiter,
// ends: before an inline comment, which begins with # or ; after a blank. That
// is the rule of the AWS SDKs; the AWS CLI knows no inline comments. As in a
// shell, a comment does not begin inside a quoted word.
func valueEnd(data []byte, lo, hi int) int {
	var quote byte
	opened := 0
	first := lo
	if bytes.IndexByte(data[lo:hi], '#') < 0 && bytes.IndexByte(data[lo:hi], ';') < 0 {
		first = hi // no comment, as nearly always
	}
	for i := first; i < hi; i++ {
		c := data[i]
		before := i == lo || isBlank(data[i-1])
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else if i == hi-1 {
				// It is never closed, so it is no quote: read on behind it.
				quote, i = 0, opened
			}
		case (c == '"' || c == '\'') && (before || data[i-1] == '=') && i < hi-1:
			quote, opened = c, i
		case (c == '#' || c == ';') && i > lo && before:
			for i > lo && isBlank(data[i-1]) {
				i--
			}
			return i
		}
	}
	for hi > lo && isBlank(data[hi-1]) {
		hi--
	}
	return hi
}

package saml

import (
	"bytes"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// charset is an encoding of pages and of the forms in them; nil is UTF-8. There
// are those of Western Europe besides. The tables of all others would be a
// hundredth of the program, and in such pages what matters here, names and
// addresses, is ASCII, which is read right without them.
//
// https://encoding.spec.whatwg.org/#legacy-single-byte-encodings
type charset struct {
	name   string
	differ map[byte]rune // from ISO-8859-1
}

func charsetOf(label string) *charset {
	switch plainLabel(label) {
	case "windows1252", "cp1252", "xcp1252", "iso88591", "latin1", "l1", "ascii", "usascii":
		// Browsers take all of them for the first.
		c := &charset{name: "windows-1252", differ: map[byte]rune{}}
		for i, r := range []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ") {
			c.differ[0x80+byte(i)] = r
		}
		return c
	case "iso885915", "latin9", "l9":
		return &charset{name: "iso-8859-15", differ: map[byte]rune{0xa4: '€', 0xa6: 'Š', 0xa8: 'š', 0xb4: 'Ž', 0xb8: 'ž', 0xbc: 'Œ', 0xbd: 'œ', 0xbe: 'Ÿ'}}
	}
	return nil
}

// plainLabel has neither capitals nor punctuation.
func plainLabel(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, s)
}

func (c *charset) String() string {
	if c == nil {
		return "UTF-8"
	}
	return c.name
}

func (c *charset) decode(text []byte) []byte {
	if c == nil {
		return bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	out := make([]byte, 0, len(text)+len(text)/8)
	for _, b := range text {
		r, ok := c.differ[b]
		if !ok {
			r = rune(b)
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// encode makes a character reference of what c lacks, as the standard has it.
func (c *charset) encode(s string) string {
	if c == nil {
		return s
	}
	var out []byte
	for _, r := range s {
		_, differs := c.differ[byte(r)]
		switch {
		case r < 0x100 && !differs:
			out = append(out, byte(r))
		default:
			found := false
			for b, other := range c.differ {
				if other == r {
					out, found = append(out, b), true
				}
			}
			if !found {
				out = append(out, "&#"+strconv.Itoa(int(r))+";"...)
			}
		}
	}
	return string(out)
}

// decode makes UTF-8 of a page and tells the encoding that its forms are
// submitted in: a byte order mark, the Content-Type header, a meta element
// within the first 1024 bytes, else UTF-8 where the page is that.
//
// https://html.spec.whatwg.org/multipage/parsing.html#determining-the-character-encoding
func decode(body []byte, contentType string) ([]byte, *charset) {
	if rest, ok := bytes.CutPrefix(body, []byte("\xef\xbb\xbf")); ok {
		return rest, nil
	}
	label := ""
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		label = params["charset"]
	}
	if label == "" {
		label = metaCharset(body[:min(len(body), 1024)])
	}
	c := charsetOf(label)
	if label == "" && !utf8.Valid(body) {
		c = charsetOf("windows-1252")
	}
	return c.decode(body), c
}

func metaCharset(head []byte) string {
	for z := html.NewTokenizer(bytes.NewReader(head)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.Data != "meta" {
				continue
			}
			var equiv, content string
			for _, a := range t.Attr {
				switch a.Key {
				case "charset":
					return a.Val
				case "http-equiv":
					equiv = a.Val
				case "content":
					content = a.Val
				}
			}
			if strings.EqualFold(equiv, "content-type") {
				if _, params, err := mime.ParseMediaType(content); err == nil && params["charset"] != "" {
					return params["charset"]
				}
			}
		}
	}
}

package saml

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// charset finds the encoding that a label names, nil for UTF-8. It knows the
// single-byte encodings of the Encoding standard, which are what pages of
// identity providers use besides UTF-8. The tables of the East Asian ones weigh
// more than all the rest of this package; names and addresses in such pages are
// ASCII, and are read right without them.
//
// https://encoding.spec.whatwg.org/#names-and-labels
func charset(label string) encoding.Encoding {
	label = plainLabel(label)
	switch label {
	case "latin1", "l1", "ascii", "usascii", "iso88591", "cp1252", "xcp1252":
		return charmap.Windows1252
	case "iso88599", "latin5", "l5":
		return charmap.Windows1254
	}
	if number, ok := strings.CutPrefix(strings.TrimPrefix(label, "x"), "cp12"); ok {
		label = "windows12" + number
	}
	for _, e := range charmap.All {
		if name, ok := e.(fmt.Stringer); ok && label != "" && plainLabel(name.String()) == label {
			return e
		}
	}
	return nil
}

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

// decode makes UTF-8 of a page and tells the encoding that its forms are
// submitted in: a byte order mark, the Content-Type header, a meta element
// within the first 1024 bytes, else UTF-8 where the page is that.
//
// https://html.spec.whatwg.org/multipage/parsing.html#determining-the-character-encoding
func decode(body []byte, contentType string) ([]byte, encoding.Encoding) {
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
	enc := charset(label)
	if label == "" && !utf8.Valid(body) {
		enc = charmap.Windows1252
	}
	if enc == nil {
		return bytes.ToValidUTF8(body, []byte("\uFFFD")), nil
	}
	out, err := enc.NewDecoder().Bytes(body)
	if err != nil {
		return bytes.ToValidUTF8(body, []byte("\uFFFD")), nil
	}
	return out, enc
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

// encode is s in an encoding; what that lacks becomes a character reference,
// as the standard has it.
func encode(s string, enc encoding.Encoding) string {
	if enc == nil {
		return s
	}
	out, err := encoding.HTMLEscapeUnsupported(enc.NewEncoder()).String(s)
	if err != nil {
		return s
	}
	return out
}

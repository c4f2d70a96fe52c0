package keychain

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	itemPrefix   = "aws-runas/"        // of every record's name
	partPrefix   = "aws-runas-part/"   // of the parts of records that are too large for one item
	unlockPrefix = "aws-runas-unlock/" // of the encrypted file's key in the kernel keyring
)

// A codec turns a key into the name that one backend stores it under, and back.
// Bytes that are not safe are written as the escape character and two hex
// digits; '~' marks a name that was too long and ends in a digest instead.
type codec struct {
	prefix  string
	escape  byte
	slash   string // stands for the slash between KIND and PROFILE
	longest int    // bytes, of the part after the prefix
	safe    func(rune) bool
}

// labels is for backends that take any text, and show it to people.
var labels = codec{prefix: itemPrefix, escape: '%', slash: "/", longest: 1100, safe: func(r rune) bool {
	// The kernel keyring separates the fields of a description by ';'.
	return unicode.IsPrint(r) && r != '%' && r != '~' && r != ';'
}}

// files returns the codec for names of files: no separators, no options, nothing
// that a file system folds or normalises.
func files(prefix, slash string, foldsCase bool) codec {
	return codec{prefix: prefix, escape: '=', slash: slash, longest: 180, safe: func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return true
		case 'A' <= r && r <= 'Z':
			return !foldsCase
		}
		return strings.ContainsRune("_-@+,#", r)
	}}
}

// name returns the name under which key is stored.
func (c codec) name(key string) string {
	kind, rest, _ := strings.Cut(key, "/")
	name := kind + c.slash + c.escaped(rest)
	if len(name) > c.longest {
		sum := sha256.Sum256([]byte(key))
		end := c.longest - 1 - 2*len(sum)
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		name = name[:end] + "~" + hex.EncodeToString(sum[:])
	}
	return c.prefix + name
}

// key is the inverse of name. It returns ours = false for a name that is not of
// this package's making, and "" for one that was shortened.
func (c codec) key(name string) (key string, ours bool) {
	rest, ok := strings.CutPrefix(name, c.prefix)
	if !ok {
		return "", false
	}
	if strings.Contains(rest, "~") {
		return "", true
	}
	kind, rest, ok := strings.Cut(rest, c.slash)
	if !ok {
		return "", false
	}
	plain, ok := c.unescaped(rest)
	if !ok {
		return "", false
	}
	key = kind + "/" + plain
	return key, check(key) == nil && c.name(key) == name
}

func (c codec) escaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r != utf8.RuneError || size > 1) && c.safe(r) {
			b.WriteString(s[i : i+size])
		} else {
			for _, raw := range []byte(s[i : i+size]) {
				b.WriteByte(c.escape)
				b.WriteString(hex.EncodeToString([]byte{raw}))
			}
		}
		i += size
	}
	return b.String()
}

func (c codec) unescaped(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != c.escape {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		raw, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b.WriteByte(raw[0])
		i += 2
	}
	return b.String(), true
}

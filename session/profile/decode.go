package profile

import (
	"bytes"
	"strings"

	"gopkg.in/ini.v1"
)

// setting is a decoded setting of a file.
type setting struct {
	name   string
	value  string
	nested []string // the "name = value" lines under a setting without a value
	line   int
	more   int // the line on which a value goes on that may not, else 0
}

// decode reads those settings of a section that want accepts; of a setting that
// occurs twice the last counts, as in the AWS SDKs.
//
// ini.v1 gets only these settings, one a line and without comments: it needs
// more than 100 ms for a file of 10,000 profiles, and knows neither AWS's
// comments nor its indentation.
func decode(data []byte, sec *section, want func(name string) bool) ([]setting, *badLine) {
	all := entries(data, sec)
	last := make(map[string]int, len(all))
	for i, e := range all {
		last[e.name] = i
	}
	var text bytes.Buffer
	var settings []setting
	for i, e := range all {
		if last[e.name] != i || !want(e.name) {
			continue
		}
		s := setting{name: e.name, line: e.line}
		value := rawValue(data, e.valueLo, e.valueHi)
		if strings.HasPrefix(value, "`") || strings.HasPrefix(value, `"""`) {
			// Quotes to ini.v1, but characters like any other to AWS's tools.
			return nil, &badLine{e.line, "the value of " + e.name + " begins with a quote that AWS's tools do not know"}
		}
		text.WriteString(e.name + " = " + value)
		for _, m := range e.more {
			more := string(data[m.lo:m.hi])
			switch {
			case value == "":
				text.WriteString("\n\t" + more)
			case isCommand(e.name):
				text.WriteString(" " + more)
			case s.more == 0:
				s.more = m.num
			}
		}
		text.WriteByte('\n')
		settings = append(settings, s)
	}
	if len(settings) == 0 {
		return nil, nil
	}
	f, err := ini.LoadSources(ini.LoadOptions{
		AllowNestedValues:       true,
		IgnoreContinuation:      true, // a backslash at the end is a character
		IgnoreInlineComment:     true, // removed above, by AWS's rule
		PreserveSurroundedQuote: true, // see unquote
	}, text.Bytes())
	if err != nil {
		return nil, &badLine{sec.line, "the section cannot be read"}
	}
	keys := f.Section("").Keys()
	if len(keys) != len(settings) {
		return nil, &badLine{sec.line, "the section cannot be read"}
	}
	for i, k := range keys {
		settings[i].value = k.Value()
		settings[i].nested = k.NestedValues()
		if !isCommand(k.Name()) {
			settings[i].value = unquote(settings[i].value)
		}
	}
	return settings, nil
}

// rawValue returns the value in data[lo:hi], the text after a delimiter, with
// its quotes and without a comment.
func rawValue(data []byte, lo, hi int) string {
	return string(bytes.TrimSpace(data[lo:valueEnd(data, lo, hi)]))
}

// isCommand reports whether the value is a command line, whose quotes are its
// own and which may go on in the next line.
func isCommand(name string) bool {
	return name == "credential_process" || name == "mfa_process"
}

// unquote removes the quotes round a whole value, as the AWS SDKs do.
func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] &&
		strings.IndexByte(value[1:n-1], value[0]) < 0 {
		return value[1 : n-1]
	}
	return value
}

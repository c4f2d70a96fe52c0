package profile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// Section is a section to write: its header without the brackets, and its
// settings.
type Section struct {
	Header   string
	Settings []KV
}

// SetBlock makes sections the content of the marked block of that name in a
// config file: what stood between its marks before goes, all else stays to the
// letter. Without sections the block goes. It is written as [SetSection] does.
//
// A mark without its partner is an error, since what stands behind it may be
// somebody's own.
func SetBlock(path, name string, sections []Section) error {
	return edit(path, func(data []byte) ([]byte, error) { return setBlock(data, name, sections) })
}

func setBlock(data []byte, name string, sections []Section) ([]byte, error) {
	if !printable(name) {
		return nil, errors.New("the name of the block has a line break or a control character in it")
	}
	eol := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		eol = "\r\n"
	}
	first, last := "# begin "+name+", written by aws-runas: changes between these lines are lost", "# end "+name
	var block []byte
	for _, s := range sections {
		var text []byte
		text, err := setSection(nil, s.Header, s.Settings)
		if err != nil {
			return nil, err
		}
		block = append(append(block, bytes.TrimSpace(text)...), "\n\n"...)
	}
	if len(sections) > 0 {
		block = slices.Concat([]byte(first+"\n"), bytes.TrimRight(block, "\n"), []byte("\n"+last+"\n"))
		block = bytes.ReplaceAll(block, []byte("\n"), []byte(eol))
	}
	from, to := -1, -1
	for at, rest := 0, data; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		switch strings.TrimRight(string(line), " \t\r") {
		case first:
			if from >= 0 {
				return nil, errors.New("the mark " + first + " stands twice")
			}
			from = at
		case last:
			if from < 0 || to >= 0 {
				return nil, errors.New("the mark " + last + " stands without its partner")
			}
			to = at + len(rest) - len(after)
		}
		at += len(rest) - len(after)
		rest = after
	}
	switch {
	case from >= 0 && to < 0:
		return nil, errors.New("the mark " + first + " stands without its partner")
	case from >= 0:
		return slices.Concat(data[:from], block, data[to:]), nil
	case len(block) == 0:
		return data, nil
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(slices.Clip(data), eol...)
	}
	if len(data) > 0 {
		data = append(slices.Clip(data), eol...)
	}
	return append(slices.Clip(data), block...), nil
}

// InBlock returns the names of the profiles that stand in the marked block of
// that name.
func (c *Config) InBlock(name string) []string {
	begin := bytes.Index(c.config.data, []byte("# begin "+name+", written by aws-runas"))
	end := bytes.Index(c.config.data, []byte("# end "+name))
	var names []string
	for i := range c.config.sections {
		if s := &c.config.sections[i]; begin >= 0 && s.headLo > begin && s.headLo < end {
			names = append(names, s.name(c.config.data))
		}
	}
	return names
}

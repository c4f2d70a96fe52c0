package profile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// KV is a setting to write. An empty value removes it.
type KV struct{ Key, Value string }

// SetSection writes settings into a section of a config or credentials file,
// in place: it changes the lines of these settings and nothing else. A section
// that is not there is added at the end, and a file and its folder are made
// (0600 and 0700). section is the header without its brackets; see
// [Config.Header] for a profile's in the config file.
//
// The file is replaced by a complete new one or not at all, under a lock that
// holds between processes (FILE.lock beside it). A symbolic link stays and its
// target is edited. The file's mode ends as 0600 or what is less. What could
// not be read back as it was given is an error: a line break, a control
// character, blanks at the ends, what looks like a comment. Every error is an
// [*Error], and none quotes a value.
func SetSection(path, section string, settings []KV) error {
	return edit(path, func(data []byte) ([]byte, error) {
		return setSection(data, section, settings)
	})
}

// RemoveSection removes a section from a file with all that stands in it, but
// the comments that follow its last setting. Where there is no such file or
// section it does nothing.
func RemoveSection(path, section string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return edit(path, func(data []byte) ([]byte, error) {
		return removeSection(data, section)
	})
}

// Header returns the header of a profile's section in the config file, without
// its brackets: that of the section that there is, else "profile NAME", quoted
// as the AWS CLI quotes it.
func (c *Config) Header(name string) string {
	if in, _ := c.sections(name); len(in) > 0 {
		return c.config.head(in[len(in)-1])
	}
	switch {
	case name == "default":
		return name
	case !strings.ContainsAny(name, " \t\"'"):
		return "profile " + name
	case !strings.Contains(name, "'"):
		return "profile '" + name + "'"
	}
	return `profile "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

var errNotWritable = errors.New("cannot be written so that it reads the same")

func setSection(data []byte, header string, settings []KV) ([]byte, error) {
	if !printable(header) {
		return nil, errors.New("the section's name has a line break or a control character in it")
	}
	for _, kv := range settings {
		if kv.Key == "" || !all(kv.Key, isNameByte) || strings.ToLower(kv.Key) != kv.Key {
			return nil, errors.New("a setting's name is made of a-z, 0-9, _ and -")
		}
		if !printable(kv.Value) {
			return nil, errors.New("the value of " + kv.Key + " has a line break or a control character in it")
		}
	}
	for _, kv := range settings {
		var err error
		if data, err = setKey(data, header, kv); err != nil {
			return nil, err
		}
	}
	// Read it back: the rules for what a value and a name can be are those of
	// the reader, and stand there alone.
	found, err := find(data, header)
	if err != nil {
		return nil, err
	}
	read := map[string]string{}
	for _, s := range found {
		got, bad := decode(data, &s, func(name string) bool { return all(name, isNameByte) })
		if bad != nil {
			return nil, bad
		}
		for _, x := range got {
			if x.more > 0 || len(x.nested) > 0 {
				x.value += "\n"
			}
			read[x.name] = x.value
		}
	}
	for i, kv := range settings {
		again := false
		for _, later := range settings[i+1:] {
			again = again || later.Key == kv.Key
		}
		if !again && read[kv.Key] != kv.Value {
			return nil, errors.New("the value of " + kv.Key + " " + errNotWritable.Error())
		}
	}
	return data, nil
}

func (b *badLine) Error() string { return b.message }

// printable reports whether s fits on a line: no line break (of Unicode
// either: Python has more of them than others) and no control character.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfffd {
			return false
		}
	}
	return true
}

// find returns the sections with that header: [profile x], [profile  x] and
// [profile "x"] are the same.
func find(data []byte, header string) ([]section, error) {
	all, bad := lay(data, false)
	if bad != nil {
		return nil, bad
	}
	text := []byte("[" + header + "]")
	wanted, bad := lay(text, false)
	if bad != nil || len(wanted) != 1 {
		return nil, errors.New("the section's name " + errNotWritable.Error())
	}
	w := &wanted[0]
	if string(text[w.headLo:w.headHi]) != header {
		return nil, errors.New("the section's name " + errNotWritable.Error())
	}
	name := w.name(text)
	var found []section
	for _, s := range all {
		if s.kind == w.kind && s.is(data, name) {
			found = append(found, s)
		}
	}
	return found, nil
}

func setKey(data []byte, header string, kv KV) ([]byte, error) {
	found, err := find(data, header)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if kv.Value == "" {
			return data, nil
		}
		return addSection(data, header, kv), nil
	}
	if kv.Value == "" {
		for i := len(found) - 1; i >= 0; i-- {
			all := entries(data, &found[i])
			for j := len(all) - 1; j >= 0; j-- {
				if all[j].name == kv.Key {
					data = splice(data, all[j].start, all[j].end, "")
				}
			}
		}
		return data, nil
	}
	for i := len(found) - 1; i >= 0; i-- {
		all := entries(data, &found[i])
		for j := len(all) - 1; j >= 0; j-- {
			if all[j].name == kv.Key {
				return replaceValue(data, all[j], kv.Value), nil
			}
		}
	}
	return addKey(data, &found[len(found)-1], kv), nil
}

func splice(data []byte, lo, hi int, text string) []byte {
	out := make([]byte, 0, len(data)-(hi-lo)+len(text))
	out = append(out, data[:lo]...)
	out = append(out, text...)
	return append(out, data[hi:]...)
}

// replaceValue leaves the name, the delimiter, the blanks round it and a
// comment behind the value alone.
func replaceValue(data []byte, e entry, value string) []byte {
	end := valueEnd(data, e.valueLo, e.valueHi)
	start := e.valueLo
	for start < end && isBlank(data[start]) {
		start++
	}
	if start == end {
		// There was none. A comment needs a blank before it to be one, and a
		// value looks as its name does.
		start, end = e.valueLo, e.valueLo
		if e.nameEnd < e.valueLo-1 || end < e.valueHi {
			value = " " + value
		}
	}
	data = splice(data, e.lineEnd, e.end, "") // the continuations
	return splice(data, start, end, value)
}

// addKey adds a setting after the last one of a section, in its manner.
func addKey(data []byte, s *section, kv KV) []byte {
	at, indent, delimiter := s.body, "", " = "
	if all := entries(data, s); len(all) > 0 {
		last := all[len(all)-1]
		at = last.end
		indent = string(data[last.start:last.nameLo])
		if last.nameEnd == last.valueLo-1 && last.valueLo < last.valueHi && !isBlank(data[last.valueLo]) {
			delimiter = "="
		}
	}
	text := indent + kv.Key + delimiter + kv.Value
	if at > 0 && data[at-1] != '\n' {
		return splice(data, at, at, lineEnding(data)+text)
	}
	return splice(data, at, at, text+lineEnding(data))
}

func addSection(data []byte, header string, kv KV) []byte {
	nl := lineEnding(data)
	var b bytes.Buffer
	b.Write(data)
	if len(data) > 0 {
		if data[len(data)-1] != '\n' {
			b.WriteString(nl)
		}
		if !bytes.HasSuffix(data, []byte(nl+nl)) && len(bytes.TrimSpace(bytes.TrimPrefix(data, []byte(utf8BOM)))) > 0 {
			b.WriteString(nl)
		}
	}
	b.WriteString("[" + header + "]" + nl + kv.Key + " = " + kv.Value + nl)
	return b.Bytes()
}

// lineEnding returns the one that the file's first line has.
func lineEnding(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func removeSection(data []byte, header string) ([]byte, error) {
	found, err := find(data, header)
	if err != nil {
		return nil, err
	}
	for i := len(found) - 1; i >= 0; i-- {
		s := &found[i]
		lo, hi := s.start, s.body
		if all := entries(data, s); len(all) > 0 {
			hi = all[len(all)-1].end
		}
		// Blank lines after it, and at the end of the file before it.
		for hi < s.end {
			n := bytes.IndexByte(data[hi:s.end], '\n')
			if n < 0 {
				n = s.end - hi - 1
			}
			if len(bytes.TrimSpace(data[hi:hi+n+1])) > 0 {
				break
			}
			hi += n + 1
		}
		if hi == len(data) {
			text := bytes.TrimRight(data[:lo], " \t\r\n")
			if n := bytes.IndexByte(data[len(text):lo], '\n'); n >= 0 {
				lo = len(text) + n + 1
			}
			if len(text) == 0 {
				lo = 0
			}
		}
		data = splice(data, lo, hi, "")
	}
	return data, nil
}

// lockWait is how long an edit waits for another process that holds the lock.
const lockWait = 10 * time.Second

func edit(path string, change func([]byte) ([]byte, error)) error {
	fail := func(err error) error {
		var bad *badLine
		if errors.As(err, &bad) {
			return &Error{Origin: Origin{File: path, Line: bad.num}, Message: bad.message}
		}
		var pe *fs.PathError
		cause := err
		if errors.As(err, &pe) {
			cause = pe.Err
		}
		var le *os.LinkError
		if errors.As(err, &le) {
			cause = le.Err
		}
		return &Error{Origin: Origin{File: path}, Message: "cannot be changed: " + cause.Error(), Err: err}
	}
	target, err := followLinks(path)
	if err != nil {
		return fail(err)
	}
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return fail(errors.New("it is no regular file"))
	}
	if err := makeDir(filepath.Dir(target)); err != nil {
		return fail(err)
	}
	lock := flock.New(target+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, 5*time.Millisecond); errors.Is(err, context.DeadlineExceeded) || err == nil && !ok {
		return fail(errors.New("another process holds " + target + ".lock"))
	} else if err != nil {
		return fail(err)
	}
	defer lock.Unlock()

	mode := fs.FileMode(0o600)
	var data []byte
	info, err := os.Stat(target)
	owner := info
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if owner, err = os.Stat(filepath.Dir(target)); err != nil {
			return fail(err)
		}
	case err != nil:
		return fail(err)
	default:
		mode &= info.Mode().Perm()
		if data, err = os.ReadFile(target); err != nil {
			return fail(err)
		}
	}
	if err := giveTo(owner, lock.Path()); err != nil {
		return fail(err)
	}
	changed, err := change(data)
	if err != nil {
		return fail(err)
	}
	if info != nil && bytes.Equal(changed, data) && (mode == info.Mode().Perm() || runtime.GOOS == "windows") {
		return nil
	}
	if err := replace(target, changed, mode, owner); err != nil {
		return fail(err)
	}
	return nil
}

// followLinks returns what path stands for, which need not exist.
func followLinks(path string) (string, error) {
	for range 40 {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", errors.New("too many symbolic links")
}

// replace writes a file beside path and renames it over path.
func replace(path string, data []byte, mode fs.FileMode, owner fs.FileInfo) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = giveTo(owner, f.Name()); err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

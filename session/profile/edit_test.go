package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetSection(t *testing.T) {
	const keep = "# head\n[a]\n; inner\nx=1\n\n# about b\n[b]\n  y : 2   # why\n  s3 =\n    z = 3\n"
	for _, tt := range []struct {
		name, text, section string
		set                 []KV
		want                string
	}{
		{"new file", "", "a-awsrunas", []KV{{"aws_access_key_id", "A"}, {"aws_session_token", "t=="}},
			"[a-awsrunas]\naws_access_key_id = A\naws_session_token = t==\n"},
		{"new section", keep, "n", []KV{{"k", "v"}}, keep + "\n[n]\nk = v\n"},
		{"new section after a blank line", keep + "\n", "n", []KV{{"k", "v"}}, keep + "\n[n]\nk = v\n"},
		{"new section after an unfinished line", "[a]\nx=1", "n", []KV{{"k", "v"}}, "[a]\nx=1\n\n[n]\nk = v\n"},
		{"value", keep, "a", []KV{{"x", "9"}}, strings.Replace(keep, "x=1", "x=9", 1)},
		{"value with its blanks and comment", keep, "b", []KV{{"y", "9"}}, strings.Replace(keep, ": 2 ", ": 9 ", 1)},
		{"same value", keep, "b", []KV{{"y", "2"}}, keep},
		{"new setting in the section's manner", keep, "a", []KV{{"n", "v"}}, strings.Replace(keep, "x=1\n", "x=1\nn=v\n", 1)},
		{"new setting behind nested ones", keep, "b", []KV{{"n", "v"}}, keep + "  n = v\n"},
		{"removed", keep, "b", []KV{{"s3", ""}}, strings.Replace(keep, "  s3 =\n    z = 3\n", "", 1)},
		{"nothing to remove", keep, "b", []KV{{"nope", ""}}, keep},
		{"nothing to remove from", keep, "nope", []KV{{"x", ""}}, keep},
		{"in an empty section", "[a]\n[b]\n", "a", []KV{{"k", "v"}}, "[a]\nk = v\n[b]\n"},
		{"in an empty section at the end", "[a]", "a", []KV{{"k", "v"}}, "[a]\nk = v"},
		{"crlf", "[a]\r\nx = 1\r\n", "a", []KV{{"x", "2"}, {"k", "v"}}, "[a]\r\nx = 2\r\nk = v\r\n"},
		{"crlf, new section", "[a]\r\nx = 1", "b", []KV{{"k", "v"}}, "[a]\r\nx = 1\r\n\r\n[b]\r\nk = v\r\n"},
		{"no final newline", "[a]\nx = 1", "a", []KV{{"x", "2"}, {"k", "v"}}, "[a]\nx = 2\nk = v"},
		{"bom", "\ufeff[a]\nx = 1\n", "a", []KV{{"x", "2"}}, "\ufeff[a]\nx = 2\n"},
		{"quoted header", "[profile  \"a b\"] # c\nx = 1\n", "profile 'a b'", []KV{{"x", "2"}}, "[profile  \"a b\"] # c\nx = 2\n"},
		{"the last of several counts", "[a]\nx = 1\n[b]\n[a]\nx = 2\nx = 3\n", "a", []KV{{"x", "9"}, {"y", "8"}}, "[a]\nx = 1\n[b]\n[a]\nx = 2\nx = 9\ny = 8\n"},
		{"removed from all", "[a]\nx = 1\n[b]\nx = 5\n[a]\nx = 2\nx = 3\n", "a", []KV{{"x", ""}}, "[a]\n[b]\nx = 5\n[a]\n"},
		{"a value that had none", "[a]\nx =\ny=\nz = # c\n", "a", []KV{{"x", "1"}, {"y", "2"}, {"z", "3"}}, "[a]\nx = 1\ny=2\nz = 3 # c\n"},
		{"a value that went on", "[a]\nx = 1\n  2\n  3\ny = 4\n", "a", []KV{{"x", "9"}}, "[a]\nx = 9\ny = 4\n"},
		{"case", "[a]\nX = 1\n", "a", []KV{{"x", "2"}}, "[a]\nX = 2\n"},
		{"quotes go", "[a]\nx = \"1\"\n", "a", []KV{{"x", "it's"}}, "[a]\nx = it's\n"},
		{"not the section in a continuation", "[b]\nx = 1\n  [a]\n[a]\nx = 1\n", "a", []KV{{"x", "2"}}, "[b]\nx = 1\n  [a]\n[a]\nx = 2\n"},
		{"odd names", "", `a/b:c@../..]é'"`, []KV{{"x", "%(x)s $(x) `x` \\"}}, "[a/b:c@../..]é'\"]\nx = %(x)s $(x) `x` \\\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "new", "credentials")
			if tt.text != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := SetSection(file, tt.section, tt.set); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			onlyFiles(t, filepath.Dir(file), "credentials", "credentials.lock")
		})
	}
}

// onlyFiles checks that nothing is left over in a folder.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range list {
		got = append(got, f.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSetSectionRefuses(t *testing.T) {
	const text = "[a]\nx = 1\n"
	for _, tt := range []struct {
		name, text, section string
		kv                  KV
		want                string
	}{
		{"newline", text, "a", KV{"x", "SECRET\ny = 2"}, "the value of x has a line break or a control character in it"},
		{"carriage return", text, "a", KV{"x", "SECRET\r"}, "the value of x has a line break or a control character in it"},
		{"escape", text, "a", KV{"x", "SECRET\x1b[0m"}, "the value of x has a line break or a control character in it"},
		{"line separator", text, "a", KV{"x", "SECRET\u2028y"}, "the value of x has a line break or a control character in it"},
		{"not UTF-8", text, "a", KV{"x", "SECRET\xff"}, "the value of x has a line break or a control character in it"},
		{"comment", text, "a", KV{"x", "SECRET #1"}, "the value of x cannot be written so that it reads the same"},
		{"blank", text, "a", KV{"x", " SECRET"}, "the value of x cannot be written so that it reads the same"},
		{"quotes", text, "a", KV{"x", "'SECRET'"}, "the value of x cannot be written so that it reads the same"},
		{"backquote", text, "a", KV{"x", "`SECRET"}, "the value of x begins with a quote that AWS's tools do not know"},
		{"name", text, "a", KV{"x = 1\ny", "1"}, "a setting's name is made of a-z, 0-9, _ and -"},
		{"no name", text, "a", KV{"", "1"}, "a setting's name is made of a-z, 0-9, _ and -"},
		{"section with a newline", text, "b]\n[a", KV{"x", "1"}, "the section's name has a line break or a control character in it"},
		{"section with a comment", text, "b] # c", KV{"x", "1"}, "the section's name cannot be written so that it reads the same"},
		{"section with blanks", text, " b", KV{"x", "1"}, "the section's name cannot be written so that it reads the same"},
		{"no section", text, "", KV{"x", "1"}, "the section's name cannot be written so that it reads the same"},
		{"broken file", "[a]\nSECRET\n", "a", KV{"x", "1"}, "neither a section nor a setting (name = value)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := SetSection(file, tt.section, []KV{{"first", "1"}, tt.kv})
			if err == nil {
				t.Fatal("no error")
			}
			fails(t, err)
			if !strings.HasSuffix(err.Error(), ": "+tt.want) || !strings.HasPrefix(err.Error(), file) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %v", err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != tt.text {
				t.Errorf("the file is %q now, %v", got, err)
			}
		})
	}
}

func TestRemoveSection(t *testing.T) {
	for _, tt := range []struct{ name, text, section, want string }{
		{"first", "[a]\nx = 1\n\n# about b\n[b]\ny = 2\n", "a", "# about b\n[b]\ny = 2\n"},
		{"last", "[b]\ny = 2\n\n[a]\nx = 1\n# in it\nz = 3\n", "a", "[b]\ny = 2\n"},
		{"last without newline", "[b]\ny = 2\n\n[a]\nx = 1", "a", "[b]\ny = 2\n"},
		{"only", "[a]\nx = 1\n", "a", ""},
		{"only, after blank lines", "\n\n[a]\nx = 1\n", "a", ""},
		{"comments behind it stay", "[b]\n[a]\nx = 1\n# c\n", "a", "[b]\n# c\n"},
		{"all of that name", "[a]\nx = 1\n[b]\ny = 2\n[a]\nz = 3\n[c]\n", "a", "[b]\ny = 2\n[c]\n"},
		{"with its continuations", "[a]\nx =\n  [b]\n  y = 1\n\n  z = 2\n[b]\n", "a", "[b]\n"},
		{"crlf", "[b]\r\ny = 2\r\n\r\n[a]\r\nx = 1\r\n", "a", "[b]\r\ny = 2\r\n"},
		{"none", "[b]\n\n\n", "a", "[b]\n\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := RemoveSection(file, tt.section); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		dir := t.TempDir()
		if err := RemoveSection(filepath.Join(dir, "no", "credentials"), "a"); err != nil {
			t.Fatal(err)
		}
		onlyFiles(t, dir)
	})
}

// What is written and removed again leaves the file as it was.
func TestSetThenRemove(t *testing.T) {
	for _, text := range []string{"[a]\nx = 1\n", "[a]\nx = 1\r\n# end\r\n", "# only a comment\n", "[a]\r\nx = 1\r\n"} {
		data, err := setSection([]byte(text), "b-awsrunas", []KV{{"x", "1"}, {"y", "2"}})
		if err != nil {
			t.Fatal(err)
		}
		if data, err = removeSection(data, "b-awsrunas"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(data)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHeader(t *testing.T) {
	c := load(t, "[bare]\n[profile \"quoted one\"]\n[default]\n", "")
	for name, want := range map[string]string{
		"bare": "bare", "quoted one": `profile "quoted one"`, "default": "default", "new": "profile new", "x y": "profile 'x y'",
		`it's "x" \`: `profile "it's \"x\" \\"`,
	} {
		got := c.Header(name)
		if got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		data, err := setSection([]byte("[z]\n"), got, []KV{{"region", "x"}})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if c := load(t, string(data), ""); !c.Has(name) {
			t.Errorf("%q is not in %q", name, data)
		}
	}
}

func TestEditModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	for was, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o644: 0o600, 0o666: 0o600, 0o400: 0o400, 0o440: 0o400} {
		t.Run(fmt.Sprintf("%o", was), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			if err := os.WriteFile(file, []byte("[a]\nx = 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, was); err != nil {
				t.Fatal(err)
			}
			for _, v := range []string{"1", "2"} { // the first changes nothing but the mode
				if err := SetSection(file, "a", []KV{{"x", v}}); err != nil {
					t.Fatal(err)
				}
				if got := mode(t, file); got != want {
					t.Errorf("mode %o, want %o", got, want)
				}
			}
		})
	}
	t.Run("new", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), ".aws")
		if err := SetSection(filepath.Join(dir, "config"), "a", []KV{{"x", "1"}}); err != nil {
			t.Fatal(err)
		}
		for file, want := range map[string]fs.FileMode{".": 0o700, "config": 0o600, "config.lock": 0o600} {
			if got := mode(t, filepath.Join(dir, file)); got != want {
				t.Errorf("%s has mode %o, want %o", file, got, want)
			}
		}
	})
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestEditLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join("real", "config"), link); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	for i := range 2 { // at first the link leads nowhere
		if err := SetSection(link, "a", []KV{{"x", fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "real", "config"))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("[a]\nx = %d\n", i); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if to, err := os.Readlink(link); err != nil || filepath.ToSlash(to) != "real/config" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	onlyFiles(t, dir, "link", "real")
	round := filepath.Join(dir, "round")
	if err := os.Symlink("round", round); err != nil {
		t.Fatal(err)
	}
	if err := SetSection(round, "a", []KV{{"x", "1"}}); err == nil || !strings.HasSuffix(err.Error(), "too many symbolic links") {
		t.Errorf("got %v", err)
	}
}

func TestEditNoFile(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{sub, os.DevNull} {
		err := SetSection(path, "a", []KV{{"x", "1"}})
		if err == nil || err.Error() != path+": cannot be changed: it is no regular file" {
			t.Errorf("got %v", err)
		}
		fails(t, err)
	}
	onlyFiles(t, dir, "sub")
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, SetSection(filepath.Join(dir, "f", "config"), "a", []KV{{"x", "1"}}))
}

func TestEditReadOnlyFolder(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("root writes into every folder")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte("[a]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	err := SetSection(file, "a", []KV{{"x", "1"}})
	if err == nil || err.Error() != file+": cannot be changed: permission denied" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	onlyFiles(t, dir, "config")
}

// Edits at the same time, from as many open locks as processes would have, are
// all in the file.
func TestEditConcurrently(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			if err := SetSection(file, fmt.Sprintf("profile p%d", i%8), []KV{{fmt.Sprintf("k%d", i), fmt.Sprint(i)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 32 {
		if n := strings.Count(string(data), fmt.Sprintf("k%d = %d\n", i, i)); n != 1 {
			t.Errorf("k%d is there %d times", i, n)
		}
	}
	if n := strings.Count(string(data), "["); n != 8 {
		t.Errorf("there are %d sections", n)
	}
}

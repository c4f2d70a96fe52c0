package ui_test

import (
	"io/fs"
	"regexp"
	"testing"

	"aws-runas/metadata/ui"
)

// foreign is what the page's policy forbids: code and style in the HTML, and
// anything from elsewhere.
var foreign = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|(src|href|action)="(https?:)?//|@import|url\(`)

func TestFiles(t *testing.T) {
	size := 0
	err := fs.WalkDir(ui.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(ui.Files, name)
		size += len(text)
		if found := foreign.Find(text); found != nil {
			t.Errorf("%s has %q", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size == 0 || size >= 40_000 {
		t.Errorf("the page has %d bytes", size)
	}
}

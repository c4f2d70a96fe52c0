//go:build !unix

package profile

import (
	"io/fs"
	"os"
)

func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

func giveTo(fs.FileInfo, string) error { return nil }

func syncDir(string) error { return nil }

package cmd

import "io/fs"

func owned(fs.FileInfo) bool { return true }

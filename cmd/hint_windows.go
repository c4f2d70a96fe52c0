package cmd

import "io/fs"

func owned(fs.FileInfo) bool { return true }

func full(error) bool { return false } // whatever says so there, there is no df

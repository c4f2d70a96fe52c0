//go:build !linux && !windows && !(darwin && cgo)

package keychain

import "runtime"

// candidates returns this platform's backends. None is automatic: a person whose
// records are in the system's keyring shall not find an empty file instead.
func candidates() []candidate {
	return []candidate{
		{"file", false, openFile},
		{"pass", false, openPass},
	}
}

// Note returns a sentence on what this build lacks, or "".
func Note() string {
	if runtime.GOOS == "darwin" {
		return "built without cgo, so the macOS Keychain is out of reach"
	}
	return ""
}

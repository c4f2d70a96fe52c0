package session

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

func lockDir() (string, error) {
	// The known folder, not %LOCALAPPDATA%, which a caller may have changed.
	local, err := windows.KnownFolderPath(windows.FOLDERID_LocalAppData, 0)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(local, "aws-runas")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return privateDir(filepath.Join(dir, "locks"))
}

// owned is always true: the access list of a user's local application data
// lets in that user and administrators.
func owned(os.FileInfo) bool { return true }

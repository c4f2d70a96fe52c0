//go:build unix

package metadata

import (
	"fmt"
	"os"
)

// ordinary returns nil for this user and root.
func ordinary(uid uint32) error {
	if uid == 0 || int(uid) == os.Geteuid() {
		return nil
	}
	return fmt.Errorf("this connection is of a process of another user (uid %d)", uid)
}

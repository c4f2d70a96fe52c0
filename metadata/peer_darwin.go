package metadata

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// checkPeer returns nil if the process that made the connection from remote to
// local, both addresses of this machine, belongs to this user or to root.
func checkPeer(remote, local netip.AddrPort) error {
	list, err := unix.SysctlRaw("net.inet.tcp.pcblist_n")
	if err != nil {
		return fmt.Errorf("whose connection this is cannot be told: %w", err)
	}
	uid, ok := pcbOwner(list, remote, local)
	if !ok {
		return errors.New("whose connection this is cannot be told: the system lists no such socket")
	}
	return ordinary(uid)
}

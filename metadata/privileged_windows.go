package metadata

import (
	"errors"
	"io"
	"net/netip"
)

// Parent is the root process of the privileged mode, which Windows has not:
// there an administrator's process calls [ListenAt] itself.
type Parent struct {
	Address  netip.AddrPort
	Args     []string
	Env      []string
	In       io.Reader
	Out, Err io.Writer
}

// Run returns an error.
func (p *Parent) Run() (exit int, err error) {
	return 0, errors.New("this system has no privileged parent: listen at the address as an administrator")
}

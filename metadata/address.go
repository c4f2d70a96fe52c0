package metadata

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// EC2Address and ECSAddress are where the SDKs look when nothing tells them
// another place.
var (
	EC2Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 80)
	ECSAddress = netip.AddrPortFrom(netip.AddrFrom4([4]byte{169, 254, 170, 2}), 80)
)

// ListenAt adds the address to the loopback interface and listens there, which
// needs root or an administrator. An address that an earlier run left behind is
// used again. What remove is for: to take the address away after the listener
// has been closed; an address that was there before is left.
func ListenAt(at netip.AddrPort) (l net.Listener, remove func() error, err error) {
	if !at.Addr().Is4() || !at.Addr().IsLinkLocalUnicast() {
		return nil, nil, fmt.Errorf("%s is no link-local IPv4 address", at.Addr())
	}
	there, err := ownAddress(at.Addr())
	if err != nil {
		return nil, nil, err
	}
	ours, err := addAddress(at.Addr())
	if err != nil {
		return nil, nil, fmt.Errorf("adding %s to the loopback interface: %w", at.Addr(), err)
	}
	remove = func() error {
		if !ours {
			return nil
		}
		if err := removeAddress(at.Addr()); err != nil {
			return fmt.Errorf("removing %s from the loopback interface: %w", at.Addr(), err)
		}
		return nil
	}
	l, err = net.Listen("tcp4", at.String())
	if err != nil {
		if !there {
			// Else it may be that of a server which is running.
			err = errors.Join(err, remove())
		}
		return nil, nil, err
	}
	return l, remove, nil
}

func loopbackInterface() (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return &i, nil
		}
	}
	return nil, errors.New("no loopback interface is up")
}

package metadata

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// addressLabel marks an address as ours, so that one that a crash left behind
// is told from one that somebody set. ip-address(8) shows it.
const addressLabel = "lo:aws-runas"

// addAddress adds ip to the loopback interface. It reports whether it is ours
// to remove: newly added, or left behind by a run that crashed.
func addAddress(ip netip.Addr) (ours bool, err error) {
	err = changeAddress(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ip)
	if errors.Is(err, unix.EEXIST) {
		return labelled(ip)
	}
	return err == nil, err
}

// removeAddress removes ip from the loopback interface. One that is not there
// is no error.
func removeAddress(ip netip.Addr) error {
	err := changeAddress(unix.RTM_DELADDR, 0, ip)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// changeAddress speaks rtnetlink(7), so that no other program is needed.
func changeAddress(kind, flags uint16, ip netip.Addr) error {
	lo, err := loopbackInterface()
	if err != nil {
		return err
	}
	b := make([]byte, unix.SizeofNlMsghdr, 128)
	b = append(b, unix.AF_INET, 32, 0, unix.RT_SCOPE_HOST)
	b = binary.NativeEndian.AppendUint32(b, uint32(lo.Index))
	b = appendAttribute(b, unix.IFA_LOCAL, ip.AsSlice())
	b = appendAttribute(b, unix.IFA_ADDRESS, ip.AsSlice())
	if kind == unix.RTM_NEWADDR {
		b = appendAttribute(b, unix.IFA_LABEL, append([]byte(addressLabel), 0))
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)

	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("rtnetlink: unknown answer")
	}
	if code := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return os.NewSyscallError("rtnetlink", unix.Errno(code))
	}
	return nil
}

func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// labelled reports whether the address that is there is marked as ours.
func labelled(ip netip.Addr) (bool, error) {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_INET)
	if err != nil {
		return false, os.NewSyscallError("rtnetlink", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return false, os.NewSyscallError("rtnetlink", err)
	}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWADDR {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return false, os.NewSyscallError("rtnetlink", err)
		}
		var here, ours bool
		for _, a := range attributes {
			switch a.Attr.Type {
			case unix.IFA_LOCAL:
				found, _ := netip.AddrFromSlice(a.Value)
				here = found == ip
			case unix.IFA_LABEL:
				ours = unix.ByteSliceToString(a.Value) == addressLabel
			}
		}
		if here && ours {
			return true, nil
		}
	}
	return false, nil
}

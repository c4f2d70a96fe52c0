package metadata

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkPeer returns nil if the process that made the connection from remote to
// local, both addresses of this machine, belongs to this user or to root.
func checkPeer(remote, local netip.AddrPort) error {
	uid, err := socketOwner(remote, local)
	if err != nil {
		return fmt.Errorf("whose connection this is cannot be told: %w", err)
	}
	return ordinary(uid)
}

var errNoSocket = errors.New("no process holds its other end")

// socketOwner is the user of the socket that is connected from its address own
// to far. The kernel is asked for that one socket, or its list is read.
func socketOwner(own, far netip.AddrPort) (uint32, error) {
	uid, err := diagOwner(own, far)
	if err == nil {
		return uid, nil
	}
	// A kernel without inet_diag says ENOENT, as it does for no such socket.
	if uid, listErr := listedOwner(os.DirFS("/proc/net"), own, far); listErr == nil {
		return uid, nil
	} else if !errors.Is(listErr, errNoSocket) {
		return 0, listErr
	}
	return 0, errNoSocket
}

// The messages of sock_diag(7): inet_diag_req_v2 and inet_diag_msg.
const (
	diagRequestSize = 56
	diagAnswerSize  = 72
	// Where they have the socket: ports and addresses.
	diagRequestID = 8
	diagAnswerID  = 4
)

func diagOwner(own, far netip.AddrPort) (uint32, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Sendto(fd, diagRequest(own, far), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, os.NewSyscallError("recvfrom", err)
	}
	return diagAnswer(answer[:n], own, far)
}

func diagRequest(own, far netip.AddrPort) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[unix.SizeofNlMsghdr:]
	r[0] = unix.AF_INET6
	if own.Addr().Is4() {
		// Finds the sockets of IPv6 too whose addresses are IPv4 ones.
		r[0] = unix.AF_INET
	}
	r[1] = unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(r[4:], ^uint32(0)) // whatever its state
	id := r[diagRequestID:]
	binary.BigEndian.PutUint16(id, own.Port())
	binary.BigEndian.PutUint16(id[2:], far.Port())
	copy(id[4:20], own.Addr().AsSlice())
	copy(id[20:36], far.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

func diagAnswer(b []byte, own, far netip.AddrPort) (uint32, error) {
	if len(b) < unix.SizeofNlMsghdr+4 {
		return 0, errors.New("sock_diag: short answer")
	}
	kind := binary.NativeEndian.Uint16(b[4:])
	b = b[unix.SizeofNlMsghdr:]
	if kind == unix.NLMSG_ERROR {
		return 0, os.NewSyscallError("sock_diag", unix.Errno(-int32(binary.NativeEndian.Uint32(b))))
	}
	if kind != unix.SOCK_DIAG_BY_FAMILY || len(b) < diagAnswerSize {
		return 0, errors.New("sock_diag: unknown answer")
	}
	id := b[diagAnswerID:]
	// The kernel falls back to a listening socket of that address and port.
	if binary.BigEndian.Uint16(id) != own.Port() || binary.BigEndian.Uint16(id[2:]) != far.Port() {
		return 0, errNoSocket
	}
	uid, inode := binary.NativeEndian.Uint32(b[64:]), binary.NativeEndian.Uint32(b[68:])
	if inode == 0 {
		// Of no process any more, and the user is given as root.
		return 0, errNoSocket
	}
	return uid, nil
}

// listedOwner looks into the lists of proc_pid_net(5).
func listedOwner(proc fs.FS, own, far netip.AddrPort) (uint32, error) {
	var last error = errNoSocket
	for _, name := range [...]string{"tcp", "tcp6"} {
		f, err := proc.Open(name)
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue
		} else if err != nil {
			return 0, err
		}
		uid, err := readList(f, own, far)
		f.Close()
		if err == nil {
			return uid, nil
		}
		last = err
	}
	return 0, last
}

func readList(r io.Reader, own, far netip.AddrPort) (uint32, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || listedAddress(f[1]) != own || listedAddress(f[2]) != far {
			continue
		}
		if f[9] == "0" { // the inode; see diagAnswer
			continue
		}
		uid, err := strconv.ParseUint(f[7], 10, 32)
		if err != nil {
			continue
		}
		return uint32(uid), nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoSocket
}

// listedAddress reads 0100007F:3039: words in the machine's order, port.
func listedAddress(s string) netip.AddrPort {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	p, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(p))
}

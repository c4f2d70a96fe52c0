package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// tcpTableOwnerPIDConnections is TCP_TABLE_OWNER_PID_CONNECTIONS.
// https://learn.microsoft.com/windows/win32/api/iphlpapi/nf-iphlpapi-getextendedtcptable
const tcpTableOwnerPIDConnections = 4

// checkPeer returns nil if the process that made the connection from remote to
// local, both addresses of this machine, belongs to this user or to the system.
func checkPeer(remote, local netip.AddrPort) error {
	pid, err := socketProcess(remote, local)
	if err != nil {
		return fmt.Errorf("whose connection this is cannot be told: %w", err)
	}
	theirs, err := userOf(pid)
	if err != nil {
		// Windows lets nobody but administrators look at other users' processes.
		return fmt.Errorf("this connection is of process %d, which is another user's: %w", pid, err)
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("whose connection this is cannot be told: %w", err)
	}
	if theirs.Equals(ours.User.Sid) || theirs.IsWellKnown(windows.WinLocalSystemSid) {
		return nil
	}
	return fmt.Errorf("this connection is of a process of another user (process %d)", pid)
}

func userOf(pid uint32) (*windows.SID, error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(process)
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return nil, err
	}
	defer token.Close()
	user, err := token.GetTokenUser()
	if err != nil {
		return nil, err
	}
	return user.User.Sid.Copy()
}

// socketProcess finds the process of the socket that is connected from own to
// far. A socket of IPv6 whose addresses are IPv4 ones is in the table of IPv6.
func socketProcess(own, far netip.AddrPort) (uint32, error) {
	for _, family := range [...]uint32{windows.AF_INET, windows.AF_INET6} {
		table, err := tcpTable(family)
		if err != nil {
			return 0, err
		}
		if pid, ok := tableProcess(table, family == windows.AF_INET6, own, far); ok {
			return pid, nil
		}
	}
	return 0, errors.New("the system lists no such socket")
}

func tcpTable(family uint32) ([]byte, error) {
	get := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if err := get.Find(); err != nil {
		return nil, err
	}
	size := uint32(32 << 10)
	for range 5 { // it may grow between two calls
		table := make([]byte, size)
		code, _, _ := get.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0,
			uintptr(family), tcpTableOwnerPIDConnections, 0)
		switch windows.Errno(code) {
		case 0:
			return table, nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
		default:
			return nil, windows.Errno(code)
		}
	}
	return nil, windows.ERROR_INSUFFICIENT_BUFFER
}

// tableProcess reads a MIB_TCPTABLE_OWNER_PID or MIB_TCP6TABLE_OWNER_PID: the
// number of rows, then rows of words. Ports are in network order.
func tableProcess(table []byte, six bool, own, far netip.AddrPort) (uint32, bool) {
	// MIB_TCPROW_OWNER_PID: state, address, port, address, port, process
	size, ownIP, ownPort, farIP, farPort, pid, length := 24, 4, 8, 12, 16, 20, 4
	if six {
		// MIB_TCP6ROW_OWNER_PID: address, scope, port, address, scope, port, state, process
		size, ownIP, ownPort, farIP, farPort, pid, length = 56, 0, 20, 24, 44, 52, 16
	}
	if len(table) < 4 {
		return 0, false
	}
	rows := binary.LittleEndian.Uint32(table)
	table = table[4:]
	for range rows {
		if len(table) < size {
			return 0, false
		}
		row := table[:size]
		table = table[size:]
		at := func(ip, port int) netip.AddrPort {
			a, _ := netip.AddrFromSlice(row[ip : ip+length])
			return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(row[port:]))
		}
		if at(ownIP, ownPort) == own && at(farIP, farPort) == far {
			return binary.LittleEndian.Uint32(row[pid:]), true
		}
	}
	return 0, false
}

package metadata

import (
	"encoding/binary"
	"net/netip"
)

// Darwin lists its TCP sockets in net.inet.tcp.pcblist_n, which everybody may
// read and netstat does. The list is a struct xinpgen, then for each socket
// some records that begin with their length and kind and are padded to eight
// bytes, then a struct xinpgen again. The layouts are those of
// bsd/netinet/in_pcb.h and bsd/sys/socketvar.h of xnu, packed to four bytes.
const (
	pcbSocket = 0x001 // XSO_SOCKET: struct xsocket_n
	pcbInet   = 0x010 // XSO_INPCB: struct xinpcb_n

	pcbHeader       = 24 // sizeof(struct xinpgen)
	pcbFarPort      = 16 // inp_fport
	pcbOwnPort      = 18 // inp_lport
	pcbVersion      = 44 // inp_vflag
	pcbFarAddress   = 48 // inp_dependfaddr, an IPv4 address in its last four bytes
	pcbOwnAddress   = 64 // inp_dependladdr
	pcbInetEnd      = 80
	pcbSocketUID    = 64 // so_uid
	pcbSocketEnd    = 68
	pcbVersionIPv4  = 0x1
	pcbVersionIPv6  = 0x2
	pcbVersionKnown = pcbVersionIPv4 | pcbVersionIPv6
)

// pcbOwner finds the user of the socket that is connected from own to far in
// such a list. What does not look like one has no socket.
func pcbOwner(list []byte, own, far netip.AddrPort) (uint32, bool) {
	if len(list) < pcbHeader || binary.LittleEndian.Uint32(list) != pcbHeader {
		return 0, false
	}
	matches := false
	for rest := list[pcbHeader:]; len(rest) >= 8; {
		size, kind := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		if size <= pcbHeader || uint64(size) > uint64(len(rest)) {
			break // the xinpgen at the end
		}
		record := rest[:size]
		rest = rest[min((uint64(size)+7)&^7, uint64(len(rest))):]
		switch {
		case kind == pcbInet:
			matches = len(record) >= pcbInetEnd &&
				pcbAddress(record, pcbOwnAddress, pcbOwnPort) == own && pcbAddress(record, pcbFarAddress, pcbFarPort) == far
		case kind == pcbSocket && matches:
			if len(record) < pcbSocketEnd {
				return 0, false
			}
			return binary.LittleEndian.Uint32(record[pcbSocketUID:]), true
		}
	}
	return 0, false
}

func pcbAddress(record []byte, address, port int) netip.AddrPort {
	b := record[address : address+16]
	if record[pcbVersion]&pcbVersionKnown == pcbVersionIPv4 {
		b = b[12:]
	}
	ip, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(record[port:]))
}

package metadata

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// pcb is a socket in a made-up list, in the layout that xnu writes.
func pcb(own, far string, uid uint32) []byte {
	record := func(size int, kind uint32) []byte {
		b := make([]byte, (size+7)&^7)
		binary.LittleEndian.PutUint32(b, uint32(size))
		binary.LittleEndian.PutUint32(b[4:], kind)
		return b
	}
	inet := record(104, pcbInet)
	put := func(address string, at, port int) {
		a := netip.MustParseAddrPort(address)
		binary.BigEndian.PutUint16(inet[port:], a.Port())
		if a.Addr().Is4() {
			inet[pcbVersion] = pcbVersionIPv4
			copy(inet[at+12:], a.Addr().AsSlice())
		} else {
			inet[pcbVersion] = pcbVersionIPv6
			copy(inet[at:], a.Addr().AsSlice())
		}
	}
	put(own, pcbOwnAddress, pcbOwnPort)
	put(far, pcbFarAddress, pcbFarPort)
	socket := record(76, pcbSocket)
	binary.LittleEndian.PutUint32(socket[pcbSocketUID:], uid)
	list := append(inet, socket...)
	for _, kind := range []uint32{0x2, 0x4, 0x8} { // buffers and counters
		list = append(list, record(44, kind)...)
	}
	return append(list, record(204, 0x20)...)
}

func pcbList(sockets ...[]byte) []byte {
	end := make([]byte, pcbHeader)
	binary.LittleEndian.PutUint32(end, pcbHeader)
	list := append([]byte(nil), end...)
	for _, s := range sockets {
		list = append(list, s...)
	}
	return append(list, end...)
}

func TestPCBOwner(t *testing.T) {
	list := pcbList(
		pcb("127.0.0.1:12345", "127.0.0.1:40001", 501), // the server's end
		pcb("127.0.0.1:40001", "127.0.0.1:12345", 502),
		pcb("[::1]:40001", "[::1]:12345", 503),
		pcb("[::ffff:127.0.0.1]:40002", "[::ffff:127.0.0.1]:12345", 504),
	)
	for own, want := range map[string]uint32{"127.0.0.1:40001": 502, "[::1]:40001": 503, "127.0.0.1:40002": 504, "127.0.0.1:40003": 0, "127.0.0.2:40001": 0} {
		a := netip.MustParseAddrPort(own)
		far := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 12345)
		if a.Addr().Is6() {
			far = netip.MustParseAddrPort("[::1]:12345")
		}
		if uid, ok := pcbOwner(list, a, far); uid != want || ok != (want != 0) {
			t.Errorf("%s: %d, %t", own, uid, ok)
		}
	}
	for n := range list {
		pcbOwner(list[:n], netip.AddrPort{}, netip.AddrPort{})
	}
}

func FuzzPCBOwner(f *testing.F) {
	f.Add(pcbList(pcb("127.0.0.1:40001", "127.0.0.1:12345", 502)))
	f.Add([]byte{})
	own, far := netip.MustParseAddrPort("127.0.0.1:40001"), netip.MustParseAddrPort("127.0.0.1:12345")
	f.Fuzz(func(t *testing.T, list []byte) {
		if _, ok := pcbOwner(list, own, far); ok && len(list) < pcbHeader+pcbInetEnd+pcbSocketEnd {
			t.Errorf("found in %d bytes", len(list))
		}
	})
}

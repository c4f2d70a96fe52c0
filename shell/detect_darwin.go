package shell

import (
	"bytes"
	"encoding/binary"
	"iter"
	"os"
	"syscall"
	"unsafe"
)

const fallback = POSIX

// ancestors yields the name of each ancestor.
func ancestors() iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for pid := os.Getppid(); pid > 0; {
			name, parent, ok := process(pid)
			if !ok || !yield([]string{name}) {
				return
			}
			pid = parent
		}
	}
}

// process asks sysctl kern.proc.pid.PID for a struct kinfo_proc (sys/sysctl.h),
// which on 64-bit systems has kp_proc.p_comm at 243 and kp_eproc.e_ppid at 560.
func process(pid int) (name string, parent int, ok bool) {
	const (
		ctlKern, kernProc, kernProcPID = 1, 14, 1

		size, comm, commLen, ppid = 648, 243, 17, 560
	)
	mib := [4]int32{ctlKern, kernProc, kernProcPID, int32(pid)}
	var info [size]byte
	n := uintptr(size)
	_, _, errno := syscall.Syscall6(syscall.SYS___SYSCTL,
		uintptr(unsafe.Pointer(&mib[0])), uintptr(len(mib)),
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&n)), 0, 0)
	if errno != 0 || n != size {
		return "", 0, false
	}
	text, _, _ := bytes.Cut(info[comm:comm+commLen], []byte{0})
	return string(text), int(binary.LittleEndian.Uint32(info[ppid:])), true
}

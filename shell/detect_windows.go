package shell

import (
	"iter"
	"os"
	"syscall"
	"unsafe"
)

const fallback = PowerShell

// ancestors yields the executable's name of each ancestor. Windows keeps a
// parent's id after its death and may use it again; taking a stranger for a
// shell is possible, and --shell overrules it.
func ancestors() iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		snapshot, err := syscall.CreateToolhelp32Snapshot(syscall.TH32CS_SNAPPROCESS, 0)
		if err != nil {
			return
		}
		defer syscall.CloseHandle(snapshot)
		type process struct {
			name   string
			parent uint32
		}
		all := map[uint32]process{}
		entry := syscall.ProcessEntry32{Size: uint32(unsafe.Sizeof(syscall.ProcessEntry32{}))}
		for err = syscall.Process32First(snapshot, &entry); err == nil; err = syscall.Process32Next(snapshot, &entry) {
			all[entry.ProcessID] = process{syscall.UTF16ToString(entry.ExeFile[:]), entry.ParentProcessID}
		}
		for pid := uint32(os.Getppid()); ; {
			p, ok := all[pid]
			if !ok || !yield([]string{p.name}) {
				return
			}
			pid = p.parent
		}
	}
}

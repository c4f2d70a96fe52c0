package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unlockKeys lists what the kernel keyring remembers of encrypted files: for
// 12 hours it would count against an ordinary user's quota of 200 keys.
func unlockKeys() map[int]bool {
	keys := map[int]bool{}
	file, err := os.Open("/proc/keys") // proc_keys(5); only one's own are in it
	if err != nil {
		return keys
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 || fields[7] != "user" || !strings.HasPrefix(fields[8], "aws-runas-unlock/") {
			continue
		}
		if id, err := strconv.ParseUint(fields[0], 16, 32); err == nil {
			keys[int(int32(id))] = true
		}
	}
	return keys
}

// forgetKeys removes those that were not there before.
func forgetKeys(before map[int]bool) {
	for id := range unlockKeys() {
		if !before[id] {
			// One that is linked elsewhere or gone is none of ours any more.
			_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		}
	}
}

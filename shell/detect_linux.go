package shell

import (
	"bytes"
	"iter"
	"os"
	"strconv"
	"strings"
)

const fallback = POSIX

// ancestors yields the executable's path, where we may read it, and the name
// of each ancestor. The path comes first because a script's name says nothing
// of its shell; the name is needed for busybox, and across users.
func ancestors() iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for pid := os.Getppid(); pid > 0; {
			dir := "/proc/" + strconv.Itoa(pid)
			stat, err := os.ReadFile(dir + "/stat")
			if err != nil {
				return
			}
			name, parent, ok := parseStat(stat)
			if !ok {
				return
			}
			names := []string{name}
			if exe, err := os.Readlink(dir + "/exe"); err == nil {
				// the kernel marks a program that was upgraded under a running shell
				names = []string{strings.TrimSuffix(exe, " (deleted)"), name}
			}
			if !yield(names) {
				return
			}
			pid = parent
		}
	}
}

// parseStat reads the name and the parent's id from /proc/PID/stat (proc(5)):
// "PID (NAME) STATE PPID ...", where NAME may hold blanks and parentheses.
func parseStat(stat []byte) (name string, parent int, ok bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return string(stat[open+1 : end]), parent, err == nil
}

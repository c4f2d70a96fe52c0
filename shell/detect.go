package shell

import "iter"

// maxParents bounds the walk: a shell runs us through at most a few wrappers
// (sudo, env, timeout, a script), and beyond those it is not the one that
// evaluates our output.
const maxParents = 5

// Detect returns the dialect of the shell that runs this process: the first
// known shell among the nearest five ancestors, else the one SHELL names, else
// POSIX (on Windows: PowerShell). lookup reads the environment. Detect starts
// no process and always has an answer, which --shell overrules.
func Detect(lookup func(name string) (string, bool)) Dialect {
	return detect(ancestors(), lookup)
}

// detect reads from ancestors the names that each process goes by, nearest
// process first.
func detect(ancestors iter.Seq[[]string], lookup func(string) (string, bool)) Dialect {
	n := 0
	for names := range ancestors {
		for _, name := range names {
			if d, err := Parse(name); err == nil {
				return d
			}
		}
		if n++; n == maxParents {
			break
		}
	}
	if name, ok := lookup("SHELL"); ok {
		if d, err := Parse(name); err == nil {
			return d
		}
	}
	return fallback
}

package shell

import (
	"os"
	"slices"
	"testing"
)

func TestDetect(t *testing.T) {
	env := func(shell string) func(string) (string, bool) {
		return func(name string) (string, bool) { return shell, name == "SHELL" && shell != "" }
	}
	type process = []string
	for name, c := range map[string]struct {
		ancestors []process
		shell     string
		want      Dialect
	}{
		"the nearest shell wins":             {[]process{{"/usr/bin/make", "make"}, {"/usr/bin/fish", "fish"}, {"/bin/bash", "bash"}}, "/bin/zsh", Fish},
		"the path goes before a script name": {[]process{{"/usr/bin/bash", "fish"}}, "", Bash},
		"a name for a multi-call binary":     {[]process{{"/bin/busybox", "ash"}}, "/bin/zsh", POSIX},
		"a login shell, name alone":          {[]process{{"-zsh"}}, "", Zsh},
		"five and no more":                   {[]process{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}, {"tcsh"}}, "", fallback},
		"the fifth still":                    {[]process{{"a"}, {"b"}, {"c"}, {"d"}, {"tcsh"}}, "", Tcsh},
		"SHELL where no ancestor is known":   {[]process{{"/usr/bin/python3"}}, "/usr/bin/fish", Fish},
		"unknown SHELL":                      {nil, "/usr/bin/nu", fallback},
		"nothing":                            {nil, "", fallback},
	} {
		if got := detect(slices.Values(c.ancestors), env(c.shell)); got != c.want {
			t.Errorf("%s: %s; want %s", name, got, c.want)
		}
	}
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		Detect(os.LookupEnv)
	}
}

package shell

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// subshell starts the user's shell as the program would, with prod in its
// environment, and the user's own start-up files.
func subshell(t *testing.T, d Dialect, files map[string]string, env map[string]string) *term {
	t.Helper()
	temp, home := t.TempDir(), t.TempDir()
	exe := filepath.Join(t.TempDir(), "the program's", "aws-runas")
	if err := os.Mkdir(filepath.Dir(exe), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self(t), exe); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "EXE", Bash.literal(exe))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{
		"HOME": home, "TMPDIR": temp, "AWS_ACCESS_KEY_ID": "ASIA1", "AWSRUNAS_KEY_ID": "ASIA1", "AWSRUNAS_PROFILE": "prod",
	}
	maps.Copy(vars, env)
	for name, value := range vars {
		vars[name] = strings.ReplaceAll(value, "HOME", home)
	}
	s, err := NewSubshell(SubshellOptions{
		Shell: string(d), Exe: exe, TempDir: temp, Interactive: true,
		Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Hooked {
		t.Errorf("%s is not hooked", d)
	}
	maps.Copy(vars, s.Set)
	var list []string
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	x := start(t, d, s.Args, list...)
	x.run(plainPrompt[d])
	left, err := filepath.Glob(temp + "/aws-runas*")
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
	return x
}

func TestSubshell(t *testing.T) {
	cases := []struct {
		name  string
		d     Dialect
		files map[string]string
		env   map[string]string
		// names and values after the start
		want map[string]string
	}{
		{"bashrc", Bash, map[string]string{".bashrc": "mine=1; HISTFILE=~/.history"}, nil, map[string]string{"mine": "1", "AWSRUNAS_DEPTH": "1"}},
		{"none", Bash, nil, map[string]string{"AWSRUNAS_DEPTH": "1"}, map[string]string{"AWSRUNAS_DEPTH": "2"}},
		{"hook in bashrc", Bash, map[string]string{".bashrc": `eval "$(EXE hook bash)"; __awsrunas_told=kept`}, nil, map[string]string{"__awsrunas_told": "kept"}},
		{"failing bashrc", Bash, map[string]string{".bashrc": "mine=1; false"}, nil, map[string]string{"mine": "1"}},
		{"none", Zsh, nil, nil, map[string]string{"ZDOTDIR": "", "AWSRUNAS_DEPTH": "1"}},
		{"zshrc", Zsh, map[string]string{".zshenv": "a=1", ".zshrc": "b=$a; HISTFILE=~/.history; SAVEHIST=9"}, nil, map[string]string{"a": "1", "b": "1", "ZDOTDIR": ""}},
		{"ZDOTDIR", Zsh, map[string]string{"dots of/.zshenv": "a=1", "dots of/.zshrc": "b=1"}, map[string]string{"ZDOTDIR": "HOME/dots of"}, map[string]string{"a": "1", "b": "1"}},
		{"zshenv that sets ZDOTDIR", Zsh, map[string]string{".zshenv": "a=1; ZDOTDIR=~/dots", "dots/.zshrc": "b=1"}, nil, map[string]string{"a": "1", "b": "1"}},
		{"hook in zshrc", Zsh, map[string]string{".zshrc": `eval "$(EXE hook zsh)"; __awsrunas_hinted=kept`}, nil, map[string]string{"__awsrunas_hinted": "kept"}},
		{"config.fish", Fish, map[string]string{".config/fish/config.fish": "set -g mine 1"}, nil, map[string]string{"mine": "1", "AWSRUNAS_DEPTH": "1"}},
		{"hook in config.fish", Fish, map[string]string{".config/fish/config.fish": `EXE hook fish | source; set -g __awsrunas_told kept`}, nil, map[string]string{"__awsrunas_told": "kept"}},
	}
	for _, c := range cases {
		t.Run(string(c.d)+" "+c.name, func(t *testing.T) {
			need(t, string(c.d))
			t.Parallel()
			x := subshell(t, c.d, c.files, c.env)
			depth := ""
			if c.want["AWSRUNAS_DEPTH"] == "2" {
				depth = ` \(2\)`
			}
			x.wait(`^\[prod` + depth + `\] 0 P>`)
			for _, name := range slices.Sorted(maps.Keys(c.want)) {
				x.is(name, c.want[name])
			}
			x.run("runas dev")
			x.is("AWSRUNAS_PROFILE", "dev")
			if c.d != Fish {
				x.wait(`^dev  123456789012  Admin  eu-west-1  59m$`)
				if got := x.eval("$-"); !strings.Contains(got, "i") || !strings.Contains(got, "m") {
					t.Errorf("interactive and job control: %s", got)
				}
			}
			x.send("exit 9\r")
			<-x.ended
			if err := x.cmd.Wait(); x.cmd.ProcessState.ExitCode() != 9 {
				t.Errorf("exit %v", err)
			}
		})
	}
}

func TestSubshellHistoryIsTheUsers(t *testing.T) {
	need(t, "zsh")
	x := subshell(t, Zsh, map[string]string{".zshrc": "HISTFILE=${ZDOTDIR:-$HOME}/.zsh_history SAVEHIST=9 HISTSIZE=9"}, nil)
	x.run("print remembered")
	home := x.get("HOME")
	x.is("HISTFILE", home+"/.zsh_history")
	x.send("exit\r")
	<-x.ended
	text, err := os.ReadFile(filepath.Join(home, ".zsh_history"))
	if err != nil || !strings.Contains(string(text), "print remembered") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestSubshellPlain(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	deep := func(string) (string, bool) { return "4", true }
	cases := []struct {
		name  string
		o     SubshellOptions
		depth string
	}{
		{"dash", SubshellOptions{Shell: "/bin/dash", Interactive: true, Lookup: none}, "1"},
		{"unknown", SubshellOptions{Shell: "/opt/xonsh", Interactive: true, Lookup: deep}, "5"},
		{"nobody there", SubshellOptions{Shell: "/bin/bash", Exe: "/x", Lookup: none}, "1"},
	}
	for _, c := range cases {
		s, err := NewSubshell(c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s.Hooked || len(s.Args) != 1 || s.Args[0] != c.o.Shell || s.Set["AWSRUNAS_DEPTH"] != c.depth || s.Remove() != nil {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestSubshellRemove(t *testing.T) {
	for _, d := range []Dialect{Bash, Zsh} {
		dir := t.TempDir()
		s, err := NewSubshell(SubshellOptions{
			Shell: string(d), Exe: "/x", TempDir: dir, Interactive: true, Lookup: func(string) (string, bool) { return "", false },
		})
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %s is %v", d, path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("%s left %v, %v", d, left, err)
		}
	}
}

func TestSubshellErrors(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for name, o := range map[string]SubshellOptions{
		"no shell":      {Lookup: none},
		"no program":    {Shell: "bash", Interactive: true, Lookup: none},
		"NUL":           {Shell: "fish", Exe: "/a\x00b", Interactive: true, Lookup: none},
		"function":      {Shell: "zsh", Exe: "/x", Function: "a;b", Interactive: true, Lookup: none},
		"no such place": {Shell: "bash", Exe: "/x", TempDir: filepath.Join(t.TempDir(), "none"), Interactive: true, Lookup: none},
	} {
		if s, err := NewSubshell(o); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

package completions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	for _, shell := range Shells() {
		for _, exe := range []string{"/usr/local/bin/aws-runas", `C:\Program Files\aws-runas.exe`, "aws-runas", `/o'dd "$x/` + "`id`/\u2019/caf\u00e9"} {
			for _, function := range []string{"", "runas", "my-fn_2"} {
				text, err := Script(shell, exe, function)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(text, "@exe@") || strings.Contains(text, "@function@") {
					t.Errorf("%s: a placeholder is left", shell)
				}
				if function != "" && !strings.Contains(text, function) {
					t.Errorf("%s: no %s", shell, function)
				}
				if !strings.HasSuffix(text, "\n") {
					t.Errorf("%s: the last line is not ended", shell)
				}
			}
		}
		for _, bad := range [][2]string{{"", ""}, {"/a\nb", ""}, {"/a", "a b"}, {"/a", "1a"}, {"/a", "$(id)"}, {"/a", "\u00e9"}, {"/a", "-a"}} {
			if text, err := Script(shell, bad[0], bad[1]); err == nil || text != "" {
				t.Errorf("%s: %q passes", shell, bad)
			}
		}
	}
	for _, shell := range []string{"", "tcsh", "../script.go", "Bash"} {
		if text, err := Script(shell, "/a", ""); err == nil || text != "" {
			t.Errorf("there is a script for %q", shell)
		}
	}
}

// Loading ends well in strict shells too, and a second time.
func TestScriptLoads(t *testing.T) {
	for _, tt := range []struct {
		shell string
		argv  []string
	}{
		{"bash", []string{"bash", "--norc", "--noprofile", "-euo", "pipefail", "-o", "noclobber", "-c", `. "$1"; . "$1"; complete -p aws-runas runas >/dev/null; echo good`, "bash"}},
		{"bash", []string{"bash", "--norc", "--noprofile", "--posix", "-euc", `. "$1"; . "$1"; echo good`, "bash"}},
		{"zsh", []string{"zsh", "-f", "-euo", "pipefail", "-o", "noclobber", "-c", `. "$1"; . "$1"; echo good`, "zsh"}},
		{"zsh", []string{"zsh", "-f", "-euo", "pipefail", "-c", `autoload -Uz compinit; set +eu; compinit -u -D; set -eu; . "$1"; . "$1"; echo good`, "zsh"}},
		{"fish", []string{"fish", "--no-config", "-c", `source $argv[1]; and source $argv[1]; and complete -c runas | string match -q '*__aws_runas_complete*'; and echo good`}},
	} {
		t.Run(tt.shell, func(t *testing.T) {
			need(t, tt.shell)
			t.Parallel()
			text, err := Script(tt.shell, oddPath, "runas")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(tt.argv[0], append(tt.argv[1:len(tt.argv):len(tt.argv)], file)...)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "good\n" {
				t.Errorf("%q: %v\n%s", tt.argv, err, out)
			}
		})
	}
}

const oddPath = `/o'dd "$x/` + "`id`/\u2019/caf\u00e9"

// PowerShell runs the script where it is installed; elsewhere a grammar of it
// parses the script.
func TestPowerShell(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for name, function := range map[string]string{"plain.ps1": "", "function.ps1": "awsr"} {
		text, err := Script("powershell", oddPath, function)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if pwsh, err := exec.LookPath("pwsh"); err == nil {
		testInPowerShell(t, pwsh)
		return
	}
	need(t, "node")
	need(t, "npm")
	root, err := exec.Command("npm", "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.TrimSpace(string(root))
	for _, name := range []string{"web-tree-sitter", "tree-sitter-powershell"} {
		needFile(t, filepath.Join(modules, name), "npm package "+name)
	}
	parse := func(files ...string) ([]byte, error) {
		// the optimizing compiler takes minutes over this grammar
		args := append([]string{"--liftoff-only", "../shell/testdata/parse.js", filepath.Dir(modules)}, files...)
		return exec.Command("node", args...).CombinedOutput()
	}
	if out, err := parse(files...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	broken := filepath.Join(dir, "broken.ps1")
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), "}", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := parse(broken); err == nil {
		t.Errorf("a missing brace passes: %s", out)
	}
}

func testInPowerShell(t *testing.T, pwsh string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := Script("powershell", self, "awsr")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"aws-runas de":            "dev",
		"awsr de":                 "dev",
		"aws-runas it":            "'it''s'",
		"aws-runas 'tea":          "'team/dev role'",
		"aws-runas --region us":   "us-east-1",
		"aws-runas prod Get-Chil": "Get-ChildItem",
		"aws-runas -- Get-Chil":   "Get-ChildItem",
	} {
		script := text + "\nfunction awsr {}\n$l = " + quotePowerShell(line) + "\n(TabExpansion2 -inputScript $l -cursorColumn $l.Length).CompletionMatches[0].CompletionText\n"
		cmd := exec.Command(pwsh, "-NoProfile", "-NonInteractive", "-Command", script)
		cmd.Env = append(os.Environ(), "COMPLETIONS_TEST_PROGRAM=1", "AWS_PROFILE=")
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %v, %s; want %s", line, err, got, want)
		}
	}
}

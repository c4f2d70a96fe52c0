package shell

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// powershellParser returns what parses files by a grammar of PowerShell, for
// where PowerShell is not to be had. It finds unbalanced quotes and
// parentheses; it does not run anything.
func powershellParser(t *testing.T) func(files ...string) ([]byte, error) {
	t.Helper()
	need(t, "node")
	need(t, "npm")
	root, err := exec.Command("npm", "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.TrimSpace(string(root))
	for _, name := range []string{"web-tree-sitter", "tree-sitter-powershell"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			if os.Getenv("NO_SKIP") == "1" {
				t.Fatalf("npm package %s is not installed", name)
			}
			t.Skipf("npm package %s is not installed", name)
		}
	}
	return func(files ...string) ([]byte, error) {
		// the optimizing compiler takes minutes over this grammar
		args := append([]string{"--liftoff-only", "testdata/parse.js", filepath.Dir(modules)}, files...)
		return exec.Command("node", args...).CombinedOutput()
	}
}

func TestPowerShellParses(t *testing.T) {
	parse := powershellParser(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}

	var files []string
	c := Change{Set: map[string]string{}, Unset: []string{"AWS_PROFILE"}}
	for i, v := range append(random(300), nasty()...) {
		if len(v) > 1000 {
			continue
		}
		one := Change{Set: map[string]string{"V": v}}
		if _, err := PowerShell.Render(one); err == nil {
			c.Set[fmt.Sprintf("V%d", i)] = v
		}
		if word, err := PowerShell.Quote(v); err == nil {
			files = append(files, write(fmt.Sprintf("word%d.ps1", i), "aws-runas env "+word+"\n"))
		}
	}
	text, err := PowerShell.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, write("render.ps1", text), write("eval.ps1", PowerShell.EvalLine("aws-runas env 'a b'")+"\n"))
	if out, err := parse(files...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := parse(write("bad.ps1", "$env:V = 'it's'\n")); err == nil {
		t.Errorf("an unbalanced quote passes: %s", out)
	}
}

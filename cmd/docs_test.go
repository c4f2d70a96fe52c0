package cmd

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// nodes are the program and each command that is shown, by its line: "list roles".
func nodes(t *testing.T) map[string]*kong.Node {
	t.Helper()
	var root struct{ globals }
	parser, err := newApp(nil, Streams{}).parser(&root, everyCommand)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*kong.Node{}
	var visit func(n *kong.Node, line string)
	visit = func(n *kong.Node, line string) {
		all[line] = n
		for _, child := range n.Children {
			if !child.Hidden {
				visit(child, strings.TrimSpace(line+" "+child.Name))
			}
		}
	}
	visit(parser.Model.Node, "")
	return all
}

// flags are those of all commands that are shown, by their name.
func flags(t *testing.T) map[string]*kong.Flag {
	t.Helper()
	all := map[string]*kong.Flag{}
	for _, n := range nodes(t) {
		for _, flag := range n.Flags {
			if !flag.Hidden {
				all[flag.Name] = flag
			}
		}
	}
	return all
}

// TestHelpFitsATerminal: 80 columns, and a screen for all but the flags of exec.
func TestHelpFitsATerminal(t *testing.T) {
	t.Setenv("COLUMNS", "80") // kong looks
	for line := range nodes(t) {
		var out, messages bytes.Buffer
		if code := Main(append(strings.Fields(line), "--help"), []string{"HOME=" + t.TempDir()}, Streams{Out: &out, Err: &messages}); code != 0 || messages.Len() > 0 {
			t.Fatalf("%s --help: exit code %d, %s", line, code, messages.Bytes())
		}
		text := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if most := 44; len(text) > most && line != "exec" {
			t.Errorf("%s --help has %d lines, more than %d", line, len(text), most)
		}
		for _, l := range text {
			if len(l) > 80 {
				t.Errorf("%s --help: wider than 80 columns: %s", line, l)
			}
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestManualHasEveryFlag holds the manual page and docs/command-line.md against
// the grammar, both ways.
func TestManualHasEveryFlag(t *testing.T) {
	// .It Fl d , -duration Ar time
	manual := regexp.MustCompile(`Fl (\w , )?-([a-z][a-z0-9-]+)`)
	inManual, inDocs := map[string]string{}, map[string]bool{}
	for _, m := range manual.FindAllStringSubmatch(readDoc(t, "man/aws-runas.1"), -1) {
		if letter := strings.TrimSuffix(m[1], " , "); letter != "" || inManual[m[2]] == "" {
			inManual[m[2]] = letter
		}
	}
	docs := readDoc(t, "docs/command-line.md")
	for _, m := range regexp.MustCompile("--([a-z][a-z0-9-]+)").FindAllStringSubmatch(docs, -1) {
		inDocs[m[1]] = true
	}
	known := flags(t)
	for name, flag := range known {
		letter, ok := inManual[name]
		if !ok {
			t.Errorf("aws-runas.1 lacks --%s", name)
		} else if flag.Short != 0 && letter != string(flag.Short) {
			t.Errorf("aws-runas.1 has %q for -%c, --%s", letter, flag.Short, name)
		}
		if !inDocs[name] {
			t.Errorf("docs/command-line.md lacks --%s", name)
		}
	}
	for name := range inManual {
		if known[name] == nil {
			t.Errorf("aws-runas.1 has --%s, which does not exist", name)
		}
	}
	for name := range inDocs {
		if known[name] == nil {
			t.Errorf("docs/command-line.md has --%s, which does not exist", name)
		}
	}
}

// TestManualHasEveryCommand likewise.
func TestManualHasEveryCommand(t *testing.T) {
	synopsis, _, _ := strings.Cut(readDoc(t, "man/aws-runas.1"), ".Sh DESCRIPTION")
	usage, _, _ := strings.Cut(readDoc(t, "docs/command-line.md"), "## ")
	for line, n := range nodes(t) {
		word := regexp.MustCompile(`\b` + n.Name + `\b`)
		if !word.MatchString(synopsis) {
			t.Errorf("the synopsis of aws-runas.1 lacks %q", line)
		}
		if !word.MatchString(usage) {
			t.Errorf("the first lines of docs/command-line.md lack %q", line)
		}
	}
}

// TestManualHasEveryVariable: those of settings and flags are told in
// docs/configuration.md or docs/command-line.md and in the manual page, and none
// is told that the program does not know.
func TestManualHasEveryVariable(t *testing.T) {
	source := readDoc(t, "session/profile/resolve.go")
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`\[\]string\{("[A-Z][A-Z0-9_, "]*")\}`).FindAllStringSubmatch(source, -1) {
		for _, name := range strings.Split(m[1], ", ") {
			known[strings.Trim(name, `"`)] = true
		}
	}
	variable := regexp.MustCompile(`\$([A-Z][A-Z0-9_]+)`)
	for _, flag := range flags(t) {
		for _, m := range variable.FindAllStringSubmatch(flag.Help, -1) {
			known[m[1]] = true
		}
	}
	if len(known) < 30 {
		t.Fatalf("only %d variables are known", len(known))
	}
	manual, docs := readDoc(t, "man/aws-runas.1"), readDoc(t, "docs/configuration.md")+readDoc(t, "docs/command-line.md")
	has := func(text, name string) bool { return regexp.MustCompile(`\b` + name + `\b`).MatchString(text) }
	for name := range known {
		if !has(manual, name) {
			t.Errorf("aws-runas.1 lacks %s", name)
		}
		if !has(docs, name) {
			t.Errorf("neither docs/configuration.md nor docs/command-line.md has %s", name)
		}
	}
	var code strings.Builder
	for _, dir := range []string{"cmd", "keychain", "metadata", "session", "shell"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	everything := code.String()
	for _, m := range regexp.MustCompile(`\b(?:AWS|AWSRUNAS|RUNAS|SAML|WEB|MFA)_[A-Z][A-Z0-9_]+\b`).FindAllString(manual+docs, -1) {
		if !strings.Contains(everything, m) {
			t.Errorf("%s is told, and nothing reads or sets it", m)
		}
	}
}

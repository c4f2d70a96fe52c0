package cmd_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "aws-runas"

// arrows says which of our packages each of them may import: data flows one way,
// from the line through session/profile, session/chain and session to shell,
// metadata or exec. A name ending in /... covers the packages below it. "*" is any.
var arrows = map[string][]string{
	"cmd/aws-runas":         {"cmd"},
	"cmd/sandbox":           {"session/awstest", "shell"},
	"cmd/bench":             {"session/awstest"},
	"cmd/tty":               {"session"},
	"cmd":                   {"*"},
	"session/profile":       {},
	"session":               {},
	"session/awsapi":        {"session", "session/profile"},
	"session/role":          {"session", "session/profile", "session/awsapi"},
	"session/saml":          {"session", "session/profile", "session/awsapi", "session/signin"},
	"session/oidc":          {"session", "session/profile", "session/awsapi", "session/signin"},
	"session/sso":           {"session", "session/profile", "session/awsapi", "session/signin"},
	"session/signin":        {"session"},
	"session/chain":         {"session", "session/profile", "session/awsapi", "session/role", "session/saml", "session/oidc", "session/sso", "session/signin"},
	"session/awstest":       {},
	"keychain":              {"keychain/..."},
	"keychain/busguard":     {},
	"keychain/keychaintest": {"keychain"},
	"metadata":              {"session", "session/profile", "metadata/..."},
	"shell":                 {"shell/..."},
	"completions":           {"completions/..."},
}

// importers says who alone may import each of the libraries that must not spread.
var importers = []struct {
	prefix string
	by     []string
	reason string
}{
	{"github.com/alecthomas/kong", []string{"cmd", "completions"}, "only the command line knows the grammar"},
	{"github.com/99designs/keyring", []string{"keychain"}, "it dials D-Bus as it is loaded, and its errors hide what is locked"},
	{"github.com/godbus/dbus", []string{"keychain", "keychain/keychaintest"}, "the keyring is the only thing asked on the bus"},
	{"gopkg.in/ini.v1", []string{"session/profile"}, "one reader of AWS files, so that every command sees the same settings"},
	{"github.com/aws/", []string{"session/awsapi", "session/role", "session/saml", "session/oidc", "session/sso"}, "clients are built in one place, and their errors become ours beside them"},
	{"github.com/mattn/go-isatty", []string{"cmd", "cmd/tty", "cmd/sandbox"}, "only the program knows of a terminal"},
	{"golang.org/x/term", []string{"cmd", "cmd/tty", "cmd/sandbox"}, "only the program knows of a terminal"},
	{"github.com/cli/browser", []string{"cmd/tty"}, "only the terminal's owner opens a browser"},
	{"github.com/sahilm/fuzzy", []string{"cmd/tty", "completions"}, "only what matches a typed name needs it"},
	{"github.com/gofrs/flock", []string{"session", "session/profile", "keychain"}, "only the owners of files and of the single sign-in lock"},
	{"golang.org/x/oauth2", []string{"session/oidc", "session/sso"}, "only the OIDC flows use it"},
	{"github.com/coreos/go-oidc", []string{"session/oidc"}, "only the OIDC flows use it"},
	{module + "/session/awstest", []string{"cmd/sandbox", "cmd/bench"}, "the shipped program carries no double of AWS"},
	{"testing", []string{"keychain/keychaintest", "session/awstest"}, "the program must not carry the test framework"},
}

// folders are the only ones at the top that may hold Go code.
var folders = []string{"cmd", "completions", "keychain", "metadata", "session", "shell"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// list asks go for our packages, as they are on one platform.
func list(t *testing.T, goos string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// covers reports whether one of the patterns names the package.
func covers(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		below, isTree := strings.CutSuffix(pattern, "/...")
		return pattern == "*" || pattern == pkg || isTree && strings.HasPrefix(pkg, below+"/")
	})
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, p := range list(t, goos) {
			name := strings.TrimPrefix(p.ImportPath, module+"/")
			allowed, known := arrows[name]
			if !known {
				// A package inside one of ours follows its parent.
				for parent := path.Dir(name); parent != "." && !known; parent = path.Dir(parent) {
					allowed, known = arrows[parent]
					allowed = slices.Concat(allowed, []string{parent, parent + "/..."})
				}
			}
			if !known {
				t.Errorf("%s: %s has no row in arrows: say what it may import", goos, name)
			}
			for _, imported := range p.Imports {
				if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !covers(allowed, ours) {
					t.Errorf("%s: %s imports %s: data flows one way, and this arrow is not in the design", goos, name, ours)
				}
				for _, rule := range importers {
					if (imported == rule.prefix || strings.HasPrefix(imported, strings.TrimSuffix(rule.prefix, "/")+"/")) && !covers(rule.by, name) {
						t.Errorf("%s: %s imports %s: %s (only %s may)", goos, name, imported, rule.reason, strings.Join(rule.by, ", "))
					}
				}
			}
		}
	}
}

// TestCalls looks at every Go file of the checkout, whatever its build tags.
func TestCalls(t *testing.T) {
	rules := []struct {
		pkg, name string
		applies   func(file string) bool
		reason    string
	}{
		{"os", "Exit", outsideMain, "main alone ends the program, so that what is deferred runs"},
		{"log", "Fatal*", outsideMain, "main alone ends the program, so that what is deferred runs"},
		{"syscall", "Exit", outsideMain, "main alone ends the program, so that what is deferred runs"},
		{"context", "TODO", everywhere, "a call that cannot be cancelled outlives whoever asked"},
		{"time", "Sleep", inTests, "a test that sleeps is slow or flaky: wait for the event, or use testing/synctest"},
	}
	// In a synctest bubble the clock is the test's own: to sleep takes no time
	// and is how time passes.
	bubbles := map[string]bool{}
	for _, file := range goFiles(t) {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if inTests(file) && strings.Contains(string(text), "synctest.Test(") {
			bubbles[path.Dir(file)] = true
		}
	}
	for _, file := range goFiles(t) {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, filepath.Join("..", file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		names := map[string]string{} // as imported -> path
		for _, spec := range parsed.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			as := path.Base(imported)
			if spec.Name != nil {
				as = spec.Name.Name
			}
			names[as] = imported
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			left, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, rule := range rules {
				if rule.pkg == "time" && bubbles[path.Dir(file)] {
					continue
				}
				prefix, isPrefix := strings.CutSuffix(rule.name, "*")
				if names[left.Name] == rule.pkg && rule.applies(file) && (sel.Sel.Name == rule.name || isPrefix && strings.HasPrefix(sel.Sel.Name, prefix)) {
					t.Errorf("%s: %s.%s: %s", fset.Position(n.Pos()), left.Name, sel.Sel.Name, rule.reason)
				}
			}
			return true
		})
	}
}

func everywhere(string) bool { return true }

func inTests(file string) bool { return strings.HasSuffix(file, "_test.go") }

// outsideMain spares mains, and tests, whose TestMain has to exit.
func outsideMain(file string) bool {
	return path.Base(file) != "main.go" && !inTests(file)
}

func TestFolders(t *testing.T) {
	top := map[string]bool{}
	for _, file := range goFiles(t) {
		folder, _, _ := strings.Cut(file, "/")
		top[folder] = true
	}
	for _, folder := range slices.Sorted(maps.Keys(top)) {
		if !slices.Contains(folders, folder) {
			t.Errorf("Go code in %s: the code folders at the top are %s; new packages go inside them", folder, strings.Join(folders, ", "))
		}
	}
}

// goFiles lists the Go files of the checkout, with slashes, from its root.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(".."), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(file, ".go"):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found")
	}
	return files
}

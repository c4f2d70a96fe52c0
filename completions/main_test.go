package completions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestMain makes the test binary the program that the shells below complete.
func TestMain(m *testing.M) {
	if os.Getenv("COMPLETIONS_TEST_PROGRAM") == "" {
		os.Exit(m.Run())
	}
	if len(os.Args) < 2 || os.Args[1] != "__complete" {
		fmt.Println("ran", strings.Join(os.Args[1:], "|"))
		os.Exit(0)
	}
	for _, name := range strings.Fields(os.Getenv("COMPLETIONS_TEST_NAMES")) {
		profiles = append(profiles, Candidate{Value: strings.ReplaceAll(name, "\u2420", " ")})
	}
	g, err := program(os.Getenv("AWS_PROFILE"))
	if err == nil {
		err = g.Complete(os.Stdout, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The grammar below is shaped as the program's: a default command that wraps
// another, flags shared by several commands, commands within commands.

type testGlobals struct {
	Verbose int    `short:"v" type:"counter" help:"Say what is being done. Twice: say more."`
	NoInput bool   `help:"Never ask anything: exit 3 instead."`
	Keyring string `complete:"keyring" help:"Where secrets are kept."`
	Secret  string `hidden:"" help:"Not shown."`
}

type testOverrides struct {
	Duration  string `short:"d" help:"Lifetime of the session token, such as 8h. ($$SESSION_TOKEN_DURATION)"`
	MFASerial string `short:"M" name:"mfa-serial" help:"MFA device."`
	Region    string `complete:"region" help:"AWS region."`
}

type testRequest struct {
	Refresh bool   `short:"r" help:"Get new credentials even if there are some."`
	Output  string `short:"O" complete:"format" help:"Output format."`
}

type testExec struct {
	Env   bool     `short:"E" help:"Plain variables."`
	Words []string `arg:"" optional:"" passthrough:"partial" complete:"profile"`
	testOverrides
	testRequest
}

type testEnv struct {
	Profile string `arg:"" optional:"" complete:"profile"`
	Shell   string `complete:"shell" help:"Shell to print for."`
	Unset   bool   `negatable:"" help:"Take back."`
	testOverrides
	testRequest
}

type testKeys struct {
	Add struct {
		Name string `arg:"" complete:"profile"`
		Kind string `enum:"user, root" default:"user"`
	} `cmd:"" help:"Put access keys into the keyring."`
	Import struct {
		File string `arg:"" type:"existingfile"`
	} `cmd:"" help:"Import keys from a file."`
	Remove struct {
		Names []string `arg:"" complete:"profile"`
	} `cmd:"" aliases:"rm" help:"Remove access keys."`
	Hidden struct{} `cmd:"" hidden:""`
}

var profiles = []Candidate{
	{"prod", "111122223333 Admin"}, {"prod-eu", "111122223333 Reader"}, {"dev", "444455556666 Admin"},
	{"org:dev", "1 a"}, {"org:prod", "1 b"}, {"me@corp", "2 c"}, {"team/dev role", "3 d"},
	{"it's", "4 e"}, {`back\slash`, "5 f"}, {`say"hi"`, "6 g"}, {"café", "7 h"}, {"日本", "8 i"}, {"50%off", "9 j"},
	{"cost$HOME", "k"}, {"a=b", "l"}, {"tick`s", "m"}, {"x,y{z}", "n"}, {"[1]*", "o"}, {"ünï:cö de", "p"}, {"~tilde", "q"},
	{"list", "named like a command"}, {"-dash", "looks like a flag"}, {"bad\x1b[31m", "r"}, {"two\nlines", "s"},
}

func words(list ...string) func(string) []Candidate {
	return func(string) []Candidate {
		var c []Candidate
		for _, w := range list {
			c = append(c, Candidate{Value: w})
		}
		return c
	}
}

// program is the grammar as the program has it, where AWS_PROFILE is ambient.
func program(ambient string) (*Grammar, error) {
	var root struct{ testGlobals }
	parser, err := kong.New(&root, kong.Name("aws-runas"), kong.NoDefaultHelp(),
		kong.DynamicCommand("exec", "Run a command.", "", &testExec{}),
		kong.DynamicCommand("env", "Print credentials. For a shell.", "", &testEnv{}),
		kong.DynamicCommand("list", "List things.", "", &struct {
			Profiles struct{} `cmd:"" help:"List profiles."`
			Keys     struct{} `cmd:"" help:"List keys."`
		}{}),
		kong.DynamicCommand("keys", "Access keys.", "", &testKeys{}),
	)
	if err != nil {
		return nil, err
	}
	return &Grammar{
		Model: parser.Model, Default: "exec",
		Values: map[string]func(string) []Candidate{
			"profile": func(string) []Candidate { return slices.Clone(profiles) },
			"region":  words("eu-west-1", "eu-central-1", "us-east-1"),
			"format":  words("env", "json", "dotenv"),
			"shell":   words(Shells()...),
			"keyring": words("file", "pass"),
		},
		CommandFirst: func(word string) bool {
			if ambient == "" || strings.HasPrefix(word, "arn:") {
				return false
			}
			for _, p := range profiles {
				if p.Value == word {
					return false
				}
			}
			return true
		},
		Function: []Candidate{{"off", "take back what was exported"}, {"-", "the profile before"}},
	}, nil
}

func need(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

func needFile(t testing.TB, path, name string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

// randomNames are names full of what shells act upon, each with a beginning of
// its own.
func randomNames() []string {
	const acted = " '\"\\$`!*?[]{}()<>|&;#~^%=@:,./+-_aZ0\u00e9\u2019"
	r := rand.New(rand.NewPCG(1, 2))
	names := make([]string, 60)
	for i := range names {
		name := fmt.Sprintf("n%dn", i)
		for range 1 + r.IntN(12) {
			runes := []rune(acted)
			name += string(runes[r.IntN(len(runes))])
		}
		names[i] = name + "z"
	}
	return names
}

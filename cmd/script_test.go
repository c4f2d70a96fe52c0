package cmd

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts of testdata/script run the program as a process of its own, each
// against an AWS of its own and with a HOME of its own.
//
// They have, beside testscript's commands:
//
//	code VAR            put a valid MFA code into VAR
//	calls ACTION N      AWS has been asked ACTION exactly N times
//	fault KIND ACTION N the next N requests go wrong: throttle, fail, drop, or delay
//	skew DURATION       AWS's clock is ahead of ours
//	stop                AWS is gone
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aws-runas": func() {
			a := newApp(os.Environ(), Streams{os.Stdin, os.Stdout, os.Stderr})
			// Nothing outside the work folder is touched.
			dir := os.Getenv("TEST_LOCKS")
			a.locks = session.Locks{Dir: func() (string, error) { return dir, os.MkdirAll(dir, 0o700) }}
			os.Exit(a.main(os.Args[1:]))
		},
		// printenv is for wrapped commands: each variable named, or all.
		"showenv": func() {
			for _, name := range os.Args[1:] {
				if v, ok := os.LookupEnv(name); ok {
					fmt.Printf("%s=%s\n", name, v)
				} else {
					fmt.Printf("%s is unset\n", name)
				}
			}
		},
	})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":  cmdCode,
			"calls": cmdCalls,
			"fault": cmdFault,
			"skew":  cmdSkew,
			"stop":  cmdStop,
		},
	})
}

type worldKey struct{}

func setup(env *testscript.Env) error {
	w := awstest.Demo(awstest.Options{})
	url, err := w.Start()
	if err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"HOME":                        home,
		"USERPROFILE":                 home,
		"LOCALAPPDATA":                filepath.Join(home, "local"),
		"XDG_DATA_HOME":               filepath.Join(home, ".local/share"),
		"XDG_RUNTIME_DIR":             "",
		"TEST_LOCKS":                  filepath.Join(env.WorkDir, "locks"),
		"TMPDIR":                      filepath.Join(env.WorkDir, "tmp"),
		"AWS_ENDPOINT_URL":            url,
		"AWS_EC2_METADATA_DISABLED":   "true",
		"DBUS_SESSION_BUS_ADDRESS":    "unix:path=/nonexistent",
		"AWSRUNAS_KEYRING":            "file",
		"AWSRUNAS_PASSPHRASE":         "planted-passphrase",
		"KEY_ID":                      w.Key.ID,
		"KEY_SECRET":                  w.Key.Secret,
		"MFA":                         w.MFA.Serial,
		"ADMIN":                       w.Admin.ARN,
		"READONLY":                    w.ReadOnly.ARN,
		"PROD":                        w.Prod.ARN,
		"PARTNER":                     w.Partner.ARN,
		"DEPLOY":                      w.Deploy.ARN,
		"EXTERNAL":                    w.ExternalID,
		"NO_COLOR":                    "1",
		"AWSRUNAS_PASSPHRASE_COMMAND": "",
	} {
		env.Setenv(name, value)
	}
	if err := os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o700); err != nil {
		return err
	}
	env.Values[worldKey{}] = w
	env.Defer(func() {
		w.Close()
		for _, leak := range leaks(home, append(w.Secrets(), "planted-passphrase")) {
			env.T().Log("secret in the clear in " + leak)
			env.T().FailNow()
		}
	})
	var pairs []string
	for _, name := range []string{"KEY_ID", "KEY_SECRET", "MFA", "ADMIN", "READONLY", "PROD", "PARTNER", "DEPLOY", "EXTERNAL"} {
		pairs = append(pairs, "$"+name, env.Getenv(name))
	}
	names := strings.NewReplacer(pairs...)
	// The files of the script may name what this AWS has.
	return filepath.WalkDir(env.WorkDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(names.Replace(string(text))), 0o600)
	})
}

// leaks lists the files below dir that hold a secret, but for those that were
// asked to: files named by a script, and the section that -c writes.
func leaks(dir string, secrets []string) (found []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "credentials" {
			return nil
		}
		text, _ := os.ReadFile(path)
		for _, s := range secrets {
			if s != "" && strings.Contains(string(text), s) {
				found = append(found, path)
				break
			}
		}
		return nil
	})
	return found
}

func world(ts *testscript.TestScript) *awstest.World { return ts.Value(worldKey{}).(*awstest.World) }

func need(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) != n {
		ts.Fatalf("usage: %s", usage)
	}
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "code VAR")
	code := world(ts).MFA.Code()
	if code == "" {
		ts.Fatalf("this script has used up its three MFA codes")
	}
	ts.Setenv(args[0], code)
}

func cmdCalls(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "calls ACTION N")
	if got := strconv.Itoa(world(ts).Count(args[0])); got != args[1] {
		ts.Fatalf("%s was called %s times, want %s", args[0], got, args[1])
	}
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "fault throttle|fail|drop ACTION N")
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	f := awstest.Fault{Action: args[1], Times: n}
	switch args[0] {
	case "throttle":
		f = awstest.Throttled(args[1], n)
	case "fail":
		f = awstest.Unavailable(args[1], n)
	case "drop":
		f.Drop = true
	default:
		ts.Fatalf("unknown fault %q", args[0])
	}
	world(ts).Inject(f)
}

func cmdSkew(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "skew DURATION")
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	world(ts).SetSkew(d)
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "stop")
	ts.Check(world(ts).Close())
}

package cmd

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
//	fault KIND ACTION N the next N requests go wrong: throttle, fail or drop
//	fault refuse ACTION N CODE MESSAGE
//	skew DURATION       AWS's clock is ahead of ours
//	deactivate          AWS takes the user's key no longer
//	last DURATION       what AWS issues from here on lasts no longer
//	stop                AWS is gone
//	fails [-nohint] CODE PROGRAM [ARGS...]
//	newkey ID SECRET    put another key of the user into two variables
//	tls VAR             put AWS's address with TLS into VAR, and its certificate into the file ca.pem
//	tree FOLDER         print the files below a folder with their digests
//
// and the program ordinary, which is aws-runas for an ordinary user even where
// root runs the tests; the condition [ordinary] is false where it cannot be.
// Whatever a script asserts, its log is held against [scriptT.check].
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aws-runas": runAsProgram,
		"ordinary": func() {
			if err := becomeOrdinary(os.Getenv("WORK")); err != nil {
				fmt.Fprintln(os.Stderr, "ordinary:", err)
				os.Exit(99)
			}
			runAsProgram()
		},
		"awaitkeys": awaitKeys,
		"xdg-open":  xdgOpen,
		"askalice":  askPassword,
		"askcode":   askCode,
		// showenv is for wrapped commands.
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

// awaitKeys is a wrapped command that asks its endpoint, as an SDK does, until
// it has been given two different keys.
func awaitKeys() {
	keys := map[string]bool{}
	for deadline := time.Now().Add(time.Minute); len(keys) < 2; {
		r, _ := http.NewRequest("GET", os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), nil)
		r.Header.Set("Authorization", os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
		response, err := http.DefaultClient.Do(r)
		if err != nil || time.Now().After(deadline) {
			fmt.Println("no new keys:", err)
			os.Exit(1)
		}
		var c struct {
			AccessKeyID string `json:"AccessKeyId"`
			Expiration  time.Time
		}
		err = json.NewDecoder(response.Body).Decode(&c)
		response.Body.Close()
		if err != nil || !c.Expiration.After(time.Now()) {
			fmt.Println("served:", response.Status, c.Expiration, err)
			os.Exit(1)
		}
		keys[c.AccessKeyID] = true
	}
	fmt.Println("two keys")
}

func TestScript(t *testing.T) { runScripts(t, "testdata/script") }

func runScripts(t *testing.T, dir string) {
	testscript.RunT(&scriptT{T: t}, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":       cmdCode,
			"calls":      cmdCalls,
			"fails":      cmdFails,
			"fault":      cmdFault,
			"skew":       cmdSkew,
			"deactivate": cmdDeactivate,
			"stop":       cmdStop,
			"newkey":     cmdNewKey,
			"tls":        cmdTLS,
			"tree":       cmdTree,
			"last":       cmdLast,
		},
		Condition: condition,
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
	readme, err := filepath.Abs("../README.md")
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"HOME":                        home,
		"README":                      readme,
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
		"GORACE":                      raceOptions(),
		"AWSRUNAS_PASSPHRASE_COMMAND": "",
	} {
		env.Setenv(name, value)
	}
	if err := os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o700); err != nil {
		return err
	}
	env.Values[worldKey{}] = w
	more, secrets, err := providers(env, w)
	if err != nil {
		return err
	}
	t := env.T().(*scriptT)
	t.secrets = func() []string { return slices.Concat(w.Secrets(), secrets(), []string{"planted"}) }
	env.Defer(func() {
		w.Close()
		forgetPassphrase(env.Getenv)
		for _, leak := range leaks(home, slices.Concat(w.Secrets(), secrets(), []string{"planted-passphrase"})) {
			t.Errorf("secret in the clear in %s", leak)
		}
	})
	if err := open(env.WorkDir); err != nil {
		return err
	}
	var pairs []string
	for _, name := range append(more, "KEY_ID", "KEY_SECRET", "MFA", "ADMIN", "READONLY", "PROD", "PARTNER", "DEPLOY", "EXTERNAL") {
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
	if len(args) == 5 && args[0] == "refuse" {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		world(ts).Inject(awstest.Fault{Action: args[1], Times: n, Status: http.StatusForbidden, Code: args[3], Message: args[4]})
		return
	}
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

func cmdLast(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "last DURATION")
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	world(ts).SetLifetime(d)
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "stop")
	ts.Check(world(ts).Close())
}

package chain_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

// The test binary is also every program that a test runs.
const (
	childVar  = "CHAIN_TEST_CHILD" // what to be
	childFile = "CHAIN_TEST_FILE"  // what to print
	childEnv  = "CHAIN_TEST_ENV"   // where to write the environment
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "":
		os.Exit(m.Run())
	case "print":
		if file := os.Getenv(childEnv); file != "" {
			text, _ := json.Marshal(os.Environ())
			// One line a run.
			f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err == nil {
				f.Write(append(text, '\n'))
				f.Close()
			}
		}
		text, err := os.ReadFile(os.Getenv(childFile))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
		os.Stdout.Write(text)
	case "fail":
		fmt.Print("planted-output")
		fmt.Fprintln(os.Stderr, "the child's own words")
		os.Exit(3)
	case "get":
		getInChild()
	}
}

// self is the test binary as a word of a command line.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return `"` + path + `"`
}

func needsShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // cmd.exe is always there
	}
	if _, err := exec.LookPath("sh"); err != nil {
		skip(t, "sh")
	}
}

// skip skips a test for want of a program, or fails it where nothing may be skipped.
func skip(t *testing.T, program string) {
	t.Helper()
	if os.Getenv("NO_SKIP") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// processLab has a profile "process" and a role over it, and returns how to
// set what the process prints and how often it ran.
func processLab(t *testing.T, f func(t *testing.T, l *lab, prints func(v any), runs func() [][]string)) {
	in(t, demo+"\n[profile process]\ncredential_process = "+self(t)+` "one argument"
[profile role]
role_arn = arn:aws:iam::210987654321:role/Partner
external_id = partner-4711
source_profile = process
[profile mfarole]
role_arn = arn:aws:iam::123456789012:role/Admin
mfa_serial = MFA
source_profile = process
`, func(t *testing.T, l *lab) {
		l.env[childVar] = "print"
		l.env[childFile] = filepath.Join(l.dir, "json")
		l.env[childEnv] = filepath.Join(l.dir, "environment")
		prints := func(v any) {
			text, ok := v.(string)
			if !ok {
				b, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			if err := os.WriteFile(l.env[childFile], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		runs := func() (all [][]string) {
			b, _ := os.ReadFile(l.env[childEnv])
			for line := range strings.Lines(string(b)) {
				var env []string
				if err := json.Unmarshal([]byte(line), &env); err != nil {
					t.Fatal(err)
				}
				all = append(all, env)
			}
			return all
		}
		f(t, l, prints, runs)
	})
}

// temporary makes credentials for a process to print.
func temporary(l *lab, lasts time.Duration) map[string]any {
	c := l.get("mfa", "session_token_duration=36h")
	l.world.Reset()
	return map[string]any{
		"Version": 1, "AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "SessionToken": c.SessionToken,
		"Expiration": time.Now().Add(lasts).UTC().Format(time.RFC3339),
	}
}

func TestCredentialProcess(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		out := temporary(l, 2*time.Hour)
		prints(out)
		for range 3 {
			c, err := l.try("process")
			if err != nil || c.AccessKeyID != out["AccessKeyId"] || time.Until(c.Expires) != 2*time.Hour {
				t.Fatalf("got %v, %v", c, err)
			}
		}
		l.get("role")
		if n := len(runs()); n != 1 {
			t.Errorf("ran %d times, want once: what it printed is good for two hours", n)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1}) // and no GetSessionToken
		time.Sleep(110 * time.Minute)
		prints(temporary(l, time.Hour))
		if _, err := l.try("process"); err != nil || len(runs()) != 2 {
			t.Errorf("%v, ran %d times, want twice", err, len(runs()))
		}
		time.Sleep(time.Second)
		l.deps = func(d *chain.Deps) { d.Renew = true }
		if _, err := l.try("process"); err != nil || len(runs()) != 3 {
			t.Errorf("%v, ran %d times, want three", err, len(runs()))
		}
	})
}

func TestCredentialProcessWithoutExpiryIsNotKept(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		out := temporary(l, time.Hour)
		delete(out, "Expiration")
		prints(out)
		before := len(l.store.records)
		for range 2 {
			if c, err := l.try("process"); err != nil || !c.Expires.IsZero() {
				t.Fatalf("got %v, %v", c, err)
			}
		}
		if len(runs()) != 2 || len(l.store.records) != before {
			t.Errorf("ran %d times, %d new records", len(runs()), len(l.store.records)-before)
		}
	})
}

// A process may print an IAM user's keys: then there are sessions, and MFA.
func TestCredentialProcessWithLongTermKeys(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		prints(map[string]any{"Version": 1, "AccessKeyId": l.world.Key.ID, "SecretAccessKey": l.world.Key.Secret})
		if c := l.get("process"); !c.Temporary() {
			t.Error("long-term keys are handed out")
		}
		l.get("process")
		if n := len(runs()); n != 1 {
			t.Errorf("ran %d times, want once: the session is kept", n)
		}
		l.get("mfarole")
		l.get("mfarole")
		l.calls(map[string]int{"GetCallerIdentity": 2, "GetSessionToken": 2, "AssumeRole": 1})
		if l.person.count() != 1 {
			t.Errorf("asked %d times", l.person.count())
		}
	})
}

// Nobody knows whether MFA stands behind temporary credentials from elsewhere:
// the code goes with the call, where it can belong to the caller.
func TestMFAWithTemporaryCredentials(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		c := l.get("base")
		prints(map[string]any{"Version": 1, "AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "SessionToken": c.SessionToken})
		l.world.Reset()
		l.get("mfarole")
		if got := l.last("AssumeRole"); got["SerialNumber"] != l.world.MFA.Serial || got["signer"] != c.AccessKeyID {
			t.Errorf("AssumeRole %v", got)
		}
		l.calls(map[string]int{"GetCallerIdentity": 1, "AssumeRole": 1})
	})
}

func TestCredentialProcessEnvironment(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		for _, name := range []string{"MFA_CODE", "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD", "AWSRUNAS_PASSPHRASE"} {
			l.env[name] = "planted-secret"
		}
		l.env["AWS_ACCESS_KEY_ID"] = "AKIAFOREIGN"
		prints(temporary(l, time.Hour))
		if _, err := l.try("process"); err != nil {
			t.Fatal(err)
		}
		env := runs()[0]
		for _, kv := range env {
			if strings.Contains(kv, "planted") {
				t.Errorf("the process gets %s", kv)
			}
		}
		if !slices.Contains(env, "AWS_ACCESS_KEY_ID=AKIAFOREIGN") {
			t.Error("the process does not get the AWS variables")
		}
	})
}

func TestCredentialProcessThatRunsItself(t *testing.T) {
	processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
		prints(temporary(l, time.Hour))
		if _, err := l.try("process"); err != nil {
			t.Fatal(err)
		}
		const guard = "AWSRUNAS_PROCESS_CHAIN"
		// What the process would see, were it aws-runas.
		for _, kv := range runs()[0] {
			if name, value, _ := strings.Cut(kv, "="); name == guard {
				l.env[guard] = value
			}
		}
		for _, name := range []string{"process", "role"} {
			e := fails[*profile.Error](l, name)
			if !strings.Contains(e.Error(), `"process"`) || e.Hint() == "" {
				t.Errorf("%v; hint %q", e, e.Hint())
			}
		}
		l.get("admin") // another profile is no circle
		l.env[guard] = "1,2,3,4,5,6,7,8"
		fails[*profile.Error](l, "process")
		delete(l.env, guard)
		if _, err := l.try("process"); err != nil {
			t.Error(err)
		}
	})
}

func TestCredentialProcessThatFails(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":      "",
		"no JSON":      "planted-output",
		"half of it":   `{"Version": 1, "AccessKeyId": "planted`,
		"a list":       `["planted"]`,
		"old version":  `{"Version": 0, "AccessKeyId": "planted", "SecretAccessKey": "planted"}`,
		"no version":   `{"AccessKeyId": "planted", "SecretAccessKey": "planted"}`,
		"no secret":    `{"Version": 1, "AccessKeyId": "planted"}`,
		"no time":      `{"Version": 1, "AccessKeyId": "planted", "SecretAccessKey": "planted", "Expiration": "planted"}`,
		"expired":      `{"Version": 1, "AccessKeyId": "planted", "SecretAccessKey": "planted", "Expiration": "1999-01-01T00:00:00Z"}`,
		"two of them":  `{"Version": 1} {"Version": 1}`,
		"far too much": strings.Repeat(" ", 1<<17),
	} {
		t.Run(name, func(t *testing.T) {
			processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
				prints(out)
				_, err := l.try("process")
				if err == nil || strings.Contains(err.Error(), "planted") || !strings.Contains(err.Error(), `"process"`) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
	t.Run("exit status", func(t *testing.T) {
		processLab(t, func(t *testing.T, l *lab, prints func(any), runs func() [][]string) {
			var stderr strings.Builder
			l.deps = func(d *chain.Deps) { d.Stderr = &stderr }
			l.env[childVar] = "fail"
			_, err := l.try("process")
			if err == nil || !strings.Contains(err.Error(), "exit status 3") || strings.Contains(err.Error(), "planted") {
				t.Errorf("got %v", err)
			}
			if !strings.Contains(stderr.String(), "the child's own words") || strings.Contains(stderr.String(), "planted") {
				t.Errorf("stderr %q", stderr.String())
			}
		})
	})
	t.Run("not found", func(t *testing.T) {
		in(t, "[profile x]\ncredential_process = no-such-program-here --token planted\n", func(t *testing.T, l *lab) {
			e := fails[*profile.Error](l, "x")
			if !strings.Contains(e.Error(), "no-such-program-here") || strings.Contains(e.Error(), "planted") {
				t.Error(e)
			}
		})
	})
	t.Run("open quote", func(t *testing.T) {
		in(t, "[profile x]\ncredential_process = prog \"planted\n", func(t *testing.T, l *lab) {
			if e := fails[*profile.Error](l, "x"); strings.Contains(e.Error(), "planted") {
				t.Error(e)
			}
		})
	})
}

func TestWebIdentityToken(t *testing.T) {
	in(t, "[profile pod]\nrole_arn = arn:aws:iam::123456789012:role/Pod\nweb_identity_token_file = ~/token\ncredentials_duration = 2h\n"+
		"[profile next]\nrole_arn = arn:aws:iam::123456789012:role/Next\nsource_profile = pod\nmfa_serial = MFA\ncredentials_duration = 2h\n", func(t *testing.T, l *lab) {
		home := l.world.Default()
		idp := home.OIDCProvider("https://idp.example", nil, "sts.amazonaws.com")
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity"}]}`, idp.ARN)
		pod := home.Role("Pod", trust).SetMaxSession(4 * time.Hour)
		home.Role("Next", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`, pod.ARN))
		file := filepath.Join(l.dir, "token")

		e := fails[*profile.Error](l, "pod")
		if !strings.Contains(e.Error(), "cannot be read") || e.Hint() != "ls -l "+file {
			t.Errorf("%v; hint %q", e, e.Hint())
		}
		write := func(token string) {
			if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("")
		fails[*profile.Error](l, "pod")
		write(idp.Token("system:serviceaccount:a:b", time.Hour, nil))
		c := l.get("pod")
		if !strings.HasSuffix(c.ARN, "/os-user") || time.Until(c.Expires) != 2*time.Hour {
			t.Errorf("got %v, %s", c, c.ARN)
		}
		l.get("pod")
		l.calls(map[string]int{"AssumeRoleWithWebIdentity": 1})
		if got := l.get("next"); time.Until(got.Expires) != time.Hour || l.person.count() != 0 || len(l.notices) != 1 {
			t.Errorf("lasts %s, asked %d times, notices %q", time.Until(got.Expires), l.person.count(), l.notices)
		}
		l.calls(map[string]int{"AssumeRole": 1})
		write(idp.Token("system:serviceaccount:a:c", time.Hour, nil))
		if l.get("pod").AccessKeyID == c.AccessKeyID {
			t.Error("another token, the same credentials")
		}
		write(idp.Token("system:serviceaccount:a:c", -time.Hour, nil))
		if e := fails[*session.Refused](l, "pod"); e.Hint() == "" {
			t.Errorf("%v without a hint", e)
		}
		l.deps = func(d *chain.Deps) { d.SessionOnly = true }
		fails[*profile.Error](l, "pod")
	})
}

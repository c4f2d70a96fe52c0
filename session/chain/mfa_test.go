package chain_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/chain"
)

func otp(code string) func(*chain.Deps) { return func(d *chain.Deps) { d.OTP = code } }

func TestOTP(t *testing.T) {
	t.Run("is sent once", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.deps = otp(l.world.MFA.Code())
			p, err := l.open("prod")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Credentials(t.Context()); err != nil || l.person.count() != 0 {
				t.Fatalf("%v, asked %d times", err, l.person.count())
			}
			time.Sleep(4 * time.Hour)
			if _, err := p.Credentials(t.Context()); err != nil || l.person.count() != 1 {
				t.Errorf("%v, asked %d times: the code was replayed at the renewal", err, l.person.count())
			}
		})
	})
	t.Run("refused, a person is asked", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.deps = otp("000000")
			l.get("admin")
			if l.person.count() != 1 || l.person.asked[0].Problem == "" {
				t.Errorf("asked %+v", l.person.asked)
			}
		})
	})
	t.Run("refused and nobody there", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.deps, l.person.away = otp("000000"), true
			e := fails[*session.Refused](l, "admin")
			if e.Hint() != "aws-runas whoami --check admin" {
				t.Errorf("hint %q", e.Hint())
			}
		})
	})
	t.Run("no code, and nobody there", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.deps, l.person.away = otp("12345"), true
			if _, err := l.try("admin"); err == nil || !strings.Contains(err.Error(), "six digits") {
				t.Errorf("got %v", err)
			}
			if n := l.world.Count("GetSessionToken"); n != 0 {
				t.Errorf("sent %d times", n)
			}
		})
	})
	t.Run("nobody there", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.person.away = true
			if e := fails[*session.Needs](l, "admin"); e.What != session.NeedMFA || e.Profile != "admin" {
				t.Errorf("%+v", e)
			}
		})
	})
}

func TestAskedCodes(t *testing.T) {
	t.Run("question", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.get("admin")
			want := session.Question{What: session.AskMFA, Profile: "admin", Subject: l.world.MFA.Serial}
			if l.person.asked[0] != want {
				t.Errorf("asked %+v, want %+v", l.person.asked[0], want)
			}
		})
	})
	t.Run("with spaces", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			code := l.world.MFA.Code()
			l.person.answers = []string{" " + code[:3] + " " + code[3:] + "\n"}
			l.get("admin")
		})
	})
	t.Run("malformed ones are not sent", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.person.answers = []string{"12345", "abcdef"}
			l.get("admin")
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})
			if n := l.person.count(); n != 3 {
				t.Errorf("asked %d times, want 3", n)
			}
		})
	})
	t.Run("three tries", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.person.answers = []string{"000001", "000002", "000003", "000004"}
			e := fails[*session.Refused](l, "admin")
			if n := l.person.count(); n != 3 || e.Hint() != "aws-runas whoami --check admin" {
				t.Errorf("asked %d times; hint %q", n, e.Hint())
			}
		})
	})
	t.Run("the same wrong code three times", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			l.person.answers = []string{"000001", "000001", "000001"}
			e := fails[*session.Refused](l, "admin") // AWS has seen it once
			if n := l.person.count(); n != 3 || e.Code != "AccessDenied" {
				t.Errorf("asked %d times; %v", n, e)
			}
			l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1})
		})
	})
	t.Run("somebody else's device is not asked for again", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			stranger := l.world.Default().User("stranger").AddMFA("stranger")
			e := fails[*session.Refused](l, "admin", "mfa_serial="+stranger.Serial)
			if n := l.person.count(); n != 1 || !strings.Contains(e.Hint(), "-M") {
				t.Errorf("asked %d times; hint %q", n, e.Hint())
			}
		})
	})
	t.Run("wrong keys show before a code is asked for", func(t *testing.T) {
		in(t, demo, func(t *testing.T, l *lab) {
			k := l.world.Key
			k.Secret = "wrong"
			l.saveKeys("base", k)
			e := fails[*session.Refused](l, "admin")
			if l.person.count() != 0 || e.Hint() != "aws-runas keys add base" {
				t.Errorf("asked %d times; %v; hint %q", l.person.count(), e, e.Hint())
			}
		})
	})
}

// A code counts once: AWS refuses it the second time, so it is not even sent.
func TestCodeIsNotSentTwiceInAStep(t *testing.T) {
	in(t, demo, func(t *testing.T, l *lab) {
		code := l.world.MFA.Code()
		l.person.answers = []string{code, code}
		l.get("admin")
		l.calls(map[string]int{"GetCallerIdentity": 1, "GetSessionToken": 1, "AssumeRole": 1})
		l.cache = l.process() // another process
		l.get("prod")
		l.calls(map[string]int{"AssumeRole": 1})
		if n := l.person.count(); n != 3 || !strings.Contains(l.person.asked[2].Problem, "used") {
			t.Errorf("asked %+v", l.person.asked)
		}
		// The marks of past steps do not pile up.
		time.Sleep(time.Minute)
		l.get("prod", "credentials_duration=2h")
		marks, err := filepath.Glob(filepath.Join(l.dir, "locks", "mfa-*"))
		if err != nil || len(marks) != 1 {
			t.Errorf("%d marks are left, want that of the last code: %v", len(marks), err)
		}
	})
}

func TestMFAProcess(t *testing.T) {
	through := " | cat"
	if runtime.GOOS == "windows" {
		through = " && cd ."
	}
	config := strings.Replace(demo, "[profile base]", "[profile base]\nmfa_process = "+self(t)+through, 1)
	print := func(l *lab, text string) {
		l.env[childVar] = "print"
		file := filepath.Join(l.dir, "code")
		l.env[childFile] = file
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	needsShell(t)
	t.Run("prints the code", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			print(l, l.world.MFA.Code()+"\n")
			l.get("admin")
			if l.person.count() != 0 {
				t.Error("asked")
			}
		})
	})
	t.Run("comes after --otp", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			print(l, "nothing")
			l.deps = otp(l.world.MFA.Code())
			l.get("admin")
		})
	})
	t.Run("is run again in the next step", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			print(l, "000000")
			begun := time.Now()
			fails[*session.Refused](l, "admin")
			if took := time.Since(begun); took < 31*time.Second || took > 60*time.Second {
				t.Errorf("three codes within %s", took)
			}
			if n := l.world.Count("GetSessionToken"); n != 3 || len(l.notices) != 2 {
				t.Errorf("sent %d times, notices %q", n, l.notices)
			}
		})
	})
	t.Run("fails", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			l.config(strings.Replace(config, through, "", 1))
			l.env[childVar] = "fail"
			_, err := l.try("admin")
			if err == nil || !strings.Contains(err.Error(), "mfa_process") || !strings.Contains(err.Error(), "exit status 3") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("prints no code", func(t *testing.T) {
		in(t, config, func(t *testing.T, l *lab) {
			print(l, "planted-output")
			_, err := l.try("admin")
			var refused *session.Refused
			if err == nil || errors.As(err, &refused) || strings.Contains(err.Error(), "planted") {
				t.Errorf("got %v", err)
			}
		})
	})
}

package role

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"aws-runas/session"
)

// mfaTries is how many codes AWS may refuse before that is the answer.
const mfaTries = 3

// mfaStep is how long a device shows a code, which AWS takes once.
// RFC 6238, section 5.2
const mfaStep = 30 * time.Second

// MFA is a person's device: where its codes come from, and that none is sent twice.
type MFA struct {
	Profile string // on whose behalf
	Serial  string
	OTP     *OTP   // used first
	Process string // else a command that prints a code
	Command *Command
	Ask     session.Asker // else a person
	Cache   *session.Cache
	Notice  func(string)
}

// An OTP is a code given on the command line: good for one call, and never
// sent again when the credentials are due for renewal.
type OTP struct{ code atomic.Pointer[string] }

// NewOTP returns an OTP; an empty code is none.
func NewOTP(code string) *OTP {
	o := new(OTP)
	if code != "" {
		o.code.Store(&code)
	}
	return o
}

func (o *OTP) take() string {
	if o == nil {
		return ""
	}
	if p := o.code.Swap(nil); p != nil {
		return *p
	}
	return ""
}

func (m *MFA) serial() string {
	if m == nil {
		return ""
	}
	return m.Serial
}

// with runs call with a code, again with another one if AWS refuses it. For a
// nil MFA there is no code.
func (m *MFA) with(ctx context.Context, call func(serial, code *string) error) error {
	if m == nil {
		return call(nil, nil)
	}
	var problem string
	var last error
	for try := 0; try < mfaTries; {
		code, err := m.next(ctx, problem, try > 0)
		var needs *session.Needs
		if errors.As(err, &needs) && last != nil {
			return last // why somebody would have to be asked says more than that nobody can be
		} else if err != nil {
			return err
		}
		switch {
		case !sixDigits(code):
			problem, last = "a code has six digits", errors.New("the MFA code is not six digits")
		case !m.claim(code):
			problem, last = "that code has been used: wait for the next one", errors.New("the MFA code has been used already")
		default:
			err := call(&m.Serial, &code)
			var no *session.Refused
			if !errors.As(err, &no) || !wrongCode(no) {
				return err
			}
			problem, last = "AWS refused the code", err
		}
		try++
	}
	return last
}

// wrongCode reports whether AWS refused the code itself, and not the device or
// the call.
func wrongCode(e *session.Refused) bool {
	return e.Code == "AccessDenied" && strings.Contains(e.Message, "invalid MFA one time pass code")
}

// next gets a code, without the spaces that some devices show.
func (m *MFA) next(ctx context.Context, problem string, again bool) (string, error) {
	code := m.OTP.take()
	switch {
	case code != "":
	case m.Process != "":
		if again {
			// The program shows the same code until the device moves on.
			if err := m.waitForStep(ctx); err != nil {
				return "", err
			}
		}
		out, err := m.Command.run(ctx, m.Profile, "mfa_process", shell(m.Process), nil)
		if err != nil {
			return "", err
		}
		code = string(out)
	default:
		answer, err := session.Ask(ctx, m.Ask, session.Question{
			What: session.AskMFA, Profile: m.Profile, Subject: m.Serial, Problem: problem,
		})
		if err != nil {
			return "", err
		}
		code = answer
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code), nil
}

func (m *MFA) waitForStep(ctx context.Context) error {
	wait := mfaStep - time.Duration(m.Cache.Now().UnixNano())%mfaStep
	m.Notice(fmt.Sprintf("waiting %s for the next code of %s", wait.Round(time.Second), m.Serial))
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sixDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 6
}

// claim reports whether nobody has used this code of this device in this step,
// and marks it as used, for all processes: making a file is one step of the
// operating system. The file's name is all there is to it, and the code in it
// is worth nothing any more.
func (m *MFA) claim(code string) bool {
	dir, err := m.Cache.Locks.Dir()
	if err != nil {
		return true // at worst AWS refuses the code
	}
	device := "mfa-" + digest(m.Serial) + "-"
	step := strconv.FormatInt(m.Cache.Now().Unix()/int64(mfaStep/time.Second), 10)
	old, _ := filepath.Glob(filepath.Join(dir, device+"*"))
	for _, path := range old {
		if !strings.HasPrefix(filepath.Base(path), device+step+"-") {
			os.Remove(path)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, device+step+"-"+digest(m.Serial, code)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return !errors.Is(err, fs.ErrExist)
	}
	f.Close()
	return true
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

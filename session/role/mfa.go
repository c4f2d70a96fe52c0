package role

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"aws-runas/session"
	"aws-runas/session/awsapi"
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
	var last, refused error
	for range mfaTries {
		code, err := m.next(ctx, problem, errors.Is(last, errUsed) || wrongCode(last))
		var needs *session.Needs
		switch {
		case errors.As(err, &needs) && refused != nil:
			return refused // that says more than that nobody can be asked
		case err != nil && last != nil:
			return fmt.Errorf("%w: %w", last, err)
		case err != nil:
			return err
		}
		if !sixDigits(code) {
			problem, last = "a code has six digits", &badCode{errors.New("the MFA code is not six digits"), m.Profile}
			continue
		}
		switch last = m.send(ctx, code, call); {
		case errors.Is(last, errUsed):
			problem, last = "that code has been used: wait for the next one", &badCode{last, m.Profile}
		case wrongCode(last):
			problem, refused = "AWS refused the code", last
		default:
			return last
		}
	}
	if refused != nil {
		return refused
	}
	return last
}

// badCode is the error about a code that it was no use sending.
type badCode struct {
	error
	profile string
}

func (e *badCode) Unwrap() error { return e.error }
func (e *badCode) Hint() string  { return "aws-runas whoami --check " + awsapi.Word(e.profile) }

// wrongCode reports whether AWS refused the code itself, and not the device or
// the call.
func wrongCode(err error) bool {
	var e *session.Refused
	return errors.As(err, &e) && e.Code == "AccessDenied" && strings.Contains(e.Message, "invalid MFA one time pass code")
}

// next gets a code, without the spaces that some devices show. spent says that
// the device's present one will not do.
func (m *MFA) next(ctx context.Context, problem string, spent bool) (string, error) {
	code := m.OTP.take()
	switch {
	case code != "":
	case m.Process != "":
		if spent {
			// The program shows the same code until the device moves on.
			if err := m.waitForStep(ctx); err != nil {
				return "", err
			}
		}
		out, err := m.Command.run(ctx, m.Profile, "mfa_process", shell(m.Process), nil)
		if err != nil {
			return "", err
		}
		if code = unspaced(string(out)); !sixDigits(code) {
			err := fmt.Errorf("the mfa_process of profile %q prints no code of six digits", m.Profile)
			return "", &commandError{err, m.Profile, nil}
		}
	default:
		answer, err := session.Ask(ctx, m.Ask, session.Question{
			What: session.AskMFA, Profile: m.Profile, Subject: m.Serial, Problem: problem,
		})
		if err != nil {
			return "", err
		}
		code = answer
	}
	return unspaced(code), nil
}

func unspaced(code string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code)
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

// send runs call with a code that nobody has used for this device in this
// step, and marks it as used once AWS has accepted or refused it. No other
// process sends the device's codes meanwhile; one that is killed leaves its code
// unmarked, since nobody knows whether AWS saw it.
func (m *MFA) send(ctx context.Context, code string, call func(serial, code *string) error) error {
	key := session.NewKey(session.KindSession, m.Profile, "mfa code", m.Serial)
	return m.Cache.Locked(ctx, key, func(context.Context) error {
		mark := m.mark(code)
		if mark != "" {
			if _, err := os.Stat(mark); err == nil {
				return errUsed
			}
		}
		err := call(&m.Serial, &code)
		if mark != "" && (err == nil || wrongCode(err)) {
			// Without the mark, AWS refuses the code at worst.
			os.WriteFile(mark, nil, 0o600)
		}
		return err
	})
}

var errUsed = errors.New("the MFA code has been used already")

// mark is the file whose existence says that the code has been used in this
// step, "" if there can be none. Those of past steps are removed. Its name holds
// a digest of the code, which is worth nothing any more.
func (m *MFA) mark(code string) string {
	dir, err := m.Cache.Locks.Dir()
	if err != nil {
		return ""
	}
	device := "mfa-" + digest(m.Serial) + "-"
	step := device + strconv.FormatInt(m.Cache.Now().Unix()/int64(mfaStep/time.Second), 10) + "-"
	old, _ := filepath.Glob(filepath.Join(dir, device+"*"))
	for _, path := range old {
		if !strings.HasPrefix(filepath.Base(path), step) {
			os.Remove(path)
		}
	}
	return filepath.Join(dir, step+digest(m.Serial, code))
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

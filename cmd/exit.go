package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aws-runas/cmd/tty"
	"aws-runas/keychain"
	"aws-runas/session"
	"aws-runas/session/profile"
)

// The exit codes. Those of a wrapped command are its own.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNeeds       = 3   // input needed and nobody to ask, or signed out
	exitConfig      = 4   // the configuration is wrong
	exitKeyring     = 5   // the keyring is unavailable or locked
	exitRefused     = 6   // AWS or the identity provider refused
	exitUnreachable = 7   // neither could be reached
	exitNotStarted  = 125 // wrapper mode: something of ours failed before the command started
	exitNotRunnable = 126 // wrapper mode, as shells have it
	exitNotFound    = 127
	exitSignal      = 128 // plus the signal's number
)

// exitCode is an error that has been told already, or needs no words.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// failure is an error of the program's own, with its exit code and a hint.
type failure struct {
	code   int
	err    error
	advice string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
func (f *failure) Hint() string  { return f.advice }

func (f *failure) hint(format string, args ...any) *failure {
	f.advice = fmt.Sprintf(format, args...)
	return f
}

func fail(code int, format string, args ...any) *failure {
	return &failure{code: code, err: fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) *failure { return fail(exitUsage, format, args...) }

// codeOf is the exit code for the kind of err.
func codeOf(err error) int {
	var (
		code        exitCode
		own         *failure
		needs       *session.Needs
		expired     *session.Expired
		askpass     *tty.AskpassError
		config      *profile.Error
		keyring     *keychain.Error
		refused     *session.Refused
		unreachable *session.Unreachable
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, context.Canceled):
		return exitSignal + 2 // Ctrl-C
	case errors.As(err, &needs), errors.As(err, &expired), errors.As(err, &askpass), errors.Is(err, tty.ErrNobody):
		return exitNeeds
	case errors.As(err, &config) && config.Flag != "":
		return exitUsage
	case errors.As(err, &config):
		return exitConfig
	case errors.As(err, &keyring):
		return exitKeyring
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &unreachable):
		return exitUnreachable
	}
	return exitFailure
}

// report tells err on stderr and returns its exit code.
func (a *app) report(err error) int {
	code := codeOf(err)
	var told exitCode
	if err == nil || errors.As(err, &told) {
		return code
	}
	if errors.Is(err, context.Canceled) {
		return code // whoever pressed Ctrl-C knows
	}
	a.say("%s", err)
	if hint := a.advice(err); hint != "" {
		a.tell("hint: %s", hint)
	}
	return code
}

// say writes one message for people.
func (a *app) say(format string, args ...any) {
	a.tell("aws-runas: %s", strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// debug writes one with -v.
func (a *app) debug(format string, args ...any) {
	if a.Verbose > 0 {
		a.say(format, args...)
	}
}

package keychain

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Error says that the keyring is unavailable, locked, refused the passphrase or
// did not answer in time. It never means that a record is not there, and never
// holds a payload or a passphrase.
type Error struct {
	Backend string // a name from [Backends], or what was asked for
	Reason  string // a clause: "the collection \"login\" is locked"
	Err     error  // the cause, or nil

	hint   string
	absent bool // this backend is not there at all: the automatic choice goes on to the next
	wrong  bool // it is the passphrase that is wrong, and may be right the next time
}

func (e *Error) Error() string {
	text := "keyring"
	if e.Backend != "" {
		text += fmt.Sprintf(" %q", e.Backend)
	}
	text += ": " + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause, unless it would make "the keyring's own file is
// missing" look like "the record is missing".
func (e *Error) Unwrap() error {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return nil
	}
	return e.Err
}

// Hint returns the one thing to type, or "".
func (e *Error) Hint() string { return e.hint }

// Mistyped reports whether the same again, with another passphrase, may do.
func (e *Error) Mistyped() bool { return e.wrong && e.hint == "" }

// errDamaged says that a record is there and cannot be read. Its cause is left
// out: decoders quote what they stumbled over.
var errDamaged = errors.New("damaged record")

// isJSON reports whether err says that an item is not the JSON document that the
// library wraps its data in.
func isJSON(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var encoding base64.CorruptInputError
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &encoding) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unavailable wraps the failure of a backend. Answers that already are what the
// caller shall see stay as they are; that one of the backend's own files is
// missing is not one of them.
func unavailable(name, reason, hint string, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) || err == fs.ErrNotExist || err == errDamaged ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &Error{Backend: name, Reason: reason, Err: err, hint: hint}
}

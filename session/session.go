// Package session holds the vocabulary that every way of getting credentials
// shares: [Credentials], [Provider], [Store], [Asker], the typed errors, and
// [Do], which is the one road from "asked for" to "fetched, stored, returned".
//
// It knows neither AWS nor a keyring nor a terminal; those are behind the
// interfaces.
package session

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Credentials are what a process needs to sign AWS requests. A long-term key
// has no SessionToken and no Expires.
//
// Printing a Credentials with any verb, or logging it, shows the access key ID
// and the times alone. JSON carries everything: it is how a [Store] keeps it.
type Credentials struct {
	AccessKeyID     string    `json:"access_key_id"`
	SecretAccessKey string    `json:"secret_access_key"`
	SessionToken    string    `json:"session_token,omitempty"`
	Issued          time.Time `json:"issued,omitzero"`
	Expires         time.Time `json:"expires,omitzero"`
	// ARN is the identity these credentials speak for, empty when nobody has
	// asked AWS yet.
	ARN string `json:"arn,omitempty"`
}

// Lifetime implements [Expiring].
func (c Credentials) Lifetime() (issued, expires time.Time) { return c.Issued, c.Expires }

// Account is the twelve digits of the ARN, or "".
func (c Credentials) Account() string {
	if p := strings.SplitN(c.ARN, ":", 6); len(p) == 6 {
		return p[4]
	}
	return ""
}

// Temporary reports whether the credentials came from STS or its like.
func (c Credentials) Temporary() bool { return c.SessionToken != "" }

func (c Credentials) redacted() string {
	s := "credentials " + c.AccessKeyID + " [secrets redacted]"
	if !c.Expires.IsZero() {
		s += " expires " + c.Expires.UTC().Format(time.RFC3339)
	}
	return s
}

// Format implements [fmt.Formatter], so that no verb shows the secrets.
func (c Credentials) Format(f fmt.State, _ rune) { io.WriteString(f, c.redacted()) }

// LogValue implements [slog.LogValuer] for the same reason.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.redacted()) }

// A Provider is one way of getting credentials. Providers are composed: a role
// has a parent which signs the call that assumes it.
type Provider interface {
	// Key names the credentials by all that they depend on. Two providers
	// with equal keys are interchangeable. It may read the keyring, never the
	// network.
	Key(ctx context.Context) (Key, error)

	// Credentials returns credentials that are alive, or the reason why there
	// are none: a *[Needs], *[Refused] or *[Unreachable], or an error of the
	// store.
	Credentials(ctx context.Context) (Credentials, error)
}

// A Store keeps records across processes. It has built-in types only, so that
// an implementation need not import this package.
type Store interface {
	// Get returns what was last set under key. The error is
	// [io/fs.ErrNotExist] only when there is no such record: a store that
	// cannot be read says so.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set keeps payload under key until expires (zero: until removed).
	Set(ctx context.Context, key string, payload []byte, expires time.Time) error
	// Remove succeeds when there is no such record.
	Remove(ctx context.Context, key string) error
}

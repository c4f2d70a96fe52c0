package saml

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
)

// secret prints as nothing.
type secret string

func (s secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// storedPassword is the record of a password.
type storedPassword struct {
	Username string `json:"username,omitempty"` // where the profile names none
	Password string `json:"password"`
}

func (s storedPassword) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// refusedPassword remembers a password that no person typed and that the
// provider refused, so that no process sends it again: accounts are locked
// after a few.
type refusedPassword struct {
	Salt   string `json:"salt"`
	Digest string `json:"digest"`
}

func (r refusedPassword) is(password secret) bool {
	return hmac.Equal([]byte(r.Digest), []byte(digest(r.Salt, password)))
}

func digest(salt string, password secret) string {
	m := hmac.New(sha256.New, []byte(salt))
	m.Write([]byte(password))
	return hex.EncodeToString(m.Sum(nil))
}

// PasswordKey is where the keyring has the password of a user at an identity
// provider; username is "" where the profile names none.
func PasswordKey(authURL, username string) session.Key {
	return session.NewKey(session.KindPassword, hostOf(authURL), address(authURL), username)
}

func refusedKey(authURL, username string) session.Key {
	return session.NewKey(session.KindPassword, hostOf(authURL)+" refused", address(authURL), username, "refused")
}

// address is the URL without its fragment, as the session's key has it.
func address(s string) string {
	if u, err := url.Parse(s); err == nil {
		u.Fragment, u.RawFragment = "", ""
		return u.String()
	}
	return s
}

func hostOf(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Host
	}
	return ""
}

// SavePassword keeps a password, replacing what is there. The user is the one
// that the profile names, or, where it names none, known.
func SavePassword(ctx context.Context, s session.Store, authURL, username, known, password string) error {
	if err := session.Put(ctx, s, PasswordKey(authURL, username), storedPassword{known, password}); err != nil {
		return err
	}
	return s.Remove(ctx, refusedKey(authURL, username).String())
}

// RemovePassword forgets a password, and that it was refused.
func RemovePassword(ctx context.Context, s session.Store, authURL, username string) error {
	return errors.Join(
		s.Remove(ctx, PasswordKey(authURL, username).String()),
		s.Remove(ctx, refusedKey(authURL, username).String()),
	)
}

// Where a password came from.
const (
	typed = iota
	fromKeyring
	fromEnvironment
)

// passwordTries is how many passwords a provider may refuse before that is the
// answer.
const passwordTries = 3

// password returns one that is worth sending to host.
func (n *signing) password(ctx context.Context, host string) (secret, error) {
	p := n.idp
	if n.passwords == 0 && n.sentTo == "" {
		if pw, from := n.stored(ctx); pw != "" {
			n.from = from
			return pw, nil
		}
	}
	n.from = typed
	for range passwordTries {
		answer, err := n.ask(ctx, session.AskPassword, host, n.problem)
		if err != nil {
			return "", err
		}
		if secret(answer) != n.refusedLast || n.username != n.refusedName {
			return secret(answer), nil
		}
		n.problem = "that password has just been refused"
	}
	return "", &session.Refused{By: host, Message: "the same password was typed that had been refused", Advice: "aws-runas login " + awsapi.Word(p.Profile)}
}

// stored is a password that nobody has to be asked for, "" if there is none or
// it was refused before.
func (n *signing) stored(ctx context.Context) (secret, int) {
	p := n.idp
	get := func() (secret, int) {
		for _, name := range [...]string{"RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD"} {
			if v, _ := p.Lookup(name); v != "" {
				return secret(v), fromEnvironment
			}
		}
		kept, err := session.Get[storedPassword](ctx, p.Cache.Store, PasswordKey(p.URL, p.Username))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", typed
		case err != nil:
			p.Cache.Warn(err)
			return "", typed
		case kept.Username != "" && kept.Username != n.username:
			return "", typed
		}
		return secret(kept.Password), fromKeyring
	}
	pw, from := get()
	if pw == "" {
		return "", typed
	}
	mark, err := session.Get[refusedPassword](ctx, p.Cache.Store, refusedKey(p.URL, p.Username))
	if err == nil && mark.is(pw) {
		n.marked = true
		n.refusal = n.wrongPassword(n.start.Host, "the password was refused before, and is not sent again", from)
		return "", typed
	}
	return pw, from
}

// storedUsername is the one that a password is kept with, or "".
func (n *signing) storedUsername(ctx context.Context) string {
	kept, err := session.Get[storedPassword](ctx, n.idp.Cache.Store, PasswordKey(n.idp.URL, ""))
	if err != nil {
		return ""
	}
	return kept.Username
}

// refused is called when the provider at host has refused the password that was
// sent. Its error ends the sign-in.
func (n *signing) refused(ctx context.Context, host, why string) error {
	p := n.idp
	n.passwords++
	n.refusedLast, n.refusedName = n.sent, n.username
	if n.slow {
		n.refusedLast = ""
	}
	if why == "" {
		why = "the user name or the password is wrong"
	}
	n.refusal = n.wrongPassword(host, why, n.from)
	if n.from != typed {
		salt := randomHex(16)
		mark := refusedPassword{Salt: salt, Digest: digest(salt, n.sent)}
		if err := session.Put(ctx, p.Cache.Store, refusedKey(p.URL, p.Username), mark); err != nil {
			p.Cache.Warn(fmt.Errorf("that a password was refused is not remembered: %w", err))
		}
		n.marked = true
	}
	if locked(why) {
		n.refusal.Advice = "those who run " + host + " unlock the account"
		return n.refusal
	}
	if n.passwords >= passwordTries {
		return n.refusal
	}
	n.problem = why
	if p.Username == "" && n.from == typed {
		n.username = "" // may have been the wrong one
	}
	return nil
}

func (n *signing) wrongPassword(host, why string, from int) *session.Refused {
	e := &session.Refused{By: host, Message: why}
	switch from {
	case fromEnvironment:
		e.Advice = "unset RUNAS_PASSWORD SAML_PASSWORD WEB_PASSWORD"
	case fromKeyring:
		e.Advice = "aws-runas password " + awsapi.Word(n.idp.Profile)
	default:
		e.Advice = "aws-runas login " + awsapi.Word(n.idp.Profile)
	}
	return e
}

// accepted is called when a sign-in is complete.
func (n *signing) accepted(ctx context.Context) {
	p := n.idp
	if n.marked && n.sentTo != "" {
		if err := p.Cache.Store.Remove(ctx, refusedKey(p.URL, p.Username).String()); err != nil {
			p.Cache.Warn(err)
		}
	}
}

// ask puts a question to the person. Where nobody can be asked, what was refused
// before says more than that.
func (n *signing) ask(ctx context.Context, what, subject, problem string) (string, error) {
	p := n.idp
	answer, err := session.Ask(ctx, p.Ask, session.Question{What: what, Profile: p.Profile, Subject: subject, Problem: problem})
	var needs *session.Needs
	switch {
	case err == nil:
		n.answered = true
		return strings.TrimSpace(answer), nil
	case !errors.As(err, &needs):
		return "", err
	case n.refusal != nil:
		return "", n.refusal
	case needs.Username == "" && what == session.AskPassword:
		named := *needs
		named.Username = n.username
		return "", &named
	}
	return "", err
}

// name is the user's, asked for if the profile has none.
func (n *signing) name(ctx context.Context, host string) (string, error) {
	if n.username == "" {
		n.username = n.storedUsername(ctx)
	}
	if n.username == "" {
		answer, err := n.ask(ctx, session.AskUsername, host, n.problem)
		if err != nil {
			return "", err
		}
		n.username, n.problem = answer, ""
	}
	if f := n.idp.FederatedUsername; f != "" && n.federated {
		return f, nil
	}
	return n.username, nil
}

// wait pauses for d, or less if ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

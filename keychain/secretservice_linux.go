package keychain

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/99designs/keyring"
	"github.com/godbus/dbus"

	"aws-runas/keychain/busguard"
)

// The names are those of the Secret Service API, draft 0.2
// (https://specifications.freedesktop.org/secret-service/latest/).
const (
	secretsName     = "org.freedesktop.secrets"
	secretsPath     = "/org/freedesktop/secrets"
	collectionsPath = secretsPath + "/collection/"
	defaultAlias    = secretsPath + "/aliases/default"
	service         = "org.freedesktop.Secret.Service."
	collection      = "org.freedesktop.Secret.Collection"
	item            = "org.freedesktop.Secret.Item"
	prompt          = "org.freedesktop.Secret.Prompt."
	getProperty     = "org.freedesktop.DBus.Properties.Get"
)

// secretService keeps records through the library, in the collection behind the
// alias "default", and asks the bus what the library hides: which collection that
// is, whether it is locked, and which of its items are ours. It uses the library's
// own connection, so the bus is dialled once.
//
// The library reads an item in five round trips of 0.16 ms, after two to open
// the service; see fast for the two that it takes here.
type secretService struct {
	k       *Keychain
	conn    *dbus.Conn
	session *dbus.Call      // of OpenSession, whose answer is first waited for by who needs it
	path    dbus.ObjectPath // of the collection, once resolved
	opened  keyring.Keyring // see ring
}

// bus returns the connection that the library made when it was initialised.
func bus(name string, backend keyring.BackendType) (*dbus.Conn, error) {
	hint := "export AWSRUNAS_KEYRING=file"
	switch busguard.Bus() {
	case busguard.Silent:
		return nil, &Error{Backend: name, Reason: "the D-Bus session bus accepts connections and does not answer", hint: hint}
	case busguard.Unused:
		return nil, &Error{Backend: name, Reason: "the D-Bus session bus was left alone, since AWSRUNAS_KEYRING or the command needs none", hint: "unset AWSRUNAS_KEYRING"}
	}
	if !slices.Contains(keyring.AvailableBackends(), backend) {
		// To ask for the connection would dial, or spawn, another bus.
		return nil, &Error{Backend: name, Reason: "there is no D-Bus session bus", hint: hint, absent: true}
	}
	conn, err := dbus.SessionBus()
	if err != nil {
		return nil, &Error{Backend: name, Reason: "the D-Bus session bus cannot be reached", Err: err, hint: hint}
	}
	return conn, nil
}

func openSecretService(ctx context.Context, k *Keychain) (*store, error) {
	conn, err := bus("secret-service", keyring.SecretServiceBackend)
	if err != nil {
		return nil, err
	}
	s := &secretService{k: k, conn: conn}
	s.session = s.object(secretsPath).GoWithContext(context.Background(), service+"OpenSession", 0, nil, "plain", dbus.MakeVariant(""))
	// The bus answers at once, a service that has to be started does not.
	var runs bool
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, secretsName).Store(&runs); err != nil {
		return nil, s.absentOr(err)
	}
	if !runs {
		if _, err := s.transfer(ctx); err != nil {
			return nil, s.absentOr(err)
		}
	}
	return &store{backend: s, name: "secret-service", codec: labels}, nil
}

// transfer returns the session in which secrets are transferred.
func (s *secretService) transfer(ctx context.Context) (session dbus.ObjectPath, err error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case call := <-s.session.Done:
		s.session.Done <- call // for the next, there is room
		var output dbus.Variant
		err = call.Store(&output, &session)
		return session, err
	}
}

// resolve finds the default collection.
func (s *secretService) resolve(ctx context.Context) error {
	if s.path != "" {
		return nil
	}
	var path dbus.ObjectPath
	if err := s.object(secretsPath).CallWithContext(ctx, service+"ReadAlias", 0, "default").Store(&path); err != nil {
		return s.absentOr(err)
	}
	if path == "/" || path == "" {
		return &Error{Backend: "secret-service", Reason: "there is no default collection to keep records in", hint: s.unlockHint(ctx, "login")}
	}
	if !strings.HasPrefix(string(path), collectionsPath) {
		return &Error{Backend: "secret-service", Reason: fmt.Sprintf("the default collection has the unusual path %q", path), hint: "export AWSRUNAS_KEYRING=file"}
	}
	s.path = path
	return nil
}

// absentOr tells a service that is not installed from one that fails.
func (s *secretService) absentOr(err error) error {
	e := &Error{Backend: "secret-service", Reason: "it did not answer", Err: err, hint: "export AWSRUNAS_KEYRING=file"}
	if noService(err) {
		e.Reason, e.Err, e.absent = "no program on the session bus provides org.freedesktop.secrets", nil, true
	}
	if ctxErr := contextError(err); ctxErr != nil {
		return ctxErr
	}
	return e
}

func contextError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// noService reports whether err says that nobody owns the name and that nothing
// is installed that would.
func noService(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner")
}

// pathName decodes the last element of a collection's path as the library does
// to compare it with the name it was given.
func pathName(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '_' {
			b.WriteString(string(rune(s[i])))
			continue
		}
		if i+3 > len(s) {
			return s
		}
		raw, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return s
		}
		b.Write(raw)
		i += 2
	}
	return b.String()
}

// name is the collection's, as the library knows it.
func (s *secretService) name() string {
	return pathName(strings.TrimPrefix(string(s.path), collectionsPath))
}

// ring returns the library's backend, which is opened when it is first needed.
func (s *secretService) ring() (keyring.Keyring, error) {
	if s.opened == nil {
		ring, err := openRing(keyring.Config{LibSecretCollectionName: s.name()}, keyring.SecretServiceBackend)
		if err != nil {
			return nil, s.failed("it cannot be opened", err)
		}
		s.opened = ring
	}
	return s.opened, nil
}

func (s *secretService) object(path dbus.ObjectPath) dbus.BusObject {
	return s.conn.Object(secretsName, path)
}

// property returns the value that a call of Properties.Get was answered with.
func property[T any](call *dbus.Call) (T, error) {
	var v dbus.Variant
	if err := call.Store(&v); err != nil {
		return *new(T), err
	}
	value, ok := v.Value().(T)
	if !ok {
		return value, fmt.Errorf("unexpected type %s of a property", v.Signature())
	}
	return value, nil
}

func (s *secretService) locked(ctx context.Context) (bool, error) {
	return property[bool](s.object(s.path).CallWithContext(ctx, getProperty, 0, collection, "Locked"))
}

func (s *secretService) failed(reason string, err error) error {
	return unavailable("secret-service", reason, "", err)
}

// ready makes sure that there is a default collection and that it is not locked.
func (s *secretService) ready(ctx context.Context) error {
	if err := s.resolve(ctx); err != nil {
		return err
	}
	locked, err := s.locked(ctx)
	if err != nil {
		return s.failed("the default collection is gone", err)
	}
	if !locked {
		return nil
	}
	return s.unlock(ctx)
}

// unlock unlocks the collection, through the service's own dialog where it needs
// one and a person can see it.
func (s *secretService) unlock(ctx context.Context) error {
	var done []dbus.ObjectPath
	var dialog dbus.ObjectPath
	err := s.object(secretsPath).CallWithContext(ctx, service+"Unlock", 0, []dbus.ObjectPath{s.path}).Store(&done, &dialog)
	if err != nil {
		return s.failed("it cannot be unlocked", err)
	}
	if dialog == "/" || dialog == "" {
		if slices.Contains(done, s.path) {
			return nil
		}
	} else if s.display() && !s.k.opts.NoInput {
		if err := s.show(ctx, dialog); err != nil {
			return err
		}
		if locked, err := s.locked(ctx); err != nil || !locked {
			return s.failed("it cannot be unlocked", err)
		}
	}
	name := s.name()
	return &Error{Backend: "secret-service", Reason: fmt.Sprintf("the collection %q is locked", name), hint: s.unlockHint(ctx, name)}
}

func (s *secretService) display() bool {
	x, _ := s.k.opts.Lookup("DISPLAY")
	wayland, _ := s.k.opts.Lookup("WAYLAND_DISPLAY")
	return x != "" || wayland != ""
}

// show shows a dialog of the service and waits for its end.
func (s *secretService) show(ctx context.Context, dialog dbus.ObjectPath) error {
	defer s.k.person.asking()()
	signals := make(chan *dbus.Signal, 16)
	s.conn.Signal(signals)
	defer s.conn.RemoveSignal(signals)
	match := []dbus.MatchOption{dbus.WithMatchObjectPath(dialog), dbus.WithMatchInterface(strings.TrimSuffix(prompt, "."))}
	if err := s.conn.AddMatchSignal(match...); err != nil {
		return s.failed("its dialog cannot be shown", err)
	}
	defer func() { _ = s.conn.RemoveMatchSignal(match...) }()
	if err := s.object(dialog).CallWithContext(ctx, prompt+"Prompt", 0, "").Err; err != nil {
		return s.failed("its dialog cannot be shown", err)
	}
	for {
		select {
		case signal, ok := <-signals:
			if !ok {
				return &Error{Backend: "secret-service", Reason: "the session bus closed the connection"}
			}
			if signal.Path == dialog && signal.Name == prompt+"Completed" {
				return nil // dismissed or not: the caller looks at the lock
			}
		case <-ctx.Done():
			_ = s.object(dialog).Go(prompt+"Dismiss", dbus.FlagNoReplyExpected, nil)
			return ctx.Err()
		}
	}
}

// unlockHint returns what unlocks the collection, which depends on the program
// that provides the service.
func (s *secretService) unlockHint(ctx context.Context, name string) string {
	var pid uint32
	err := s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, secretsName).Store(&pid)
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err == nil && name == "login" && strings.HasPrefix(string(comm), "gnome-keyring") {
		// The daemon takes all of its standard input for the password, a
		// line's end included. Without a login collection this makes one.
		return `sh -c 'stty -echo; printf "Password of the keyring: "; IFS= read -r p; stty echo; printf %s "$p" | setsid gnome-keyring-daemon --replace --unlock'`
	}
	return "export AWSRUNAS_KEYRING=file"
}

// fast reads an item that the library has written: by the attribute and in the
// form it gives it, from the object that stands for the default collection. It is
// not ok where anything is out of the ordinary, the item's absence included: that
// is then looked into, and left to the library.
func (s *secretService) fast(ctx context.Context, name string) (data []byte, ok bool) {
	var items []dbus.ObjectPath
	attributes := map[string]string{"profile": name}
	if s.object(defaultAlias).CallWithContext(ctx, collection+".SearchItems", 0, attributes).Store(&items) != nil || len(items) == 0 {
		return nil, false
	}
	session, err := s.transfer(ctx)
	if err != nil {
		return nil, false
	}
	call := s.object(items[0]).CallWithContext(ctx, item+".GetSecret", 0, session)
	if call.Err != nil || len(call.Body) != 1 {
		return nil, false
	}
	// Session, parameters, value and content type; Store would copy the value
	// byte by byte, by reflection.
	secret, ok := call.Body[0].([]any)
	if !ok || len(secret) != 4 {
		return nil, false
	}
	value, ok := secret[2].([]byte)
	if !ok {
		return nil, false
	}
	var i keyring.Item
	if json.Unmarshal(value, &i) != nil {
		return nil, false
	}
	return i.Data, true
}

func (s *secretService) get(ctx context.Context, name string) ([]byte, error) {
	if data, ok := s.fast(ctx, name); ok {
		return data, nil
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	ring, err := s.ring()
	if err != nil {
		return nil, err
	}
	for range 2 {
		data, err := ringGet(ring, name)
		if err == nil || errors.Is(err, errDamaged) {
			return data, err
		}
		// A locked collection reads as empty.
		locked, lockErr := s.locked(ctx)
		if lockErr != nil {
			return nil, s.failed("it does not say whether it is locked", lockErr)
		}
		if !locked {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			return nil, s.failed(fmt.Sprintf("%q cannot be read", name), err)
		}
		if err := s.unlock(ctx); err != nil {
			return nil, err
		}
	}
	return nil, &Error{Backend: "secret-service", Reason: "the default collection does not stay unlocked"}
}

func (s *secretService) set(ctx context.Context, name string, data []byte, _ time.Time) error {
	// The library would create a collection that is not there, and show a
	// dialog for one that is locked.
	if err := s.ready(ctx); err != nil {
		return err
	}
	ring, err := s.ring()
	if err != nil {
		return err
	}
	return s.failed(fmt.Sprintf("%q is not stored", name), ringSet(ring, name, data))
}

func (s *secretService) remove(ctx context.Context, name string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	ring, err := s.ring()
	if err != nil {
		return err
	}
	return s.failed(fmt.Sprintf("%q is not removed", name), ringRemove(ring, name))
}

// names finds our items by the attribute that the library finds them by. The
// library lists every label in the collection, one round trip after the other.
func (s *secretService) names(ctx context.Context) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	items, err := property[[]dbus.ObjectPath](s.object(s.path).CallWithContext(ctx, getProperty, 0, collection, "Items"))
	if err != nil {
		return nil, s.failed("it cannot be listed", err)
	}
	calls := make([]*dbus.Call, len(items))
	for i, path := range items {
		calls[i] = s.object(path).GoWithContext(ctx, getProperty, 0, nil, item, "Attributes")
	}
	var names []string
	for _, call := range calls {
		attributes, err := property[map[string]string](<-call.Done)
		if contextError(err) != nil {
			return nil, err
		}
		if err == nil && strings.HasPrefix(attributes["profile"], itemPrefix) { // else removed meanwhile, or not ours
			names = append(names, attributes["profile"])
		}
	}
	return names, nil
}

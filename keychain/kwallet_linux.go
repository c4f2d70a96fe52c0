package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/99designs/keyring"
	"github.com/godbus/dbus"
)

// The library's names: KWallet of Plasma 5. That of Plasma 6 also provides the
// Secret Service.
const (
	kwalletName = "org.kde.kwalletd5"
	kwalletPath = "/modules/kwalletd5"
	kwallet     = "org.kde.KWallet."
	wallet      = "kdewallet"
)

// kwalletStore uses the wallet through the library, and asks the bus whether it
// is open: the library takes a wallet that the person did not open for an empty
// one, and does not look at KWallet's return codes.
type kwalletStore struct {
	k    *Keychain
	conn *dbus.Conn
	ring keyring.Keyring
}

func openKWallet(ctx context.Context, k *Keychain) (*store, error) {
	conn, err := bus("kwallet", keyring.KWalletBackend)
	if err != nil {
		return nil, err
	}
	s := &kwalletStore{k: k, conn: conn}
	isOpen, err := s.isOpen(ctx)
	if noService(err) {
		return nil, &Error{Backend: "kwallet", Reason: "no program on the session bus provides " + kwalletName, hint: "export AWSRUNAS_KEYRING=file", absent: true}
	}
	if err != nil {
		return nil, s.failed("it did not answer", err)
	}
	if !isOpen && k.opts.NoInput {
		return nil, s.closed()
	}
	done := k.person.asking()
	s.ring, err = openRing(keyring.Config{ServiceName: wallet, KWalletAppID: "aws-runas", KWalletFolder: "aws-runas"}, keyring.KWalletBackend)
	done()
	if err != nil {
		return nil, s.failed("it cannot be opened", err)
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return &store{backend: s, name: "kwallet", codec: labels}, nil
}

func (s *kwalletStore) isOpen(ctx context.Context) (isOpen bool, err error) {
	err = s.conn.Object(kwalletName, kwalletPath).CallWithContext(ctx, kwallet+"isOpen", 0, wallet).Store(&isOpen)
	return isOpen, err
}

func (s *kwalletStore) closed() error {
	return &Error{Backend: "kwallet", Reason: fmt.Sprintf("the wallet %q is locked", wallet), hint: "kwalletmanager5"}
}

func (s *kwalletStore) ready(ctx context.Context) error {
	isOpen, err := s.isOpen(ctx)
	if err != nil {
		return s.failed("it did not answer", err)
	}
	if !isOpen {
		return s.closed()
	}
	return nil
}

func (s *kwalletStore) failed(reason string, err error) error {
	return unavailable("kwallet", reason, "", err)
}

func (s *kwalletStore) get(ctx context.Context, name string) ([]byte, error) {
	data, err := ringGet(s.ring, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.ready(ctx); err != nil {
			return nil, err
		}
	}
	return data, s.failed(fmt.Sprintf("%q cannot be read", name), err)
}

func (s *kwalletStore) set(ctx context.Context, name string, data []byte, _ time.Time) error {
	if err := ringSet(s.ring, name, data); err != nil {
		return s.failed(fmt.Sprintf("%q is not stored", name), err)
	}
	stored, err := s.get(ctx, name)
	if err == nil && bytes.Equal(stored, data) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil {
		err = errors.New("it is not there afterwards")
	}
	return s.failed(fmt.Sprintf("%q is not stored", name), err)
}

func (s *kwalletStore) remove(ctx context.Context, name string) error {
	if err := ringRemove(s.ring, name); err != nil {
		return s.failed(fmt.Sprintf("%q is not removed", name), err)
	}
	if _, err := s.get(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = errors.New("it is still there")
		}
		return s.failed(fmt.Sprintf("%q is not removed", name), err)
	}
	return nil
}

func (s *kwalletStore) names(ctx context.Context) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	names, err := s.ring.Keys() // of the folder, which is ours
	return names, s.failed("it cannot be listed", err)
}

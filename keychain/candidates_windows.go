package keychain

import (
	"context"
	"fmt"
	"time"

	"github.com/99designs/keyring"
)

// candidates returns this platform's backends in the automatic order.
func candidates() []candidate {
	return []candidate{
		{"wincred", true, openWindows},
		{"file", false, openFile},
	}
}

// Note returns a sentence on what this build lacks, or "".
func Note() string { return "" }

// windowsLargest is CRED_MAX_CREDENTIAL_BLOB_SIZE of wincred.h, 5*512 bytes.
const windowsLargest = 2560

// windowsStore keeps records as generic credentials.
type windowsStore struct{ ring keyring.Keyring }

func openWindows(context.Context, *Keychain) (*store, error) {
	ring, err := openRing(keyring.Config{ServiceName: "keyring", WinCredPrefix: "aws-runas"}, keyring.WinCredBackend)
	if err != nil {
		return nil, unavailable("wincred", "it cannot be opened", "", err)
	}
	return &store{backend: windowsStore{ring}, name: "wincred", codec: labels, largest: windowsLargest, folds: true}, nil
}

func (w windowsStore) failed(reason string, err error) error {
	return unavailable("wincred", reason, "export AWSRUNAS_KEYRING=file", err)
}

func (w windowsStore) get(_ context.Context, name string) ([]byte, error) {
	data, err := ringGet(w.ring, name)
	return data, w.failed(fmt.Sprintf("%q cannot be read", name), err)
}

func (w windowsStore) set(_ context.Context, name string, data []byte, _ time.Time) error {
	return w.failed(fmt.Sprintf("%q is not stored", name), ringSet(w.ring, name, data))
}

func (w windowsStore) remove(_ context.Context, name string) error {
	return w.failed(fmt.Sprintf("%q is not removed", name), ringRemove(w.ring, name))
}

func (w windowsStore) names(context.Context) ([]string, error) {
	names, err := w.ring.Keys()
	return names, w.failed("it cannot be listed", err)
}

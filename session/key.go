package session

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// The kinds of record.
const (
	KindKey      = "key"      // an IAM user's long-term keys
	KindSession  = "session"  // GetSessionToken
	KindRole     = "role"     // the AssumeRole family, and other sources of role credentials
	KindIDP      = "idp"      // an identity provider's cookies and tokens
	KindPassword = "password" // an identity provider's password
	KindSSO      = "sso"      // IAM Identity Center tokens
)

// A Key names one cached item.
type Key struct {
	Kind string
	Name string // the profile it belongs to, for people to read
	Hash string // 32 hexadecimal digits over all that the item depends on
}

// NewKey makes the key of an item that depends on parts, in their order. The
// name is no part of the hash: a child's hash, made from its parent's, stays
// the same whichever profile asks for it.
func NewKey(kind, name string, parts ...string) Key {
	h := sha256.New()
	for _, p := range append([]string{kind}, parts...) {
		// The length before each part keeps ("ab","c") from ("a","bc").
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return Key{Kind: kind, Name: name, Hash: hex.EncodeToString(h.Sum(nil)[:16])}
}

// UserKey is where the keyring has the long-term keys of profile name.
func UserKey(name string) Key { return NewKey(KindKey, name) }

// String is the key's form in a [Store]: KIND/NAME#HASH.
func (k Key) String() string { return k.Kind + "/" + k.Name + "#" + k.Hash }

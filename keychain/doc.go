// Package keychain keeps records in the operating system's keyring, through
// github.com/99designs/keyring, of which it is the only importer.
//
// # Records
//
// A record is a small JSON document: version, kind, key, hash, expiry and
// payload. Its key is KIND/PROFILE#HASH; the item in the keyring, and so the
// label that the desktop's viewer shows, is "aws-runas/" followed by that key.
// PROFILE may hold anything: what a keyring cannot carry is escaped, and a name
// that is too long is shortened with a digest, in which case [Keychain.Keys]
// takes the true key from inside the record. A record that is damaged, written
// by a newer version or found under another record's name reads as missing,
// with a warning; one of the kinds "key" and "password", which nothing can
// fetch again, is never overwritten in that state.
//
// # Backends
//
// In the automatic order of each platform (see [Backends]):
//
//   - Linux: the Secret Service when one runs or can be activated on the session
//     bus, else KWallet under the same condition, else the encrypted file.
//   - macOS: the Keychain. It needs cgo: a binary cross-built without it says so
//     in [Note] and fails unless "file" or "pass" is named.
//   - Windows: the Credential Manager.
//
// Two more are used only when named. "keyctl", the kernel keyring, loses its
// content at reboot and holds 20 kB for an ordinary user: right for sessions,
// wrong as an unasked-for home of long-lived access keys. "pass" runs gpg, which
// may ask a person, for every record, and that the program is installed does not
// mean that its owner wants cloud keys in what is often a shared git repository.
//
// The Secret Service, pass, the kernel keyring and the encrypted file are tested
// against the real thing. KWallet is tested against a double; the macOS Keychain
// and the Windows Credential Manager are compiled only.
//
// # Environment
//
// AWSRUNAS_PASSPHRASE and AWSRUNAS_PASSPHRASE_COMMAND answer for the person who
// would be asked for the encrypted file's passphrase. XDG_DATA_HOME (LOCALAPPDATA
// on Windows) says where that file is, PASSWORD_STORE_DIR where pass keeps its
// store, and DISPLAY or WAYLAND_DISPLAY that the desktop can ask a person.
// All are read through [Options.Lookup].
package keychain

// Package busguard decides, before github.com/99designs/keyring is initialised,
// which D-Bus session bus that package may dial.
//
// keyring dials the session bus in its package initialisation, at every start
// of every program that links it (https://github.com/99designs/keyring/issues/103).
// Where there is no bus address, the D-Bus library then runs dbus-launch, which
// leaves a dbus-daemon behind (https://github.com/godbus/dbus/issues/268); where
// there is one, the dial costs 0.4 ms; and a bus that accepts but never answers
// would hang the program before main.
//
// Go initialises the packages that are ready in the order of their import
// paths (https://go.dev/ref/spec#Program_initialization), so a package whose
// path sorts before "github.com/" and that needs nothing keyring does not need
// runs first. This one therefore imports only os and what os is made of.
//
// The environment variable is put back by [Undo], so that no child inherits
// the guard's value.
package busguard

// State says what became of the session bus.
type State int

// The states of the session bus.
const (
	Open    State = iota // left to keyring
	Absent               // no address and no socket: dialling would have spawned a bus
	Unused               // the keyring or the command asked for does not need a bus
	Silent               // the bus accepted the connection and did not answer
	Foreign              // this platform's keyring has no use for D-Bus
)

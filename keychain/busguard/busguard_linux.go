package busguard

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	variable = "DBUS_SESSION_BUS_ADDRESS"

	// disabled has no transport of this name: dialling it fails without a
	// system call.
	disabled = "disabled:"

	// answer is how long the bus may take for the handshake. A healthy one
	// needs well under a millisecond.
	answer = 2 * time.Second
)

var (
	state    atomic.Int32
	changed  bool
	original string
	wasSet   bool
	watchdog *time.Timer
)

func init() {
	original, wasSet = os.LookupEnv(variable)
	address := original
	if address == "autolaunch:" {
		address = ""
	}
	if address == "" {
		address = socket()
	}
	switch {
	case address == "":
		state.Store(int32(Absent))
		address = disabled
	case unused(os.Getenv("AWSRUNAS_KEYRING"), os.Args):
		state.Store(int32(Unused))
		address = disabled
	default:
		// Closing the connection is the only way to end a read in someone
		// else's initialisation.
		watchdog = time.AfterFunc(answer, func() {
			state.Store(int32(Silent))
			os.Setenv(variable, disabled)
			hangUp(address)
		})
	}
	if address != original {
		os.Setenv(variable, address)
		changed = true
	}
}

// Bus reports the state of the session bus.
func Bus() State { return State(state.Load()) }

// Undo puts the environment back as it was. It is called once, when keyring's
// initialisation is over.
func Undo() {
	if watchdog != nil {
		watchdog.Stop()
	}
	if !changed && Bus() != Silent {
		return
	}
	if wasSet {
		os.Setenv(variable, original)
	} else {
		os.Unsetenv(variable)
	}
}

// socket returns the address of the user's bus where systemd puts it, as
// libdbus and sd-bus look for it, or "".
func socket() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		if dir == "" || dir[0] != '/' || contains(dir, ",") || contains(dir, ";") {
			continue // not a folder, or one that godbus, which unescapes nothing, cannot be told of
		}
		if info, err := os.Stat(dir + "/bus"); err == nil && info.Mode()&os.ModeSocket != 0 {
			return "unix:path=" + dir + "/bus"
		}
	}
	return ""
}

// unused reports whether this run certainly needs no bus. It errs on the side
// of dialling: the cost of that is 0.4 ms, the cost of the opposite a Secret
// Service that cannot be reached.
func unused(keyring string, args []string) bool {
	if len(args) > 1 {
		switch args[1] {
		case "-V", "--version", "version", "-h", "--help", "hook", "completion", "prompt", "__complete":
			return true
		}
	}
	switch keyring {
	case "file", "keyctl", "pass":
	default:
		return false
	}
	for _, arg := range args {
		if len(arg) >= len("--keyring") && arg[:len("--keyring")] == "--keyring" {
			return false
		}
	}
	return true
}

// hangUp shuts down this process's connection to the bus at address.
func hangUp(address string) {
	for fd := 3; fd < 1024; fd++ {
		// Go opens its sockets close-on-exec; a descriptor that is not was
		// inherited and belongs to someone else.
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
			continue
		}
		if peer, err := syscall.Getpeername(fd); err == nil && names(address, peer) {
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
		}
	}
}

func names(address string, peer syscall.Sockaddr) bool {
	unix, ok := peer.(*syscall.SockaddrUnix)
	if !ok {
		return false
	}
	name := unix.Name
	if name != "" && name[0] == '@' { // abstract
		name = name[1:]
	}
	return name != "" && contains(address, name)
}

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

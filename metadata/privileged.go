package metadata

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// listenerVariable tells a process that it was given its listener as a file
// descriptor. It is not to be handed on to other programs.
const listenerVariable = "AWSRUNAS_LISTENER_FD"

// Inherited is the listener that [Privileged] gave this process, or nil if it
// gave none.
func Inherited(lookup func(string) (string, bool)) (net.Listener, error) {
	v, ok := lookup(listenerVariable)
	if !ok {
		return nil, nil
	}
	fd, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, no file descriptor", listenerVariable, v)
	}
	f := os.NewFile(uintptr(fd), "listener")
	if f == nil {
		return nil, fmt.Errorf("%s is %q, which is not open", listenerVariable, v)
	}
	defer f.Close() // the listener has its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, which is no listener: %w", listenerVariable, v, err)
	}
	return l, nil
}

// ErrNotRoot is the error of [Parent.Run] without the rights that it needs.
var ErrNotRoot = errors.New("adding a link-local address and listening on port 80 needs root")

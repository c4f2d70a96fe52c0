//go:build !linux

package metadata

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
)

// addAddress adds ip to the loopback interface with the system's own program.
// These systems have no label for addresses, so one that is there already is
// taken for what a crash left behind: nothing else uses it here.
func addAddress(ip netip.Addr) (ours bool, err error) {
	if there, err := ownAddress(ip); err != nil || there {
		return there, err
	}
	return true, changeAddress(true, ip)
}

// removeAddress removes ip from the loopback interface. One that is not there
// is no error.
func removeAddress(ip netip.Addr) error {
	if there, err := ownAddress(ip); err != nil || !there {
		return err
	}
	return changeAddress(false, ip)
}

func changeAddress(add bool, ip netip.Addr) error {
	lo, err := loopbackInterface()
	if err != nil {
		return err
	}
	var command *exec.Cmd
	if runtime.GOOS == "windows" {
		verb := []string{"interface", "ipv4", "delete", "address"}
		if add {
			verb[2] = "add"
		}
		command = exec.Command("netsh", append(verb, fmt.Sprintf("name=%d", lo.Index), "address="+ip.String())...)
		if add {
			// It is gone with the next start of the machine, whatever happens.
			command.Args = append(command.Args, "mask=255.255.255.255", "store=active")
		}
	} else {
		verb := "-alias"
		if add {
			verb = "alias"
		}
		command = exec.Command("/sbin/ifconfig", lo.Name, verb, ip.String())
		if add {
			command.Args = append(command.Args, "255.255.255.255")
		}
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command.Args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

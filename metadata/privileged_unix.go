//go:build unix

package metadata

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Parent is the root process of the privileged mode.
type Parent struct {
	Address netip.AddrPort // [EC2Address] or [ECSAddress]
	// Args are the arguments of this program, its name first: the child runs
	// the same program with the same ones.
	Args []string
	Env  []string
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
}

// Run adds the address to the loopback interface and listens there, then
// runs this program again as the user who called sudo, with the listener as a
// file descriptor (see [Inherited]), and with that user's HOME, runtime
// directory and session bus, so that the user's keyring can be reached. It does
// nothing else but wait and hand on signals until the child ends, then removes
// the address and returns the child's exit code, 128+n where a signal ended it.
//
// Root that was not called by sudo stays root.
func (p *Parent) Run() (exit int, err error) {
	if os.Geteuid() != 0 {
		return 0, ErrNotRoot
	}
	child, err := p.child()
	if err != nil {
		return 0, err
	}
	// Caught before there is an address, so that none is left behind.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	l, remove, err := ListenAt(p.Address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	defer l.Close()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	child.ExtraFiles = []*os.File{f}

	// The child is told of this thread's end, not of the process's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := child.Start(); err != nil {
		return 0, err
	}
	l.Close()
	f.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				child.Process.Signal(s) // it may have ended
			case <-done:
				return
			}
		}
	}()
	err = child.Wait()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return 0, err
	}
	if s, ok := ended.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	return ended.ExitCode(), nil
}

// child is this program as the user who called sudo.
func (p *Parent) child() (*exec.Cmd, error) {
	program, err := ownProgram()
	if err != nil {
		return nil, err
	}
	c := &exec.Cmd{Path: program, Args: p.Args, Stdin: p.In, Stdout: p.Out, Stderr: p.Err, SysProcAttr: &syscall.SysProcAttr{}}
	endWithParent(c.SysProcAttr)
	env := environment(p.Env)
	uid, gid := env["SUDO_UID"], env["SUDO_GID"]
	if uid != "" {
		if err := becomeUser(c.SysProcAttr, env, uid, gid); err != nil {
			return nil, err
		}
	}
	for name := range env {
		if strings.HasPrefix(name, "SUDO_") {
			delete(env, name)
		}
	}
	env[listenerVariable] = "3" // the first of ExtraFiles
	for name, value := range env {
		c.Env = append(c.Env, name+"="+value)
	}
	slices.Sort(c.Env)
	return c, nil
}

func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, e := range list {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	return env
}

// becomeUser makes the child the user's, with the variables of the user.
func becomeUser(attr *syscall.SysProcAttr, env map[string]string, uid, gid string) error {
	u, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return fmt.Errorf("SUDO_UID is %q, no user ID", uid)
	}
	g, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		return fmt.Errorf("SUDO_GID is %q, no group ID", gid)
	}
	credential := &syscall.Credential{Uid: uint32(u), Gid: uint32(g), Groups: []uint32{}}
	attr.Credential = credential
	if known, err := user.LookupId(uid); err == nil {
		groups, err := known.GroupIds()
		if err != nil {
			return fmt.Errorf("the groups of user %s: %w", known.Username, err)
		}
		for _, id := range groups {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				credential.Groups = append(credential.Groups, uint32(n))
			}
		}
		env["USER"], env["LOGNAME"] = known.Username, known.Username
		if !owns(env["HOME"], credential.Uid) {
			env["HOME"] = known.HomeDir
		}
	}
	if !owns(env["HOME"], credential.Uid) {
		return &noHome{uid, env["HOME"]}
	}
	// What sudo has preserved of them is root's, or was the user's already.
	runtimeDir := filepath.Join("/run/user", uid)
	if owns(runtimeDir, credential.Uid) {
		env["XDG_RUNTIME_DIR"] = runtimeDir
		if bus := filepath.Join(runtimeDir, "bus"); owns(bus, credential.Uid) {
			env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + bus
		}
	}
	return nil
}

func owns(path string, uid uint32) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == uid
}

// noHome says that the user's home directory is not known.
type noHome struct{ uid, home string }

func (e *noHome) Error() string {
	return fmt.Sprintf("user %s, who called sudo, does not own the home directory %q", e.uid, e.home)
}

func (e *noHome) Hint() string { return "sudo --preserve-env=HOME aws-runas serve ec2" }

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// keyring is one place to keep secrets, made for this run.
type keyring struct {
	name   string
	target float64
	start  func() (env []string, err error)
	after  func(env []string) []string // once the first run is done
}

func (b *bench) keyrings() []keyring {
	return []keyring{
		{name: "kernel keyring", target: 4, start: func() ([]string, error) {
			return b.with("AWSRUNAS_KEYRING=keyctl"), nil
		}},
		{name: "Secret Service", target: 5, start: b.secretService},
		{name: "encrypted file, passphrase cached", target: 5, start: func() ([]string, error) {
			return b.with("AWSRUNAS_KEYRING=file", "AWSRUNAS_PASSPHRASE="+rand.Text()), nil
		}, after: func(env []string) []string {
			return append(env, "AWSRUNAS_PASSPHRASE=") // the kernel keyring has it now
		}},
		{name: "pass", start: b.pass},
	}
}

// sockets returns a folder with a path short enough for a socket.
func (b *bench) sockets() (string, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err == nil {
		b.onClose(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

// secretService starts a bus of its own, where nothing is started on demand, and
// an unlocked gnome-keyring on it.
func (b *bench) secretService() ([]string, error) {
	dir, err := b.sockets()
	if err != nil {
		return nil, err
	}
	socket, config := filepath.Join(dir, "bus"), filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>unix:path=`+socket+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		return nil, err
	}
	begun := time.Now()
	bus, err := b.daemon(b.env, "", "dbus-daemon", "--nofork", "--print-address", "--config-file="+config)
	if err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(bus).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("dbus-daemon: %w", err)
	}
	env := b.with("DBUS_SESSION_BUS_ADDRESS="+strings.TrimSpace(address), "XDG_RUNTIME_DIR="+dir, "AWSRUNAS_KEYRING=secret-service")
	if _, err := b.daemon(env, "pass", "gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"); err != nil {
		return nil, err
	}
	ready := workload{name: "dbus-send", env: env, argv: []string{"dbus-send", "--print-reply=literal", "--dest=org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"}}
	for range time.Tick(20 * time.Millisecond) {
		reply, err := ready.output(b.ctx)
		if err != nil {
			return nil, err
		}
		if strings.Contains(reply, "true") {
			return env, nil
		}
		if time.Since(begun) > 10*time.Second {
			break
		}
	}
	return nil, errors.New("gnome-keyring-daemon did not take its name on the bus")
}

// daemon starts a program that runs until the end and returns its output.
func (b *bench) daemon(env []string, stdin, name string, args ...string) (io.Reader, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.onClose(func() {
		cmd.Process.Kill()
		cmd.Wait() // it was killed, which is all there is to learn
	})
	return out, nil
}

// pass makes a password store whose GnuPG key has no passphrase.
func (b *bench) pass() ([]string, error) {
	dir, err := b.sockets()
	if err != nil {
		return nil, err
	}
	env := b.with("GNUPGHOME="+dir, "PASSWORD_STORE_DIR="+filepath.Join(dir, "store"), "AWSRUNAS_KEYRING=pass")
	b.onClose(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		kill := exec.CommandContext(ctx, "gpgconf", "--kill", "all")
		kill.Env = env
		kill.Run() // without GnuPG there is no agent to end
	})
	for _, argv := range [][]string{
		{"gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "bench", "default", "default", "never"},
		{"pass", "init", "bench"},
	} {
		w := workload{name: argv[0], argv: argv, env: env}
		if _, err := w.output(b.ctx); err != nil {
			return nil, err
		}
	}
	return env, nil
}

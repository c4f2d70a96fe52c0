//go:build unix

package saml

import (
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// maxTemp is how long the name of the folder for temporary files may be, in
// bytes: in it Chromium makes org.chromium.Chromium.XXXXXX/SingletonSocket, and
// ends where that has more than the 103 that a socket's path may have on macOS.
const maxTemp = 103 - 46

// start runs the browser, which reads its file descriptor 3 and writes 4.
func (b *browser) start() (in io.ReadCloser, out io.WriteCloser, err error) {
	theirIn, out, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer theirIn.Close()
	in, theirOut, err := os.Pipe()
	if err != nil {
		out.Close()
		return nil, nil, err
	}
	defer theirOut.Close()
	b.cmd.Args = append(b.cmd.Args, "--remote-debugging-pipe")
	b.cmd.Env = slices.DeleteFunc(b.cmd.Env, func(v string) bool {
		dir, is := strings.CutPrefix(v, "TMPDIR=")
		return is && len(dir) > maxTemp
	})
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	// Ctrl-C in the terminal is for us; we then close it.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, nil, err
	}
	return in, out, nil
}

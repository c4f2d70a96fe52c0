package saml

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// start runs the browser, which is told the handles that it reads and writes.
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
	handles := []syscall.Handle{syscall.Handle(theirIn.Fd()), syscall.Handle(theirOut.Fd())}
	for _, h := range handles {
		if err := syscall.SetHandleInformation(h, syscall.HANDLE_FLAG_INHERIT, syscall.HANDLE_FLAG_INHERIT); err != nil {
			in.Close()
			out.Close()
			return nil, nil, err
		}
	}
	b.cmd.Args = append(b.cmd.Args, "--remote-debugging-pipe", fmt.Sprintf("--remote-debugging-io-pipes=%d,%d", handles[0], handles[1]))
	b.cmd.SysProcAttr = &syscall.SysProcAttr{AdditionalInheritedHandles: handles, CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	if err := b.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, nil, err
	}
	return in, out, nil
}

package tty

import (
	"context"
	"io"

	"github.com/cli/browser"
)

// Browse shows a page in the person's browser. It is [ErrNobody] where nobody is
// to be asked.
func (t *TTY) Browse(ctx context.Context, url string) error {
	if t.opts.NoInput {
		return ErrNobody
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// What a browser prints is neither our output nor our message.
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenURL(url)
}

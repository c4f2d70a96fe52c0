package tty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// secrets are the variables that no program we start may see.
func secrets() []string {
	return []string{"MFA_CODE", "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD", "AWSRUNAS_PASSPHRASE"}
}

// askpass runs program, which gets the prompt without its last blank.
func (t *TTY) askpass(ctx context.Context, program, prompt string) (string, error) {
	var out head
	c := exec.CommandContext(ctx, program, strings.TrimSpace(prompt))
	c.Env = t.opts.Environ
	c.Env = withoutSecrets(c.Environ())
	c.Stdout, c.Stderr = &out, t.opts.Stderr
	// What the program has left running may hold its output open.
	c.WaitDelay = time.Second
	err := c.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", &AskpassError{program, cause(err)}
	}
	line, _, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if len(bytes.TrimSpace(line)) == 0 {
		return "", &AskpassError{program, errors.New("it gave no answer")}
	}
	return string(line), nil
}

// AskpassError says that the program in AWSRUNAS_ASKPASS gave no answer.
type AskpassError struct {
	Program string
	Err     error
}

func (e *AskpassError) Error() string { return fmt.Sprintf("askpass program %q: %v", e.Program, e.Err) }
func (e *AskpassError) Unwrap() error { return e.Err }

// Hint makes the next question be asked on the terminal.
func (e *AskpassError) Hint() string { return "unset AWSRUNAS_ASKPASS" }

// cause is why a program could not be started, without its path.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func withoutSecrets(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(secrets(), strings.ToUpper(name))
	})
}

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if room := maxAnswer + 2 - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

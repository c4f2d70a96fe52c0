package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/profile"
)

// processTimeout leaves time to sign in in a browser.
const processTimeout = 2 * time.Minute

// maxOutput is more than any credentials are.
const maxOutput = 64 << 10

// depthVar lists the credential processes that this process runs inside of, by
// the hash of their keys. Without it a profile whose process runs aws-runas for
// the same profile would start processes for ever, or wait for itself.
const depthVar = "AWSRUNAS_PROCESS_CHAIN"

// maxDepth ends a circle whose commands differ each time.
const maxDepth = 8

// privateVars are for this program alone.
var privateVars = [...]string{"MFA_CODE", "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD", "AWSRUNAS_PASSPHRASE"}

// Command runs the commands that a configuration names.
type Command struct {
	Environ func() []string // what they get, but for what is private; asked for late
	Stderr  io.Writer
}

// run returns what a command prints. Its standard input is empty, so that it
// does not eat what the wrapped command is to read.
func (c *Command) run(ctx context.Context, profileName, setting string, command func(context.Context) *exec.Cmd, env []string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, processTimeout)
	defer cancel()
	cmd := command(limited)
	cmd.Env = []string{} // nil would be all of this process's
	for _, kv := range c.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(privateVars[:], func(private string) bool { return sameVar(name, private) }) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = c.Stderr
	out := limitedBuffer{left: maxOutput}
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// The arguments may be secret; the program's name is enough to find it.
	what := fmt.Sprintf("the %s of profile %q (%s)", setting, profileName, filepath.Base(cmd.Args[0]))
	var start *fs.PathError
	switch {
	case out.left < 0: // and so the command was cut off
		err = fmt.Errorf("%s prints more than %d KiB", what, maxOutput>>10)
	case limited.Err() != nil:
		err = fmt.Errorf("%s did not end within %s", what, span(processTimeout))
	case errors.Is(err, exec.ErrNotFound):
		return nil, &profile.Error{Message: what + " is not found in PATH", Advice: showOrigin(profileName), Err: err}
	case errors.As(err, &start):
		return nil, &profile.Error{Message: fmt.Sprintf("%s cannot be started: %v", what, start.Err), Advice: showOrigin(profileName)}
	case err != nil:
		err = fmt.Errorf("%s failed: %w", what, err)
	default:
		return out.buf.Bytes(), nil
	}
	return nil, &commandError{err, profileName, kindOf(cmd.Args[0], err)}
}

// showOrigin is the command that shows which line of which file names a command.
func showOrigin(profileName string) string {
	return "aws-runas env --explain " + awsapi.Word(profileName)
}

// commandError is the error of a command that a profile names.
type commandError struct {
	error
	profile string
	kind    error // what kind of error it is, where that is known
}

func (e *commandError) Unwrap() []error { return []error{e.error, e.kind} }
func (e *commandError) Hint() string    { return showOrigin(e.profile) }

// kindOf tells the kind of a command's error where the command is this program,
// by its exit code (docs/command-line.md). It has said the rest on stderr.
func kindOf(program string, err error) error {
	var exited *exec.ExitError
	if strings.TrimSuffix(filepath.Base(program), ".exe") != "aws-runas" || !errors.As(err, &exited) {
		return nil
	}
	switch exited.ExitCode() {
	case 4:
		return &profile.Error{}
	case 6:
		return &session.Refused{}
	case 7:
		return &session.Unreachable{}
	}
	return nil
}

func sameVar(a, b string) bool {
	if runtime.GOOS == "windows" {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// limitedBuffer takes no more than left bytes, which is negative once it was
// given more.
type limitedBuffer struct {
	buf  bytes.Buffer // not embedded: its ReadFrom knows no limit
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	return b.buf.Write(p)
}

// Process are the credentials that a command prints, in the form that the AWS
// tools agreed on. As with the AWS CLI no shell is involved.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type Process struct {
	Cache       *session.Cache
	Name        string // the profile
	CommandLine string
	Command     *Command
	Lookup      func(string) (string, bool)
}

// Key fails where the command is what runs this process: whoever waits for a
// lock asks for the key first.
func (p *Process) Key(context.Context) (session.Key, error) {
	key := session.NewKey(session.KindRole, p.Name, "credential_process", p.CommandLine)
	chain, _ := p.Lookup(depthVar)
	running := strings.FieldsFunc(chain, func(r rune) bool { return r == ',' })
	if slices.Contains(running, key.Hash) || len(running) >= maxDepth {
		return key, &profile.Error{
			Message: fmt.Sprintf("the credential_process of profile %q runs aws-runas for the same profile again", p.Name),
			Advice:  fmt.Sprintf("name another profile in the credential_process of %q", p.Name),
		}
	}
	return key, nil
}

// Credentials runs the command, unless what it printed is still good.
func (p *Process) Credentials(ctx context.Context) (session.Credentials, error) {
	key, err := p.Key(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	return session.Do(ctx, p.Cache, key, func(ctx context.Context) (session.Credentials, error) {
		return p.fetch(ctx, key)
	})
}

func (p *Process) fetch(ctx context.Context, key session.Key) (session.Credentials, error) {
	none := session.Credentials{}
	argv, err := splitCommand(p.CommandLine, runtime.GOOS)
	if err != nil {
		return none, &profile.Error{Message: fmt.Sprintf("the credential_process of profile %q: %v", p.Name, err), Advice: showOrigin(p.Name)}
	}
	chain, _ := p.Lookup(depthVar)
	program := func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, argv[0], argv[1:]...) }
	out, err := p.Command.run(ctx, p.Name, "credential_process", program,
		[]string{depthVar + "=" + strings.TrimPrefix(chain+","+key.Hash, ",")})
	if err != nil {
		return none, err
	}
	c, err := parseProcess(out, p.Cache.Now())
	if err != nil {
		return none, &commandError{fmt.Errorf("the credential_process of profile %q prints %w", p.Name, err), p.Name, nil}
	}
	return c, nil
}

// parseProcess reads what a credential process printed. No error quotes it.
func parseProcess(out []byte, now time.Time) (session.Credentials, error) {
	none := session.Credentials{}
	var v struct {
		Version                                    int
		AccessKeyId, SecretAccessKey, SessionToken string
		Expiration                                 string
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return none, errors.New("something else than one JSON object with strings in it")
	}
	if v.Version != 1 {
		return none, fmt.Errorf("credentials of version %d, not 1", v.Version)
	}
	if v.AccessKeyId == "" || v.SecretAccessKey == "" {
		return none, errors.New("no AccessKeyId, or no SecretAccessKey")
	}
	c := session.Credentials{AccessKeyID: v.AccessKeyId, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken}
	if v.Expiration == "" {
		return c, nil
	}
	expires, err := time.Parse(time.RFC3339, v.Expiration)
	if err != nil {
		return none, errors.New("an Expiration that is no time in ISO 8601")
	}
	if !expires.After(now) {
		return none, fmt.Errorf("credentials that expired at %s", expires.UTC().Format(time.RFC3339))
	}
	c.Issued, c.Expires = now, expires
	return c, nil
}

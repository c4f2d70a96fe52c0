package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aws-runas/session/awstest"
)

// step is one command of the tour, run by sh, and what it has to show.
type step struct {
	about string
	line  string
	stdin string
	// check judges the output; nil asks for exit status 0 alone. A step that
	// must fail says so.
	check func(r result) error
	fails bool
}

type result struct {
	stdout, stderr string
	requests       int // that reached AWS meanwhile
}

// tour runs every step, showing each, and stops at the first that is wrong.
func (p *place) tour(ctx context.Context, out io.Writer) error {
	sh, err := exec.LookPath("sh")
	if err != nil {
		return errors.New("the tour needs sh: run it in Git Bash or WSL")
	}
	for _, s := range p.steps() {
		fmt.Fprintf(out, "\n# %s\n$ %s\n", s.about, s.line)
		before := p.world.Count("")
		cmd := p.command(ctx, sh, "-c", s.line)
		cmd.Stdin = strings.NewReader(s.stdin)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		r := result{stdout.String(), stderr.String(), p.world.Count("") - before}
		io.WriteString(out, p.mask(r.stdout+r.stderr))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var exit *exec.ExitError
		switch {
		case err != nil && !errors.As(err, &exit):
		case s.fails && err == nil:
			err = errors.New("it should have failed")
		case s.fails || err == nil:
			err = nil
			if s.check != nil {
				err = s.check(r)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.line, err)
		}
	}
	fmt.Fprintf(out, "\nAll %d steps are as they should be.\n", len(p.steps()))
	return nil
}

// mask shortens the secrets, although they are good for nothing outside.
func (p *place) mask(text string) string {
	var pairs []string
	for _, secret := range p.secrets() {
		pairs = append(pairs, secret, secret[:12]+"...")
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

const showVariables = `printf '%s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN"`

func (p *place) steps() []step {
	w := p.world
	home, away := "awsrunas-demo-photos", "awsrunas-prod-invoices"
	steps := []step{
		{about: "The keys of an IAM user go into the keyring, and nowhere else.",
			line: "aws-runas keys add demo-user", stdin: w.Key.ID + "\n" + w.Key.Secret + "\n"},
		{about: "What is configured.",
			line: "aws-runas list profiles", check: has("demo", "prod", "readonly", "external", "chain")},
		{about: "One MFA code, and this shell has the role's credentials.",
			line:  `creds=$(aws-runas env demo) && eval "$creds" && ` + showVariables,
			check: p.variables("assumed-role/Admin/")},
		{about: "Again: from the keyring, without a request.",
			line: `creds=$(aws-runas env demo) && eval "$creds" && ` + showVariables,
			check: all(p.variables("assumed-role/Admin/"), func(r result) error {
				if r.requests != 0 {
					return fmt.Errorf("%d requests reached AWS", r.requests)
				}
				return nil
			})},
		{about: "AWS confirms it.",
			line: "aws-runas whoami --check demo", check: has(w.Admin.Name, "123456789012")},
		{about: "One command has them, from an endpoint of its own that renews them.",
			line: "aws-runas demo -- buckets", check: has(home)},
		{about: "The same in the command's environment.",
			line: "aws-runas -E demo -- buckets", check: has(home)},
		{about: "As credential_process wants it.",
			line: "aws-runas -O json demo", check: p.processOutput},
		{about: "Another account, for two hours: AssumeRole with MFA, not a session's.",
			line: "aws-runas prod -- buckets", check: has(away)},
		{about: "A role that asks for an external id.",
			line: "aws-runas whoami --check external", check: has(w.Partner.Name, "210987654321")},
		{about: "A chain of roles.",
			line: "aws-runas whoami --check chain", check: has(w.Deploy.Name, "210987654321")},
		{about: "Keys for what has no profile.",
			line: "aws-runas keys add default", stdin: w.Key.ID + "\n" + w.Key.Secret + "\n"},
		{about: "The ARN of a role in place of a profile.",
			line:  fmt.Sprintf("aws-runas -M %s %s buckets", w.MFA.Serial, w.ReadOnly.ARN),
			check: has(home)},
		{about: "Somebody without an IAM user signs in by SAML, once.",
			line: "aws-runas --password-stdin whoami --check saml", stdin: password + "\n", check: has("Saml", "123456789012")},
		{about: "Back to nothing.",
			line:  `creds=$(aws-runas env demo) && eval "$creds" && off=$(aws-runas env off) && eval "$off" && printf '%s\n' "${AWS_ACCESS_KEY_ID-gone}"`,
			check: has("gone")},
		{about: "A slip says what to type, and prints nothing to evaluate.",
			line: "aws-runas env dmeo", fails: true,
			check: func(r result) error {
				if r.stdout != "" || !strings.Contains(r.stderr, "demo") {
					return errors.New("no hint, or something on stdout")
				}
				return nil
			}},
	}
	if runtime.GOOS == "linux" { // where what was left running is found
		steps = append(steps, step{about: "A server has them, for programs that aws-runas does not start.",
			line: `lines=$(aws-runas serve ecs --background -p 0 demo) && eval "$lines" && buckets`, check: has(home)})
	}
	if browserCommand() != "" {
		steps = append(steps,
			step{about: "By OIDC, in a browser (this one signs in by itself).",
				line: "aws-runas whoami --check oidc", check: has("Web", "123456789012")},
			step{about: "By IAM Identity Center, likewise; and what it offers.",
				line: "aws-runas list roles --sso-session corp", check: has(permissionSet, "Auditor")},
			step{about: "The sign-in is good for every profile behind it.",
				line: "aws-runas --no-input whoami --check sso", check: has("AWSReservedSSO_" + permissionSet)})
	}
	if p.hasAWS() {
		steps = append(steps, step{about: "The AWS CLI lists the bucket.",
			line: "aws-runas demo -- aws s3 ls", check: has(home)})
	}
	return append(steps, step{about: "Nothing secret is in any file.",
		line: "find . -type f", check: func(result) error { return p.searchFiles() }})
}

func all(checks ...func(result) error) func(result) error {
	return func(r result) error {
		for _, check := range checks {
			if err := check(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func has(words ...string) func(result) error {
	return func(r result) error {
		for _, word := range words {
			if !strings.Contains(r.stdout, word) {
				return fmt.Errorf("%q is missing", word)
			}
		}
		return nil
	}
}

// variables checks three lines of credentials against what AWS gave out.
func (p *place) variables(who string) func(result) error {
	return func(r result) error {
		lines := strings.Split(r.stdout, "\n")
		if len(lines) < 3 {
			return errors.New("the variables are not set")
		}
		return p.identify(awstest.Key{ID: lines[0], Secret: lines[1]}, lines[2], who)
	}
}

func (p *place) identify(k awstest.Key, token, who string) error {
	arn, err := p.world.Identify(k, token)
	if err != nil {
		return fmt.Errorf("AWS does not know these credentials: %w", err)
	}
	if !strings.Contains(arn, who) {
		return fmt.Errorf("they are for %q", arn)
	}
	return nil
}

// processOutput checks the form of
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func (p *place) processOutput(r result) error {
	var c struct {
		Version                                    int
		AccessKeyId, SecretAccessKey, SessionToken string
		Expiration                                 time.Time
	}
	if err := json.Unmarshal([]byte(r.stdout), &c); err != nil {
		return err
	}
	if c.Version != 1 || c.Expiration.IsZero() {
		return errors.New("no version 1, or no expiration")
	}
	return p.identify(awstest.Key{ID: c.AccessKeyId, Secret: c.SecretAccessKey}, c.SessionToken, "assumed-role/Admin/")
}

// searchFiles looks for every secret in every file of the home.
func (p *place) searchFiles() error {
	return filepath.WalkDir(p.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range p.secrets() {
			if bytes.Contains(text, []byte(secret)) {
				return fmt.Errorf("%q holds a secret in plain text", path)
			}
		}
		return nil
	})
}

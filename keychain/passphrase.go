package keychain

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"
)

// secretVariables are the environment variables that no child of this package
// shall see.
var secretVariables = []string{"MFA_CODE", "AWSRUNAS_PASSPHRASE", "RUNAS_PASSWORD", "SAML_PASSWORD", "WEB_PASSWORD"}

// passphraseTries is how often a person may mistype it.
const passphraseTries = 3

// ask gets the passphrase from the environment, from the command named there, or
// from a person, who is told why it is asked for again.
func (f *fileStore) ask(ctx context.Context, create bool, why string) (string, error) {
	o := f.k.opts
	if given, _ := o.Lookup("AWSRUNAS_PASSPHRASE"); given != "" {
		return given, nil
	}
	var passphrase string
	var err error
	if command, _ := o.Lookup("AWSRUNAS_PASSPHRASE_COMMAND"); command != "" {
		if passphrase, err = f.runCommand(ctx, command); err != nil {
			return "", err
		}
	} else if passphrase, err = f.askPerson(ctx, create, why); err != nil {
		return "", err
	}
	if passphrase == "" {
		e := &Error{Backend: "file", Reason: "the passphrase is empty", wrong: true}
		if command, _ := o.Lookup("AWSRUNAS_PASSPHRASE_COMMAND"); command != "" {
			e.Reason, e.hint = "AWSRUNAS_PASSPHRASE_COMMAND printed nothing", noCommand
		}
		return "", e
	}
	return passphrase, nil
}

// askPerson asks a person, twice for a new passphrase. The asker's errors are
// returned as they are.
func (f *fileStore) askPerson(ctx context.Context, create bool, why string) (string, error) {
	ask := f.k.opts.Passphrase
	if ask == nil {
		return "", &Error{Backend: "file", Reason: "a passphrase is needed and nobody can be asked", hint: "export AWSRUNAS_PASSPHRASE_COMMAND='...'"}
	}
	defer f.k.person.asking()()
	if !create {
		return ask(ctx, why+"Passphrase of the aws-runas keyring in "+f.dir, false)
	}
	for range passphraseTries {
		first, err := ask(ctx, why+"New passphrase, to encrypt the aws-runas keyring in "+f.dir, true)
		if err != nil || first == "" {
			return "", err
		}
		second, err := ask(ctx, "The same passphrase again", true)
		if err != nil || first == second {
			return first, err
		}
		why = "the two differ; "
	}
	return "", &Error{Backend: "file", Reason: "the two passphrases differ, so nothing is stored", wrong: true}
}

// noCommand makes the passphrase be asked for.
const noCommand = "unset AWSRUNAS_PASSPHRASE_COMMAND"

// runCommand returns what the shell command prints, without the line's end.
func (f *fileStore) runCommand(ctx context.Context, command string) (string, error) {
	defer f.k.person.asking()() // a password manager may well ask
	cmd := shellCommand(ctx, command)
	cmd.Env = slices.DeleteFunc(f.k.opts.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(secretVariables, name)
	})
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = f.k.opts.Stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &Error{Backend: "file", Reason: "AWSRUNAS_PASSPHRASE_COMMAND failed", Err: err, hint: noCommand}
	}
	line := strings.TrimSuffix(out.String(), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

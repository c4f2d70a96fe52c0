package cmd

import (
	"fmt"
	"runtime"

	"aws-runas/keychain"
)

type versionCmd struct{}

func (*versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.Out, "aws-runas %s (%s/%s, %s)\n", Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
	if note := keychain.Note(); note != "" {
		fmt.Fprintln(a.Out, note)
	}
	return err
}

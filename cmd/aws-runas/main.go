// Command aws-runas puts short-lived AWS credentials where work happens.
package main

import (
	"os"

	"aws-runas/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Environ(), cmd.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

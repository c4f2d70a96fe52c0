// Command sandbox is an AWS account to play in: a local AWS, a throwaway home
// with profiles and keys, and a shell in which aws-runas works on them. It
// needs no account and no network, and leaves nothing behind.
package main

import "os"

func main() {
	os.Exit(run(os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// Command bench measures aws-runas against a Go hello-world built and run in the
// same call, and prints ratios. See make bench.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

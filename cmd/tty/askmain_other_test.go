//go:build !unix

package tty

func askMain(string) int { return 2 }

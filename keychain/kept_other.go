//go:build !linux

package keychain

import "time"

// There is no kernel keyring here: the passphrase is asked for once per process.

func keepSecret(string, string, time.Duration) {}

func keptSecret(string) string { return "" }

func dropSecret(string) error { return nil }

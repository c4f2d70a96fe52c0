//go:build slow

package cmd

import "testing"

// TestSlowScript runs the scripts that wait for the clock.
func TestSlowScript(t *testing.T) { runScripts(t, "testdata/slow") }

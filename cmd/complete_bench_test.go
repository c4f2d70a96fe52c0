package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkComplete is a whole run, but for the start of the process.
func BenchmarkComplete(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var text bytes.Buffer
			for i := range n {
				fmt.Fprintf(&text, "[profile team%d-role]\nrole_arn = arn:aws:iam::%012d:role/engineer\nsource_profile = default\nregion = eu-west-1\n\n", i, i)
			}
			file := filepath.Join(b.TempDir(), "config")
			if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				a := newApp([]string{"AWS_CONFIG_FILE=" + file, "HOME=" + b.TempDir()}, Streams{Out: io.Discard, Err: io.Discard})
				if code := a.main([]string{"__complete", "fish", "aws-runas", "env", "team"}); code != 0 {
					b.Fatal(code)
				}
			}
		})
	}
}

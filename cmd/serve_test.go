package cmd

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"aws-runas/metadata"
)

// The first requests may come at once. The race detector looks at this one.
func TestBackendOpensAtOnce(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, []byte("[profile p]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = q\n[profile q]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newApp([]string{"HOME=" + home, "AWS_CONFIG_FILE=" + config, "AWSRUNAS_KEYRING=file"}, Streams{Out: io.Discard, Err: io.Discard})
	b := &backend{app: a}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := b.Open(metadata.Target{Profile: "p"}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

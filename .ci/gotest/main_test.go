package main

import (
	"slices"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	stream := `{"ImportPath":"m/broken","Action":"build-output","Output":"broken.go:3: undefined: x\n"}
{"ImportPath":"m/broken","Action":"build-fail"}
{"Action":"output","Package":"m/a","Test":"TestQuiet","Output":"    a_test.go:5: said in passing\n"}
{"Action":"pass","Package":"m/a","Test":"TestQuiet"}
{"Action":"output","Package":"m/a","Test":"TestFish","Output":"=== RUN   TestFish\n"}
{"Action":"output","Package":"m/a","Test":"TestFish","Output":"    a_test.go:9: fish is not in PATH\n"}
{"Action":"output","Package":"m/a","Test":"TestFish","Output":"--- SKIP: TestFish (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestFish"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.010s\n"}
{"Action":"pass","Package":"m/a"}
{"Action":"skip","Package":"m/a","Test":"FuzzX/seed#1"}
{"Action":"output","Package":"m/b","Test":"TestBad/sub","Output":"=== RUN   TestBad/sub\n"}
{"Action":"output","Package":"m/b","Test":"TestBad/sub","Output":"    b_test.go:7: got 1, want 2\n"}
{"Action":"fail","Package":"m/b","Test":"TestBad/sub"}
{"Action":"output","Package":"m/b","Test":"TestPanic","Output":"panic: boom\n"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b\t0.010s\n"}
{"Action":"fail","Package":"m/b"}
{"Action":"output","Package":"m/none","Output":"?   \tm/none\t[no test files]\n"}
{"Action":"skip","Package":"m/none"}
`
	var out strings.Builder
	skips, err := report(&out, strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	want := `broken.go:3: undefined: x
ok  	m/a	0.010s
    b_test.go:7: got 1, want 2
panic: boom
FAIL	m/b	0.010s
`
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", &out, want)
	}
	if want := []skip{{"m/a.TestFish", "fish is not in PATH"}}; !slices.Equal(skips, want) {
		t.Errorf("skips = %v, want %v", skips, want)
	}
}

func TestSummary(t *testing.T) {
	tests := []struct {
		name  string
		skips []skip
		want  string
	}{
		{"none", nil, "skipped nothing"},
		{"programs", []skip{{"a", "fish is not in PATH"}, {"b", `exec: "gpg": not found`}, {"c", "fish is not in PATH"}},
			"skipped 3 tests for want of fish, gpg: make tools installs them (Debian: apt-get install fish gnupg)"},
		{"npm", []skip{{"a", "npm package web-tree-sitter is not installed"}}, "skipped 1 test for want of web-tree-sitter: make tools installs them"},
		{"other", []skip{{"a", "needs root"}, {"b", ""}}, "skipped 1 test: no reason given; 1 test: needs root"},
	}
	for _, tt := range tests {
		if got := summary(tt.skips); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestIsolate(t *testing.T) {
	t.Chdir(t.TempDir())
	env, home, err := isolate([]string{"PATH=/bin", "AWS_PROFILE=real", "AWS_ENDPOINT_URL=https://real.invalid", "HOME=/real", "MFA_CODE=1", "LANG=C"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PATH=/bin", "LANG=C", "HOME=" + home, "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED=true"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %q in %q", want, env)
		}
	}
	for _, kv := range env {
		if strings.Contains(kv, "real") || strings.HasPrefix(kv, "MFA_CODE=") {
			t.Errorf("%q came through", kv)
		}
	}
}

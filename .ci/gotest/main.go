// Command gotest runs "go test" with its arguments, prints what go test prints
// without -v, returns its status, and ends with one line that names what was
// skipped and how to install it. NO_SKIP=1 makes a skip a failure.
//
// The tests run apart from the person who runs them: HOME is an empty folder in
// .cache, no AWS setting is inherited, and neither a D-Bus session nor an AWS
// endpoint can be reached by accident. A test that writes into HOME fails the run.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// packages names the Debian package of each program that a test may look for;
// what has none comes from npm.
var packages = map[string]string{
	"async-aws":              "php-async-aws-core",
	"autoload":               "php-async-aws-core",
	"aws":                    "awscli",
	"aws-sdk":                "",
	"bash":                   "bash",
	"boto3":                  "python3-boto3",
	"botocore":               "python3-botocore",
	"busybox":                "busybox",
	"chromium":               "chromium",
	"client-sts":             "",
	"curl":                   "curl",
	"dash":                   "dash",
	"dbus-daemon":            "dbus-daemon",
	"dbus-run-session":       "dbus-daemon",
	"fish":                   "fish",
	"fzf":                    "fzf",
	"gnome-keyring":          "gnome-keyring",
	"gnome-keyring-daemon":   "gnome-keyring",
	"gpg":                    "gnupg",
	"ip":                     "iproute2",
	"keyctl":                 "keyutils",
	"ksh93":                  "ksh93u+m",
	"man":                    "man-db",
	"mandoc":                 "mandoc",
	"mksh":                   "mksh",
	"node":                   "nodejs",
	"oathtool":               "oathtool",
	"oidc-provider":          "",
	"pass":                   "pass",
	"pgrep":                  "procps",
	"php":                    "php-cli",
	"playwright-core":        "",
	"ps":                     "procps",
	"python3":                "python3",
	"rclone":                 "rclone",
	"restic":                 "restic",
	"ruby":                   "ruby",
	"s3cmd":                  "s3cmd",
	"s3fs":                   "s3fs",
	"secret-tool":            "libsecret-tools",
	"ssh":                    "openssh-client",
	"ssh-keygen":             "openssh-client",
	"sshd":                   "openssh-server",
	"strace":                 "strace",
	"tcsh":                   "tcsh",
	"tree-sitter-powershell": "",
	"unshare":                "util-linux",
	"web-tree-sitter":        "",
	"zsh":                    "zsh",
}

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	os.Exit(status)
}

func run(args []string) (int, error) {
	env, home, err := isolate(os.Environ())
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(home)
	defer forgetKeys(unlockKeys())

	// The terminal interrupts go test as well; this process only has to outlive it.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)

	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	skips, err := report(os.Stdout, stdout)
	if err != nil {
		return 1, err
	}
	status := 0
	if err := cmd.Wait(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			return 1, err
		}
		status = max(exit.ExitCode(), 1)
	}
	if written := strays(home); len(written) > 0 {
		fmt.Printf("FAIL: tests wrote into HOME: %s\n", strings.Join(written, ", "))
		status = max(status, 1)
	}
	if slices.ContainsFunc(skips, lacking) && os.Getenv("NO_SKIP") == "1" {
		fmt.Println("FAIL: NO_SKIP=1 and tests were skipped")
		status = max(status, 1)
	}
	fmt.Println(summary(skips))
	return status, nil
}

// isolate returns the environment for the tests and the empty folder that is
// their HOME.
func isolate(environ []string) (env []string, home string, err error) {
	// With another HOME, Go would lose its caches and the settings of "go env -w".
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPATH", "GOENV").Output()
	if err != nil {
		return nil, "", fmt.Errorf("go env: %w", err)
	}
	var goenv map[string]string
	if err := json.Unmarshal(out, &goenv); err != nil {
		return nil, "", fmt.Errorf("go env: %w", err)
	}
	if err := os.MkdirAll(".cache", 0o755); err != nil {
		return nil, "", err
	}
	if home, err = os.MkdirTemp(".cache", "home-"); err != nil {
		return nil, "", err
	}
	if home, err = filepath.Abs(home); err != nil {
		return nil, "", err
	}
	foreign := regexp.MustCompile(`^(AWS|AWSRUNAS|RUNAS|SAML|WEB|WEB_IDENTITY|MFA|XDG|GNOME|GPG|PASSWORD_STORE|SSH)_|` +
		`^(HOME|USERPROFILE|EXTERNAL_ID|JUMP_ROLE_ARN|FEDERATED_USERNAME|AUTH_BROWSER|DISPLAY|WAYLAND_DISPLAY|GNUPGHOME|ZDOTDIR|BASH_ENV|ENV|` +
		`DURATION_SECONDS|CREDENTIALS_DURATION|SESSION_TOKEN_DURATION|DBUS_SESSION_BUS_ADDRESS)$`)
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); !foreign.MatchString(name) {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(goenv)) {
		env = append(env, name+"="+goenv[name])
	}
	return append(env,
		"HOME="+home,
		"USERPROFILE="+home,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL=http://127.0.0.1:1", // tcpmux: nothing listens there
		"npm_config_cache="+filepath.Join(filepath.Dir(home), "npm"), "npm_config_update_notifier=false",
	), home, nil
}

// strays lists the files that tests left in home, less Go's own counters.
func strays(home string) (files []string) {
	filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(home, path)
		if err == nil && d.IsDir() && filepath.ToSlash(rel) == ".config/go" {
			return fs.SkipDir
		}
		if err != nil || !d.IsDir() {
			files = append(files, rel)
		}
		return nil
	})
	return files
}

// skip is a test that was skipped, and why.
type skip struct{ test, reason string }

// lacking reports whether a test was skipped for a lack that can be made up for.
// What makes no sense as root, or as anybody else, is run by the other in .ci/run.
func lacking(s skip) bool { return !regexp.MustCompile(`\broot\b`).MatchString(s.reason) }

// report prints the stream of "go test -json" as go test would have printed it
// without -v, and returns the tests that were skipped.
func report(w io.Writer, stream io.Reader) (skips []skip, err error) {
	type event struct{ Action, Package, Test, Output, ImportPath string }
	type key struct{ pkg, test string }
	output := map[key]*bytes.Buffer{}

	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			if err == io.EOF {
				return skips, nil
			}
			return skips, err
		}
		var e event
		if line[0] != '{' || json.Unmarshal(line, &e) != nil {
			w.Write(line) // go's own words, such as a package pattern that matches nothing
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			io.WriteString(w, e.Output)
		case "output":
			if progress.MatchString(e.Output) {
				continue // what -json implies -v for
			}
			if output[k] == nil {
				output[k] = &bytes.Buffer{}
			}
			output[k].WriteString(e.Output)
		case "skip":
			// A fuzz target skips an input that says nothing, which is not a lack.
			if e.Test != "" && !strings.HasPrefix(e.Test, "Fuzz") {
				skips = append(skips, skip{e.Package + "." + e.Test, reason(output[k])})
			}
			fallthrough
		case "pass":
			if e.Test == "" {
				printPackage(w, output[k])
			}
			delete(output, k)
		case "fail":
			if e.Test == "" {
				// Tests that a panic or the time limit cut short have no end of their own.
				for left := range output {
					if left.pkg == e.Package && left.test != "" {
						io.Copy(w, output[left])
						delete(output, left)
					}
				}
			}
			if e.Test == "" {
				printPackage(w, output[k])
			} else if output[k] != nil {
				io.Copy(w, output[k])
			}
			delete(output, k)
		}
	}
}

// printPackage prints what a package said beside its tests' own output.
func printPackage(w io.Writer, out *bytes.Buffer) {
	if out == nil {
		return
	}
	for line := range strings.Lines(out.String()) {
		if line != "PASS\n" && line != "testing: warning: no tests to run\n" &&
			!strings.HasSuffix(line, "[no test files]\n") && !strings.HasSuffix(line, "[no tests to run]\n") {
			io.WriteString(w, line)
		}
	}
}

var progress = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME|ATTR) `)

var logLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

// reason is the last line that the test logged before it was skipped.
func reason(out *bytes.Buffer) (text string) {
	if out == nil {
		return ""
	}
	for line := range strings.Lines(out.String()) {
		if m := logLine.FindStringSubmatch(line); m != nil {
			text = m[1]
		}
	}
	return text
}

// summary is the closing line.
func summary(skips []skip) string {
	if len(skips) == 0 {
		return "skipped nothing"
	}
	wanted, debs, others := map[string]bool{}, map[string]bool{}, map[string]int{}
	missing := 0
	for _, s := range skips {
		found := false
		for _, word := range strings.FieldsFunc(s.reason, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r) }) {
			if deb, ok := packages[word]; ok {
				wanted[word], found = true, true
				if deb != "" {
					debs[deb] = true
				}
			}
		}
		if found {
			missing++
		} else {
			others[strings.TrimSpace(s.reason)]++
		}
	}
	var parts []string
	if missing > 0 {
		text := fmt.Sprintf("%s for want of %s: make tools installs them", plural(missing), list(wanted, ", "))
		if len(debs) > 0 {
			text += " (Debian: apt-get install " + list(debs, " ") + ")"
		}
		parts = append(parts, text)
	}
	for _, why := range slices.Sorted(maps.Keys(others)) {
		parts = append(parts, fmt.Sprintf("%s: %s", plural(others[why]), cmp.Or(why, "no reason given")))
	}
	return "skipped " + strings.Join(parts, "; ")
}

func list(set map[string]bool, separator string) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), separator)
}

func plural(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

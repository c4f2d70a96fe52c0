// Package clients runs the built program with what people run it with: the AWS
// CLI as it is installed, the shells, and moto as a second opinion on AWS.
package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aws-runas/session/awstest"
)

// bin has the built program.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "clients-"); err == nil {
			defer os.RemoveAll(bin)
			build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./cmd/aws-runas")
			build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
			err = build.Run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// program finds a program, or skips the test, or with NO_SKIP=1 fails it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lacking(t, name)
	}
	return path
}

// lacking skips the test for want of something, or with NO_SKIP=1 fails it.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("NO_SKIP") == "1" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// awsCLIs finds every AWS CLI: the first in PATH, and Debian's.
func awsCLIs(t *testing.T) []string {
	t.Helper()
	all := []string{program(t, "aws")}
	if _, err := os.Stat("/usr/bin/aws"); err == nil && all[0] != "/usr/bin/aws" {
		all = append(all, "/usr/bin/aws")
	}
	return all
}

// person is somebody with a HOME, keys in a keyring and an AWS.
type person struct {
	t    *testing.T
	home string
	env  []string
}

// newPerson writes the config: the profile user, with mfa unless that is empty,
// and what follows it.
func newPerson(t *testing.T, endpoint, mfa, config string) *person {
	home := t.TempDir()
	p := &person{t: t, home: home, env: append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "AWS_") || strings.HasPrefix(kv, "PATH=") || strings.HasPrefix(kv, "HOME=")
	}),
		"HOME="+home, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"AWS_ENDPOINT_URL="+endpoint, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"AWSRUNAS_KEYRING=file", "AWSRUNAS_PASSPHRASE=correct horse",
	)}
	text := "[profile user]\nregion = us-east-1\n"
	if mfa != "" {
		text += "mfa_serial = " + mfa + "\n"
	}
	text += "\n" + config
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".aws", "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a command and returns what it printed.
func (p *person) run(stdin string, argv ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if !strings.Contains(argv[0], "/") {
		if path := filepath.Join(bin, argv[0]); argv[0] == "aws-runas" {
			argv = append([]string{path}, argv[1:]...)
		}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = p.env, p.home, strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.t.Fatalf("%q: %v\n%s", argv, err, exit.Stderr)
		}
		p.t.Fatalf("%q: %v", argv, err)
	}
	return string(out)
}

func (p *person) addKeys(name, id, secret string) {
	p.t.Helper()
	p.run(id+"\n"+secret+"\n", "aws-runas", "keys", "add", name)
}

const script = `eval "$(aws-runas env role)" && exec "$0" "$@"`

// The CLIs are told the endpoint, since Debian's does not know AWS_ENDPOINT_URL.

// ways are the ways in which an AWS CLI can be given the profile role. The rest
// of the line is the CLI's.
func ways(cli string) map[string][]string {
	return map[string][]string{
		"env":                {"sh", "-c", script, cli},
		"endpoint":           {"aws-runas", "role", cli},
		"variables":          {"aws-runas", "-E", "role", cli},
		"credential_process": {cli, "--profile", "by-process"},
		"two dashes":         {"aws-runas", "role", "--", cli},
	}
}

// isRole makes sure that an answer of GetCallerIdentity names the role.
func isRole(t *testing.T, answer, role string) {
	t.Helper()
	var who struct{ Arn string }
	if err := json.Unmarshal([]byte(answer), &who); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if !strings.Contains(who.Arn, ":assumed-role/"+role+"/") {
		t.Errorf("the caller is %q, not the role %s", who.Arn, role)
	}
}

func TestSlowAWSCLI(t *testing.T) {
	for _, cli := range awsCLIs(t) {
		t.Run(cli, func(t *testing.T) {
			world := awstest.Demo(awstest.Options{})
			endpoint, err := world.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer world.Close()
			p := newPerson(t, endpoint, world.MFA.Serial, fmt.Sprintf(`[profile role]
source_profile = user
role_arn = %s

[profile by-process]
region = us-east-1
credential_process = %s/aws-runas -O json role

# The AWS CLI asks [default] before it asks the endpoint.
[default]
aws_access_key_id = AKIAWRONGWRONGWRONG1
aws_secret_access_key = wrong
`, world.Admin.ARN, bin))
			p.addKeys("user", world.Key.ID, world.Key.Secret)
			p.run("", "aws-runas", "-o", world.MFA.Code(), "env", "role")
			for way, argv := range ways(cli) {
				t.Run(way, func(t *testing.T) {
					p := &person{t, p.home, p.env}
					isRole(t, p.run("", append(argv, "--endpoint-url", endpoint, "sts", "get-caller-identity", "--output", "json")...), "Admin")
					if out := p.run("", append(argv, "--endpoint-url", endpoint, "s3", "ls")...); !strings.Contains(out, "awsrunas-demo-photos") {
						t.Errorf("aws s3 ls: %q", out)
					}
				})
			}
			for _, action := range []string{"GetSessionToken", "AssumeRole"} {
				if n := world.Count(action); n != 1 {
					t.Errorf("%d calls of %s, want 1", n, action)
				}
			}
		})
	}
}

func TestSlowMoto(t *testing.T) {
	server := program(t, "moto_server")
	endpoint := startMoto(t, server)
	for i, cli := range awsCLIs(t) {
		t.Run(cli, func(t *testing.T) {
			// Any code will do, once for each device.
			p := newPerson(t, endpoint, fmt.Sprintf("arn:aws:iam::123456789012:mfa/user%d-%d", i, os.Getpid()), fmt.Sprintf(`[profile role]
source_profile = user
role_arn = arn:aws:iam::123456789012:role/Admin

[profile by-process]
region = us-east-1
credential_process = %s/aws-runas -O json role
`, bin))
			p.addKeys("user", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
			p.run("", "aws-runas", "-o", "123456", "env", "role")
			for way, argv := range ways(cli) {
				t.Run(way, func(t *testing.T) {
					p := &person{t, p.home, p.env}
					isRole(t, p.run("", append(argv, "--endpoint-url", endpoint, "sts", "get-caller-identity", "--output", "json")...), "Admin")
				})
			}
		})
	}
}

func startMoto(t *testing.T, server string) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(server, "-H", "127.0.0.1", "-p", port)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.Tick(50 * time.Millisecond); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatal("moto_server does not answer")
		}
	}
}

// TestSlowShells types the lines of docs/command-line.md, for a profile whose name a
// shell would love to expand.
func TestSlowShells(t *testing.T) {
	world := awstest.Demo(awstest.Options{})
	endpoint, err := world.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	const name = "l'été \"$(id)\" `id` $HOME !! 100%"
	config := fmt.Sprintf("[profile %s]\nsource_profile = user\nrole_arn = %s\nexternal_id = %s\n", name, world.Partner.ARN, world.ExternalID)
	for shell, line := range map[string]string{
		"bash": `eval "$(aws-runas env%s)"`,
		"zsh":  `eval "$(aws-runas env%s)"`,
		"dash": `eval "$(aws-runas env%s)"`,
		"fish": `aws-runas env%s | source`,
		"tcsh": "eval \"`aws-runas env%s`\"",
	} {
		t.Run(shell, func(t *testing.T) {
			path := program(t, shell)
			p := newPerson(t, endpoint, "", config)
			p.addKeys("user", world.Key.ID, world.Key.Secret)
			p.env = append(p.env, "AWS_PROFILE="+name)
			out := p.run("", path, "-c", strings.Join([]string{
				fmt.Sprintf(line, ""), "printenv AWSRUNAS_PROFILE", "printenv AWS_REGION", "aws-runas whoami",
				fmt.Sprintf(line, " off"), "echo --", "env"}, "\n"))
			before, after, _ := strings.Cut(out, "\n--\n")
			for _, want := range []string{name + "\nus-east-1\n", "identity  Partner\n"} {
				if !strings.Contains(before, want) {
					t.Errorf("no %q in %q", want, before)
				}
			}
			for _, left := range []string{"AWS_SESSION_TOKEN=", "AWSRUNAS_PROFILE=", "AWS_REGION="} {
				if strings.Contains(after, left) {
					t.Errorf("%s is left after env off", left)
				}
			}
		})
	}
}

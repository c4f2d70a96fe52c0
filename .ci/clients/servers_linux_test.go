package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-runas/session/awstest"
)

// lines runs lines of the manual in a shell.
func (p *person) lines(shell string, lines ...string) string {
	p.t.Helper()
	return p.run("", program(p.t, shell), "-c", "set -eu\n"+strings.Join(lines, "\n"))
}

// TestSlowServers types the lines of docs/servers.md, with each AWS CLI.
func TestSlowServers(t *testing.T) {
	clis := awsCLIs(t)
	net := newNamespace(t)
	for _, cli := range clis {
		t.Run(cli, func(t *testing.T) {
			net.enter(t)
			world := awstest.Demo(awstest.Options{})
			endpoint, err := world.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer world.Close()
			p := newPerson(t, endpoint, world.MFA.Serial, fmt.Sprintf(`[profile my-profile]
source_profile = user
role_arn = %s

[profile other-profile]
source_profile = user
role_arn = %s
`, world.Admin.ARN, world.ReadOnly.ARN)).with(t, "AWS_DEFAULT_REGION=us-east-1")
			// Debian's CLI does not know AWS_ENDPOINT_URL.
			aws := fmt.Sprintf("#!/bin/sh\nexec %s --endpoint-url %s \"$@\"\n", cli, endpoint)
			if err := os.WriteFile(filepath.Join(p.home, "aws"), []byte(aws), 0o700); err != nil {
				t.Fatal(err)
			}
			p = p.with(t, "PATH="+p.home+":"+bin+":"+os.Getenv("PATH"), "AWS_EC2_METADATA_DISABLED")
			p.addKeys("user", world.Key.ID, world.Key.Secret)
			p.run("", "aws-runas", "-o", world.MFA.Code(), "env", "my-profile")

			const buckets, who = " aws s3 ls", " aws sts get-caller-identity --output json"
			check := func(role, variables string) {
				t.Helper()
				if out := p.lines("sh", variables+buckets); !strings.Contains(out, "awsrunas-demo-photos") {
					t.Errorf("%s%s: %q", variables, buckets, out)
				}
				isRole(t, p.lines("sh", variables+who), role)
			}
			_, stop := p.serve("serve", "ec2", "-p", "8000", "my-profile")
			check("Admin", "AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:8000/")
			stop()

			_, stop = p.serve("serve", "ecs", "my-profile")
			check("Admin", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:12319/credentials")
			check("ReadOnly", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:12319/credentials/other-profile")
			check("Admin", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:12319/credentials")
			stop()

			for _, kind := range []string{"ecs", "ecs --token", "ec2 -p 8000"} {
				out := p.lines("bash", `trap 'aws-runas serve stop 2>/dev/null || :' EXIT`, `eval "$(aws-runas serve `+kind+` --background my-profile)"`, "aws sts get-caller-identity --output json",
					"aws-runas serve status >&2", "aws-runas serve stop", "! aws-runas serve status 2>/dev/null")
				isRole(t, out, "Admin")
			}

			_, stop = p.serve("serve", "ec2", "my-profile")
			out := p.lines("sh", "HTTP_PROXY=http://127.0.0.1:9 aws-runas serve status", "! aws-runas serve ec2 other-profile 2>&1")
			for _, want := range []string{"http://169.254.169.254:80/  my-profile  ", "your ec2 server is at http://169.254.169.254:80/ already"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			stop()
			if n := world.Count("GetSessionToken"); n != 1 {
				t.Errorf("%d sign-ins, want 1", n)
			}
		})
	}
}

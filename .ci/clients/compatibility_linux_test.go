package clients

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aws-runas/session/awstest"
)

var update = flag.Bool("update", false, "write the table of docs/compatibility.md")

// way is one of the ways in which a client can come by the credentials of the
// profile role.
type way struct {
	title  string
	serve  []string // the server, and what it needs in its environment
	server []string
	client []string // what the client needs
	prefix []string // before the client's command
}

const (
	ec2Port = "EC2, `-p`"
	ec2V2   = "EC2, IMDSv2"
	ec2     = "EC2"
	ecs     = "ECS"
	ecsLink = "ECS, 169.254.170.2"
	process = "`credential_process`"
	wrapped = "`aws-runas PROFILE`"
	plain   = "`aws-runas -E PROFILE`"
)

func allWays() []way {
	const full, relative = "AWS_CONTAINER_CREDENTIALS_FULL_URI=", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="
	runas := filepath.Join(bin, "aws-runas")
	return []way{
		{title: ec2Port, serve: []string{"serve", "ec2", "-p", "8000", "role"}, client: []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:8000/", "AWS_EC2_METADATA_DISABLED"}},
		{title: ec2V2, serve: []string{"serve", "ec2", "--imds-v2-only", "role"}, client: []string{"AWS_EC2_METADATA_DISABLED"}},
		{title: ec2, serve: []string{"serve", "ec2", "role"}, client: []string{"AWS_EC2_METADATA_DISABLED"}},
		{title: ecs, serve: []string{"serve", "ecs", "role"}, client: []string{full + "http://127.0.0.1:12319/credentials"}},
		{title: ecsLink, serve: []string{"serve", "ecs", "role"}, server: []string{full + "http://169.254.170.2/credentials"}, client: []string{relative + "/credentials"}},
		{title: process, client: []string{"AWS_PROFILE=by-process"}},
		{title: wrapped, prefix: []string{runas, "role", "--"}},
		{title: plain, prefix: []string{runas, "-E", "role", "--"}},
	}
}

// client is a program or SDK that signs requests.
type client struct {
	name    string
	needs   []string // programs, and files that begin with /
	version []string // prints its version among other words
	call    func(way, endpoint string) []string
	env     []string
	note    string
}

// always is a call that is the same for each way.
func always(argv ...string) func(string, string) []string {
	return func(string, string) []string { return argv }
}

// sdk is the path of a file beside this one.
func sdk(name string) string {
	path, err := filepath.Abs(filepath.Join("sdk", name))
	if err != nil {
		panic(err) // no working directory
	}
	return path
}

func allClients(t *testing.T) []client {
	var all []client
	for _, cli := range awsCLIs(t) {
		c := client{name: "AWS CLI", needs: []string{cli}, version: []string{cli, "--version"}, call: func(_, endpoint string) []string {
			// Debian's does not know AWS_ENDPOINT_URL.
			return []string{cli, "--endpoint-url", endpoint, "sts", "get-caller-identity"}
		}}
		if cli == "/usr/bin/aws" {
			c.name, c.note = "AWS CLI of Debian 12", "wants the `/` at the end of the endpoint, and of loopback only 127.0.0.1 and localhost"
		}
		all = append(all, c)
	}
	python, node := "python3", "node"
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		python = "/usr/bin/python3" // Debian's packages are there for its own alone
	}
	s3 := func(endpoint string) string { return strings.TrimPrefix(endpoint, "http://") }
	root := "/nonexistent"
	if out, err := exec.Command("npm", "root", "-g").Output(); err == nil {
		root = strings.TrimSpace(string(out))
	}
	js := []string{"NODE_PATH=" + root}
	return append(all,
		client{name: "boto3", needs: []string{python}, version: []string{python, sdk("python.py"), "--version"}, call: always(python, sdk("python.py"))},
		client{name: "AWS SDK for Go v2", needs: []string{bin + "/sdkv2"}, version: []string{bin + "/sdkv2", "--version"}, call: always(bin + "/sdkv2")},
		client{name: "AWS SDK for Go v1", needs: []string{bin + "/sdkv1"}, version: []string{bin + "/sdkv1", "--version"}, call: always(bin + "/sdkv1"),
			note: "`credential_process` wants `AWS_SDK_LOAD_CONFIG=1`"},
		client{name: "AWS SDK for JavaScript v3", needs: []string{node, "npm", root + "/@aws-sdk/client-sts"}, env: js,
			version: []string{node, "-p", "require('@aws-sdk/client-sts/package.json').version"}, call: always(node, sdk("js-v3.cjs"))},
		client{name: "AWS SDK for JavaScript v2", needs: []string{node, "npm", root + "/aws-sdk"}, env: js,
			version: []string{node, "-p", "require('aws-sdk/package.json').version"}, call: always(node, sdk("js-v2.cjs"))},
		client{name: "AWS SDK for Ruby", needs: []string{"ruby"}, version: []string{"ruby", sdk("ruby.rb"), "--version"}, call: always("ruby", sdk("ruby.rb")),
			note: "ignores the port of the EC2 endpoint, and knows no full URI"},
		client{name: "async-aws (PHP)", needs: []string{"php", "/usr/share/php/AsyncAws/Core/autoload.php"}, version: []string{"dpkg-query", "-W", "-f", "${Version}", "php-async-aws-core"},
			call: always("php", sdk("async-aws.php")), note: "IMDSv1 only; ignores the endpoint variable, a full URI and `credential_process`"},
		client{name: "rclone", needs: []string{"rclone"}, version: []string{"rclone", "version"}, call: func(_, endpoint string) []string {
			return []string{"rclone", "--config=", "--retries=1", "--low-level-retries=1", "lsd", ":s3,provider=AWS,env_auth=true,region=us-east-1,endpoint='" + endpoint + "':"}
		}},
		client{name: "restic", needs: []string{"restic"}, version: []string{"restic", "version"}, env: []string{"RESTIC_PASSWORD=x"}, call: func(_, endpoint string) []string {
			return []string{"restic", "--no-cache", "-r", "s3:" + endpoint + "/bucket", "snapshots"}
		}, note: "ignores the EC2 endpoint variable, `AWS_EC2_METADATA_DISABLED` and `credential_process`"},
		client{name: "s3cmd", needs: []string{"s3cmd"}, version: []string{"s3cmd", "--version"}, call: func(_, endpoint string) []string {
			return []string{"s3cmd", "--no-ssl", "--host=" + s3(endpoint), "--host-bucket=" + s3(endpoint), "--region=us-east-1", "ls"}
		}, note: "knows 169.254.169.254 and the variables alone"},
		client{name: "s3fs", needs: []string{"s3fs", "sh", "/dev/fuse"}, version: []string{"s3fs", "--version"}, call: func(way, endpoint string) []string {
			source := map[string]string{ec2Port: "-o iam_role=auto", ec2V2: "-o iam_role=auto", ec2: "-o iam_role=auto", ecs: "-o ecs", ecsLink: "-o ecs", wrapped: "-o ecs"}[way]
			// It unmounts and ends, since the bucket cannot be listed.
			return []string{"sh", "-c", `export AWSACCESSKEYID="$AWS_ACCESS_KEY_ID" AWSSECRETACCESSKEY="$AWS_SECRET_ACCESS_KEY" AWSSESSIONTOKEN="$AWS_SESSION_TOKEN"
exec s3fs bucket "$1" -f -o url="$0" -o use_path_request_style -o retries=1 -o connect_timeout=3 ` + source, endpoint, t.TempDir()}
		}, note: "lists roles without a token, so not from `--imds-v2-only`; its variables are `AWSACCESSKEYID`, `AWSSECRETACCESSKEY` and `AWSSESSIONTOKEN`"},
		client{name: "curl --aws-sigv4", needs: []string{"curl", "sh"}, version: []string{"curl", "--version"}, call: func(_, endpoint string) []string {
			return []string{"sh", "-c", `printf 'user = "%s:%s"\nheader = "X-Amz-Security-Token: %s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN" |
curl -K - --aws-sigv4 "aws:amz:$AWS_REGION:sts" -d 'Action=GetCallerIdentity&Version=2011-06-15' "$0"`, endpoint}
		}, note: "see below"},
	)
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// row is the line of the table, without its outer bars.
type row []string

func (r row) String() string { return "| " + strings.Join(r, " | ") + " |" }

// TestSlowCompatibility lets every client sign a request with what each way
// gives it. Whether it worked is for AWS to say: it knows whose key signed.
func TestSlowCompatibility(t *testing.T) {
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./sdkv1", "./sdkv2")
	build.Dir = sdk("go")
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("the programs with the SDKs for Go: %v\n%s", err, out)
	}
	clients, ways := allClients(t), allWays()
	net := newNamespace(t)
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
`, world.Admin.ARN, bin)).with(t, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_SDK_LOAD_CONFIG=1")
	p.addKeys("user", world.Key.ID, world.Key.Secret)
	var role struct{ AccessKeyId string }
	if err := json.Unmarshal([]byte(p.run("", "aws-runas", "-o", world.MFA.Code(), "-O", "json", "role")), &role); err != nil {
		t.Fatal(err)
	}
	// Known requests are answered, others refused once the signature is checked.
	signed := func() bool {
		for _, r := range world.Requests() {
			if r.AccessKeyID == role.AccessKeyId && (r.Status == 200 || r.Code == "NotImplemented") {
				return true
			}
		}
		return false
	}

	doc := newTable(t, filepath.Join("..", "..", "docs", "compatibility.md"))
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			for _, need := range c.needs {
				if !strings.HasPrefix(need, "/") {
					program(t, need)
				} else if _, err := os.Stat(need); err != nil && need == "/dev/fuse" {
					t.Skipf("%s is not there, and root alone can change that", need)
				} else if err != nil {
					lacking(t, filepath.Base(need))
				}
			}
			net.enter(t)
			p := p.with(t, c.env...)
			version, err := p.try(time.Minute, c.version...)
			if err != nil {
				t.Logf("%q: %v\n%s", c.version, err, version)
				lacking(t, c.name)
			}
			r, said := row{c.name, versionNumber.FindString(version)}, ""
			for _, w := range ways {
				world.Reset()
				stop := func() {}
				if w.serve != nil {
					_, stop = p.with(t, w.server...).serve(w.serve...)
				}
				out, err := p.with(t, w.client...).try(time.Minute, append(w.prefix, c.call(w.title, endpoint)...)...)
				stop()
				cell := "no"
				if signed() {
					cell = "yes"
				}
				r = append(r, cell)
				said += fmt.Sprintf("-- %s: %s (%v)\n%s\n", w.title, cell, err, out)
			}
			doc.check(t, append(r, c.note), said)
		})
	}
	doc.write(t, ways)
}

// table is the table in a page of the manual, which a run writes and later runs
// are held to.
type table struct {
	path          string
	before, after string
	rows          map[string]row // by client
	order         []string
}

const (
	tableBegin = "<!-- The table is written by: go test ./.ci/clients -run TestSlowCompatibility -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

func newTable(t *testing.T, path string) *table {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), tableBegin)
	lines, after, ended := strings.Cut(rest, tableEnd)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	d := &table{path: path, before: before, after: after, rows: map[string]row{}}
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		if i < 2 || line == "" { // the head
			continue
		}
		d.add(row(strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")))
	}
	return d
}

func (d *table) add(r row) {
	if _, ok := d.rows[r[0]]; !ok {
		d.order = append(d.order, r[0])
	}
	d.rows[r[0]] = r
}

// check holds a row to the page's, or with -update puts it there. Another version
// of a client than the page's is only an error if it behaves otherwise.
func (d *table) check(t *testing.T, r row, said string) {
	t.Helper()
	was := d.rows[r[0]]
	if *update {
		d.add(r)
		t.Logf("%s\n%s", r, said)
		return
	}
	if len(was) > 1 && was[1] != r[1] {
		t.Logf("%s has %s %s", d.path, r[0], was[1])
		r[1] = was[1]
	}
	if was.String() != r.String() {
		t.Errorf("%s has another row:\n%s\n%s\n%s", d.path, was, r, said)
	}
}

func (d *table) write(t *testing.T, ways []way) {
	t.Helper()
	if !*update {
		return
	}
	head := row{"client", "version"}
	for _, w := range ways {
		head = append(head, w.title)
	}
	head = append(head, "notes")
	var b strings.Builder
	b.WriteString(d.before + tableBegin + head.String() + "\n|" + strings.Repeat(" --- |", len(head)) + "\n")
	for _, name := range d.order {
		b.WriteString(d.rows[name].String() + "\n")
	}
	b.WriteString(tableEnd + d.after)
	if err := os.WriteFile(d.path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

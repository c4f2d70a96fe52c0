package clients

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aws-runas/session/awstest"
)

// do runs f in the namespace. f is not to end the test.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// neighbour is a second machine: another namespace, reached by a cable. The
// first one's end of it is called link, and has the address prefix.1, the
// second one's prefix.2.
func (n *namespace) neighbour(t *testing.T, link, prefix string) *namespace {
	t.Helper()
	ip := program(t, "ip")
	run := func(line string) error {
		if out, err := exec.Command(ip, strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
		return nil
	}
	var other *namespace
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			var file *os.File
			file, err = os.Open("/proc/thread-self/ns/net")
			other = &namespace{net: file}
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.net.Close() })
	for _, line := range []string{
		"link add " + link + " type veth peer name eth0",
		fmt.Sprintf("link set eth0 netns /proc/%d/fd/%d", os.Getpid(), other.net.Fd()),
		"addr add " + prefix + ".1/24 dev " + link, "link set " + link + " up",
	} {
		if err := run(line); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"link set lo up", "addr add " + prefix + ".2/24 dev eth0", "link set eth0 up", "route add default via " + prefix + ".1"} {
		if err := other.do(func() error { return run(line) }); err != nil {
			t.Fatal(err)
		}
	}
	return other
}

// laptop is a person in a namespace, signed in to the profile prod, whose AWS
// is there for the neighbours, too.
func laptop(t *testing.T, world *awstest.World, address string) (p *person, endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: world.AWS}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	endpoint = "http://" + l.Addr().String()
	p = newPerson(t, endpoint, world.MFA.Serial, fmt.Sprintf("[profile prod]\nsource_profile = user\nrole_arn = %s\n", world.Admin.ARN))
	p.addKeys("user", world.Key.ID, world.Key.Secret)
	p.run("", "aws-runas", "-o", world.MFA.Code(), "env", "prod")
	return p, endpoint
}

// noSecrets makes sure that nothing of what the laptop knows is in a folder.
func noSecrets(t *testing.T, world *awstest.World, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range world.Secrets() {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSlowRemote types the lines of docs/remote.md at a laptop, for a host that
// has an OpenSSH server, a loopback of its own and no secret.
func TestSlowRemote(t *testing.T) {
	ssh, sshd, keygen, unshare := program(t, "ssh"), program(t, "/usr/sbin/sshd"), program(t, "ssh-keygen"), program(t, "unshare")
	clis := awsCLIs(t)
	here := newNamespace(t)
	there := here.neighbour(t, "cable", "10.83.0")
	world := awstest.Demo(awstest.Options{})
	p, endpoint := laptop(t, world, "10.83.0.1")

	dir, home := t.TempDir(), t.TempDir()
	for _, key := range []string{"host", "user"} {
		p.run("", keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"known":       "10.83.0.2 " + string(hostKey),
		"sshd_config": "ListenAddress 10.83.0.2:22\nHostKey " + dir + "/host\nAuthorizedKeysFile " + dir + "/user.pub\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv AWS_CONTAINER_*\nSetEnv HOME=" + home + " AWS_ENDPOINT_URL=" + endpoint + " AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true\n",
		"ssh_config":  "Host build\nHostName 10.83.0.2\nUser root\nIdentityFile " + dir + "/user\nIdentitiesOnly yes\nUserKnownHostsFile " + dir + "/known\nBatchMode yes\nExitOnForwardFailure yes\nConnectTimeout 20\n",
		"ssh":         "#!/bin/sh\nexec " + ssh + " -F " + dir + "/ssh_config \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// As root it insists on a folder, which it gets in a /run of its own.
	daemon := exec.Command(unshare, "--mount", "sh", "-c", `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh", sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	said, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := there.do(daemon.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Kill(); daemon.Wait() })
	awaitLine(t, said, "Server listening")

	p = p.with(t, "PATH="+dir+":"+bin+":"+os.Getenv("PATH"))
	if out, err := p.try(time.Minute, filepath.Join(dir, "ssh"), "build", "true"); err != nil {
		if strings.Contains(out, "Permission denied") {
			t.Skipf("root may not sign in by ssh here: %s", out)
		}
		t.Fatalf("ssh: %v\n%s", err, out)
	}
	const serve = `eval "$(aws-runas serve ecs --background --token prod)"`
	for _, cli := range clis {
		// Debian's CLI does not know AWS_ENDPOINT_URL.
		who := cli + " --endpoint-url " + endpoint + " sts get-caller-identity --output json"
		if strings.Contains(cli, "'") {
			t.Fatalf("%q needs quotes", cli)
		}
		t.Run("SendEnv with "+cli, func(t *testing.T) {
			here.enter(t)
			p := p.with(t)
			isRole(t, p.lines("bash", serve, `trap 'aws-runas serve stop' EXIT`, `ssh -R 12319:127.0.0.1:12319 -o SendEnv='AWS_CONTAINER_*' build '`+who+`'`), "Admin")
			noSecrets(t, world, home)
		})
		t.Run("file with "+cli, func(t *testing.T) {
			here.enter(t)
			p := p.with(t)
			isRole(t, p.lines("bash", serve, `trap 'aws-runas serve stop' EXIT`,
				`printf %s "$AWS_CONTAINER_AUTHORIZATION_TOKEN" | ssh build 'umask 077 && cat >"$HOME/.aws-runas-token"'`,
				`ssh -R 12319:127.0.0.1:12319 build 'export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:12319/credentials
export AWS_CONTAINER_AUTHORIZATION_TOKEN="$(cat "$HOME/.aws-runas-token")"
`+who+`'`), "Admin")
			noSecrets(t, world, home)
		})
	}
	t.Run("without the token", func(t *testing.T) {
		here.enter(t)
		p := p.with(t)
		out := p.lines("bash", serve, `trap 'aws-runas serve stop' EXIT`, `ssh -R 12319:127.0.0.1:12319 build 'curl -s -w "%{http_code}\n" http://127.0.0.1:12319/credentials http://127.0.0.1:12319/profile http://127.0.0.1:12319/list-roles'`)
		if n := strings.Count(out, "401\n"); n != 3 || strings.Contains(out, "SecretAccessKey") {
			t.Errorf("without the token: %s", out)
		}
	})
}

// awaitLine reads until a line has what is awaited, and goes on reading.
func awaitLine(t *testing.T, r interface{ Read([]byte) (int, error) }, want string) {
	t.Helper()
	found := make(chan string)
	go func() {
		var all []byte
		buffer := make([]byte, 4096)
		for told := false; ; {
			n, err := r.Read(buffer)
			if all = append(all, buffer[:n]...); !told && (err != nil || bytes.Contains(all, []byte(want))) {
				told = true
				found <- string(all)
			}
			if err != nil {
				return
			}
		}
	}()
	if all := <-found; !strings.Contains(all, want) {
		t.Fatalf("no %q in %q", want, all)
	}
}

// TestSlowContainer asks for credentials as a container does, from a network of
// its own behind a bridge of docker's.
func TestSlowContainer(t *testing.T) {
	cli := awsCLIs(t)[0]
	here := newNamespace(t)
	there := here.neighbour(t, "docker0", "172.17.0")
	world := awstest.Demo(awstest.Options{})
	p, endpoint := laptop(t, world, "172.17.0.1")
	for name, tc := range map[string]struct{ serve, server, client []string }{
		"ecs": {[]string{"serve", "ecs", "prod"}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2/credentials"}, []string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/credentials"}},
		"ec2": {[]string{"serve", "ec2", "prod"}, nil, []string{"AWS_EC2_METADATA_DISABLED"}},
	} {
		t.Run(name, func(t *testing.T) {
			here.enter(t)
			_, stop := p.with(t, tc.server...).serve(tc.serve...)
			defer stop()
			container := p.with(t, slices.Concat(tc.client, []string{"HOME=" + t.TempDir(), "AWS_DEFAULT_REGION=us-east-1", "AWSRUNAS_PASSPHRASE"})...)
			there.enter(t)
			isRole(t, container.run("", cli, "--endpoint-url", endpoint, "sts", "get-caller-identity", "--output", "json"), "Admin")
			address := map[string]string{"ecs": "169.254.170.2", "ec2": "169.254.169.254"}[name]
			for _, path := range []string{"/", "/profile", "/list-roles"} {
				out := container.run("", program(t, "curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://"+address+path)
				if code, err := strconv.Atoi(out); err != nil || code != http.StatusForbidden {
					t.Errorf("GET %s: %s, want 403", path, out)
				}
			}
		})
	}
}

package chain_test

import (
	"bufio"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/chain"
)

// moto is somebody else's idea of AWS: its XML, its times, its endpoints. It
// checks neither MFA codes nor durations.
func TestWithMoto(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		skip(t, "moto_server")
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_, port, _ := strings.Cut(address, ":")
	free.Close()
	cmd := exec.CommandContext(t.Context(), program, "-H", "127.0.0.1", "-p", port)
	cmd.WaitDelay = time.Second
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	ready := false
	lines := bufio.NewScanner(out)
	for !ready && lines.Scan() {
		ready = strings.Contains(lines.Text(), "Running on")
	}
	if !ready {
		t.Fatal("moto_server does not run")
	}
	go func() { // what it logs must not block it
		for lines.Scan() {
		}
	}()

	l := newLab(t)
	l.env["AWS_ENDPOINT_URL"] = "http://" + address
	l.deps = func(d *chain.Deps) { d.Transport = nil; d.OTP = "123456" }
	l.config(strings.ReplaceAll(demo, "source_profile = base\nmfa", "source_profile = base\nregion = eu-west-1\nmfa"))
	for _, tc := range []struct{ name, arn string }{
		{"base", ":sts::123456789012:user/moto"},
		{"admin", ":sts::123456789012:assumed-role/Admin/"},
		{"prod", ":sts::210987654321:assumed-role/Prod/"},
		{"partner", ":sts::210987654321:assumed-role/Partner/"},
		{"deploy", ":sts::210987654321:assumed-role/Deploy/"},
	} {
		c, err := l.try(tc.name)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if !c.Temporary() || !strings.Contains(c.ARN, tc.arn) || !c.Expires.After(time.Now().Add(50*time.Minute)) {
			t.Errorf("%s: %v, %q, want one with %q", tc.name, c, c.ARN, tc.arn)
		}
		if again, err := l.try(tc.name); err != nil || again.AccessKeyID != c.AccessKeyID {
			t.Errorf("%s: other credentials in a warm run: %v", tc.name, err)
		}
	}

	// Keys that moto knows nothing of are refused once it checks, in XML that is
	// not quite AWS's.
	l.saveKeys("other", l.world.User.AddKey())
	l.config("[profile other]\n")
	r, err := http.Post("http://"+address+"/moto-api/reset-auth", "text/plain", strings.NewReader("0"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if e := fails[*session.Unreachable](l, "other"); !strings.Contains(e.Error(), "HTTP status 403") || e.Hint() == "" {
		t.Errorf("%v; hint %q", e, e.Hint())
	}
}

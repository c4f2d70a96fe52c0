//go:build slow && linux && amd64

package cmd

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
	"aws-runas/session/awstest"
)

// windows runs the program that is built for Windows, under Wine.
type windows struct {
	t         *testing.T
	ctx       context.Context // outlives the test's, for what cleans up
	dir, home string
	env       []string
}

func newWindows(t *testing.T) *windows {
	const linker = "x86_64-w64-mingw32-"
	for _, p := range [...]string{"wine", linker + "dlltool", linker + "ld"} {
		if _, err := exec.LookPath(p); err != nil {
			keychaintest.Skip(t, p, "make tools")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	w := &windows{t: t, ctx: ctx, dir: t.TempDir()}
	w.home = filepath.Join(w.dir, "home")
	if err := os.MkdirAll(filepath.Join(w.home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range [...][2]string{{"aws-runas.exe", "./aws-runas"}, {"client.exe", "./testdata/windows"}} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(w.dir, p[0]), p[1])
		build.Env = append(os.Environ(), "GOOS=windows", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "WINEPREFIX=" + filepath.Join(w.dir, "wine"), "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree,mshtml=;bcryptprimitives=n", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + w.path("home/.aws/config"), "AWS_SHARED_CREDENTIALS_FILE=" + w.path("home/.aws/credentials"),
	}
	// Wine 8 has not the library that Go's runtime takes random numbers from.
	w.write("random.def", "LIBRARY bcryptprimitives.dll\nEXPORTS\nProcessPrng = ADVAPI32.SystemFunction036\n")
	w.must("wineboot", "--init")
	t.Cleanup(func() { w.must("wineserver", "--kill"); w.must("wineserver", "--wait") })
	w.must(linker+"dlltool", "-d", "random.def", "-e", "random.o")
	w.must(linker+"ld", "-shared", "-o", "wine/drive_c/windows/system32/bcryptprimitives.dll", "random.o")
	return w
}

// path is a file as Windows names it.
func (w *windows) path(name string) string {
	return `Z:` + strings.ReplaceAll(filepath.Join(w.dir, name), "/", `\`)
}

func (w *windows) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *windows) command(name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(w.ctx, name, args...)
	c.Dir, c.Env = w.dir, w.env
	return c
}

func (w *windows) must(name string, args ...string) {
	w.t.Helper()
	if code, out, messages := w.print("", w.command(name, args...)); code != 0 {
		w.t.Fatalf("%s: exit code %d\n%s%s", name, code, out, messages)
	}
}

// print runs c and returns its exit code and what it printed, into files: the
// end of a pipe would come when Wine's own services end, seconds later.
func (w *windows) print(stdin string, c *exec.Cmd) (code int, out, messages string) {
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(w.dir, "printed")
		if err != nil {
			w.t.Fatal(err)
		}
		defer file.Close()
		files[i] = file
	}
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), files[0], files[1]
	if err := c.Run(); c.ProcessState == nil {
		w.t.Fatal(err)
	}
	var printed [2]string
	for i, file := range files {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			w.t.Fatal(err)
		}
		printed[i] = string(text)
	}
	return c.ProcessState.ExitCode(), printed[0], printed[1]
}

// run runs aws-runas and returns its exit code and what it printed.
func (w *windows) run(stdin string, args ...string) (code int, out, messages string) {
	return w.print(stdin, w.command("wine", append([]string{"aws-runas.exe"}, args...)...))
}

// get is a run that has to succeed.
func (w *windows) get(stdin string, args ...string) string {
	w.t.Helper()
	code, out, messages := w.run(stdin, args...)
	if code != 0 {
		w.t.Fatalf("%q: exit code %d\n%s", args, code, messages)
	}
	return out
}

// TestSlowWindows has the program that is built for Windows do its main job: the
// Credential Manager, locks between processes, cmd.exe, the endpoints and their
// look at who asks. Wine is not Windows, but nobody here wrote it.
func TestSlowWindows(t *testing.T) {
	w := newWindows(t)
	world := awstest.Demo(awstest.Options{})
	url, err := world.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	w.env = append(w.env, "AWS_ENDPOINT_URL="+url)
	if err := os.Mkdir(filepath.Join(w.dir, "a folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("home/.aws/config", fmt.Sprintf(`[default]
region = eu-west-1
[profile demo]
mfa_serial = %s
mfa_process = "%s" && cd .
[profile admin]
role_arn = %s
source_profile = demo
`, world.MFA.Serial, w.path("a folder/code.cmd"), world.Admin.ARN))

	w.get(world.Key.ID+"\n"+world.Key.Secret+"\n", "keys", "add", "demo")
	if out := w.get("", "list", "keys"); !strings.Contains(out, world.Key.ID) {
		t.Errorf("list keys prints\n%s", out)
	}

	// Cold, all at once.
	w.write("a folder/code.cmd", "@echo "+world.MFA.Code()+"\r\n")
	answers := make([]string, 8)
	var crowd sync.WaitGroup
	for i := range answers {
		crowd.Go(func() {
			code, out, messages := w.run("", "-O", "json", "admin")
			if answers[i] = out; code != 0 {
				t.Errorf("exit code %d\n%s", code, messages)
			}
		})
	}
	crowd.Wait()
	for _, answer := range answers {
		if answer != answers[0] || !strings.HasPrefix(answer, `{"Version":1`) {
			t.Errorf("got %d bytes, and %d elsewhere", len(answer), len(answers[0]))
		}
	}
	if s, r := world.Count("GetSessionToken"), world.Count("AssumeRole"); s != 1 || r != 1 {
		t.Errorf("%d GetSessionToken, %d AssumeRole", s, r)
	}
	id := regexp.MustCompile(`ASIA[A-Z0-9]+`).FindString(answers[0])

	// From here on nobody asks AWS.
	if code, _, messages := w.run("", "admin", "cmd", "/c", "exit 7"); code != 7 {
		t.Errorf("a command's exit code: %d\n%s", code, messages)
	}
	if code, _, messages := w.run("", "admin", "client.exe"); code != exitNotRunnable || !strings.Contains(messages, `name it ".\\client.exe"`) {
		t.Errorf("a program in the current folder: exit code %d\n%s", code, messages)
	}
	if out := w.get("", "admin", `.\client.exe`); strings.TrimSpace(out) != "200 "+id {
		t.Errorf("the private endpoint says %q", out)
	}
	if out := w.get("", "-E", "admin", "cmd", "/c", "echo %AWS_ACCESS_KEY_ID%"); strings.TrimSpace(out) != id {
		t.Errorf("a command has the key %q, want %q", out, id)
	}
	w.write("switch.cmd", w.get("", "env", "--shell", "cmd", "admin")+"echo got %AWS_ACCESS_KEY_ID%\r\n")
	if _, out, messages := w.print("", w.command("wine", "cmd", "/q", "/c", "switch.cmd")); !strings.Contains(out, "got "+id) {
		t.Errorf("cmd.exe has evaluated:\n%s%s", out, messages)
	}
	w.get("", "-c", "-O", "json", "admin")
	if file, err := os.ReadFile(filepath.Join(w.home, ".aws", "credentials")); err != nil || !strings.Contains(string(file), id) {
		t.Errorf("the credentials file: %v\n%s", err, file)
	}
	code, _, messages := w.run("", "env", "admni")
	if code != exitConfig || !strings.Contains(messages, "hint: aws-runas env admin") {
		t.Errorf("a slip: exit code %d\n%s", code, messages)
	}

	server := regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).FindString(w.get("", "serve", "ecs", "-p", "0", "--background", "admin"))
	defer func() {
		if _, _, messages := w.run("", "serve", "stop"); !strings.Contains(messages, "stopped 1 server") {
			t.Errorf("serve stop says\n%s", messages)
		}
	}()
	if out := w.get("", "serve", "status"); !strings.Contains(out, server) {
		t.Errorf("serve status prints\n%s", out)
	}
	if _, out, messages := w.print("", w.command("wine", "client.exe", server+"/credentials")); strings.TrimSpace(out) != "200 "+id {
		t.Errorf("the server says %q\n%s", out, messages)
	}
	// Of the process that asks here Windows knows nothing.
	stranger, err := http.Get(server + "/credentials")
	if err != nil {
		t.Fatal(err)
	}
	stranger.Body.Close()
	if stranger.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger is answered with %s", stranger.Status)
	}
	if s, r := world.Count("GetSessionToken"), world.Count("AssumeRole"); s != 1 || r != 1 {
		t.Errorf("%d GetSessionToken, %d AssumeRole in the end", s, r)
	}
	w.get("", "keys", "remove", "demo")
	w.get("", "logout", "--all")
	if out := w.get("", "list", "keys"); strings.Contains(out, world.Key.ID) {
		t.Errorf("after all list keys prints\n%s", out)
	}
}

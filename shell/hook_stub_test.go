package shell

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stub is the program as the hook knows it: it keeps to the contract of Hook,
// without any config, keyring or AWS. The folder STUB names holds what it is
// to do (lifetime and refresh in seconds, fail: an exit status) and what it
// was asked (log).
func stub(args []string) int {
	s := &stubRun{dir: os.Getenv("STUB")}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintf(log, "%q\n", args)
	log.Close()
	code, err := s.run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "aws-runas:", err)
	}
	return code
}

type stubRun struct {
	dir string
	d   Dialect
}

func (s *stubRun) number(name string, otherwise int) int {
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return otherwise
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	return n
}

func (s *stubRun) run(args []string) (int, error) {
	switch {
	case len(args) >= 3 && args[0] == "__switch":
		s.d = Dialect(args[1])
		return s.change(args[3:])
	case len(args) >= 2 && args[0] == "env":
		return s.env(args[1:])
	case len(args) >= 2 && args[0] == "hook":
		text, err := Hook(Dialect(args[1]), HookOptions{Exe: filepath.Join(s.dir, "aws-runas")})
		io.WriteString(os.Stdout, text)
		return 0, err
	}
	fmt.Printf("ran %q\n", args)
	if n, err := strconv.Atoi(args[len(args)-1]); err == nil {
		return n, nil
	}
	return 0, nil
}

// change answers __switch.
func (s *stubRun) change(args []string) (int, error) {
	flags := map[string]string{}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		flags[args[0]] = args[1]
		args = args[2:]
	}
	request := request{Flags: flags}
	switch {
	case len(args) == 0 && len(flags) == 0:
		request.Profile = "picked"
	case len(args) != 1 || args[0] == "whoami" || args[0] == "--help":
		return NoSwitch, nil
	case args[0] == "-":
		if err := json.Unmarshal([]byte(os.Getenv("AWSRUNAS_PREVIOUS")), &request); err != nil {
			return 2, fmt.Errorf("there is no profile to go back to")
		}
	case args[0] == "off":
		c := s.removal()
		s.previous(&c)
		return s.print(c)
	case args[0] == "mfa":
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return 3, err
		}
		fmt.Fprint(tty, "MFA code: ")
		if _, err := tty.Read(make([]byte, 10)); err != nil {
			return 3, err
		}
		request.Profile = "mfa"
	default:
		request.Profile = args[0]
	}
	c, err := s.exports(request)
	if err != nil {
		return 4, err
	}
	s.previous(&c)
	c.Unset = append(c.Unset, "AWSRUNAS_BEFORE")
	code, err := s.print(c)
	if code == 0 {
		fmt.Fprintf(os.Stderr, "%s  123456789012  Admin  eu-west-1  59m\n", request.Profile)
	}
	return code, err
}

func (s *stubRun) env(args []string) (int, error) {
	verb, told := args[0], ""
	for i, a := range args {
		switch a {
		case "--shell":
			s.d = Dialect(args[i+1])
		case "--told":
			told = args[i+1]
		}
	}
	verb, name, _ := strings.Cut(verb, "=")
	if code := s.number("fail", 0); code != 0 && verb != "--unset" {
		switch {
		case told == strconv.Itoa(code):
			return code, nil
		case code == 3:
			return code, fmt.Errorf("an MFA code is needed\nhint: runas prod")
		}
		return code, fmt.Errorf("no way to AWS")
	}
	switch verb {
	case "--unset":
		return s.print(s.removal())
	case "--renew":
		if s.number("hang", 0) != 0 {
			tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
			if err != nil {
				return 3, err
			}
			fmt.Fprintln(tty, "hanging")
			_, err = tty.Read(make([]byte, 10))
			return 1, err
		}
		var r request
		if err := json.Unmarshal([]byte(os.Getenv("AWSRUNAS_RENEW")), &r); err != nil {
			return 1, err
		}
		c, err := s.exports(r)
		if err != nil {
			return 4, err
		}
		return s.print(c)
	case "--enter":
		c, err := s.exports(request{Profile: name})
		if err != nil {
			return 4, err
		}
		if os.Getenv("AWSRUNAS_BEFORE") == "" {
			before := map[string]string{"AWSRUNAS_RENEW": os.Getenv("AWSRUNAS_RENEW"), "AWS_PROFILE": os.Getenv("AWS_PROFILE")}
			text, err := json.Marshal(before)
			if err != nil {
				return 1, err
			}
			c.Set["AWSRUNAS_BEFORE"] = string(text)
		}
		return s.print(c)
	case "--leave":
		before := map[string]string{}
		if err := json.Unmarshal([]byte(os.Getenv("AWSRUNAS_BEFORE")), &before); err != nil {
			return 1, err
		}
		c := s.removal()
		var r request
		if json.Unmarshal([]byte(before["AWSRUNAS_RENEW"]), &r) == nil {
			var err error
			if c, err = s.exports(r); err != nil {
				return 4, err
			}
		} else if before["AWS_PROFILE"] != "" {
			c.Set = map[string]string{"AWS_PROFILE": before["AWS_PROFILE"]}
		}
		return s.print(c)
	}
	return 2, fmt.Errorf("env %q", args)
}

type request struct {
	Profile string            `json:"profile"`
	Flags   map[string]string `json:"flags,omitempty"`
}

var markers = []string{
	"AWSUME_PROFILE", "AWSRUNAS_PROFILE", "AWSRUNAS_KEY_ID", "AWSRUNAS_EXPIRES_AT", "AWSRUNAS_REFRESH_AT", "AWSRUNAS_RENEW", "AWSRUNAS_EXPORTS",
}

var configured = []string{"prod", "dev", "picked", "mfa", "team/dev role", "odd%n $(id) `id` \\$", "caf\u00e9", "static"}

func (s *stubRun) exports(r request) (Change, error) {
	if !slices.Contains(configured, r.Profile) {
		return Change{}, fmt.Errorf("no profile is named %q", r.Profile)
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return Change{}, err
	}
	renew, err := json.Marshal(r)
	if err != nil {
		return Change{}, err
	}
	key := fmt.Sprintf("ASIA%d", strings.Count(string(log), "\n"))
	now := time.Now()
	expires := now.Add(time.Duration(s.number("lifetime", 3590)) * time.Second)
	refresh := now.Add(time.Duration(s.number("refresh", 2700)) * time.Second)
	c := Change{
		Set: map[string]string{
			"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "secret of " + key, "AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-west-1",
			"AWSUME_PROFILE": r.Profile, "AWSRUNAS_PROFILE": r.Profile, "AWSRUNAS_KEY_ID": key, "AWSRUNAS_RENEW": string(renew),
		},
		Unset: []string{"AWS_PROFILE"},
	}
	if r.Profile != "static" {
		c.Set["AWSRUNAS_EXPIRES_AT"] = fmt.Sprint(expires.Unix())
		c.Set["AWSRUNAS_REFRESH_AT"] = fmt.Sprint(refresh.Unix())
	} else {
		c.Unset = append(c.Unset, "AWSRUNAS_EXPIRES_AT", "AWSRUNAS_REFRESH_AT")
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		list = append(list, name+":"+hash(c.Set[name]))
	}
	c.Set["AWSRUNAS_EXPORTS"] = strings.Join(list, ",")
	return c, nil
}

func hash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:4])
}

func (s *stubRun) removal() Change {
	c := Change{Unset: slices.Clone(markers[1:])}
	for _, item := range strings.Split(os.Getenv("AWSRUNAS_EXPORTS"), ",") {
		name, sum, _ := strings.Cut(item, ":")
		if value, ok := os.LookupEnv(name); ok && hash(value) == sum {
			c.Unset = append(c.Unset, name)
		}
	}
	return c
}

func (s *stubRun) previous(c *Change) {
	if c.Set == nil {
		c.Set = map[string]string{}
	}
	if renew := os.Getenv("AWSRUNAS_RENEW"); renew != "" {
		c.Set["AWSRUNAS_PREVIOUS"] = renew
	}
}

func (s *stubRun) print(c Change) (int, error) {
	text, err := s.d.Render(c)
	if err != nil {
		return 1, err
	}
	io.WriteString(os.Stdout, text)
	return 0, nil
}

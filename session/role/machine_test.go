package role

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

const machineJSON = `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAMACHINE","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}`

// metadata is an EC2 metadata service; v1 answers without a token.
type metadata struct {
	v1, v2  bool
	roles   string
	answer  string
	status  int
	tokens  int
	wrong   []string
	expects string // Authorization of a container
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/latest/api/token" && m.v2:
		if r.Method != http.MethodPut || r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
			m.wrong = append(m.wrong, "token: "+r.Method)
		}
		m.tokens++
		w.Write([]byte("the-token"))
	case strings.HasPrefix(r.URL.Path, "/latest/meta-data/iam/security-credentials/"):
		if got := r.Header.Get("X-Aws-Ec2-Metadata-Token"); !m.v1 && got != "the-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/security-credentials/") {
			if m.roles == "" {
				w.WriteHeader(http.StatusNotFound)
			}
			w.Write([]byte(m.roles))
			return
		}
		if m.status != 0 {
			w.WriteHeader(m.status)
		}
		w.Write([]byte(m.answer))
	case r.URL.Path == "/container":
		if r.Header.Get("Authorization") != m.expects {
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(`{"Code":"AccessDenied","Message":"wrong token"}`))
			return
		}
		w.Write([]byte(m.answer))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestMachine(t *testing.T) {
	var (
		refused     *session.Refused
		unreachable *session.Unreachable
		fault       *profile.Error
	)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("from-the-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		service metadata
		ecs     bool
		env     map[string]string // URL stands for the service's
		want    any               // nil, or a pointer to the error's type
	}{
		{"IMDSv2", metadata{v2: true, roles: "Role", answer: machineJSON}, false, nil, nil},
		{"IMDSv1", metadata{v1: true, roles: "Role\n", answer: machineJSON}, false, nil, nil},
		{"IMDSv1 not allowed", metadata{v1: true, roles: "Role", answer: machineJSON}, false, map[string]string{"AWS_EC2_METADATA_V1_DISABLED": "true"}, &unreachable},
		{"no role", metadata{v2: true}, false, nil, &refused},
		{"failed", metadata{v2: true, roles: "Role", answer: `{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"}`}, false, nil, &refused},
		{"5xx", metadata{v2: true, roles: "Role", answer: "oops", status: 500}, false, nil, &unreachable},
		{"expired", metadata{v2: true, roles: "Role", answer: strings.Replace(machineJSON, "2999", "1999", 1)}, false, nil, &unreachable},
		{"half", metadata{v2: true, roles: "Role", answer: `{"AccessKeyId":"x"`}, false, nil, &unreachable},
		{"disabled", metadata{v2: true, roles: "Role", answer: machineJSON}, false, map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, &fault},
		{"container", metadata{answer: machineJSON}, true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container"}, nil},
		{"container with a token", metadata{answer: machineJSON, expects: "abc"}, true,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "abc"}, nil},
		{"container with a token file", metadata{answer: machineJSON, expects: "from-the-file"}, true,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": tokenFile}, nil},
		{"container, wrong token", metadata{answer: machineJSON, expects: "abc"}, true,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "planted"}, &refused},
		{"no container", metadata{}, true, nil, &fault},
		{"container elsewhere in plain text", metadata{}, true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://198.51.100.1/x"}, &fault},
		{"no URL", metadata{}, true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "://"}, &fault},
		{"no URL of the instance's", metadata{}, false, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://u:planted@::1"}, &fault},
		{"token of two lines", metadata{}, true,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "planted\nHost: x"}, &fault},
		{"no token file", metadata{}, true,
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": tokenFile + ".none"}, &fault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(&tc.service)
			defer server.Close()
			env := map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL + "/", "HTTP_PROXY": "http://127.0.0.1:1"}
			for k, v := range tc.env {
				env[k] = strings.Replace(v, "URL", server.URL, 1)
			}
			m := &Machine{Name: "prod", Container: tc.ecs, Lookup: lookupIn(env), Now: time.Now}
			c, err := m.Credentials(t.Context())
			if tc.want == nil {
				if err != nil || c.AccessKeyID != "ASIAMACHINE" || !c.Temporary() || c.Expires.IsZero() || c.Issued.IsZero() {
					t.Errorf("got %v, %v", c, err)
				}
			} else if err == nil || !errors.As(err, tc.want) || strings.Contains(err.Error(), "planted") {
				t.Errorf("got %v, %T %v", c, err, err)
			}
			if len(tc.service.wrong) > 0 || tc.service.v2 && tc.service.tokens == 0 && tc.name != "disabled" {
				t.Errorf("%v, %d tokens", tc.service.wrong, tc.service.tokens)
			}
		})
	}
}

func TestMachineAddresses(t *testing.T) {
	for _, tc := range []struct {
		ecs  bool
		env  map[string]string
		want string
	}{
		{false, nil, "http://169.254.169.254"},
		{false, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "http://[fd00:ec2::254]"},
		{true, map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}, "http://169.254.170.2/v2/x"},
		{true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "http://169.254.170.23/v1/credentials"},
		{true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1"}, "http://[fd00:ec2::23]/v1"},
		{true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:1/x"}, "http://localhost:1/x"},
		{true, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://creds.example/x"}, "https://creds.example/x"},
	} {
		m := &Machine{Name: "prod", Container: tc.ecs, Lookup: lookupIn(tc.env), Now: time.Now}
		if got, err := m.base(); err != nil || got != tc.want {
			t.Errorf("%v: %q, %v; want %q", tc.env, got, err, tc.want)
		}
	}
}

func TestMachineNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	m := &Machine{Name: "prod", Lookup: lookupIn(map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL}), Now: time.Now}
	_, err := m.Credentials(t.Context())
	var u *session.Unreachable
	if !errors.As(err, &u) || u.Hint() == "" || !strings.Contains(err.Error(), "Ec2InstanceMetadata") {
		t.Errorf("got %v", err)
	}
}

package role

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

// Machine are the credentials that AWS gives the instance or the container in
// which this runs. They are a hop away and renewed there, so nothing is kept.
type Machine struct {
	Name      string // the profile
	Container bool   // Amazon ECS, EKS Pod Identity and the like; else EC2
	Lookup    func(string) (string, bool)
	Now       func() time.Time
}

// The metadata services are on this machine or the next: who does not answer
// within a second is not there.
const (
	machineDial    = time.Second
	machineTimeout = 5 * time.Second
)

const (
	imdsV4       = "http://169.254.169.254"
	imdsV6       = "http://[fd00:ec2::254]"
	containerURL = "http://169.254.170.2"
)

// Key is one for the machine: which role it has is its own affair.
func (m *Machine) Key(context.Context) (session.Key, error) {
	base, err := m.base()
	if err != nil {
		return session.Key{}, err
	}
	return session.NewKey(session.KindRole, m.Name, "credential_source", base), nil
}

// Credentials asks the metadata service.
func (m *Machine) Credentials(ctx context.Context) (session.Credentials, error) {
	none := session.Credentials{}
	base, err := m.base()
	if err != nil {
		return none, err
	}
	client := &http.Client{
		// No proxy: the address means this machine.
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: machineDial}).DialContext, DisableKeepAlives: true},
		Timeout:       machineTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	get := func(method, url string, header http.Header) ([]byte, int, error) {
		return m.request(ctx, client, method, url, header)
	}
	if m.Container {
		header, err := m.authorization()
		if err != nil {
			return none, err
		}
		body, status, err := get(http.MethodGet, base, header)
		if err != nil {
			return none, err
		}
		return m.parse(base, body, status)
	}

	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
	header := http.Header{}
	token, status, err := get(http.MethodPut, base+"/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return none, err
	}
	if status == http.StatusOK {
		header.Set("X-Aws-Ec2-Metadata-Token", string(token))
	} else if m.is("AWS_EC2_METADATA_V1_DISABLED") {
		return none, m.unreachable(base, fmt.Errorf("it gives no IMDSv2 token (HTTP status %d)", status))
	}
	roles := base + "/latest/meta-data/iam/security-credentials/"
	name, status, err := get(http.MethodGet, roles, header)
	if err != nil {
		return none, err
	}
	role, _, _ := strings.Cut(strings.TrimSpace(string(name)), "\n")
	if status == http.StatusNotFound || status == http.StatusOK && role == "" {
		return none, &session.Refused{By: "the EC2 metadata service", Message: "the instance has no role",
			Advice: "attach an instance profile to this EC2 instance"}
	}
	if status != http.StatusOK {
		return none, m.unreachable(base, fmt.Errorf("HTTP status %d", status))
	}
	body, status, err := get(http.MethodGet, roles+url.PathEscape(role), header)
	if err != nil {
		return none, err
	}
	return m.parse(base, body, status)
}

// parse reads the answer of either service.
func (m *Machine) parse(base string, body []byte, status int) (session.Credentials, error) {
	none := session.Credentials{}
	var v struct {
		Code, Message                       string
		AccessKeyId, SecretAccessKey, Token string
		Expiration                          time.Time
	}
	err := json.Unmarshal(body, &v)
	if status >= 400 && status < 500 || err == nil && v.Code != "" && v.Code != "Success" {
		if v.Code == "" {
			v.Code = fmt.Sprintf("HTTP status %d", status)
		}
		return none, &session.Refused{By: "the metadata service at " + hostOf(base), Code: v.Code, Message: v.Message}
	}
	if status != http.StatusOK || err != nil || v.AccessKeyId == "" || v.SecretAccessKey == "" || v.Token == "" {
		return none, m.unreachable(base, fmt.Errorf("the answer (HTTP status %d) holds no credentials", status))
	}
	if !v.Expiration.IsZero() && !v.Expiration.After(m.Now()) {
		return none, m.unreachable(base, fmt.Errorf("the credentials expired at %s", v.Expiration.UTC().Format(time.RFC3339)))
	}
	return session.Credentials{
		AccessKeyID: v.AccessKeyId, SecretAccessKey: v.SecretAccessKey, SessionToken: v.Token,
		Issued: m.Now(), Expires: v.Expiration,
	}, nil
}

func (m *Machine) request(ctx context.Context, client *http.Client, method, url string, header http.Header) ([]byte, int, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, 0, err
	}
	if header != nil {
		r.Header = header
	}
	resp, err := client.Do(r)
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	} else if err != nil {
		return nil, 0, m.unreachable(url, rootCause(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	if err != nil {
		return nil, 0, m.unreachable(url, err)
	}
	return body, resp.StatusCode, nil
}

// rootCause drops the URL, which is said already, and the fact that it was a
// time limit which ended it.
func rootCause(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return err
	}
	if u.Timeout() {
		return errors.New("no answer in time")
	}
	return u.Err
}

func (m *Machine) unreachable(url string, err error) error {
	source, advice := profile.SourceEC2InstanceMetadata, "name another source: this machine may not be an EC2 instance"
	if m.Container {
		source, advice = profile.SourceECSContainer, "name another source: this may not be a container of ECS or EKS"
	}
	return &session.Unreachable{
		What: fmt.Sprintf("credential_source = %s of profile %q at %s", source, m.Name, hostOf(url)), Err: err, Advice: advice,
	}
}

func hostOf(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Host
	}
	return "the configured address"
}

func (m *Machine) get(name string) string { v, _ := m.Lookup(name); return strings.TrimSpace(v) }
func (m *Machine) is(name string) bool    { return strings.EqualFold(m.get(name), "true") }

func (m *Machine) fault(advice, format string, args ...any) error {
	return &profile.Error{Message: fmt.Sprintf("profile %q: ", m.Name) + fmt.Sprintf(format, args...), Advice: advice}
}

// base is the URL of the service: EC2's without a path, a container's whole.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func (m *Machine) base() (string, error) {
	if !m.Container {
		if m.is("AWS_EC2_METADATA_DISABLED") {
			return "", m.fault("unset AWS_EC2_METADATA_DISABLED",
				"credential_source is Ec2InstanceMetadata, and AWS_EC2_METADATA_DISABLED is true")
		}
		if v := m.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"); v != "" {
			if _, ok := parseURL(v); !ok {
				return "", m.fault("unset AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL")
			}
			return strings.TrimSuffix(v, "/"), nil
		}
		if strings.EqualFold(m.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6") {
			return imdsV6, nil
		}
		return imdsV4, nil
	}
	if v := m.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); v != "" {
		return containerURL + "/" + strings.TrimPrefix(v, "/"), nil
	}
	full := m.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if full == "" {
		return "", m.fault("name another source: this is no container of ECS or EKS",
			"credential_source is EcsContainer, and neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set")
	}
	u, ok := parseURL(full)
	if !ok {
		return "", m.fault("unset AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL")
	}
	// Plain HTTP carries the authorization only as far as this machine.
	if u.Scheme == "http" && !local(u.Hostname()) {
		return "", m.fault("unset AWS_CONTAINER_CREDENTIALS_FULL_URI",
			"AWS_CONTAINER_CREDENTIALS_FULL_URI names %q, which is neither this machine nor reached by https", u.Host)
	}
	return full, nil
}

// parseURL says nothing of what is wrong with an address: it may hold a password.
func parseURL(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	return u, err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func local(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || host == "169.254.170.2" || host == "169.254.170.23" || ip == netip.MustParseAddr("fd00:ec2::23"))
}

func (m *Machine) authorization() (http.Header, error) {
	token := m.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := m.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, m.fault("unset AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %v", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token == "" {
		return nil, nil
	}
	if strings.ContainsAny(token, "\r\n") {
		return nil, m.fault("unset AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line")
	}
	return http.Header{"Authorization": {token}}, nil
}

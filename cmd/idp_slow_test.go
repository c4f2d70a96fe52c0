//go:build slow && linux

package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aws-runas/keychain/keychaintest"
	"aws-runas/session/awstest"
)

// TestSlowSignedInOnce has three servers, each behind another kind of identity
// provider, serve a hundred lifetimes of role credentials out of a keyring that
// holds sign-ins alone. Nobody is there to ask, and nobody is asked.
func TestSlowSignedInOnce(t *testing.T) {
	const lifetimes, lifetime, password = 100, 4 * time.Second, "planted-password"
	env := keychaintest.File(t)
	t.Cleanup(func() { forgetPassphrase(func(name string) string { return env[name] }) })
	h := newHousehold(t, env, nil)
	home := h.world.Default()

	idp := h.world.NewIDP(awstest.Forms)
	if _, err := idp.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	corp := home.SAMLProvider("corp", idp.EntityID, idp.Certificate())
	saml := home.Role("Saml", awstest.TrustSAML(corp))
	alice := idp.AddPerson(awstest.Person{Name: "alice", Password: password, Roles: []string{saml.ARN + "," + corp.ARN}})

	openid := awstest.NewOpenID(nil)
	issuer, err := openid.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { openid.Close() })
	openid.AddUser("alice", password)
	openid.AddClient("aws", "http://127.0.0.1/callback")
	web := home.Role("Web", home.Trust(openid, "aws"))

	center := h.world.IdentityCenter("https://corp.awsapps.com/start")
	center.AddUser("alice", password)
	center.Assign("alice", home, "Engineer", 0)

	config := fmt.Sprintf(`[default]
region = eu-west-1
[profile saml1]
role_arn = %s
saml_auth_url = %s
saml_username = alice
[profile web1]
role_arn = %s
web_identity_auth_url = %s
web_identity_client_id = aws
web_identity_redirect_uri = http://127.0.0.1/callback
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access
[profile sso1]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Engineer
`, saml.ARN, idp.AuthURL(), web.ARN, issuer)
	if err := os.WriteFile(filepath.Join(env["HOME"], ".aws", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// What rests on a sign-in does not last, be it a role's or a token: the sign-in
	// itself does.
	openid.SetLifetimes(lifetime, 10*time.Hour)
	center.SetLifetimes(20*time.Second, 10*time.Hour)
	h.world.SetLifetime(lifetime)
	log := filepath.Join(t.TempDir(), "asked")
	h.env = append(h.env, "AWSRUNAS_ASKPASS=askalice", "BROWSER=xdg-open", "TEST_ASKED="+log, "TEST_PASSWORD="+password)
	for _, name := range []string{"saml1", "web1", "sso1"} {
		h.run("login", name).start().succeed()
	}
	once := questions(t, log)
	if once != "question\npage\npage\n" {
		t.Fatalf("the three sign-ins asked %q", once)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var servers sync.WaitGroup
	for name, role := range map[string]string{"saml1": "assumed-role/Saml/", "web1": "assumed-role/Web/", "sso1": "assumed-role/AWSReservedSSO_Engineer_"} {
		server := h.run("--no-input", "serve", "ec2", "-p", "0", name)
		server.Stdout = nil
		out, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		server.start()
		servers.Go(func() {
			var url string
			for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
				url = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).FindString(lines.Text())
			}
			var read sync.WaitGroup
			read.Go(func() { io.Copy(io.Discard, out) })
			start := time.Now()
			if url == "" {
				t.Errorf("%s: it says no address", name)
			} else if err := h.follow(ctx, url, role, lifetimes); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%s: %s", name, time.Since(start).Round(time.Second))
			server.Process.Signal(os.Interrupt)
			read.Wait()
			server.Wait() // its status is that of an interrupted program
			if said := server.err.String(); strings.Contains(said, "warning") || strings.Contains(said, "sign-in") {
				t.Errorf("%s says\n%s", name, said)
			}
		})
	}
	servers.Wait()
	if all := questions(t, log); all != once {
		t.Errorf("in all, a person was asked %q", all)
	}
	if passwords, _, _ := idp.Attempts(alice); passwords != 1 {
		t.Errorf("the password was sent %d times", passwords)
	}
	for _, action := range []string{"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetRoleCredentials"} {
		if n := h.world.Count(action); n < lifetimes {
			t.Errorf("%s was called %d times", action, n)
		} else {
			t.Logf("%s: %d", action, n)
		}
	}
}

// questions is what askpass and the browser have noted.
func questions(t *testing.T, log string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// follow asks an EC2 metadata service, as an SDK does, until it has served so
// many keys, all of which AWS has to know as that role's.
func (h *household) follow(ctx context.Context, url, role string, keys int) error {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var token string
	ask := func(method, path string) (string, error) {
		r, err := http.NewRequestWithContext(ctx, method, url+path, nil)
		if err != nil {
			return "", err
		}
		if token == "" {
			r.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "21600")
		} else {
			r.Header.Set("X-aws-ec2-metadata-token", token)
		}
		response, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
		}
		return string(body), err
	}
	var err error
	if token, err = ask(http.MethodPut, "/latest/api/token"); err != nil {
		return err
	}
	const path = "/latest/meta-data/iam/security-credentials/"
	name, err := ask(http.MethodGet, path)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for seen := map[string]bool{}; ; {
		start := time.Now()
		body, err := ask(http.MethodGet, path+name)
		if err != nil {
			return fmt.Errorf("after %d keys: %w", len(seen), err)
		}
		var c struct {
			Code                                string
			AccessKeyID                         string `json:"AccessKeyId"`
			SecretAccessKey, Token, LastUpdated string
			Expiration                          time.Time
		}
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			return err
		}
		if c.Code != "Success" || !c.Expiration.After(start) {
			return fmt.Errorf("after %d keys: %s, %s expired at %s, asked for at %s", len(seen), c.Code, c.AccessKeyID, c.Expiration, start)
		}
		if !seen[c.AccessKeyID] {
			arn, err := h.world.Identify(awstest.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey}, c.Token)
			if err != nil || !strings.Contains(arn, role) {
				return fmt.Errorf("after %d keys: AWS takes %s for %q: %v", len(seen), c.AccessKeyID, arn, err)
			}
			if seen[c.AccessKeyID] = true; len(seen) == keys {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("after %d keys: %w", len(seen), ctx.Err())
		}
	}
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"aws-runas/session/awstest"
)

// startControl serves the current MFA code at an address that only the
// sandbox's own processes are told.
func startControl(d *awstest.MFADevice) (*control, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	path := "/" + rand.Text()
	mux := http.NewServeMux()
	mux.Handle("GET "+path, codes(d.Code, func() time.Duration { return time.Duration(30-time.Now().Unix()%30) * time.Second }))
	c := &control{
		url:    "http://" + l.Addr().String() + path,
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.server.Serve(l) // always returns ErrServerClosed: only Close ends it
	}()
	return c, nil
}

// codes answers with a code or, when none is left, with how long to wait.
func codes(code func() string, wait func() time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := code(); c != "" {
			io.WriteString(w, c)
			return
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(wait()/time.Second)))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
}

// mfa prints a code that has not been used yet, and waits for one if need be.
func mfa(ctx context.Context, lookup func(string) (string, bool), out, messages io.Writer) error {
	url, ok := lookup(controlVariable)
	if !ok {
		return errors.New("mfa works inside the sandbox's shell only: run make demo")
	}
	for {
		status, header, body, err := get(ctx, url, nil)
		switch {
		case err != nil:
			return fmt.Errorf("the sandbox is gone: %w", err)
		case status == http.StatusOK:
			_, err = fmt.Fprintln(out, string(body))
			return err
		case status != http.StatusServiceUnavailable:
			return fmt.Errorf("the sandbox answers %d", status)
		}
		seconds, err := strconv.Atoi(header.Get("Retry-After"))
		if err != nil {
			return err
		}
		fmt.Fprintf(messages, "mfa: every code of this half minute has been used, the next comes in %d s\n", seconds)
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// buckets is "aws s3 ls" for machines without the AWS CLI: it takes the
// credentials that any AWS program would, from the environment or from the
// container endpoint.
func buckets(ctx context.Context, lookup func(string) (string, bool), out io.Writer) error {
	endpoint, ok := lookup("AWS_ENDPOINT_URL")
	if !ok {
		return errors.New("buckets works inside the sandbox's shell only: run make demo")
	}
	key, token, err := credentialsOf(ctx, lookup)
	if err != nil {
		return err
	}
	status, _, body, err := get(ctx, endpoint+"/", func(r *http.Request) {
		awstest.Sign(r, key, token, "s3", "eu-west-1", nil, time.Now())
	})
	if err != nil {
		return err
	}
	var answer struct {
		Code, Message string
		Names         []string `xml:"Buckets>Bucket>Name"`
	}
	if err := xml.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer to ListBuckets: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("ListBuckets: %s: %s", answer.Code, answer.Message)
	}
	for _, name := range answer.Names {
		fmt.Fprintln(out, name)
	}
	return nil
}

func credentialsOf(ctx context.Context, lookup func(string) (string, bool)) (awstest.Key, string, error) {
	if id, _ := lookup("AWS_ACCESS_KEY_ID"); id != "" {
		secret, _ := lookup("AWS_SECRET_ACCESS_KEY")
		token, _ := lookup("AWS_SESSION_TOKEN")
		return awstest.Key{ID: id, Secret: secret}, token, nil
	}
	url, _ := lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if !strings.HasPrefix(url, "http://127.0.0.1:") && !strings.HasPrefix(url, "http://localhost:") {
		return awstest.Key{}, "", errors.New(`no credentials: run aws-runas demo -- buckets`)
	}
	status, _, body, err := get(ctx, url, func(r *http.Request) {
		if token, ok := lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN"); ok {
			r.Header.Set("Authorization", token)
		}
	})
	if err != nil {
		return awstest.Key{}, "", err
	}
	if status != http.StatusOK {
		return awstest.Key{}, "", fmt.Errorf("the credentials endpoint answers %d: %s", status, body)
	}
	var c struct{ AccessKeyId, SecretAccessKey, Token string }
	if err := json.Unmarshal(body, &c); err != nil {
		return awstest.Key{}, "", fmt.Errorf("the credentials endpoint: %w", err)
	}
	return awstest.Key{ID: c.AccessKeyId, Secret: c.SecretAccessKey}, c.Token, nil
}

// get makes one request without any proxy.
func get(ctx context.Context, url string, prepare func(*http.Request)) (int, http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	if prepare != nil {
		prepare(r)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, resp.Header, body, err
}

// awsCLI runs the AWS CLI against the sandbox. Versions before 2.13 and 1.29
// (July 2023) do not know AWS_ENDPOINT_URL and would ask the real AWS.
func awsCLI(ctx context.Context, args, env []string, in io.Reader, out, messages io.Writer) error {
	endpoint, ok := lookupIn(env)("AWS_ENDPOINT_URL")
	if !ok {
		return errors.New("this aws works inside the sandbox's shell only")
	}
	self, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	program, err := lookPath(env, "aws", filepath.Dir(self))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--endpoint-url", endpoint}, args[1:]...)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, in, out, messages
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return childStatus(exit.ExitCode())
	}
	return err
}

// lookPath finds a program in the environment's PATH, but not in one folder.
func lookPath(env []string, name, except string) (string, error) {
	path, _ := lookupIn(env)("PATH")
	for _, dir := range filepath.SplitList(path) {
		if dir == except || dir == "" {
			continue
		}
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

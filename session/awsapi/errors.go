package awsapi

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"

	"aws-runas/session"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

type stack = middleware.Stack

// Call makes one call of a client that a built. Its error is a
// *[session.Refused], a *[session.Unreachable], the context's own, or, where
// nothing could be sent at all, what the SDK says. The secrets are those of
// the input, which an answer may quote.
func Call[In, Out, Opt any](ctx context.Context, a *API, operation func(context.Context, *In, ...Opt) (*Out, error), in *In, secrets ...string) (*Out, error) {
	start := time.Now()
	out, err := operation(ctx, in)
	if a.Debug != nil {
		// *sts.AssumeRoleInput
		name := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", in), "*"), "Input")
		a.Debug("%s took %s", name, time.Since(start).Round(time.Millisecond))
	}
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, a.explain(err, secrets)
}

func (a *API) explain(err error, secrets []string) error {
	what := "AWS"
	var op *smithy.OperationError
	if errors.As(err, &op) {
		what = strings.ToLower(op.ServiceID) + " " + op.OperationName
	}
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.HTTPStatusCode() == 0 {
		return a.unanswered(what, err)
	}
	status := answer.HTTPStatusCode()
	at := what
	if r := answer.Response.Request; r != nil {
		at = what + " at " + r.URL.Host
	}
	// What XML from elsewhere decodes to has no code.
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "" || api.ErrorCode() == "UnknownError" {
		return &session.Unreachable{
			What:   at,
			Err:    fmt.Errorf("the answer (HTTP status %d) is not one of AWS's: is it a proxy's?", status),
			Advice: a.origins(),
		}
	}
	code, message := api.ErrorCode(), clean(cmp.Or(api.ErrorMessage(), description(api)), secrets)
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	if status >= 500 || status == http.StatusTooManyRequests || throttled {
		return &session.Unreachable{
			What:   at,
			Err:    fmt.Errorf("%s: %s%s", code, message, tries(err)),
			Advice: "wait a minute and try again; https://health.aws.amazon.com tells whether AWS has a problem",
		}
	}
	refused := &session.Refused{By: what, Code: code, Message: message, Advice: a.advice(code, message)}
	if date, err := http.ParseTime(answer.Response.Header.Get("Date")); err == nil && ClockSkew(code, message) {
		off, where := a.Now().Sub(date).Round(time.Second), "ahead of"
		if off < 0 {
			off, where = -off, "behind"
		}
		refused.Message += fmt.Sprintf(": the clock of this machine is %s %s AWS's", off, where)
	}
	return refused
}

// description is that of an error of OAuth's form, as SSO OIDC has it in place
// of a message.
func description(err smithy.APIError) string {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return ""
	}
	if f := v.FieldByName("Error_description"); f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
		return f.Elem().String()
	}
	return ""
}

// SetClock is the command that sets the clock by the network.
func SetClock() string {
	switch runtime.GOOS {
	case "darwin":
		return "sudo sntp -sS time.apple.com"
	case "windows":
		return "w32tm /resync"
	}
	return "sudo timedatectl set-ntp true"
}

// advice is for the refusals that say something about this machine or its
// settings. Who makes the call knows more about the others.
func (a *API) advice(code, message string) string {
	switch {
	case ClockSkew(code, message):
		return SetClock()
	case code == "RegionDisabledException" || code == "RegionDisabled":
		return "export AWS_REGION=" + (&API{Partition: PartitionOf(a.region())}).region()
	}
	return ""
}

// ClockSkew reports whether a refusal is about the time of the request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
func ClockSkew(code, message string) bool {
	return code == "RequestExpired" || code == "RequestTimeTooSkewed" || code == "RequestInTheFuture" ||
		strings.HasPrefix(message, "Signature expired") || strings.HasPrefix(message, "Signature not yet current")
}

// origins is the command that shows where each setting, the region and the
// endpoint among them, comes from.
func (a *API) origins() string { return "aws-runas env --explain " + Word(a.Profile) }

// unanswered is for errors without an answer: nobody was reached, or nothing
// was sent.
func (a *API) unanswered(what string, err error) error {
	var send *smithyhttp.RequestSendError
	if !errors.As(err, &send) {
		// The SDK could not make a request out of what it was given.
		var op *smithy.OperationError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return a.Unreachable(what, err)
}

// Unreachable says in words why a request of an [http.Client] had no answer.
func (a *API) Unreachable(what string, err error) error {
	host, cause := "", err
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) {
		cause = send.Err
	}
	var u *url.Error
	if errors.As(err, &u) {
		if parsed, err := url.Parse(u.URL); err == nil {
			host = parsed.Host
		}
		cause = u.Err
	}
	if host != "" && !strings.Contains(what, host) {
		what += " at " + host
	}
	e := &session.Unreachable{What: what, Err: cause, Advice: a.origins()}
	var (
		dns     *net.DNSError
		op      *net.OpError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		timeout interface{ Timeout() bool }
	)
	name, _, err2 := net.SplitHostPort(host)
	if err2 != nil {
		name = host
	}
	switch {
	case errors.As(cause, &op) && op.Op == "proxyconnect":
		e.Err = fmt.Errorf("the proxy of HTTPS_PROXY or HTTP_PROXY does not answer: %w", op.Err)
		e.Advice = "export NO_PROXY=" + Word(strings.TrimPrefix(a.variable("NO_PROXY")+","+name, ","))
	case errors.As(cause, &dns):
		e.Err = fmt.Errorf("the host name %q was not found: is there a network, and is the region right?", dns.Name)
		if !dns.IsNotFound {
			e.Err = fmt.Errorf("the host name %q could not be looked up: is there a network?", dns.Name)
		}
	case errors.As(cause, &unknown):
		e.Err = errors.New("its certificate is signed by an authority that this machine does not trust")
		e.Advice = caAdvice
	case errors.As(cause, &invalid) && invalid.Reason == x509.Expired:
		e.Err = fmt.Errorf("its certificate has expired or is not yet valid, by the clock of this machine, which says %s", a.Now().Format("2006-01-02 15:04 MST"))
		e.Advice = SetClock()
	case errors.Is(cause, http.ErrSchemeMismatch):
		e.Err = errors.New("it does not speak TLS: should the endpoint begin with http:// ?")
		e.Advice = a.origins()
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(cause, syscall.ECONNRESET):
		e.Err = errors.New("the connection was cut")
	case errors.As(cause, &timeout) && timeout.Timeout():
		e.Err = errors.New("no answer in time")
	}
	if n := tries(err); n != "" {
		e.Err = fmt.Errorf("%w%s", e.Err, n)
	}
	return e
}

func tries(err error) string {
	var max *retry.MaxAttemptsError
	if errors.As(err, &max) && max.Attempt > 1 {
		return fmt.Sprintf(" (tried %d times)", max.Attempt)
	}
	return ""
}

// clean makes one line of what AWS says, without secrets. Some services quote
// the request that they computed a signature of.
func clean(message string, secrets []string) string {
	message, _, _ = strings.Cut(message, "The Canonical String")
	message, _, _ = strings.Cut(strings.TrimSpace(message), "\n")
	for _, s := range secrets {
		if s != "" {
			message = strings.ReplaceAll(message, s, "[redacted]")
		}
	}
	return strings.TrimRight(message, " .")
}

// Word quotes s as one word of a command line, for hints.
func Word(s string) string {
	plain := s != ""
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r > 127 && unicode.IsLetter(r) || strings.ContainsRune("-_./:@+,=%", r)) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Receiver waits on a loopback address for the redirect that ends a sign-in
// in a browser (RFC 8252 section 7.3). It lets in one answer: that which
// carries its State.
type Receiver struct {
	URL   string // for redirect_uri
	State string // for state

	hosts    [2]string // what Host may say
	path     string
	port     string
	servers  []*http.Server
	serving  sync.WaitGroup
	answer   chan url.Values
	once     sync.Once
	mismatch atomic.Bool // somebody came with another state
}

// Loopback reports whether address is one that a Receiver can wait on: http, on
// this machine.
func Loopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Listen waits at address, which is a [Loopback] one, on any free port unless it
// names one.
func Listen(address string) (*Receiver, error) {
	u, err := url.Parse(address)
	if err != nil || !Loopback(address) {
		return nil, fmt.Errorf("%q is not an http address of this machine", address)
	}
	ip := u.Hostname()
	if ip == "localhost" {
		ip = "127.0.0.1"
	}
	port := u.Port()
	if port == "" {
		port = "0"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{l}
	_, port, _ = net.SplitHostPort(l.Addr().String()) // of a listener it always splits
	if u.Hostname() == "localhost" {
		// Browsers try both. Where there is no IPv6 they find the first.
		if six, err := net.Listen("tcp", net.JoinHostPort("::1", port)); err == nil {
			listeners = append(listeners, six)
		}
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	r := &Receiver{
		URL: u.String(), State: rand.Text(), path: u.EscapedPath(), port: port,
		hosts: [2]string{u.Host}, answer: make(chan url.Values, 1),
	}
	if port == "80" {
		r.hosts[1] = u.Hostname()
	}
	if r.path == "" {
		r.path = "/"
	}
	for _, l := range listeners {
		s := &http.Server{
			Handler: r, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
			ErrorLog: log.New(io.Discard, "", 0),
		}
		r.servers = append(r.servers, s)
		r.serving.Go(func() { s.Serve(l) }) // always returns ErrServerClosed: only Close ends it
	}
	return r, nil
}

// Close ends it once the browser has its page.
func (r *Receiver) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, s := range r.servers {
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}
	r.serving.Wait()
}

func (r *Receiver) wait(ctx context.Context) (url.Values, error) {
	select {
	case v := <-r.answer:
		return v, nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		if r.mismatch.Load() {
			err = fmt.Errorf("%w; an answer that carried the state of another sign-in was turned away", err)
		}
		return nil, err
	}
}

// ServeHTTP takes the first answer. Any page can send a browser here, and any
// process of this machine can come: whoever does not know the state is turned
// away and ends nothing.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	show := func(status int, title, text string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, page, title, title, text)
	}
	q, err := url.ParseQuery(req.URL.RawQuery)
	switch {
	case req.Host != r.hosts[0] && (r.hosts[1] == "" || req.Host != r.hosts[1]):
		show(http.StatusForbidden, "Not here", "This address is not meant for that name.")
	case req.URL.EscapedPath() != r.path:
		show(http.StatusNotFound, "Not found", "There is nothing here.")
	case req.Method != http.MethodGet:
		h.Set("Allow", http.MethodGet)
		show(http.StatusMethodNotAllowed, "Not so", "This address is for the end of a sign-in.")
	case err != nil || !once(q, "state") || once(q, "code") == once(q, "error"):
		show(http.StatusBadRequest, "Not an answer", "This is not how a sign-in ends. Nothing has been changed.")
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(r.State)) != 1:
		r.mismatch.Store(true)
		show(http.StatusBadRequest, "Another sign-in", "This answer belongs to another sign-in. Nothing has been changed.")
	default:
		first := false
		r.once.Do(func() { first = true })
		switch {
		case !first:
			show(http.StatusGone, "Already done", "This sign-in has had its answer. You can close this page.")
			return
		case q.Has("error"):
			show(http.StatusOK, "Not signed in", "The identity provider did not sign you in; the terminal says why. You can close this page.")
		default:
			show(http.StatusOK, "Back to the terminal", "Your identity provider has answered, and aws-runas goes on in the terminal. You can close this page.")
		}
		r.answer <- q
	}
}

// once reports whether a parameter is there, and as RFC 6749 section 3.1 wants
// it, only once.
func once(q url.Values, name string) bool { return len(q[name]) == 1 && q[name][0] != "" }

const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>aws-runas: %s</title>
<style>:root{color-scheme:light dark}body{font:1.1rem system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}</style></head>
<body><h1>%s</h1><p>%s</p></body>
</html>
`

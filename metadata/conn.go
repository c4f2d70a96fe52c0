package metadata

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConnections are open at once; more wait.
	maxConnections = 2048
	// readLimit is how long the sending of a request may take.
	readLimit = 10 * time.Second
	// answerLimit is how long the rest may take, once the request is there.
	answerLimit = waitLimit + 20*time.Second
	// idleLimit is how long a connection is kept between two requests, the head
	// of the second included.
	idleLimit = time.Minute
)

// conn is a connection, its time limit, and who is at its other end.
type conn struct {
	net.Conn
	remote, local netip.AddrPort

	once sync.Once // the other end is looked up once
	peer peer
	why  string // what is wrong with a stranger

	list   *connections // nil in tests
	until  atomic.Int64 // the time limit, as connections.now
	closed atomic.Bool
}

// connections is a listener that holds its connections to a maximum number and
// each to its time limit. The deadlines of net/http are set five times for each
// request and cost a tenth of the throughput; here one timer looks at all
// connections now and then.
type connections struct {
	net.Listener
	readLimit time.Duration
	free      chan struct{}
	done      chan struct{}
	stop      sync.Once

	start time.Time
	now   atomic.Int64 // nanoseconds since start, at the last look

	mu      sync.Mutex
	open    map[*conn]struct{}
	looking bool
}

func watch(l net.Listener, limit time.Duration) *connections {
	return &connections{
		Listener: l, readLimit: limit, free: make(chan struct{}, maxConnections), done: make(chan struct{}),
		start: time.Now(), open: map[*conn]struct{}{},
	}
}

// Accept implements [net.Listener].
func (l *connections) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	inner, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	c := &conn{Conn: inner, list: l, remote: addrPort(inner.RemoteAddr()), local: addrPort(inner.LocalAddr())}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.Store(int64(time.Since(l.start)))
	c.allow(l.readLimit)
	l.open[c] = struct{}{}
	if !l.looking {
		l.looking = true
		time.AfterFunc(l.readLimit/10, l.look)
	}
	return c, nil
}

// Close implements [net.Listener].
func (l *connections) Close() error {
	l.stop.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// look closes the connections that have had their time, and comes again while
// there are any.
func (l *connections) look() {
	var late []*conn
	l.mu.Lock()
	now := int64(time.Since(l.start))
	l.now.Store(now)
	for c := range l.open {
		if c.until.Load() < now {
			late = append(late, c)
		}
	}
	if l.looking = len(l.open) > len(late); l.looking {
		time.AfterFunc(l.readLimit/10, l.look)
	}
	l.mu.Unlock()
	for _, c := range late {
		c.Close()
	}
}

// allow gives the connection that much time from now on.
func (c *conn) allow(d time.Duration) {
	if c.list != nil {
		c.until.Store(c.list.now.Load() + int64(d))
	}
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.list.mu.Lock()
		delete(c.list.open, c)
		c.list.mu.Unlock()
		<-c.list.free
	}
	return err
}

// onState is for [http.Server.ConnState]: a request begins or has ended.
func onState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	switch {
	case !ok:
	case state == http.StateActive:
		c.allow(c.list.readLimit)
	case state == http.StateIdle:
		c.allow(idleLimit)
	}
}

type connKey struct{}

// withConn is for [http.Server.ConnContext]. It runs where connections are
// accepted, so it looks nothing up.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

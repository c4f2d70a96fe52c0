package metadata

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// benchServer is a server with all its guards, on loopback, that logs into a file.
func benchServer(b testing.TB) (s *Server, address string) {
	b.Helper()
	log, err := os.Create(b.TempDir() + "/log")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	o := ecsOptions()
	o.Log = log
	s, d := newTestServer(b, o)
	s.admit = checkPeer
	d.set(func() { d.token = strings.Repeat("planted-token", 80) }) // as long as a real one
	mustActivate(b, s, "dev")
	address, _ = listen(b, s)
	return s, address
}

// bareServer writes the same bytes and does nothing else.
func bareServer(b testing.TB, body []byte) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})}
	go h.Serve(l)
	b.Cleanup(func() { h.Close() })
	return l.Addr().String()
}

// load sends n requests from 16 connections, or each by a new one, and returns
// how long each took and all together.
func load(b testing.TB, address, target string, n int, keep bool) (times []time.Duration, total time.Duration) {
	b.Helper()
	const connections = 16
	head := "GET " + target + " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	if !keep {
		head += "Connection: close\r\n"
	}
	head += "\r\n"
	each := n / connections
	times = make([]time.Duration, each*connections)
	var wait sync.WaitGroup
	start := time.Now()
	for i := range connections {
		wait.Go(func() {
			var c net.Conn
			var r *bufio.Reader
			for j := range each {
				began := time.Now()
				if c == nil {
					var err error
					if c, err = net.Dial("tcp", address); err != nil {
						b.Error(err)
						return
					}
					r = bufio.NewReader(c)
				}
				io.WriteString(c, head)
				if err := skipResponse(r); err != nil {
					b.Error(err)
					return
				}
				if !keep {
					c.Close()
					c = nil
				}
				times[i*each+j] = time.Since(began)
			}
			if c != nil {
				c.Close()
			}
		})
	}
	wait.Wait()
	return times, time.Since(start)
}

func skipResponse(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := string(line)
		if first && !strings.HasPrefix(text, "HTTP/1.1 200") {
			return fmt.Errorf("%s", text)
		}
		if v, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if text == "\r\n" {
			_, err := r.Discard(length)
			return err
		}
	}
}

// BenchmarkAgainstBare compares with a bare net/http handler: rounds of both,
// interleaved, of which the medians count. %bare is the throughput in percent
// of the bare one's, p99/bare the ratio of the slowest hundredth.
func BenchmarkAgainstBare(b *testing.B) {
	s, address := benchServer(b)
	if _, total := load(b, address, "/credentials/ops", 16, true); total == 0 {
		b.Fatal("no time passed")
	}
	bare := bareServer(b, s.state.Load().active.served.Load().ecs.text)
	for _, tt := range []struct {
		name, target string
		keep         bool
		requests     int
	}{
		{"credentials", "/credentials", true, 20000},
		{"named", "/credentials/ops", true, 20000},
		{"imds", imdsRolesPath + "/dev", true, 20000},
		{"new-connections", "/credentials", false, 4000},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var ratios, tails, rates []float64
			for range b.N {
				for range 5 {
					theirs, their := load(b, bare, "/credentials", tt.requests, tt.keep)
					ours, our := load(b, address, tt.target, tt.requests, tt.keep)
					ratios = append(ratios, 100*float64(their)/float64(our))
					tails = append(tails, float64(p99(ours))/float64(p99(theirs)))
					rates = append(rates, float64(tt.requests)/our.Seconds())
				}
			}
			b.ReportMetric(median(ratios), "%bare")
			b.ReportMetric(slices.Min(ratios), "%bare-min")
			b.ReportMetric(slices.Max(ratios), "%bare-max")
			b.ReportMetric(median(tails), "p99/bare")
			b.ReportMetric(median(rates), "req/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func p99(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)*99/100]
}

func median(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}

// BenchmarkRenewalUnderLoad renews in the middle of the load.
func BenchmarkRenewalUnderLoad(b *testing.B) {
	s, address := benchServer(b)
	var slowest time.Duration
	for range b.N {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				s.state.Load().active.stale()
				runtime.Gosched()
			}
		}()
		times, _ := load(b, address, "/credentials", 20000, true)
		<-done
		slowest = max(slowest, p99(times))
	}
	b.ReportMetric(float64(slowest.Microseconds()), "p99-us")
}

// BenchmarkPeer is what the check of a connection's peer costs.
func BenchmarkPeer(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if err := checkPeer(addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandler is what a request costs beside net/http.
func BenchmarkHandler(b *testing.B) {
	s, _ := newTestServer(b, ecsOptions())
	mustActivate(b, s, "dev")
	for _, target := range []string{"/credentials", "/credentials/ops", imdsRolesPath + "/dev"} {
		b.Run(target, func(b *testing.B) {
			r := request("GET", target, "")
			w := &deafWriter{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				s.ServeHTTP(w, r)
			}
		})
	}
}

type deafWriter struct{ h http.Header }

func (w *deafWriter) Header() http.Header         { return w.h }
func (w *deafWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *deafWriter) WriteHeader(int)             {}

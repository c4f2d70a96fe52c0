package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const connections = 16

// bareCommand makes the program a bare net/http server instead, which writes the
// body that a JSON object on the first line of its input gives for a path, and
// ends with its input.
const bareCommand = "-bare"

func serveBare(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	bodies := map[string][]byte{}
	if err := json.Unmarshal(line, &bodies); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(bodies[r.URL.Path])
	})}
	go func() {
		io.Copy(io.Discard, lines)
		server.Close()
	}()
	fmt.Fprintln(out, "http://"+l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A scenario is one way to ask the servers.
type scenario struct {
	name, path string
	keep       bool // the connections
	requests   int  // in a round
	target     float64
}

// servers compares serve ecs with a bare server that writes the same bytes.
func (b *bench) servers() error {
	const rounds = 10
	first, second := b.person(nil, nil), b.person(nil, nil)
	config := b.path("config-servers")
	if err := os.WriteFile(config, []byte(first.config+"\n"+second.config), 0o600); err != nil {
		return err
	}
	env := b.with("AWS_CONFIG_FILE="+config, "AWSRUNAS_KEYRING=file", "AWSRUNAS_PASSPHRASE="+rand.Text(), "XDG_DATA_HOME="+b.path("servers"))
	for _, p := range []person{first, second} {
		b.onClose(func() { b.forget(p, env) })
		if err := b.addKeys(p, env); err != nil {
			return err
		}
	}
	ours, err := b.server(env, nil, b.program, "serve", "ecs", "-p", "0", first.role)
	if err != nil {
		return err
	}
	scenarios := []scenario{
		{"/credentials", "/credentials", true, 10_000, 85},
		{"/credentials/NAME", "/credentials/" + second.role, true, 10_000, 85},
		{"a role of IMDS", "/latest/meta-data/iam/security-credentials/" + first.role, true, 10_000, 85},
		{"/credentials, new connections", "/credentials", false, 1_000, 60},
	}
	bodies := map[string][]byte{}
	for _, s := range scenarios {
		if bodies[s.path], err = get(ours.url + s.path); err != nil {
			return err
		}
	}
	line, err := json.Marshal(bodies)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bare, err := b.server(b.env, line, self, bareCommand)
	if err != nil {
		return err
	}

	throughput, tails := make([][]float64, len(scenarios)), make([][]float64, len(scenarios))
	for round := range rounds {
		for i := range scenarios {
			i = (i + round) % len(scenarios)
			s := scenarios[i]
			both := []*served{ours, bare}
			if round%2 == 1 {
				slices.Reverse(both)
			}
			took, slow := map[*served]time.Duration{}, map[*served]time.Duration{}
			for _, to := range both {
				times, all, err := to.load(s.path, s.requests, s.keep)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				took[to], slow[to] = all, quantile(times, 0.99)
			}
			throughput[i] = append(throughput[i], 100*float64(took[bare])/float64(took[ours]))
			tails[i] = append(tails[i], float64(slow[ours])/float64(slow[bare]))
			if err := b.ctx.Err(); err != nil {
				return err
			}
		}
	}
	for i, s := range scenarios {
		rate, low, high := spread(throughput[i])
		b.note("%-46s %9.0f %%    %-11s %s", s.name+", of a bare handler", rate, fmt.Sprintf("%.0f-%.0f", low, high), atLeast(rate, s.target, " %"))
		tail, low, high := spread(tails[i])
		b.note("%-46s %9.2f      %-11s %s", "  99th percentile, over the bare one", tail, fmt.Sprintf("%.2f-%.2f", low, high), verdict(tail, 2, ""))
	}

	if err := b.renewalUnderLoad(ours); err != nil {
		return err
	}
	if rss, ok := resident(ours.process.Pid); ok {
		mib := float64(rss) / (1 << 20)
		b.note("%-46s %9.1f MiB  %s", fmt.Sprintf("memory of serve ecs after %d requests", ours.answered), mib, verdict(mib, 25, " MiB"))
	} else {
		b.note("not measured: the memory of serve ecs, on %s", runtime.GOOS)
	}
	return nil
}

// renewalUnderLoad renews in the middle of the load, which no request may feel.
func (b *bench) renewalUnderLoad(ours *served) error {
	var tails []float64
	renewals := b.aws.Count("AssumeRole")
	for range 5 {
		calm, _, err := ours.load("/credentials", 10_000, true)
		if err != nil {
			return err
		}
		refreshed := make(chan error, 1)
		go func() {
			response, err := http.Post(ours.url+"/refresh", "", nil)
			if err == nil {
				response.Body.Close()
				if response.StatusCode >= 300 {
					err = errors.New(response.Status)
				}
			}
			refreshed <- err
		}()
		busy, _, err := ours.load("/credentials", 10_000, true)
		if err := errors.Join(err, <-refreshed); err != nil {
			return fmt.Errorf("a renewal under load: %w", err)
		}
		tails = append(tails, float64(quantile(busy, 0.99))/float64(quantile(calm, 0.99)))
	}
	tail, low, high := spread(tails)
	b.note("%-46s %9.2f      %-11s %d renewals, no failed request", "99th percentile during a renewal, over without", tail,
		fmt.Sprintf("%.2f-%.2f", low, high), b.aws.Count("AssumeRole")-renewals)
	return nil
}

// served is a server in a process of its own.
type served struct {
	url      string
	process  *os.Process
	answered int
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// server starts a program that prints where it answers.
func (b *bench) server(env []string, input []byte, name string, args ...string) (*served, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	b.onClose(func() {
		in.Close()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			cmd.Process.Kill()
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	if _, err := in.Write(append(input, '\n')); err != nil && input != nil {
		return nil, err
	}
	found := make(chan string, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url := address.FindString(lines.Text()); url != "" {
				select {
				case found <- url:
				default:
				}
			}
		}
		close(found)
		cmd.Wait() // it was told to end
	}()
	select {
	case url, ok := <-found:
		if !ok {
			<-ended
			return nil, fmt.Errorf("%s ended: %s", name, stderr.Bytes())
		}
		return &served{url: url, process: cmd.Process}, nil
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%s does not say where it answers", name)
	case <-b.ctx.Done():
		return nil, b.ctx.Err()
	}
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return body, err
}

// load sends n requests over 16 connections, or each over a new one, and returns
// how long each took and how long all.
func (s *served) load(path string, n int, keep bool) ([]time.Duration, time.Duration, error) {
	host := strings.TrimPrefix(s.url, "http://")
	head := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	if !keep {
		head += "Connection: close\r\n"
	}
	head += "\r\n"
	each := n / connections
	times, errs := make([]time.Duration, each*connections), make([]error, connections)
	var all sync.WaitGroup
	start := time.Now()
	for i := range connections {
		all.Go(func() { errs[i] = requests(host, head, keep, times[i*each:(i+1)*each]) })
	}
	all.Wait()
	took := time.Since(start)
	s.answered += len(times)
	return times, took, errors.Join(errs...)
}

// requests sends one request after the other, as many as times has room for.
func requests(host, head string, keep bool, times []time.Duration) error {
	var c net.Conn
	r := bufio.NewReader(nil)
	for i := range times {
		begun := time.Now()
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", host); err != nil {
				return err
			}
			r.Reset(c)
		}
		_, err := io.WriteString(c, head)
		if err == nil {
			err = answer(r)
		}
		if err != nil || !keep || i == len(times)-1 {
			c.Close()
			c = nil
		}
		if err != nil {
			return err
		}
		times[i] = time.Since(begun)
	}
	return nil
}

// answer reads one, which has to be good.
func answer(r *bufio.Reader) error {
	for first, length := true, 0; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the answer is %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			_, err := r.Discard(length)
			return err
		}
	}
}

// resident is how much memory a process has now, where the system tells.
func resident(pid int) (bytes int64, ok bool) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	for _, line := range strings.Split(string(status), "\n") {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

// spread is the median of some figures and their quartiles.
func spread(figures []float64) (median, low, high float64) {
	slices.Sort(figures)
	at := func(q float64) float64 { return figures[int(q*float64(len(figures)-1)+0.5)] }
	return at(0.5), at(0.25), at(0.75)
}

// atLeast is [verdict] for a figure that should be large.
func atLeast(got, target float64, unit string) string {
	if got >= target {
		return fmt.Sprintf("target %g%s: met", target, unit)
	}
	return fmt.Sprintf("target %g%s: missed by %.0f %%", target, unit, 100*(1-got/target))
}

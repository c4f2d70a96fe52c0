package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	msec := func(ms ...int) (times []time.Duration) {
		for _, m := range ms {
			times = append(times, time.Duration(m)*time.Millisecond)
		}
		return times
	}
	var out strings.Builder
	table(&out, []workload{{name: "hello"}, {name: "good", target: 3}, {name: "bad", target: 2}},
		[][]time.Duration{msec(2, 4, 2, 1, 2), msec(5, 6, 60, 6, 4), msec(6, 6, 6, 5, 7)})
	want := `medians of 5 interleaved runs                         ms   ratio   quartiles
hello                                               2.00    1.00   1.0-1.0
good                                                6.00    3.00   2.5-3.0     target 3: met
bad                                                 6.00    3.00   3.0-3.0     target 2: missed by 50 %
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAtLeast(t *testing.T) {
	for got, want := range map[float64]string{85: "target 85 %: met", 90: "target 85 %: met", 68: "target 85 %: missed by 20 %"} {
		if said := atLeast(got, 85, " %"); said != want {
			t.Errorf("%g: %q, want %q", got, said, want)
		}
	}
}

// TestBare: the bare server answers the load with what it was told and ends with
// its input.
func TestBare(t *testing.T) {
	in, told := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveBare(in, out) }()
	io.WriteString(told, `{"/a":"eyJhIjoxfQ=="}`+"\n")
	url, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &served{url: strings.TrimSpace(url)}
	body, err := get(s.url + "/a")
	if string(body) != `{"a":1}` || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	for _, keep := range []bool{true, false} {
		if times, _, err := s.load("/a", 64, keep); len(times) != 64 || err != nil {
			t.Errorf("keep %t: %d answers, %v", keep, len(times), err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	told.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, _, err := s.load("/a", 16, true); err == nil {
		t.Error("nobody is there, and yet it answers")
	}
}

package main

import (
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

package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// workload is one command line to time.
type workload struct {
	name   string
	argv   []string
	env    []string
	target float64 // the most it should take, as a multiple of hello-world; 0 for none
}

func (w workload) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.argv[0], w.argv[1:]...)
	cmd.Env = w.env
	return cmd
}

// output runs the workload once, for its words.
func (w workload) output(ctx context.Context) (string, error) {
	out, err := w.command(ctx).Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return "", fmt.Errorf("%s: %w: %s", w.name, err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", w.name, err)
	}
	return string(out), nil
}

// interleave times n rounds. In each round every workload runs once, each round
// beginning with another one, so that what disturbs the machine disturbs all
// alike. It stops early when time is up.
func interleave(ctx context.Context, n int, limit time.Duration, work []workload) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(work))
	end := time.Now().Add(limit)
	for round := range n {
		if time.Now().After(end) {
			break
		}
		for i := range work {
			i = (i + round) % len(work)
			cmd := work[i].command(ctx)
			start := time.Now()
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", work[i].name, err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	return times, nil
}

// quantile is the value below which a share q of the times lies.
func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// table prints the times of work as multiples of the first workload's median,
// with the quartiles as the spread.
func table(w io.Writer, work []workload, times [][]time.Duration) {
	unit := quantile(times[0], 0.5)
	ratio := func(d time.Duration) float64 { return float64(d) / float64(unit) }
	fmt.Fprintf(w, "%-46s %9s %7s   %s\n", fmt.Sprintf("medians of %d interleaved runs", len(times[0])), "ms", "ratio", "quartiles")
	for i, l := range work {
		median := quantile(times[i], 0.5)
		line := fmt.Sprintf("%-46s %9.2f %7.2f   %-11s %s", l.name, ms(median), ratio(median),
			fmt.Sprintf("%.1f-%.1f", ratio(quantile(times[i], 0.25)), ratio(quantile(times[i], 0.75))),
			verdict(ratio(median), l.target, ""))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// verdict compares a figure with its target, which is met or missed, no more:
// a busy machine must not fail a run.
func verdict(got, target float64, unit string) string {
	switch {
	case target == 0:
		return ""
	case got <= target:
		return fmt.Sprintf("target %g%s: met", target, unit)
	}
	return fmt.Sprintf("target %g%s: missed by %.0f %%", target, unit, 100*(got/target-1))
}

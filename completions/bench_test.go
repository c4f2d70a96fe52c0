package completions

import (
	"fmt"
	"io"
	"slices"
	"testing"
)

// The answer alone, once the grammar is there, and with making it from its structs.
func BenchmarkComplete(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		list := make([]Candidate, n)
		for i := range list {
			list[i] = Candidate{fmt.Sprintf("team-%d:account-%d", i%7, i), "111122223333 Admin"}
		}
		for _, bb := range []struct {
			name string
			args []string
		}{
			{"all", []string{"zsh", "aws-runas", ""}},
			{"prefix", []string{"zsh", "aws-runas", "team-3"}},
			{"bash", []string{"bash", "aws-runas team-3:", usualBreaks}},
			{"wrapped", []string{"bash", "aws-runas team-3:account-3 aws s3 ", usualBreaks}},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, bb.name), func(b *testing.B) {
				g, err := program("")
				if err != nil {
					b.Fatal(err)
				}
				g.Values["profile"] = func(string) []Candidate { return slices.Clone(list) }
				b.ReportAllocs()
				for b.Loop() {
					if err := g.Complete(io.Discard, bb.args); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("grammar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := program(""); err != nil {
				b.Fatal(err)
			}
		}
	})
}

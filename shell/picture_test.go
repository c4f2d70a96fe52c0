package shell

import (
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"
)

var pictures = flag.String("pictures", "", "folder to write pictures of the prompts to")

// TestPictures takes the pictures that docs/shell.md shows, in real shells,
// and says where they are no longer what the shells show:
//
//	go test ./shell -run TestPictures -pictures ../docs
func TestPictures(t *testing.T) {
	eachShell(t, func(t *testing.T, d Dialect) {
		x := start(t, d, plainShell[d])
		prompt := map[Dialect]string{
			Bash: `PS1='\W $ '`, Zsh: `PROMPT='%1~ $ '; unsetopt prompt_sp`,
			Fish: `function fish_prompt; echo -n (prompt_pwd)' > '; end; function fish_right_prompt; end; set -g fish_greeting; set -g fish_autosuggestion_enabled 0; set -g fish_color_command normal; set -g fish_color_param normal`,
		}[d]
		x.write("shop/.awsprofile", "dev\n")
		x.run(prompt)
		x.run(d.EvalLine("aws-runas hook " + string(d)))
		x.send("clear\r")
		x.wait(`\A\S+ [$>]\n\z`)
		type step struct{ line, shows string }
		steps := []step{
			{"runas prod", `\[prod 59m\]`},
			{"runas 'team/dev role'", `\[team/dev role 59m\]`},
			{"runas -", `\[prod 59m\].*\n(.*\n)*.*\[prod 59m\]`},
			{"", ""},
			{"cd shop", `\[dev 59m\]`},
			{"cd ..", `\[dev 59m\].*\n\[prod 59m\]`},
			{"runas nope", `no profile is named`},
			{"runas off", `runas off\n`},
		}
		auto := "export AWSRUNAS_AUTO=1"
		if d == Fish {
			auto = "set -gx AWSRUNAS_AUTO 1"
		}
		steps[3] = step{auto, `AUTO.*\n\[prod`}
		for _, s := range steps {
			x.send(s.line + "\r")
			x.wait(s.shows + `(.*\n)*.* [$>]\n\z`)
		}
		got := svg(x.screen, 64)
		file := "prompt-" + string(d) + ".svg"
		if *pictures != "" {
			if err := os.WriteFile(filepath.Join(*pictures, file), []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(filepath.Join("../docs", file))
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("docs/%s is not what %s shows now: %s", file, d, "go test ./shell -run TestPictures -pictures ../docs")
		}
	})
}

// svg draws the used part of a screen, columns wide.
func svg(screen vt10x.Terminal, width int) string {
	const (
		cellWidth, cellHeight, margin = 8.4, 20.0, 12.0
		paper, ink                    = "#1e1e2e", "#d8dee9"
	)
	palette := [16]string{
		"#2e3440", "#c0392b", "#5faf5f", "#d7af5f", "#5f87d7", "#af87d7", "#56c8d8", "#d8dee9",
		"#6c7086", "#e05f5f", "#87d787", "#ffd787", "#87afff", "#d7afff", "#87ffff", "#ffffff",
	}
	color := func(c vt10x.Color, otherwise string) string {
		if c < 16 {
			return palette[c]
		}
		return otherwise
	}
	rows := strings.Split(strings.TrimRight(screen.String(), " \n"), "\n")
	var back, text strings.Builder
	for y := range rows {
		line := []rune(strings.TrimRight(rows[y], " "))
		top := margin + float64(y)*cellHeight
		for x := 0; x < len(line); {
			cell := screen.Cell(x, y)
			end := x
			for end < len(line) && screen.Cell(end, y).FG == cell.FG && screen.Cell(end, y).BG == cell.BG {
				end++
			}
			left, run := margin+float64(x)*cellWidth, string(line[x:end])
			if cell.BG < 16 {
				fmt.Fprintf(&back, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", left, top, float64(end-x)*cellWidth, cellHeight, color(cell.BG, paper))
			}
			if strings.TrimSpace(run) != "" {
				fmt.Fprintf(&text, "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" textLength=\"%.1f\">%s</text>\n", left, top+14.5, color(cell.FG, ink), float64(end-x)*cellWidth, html.EscapeString(strings.ReplaceAll(run, " ", "\u00a0"))) // others would be taken together
			}
			x = end
		}
	}
	w, h := 2*margin+float64(width)*cellWidth, 2*margin+float64(len(rows))*cellHeight
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\">\n"+
		"<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"%s\"/>\n%s"+
		"<g font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n%s</g>\n</svg>\n",
		w, h, w, h, paper, back.String(), text.String())
}

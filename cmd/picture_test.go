//go:build unix

package cmd

import (
	"flag"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aws-runas/session/awstest"
	"aws-runas/shell"

	"github.com/hinshun/vt10x"
)

var pictures = flag.String("pictures", "", "folder to write pictures of the prompts to")

// TestPictures takes the pictures that docs/shell.md shows, of the program in
// real shells, and says where they are no longer what the shells show:
//
//	go test ./cmd -run TestPictures -pictures ../docs
func TestPictures(t *testing.T) {
	inLiveShells(t, 59*time.Minute+40*time.Second, func(x *liveShell, h *household) {
		h.world.User.Put("developer", awstest.Allow([]string{"sts:AssumeRole"}, []string{"*"}))
		role := h.world.Default().Role("Developer", awstest.Trust(nil, h.world.Default().RootARN()))
		config := fmt.Sprintf("[profile prod]\nrole_arn = %s\nexternal_id = %s\nsource_profile = robot\nregion = eu-west-1\n"+
			"[profile dev]\nrole_arn = %s\nsource_profile = robot\nregion = eu-north-1\n"+
			"[profile robot]\n[profile staging]\nrole_arn = arn:aws:iam::345678901234:role/Admin\nsource_profile = robot\n",
			h.world.Partner.ARN, h.world.ExternalID, role.ARN)
		if err := os.WriteFile(filepath.Join(x.home, ".aws", "config"), []byte(config), 0o600); err != nil {
			x.t.Fatal(err)
		}
		shop := filepath.Join(x.home, "shop")
		if err := os.Mkdir(shop, 0o700); err != nil {
			x.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shop, ".awsprofile"), []byte("dev\n"), 0o600); err != nil {
			x.t.Fatal(err)
		}
		auto := "export AWSRUNAS_AUTO=1"
		for _, line := range map[shell.Dialect][]string{
			shell.Bash: {"unset NO_COLOR", `PS1='${__awsrunas_ps1-}\W $ '`},
			shell.Zsh:  {"unset NO_COLOR", `PROMPT='%1~ $ '`},
			shell.Fish: {"set -e NO_COLOR", `function fish_prompt; echo -n (prompt_pwd)' > '; end`,
				"set -g fish_autosuggestion_enabled 0; set -g fish_color_command normal; set -g fish_color_param normal"},
		}[x.d] {
			x.run(line)
		}
		if x.d == shell.Fish {
			auto = "set -gx AWSRUNAS_AUTO 1"
		}
		x.send("clear\r")
		x.wait(`\A\S+ [$>]\z`)
		for _, s := range []struct{ line, shows string }{
			{"runas prod", `\[prod 59m\]`},
			{"runas dev", `\[dev 59m\]`},
			{"runas -", `\[prod 59m\].*\n(.*\n)*.*\[prod 59m\]`},
			{auto, `AUTO.*\n\[prod`},
			{"cd shop", `cd shop\n.*\n\[dev 59m\]`},
			{"cd ..", `cd \.\.\n.*\n\[prod 59m\]`},
			{"runas nope", `no profile`},
			{"runas off", `any more\n`},
		} {
			x.send(s.line + "\r")
			x.wait(s.shows + `(.*\n)*.* [$>]\z`)
		}
		x.picture("prompt-" + string(x.d) + ".svg")
		if x.d != shell.Bash {
			return
		}
		// Without fzf in PATH the picker is the program's own.
		program, err := exec.LookPath("aws-runas")
		if err != nil {
			x.t.Fatal(err)
		}
		x.run("PATH=" + filepath.Dir(program))
		x.send("clear\r")
		x.send("\x0c")
		x.wait(`\A\S+ [$>]`)
		x.send("runas\r")
		x.wait(`Esc leaves\n(.*\n)*.*staging`)
		x.send("d")
		x.wait(`Profile: d\n> dev .*Developer\n.*prod`)
		x.picture("picker.svg")
		x.send("\x1b")
	})
}

// picture holds what the screen shows against a file of docs, or writes it.
func (x *liveShell) picture(file string) {
	x.t.Helper()
	got := svg(x.screen, 64)
	if *pictures != "" {
		if err := os.WriteFile(filepath.Join(*pictures, file), []byte(got), 0o644); err != nil {
			x.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(filepath.Join("../docs", file))
	if err != nil {
		x.t.Fatal(err)
	}
	if got != string(want) {
		x.t.Errorf("docs/%s is not what %s shows now: go test ./cmd -run TestPictures -pictures ../docs\n%s", file, x.d, x.text(""))
	}
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

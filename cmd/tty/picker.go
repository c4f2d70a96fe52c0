package tty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Item is one line that may be picked. Nothing in it is secret: fzf gets to see
// it, where there is one.
type Item struct {
	Name   string // searched letter by letter, with gaps
	Detail string // shown behind the name, searched for words as they stand
}

// Pick lets a person choose one of items, which are shown in the order given
// until something is typed, and returns its index. It draws on the terminal
// itself, below the cursor, and leaves nothing behind.
//
// Where fzf is in PATH, that is run, and FZF_DEFAULT_OPTS holds. A terminal that
// cannot move its cursor (TERM is dumb) gets a numbered list.
//
// To leave without choosing is an error that is [context.Canceled], as with a
// question. It is [ErrNobody] where there is no terminal, whatever askpass
// program there is.
func (t *TTY) Pick(ctx context.Context, prompt string, items []Item) (int, error) {
	if len(items) == 0 {
		return 0, errors.New("there is nothing to pick from")
	}
	if t.opts.NoInput {
		return 0, ErrNobody
	}
	done, err := t.takeTurn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	c, closing, err := t.console(ctx)
	if err != nil {
		return 0, err
	}
	defer closing()

	p := newPicker(printable(prompt), items)
	if name, _ := t.opts.Lookup("TERM"); !moves(name) {
		return c.choose(ctx, p)
	}
	if i, err := t.fzf(ctx, p); !errors.Is(err, errNoFzf) {
		return i, err
	}
	if v, _ := t.opts.Lookup("NO_COLOR"); v == "" {
		p.style = colours
	}
	i, err := c.pick(ctx, p)
	if errors.Is(err, errPlain) {
		return c.choose(ctx, p)
	}
	return i, err
}

// errPlain says that the console takes no control sequences.
var errPlain = errors.New("the terminal cannot move its cursor")

// errNone is the error where the person has left without choosing.
func errNone() error { return fmt.Errorf("%w: nothing was chosen", context.Canceled) }

// escapeTime is how long the rest of a key's sequence may take to arrive. An
// Escape with nothing behind it by then is the key of that name.
const escapeTime = 50 * time.Millisecond

// pick is the dialogue on a terminal that can be drawn on.
func (c *console) pick(ctx context.Context, p *picker) (int, error) {
	r, err := c.raw(ctx)
	if err != nil {
		return 0, err
	}
	defer r.close()
	p.resize(r.size())
	defer io.WriteString(r, leave)
	if _, err := io.WriteString(r, p.enter()); err != nil {
		return 0, terminalError(err)
	}
	buf := make([]byte, 4096)
	// What was typed before this went through line editing, where Enter is a
	// newline; from here on that is Ctrl-J.
	n, err := r.read(buf, time.Microsecond)
	if err != nil {
		return 0, err
	}
	typed := bytes.ReplaceAll(buf[:n], []byte("\n"), []byte("\r"))
	for {
		for len(typed) > 0 {
			k, size := parseKey(typed, n == 0)
			if size == 0 {
				break // more is to come
			}
			typed = typed[size:]
			if err := p.press(k); err != nil {
				return 0, err
			}
			if p.chosen >= 0 {
				return p.chosen, nil
			}
		}
		if _, err := io.WriteString(r, p.frame()); err != nil {
			return 0, terminalError(err)
		}
		limit := time.Duration(0)
		if len(typed) > 0 {
			limit = escapeTime
		}
		if n, err = r.read(buf, limit); err != nil {
			return 0, err
		}
		typed = append(typed, buf[:n]...)
		p.resize(r.size())
	}
}

// listed is how many lines a terminal gets that cannot scroll back.
const listed = 20

// choose is the dialogue on a terminal that cannot be drawn on.
func (c *console) choose(ctx context.Context, p *picker) (int, error) {
	var problem string
	for {
		var b strings.Builder
		shown := p.found[:min(listed, len(p.found))]
		width, digits := 0, len(strconv.Itoa(len(shown)))
		for _, h := range shown {
			width = max(width, cells(p.rows[h.item].name))
		}
		for i, h := range shown {
			row := p.rows[h.item]
			line := fmt.Sprintf("%*d  %s%s  %s", digits+1, i+1, row.name, strings.Repeat(" ", width-cells(row.name)), row.detail)
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		if more := len(p.found) - len(shown); more > 0 {
			fmt.Fprintf(&b, "%*s  %d more\n", digits+1, "", more)
		}
		b.WriteString(problem)
		fmt.Fprintf(&b, "%s (number or part of it): ", p.prompt)
		answer, err := c.ask(ctx, b.String(), true)
		if err != nil {
			io.WriteString(c, "\n")
			return 0, err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return 0, errNone()
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= len(shown) {
			return shown[n-1].item, nil
		}
		for i, row := range p.rows {
			if row.name == answer {
				return i, nil
			}
		}
		before := p.query
		p.search(answer)
		switch problem = ""; len(p.found) {
		case 0:
			problem = fmt.Sprintf("nothing matches %q\n", answer)
			p.search(before)
		case 1:
			return p.found[0].item, nil
		}
	}
}

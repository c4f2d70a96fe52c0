package saml

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// The HTML standard's forms, as a user agent without scripting has them.
// https://html.spec.whatwg.org/multipage/forms.html

// document is a page with its forms.
type document struct {
	root *html.Node
	url  *url.URL // its own address
	base *url.URL // that relative ones are resolved against
	enc  *charset
	form []*form // in tree order
}

// form is a form element and the controls whose owner it is.
type form struct {
	doc     *document
	node    *html.Node
	control []*control // in tree order
}

// control is an input, button, select or textarea element.
type control struct {
	node     *html.Node
	kind     string // text, password, hidden, checkbox ...; "select", "textarea"; a button's is submit, reset or button
	name     string
	value    string
	checked  bool
	disabled bool
	options  []option // of a select
	multiple bool
}

type option struct {
	value, text        string
	selected, disabled bool
}

// Written into the markup before it is parsed: the parser forgets which form
// was open where an element began, and that form owns it even if the tree says
// otherwise, as in a form that begins inside a table.
// https://html.spec.whatwg.org/multipage/parsing.html#form-element-pointer
const (
	formMark  = "runas-form"
	ownerMark = "runas-owner"
)

// parseDocument reads a page. No page is so broken that it has no tree.
func parseDocument(at *url.URL, body []byte, contentType string) (*document, error) {
	text, enc := decode(body, contentType)
	// Without scripting, what is inside noscript elements counts.
	root, err := html.ParseWithOptions(bytes.NewReader(markOwners(text)), html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, err
	}
	d := &document{root: root, url: at, base: at, enc: enc}
	byMark, byID := map[string]*form{}, map[string]*form{}
	based := false
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "base":
			if href, ok := attr(n, "href"); ok && !based {
				based = true
				if u, err := at.Parse(strings.TrimSpace(href)); err == nil && u.Scheme != "data" && u.Scheme != "javascript" {
					d.base = u
				}
			}
		case "form":
			f := &form{doc: d, node: n}
			d.form = append(d.form, f)
			if mark, ok := attr(n, formMark); ok {
				byMark[mark] = f
			}
			if id, ok := attr(n, "id"); ok && byID[id] == nil {
				byID[id] = f
			}
		}
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "input", "button", "select", "textarea":
		default:
			continue
		}
		var owner *form
		if id, ok := attr(n, "form"); ok {
			owner = byID[id]
		} else if mark, ok := attr(n, ownerMark); ok {
			owner = byMark[mark]
		} else if up := ancestor(n, "form"); up != nil {
			for _, f := range d.form {
				if f.node == up {
					owner = f
				}
			}
		}
		if owner != nil && ancestor(n, "template") == nil {
			owner.control = append(owner.control, newControl(n))
		}
	}
	return d, nil
}

func markOwners(text []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(text) + len(text)/16)
	forms, open, templates := 0, 0, 0
	z := html.NewTokenizer(bytes.NewReader(text))
	for {
		kind := z.Next()
		raw := bytes.Clone(z.Raw()) // the tokenizer writes in what it returns
		if kind == html.ErrorToken {
			out.Write(raw)
			return out.Bytes()
		}
		mark, length := "", 0
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			length = 1 + len(name)
			switch string(name) {
			case "form":
				if open == 0 && templates == 0 {
					forms++
					open = forms
					mark = formMark
				}
			case "input", "button", "select", "textarea":
				if open != 0 && templates == 0 {
					mark = ownerMark
				}
			case "template":
				templates++
			case "noscript":
				z.NextIsNotRawText()
			}
		case html.EndTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "form":
				if templates == 0 {
					open = 0
				}
			case "template":
				templates = max(0, templates-1)
			}
		}
		if mark == "" {
			out.Write(raw)
			continue
		}
		out.Write(raw[:length])
		fmt.Fprintf(&out, " %s=%q", mark, strconv.Itoa(open))
		out.Write(raw[length:])
	}
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name && a.Namespace == "" {
			return a.Val, true
		}
	}
	return "", false
}

func has(n *html.Node, name string) bool { _, ok := attr(n, name); return ok }

func ancestor(n *html.Node, name string) *html.Node {
	for p := range n.Ancestors() {
		if p.Type == html.ElementNode && p.Data == name {
			return p
		}
	}
	return nil
}

func newControl(n *html.Node) *control {
	c := &control{node: n, disabled: disabled(n), kind: n.Data}
	c.name, _ = attr(n, "name")
	c.value, _ = attr(n, "value")
	switch n.Data {
	case "input":
		kind, _ := attr(n, "type")
		switch c.kind = strings.ToLower(kind); c.kind {
		case "hidden", "search", "tel", "url", "email", "password", "date", "month", "week", "time", "datetime-local", "number", "range", "color", "checkbox", "radio", "file", "submit", "image", "reset", "button":
		default: // whatever else it says
			c.kind = "text"
		}
		c.checked = has(n, "checked")
		switch c.kind {
		case "checkbox", "radio":
			if !has(n, "value") {
				c.value = "on"
			}
		case "hidden":
		default: // lines have one end
			c.value = strings.NewReplacer("\r", "", "\n", "").Replace(c.value)
		}
	case "button":
		kind, _ := attr(n, "type")
		switch c.kind = strings.ToLower(kind); c.kind {
		case "reset", "button":
		default:
			c.kind = "submit"
		}
	case "textarea":
		c.value = textOf(n)
	case "select":
		c.multiple = has(n, "multiple")
		any := false
		for o := range n.Descendants() {
			if o.Type != html.ElementNode || o.Data != "option" {
				continue
			}
			text := strings.Join(strings.Fields(textOf(o)), " ")
			v, ok := attr(o, "value")
			if !ok {
				v = text
			}
			off := has(o, "disabled")
			if g := ancestor(o, "optgroup"); g != nil && has(g, "disabled") {
				off = true
			}
			selected := has(o, "selected")
			if selected && !c.multiple { // the last one counts
				for i := range c.options {
					c.options[i].selected = false
				}
			}
			any = any || selected
			c.options = append(c.options, option{v, text, selected, off})
		}
		if size, _ := attr(n, "size"); !any && !c.multiple && (size == "" || size == "1") {
			for i := range c.options {
				if !c.options[i].disabled {
					c.options[i].selected = true
					break
				}
			}
		}
	}
	return c
}

// disabled: by its own attribute, or by a fieldset's, but for what is in that
// fieldset's first legend.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#concept-fe-disabled
func disabled(n *html.Node) bool {
	if has(n, "disabled") {
		return true
	}
	for p := range n.Ancestors() {
		if p.Type != html.ElementNode || p.Data != "fieldset" || !has(p, "disabled") {
			continue
		}
		inLegend := false
		for c := range p.ChildNodes() {
			if c.Type == html.ElementNode && c.Data == "legend" {
				for up := range n.Ancestors() {
					inLegend = inLegend || up == c
				}
				break
			}
		}
		if !inLegend {
			return true
		}
	}
	return false
}

// textOf is the text below n, without scripts and styles, nor what one of skip
// is true of.
func textOf(n *html.Node, skip ...func(*html.Node) bool) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.Type != html.ElementNode:
		case n.Data == "script" || n.Data == "style" || n.Data == "template", slices.ContainsFunc(skip, func(f func(*html.Node) bool) bool { return f(n) }):
			return
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(n)
	return b.String()
}

// buttons are the form's submit buttons, in tree order.
func (f *form) buttons() (list []*control) {
	for _, c := range f.control {
		if c.kind == "submit" || c.kind == "image" {
			list = append(list, c)
		}
	}
	return list
}

// field returns the value of the first control of a name, and whether there is one.
func (f *form) field(name string) (string, bool) {
	for _, c := range f.control {
		if c.name == name {
			return c.value, true
		}
	}
	return "", false
}

type entry struct{ name, value string }

// entries are what the form sends when it is submitted by a button, or by
// none.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#constructing-the-form-data-set
func (f *form) entries(by *control, charset string) (list []entry) {
	add := func(name, value string) {
		list = append(list, entry{crlf(name), crlf(value)})
	}
	for _, c := range f.control {
		switch {
		case c != by && (c.disabled || c.kind == "submit" || c.kind == "image"),
			c.kind == "reset", c.kind == "button", ancestor(c.node, "datalist") != nil,
			(c.kind == "checkbox" || c.kind == "radio") && !c.checked:
		case c.kind == "image":
			prefix := ""
			if c.name != "" {
				prefix = c.name + "."
			}
			add(prefix+"x", "0")
			add(prefix+"y", "0")
		case c.name == "":
		case c.kind == "select":
			for _, o := range c.options {
				if o.selected && !o.disabled {
					add(c.name, o.value)
				}
			}
		case c.kind == "file":
			add(c.name, "")
		case c.kind == "hidden" && strings.EqualFold(c.name, "_charset_"):
			add(c.name, charset)
		default:
			add(c.name, c.value)
			if dir, _ := attr(c.node, "dirname"); dir != "" && c.kind != "submit" {
				add(dir, "ltr")
			}
		}
	}
	return list
}

// crlf has line ends as forms send them.
func crlf(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

// submit is the request that submits the form.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm
func (f *form) submit(by *control) (*request, error) {
	get := func(name string) string {
		if by != nil {
			if v, ok := attr(by.node, "form"+name); ok {
				return v
			}
		}
		v, _ := attr(f.node, name)
		return v
	}
	to, err := f.action(get("action"))
	if err != nil {
		return nil, err
	}
	enc := f.doc.enc
	if accept, ok := attr(f.node, "accept-charset"); ok {
		for _, label := range strings.Fields(strings.ReplaceAll(accept, ",", " ")) {
			if enc = charsetOf(label); enc != nil || plainLabel(label) == "utf8" {
				break
			}
		}
	}
	list := f.entries(by, enc.String())
	r := &request{method: "POST", url: to, referer: f.doc.url}
	switch method := strings.ToLower(get("method")); method {
	case "post":
	case "dialog":
		return nil, fmt.Errorf("the form opens a dialog")
	default:
		to.RawQuery, to.ForceQuery = urlencode(list, enc), false
		r.method = "GET"
		return r, nil
	}
	switch strings.ToLower(strings.TrimSpace(get("enctype"))) {
	case "multipart/form-data":
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		w.SetBoundary("----" + randomHex(16))
		for _, e := range list {
			// Writing to memory does not fail.
			part, _ := w.CreateFormField(enc.encode(e.name))
			part.Write([]byte(enc.encode(e.value)))
		}
		w.Close()
		r.body, r.contentType = b.Bytes(), w.FormDataContentType()
	case "text/plain":
		var b strings.Builder
		for _, e := range list {
			b.WriteString(enc.encode(e.name+"="+e.value) + "\r\n")
		}
		r.body, r.contentType = []byte(b.String()), "text/plain"
	default:
		r.body, r.contentType = []byte(urlencode(list, enc)), "application/x-www-form-urlencoded"
	}
	return r, nil
}

// action is the address that the form goes to: that of the page if none is named.
func (f *form) action(s string) (*url.URL, error) {
	s = strings.Map(func(r rune) rune { // as the URL standard strips them
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	to := *f.doc.url
	if s != "" {
		u, err := f.doc.base.Parse(s)
		if err != nil {
			return nil, fmt.Errorf("the form goes to an address that is none")
		}
		to = *u
	}
	to.Fragment, to.RawFragment = "", ""
	if to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return nil, fmt.Errorf("the form goes to a %q address", to.Scheme)
	}
	return &to, nil
}

// urlencode is application/x-www-form-urlencoded.
// https://url.spec.whatwg.org/#concept-urlencoded-serializer
func urlencode(list []entry, enc *charset) string {
	parts := make([]string, 0, len(list))
	for _, e := range list {
		parts = append(parts, url.QueryEscape(enc.encode(e.name))+"="+url.QueryEscape(enc.encode(e.value)))
	}
	return strings.Join(parts, "&")
}

// refresh is where a page sends on by itself, and after how long. Within noscript
// elements it often leads to a page that says no more than to use scripts.
// https://html.spec.whatwg.org/multipage/semantics.html#shared-declarative-refresh-steps
func (d *document) refresh(header string, noscript bool) (to *url.URL, after time.Duration, ok bool) {
	contents := []string{header}
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "meta" {
			continue
		}
		if equiv, _ := attr(n, "http-equiv"); strings.EqualFold(equiv, "refresh") && (ancestor(n, "noscript") != nil) == noscript {
			content, _ := attr(n, "content")
			contents = append(contents, content)
		}
	}
	for _, s := range contents {
		s = strings.TrimSpace(s)
		end := 0
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		if end == 0 && !strings.HasPrefix(s, ".") {
			continue
		}
		seconds, _ := strconv.Atoi(s[:end])
		rest := strings.TrimLeft(s[end:], "0123456789.")
		rest = strings.TrimLeft(rest, " \t\r\n\f;,")
		if len(rest) > 3 && strings.EqualFold(rest[:3], "url") {
			if after, ok := strings.CutPrefix(strings.TrimLeft(rest[3:], " \t\r\n\f"), "="); ok {
				rest = strings.TrimLeft(after, " \t\r\n\f")
			}
		}
		if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
			quote := rest[:1]
			rest, _, _ = strings.Cut(rest[1:], quote)
		}
		u := d.url
		if rest != "" {
			var err error
			if u, err = d.base.Parse(strings.TrimSpace(rest)); err != nil {
				continue
			}
		}
		if u.Scheme == "http" || u.Scheme == "https" {
			return u, time.Duration(min(seconds, 3600)) * time.Second, true
		}
	}
	return nil, 0, false
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

package saml

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// Pages that let people choose: among second factors, accounts, ways to sign in.
// Their words tell what they offer.

// offer is one of the things to choose from.
type offer int

const (
	unfit        offer = iota - 1 // nothing that can be done here
	unknown                       // its words say nothing
	otherAccount                  // where none of those shown is the right one
	call                          // factors, the best last; all but the app's codes wake up a phone
	mail
	sms
	appCode
	push
	byPassword
	account // the person's own
)

// offered tells what words offer, and how much it is wanted: by mfa_type, and not
// what needs somebody where nobody is.
func (n *signing) offered(words string) offer {
	isFactor := func(o offer) offer {
		switch {
		case n.idp.MFAType == "push" && o != push, n.idp.MFAType == "code" && o == push:
			return unfit
		case o == push && n.idp.MFAType != "push" && n.idp.OTP != nil && n.mayPush() != nil:
			return call
		}
		return o
	}
	switch {
	case containsAny(words, "webauthn", "passkey", "security key", "u2f", "fido", "yubikey", "biometric", "windows hello", "smart card", "smartcard", "certificate", "kerberos", "recovery", "backup"):
		return unfit
	case declines(words):
		return unknown
	case n.isAccount(words):
		return account
	case containsAny(words, "another account", "other account", "different account", "anderes konto", "autre compte", "otra cuenta"):
		return otherAccount
	case strings.Contains(words, "@") && !strings.ContainsAny(words, "*•…"):
		return unfit // somebody else
	case hasWord(words, "push", "notification"):
		return isFactor(push)
	case hasWord(words, "sms"), containsAny(words, "text message", "text me"):
		return isFactor(sms)
	case hasWord(words, "mail", "email", "e-mail"):
		return isFactor(mail)
	case hasWord(words, "call", "voice"):
		return isFactor(call)
	case isCode(words):
		return isFactor(appCode)
	case isPassword(words) && n.sentTo == "":
		return byPassword
	}
	return unknown
}

// hasWord reports whether one of list stands in words, not in the midst of one.
func hasWord(words string, list ...string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(words, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }),
		func(w string) bool { return slices.Contains(list, w) })
}

// isAccount reports whether words name the person who signs in.
func (n *signing) isAccount(words string) bool {
	name := strings.ToLower(n.username)
	if name == "" {
		return false
	}
	local, _, _ := strings.Cut(name, "@")
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" ()<>[],;:\"'", r) }) {
		before, _, full := strings.Cut(w, "@")
		if w == name || full && before == name || !full && strings.Contains(name, "@") && w == local {
			return true
		}
	}
	return false
}

// best is the index of what is wanted most of all, -1 if that is not known. What
// the page has chosen beforehand stays, if it will do. One factor alone is none to
// choose: the word may mean something else.
func (n *signing) best(words []string, chosen int) (int, offer) {
	found, most, known := -1, unknown, 0
	for i, w := range words {
		o := n.offered(w)
		if o != unknown {
			known++
		}
		if o > most {
			found, most = i, o
		}
	}
	if most < byPassword && known < 2 {
		return -1, unknown
	}
	if chosen >= 0 && most < byPassword && n.idp.MFAType != "code" && n.idp.MFAType != "push" {
		if o := n.offered(words[chosen]); o > unknown {
			return chosen, o
		}
	}
	return found, most
}

// choose makes the choices of a form and returns the button that sends it; nil
// if there is nothing to choose, or nothing that is known.
func (n *signing) choose(p *page, f *form) (*control, error) {
	var have []string
	var taken offer
	take := func(words []string, chosen int) int {
		i, o := n.best(words, chosen)
		if have = append(have, words...); o > taken {
			taken = o
		}
		return i
	}
	done := map[string]bool{}
	for _, c := range f.control {
		switch {
		case c.disabled || c.name == "" || done[c.kind+c.name]:
		case c.kind == "radio":
			done[c.kind+c.name] = true
			var group []*control
			var words []string
			chosen := -1
			for _, r := range f.control {
				if r.kind == "radio" && r.name == c.name && !r.disabled {
					if r.checked {
						chosen = len(group)
					}
					group, words = append(group, r), append(words, f.words(r))
				}
			}
			if i := take(words, chosen); i >= 0 {
				for j, r := range group {
					r.checked = i == j
				}
			}
		case c.kind == "select" && !c.multiple:
			var words []string
			chosen := -1
			for i, o := range c.options {
				if o.selected {
					chosen = i
				}
				words = append(words, plainWords(o.text, o.value))
			}
			if i := take(words, chosen); i >= 0 {
				for j := range c.options {
					c.options[j].selected = i == j
				}
			}
		}
	}
	var by *control
	if b := slices.DeleteFunc(f.buttons(), func(c *control) bool { return c.disabled }); taken == unknown && len(b) > 1 {
		var words []string
		for _, c := range b {
			words = append(words, f.words(c))
		}
		if i := take(words, -1); i >= 0 {
			by = b[i]
		}
	} else if taken > unknown {
		by = f.press()
	}
	if by == nil && n.sentTo != "" && len(have) > 1 && !n.silent && !slices.ContainsFunc(have, func(w string) bool { return n.offered(w) != unfit }) {
		return nil, n.noFactor(p.url.Host, nil)
	}
	return by, n.mayTake(taken)
}

func (o offer) isFactor() bool { return o >= call && o <= push }

// mayTake refuses a second factor where nobody is there for it.
func (n *signing) mayTake(o offer) error {
	switch {
	case !o.isFactor():
		return nil
	case n.silent:
		return errSignedOut
	case o == appCode:
		return nil
	}
	return n.mayPush()
}

// chooseForm makes the choice where each thing has a form of its own, with a
// button and nothing to fill in.
func (n *signing) chooseForm(p *page) (*form, *control, error) {
	var forms []*form
	var words []string
	for _, f := range p.form {
		if b := f.buttons(); len(b) == 1 && !b[0].disabled && !hidden(f.node) && (f.onlyHidden() || len(f.control) == 1) {
			forms, words = append(forms, f), append(words, f.words(b[0]))
		}
	}
	i, o := n.best(words, -1)
	if len(forms) < 2 || i < 0 {
		return nil, nil, nil
	}
	return forms[i], forms[i].buttons()[0], n.mayTake(o)
}

// chooseLink is for second factors that are links.
func (n *signing) chooseLink(p *page) (*url.URL, error) {
	var links []*url.URL
	var words []string
	for a := range p.root.Descendants() {
		if a.Type != html.ElementNode || a.Data != "a" || hidden(a) {
			continue
		}
		href, ok := attr(a, "href")
		to, err := p.base.Parse(strings.TrimSpace(href))
		if !ok || err != nil || to.Scheme != "http" && to.Scheme != "https" || strings.HasPrefix(href, "#") {
			continue
		}
		links, words = append(links, to), append(words, plainWords(textOf(a)))
	}
	i, o := n.best(words, -1)
	if i < 0 || !o.isFactor() {
		return nil, nil
	}
	return links[i], n.mayTake(o)
}

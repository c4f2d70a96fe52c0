package awstest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Enough of XML Signature and Exclusive Canonicalization to sign SAML
// assertions and to be strict about those of others.
// https://www.w3.org/TR/xmldsig-core1/, https://www.w3.org/TR/xml-exc-c14n/

const (
	nsDSig      = "http://www.w3.org/2000/09/xmldsig#"
	nsExclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	algEnvelop  = nsDSig + "enveloped-signature"
	algRSA256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algSHA256   = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// element keeps prefixes, which encoding/xml's own tree would lose and a
// signature covers.
type element struct {
	prefix, local string
	attr          []xml.Attr // Name.Space is the prefix
	child         []any      // *element or string
	parent        *element
}

func parseXML(text []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	var root, at *element
	depth := 0
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > 100 {
				return nil, errors.New("nested too deep")
			}
			e := &element{prefix: t.Name.Space, local: t.Name.Local, attr: slices.Clone(t.Attr), parent: at}
			switch {
			case at != nil:
				at.child = append(at.child, e)
			case root != nil:
				return nil, errors.New("more than one root element")
			default:
				root = e
			}
			at = e
		case xml.EndElement:
			if at == nil || at.prefix != t.Name.Space || at.local != t.Name.Local {
				return nil, errors.New("an element is not closed")
			}
			at = at.parent
			depth--
		case xml.CharData:
			if at != nil {
				at.child = append(at.child, string(t))
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text outside the root element")
			}
		case xml.Directive:
			return nil, errors.New("a document type declaration")
		}
	}
	if root == nil || at != nil {
		return nil, errors.New("an element is not closed")
	}
	return root, nil
}

// namespace is what a prefix stands for at e.
func (e *element) namespace(prefix string) string {
	for ; e != nil; e = e.parent {
		for _, a := range e.attr {
			if prefix != "" && a.Name.Space == "xmlns" && a.Name.Local == prefix || prefix == "" && a.Name.Space == "" && a.Name.Local == "xmlns" {
				return a.Value
			}
		}
	}
	return ""
}

func (e *element) is(space, local string) bool {
	return e.local == local && e.namespace(e.prefix) == space
}

func (e *element) get(name string) string {
	for _, a := range e.attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e *element) elements() (list []*element) {
	for _, c := range e.child {
		if c, ok := c.(*element); ok {
			list = append(list, c)
		}
	}
	return list
}

// find returns the elements at a path of local names of one namespace.
func (e *element) find(space string, path ...string) []*element {
	at := []*element{e}
	for _, name := range path {
		var next []*element
		for _, e := range at {
			for _, c := range e.elements() {
				if c.is(space, name) {
					next = append(next, c)
				}
			}
		}
		at = next
	}
	return at
}

func (e *element) text() string {
	var b strings.Builder
	for _, c := range e.child {
		if s, ok := c.(string); ok {
			b.WriteString(s)
		}
	}
	return strings.TrimSpace(b.String())
}

// canonical is e by Exclusive XML Canonicalization without comments, leaving out
// one element. The inclusive prefixes are those of its PrefixList.
func (e *element) canonical(without *element, inclusive []string) []byte {
	var b bytes.Buffer
	e.write(&b, map[string]string{}, without, inclusive)
	return b.Bytes()
}

func (e *element) write(b *bytes.Buffer, rendered map[string]string, without *element, inclusive []string) {
	name := func(prefix, local string) string {
		if prefix == "" {
			return local
		}
		return prefix + ":" + local
	}
	rendered = maps.Clone(rendered)
	used := append([]string{e.prefix}, inclusive...)
	var attrs []xml.Attr
	for _, a := range e.attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		attrs = append(attrs, a)
		if a.Name.Space != "" && a.Name.Space != "xml" {
			used = append(used, a.Name.Space)
		}
	}
	slices.Sort(used)
	b.WriteString("<" + name(e.prefix, e.local))
	for _, prefix := range slices.Compact(used) {
		uri := e.namespace(prefix)
		if old, ok := rendered[prefix]; ok && old == uri || !ok && uri == "" {
			continue
		}
		rendered[prefix] = uri
		if prefix == "" {
			b.WriteString(` xmlns="`)
		} else {
			b.WriteString(" xmlns:" + prefix + `="`)
		}
		b.WriteString(escapeAttr(uri) + `"`)
	}
	slices.SortFunc(attrs, func(x, y xml.Attr) int {
		space := func(a xml.Attr) string {
			if a.Name.Space == "" {
				return ""
			}
			return e.namespace(a.Name.Space)
		}
		if c := strings.Compare(space(x), space(y)); c != 0 {
			return c
		}
		return strings.Compare(x.Name.Local, y.Name.Local)
	})
	for _, a := range attrs {
		b.WriteString(" " + name(a.Name.Space, a.Name.Local) + `="` + escapeAttr(a.Value) + `"`)
	}
	b.WriteByte('>')
	for _, c := range e.child {
		switch c := c.(type) {
		case string:
			b.WriteString(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;").Replace(c))
		case *element:
			if c != without {
				c.write(b, rendered, without, inclusive)
			}
		}
	}
	b.WriteString("</" + name(e.prefix, e.local) + ">")
}

func escapeAttr(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;").Replace(s)
}

// prefixList is the PrefixList of a canonicalization or transform.
func prefixList(e *element) []string {
	lists := e.find(nsExclusive, "InclusiveNamespaces")
	if len(lists) == 0 {
		return nil
	}
	list := strings.Fields(lists[0].get("PrefixList"))
	for i, p := range list {
		if p == "#default" {
			list[i] = ""
		}
	}
	return list
}

// checkSignature verifies the enveloped signature of e, which is below root,
// with one of the certificates. What KeyInfo says is not looked at.
func checkSignature(root, e *element, certs []*x509.Certificate) error {
	signatures := e.find(nsDSig, "Signature")
	if len(signatures) != 1 {
		return fmt.Errorf("%d signatures", len(signatures))
	}
	sig := signatures[0]
	infos, values := sig.find(nsDSig, "SignedInfo"), sig.find(nsDSig, "SignatureValue")
	if len(infos) != 1 || len(values) != 1 {
		return errors.New("the signature is incomplete")
	}
	info := infos[0]
	canon, method, refs := info.find(nsDSig, "CanonicalizationMethod"), info.find(nsDSig, "SignatureMethod"), info.find(nsDSig, "Reference")
	if len(canon) != 1 || len(method) != 1 || len(refs) != 1 {
		return errors.New("the signature is incomplete")
	}
	if canon[0].get("Algorithm") != nsExclusive || method[0].get("Algorithm") != algRSA256 {
		return fmt.Errorf("signed by %s", method[0].get("Algorithm"))
	}
	id := e.get("ID")
	if id == "" || refs[0].get("URI") != "#"+id || count(root, id) != 1 {
		return errors.New("the signature is of something else")
	}
	var inclusive []string
	enveloped, exclusive := false, false
	for _, t := range refs[0].find(nsDSig, "Transforms", "Transform") {
		switch t.get("Algorithm") {
		case algEnvelop:
			enveloped = true
		case nsExclusive:
			exclusive, inclusive = true, prefixList(t)
		default:
			return errors.New("an unknown transform")
		}
	}
	digests, values2 := refs[0].find(nsDSig, "DigestMethod"), refs[0].find(nsDSig, "DigestValue")
	if !enveloped || !exclusive || len(digests) != 1 || len(values2) != 1 || digests[0].get("Algorithm") != algSHA256 {
		return errors.New("the reference is not one that is taken")
	}
	sum := sha256.Sum256(e.canonical(sig, inclusive))
	if want, err := decode64(values2[0].text()); err != nil || !bytes.Equal(want, sum[:]) {
		return errors.New("the content has been changed")
	}
	value, err := decode64(values[0].text())
	if err != nil {
		return err
	}
	sum = sha256.Sum256(info.canonical(nil, prefixList(canon[0])))
	for _, c := range certs {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], value) == nil {
			return nil
		}
	}
	return errors.New("signed by another key")
}

// count tells how many elements have an ID: a copy beside the signed one is the
// usual attack.
func count(e *element, id string) (n int) {
	if e.get("ID") == id {
		n = 1
	}
	for _, c := range e.elements() {
		n += count(c, id)
	}
	return n
}

func decode64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

// sign returns the enveloped signature for the root element of a text.
func sign(text string, key *rsa.PrivateKey, cert *x509.Certificate) string {
	e, err := parseXML([]byte(text))
	if err != nil {
		panic("awstest: " + err.Error()) // it is our own text
	}
	sum := sha256.Sum256(e.canonical(nil, nil))
	info := fmt.Sprintf(`<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>`+
		`<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform><ds:Transform Algorithm="%s"></ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
		nsDSig, nsExclusive, algRSA256, e.get("ID"), algEnvelop, nsExclusive, algSHA256, base64.StdEncoding.EncodeToString(sum[:]))
	sum = sha256.Sum256([]byte(info)) // it is written in its canonical form
	value, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a key of this size always signs
	}
	return fmt.Sprintf(`<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`,
		nsDSig, info, base64.StdEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString(cert.Raw))
}

package saml

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/session/signin"
)

// Names of AWS's attributes.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html
const (
	attributeRole        = "https://aws.amazon.com/SAML/Attributes/Role"
	attributeSessionName = "https://aws.amazon.com/SAML/Attributes/RoleSessionName"
	statusSuccess        = "urn:oasis:names:tc:SAML:2.0:status:Success"
)

// A Pair is a role that an assertion admits to, and the SAML provider in the
// role's account that vouches for it.
type Pair struct{ RoleARN, PrincipalARN string }

// An Assertion is what an identity provider says of a person. Its signature is
// not checked here: AWS does that, and nothing in it is taken for more than a
// hint before.
type Assertion struct {
	Roles       []Pair // in the order of the assertion, each once
	SessionName string // RoleSessionName, "" if there is none

	Issued    time.Time // IssueInstant, zero if unknown
	NotBefore time.Time // zero: no limit
	// NotOnOrAfter is when AWS stops taking the assertion; zero: unknown.
	NotOnOrAfter time.Time
	// SessionNotOnOrAfter caps how long a session made with it lasts; zero: it
	// does not.
	SessionNotOnOrAfter time.Time

	Audience     []string
	Destination  string // where the response was to be posted
	InResponseTo string // the request's ID, "" if nobody asked

	encoded string // as AWS takes it
	status  string // why there is no assertion, "" if there is one
}

// String has no part of what the assertion is worth.
func (a *Assertion) String() string { return fmt.Sprintf("assertion of %q", a.SessionName) }

// GoString is what String returns.
func (a *Assertion) GoString() string { return a.String() }

type xmlTime struct{ time.Time }

func (t *xmlTime) UnmarshalXMLAttr(a xml.Attr) error {
	var err error
	if t.Time, err = time.Parse(time.RFC3339Nano, a.Value); err != nil {
		// xs:dateTime without a zone is UTC in SAML (saml-core-2.0-os, 1.3.3).
		t.Time, err = time.Parse("2006-01-02T15:04:05.999999999", a.Value)
	}
	if err != nil {
		return fmt.Errorf("%s is no time", a.Name.Local)
	}
	return nil
}

// response is saml-core-2.0-os, 3.2.2, as far as it is of use here.
type response struct {
	XMLName      xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:protocol Response"`
	IssueInstant xmlTime  `xml:"IssueInstant,attr"`
	Destination  string   `xml:"Destination,attr"`
	InResponseTo string   `xml:"InResponseTo,attr"`
	Status       struct {
		Code struct {
			Value string `xml:"Value,attr"`
			Code  struct {
				Value string `xml:"Value,attr"`
			} `xml:"urn:oasis:names:tc:SAML:2.0:protocol StatusCode"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:protocol StatusCode"`
		Message string `xml:"urn:oasis:names:tc:SAML:2.0:protocol StatusMessage"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:protocol Status"`
	Assertion []struct {
		IssueInstant xmlTime `xml:"IssueInstant,attr"`
		Confirmation []struct {
			Data struct {
				NotOnOrAfter xmlTime `xml:"NotOnOrAfter,attr"`
				InResponseTo string  `xml:"InResponseTo,attr"`
			} `xml:"urn:oasis:names:tc:SAML:2.0:assertion SubjectConfirmationData"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Subject>SubjectConfirmation"`
		Conditions struct {
			NotBefore    xmlTime  `xml:"NotBefore,attr"`
			NotOnOrAfter xmlTime  `xml:"NotOnOrAfter,attr"`
			Audience     []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion AudienceRestriction>Audience"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Conditions"`
		Authn []struct {
			SessionNotOnOrAfter xmlTime `xml:"SessionNotOnOrAfter,attr"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion AuthnStatement"`
		Attribute []struct {
			Name  string   `xml:"Name,attr"`
			Value []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion AttributeValue"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion AttributeStatement>Attribute"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Assertion"`
	Encrypted []struct{} `xml:"urn:oasis:names:tc:SAML:2.0:assertion EncryptedAssertion"`
}

var (
	errBase64 = errors.New("the SAML response is not base64")
	errXML    = errors.New("the SAML response is not well-formed XML of a SAML 2.0 Response")
)

// parseResponse reads the SAMLResponse field of a form.
func parseResponse(encoded string) (*Assertion, error) {
	plain := strings.Join(strings.Fields(encoded), "")
	raw, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(plain); err != nil {
			return nil, errBase64
		}
		plain = base64.StdEncoding.EncodeToString(raw)
	}
	var r response
	d := xml.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&r); err != nil {
		// Its words may quote what is secret.
		return nil, errXML
	}
	for {
		switch t, err := d.Token(); t := t.(type) {
		case xml.Comment, xml.ProcInst:
			continue
		case xml.CharData:
			if len(bytes.TrimSpace(t)) == 0 {
				continue
			}
			return nil, errXML
		default:
			if err != io.EOF {
				return nil, errXML
			}
		}
		break
	}
	a := &Assertion{encoded: plain, Issued: r.IssueInstant.Time, Destination: r.Destination, InResponseTo: r.InResponseTo}
	if code := r.Status.Code; code.Value != statusSuccess {
		a.status = lastPart(code.Code.Value)
		if a.status == "" {
			a.status = lastPart(code.Value)
		}
		if a.status == "" {
			a.status = "it tells no status"
		}
		if m := signin.Line(r.Status.Message); m != "" {
			a.status += ": " + m
		}
		return a, nil
	}
	switch {
	case len(r.Assertion) == 0 && len(r.Encrypted) > 0:
		a.status = "the assertion is encrypted, which AWS can take and nobody here can read: switch assertion encryption off, or use saml_provider = browser with role_arn"
		return a, nil
	case len(r.Assertion) != 1:
		return nil, fmt.Errorf("the SAML response has %d assertions, not one", len(r.Assertion))
	}
	s := r.Assertion[0]
	if !s.IssueInstant.IsZero() {
		a.Issued = s.IssueInstant.Time
	}
	a.NotBefore, a.NotOnOrAfter, a.Audience = s.Conditions.NotBefore.Time, s.Conditions.NotOnOrAfter.Time, s.Conditions.Audience
	for _, c := range s.Confirmation {
		a.NotOnOrAfter = earlier(a.NotOnOrAfter, c.Data.NotOnOrAfter.Time)
		if a.InResponseTo == "" {
			a.InResponseTo = c.Data.InResponseTo
		}
	}
	for _, n := range s.Authn {
		a.SessionNotOnOrAfter = earlier(a.SessionNotOnOrAfter, n.SessionNotOnOrAfter.Time)
	}
	for _, at := range s.Attribute {
		for _, v := range at.Value {
			switch at.Name {
			case attributeSessionName:
				a.SessionName = strings.TrimSpace(v)
			case attributeRole:
				if p, ok := pairOf(v); ok && !slices.Contains(a.Roles, p) {
					a.Roles = append(a.Roles, p)
				}
			}
		}
	}
	return a, nil
}

// forAWS reports whether the encoded response holds attributes of AWS's, so
// that it need not be posted on to learn more.
func (a *Assertion) forAWS() bool { return len(a.Roles) > 0 }

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// lastPart is the end of a URN.
func lastPart(s string) string { return s[strings.LastIndexByte(s, ':')+1:] }

// pairOf reads "ROLE,PRINCIPAL", in either order.
func pairOf(s string) (p Pair, ok bool) {
	for _, arn := range strings.Split(s, ",") {
		arn = strings.TrimSpace(arn)
		parts := strings.SplitN(arn, ":", 6)
		if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "iam" || strings.ContainsAny(arn, " \t\r\n") {
			continue
		}
		if _, err := strconv.ParseUint(parts[4], 10, 64); err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(parts[5], "role/"):
			p.RoleARN = arn
		case strings.HasPrefix(parts[5], "saml-provider/"):
			p.PrincipalARN = arn
		}
	}
	return p, p.RoleARN != "" && p.PrincipalARN != ""
}

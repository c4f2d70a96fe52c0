package awstest

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The products whose sign-in an IDP can have.
const (
	Forms     = "forms" // pages with plain forms, as Keycloak, Shibboleth and their like have
	Okta      = "okta"
	OneLogin  = "onelogin"
	Entra     = "entra"
	ForgeRock = "forgerock"
)

// SigninURL is where AWS takes SAML responses.
const SigninURL = "https://signin.aws.amazon.com/saml"

// samlKey takes long to make, and no test depends on whose it is.
var samlKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
})

// IDP is a SAML identity provider that signs people in as one of the commercial
// products does, by what their makers have published. No real one was met.
//
// All that a client may send wrong is counted: see Attempts.
type IDP struct {
	EntityID string // its issuer
	product  string
	aws      *AWS
	key      *rsa.PrivateKey
	cert     *x509.Certificate

	mu        sync.Mutex
	people    map[string]*Person
	sessions  map[string]*idpSession // by cookie or token
	pending   map[string]*idpPending // sign-ins under way, by ID
	layout    FormLayout
	tweak     func(*AssertionFields)
	lifetime  time.Duration // of sessions
	arrived   map[string]int
	announced chan struct{}
	faults    []*Fault
	secrets   []string
	server    *http.Server
	url       string
	done      chan struct{}
}

// Person is somebody who can sign in at an IDP. The fields may be changed with
// IDP.Change.
type Person struct {
	Name, Password string
	SessionName    string   // RoleSessionName; the name if empty
	Roles          []string // values of the Role attribute: "ROLE-ARN,PROVIDER-ARN"
	Locked         bool
	Expired        bool // the password
	// Factors are totp, sms, push or call, in the order that they are offered in;
	// none: no second factor is asked for.
	Factors []string
	// Push is what the person does with push messages: approve, reject or, if
	// empty, nothing.
	Push string
	// Number is what the phone asks to choose, 0 for none.
	Number int
	// Federation is the address of another provider, which this one (Entra) sends
	// the person to.
	Federation string

	seed      []byte
	used      map[int64]bool
	passwords int // right or wrong ones that arrived
	wrong     int
	codes     int
	pushes    int
}

type idpSession struct {
	person  *Person
	expires time.Time
}

// idpPending is a sign-in that waits for a second factor.
type idpPending struct {
	person  *Person
	request samlRequest
	factor  string
	polls   int
	tries   int
}

// NewIDP returns an identity provider of a product, not yet started. Its clock is
// that of the AWS.
func (a *AWS) NewIDP(product string) *IDP {
	i := &IDP{
		EntityID: "https://idp.test/" + product, product: product, aws: a, key: samlKey(),
		people: map[string]*Person{}, sessions: map[string]*idpSession{}, pending: map[string]*idpPending{},
		lifetime: 10 * time.Hour, arrived: map[string]int{}, announced: make(chan struct{}),
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "awstest " + product},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, i.key.Public(), i.key)
	if err != nil {
		panic(err) // the template is always the same
	}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return i
}

// Certificate is the one that its responses are signed with.
func (i *IDP) Certificate() *x509.Certificate { return i.cert }

// Metadata is what CreateSAMLProvider takes.
func (i *IDP) Metadata() string {
	return fmt.Sprintf(`<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md=%q entityID=%q><md:IDPSSODescriptor protocolSupportEnumeration=%q>
<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds=%q><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location=%q/>
</md:IDPSSODescriptor></md:EntityDescriptor>`, nsMetadata, i.EntityID, nsProtocol, nsDSig, base64.StdEncoding.EncodeToString(i.cert.Raw), i.URL()+"/saml")
}

// Start serves on a free port of 127.0.0.1 and returns the URL.
func (i *IDP) Start() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.server != nil {
		l.Close()
		return "", errors.New("awstest: already started")
	}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	i.url, i.done = "http://"+l.Addr().String(), make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		s.Serve(l) // always returns ErrServerClosed: only Close ends it
	}(i.server, i.done)
	return i.url, nil
}

// Close ends what Start began.
func (i *IDP) Close() error {
	i.mu.Lock()
	s, done := i.server, i.done
	i.server = nil
	i.mu.Unlock()
	if s == nil {
		return nil
	}
	err := s.Close()
	<-done
	return err
}

// Transport answers in process, whatever host is asked.
func (i *IDP) Transport() http.RoundTripper { return transport{i} }

// URL is where it is: what Start returned, else https://idp.test.
func (i *IDP) URL() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.url != "" {
		return i.url
	}
	return "https://idp.test"
}

// AuthURL is what a profile's saml_auth_url is.
func (i *IDP) AuthURL() string {
	switch i.product {
	case Okta:
		return i.URL() + "/app/amazon_aws/exk1/sso/saml"
	case OneLogin:
		return i.URL() + "/trust/saml2/http-post/sso/4711?app_id=4711&token=" + base64.StdEncoding.EncodeToString([]byte(oneLoginID+":"+oneLoginSecret))
	case Entra:
		return i.URL() + "/signin/AWS/0000-app?tenantId=1111-tenant"
	case ForgeRock:
		return i.URL() + "/auth/json/realms/staff"
	}
	return i.URL() + "/saml"
}

// AddPerson lets somebody sign in.
func (i *IDP) AddPerson(p Person) *Person {
	i.mu.Lock()
	defer i.mu.Unlock()
	p.seed, p.used = newSeed(), map[int64]bool{}
	i.people[p.Name] = &p
	i.secrets = append(i.secrets, p.Password)
	return &p
}

// Change changes a person while the provider is serving.
func (i *IDP) Change(p *Person, change func(*Person)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(p)
}

// Code is a one-time code of the person's that is good now, or "" until the next
// step if all are used.
func (i *IDP) Code(p *Person) string {
	i.aws.mu.Lock()
	now := stepAt(i.aws.now())
	i.aws.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, step := range []int64{now, now + 1, now - 1} {
		if !p.used[step] {
			return totp(p.seed, step)
		}
	}
	return ""
}

// Attempts tells how many passwords, one-time codes and requests for a push
// message have arrived for a person.
func (i *IDP) Attempts(p *Person) (passwords, codes, pushes int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return p.passwords, p.codes, p.pushes
}

// EndSessions signs everybody out.
func (i *IDP) EndSessions() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.sessions)
}

// Sessions tells how many people are signed in.
func (i *IDP) Sessions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.sessions)
}

// SetSession changes how long a session lasts, ten hours unless set.
func (i *IDP) SetSession(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lifetime = d
}

// SetLayout changes how the pages of Forms are made.
func (i *IDP) SetLayout(l FormLayout) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.layout = l
}

// SetAssertion lets a function change each assertion before it is signed.
func (i *IDP) SetAssertion(tweak func(*AssertionFields)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tweak = tweak
}

// Inject adds a fault for requests of a path ("/saml"); its Code is not used.
func (i *IDP) Inject(f Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults = append(i.faults, &f)
}

// Count returns how many requests of a path have arrived, "" counts all.
func (i *IDP) Count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.arrived[path]
}

// Wait returns once n requests of a path have arrived, or with ctx's error.
func (i *IDP) Wait(ctx context.Context, path string, n int) error {
	for {
		i.mu.Lock()
		enough, more := i.arrived[path] >= n, i.announced
		i.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Secrets returns every password, cookie, token and response so far.
func (i *IDP) Secrets() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.secrets)
}

// ServeHTTP answers one request.
func (i *IDP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot read the request", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	i.mu.Lock()
	i.arrived[r.URL.Path]++
	i.arrived[""]++
	close(i.announced)
	i.announced = make(chan struct{})
	var fault *Fault
	for n, f := range i.faults {
		if f.Action == "" || f.Action == r.URL.Path {
			fault = f
			if f.Times == 1 {
				i.faults = slices.Delete(i.faults, n, n+1)
			} else if f.Times > 1 {
				f.Times--
			}
			break
		}
	}
	i.mu.Unlock()
	if fault != nil {
		if !fault.wait(r.Context()) || fault.Drop {
			panic(http.ErrAbortHandler) // net/http's way to cut a connection
		}
		if fault.Status != 0 {
			http.Error(w, fault.Message, fault.Status)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	i.aws.mu.Lock()
	now := i.aws.now()
	i.aws.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	c := &idpCall{IDP: i, w: w, r: r, body: body, now: now}
	c.form, _ = url.ParseQuery(string(body))
	switch i.product {
	case Okta:
		c.okta()
	case OneLogin:
		c.oneLogin()
	case Entra:
		c.entra()
	case ForgeRock:
		c.forgeRock()
	default:
		c.forms()
	}
}

// idpCall is one request, with the IDP's mu held.
type idpCall struct {
	*IDP
	w    http.ResponseWriter
	r    *http.Request
	body []byte
	form url.Values // of the body
	now  time.Time
}

// at is where the client thinks that this is.
func (c *idpCall) at() string {
	if c.url != "" {
		return c.url
	}
	return "https://" + c.r.Host
}

func (c *idpCall) json(status int, v any) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	json.NewEncoder(c.w).Encode(v)
}

func (c *idpCall) read(v any) bool {
	if err := json.Unmarshal(c.body, v); err != nil {
		c.json(http.StatusBadRequest, map[string]any{"message": "not JSON", "errorSummary": "not JSON"})
		return false
	}
	return true
}

func (c *idpCall) html(status int, page string) {
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(status)
	io.WriteString(c.w, page)
}

// secret makes one up, and remembers it.
func (c *idpCall) secret(prefix string) string {
	s := prefix + "FAKE" + random(28)
	c.secrets = append(c.secrets, s)
	return s
}

// session is the one that a cookie stands for, nil without one.
func (c *idpCall) session(cookie string) *idpSession {
	if k, err := c.r.Cookie(cookie); err == nil {
		if s := c.sessions[k.Value]; s != nil && c.now.Before(s.expires) {
			return s
		}
	}
	return nil
}

// begin makes a session and sets its cookie, anew each time as many do.
func (c *idpCall) begin(cookie string, p *Person) string {
	id := c.secret("SESSION")
	c.sessions[id] = &idpSession{p, c.now.Add(c.lifetime)}
	http.SetCookie(c.w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true})
	return id
}

// password checks one. why is "", wrong, locked or expired.
func (c *idpCall) password(name, password string) (p *Person, why string) {
	p = c.people[name]
	if p == nil {
		return nil, "wrong"
	}
	p.passwords++
	if p.Locked {
		return p, "locked"
	}
	if p.Password != password {
		// https://developer.okta.com/docs/guides/ and others: about ten; here
		// sooner, so that a client that tries by itself shows.
		if p.wrong++; p.wrong >= 5 {
			p.Locked = true
		}
		return p, "wrong"
	}
	p.wrong = 0
	if p.Expired {
		return p, "expired"
	}
	return p, ""
}

// code checks a one-time code, which counts once.
func (c *idpCall) code(p *Person, code string) bool {
	p.codes++
	now := stepAt(c.now)
	for step := now - 1; step <= now+1; step++ {
		if !p.used[step] && totp(p.seed, step) == code {
			p.used[step] = true
			return true
		}
	}
	return false
}

// samlRequest is what an AuthnRequest asks; the zero value is IdP-initiated.
type samlRequest struct{ id, acs, relay string }

// request reads an AuthnRequest by the HTTP Redirect binding.
func (c *idpCall) request() (samlRequest, error) {
	q := c.r.URL.Query()
	encoded := q.Get("SAMLRequest")
	if encoded == "" {
		return samlRequest{acs: SigninURL}, nil
	}
	packed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return samlRequest{}, err
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxBody))
	if err != nil {
		return samlRequest{}, err
	}
	root, err := parseXML(text)
	if err != nil {
		return samlRequest{}, err
	}
	issued, err := time.Parse(time.RFC3339, root.get("IssueInstant"))
	issuer := root.find(nsAssertion, "Issuer")
	switch {
	case !root.is(nsProtocol, "AuthnRequest") || root.get("Version") != "2.0" || root.get("ID") == "":
		err = errors.New("not an AuthnRequest")
	case err != nil || c.now.Sub(issued).Abs() > 5*time.Minute:
		err = errors.New("issued at another time")
	case len(issuer) != 1 || issuer[0].text() != "urn:amazon:webservices":
		err = errors.New("an unknown issuer")
	case !strings.HasPrefix(root.get("AssertionConsumerServiceURL"), "http://localhost:"):
		err = errors.New("an unknown AssertionConsumerServiceURL")
	}
	return samlRequest{root.get("ID"), root.get("AssertionConsumerServiceURL"), q.Get("RelayState")}, err
}

// AssertionFields are what a response is made of. The times are those of AWS's
// rules unless changed.
type AssertionFields struct {
	Issuer, Audience, Recipient, InResponseTo string
	Subject, SessionName                      string
	Roles                                     []string
	Issued, NotBefore, NotOnOrAfter           time.Time
	SessionNotOnOrAfter                       time.Time // zero: none
	Status                                    string    // other than Success
	SignResponse                              bool      // and not the assertion
	Break                                     func(response string) string
}

// Response is the encoded response for a person, as a page of the provider
// would post it to AWS.
func (i *IDP) Response(p *Person) string {
	i.aws.mu.Lock()
	now := i.aws.now()
	i.aws.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.respond(p, samlRequest{acs: SigninURL}, now)
}

func (i *IDP) respond(p *Person, r samlRequest, now time.Time) string {
	f := AssertionFields{
		Issuer: i.EntityID, Audience: "urn:amazon:webservices", Recipient: r.acs, InResponseTo: r.id, Subject: p.Name, SessionName: p.SessionName,
		Roles: p.Roles, Issued: now, NotBefore: now.Add(-30 * time.Second), NotOnOrAfter: now.Add(5 * time.Minute),
	}
	if f.SessionName == "" {
		f.SessionName = p.Name
	}
	if i.tweak != nil {
		i.tweak(&f)
	}
	esc := func(s string) string {
		var b bytes.Buffer
		xml.EscapeText(&b, []byte(s)) // memory takes everything
		return b.String()
	}
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
	optional := func(name, value string) string {
		if value == "" {
			return ""
		}
		return fmt.Sprintf(` %s="%s"`, name, esc(value))
	}
	var roles strings.Builder
	for _, r := range f.Roles {
		roles.WriteString("<saml:AttributeValue>" + esc(r) + "</saml:AttributeValue>")
	}
	ends := ""
	if !f.SessionNotOnOrAfter.IsZero() {
		ends = stamp(f.SessionNotOnOrAfter)
	}
	attribute := func(name, values string) string {
		return `<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/` + name + `">` + values + "</saml:Attribute>"
	}
	assertion := fmt.Sprintf(`<saml:Assertion xmlns:saml="%s" ID="_%s" Version="2.0" IssueInstant="%s"><saml:Issuer>%s</saml:Issuer>`+
		`<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">%s</saml:NameID>`+
		`<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData%s NotOnOrAfter="%s" Recipient="%s"/></saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotBefore="%s" NotOnOrAfter="%s"><saml:AudienceRestriction><saml:Audience>%s</saml:Audience></saml:AudienceRestriction></saml:Conditions>`+
		`<saml:AuthnStatement AuthnInstant="%s"%s><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`+
		`<saml:AttributeStatement>%s%s</saml:AttributeStatement></saml:Assertion>`,
		nsAssertion, random(32), stamp(f.Issued), esc(f.Issuer), esc(f.Subject), optional("InResponseTo", f.InResponseTo), stamp(f.NotOnOrAfter), esc(f.Recipient),
		stamp(f.NotBefore), stamp(f.NotOnOrAfter), esc(f.Audience), stamp(f.Issued), optional("SessionNotOnOrAfter", ends),
		attribute("Role", roles.String()), attribute("RoleSessionName", "<saml:AttributeValue>"+esc(f.SessionName)+"</saml:AttributeValue>"))
	if !f.SignResponse {
		assertion = strings.Replace(assertion, "</saml:Issuer>", "</saml:Issuer>"+sign(assertion, i.key, i.cert), 1)
	}
	status := `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>`
	if f.Status != "" {
		status = `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:` + esc(f.Status) + `"/></samlp:StatusCode><samlp:StatusMessage>the directory says no</samlp:StatusMessage>`
		assertion = ""
	}
	response := fmt.Sprintf(`<samlp:Response xmlns:samlp="%s" ID="_%s" Version="2.0" IssueInstant="%s" Destination="%s"%s><saml:Issuer xmlns:saml="%s">%s</saml:Issuer><samlp:Status>%s</samlp:Status>%s</samlp:Response>`,
		nsProtocol, random(32), stamp(f.Issued), esc(f.Recipient), optional("InResponseTo", f.InResponseTo), nsAssertion, esc(f.Issuer), status, assertion)
	if f.SignResponse {
		response = strings.Replace(response, "</saml:Issuer><samlp:Status>", "</saml:Issuer>"+sign(response, i.key, i.cert)+"<samlp:Status>", 1)
	}
	if f.Break != nil {
		response = f.Break(response)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(response))
	i.secrets = append(i.secrets, encoded)
	return encoded
}

// hand gives the person's response to the browser, which posts it by a script.
func (c *idpCall) hand(p *Person, r samlRequest) {
	relay := ""
	if r.relay != "" {
		relay = `<input type="hidden" name="RelayState" value="` + html.EscapeString(r.relay) + `">`
	}
	c.html(http.StatusOK, fmt.Sprintf(`<!doctype html><html><head><title>One moment</title></head><body onload="document.forms[0].submit()">
<form method="post" action="%s"><input type="hidden" name="SAMLResponse" value="%s">%s<noscript><button>Continue</button></noscript></form></body></html>`,
		html.EscapeString(r.acs), html.EscapeString(c.respond(p, r, c.now)), relay))
}

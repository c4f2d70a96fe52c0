package awstest

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SAMLProvider is a SAML identity provider that an account trusts.
type SAMLProvider struct {
	ARN    string
	Issuer string
	certs  []*x509.Certificate
}

// SAMLProvider makes an account trust the responses of an issuer that are signed
// with one of the certificates.
func (c *Account) SAMLProvider(name, issuer string, certs ...*x509.Certificate) *SAMLProvider {
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	p := &SAMLProvider{ARN: c.arn("iam", "saml-provider/"+name), Issuer: issuer, certs: certs}
	if c.samlProviders == nil {
		c.samlProviders = map[string]*SAMLProvider{}
	}
	c.samlProviders[p.ARN] = p
	return p
}

// TrustSAML is a trust policy for a SAML provider, with the audience that AWS's
// console puts into it.
func TrustSAML(p *SAMLProvider) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithSAML",`+
		`"Condition":{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}}]}`, p.ARN)
}

// TrustSAMLAt is TrustSAML for responses that are posted to another place, which
// may have wildcards: http://localhost:*/saml/acs.
func TrustSAMLAt(p *SAMLProvider, recipient string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithSAML",`+
		`"Condition":{"StringLike":{"SAML:aud":%q}}}]}`, p.ARN, recipient)
}

// createSAMLProvider reads the provider's certificates out of its metadata.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateSAMLProvider.html
func (a *AWS) createSAMLProvider(c *call) (any, error) {
	v := validation{form: c.form}
	name := v.text("Name", 1, 128, `[\w._-]+`, true)
	doc := v.text("SAMLMetadataDocument", 1000, 10000000, "", true)
	if err := v.err(); err != nil {
		return nil, err
	}
	arn := c.who.account.arn("iam", "saml-provider/"+name)
	if err := c.authorize("iam:CreateSAMLProvider", arn); err != nil {
		return nil, err
	}
	if c.who.account.samlProviders[arn] != nil {
		return nil, &apiError{http.StatusConflict, "EntityAlreadyExists", "SAMLProvider " + arn + " already exists."}
	}
	issuer, certs, err := readMetadata([]byte(doc))
	if err != nil {
		return nil, &apiError{http.StatusBadRequest, "InvalidInput", "Could not parse metadata: " + err.Error()}
	}
	if c.who.account.samlProviders == nil {
		c.who.account.samlProviders = map[string]*SAMLProvider{}
	}
	c.who.account.samlProviders[arn] = &SAMLProvider{ARN: arn, Issuer: issuer, certs: certs}
	return struct{ SAMLProviderArn string }{arn}, nil
}

const nsMetadata = "urn:oasis:names:tc:SAML:2.0:metadata"

func readMetadata(text []byte) (issuer string, certs []*x509.Certificate, err error) {
	root, err := parseXML(text)
	if err != nil {
		return "", nil, err
	}
	if !root.is(nsMetadata, "EntityDescriptor") || root.get("entityID") == "" {
		return "", nil, fmt.Errorf("no EntityDescriptor")
	}
	for _, k := range root.find(nsMetadata, "IDPSSODescriptor", "KeyDescriptor") {
		if use := k.get("use"); use != "" && use != "signing" {
			continue
		}
		for _, c := range k.find(nsDSig, "KeyInfo", "X509Data", "X509Certificate") {
			der, err := decode64(c.text())
			if err != nil {
				return "", nil, err
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return "", nil, err
			}
			certs = append(certs, cert)
		}
	}
	if len(certs) == 0 {
		return "", nil, fmt.Errorf("no signing certificate")
	}
	return root.get("entityID"), certs, nil
}

// samlClaims are what a response says once it is believed.
type samlClaims struct {
	issuer, subject, subjectType, recipient, sessionName string
	pairs                                                []string
	sessionEnds                                          time.Time
}

// assumeRoleWithSAML follows
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithSAML.html
// and https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html;
// the messages are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_saml.html
func (a *AWS) assumeRoleWithSAML(c *call) (any, error) {
	v := validation{form: c.form}
	in := roleInput{duration: time.Duration(v.number("DurationSeconds", 900, 43200, 3600)) * time.Second, tags: map[string]string{}}
	in.arn = v.text("RoleArn", 20, 2048, "", true)
	principal := v.text("PrincipalArn", 20, 2048, "", true)
	assertion := v.text("SAMLAssertion", 4, 100000, "", true)
	v.policies(&in)
	if err := v.err(); err != nil {
		return nil, err
	}
	if err := checkRoleARN(in.arn); err != nil {
		return nil, err
	}
	// What was sent is worth credentials for as long as it lives.
	a.secrets = append(a.secrets, assertion)
	var p *SAMLProvider
	for _, acct := range a.accounts {
		if q := acct.samlProviders[principal]; q != nil {
			p = q
		}
	}
	if p == nil {
		return nil, &apiError{http.StatusBadRequest, "InvalidIdentityToken", "No SAML provider found for " + principal}
	}
	claims, err := a.readResponse(p, assertion, c.now)
	if err != nil {
		return nil, err
	}
	refused := denied("Not authorized to perform sts:AssumeRoleWithSAML")
	if !slices.ContainsFunc(claims.pairs, func(s string) bool { return samePair(s, in.arn, principal) }) {
		return nil, refused
	}
	in.sessionName = claims.sessionName
	ctx := c.context()
	ctx.add("saml:aud", claims.recipient)
	ctx.add("saml:iss", claims.issuer)
	ctx.add("saml:sub", claims.subject)
	ctx.add("saml:sub_type", claims.subjectType)
	ctx.add("aws:federatedprovider", p.ARN)
	ctx.add("sts:rolesessionname", in.sessionName)
	role := a.findRole(in.arn)
	if role == nil || !role.trustsSAML(p, ctx) {
		return nil, refused
	}
	// The session ends with that of the identity provider.
	asked := in.duration
	out, err := a.grant(c, role, in, "")
	if err != nil {
		return nil, err
	}
	if end := claims.sessionEnds; !end.IsZero() && end.Before(c.now.Add(asked)) {
		if s := a.sessions[out.Credentials.AccessKeyId]; s != nil && end.Before(s.expires) {
			s.expires = end
			out.Credentials.Expiration = end.UTC().Format(time.RFC3339)
		}
	}
	return struct {
		*assumedRole
		Issuer, Subject, SubjectType, Audience string
	}{out, claims.issuer, claims.subject, claims.subjectType, claims.recipient}, nil
}

func samePair(s, role, principal string) bool {
	parts := strings.Split(s, ",")
	if len(parts) != 2 {
		return false
	}
	x, y := strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
	return x == role && y == principal || x == principal && y == role
}

func (r *Role) trustsSAML(p *SAMLProvider, ctx conditions) bool {
	trusted := false
	for _, s := range r.trust.doc.Statement {
		if !s.matchesAction("sts:AssumeRoleWithSAML") || !slices.Contains(s.Principal["Federated"], p.ARN) || !s.conditionsHold(ctx) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		trusted = true
	}
	return trusted
}

// readResponse believes a response: signature, issuer, times, audience and
// recipient.
func (a *AWS) readResponse(p *SAMLProvider, encoded string, now time.Time) (*samlClaims, error) {
	invalid := func(format string, args ...any) error {
		return &apiError{http.StatusBadRequest, "InvalidIdentityToken", fmt.Sprintf(format, args...)}
	}
	expired := func(message string) error {
		return &apiError{http.StatusBadRequest, "ExpiredTokenException", message}
	}
	text, err := decode64(encoded)
	if err != nil {
		return nil, invalid("Invalid base64 SAMLResponse")
	}
	root, err := parseXML(text)
	if err != nil || !root.is(nsProtocol, "Response") {
		return nil, invalid("Could not parse the SAML response")
	}
	if codes := root.find(nsProtocol, "Status", "StatusCode"); len(codes) != 1 || codes[0].get("Value") != "urn:oasis:names:tc:SAML:2.0:status:Success" {
		return nil, invalid("The SAML response is not one of success")
	}
	assertions := root.find(nsAssertion, "Assertion")
	if len(assertions) != 1 {
		return nil, invalid("The SAML response must contain 1 assertion")
	}
	as := assertions[0]
	if checkSignature(root, as, p.certs) != nil && checkSignature(root, root, p.certs) != nil {
		return nil, invalid("Response signature invalid")
	}
	first := func(e *element, path ...string) *element {
		if list := e.find(nsAssertion, path...); len(list) > 0 {
			return list[0]
		}
		return &element{}
	}
	claims := &samlClaims{issuer: first(as, "Issuer").text()}
	if claims.issuer != p.Issuer {
		return nil, invalid("Issuer not present in specified provider")
	}
	instant := func(s string) time.Time {
		t, _ := time.Parse(time.RFC3339Nano, s)
		return t
	}
	issued := instant(as.get("IssueInstant"))
	switch {
	case issued.IsZero() || issued.After(now.Add(5*time.Minute)):
		return nil, invalid("The assertion was issued in the future")
	case now.Sub(issued) > 5*time.Minute:
		return nil, expired("Token must be redeemed within 5 minutes of issuance")
	}
	conditions := first(as, "Conditions")
	if end := instant(conditions.get("NotOnOrAfter")); !end.IsZero() && !now.Before(end) {
		return nil, expired("Token must be redeemed before it expires")
	}
	if start := instant(conditions.get("NotBefore")); start.After(now.Add(5 * time.Minute)) {
		return nil, invalid("The assertion is not valid yet")
	}
	audience := first(conditions, "AudienceRestriction", "Audience").text()
	if !strings.HasPrefix(audience, "urn:amazon:webservices") && audience != "https://signin.aws.amazon.com/saml" {
		return nil, invalid("Incorrect audience: %s", audience)
	}
	name := first(as, "Subject", "NameID")
	claims.subject = name.text()
	claims.subjectType = strings.TrimPrefix(name.get("Format"), "urn:oasis:names:tc:SAML:2.0:nameid-format:")
	if claims.subject == "" {
		return nil, invalid("The assertion names no subject")
	}
	data := first(as, "Subject", "SubjectConfirmation", "SubjectConfirmationData")
	if claims.recipient = data.get("Recipient"); claims.recipient == "" {
		return nil, invalid("The assertion names no recipient")
	}
	if end := instant(data.get("NotOnOrAfter")); end.IsZero() || !now.Before(end) {
		return nil, expired("Token must be redeemed before it expires")
	}
	if len(as.find(nsAssertion, "AuthnStatement")) == 0 {
		return nil, invalid("The assertion has no AuthnStatement")
	}
	claims.sessionEnds = instant(first(as, "AuthnStatement").get("SessionNotOnOrAfter"))
	for _, attr := range as.find(nsAssertion, "AttributeStatement", "Attribute") {
		for _, value := range attr.find(nsAssertion, "AttributeValue") {
			switch attr.get("Name") {
			case "https://aws.amazon.com/SAML/Attributes/Role":
				claims.pairs = append(claims.pairs, value.text())
			case "https://aws.amazon.com/SAML/Attributes/RoleSessionName":
				claims.sessionName = value.text()
			case "https://aws.amazon.com/SAML/Attributes/SessionDuration":
				if n, err := strconv.Atoi(value.text()); err != nil || n < 900 || n > 43200 {
					return nil, invalid("SessionDuration must be an integer from 900 to 43200")
				}
			}
		}
	}
	if n := len(claims.sessionName); n < 2 || n > 64 {
		return nil, invalid("RoleSessionName is required in AuthnResponse")
	}
	if len(claims.pairs) == 0 {
		return nil, invalid("Role is required in AuthnResponse")
	}
	return claims, nil
}

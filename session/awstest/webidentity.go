package awstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

// IdentityProvider is an OpenID Connect provider that an account trusts.
type IdentityProvider struct {
	ARN     string
	Issuer  string
	clients []string
	key     crypto.PublicKey
	signer  *ecdsa.PrivateKey // nil if the key came from outside
	aws     *AWS
}

// OIDCProvider makes an account trust an issuer's tokens for the client IDs.
// The issuer's key is *rsa.PublicKey or *ecdsa.PublicKey (P-256); with a nil
// key the provider makes its own, and Token mints tokens.
func (c *Account) OIDCProvider(issuer string, key crypto.PublicKey, clientIDs ...string) *IdentityProvider {
	host := strings.TrimPrefix(issuer, "https://")
	p := &IdentityProvider{ARN: c.arn("iam", "oidc-provider/"+host), Issuer: issuer, clients: clientIDs, key: key, aws: c.aws}
	if key == nil {
		signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		p.signer, p.key = signer, &signer.PublicKey
	}
	c.aws.mu.Lock()
	defer c.aws.mu.Unlock()
	c.providers[p.Issuer] = p
	return p
}

// Token mints an ES256 token for a subject, good for the first client ID and
// for the lifetime given. The claims are added, and may replace any.
func (p *IdentityProvider) Token(subject string, lifetime time.Duration, claims map[string]any) string {
	p.aws.mu.Lock()
	defer p.aws.mu.Unlock()
	now := p.aws.now()
	all := map[string]any{"iss": p.Issuer, "sub": subject, "aud": p.clients[0], "iat": now.Unix(), "exp": now.Add(lifetime).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("awstest: claims: %v", err))
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p.signer, sum[:])
	if err != nil {
		panic(err) // a P-256 key always signs
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	token := signed + "." + b64(sig)
	p.aws.secrets = append(p.aws.secrets, token)
	return token
}

type claims struct {
	Iss, Sub string
	Aud      oneOrMore[string]
	Azp      string
	Exp, Iat float64
}

// assumeRoleWithWebIdentity follows
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (a *AWS) assumeRoleWithWebIdentity(c *call) (any, error) {
	v := validation{form: c.form}
	in := v.role()
	token := v.text("WebIdentityToken", 4, 20000, "", true)
	if err := v.err(); err != nil {
		return nil, err
	}
	if err := checkRoleARN(in.arn); err != nil {
		return nil, err
	}
	// Tokens are refused before the role is looked at.
	role := a.findRole(in.arn)
	var acct *Account
	if parts := strings.Split(in.arn, ":"); a.accounts[parts[4]] != nil {
		acct = a.accounts[parts[4]]
	}
	p, cl, err := verifyToken(acct, token, c.now)
	if err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(p.Issuer, "https://")
	ctx := c.context()
	ctx.add(host+":sub", cl.Sub)
	// aud is the azp claim where there is one.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
	audience := cl.Azp
	if audience == "" {
		audience = cl.Aud[0]
	}
	ctx.add(host+":aud", audience)
	ctx.add("aws:federatedprovider", p.ARN)
	ctx.add("sts:rolesessionname", in.sessionName)
	if role == nil || !role.trustsFederated(p, ctx) {
		return nil, denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	in.tags = map[string]string{}
	out, err := a.grant(c, role, in, "")
	if err != nil {
		return nil, err
	}
	out.SubjectFromWebIdentityToken, out.Provider, out.Audience = cl.Sub, p.ARN, audience
	return out, nil
}

func (r *Role) trustsFederated(p *IdentityProvider, ctx conditions) bool {
	trusted := false
	for _, s := range r.trust.doc.Statement {
		if !s.matchesAction("sts:AssumeRoleWithWebIdentity") || !slices.Contains(s.Principal["Federated"], p.ARN) || !s.conditionsHold(ctx) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		trusted = true
	}
	return trusted
}

// verifyToken checks a JWT (RFC 7519) signed with RS256 or ES256 (RFC 7518).
func verifyToken(acct *Account, token string, now time.Time) (*IdentityProvider, *claims, error) {
	refused := func(message string) error {
		return &apiError{http.StatusBadRequest, "InvalidIdentityToken", message}
	}
	var header struct{ Alg string }
	var cl claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 || decodeSegment(parts[0], &header) != nil || decodeSegment(parts[1], &cl) != nil {
		return nil, nil, refused("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var p *IdentityProvider
	if acct != nil {
		p = acct.providers[cl.Iss]
	}
	if p == nil {
		return nil, nil, refused("No OpenIDConnect provider found in your account for " + cl.Iss)
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	good := false
	switch key := p.key.(type) {
	case *ecdsa.PublicKey:
		good = err == nil && header.Alg == "ES256" && len(sig) == 64 &&
			ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case *rsa.PublicKey:
		good = err == nil && header.Alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
	}
	if !good {
		return nil, nil, refused("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	}
	switch {
	case !now.Before(time.Unix(int64(cl.Exp), 0)):
		return nil, nil, &apiError{http.StatusBadRequest, "ExpiredTokenException", fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), int64(cl.Exp))}
	case cl.Iat == 0 || cl.Sub == "":
		return nil, nil, refused("Missing a required claim: iat or sub")
	case !slices.ContainsFunc(cl.Aud, func(aud string) bool { return slices.Contains(p.clients, aud) }):
		return nil, nil, refused("Incorrect token audience")
	}
	return p, &cl, nil
}

func decodeSegment(segment string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

package awstest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// principal is whoever signed a request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
type principal struct {
	kind    string // aws:PrincipalType: Account, User, AssumedRole or FederatedUser
	account *Account
	arn     string
	userID  string
	user    *User    // of a user, and behind a federated one
	role    *Role    // of a role session
	session *session // nil for long-term keys
}

// session is a set of temporary credentials.
type session struct {
	id, secret, token string
	issued, expires   time.Time
	principal         principal
	mfa               time.Time // when MFA was given to GetSessionToken; zero if not
	tags              map[string]string
	transitive        []string
	sourceIdentity    string
	policies          []*document // session policies; they only narrow
	hasPolicies       bool
}

func (k *accessKey) principal() *principal {
	if k.user == nil {
		return &principal{kind: "Account", account: k.account, arn: k.account.RootARN(), userID: k.account.ID}
	}
	return &principal{kind: "User", account: k.account, arn: k.user.ARN, userID: k.user.ID, user: k.user}
}

// Identify returns the ARN that credentials stand for, or an error if they are
// not such as AWS gave out, or have expired. It makes no request.
func (a *AWS) Identify(k Key, token string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	secret, who, err := a.lookUp(&authorization{keyID: k.ID, token: token}, "sts", a.now())
	if err != nil {
		return "", err
	}
	if secret != k.Secret {
		return "", notMatching("not the secret of " + k.ID)
	}
	return who.arn, nil
}

// documents are the identity policies that apply to p.
func (p *principal) documents() []*document {
	switch {
	case p.role != nil:
		return p.role.documents()
	case p.user != nil:
		docs := p.user.documents()
		for _, g := range p.user.groups {
			docs = append(docs, g.documents()...)
		}
		return docs
	}
	return nil
}

// decide is what p's own policies say: identity policies, narrowed by session
// policies. A federated user without a session policy may do nothing.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getfederationtoken.html
func (p *principal) decide(action, resource string, ctx conditions) effect {
	verdict := allowed
	if docs := p.documents(); len(docs) > 0 {
		verdict = decide(docs, action, resource, ctx)
	}
	if p.session == nil || !p.session.hasPolicies && p.kind != "FederatedUser" {
		return verdict
	}
	switch narrowed := decide(p.session.policies, action, resource, ctx); {
	case verdict == explicitlyDenied || narrowed == explicitlyDenied:
		return explicitlyDenied
	case narrowed != allowed:
		return silent
	}
	return verdict
}

// authorize refuses a call that the caller's own policies do not allow, in the
// words of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (c *call) authorize(action, resource string) error {
	switch c.who.decide(action, resource, c.context()) {
	case allowed:
		return nil
	case explicitlyDenied:
		return denied(fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s with an explicit deny in an identity-based policy", c.who.arn, action, resource))
	}
	return denied(fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", c.who.arn, action, resource, action))
}

// context is what conditions may ask about.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (c *call) context() conditions {
	ctx := conditions{
		"aws:currenttime":     {c.now.Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(c.now.Unix(), 10)},
		"aws:securetransport": {"false"},
	}
	if c.ip != "" {
		ctx["aws:sourceip"] = []string{c.ip}
	}
	p := c.who
	if p == nil {
		return ctx
	}
	ctx["aws:principalaccount"] = []string{p.account.ID}
	ctx["aws:principaltype"] = []string{p.kind}
	ctx["aws:userid"] = []string{p.userID}
	ctx["aws:principalarn"] = []string{p.arn}
	switch {
	case p.role != nil: // the role's ARN, not the session's
		ctx["aws:principalarn"] = []string{p.role.ARN}
	case p.kind == "User":
		ctx["aws:username"] = []string{p.user.Name}
	}
	s := p.session
	if s == nil {
		return ctx // long-term keys lack aws:MultiFactorAuthPresent altogether
	}
	ctx["aws:tokenissuetime"] = []string{s.issued.Format(time.RFC3339)}
	// The key is there for any temporary credentials, but only those from
	// GetSessionToken ever carry MFA: AssumeRole's do not.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
	ctx["aws:multifactorauthpresent"] = []string{strconv.FormatBool(!s.mfa.IsZero())}
	if !s.mfa.IsZero() {
		ctx["aws:multifactorauthage"] = []string{strconv.Itoa(int(c.now.Sub(s.mfa) / time.Second))}
	}
	if s.sourceIdentity != "" {
		ctx["aws:sourceidentity"] = []string{s.sourceIdentity}
	}
	for k, v := range s.tags {
		ctx["aws:principaltag/"+strings.ToLower(k)] = []string{v}
	}
	return ctx
}

// trusts evaluates a role's trust policy for one action together with the
// caller's own policies: a caller named itself needs no permission of its own
// in the same account; one that is trusted through its account does, and one
// from another account always does.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (r *Role) trusts(p *principal, action string, ctx conditions) bool {
	var named, delegated bool
	for _, s := range r.trust.doc.Statement {
		if !s.matchesAction(action) || !s.conditionsHold(ctx) {
			continue
		}
		direct, account := s.names(p)
		if !direct && !account {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		named = named || direct
		delegated = delegated || account
	}
	own := p.decide(action, r.ARN, ctx)
	if own == explicitlyDenied {
		return false
	}
	if named && p.account == r.account {
		return true
	}
	return (named || delegated) && own == allowed
}

// names reports whether a statement's principal is p itself, or p's account.
func (s *statement) names(p *principal) (itself, account bool) {
	for _, name := range s.Principal["AWS"] {
		switch {
		case name == "*", name == p.arn && p.kind != "Account", p.role != nil && name == p.role.ARN:
			itself = true
		case name == p.account.ID, name == p.account.RootARN():
			account = true
		}
	}
	return itself, account
}

// issue makes temporary credentials that last d, or less if Options say so.
func (a *AWS) issue(s *session, now time.Time, d time.Duration) credentials {
	if a.opt.Lifetime > 0 {
		d = min(d, a.opt.Lifetime)
	}
	s.id, s.secret = "ASIA"+fakeID(), a.newSecret()
	s.token = "awstestFAKETOKEN//////////" + random(300) + "="
	s.issued, s.expires = now.Truncate(time.Second), now.Add(d).Truncate(time.Second)
	s.principal.session = s
	a.sessions[s.id] = s
	a.secrets = append(a.secrets, s.token)
	return credentials{s.id, s.secret, s.token, s.expires.Format(time.RFC3339)}
}

// credentials is the element Credentials of every STS answer.
type credentials struct {
	AccessKeyId, SecretAccessKey, SessionToken, Expiration string
}

// refuseSession enforces what credentials from GetSessionToken and
// GetFederationToken can not do: IAM without MFA, and nothing of STS but
// AssumeRole and GetCallerIdentity.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html,
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func (c *call) refuseSession() error {
	s := c.who.session
	if s == nil {
		return nil
	}
	switch {
	case c.service == "iam" && (c.who.kind == "FederatedUser" || c.who.kind == "User" && s.mfa.IsZero()):
		// The code that IAM really answers: https://github.com/cloudyr/aws.iam/issues/15
		return &apiError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid"}
	case c.service == "sts" && slices.Contains([]string{"GetSessionToken", "GetFederationToken"}, c.action):
		return denied("Cannot call " + c.action + " with session credentials")
	}
	return nil
}

package awstest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sts runs one STS action.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html
func (a *AWS) sts(c *call) (any, error) {
	if v := c.form.Get("Version"); v != stsVersion {
		return nil, &apiError{http.StatusBadRequest, "InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", c.action, v)}
	}
	if c.who != nil {
		if err := c.refuseSession(); err != nil {
			return nil, err
		}
	}
	switch c.action {
	case "GetCallerIdentity":
		// Needs no permission, even against an explicit deny.
		// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
		return struct{ Arn, UserId, Account string }{c.who.arn, c.who.userID, c.who.account.ID}, nil
	case "GetSessionToken":
		return a.getSessionToken(c)
	case "AssumeRole":
		return a.assumeRole(c)
	case "AssumeRoleWithWebIdentity":
		return a.assumeRoleWithWebIdentity(c)
	case "AssumeRoleWithSAML":
		return a.assumeRoleWithSAML(c)
	case "GetFederationToken":
		return a.getFederationToken(c)
	}
	return nil, &apiError{http.StatusBadRequest, "InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", c.action, stsVersion)}
}

// getSessionToken: 900 to 129600 seconds, 43200 unless asked; root gets an hour
// at most.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (a *AWS) getSessionToken(c *call) (any, error) {
	v := validation{form: c.form}
	d := v.number("DurationSeconds", 900, 129600, 43200)
	serial, code := v.mfa()
	if err := v.err(); err != nil {
		return nil, err
	}
	if c.who.kind == "Account" {
		d = min(d, 3600)
	}
	given, err := c.checkMFA(serial, code)
	if err != nil {
		return nil, err
	}
	s := &session{principal: *c.who}
	if given {
		s.mfa = c.now
	}
	return struct{ Credentials credentials }{a.issue(s, c.now, time.Duration(d)*time.Second)}, nil
}

type assumedRole struct {
	Credentials     credentials
	AssumedRoleUser struct{ AssumedRoleId, Arn string }
	// The web identity answer has three more.
	SubjectFromWebIdentityToken string `xml:",omitempty"`
	Provider                    string `xml:",omitempty"`
	Audience                    string `xml:",omitempty"`
	PackedPolicySize            *int   `xml:",omitempty"`
	SourceIdentity              string `xml:",omitempty"`
}

// assumeRole follows
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (a *AWS) assumeRole(c *call) (any, error) {
	v := validation{form: c.form}
	in := v.role()
	in.tags, in.transitive = v.tags()
	externalID := v.text("ExternalId", 2, 1224, `[\w+=,.@:\/-]*`, false)
	sourceIdentity := v.text("SourceIdentity", 2, 64, `[\w+=,.@-]*`, false)
	serial, code := v.mfa()
	if err := v.err(); err != nil {
		return nil, err
	}
	if err := checkRoleARN(in.arn); err != nil {
		return nil, err
	}

	refused := func(action string) error {
		return denied(fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", c.who.arn, action, in.arn))
	}
	switch c.who.kind {
	case "Account":
		return nil, denied("Roles may not be assumed by root accounts.")
	case "FederatedUser":
		return nil, refused("sts:AssumeRole")
	}
	given, err := c.checkMFA(serial, code)
	if err != nil {
		return nil, err
	}

	// Transitive tags and the source identity stay through a chain.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining,
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
	if parent := c.who.session; parent != nil {
		for _, k := range parent.transitive {
			if hasKey(in.tags, k) {
				return nil, &apiError{http.StatusBadRequest, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session."}
			}
			in.tags[k] = parent.tags[k]
			in.transitive = append(in.transitive, k)
		}
		if parent.sourceIdentity != "" {
			if sourceIdentity != "" && sourceIdentity != parent.sourceIdentity {
				return nil, refused("sts:SetSourceIdentity")
			}
			sourceIdentity = parent.sourceIdentity
		}
	}

	ctx := c.context()
	if given {
		ctx["aws:multifactorauthpresent"] = []string{"true"}
		ctx["aws:multifactorauthage"] = []string{"0"}
	}
	ctx.add("sts:externalid", externalID)
	ctx.add("sts:rolesessionname", in.sessionName)
	ctx.add("sts:sourceidentity", sourceIdentity)
	in.addTags(ctx)

	role := a.findRole(in.arn)
	actions := []string{"sts:AssumeRole"}
	if len(in.tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if sourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		// A role that does not exist is refused like one that may not be assumed.
		if role == nil || !role.trusts(c.who, action, ctx) {
			return nil, refused(action)
		}
	}
	// Whatever role it is, one assumed with temporary credentials lasts an hour
	// at most; those of GetSessionToken count.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html (role chaining),
	// https://github.com/mmmorris1975/aws-runas/issues/11
	if c.who.session != nil && in.duration > time.Hour {
		return nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return a.grant(c, role, in, sourceIdentity)
}

// grant issues a role session once everything but its length is checked.
func (a *AWS) grant(c *call, role *Role, in roleInput, sourceIdentity string) (*assumedRole, error) {
	if in.duration > role.maxSession {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	s := &session{
		principal: principal{
			kind:    "AssumedRole",
			account: role.account,
			arn:     role.account.arn("sts", "assumed-role/"+role.Name+"/"+in.sessionName),
			userID:  role.ID + ":" + in.sessionName,
			role:    role,
		},
		tags: in.tags, transitive: in.transitive, sourceIdentity: sourceIdentity,
	}
	if err := s.narrow(role.account, in); err != nil {
		return nil, err
	}
	out := &assumedRole{Credentials: a.issue(s, c.now, in.duration), SourceIdentity: sourceIdentity}
	out.AssumedRoleUser.Arn, out.AssumedRoleUser.AssumedRoleId = s.principal.arn, s.principal.userID
	if percent := in.packed(); percent > 0 {
		out.PackedPolicySize = &percent
	}
	return out, nil
}

// getFederationToken: long-term keys only, 900 to 129600 seconds.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func (a *AWS) getFederationToken(c *call) (any, error) {
	v := validation{form: c.form}
	name := v.text("Name", 2, 32, `[\w+=,.@-]*`, true)
	in := roleInput{duration: time.Duration(v.number("DurationSeconds", 900, 129600, 43200)) * time.Second}
	v.policies(&in)
	in.tags, _ = v.tags()
	if err := v.err(); err != nil {
		return nil, err
	}
	if c.who.kind == "Account" {
		in.duration = min(in.duration, time.Hour)
	}
	arn := c.who.account.arn("sts", "federated-user/"+name)
	if err := c.authorize("sts:GetFederationToken", arn); err != nil {
		return nil, err
	}
	s := &session{
		principal: principal{kind: "FederatedUser", account: c.who.account, arn: arn, userID: c.who.account.ID + ":" + name, user: c.who.user},
		tags:      in.tags,
	}
	if err := s.narrow(c.who.account, in); err != nil {
		return nil, err
	}
	return struct {
		Credentials      credentials
		FederatedUser    struct{ FederatedUserId, Arn string }
		PackedPolicySize int
	}{a.issue(s, c.now, in.duration), struct{ FederatedUserId, Arn string }{s.principal.userID, arn}, in.packed()}, nil
}

// checkMFA reports whether MFA was given and right. The device has to be the
// calling user's own. The messages are STS's:
// https://github.com/aws/aws-cli/issues/6325, https://github.com/aws/aws-cli/issues/2279,
// https://github.com/y13i/sgviz/issues/9
func (c *call) checkMFA(serial, code string) (bool, error) {
	switch {
	case serial == "" && code == "":
		return false, nil
	case serial == "" || code == "":
		return false, denied("MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.")
	}
	if c.who.kind == "User" {
		for _, d := range c.who.user.devices {
			if d.Serial != serial {
				continue
			}
			if !d.accept(code, c.now) {
				return false, denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
			}
			return true, nil
		}
	}
	return false, denied("MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
}

func (a *AWS) findRole(arn string) *Role {
	for _, acct := range a.accounts {
		for _, r := range acct.roles {
			if r.ARN == arn {
				return r
			}
		}
	}
	return nil
}

// roleInput is what the AssumeRole calls have in common.
type roleInput struct {
	arn, sessionName string
	duration         time.Duration
	policy           string
	policyARNs       []string
	tags             map[string]string
	transitive       []string
}

// narrow gives the session its session policies.
func (s *session) narrow(acct *Account, in roleInput) error {
	if in.packed() > 100 {
		return &apiError{http.StatusBadRequest, "PackedPolicyTooLarge", fmt.Sprintf("Packed size of session policies and tags consumes %d%% of allotted space.", in.packed())}
	}
	if in.policy != "" {
		d, err := parsePolicy(in.policy, false)
		if err != nil {
			return &apiError{http.StatusBadRequest, "MalformedPolicyDocument", "The policy is not in the valid JSON format."}
		}
		s.policies, s.hasPolicies = append(s.policies, d), true
	}
	for _, arn := range in.policyARNs {
		m := acct.policies[arn]
		if m == nil {
			return &apiError{http.StatusBadRequest, "ValidationError", "The policy " + arn + " does not exist."}
		}
		s.policies, s.hasPolicies = append(s.policies, m.doc), true
	}
	return nil
}

// packed is PackedPolicySize in per cent. How AWS packs is not published; this
// is the plain size, of twice the 2048 characters that a policy may have.
func (in *roleInput) packed() int {
	n := len(in.policy)
	for _, arn := range in.policyARNs {
		n += len(arn)
	}
	for k, v := range in.tags {
		n += len(k) + len(v)
	}
	return (n*100 + 4095) / 4096
}

func (in *roleInput) addTags(ctx conditions) {
	for _, k := range slices.Sorted(maps.Keys(in.tags)) {
		ctx["aws:requesttag/"+strings.ToLower(k)] = []string{in.tags[k]}
		ctx["aws:tagkeys"] = append(ctx["aws:tagkeys"], k)
	}
	if len(in.transitive) > 0 {
		ctx["sts:transitivetagkeys"] = in.transitive
	}
}

func (ctx conditions) add(key, value string) {
	if value != "" {
		ctx[key] = []string{value}
	}
}

// invalid is a ValidationError, the code of every parameter that is wrong in
// itself.
func invalid(message string) *apiError {
	return &apiError{http.StatusBadRequest, "ValidationError", message}
}

// validation collects what is wrong with parameters and words it as AWS does:
// https://github.com/mmmorris1975/aws-runas/issues/80
type validation struct {
	form     url.Values
	problems []string
}

func (v *validation) err() error {
	switch n := len(v.problems); n {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: " + v.problems[0])
	default:
		return invalid(fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(v.problems, "; ")))
	}
}

func (v *validation) failed(name, value, constraint string) {
	name = strings.ToLower(name[:1]) + name[1:]
	v.problems = append(v.problems, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: Member must %s", value, name, constraint))
}

// text returns a parameter of shortest to longest characters of a pattern.
func (v *validation) text(name string, shortest, longest int, pattern string, required bool) string {
	if !v.form.Has(name) {
		if required {
			v.failed(name, "null", "not be null")
		}
		return ""
	}
	s := v.form.Get(name)
	quoted := "'" + s + "'"
	if pattern != "" && !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(s) {
		v.failed(name, quoted, "satisfy regular expression pattern: "+pattern)
	}
	if n := len([]rune(s)); n < shortest {
		v.failed(name, quoted, "have length greater than or equal to "+strconv.Itoa(shortest))
	} else if n > longest {
		v.failed(name, quoted, "have length less than or equal to "+strconv.Itoa(longest))
	}
	return s
}

func (v *validation) number(name string, least, most, fallback int) int {
	if !v.form.Has(name) {
		return fallback
	}
	s := v.form.Get(name)
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		v.failed(name, "'"+s+"'", "be an integer")
	case n < least:
		v.failed(name, "'"+s+"'", "have value greater than or equal to "+strconv.Itoa(least))
	case n > most:
		v.failed(name, "'"+s+"'", "have value less than or equal to "+strconv.Itoa(most))
	}
	return n
}

func (v *validation) mfa() (serial, code string) {
	return v.text("SerialNumber", 9, 256, `[\w+=/:,.@-]*`, false), v.text("TokenCode", 6, 6, `[\d]*`, false)
}

// role reads what all AssumeRole calls take.
func (v *validation) role() roleInput {
	in := roleInput{
		arn:         v.text("RoleArn", 20, 2048, "", true),
		sessionName: v.text("RoleSessionName", 2, 64, `[\w+=,.@-]*`, true),
		duration:    time.Duration(v.number("DurationSeconds", 900, 43200, 3600)) * time.Second,
	}
	v.policies(&in)
	return in
}

func (v *validation) policies(in *roleInput) {
	in.policy = v.text("Policy", 1, 2048, "", false)
	for i := 1; v.form.Has(fmt.Sprintf("PolicyArns.member.%d.arn", i)); i++ {
		in.policyARNs = append(in.policyARNs, v.form.Get(fmt.Sprintf("PolicyArns.member.%d.arn", i)))
	}
	if len(in.policyARNs) > 10 {
		v.failed("PolicyArns", "'"+strings.Join(in.policyARNs, ", ")+"'", "have length less than or equal to 10")
	}
}

// tags reads session tags: 50 at most, and only those may be transitive.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func (v *validation) tags() (map[string]string, []string) {
	tags := map[string]string{}
	for i := 1; v.form.Has(fmt.Sprintf("Tags.member.%d.Key", i)); i++ {
		prefix := fmt.Sprintf("Tags.member.%d.", i)
		const pattern = `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`
		key := v.text(prefix+"Key", 1, 128, pattern, true)
		if hasKey(tags, key) {
			v.problems = append(v.problems, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags[key] = v.text(prefix+"Value", 0, 256, pattern, true)
	}
	if len(tags) > 50 {
		v.failed("Tags", "'"+strconv.Itoa(len(tags))+" tags'", "have length less than or equal to 50")
	}
	var transitive []string
	for i := 1; v.form.Has(fmt.Sprintf("TransitiveTagKeys.member.%d", i)); i++ {
		key := v.form.Get(fmt.Sprintf("TransitiveTagKeys.member.%d", i))
		if !hasKey(tags, key) {
			v.problems = append(v.problems, "One of the specified transitive tag keys is not among the session tags: "+key)
		}
		transitive = append(transitive, key)
	}
	return tags, transitive
}

// checkRoleARN refuses what is no role's ARN at all.
func checkRoleARN(arn string) error {
	if !regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`).MatchString(arn) {
		return invalid(arn + " is invalid")
	}
	return nil
}

func hasKey(tags map[string]string, key string) bool {
	for k := range tags {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

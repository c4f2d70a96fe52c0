package awstest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// iam runs one IAM action. The answers list at most 100 things at a time.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
func (a *AWS) iam(c *call) (any, error) {
	if err := c.refuseSession(); err != nil {
		return nil, err
	}
	switch c.action {
	case "GetUser", "ListMFADevices", "ListAccessKeys", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey",
		"ListUserPolicies", "GetUserPolicy", "ListAttachedUserPolicies", "ListGroupsForUser":
		return a.iamUser(c)
	case "ListGroupPolicies", "GetGroupPolicy", "ListAttachedGroupPolicies":
		name := c.form.Get("GroupName")
		g := c.who.account.groups[name]
		if g == nil {
			return nil, noSuchEntity("The group with name %s cannot be found.", name)
		}
		if err := c.authorize("iam:"+c.action, g.ARN); err != nil {
			return nil, err
		}
		return g.answer(c, inlinePolicy{GroupName: g.Name})
	case "GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies":
		return a.iamRole(c)
	case "GetPolicy", "GetPolicyVersion":
		return a.iamPolicy(c)
	case "CreateSAMLProvider":
		return a.createSAMLProvider(c)
	}
	return nil, &apiError{http.StatusBadRequest, "InvalidAction", fmt.Sprintf("Could not find operation %s for version %s", c.action, iamVersion)}
}

func noSuchEntity(format string, name string) error {
	return &apiError{http.StatusNotFound, "NoSuchEntity", fmt.Sprintf(format, name)}
}

func iamTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (a *AWS) iamUser(c *call) (any, error) {
	// UserName defaults to the caller, who then has to be a user.
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html
	u := c.who.user
	if name := c.form.Get("UserName"); name != "" {
		if u = c.who.account.users[name]; u == nil {
			return nil, noSuchEntity("The user with name %s cannot be found.", name)
		}
	} else if u == nil {
		return nil, invalid("Must specify userName when calling with non-User credentials")
	}
	if err := c.authorize("iam:"+c.action, u.ARN); err != nil {
		return nil, err
	}
	switch c.action {
	case "GetUser":
		type user struct{ Path, UserName, UserId, Arn, CreateDate string }
		return struct{ User user }{user{u.Path, u.Name, u.ID, u.ARN, iamTime(u.created)}}, nil
	case "ListMFADevices":
		type device struct{ UserName, SerialNumber, EnableDate string }
		return page(c, "MFADevices", u.devices, func(d *MFADevice) device { return device{u.Name, d.Serial, iamTime(d.enabled)} })
	case "ListAccessKeys":
		type key struct{ UserName, AccessKeyId, Status, CreateDate string }
		return page(c, "AccessKeyMetadata", u.keys, func(k *accessKey) key { return key{u.Name, k.id, k.status(), iamTime(k.created)} })
	case "CreateAccessKey":
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
		if len(u.keys) >= 2 {
			return nil, &apiError{http.StatusConflict, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"}
		}
		k := a.newKey(&accessKey{account: u.account, user: u})
		type key struct{ UserName, AccessKeyId, Status, SecretAccessKey, CreateDate string }
		return struct{ AccessKey key }{key{u.Name, k.ID, "Active", k.Secret, iamTime(c.now)}}, nil
	case "UpdateAccessKey", "DeleteAccessKey":
		return nil, a.changeKey(c, u)
	case "ListGroupsForUser":
		type group struct{ Path, GroupName, GroupId, Arn, CreateDate string }
		return page(c, "Groups", u.groups, func(g *Group) group { return group{g.Path, g.Name, g.ID, g.ARN, iamTime(g.created)} })
	}
	return u.answer(c, inlinePolicy{UserName: u.Name})
}

func (k *accessKey) status() string {
	if k.active {
		return "Active"
	}
	return "Inactive"
}

func (a *AWS) changeKey(c *call, u *User) error {
	id := c.form.Get("AccessKeyId")
	i := slices.IndexFunc(u.keys, func(k *accessKey) bool { return k.id == id })
	if i < 0 {
		return noSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	if c.action == "DeleteAccessKey" {
		delete(a.keys, id)
		u.keys = slices.Delete(u.keys, i, i+1)
		return nil
	}
	switch status := c.form.Get("Status"); status {
	case "Active", "Inactive":
		u.keys[i].active = status == "Active"
		return nil
	default:
		v := validation{}
		v.failed("Status", "'"+status+"'", "satisfy enum value set: [Active, Inactive]")
		return v.err()
	}
}

func (a *AWS) iamRole(c *call) (any, error) {
	name := c.form.Get("RoleName")
	r := c.who.account.roles[name]
	if r == nil {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	if err := c.authorize("iam:"+c.action, r.ARN); err != nil {
		return nil, err
	}
	if c.action == "GetRole" {
		type role struct {
			Path, RoleName, RoleId, Arn, CreateDate, AssumeRolePolicyDocument string
			MaxSessionDuration                                                int
		}
		return struct{ Role role }{role{r.Path, r.Name, r.ID, r.ARN, iamTime(r.created), uriEncode(r.trust.text, ""), int(r.maxSession / time.Second)}}, nil
	}
	return r.answer(c, inlinePolicy{RoleName: r.Name})
}

// inlinePolicy is a policy with its owner, one of the three.
type inlinePolicy struct {
	UserName                   string `xml:",omitempty"`
	GroupName                  string `xml:",omitempty"`
	RoleName                   string `xml:",omitempty"`
	PolicyName, PolicyDocument string
}

// answer serves List…Policies, Get…Policy and ListAttached…Policies of a user,
// group or role. Policies travel percent-encoded.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUserPolicy.html
func (p *permissions) answer(c *call, out inlinePolicy) (any, error) {
	switch c.action {
	case "ListUserPolicies", "ListGroupPolicies", "ListRolePolicies":
		names := slices.Sorted(maps.Keys(p.inline))
		return page(c, "PolicyNames", names, func(n string) string { return n })
	case "GetUserPolicy", "GetGroupPolicy", "GetRolePolicy":
		name := c.form.Get("PolicyName")
		t, ok := p.inline[name]
		if !ok {
			return nil, noSuchEntity("The policy with name %s cannot be found.", name)
		}
		out.PolicyName, out.PolicyDocument = name, uriEncode(t.text, "")
		return out, nil
	}
	type policy struct{ PolicyName, PolicyArn string }
	sorted := slices.SortedFunc(slices.Values(p.attached), func(x, y *managedPolicy) int { return cmp.Compare(x.arn, y.arn) })
	return page(c, "AttachedPolicies", sorted, func(m *managedPolicy) policy { return policy{m.name, m.arn} })
}

func (a *AWS) iamPolicy(c *call) (any, error) {
	arn := c.form.Get("PolicyArn")
	m := c.who.account.policies[arn]
	if m == nil {
		return nil, noSuchEntity("Policy %s does not exist or is not attachable.", arn)
	}
	if err := c.authorize("iam:"+c.action, arn); err != nil {
		return nil, err
	}
	if c.action == "GetPolicy" {
		type policy struct{ PolicyName, Arn, DefaultVersionId string }
		return struct{ Policy policy }{policy{m.name, arn, "v1"}}, nil
	}
	if id := c.form.Get("VersionId"); id != "v1" {
		return nil, noSuchEntity("Policy "+arn+" version %s does not exist or is not attachable.", id)
	}
	type version struct {
		Document, VersionId string
		IsDefaultVersion    bool
	}
	return struct{ PolicyVersion version }{version{uriEncode(m.text, ""), "v1", true}}, nil
}

// list is part of a list, as XML: its members, and whether and where it goes on.
type list[T any] struct {
	name   string
	items  []T
	marker string
}

func (l list[T]) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type element struct {
		name  string
		value any
	}
	parts := []element{
		{l.name, struct {
			Member []T `xml:"member"`
		}{l.items}},
		{"IsTruncated", l.marker != ""},
	}
	if l.marker != "" {
		parts = append(parts, element{"Marker", l.marker})
	}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, p := range parts {
		if err := e.EncodeElement(p.value, xml.StartElement{Name: xml.Name{Local: p.name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// page cuts a list by Marker and MaxItems, 100 unless asked.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html
func page[S, T any](c *call, name string, all []S, show func(S) T) (any, error) {
	v := validation{form: c.form}
	size := v.number("MaxItems", 1, 1000, 100)
	if err := v.err(); err != nil {
		return nil, err
	}
	start := 0
	if marker := c.form.Get("Marker"); marker != "" {
		var err error
		if start, err = strconv.Atoi(marker); err != nil || start < 0 || start > len(all) {
			return nil, invalid("Invalid Marker.")
		}
	}
	l := list[T]{name: name}
	end := min(start+size, len(all))
	for _, item := range all[start:end] {
		l.items = append(l.items, show(item))
	}
	if end < len(all) {
		l.marker = strconv.Itoa(end)
	}
	return l, nil
}

package awstest

import "time"

// World is a small AWS for demonstrations: two accounts, one user with MFA, and
// a role of each kind.
type World struct {
	*AWS
	User *User      // "demo", in the default account
	Key  Key        // its access key
	MFA  *MFADevice // its MFA device

	Admin    *Role // asks for MFA
	ReadOnly *Role // asks for MFA; may only list buckets
	Prod     *Role // asks for MFA; in the other account, up to four hours
	Partner  *Role // asks for ExternalID; in the other account
	Deploy   *Role // trusts Admin alone: a chain

	ExternalID string
}

// Demo returns a new World, not yet started.
func Demo(o Options) *World {
	a := New(o)
	home, other := a.Default(), a.Account("210987654321")
	u := home.User("demo")
	w := &World{AWS: a, User: u, Key: u.AddKey(), MFA: u.AddMFA("demo"), ExternalID: "partner-4711"}

	w.Admin = home.Role("Admin", Trust(RequireMFA(), home.RootARN()))
	w.ReadOnly = home.Role("ReadOnly", Trust(RequireMFA(), home.RootARN()))
	w.Prod = other.Role("Prod", Trust(RequireMFA(), home.RootARN())).SetMaxSession(4 * time.Hour)
	w.Partner = other.Role("Partner", Trust(RequireExternalID(w.ExternalID), home.RootARN()))
	w.Deploy = other.Role("Deploy", Trust(nil, w.Admin.ARN))
	w.ReadOnly.Put("list", Allow([]string{"s3:ListAllMyBuckets"}, []string{"*"}))

	engineers := home.Group("engineers")
	engineers.Put("assume", Allow([]string{"sts:AssumeRole"}, []string{w.Admin.ARN, w.ReadOnly.ARN, w.Prod.ARN, w.Partner.ARN}))
	u.Join(engineers)
	u.Put("self", Allow([]string{"iam:*"}, []string{home.arn("iam", "user/${aws:username}"), engineers.ARN}))
	u.Put("buckets", Allow([]string{"s3:ListAllMyBuckets"}, []string{"*"}))

	home.Bucket("awsrunas-demo-photos")
	other.Bucket("awsrunas-prod-invoices")
	return w
}

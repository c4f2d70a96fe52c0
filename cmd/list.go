package cmd

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"aws-runas/session"
	"aws-runas/session/profile"
)

type listCmd struct {
	Profiles listProfilesCmd `cmd:"" help:"List the configured profiles."`
	Roles    listRolesCmd    `cmd:"" help:"List the roles that an identity provider offers."`
	Keys     listKeysCmd     `cmd:"" help:"List the access keys in the keyring."`
}

type listProfilesCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *listProfilesCmd) Run(a *app) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	list := config.Summaries()
	if len(list) == 0 {
		a.say("no profile is configured in %s", config.ConfigFile())
	}
	if c.JSON {
		return a.printJSON(slices.DeleteFunc(list, func(s profile.Summary) bool { return a.noJSON(s.Name, s.SourceProfile) }))
	}
	rows := [][]string{{"PROFILE", "ACCOUNT", "ROLE", "REGION", "SOURCE"}}
	for _, s := range list {
		rows = append(rows, []string{s.Name, dash(s.Account), dash(roleName(s)), dash(s.Region), dash(s.SourceProfile)})
	}
	return a.table(rows...)
}

// roleName is the name of the role that a profile takes.
func roleName(s profile.Summary) string {
	if s.RoleARN == "" {
		return s.SSORoleName
	}
	return identity(s.RoleARN)
}

type listKeysCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *listKeysCmd) Run(a *app) error {
	ctx, stop := interruptible()
	defer stop()
	keys, err := a.keychain().Keys(ctx)
	if err != nil {
		return err
	}
	type row struct {
		Name        string `json:"name"`
		AccessKeyID string `json:"access_key_id"`
		ARN         string `json:"arn,omitempty"`
	}
	rows := []row{}
	for _, key := range keys {
		kind, name := kindAndName(key)
		if kind != session.KindKey {
			continue
		}
		k, err := session.Get[session.Credentials](ctx, a.keychain(), session.UserKey(name))
		if missing(err) {
			continue // damaged, which has been said
		} else if err != nil {
			return err
		}
		rows = append(rows, row{name, k.AccessKeyID, k.ARN})
	}
	if c.JSON {
		return a.printJSON(slices.DeleteFunc(rows, func(r row) bool { return a.noJSON(r.Name) }))
	}
	table := [][]string{{"NAME", "ACCESS KEY", "IDENTITY"}}
	for _, r := range rows {
		table = append(table, []string{r.Name, r.AccessKeyID, dash(r.ARN)})
	}
	return a.table(table...)
}

// noJSON reports, and says, that a profile is named in a way which JSON cannot
// carry: its strings are UTF-8, and another name would be another profile.
func (a *app) noJSON(names ...string) bool {
	for _, name := range names {
		if !utf8.ValidString(name) {
			a.say("warning: profile %q is left out: its name is no UTF-8, which JSON demands", name)
			return true
		}
	}
	return false
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

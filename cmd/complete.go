package cmd

import (
	"iter"
	"runtime/debug"
	"slices"
	"strings"

	"aws-runas/completions"
	"aws-runas/keychain"
	"aws-runas/session/profile"
	"aws-runas/session/saml"
	"aws-runas/shell"
)

// completeCmd is what the completion scripts call at each TAB.
type completeCmd struct {
	Args []string `arg:"" optional:""`
}

func (c *completeCmd) Run(a *app) error {
	// kong looks at the fields of all it is given, which costs more than the
	// completion: a command that is not on the line is a name and a help text.
	known := grammar()
	for i := range known {
		if known[i].name != "exec" && !slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, known[i].name) }) {
			known[i].target = &struct{}{}
		}
	}
	debug.SetGCPercent(800) // it is done in milliseconds; there is nothing to tidy up for
	var root struct{ globals }
	parser, err := a.parserOf(&root, known...)
	if err != nil {
		return err
	}
	g := completions.Grammar{
		Model: parser.Model, Default: "exec", Values: a.completionValues(),
		CommandFirst: a.commandFirst,
		Function: []completions.Candidate{
			{Value: "-", Description: "back to the profile before"},
			{Value: "off", Description: "take back what was exported"},
		},
	}
	return g.Complete(a.Out, c.Args)
}

// completionValues are the sources that the grammar names.
func (a *app) completionValues() map[string]func(string) []completions.Candidate {
	list := func(values func() []string) func(string) []completions.Candidate {
		return func(string) []completions.Candidate { return candidates(values()) }
	}
	return map[string]func(string) []completions.Candidate{
		"profile":  a.profileCandidates,
		"key":      a.profileCandidates,
		"shell":    list(shell.Dialects),
		"hooked":   list(completions.Shells),
		"keyring":  list(keychain.Backends),
		"output":   list(func() []string { return []string{"env", "json", "dotenv"} }),
		"mfatype":  list(func() []string { return []string{"auto", "code", "push", "none"} }),
		"provider": list(saml.Providers),
		"sso":      list(a.ssoSessions),
		"region":   a.regionCandidates,
		"role":     a.roleCandidates,
		"mfa":      a.mfaCandidates,
	}
}

func candidates(values []string) []completions.Candidate {
	list := make([]completions.Candidate, len(values))
	for i, v := range values {
		list[i].Value = v
	}
	return list
}

// summaries reads the config for a completion, where nothing may be said.
func (a *app) summaries(prefix string) iter.Seq[profile.Summary] {
	config, err := profile.Load(a.env.Lookup, a.home())
	if err != nil {
		return func(func(profile.Summary) bool) {}
	}
	return config.SummariesOf(prefix)
}

func (a *app) ssoSessions() []string {
	config, err := profile.Load(a.env.Lookup, a.home())
	if err != nil {
		return nil
	}
	return config.SSOSessions()
}

func (a *app) profileCandidates(prefix string) []completions.Candidate {
	var list []completions.Candidate
	for s := range a.summaries(prefix) {
		list = append(list, completions.Candidate{Value: s.Name, Description: describe(s)})
	}
	return list
}

// describe says what a profile is in a few words.
func describe(s profile.Summary) string {
	parts := make([]string, 0, 3)
	for _, part := range [...]string{s.Account, roleName(s), s.Region} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}

func (a *app) roleCandidates(string) []completions.Candidate {
	return a.distinct(func(s profile.Summary) string { return s.RoleARN })
}

func (a *app) mfaCandidates(string) []completions.Candidate {
	return a.distinct(func(s profile.Summary) string { return s.MFASerial })
}

// regionCandidates are the regions in use first, then the rest.
func (a *app) regionCandidates(string) []completions.Candidate {
	used := a.distinct(func(s profile.Summary) string { return s.Region })
	for _, r := range regions {
		known := false
		for _, u := range used {
			known = known || u.Value == r
		}
		if !known {
			used = append(used, completions.Candidate{Value: r})
		}
	}
	return used
}

// distinct are the values of a setting, each with the first profile that has it.
func (a *app) distinct(value func(profile.Summary) string) []completions.Candidate {
	var list []completions.Candidate
	seen := map[string]bool{"": true}
	for s := range a.summaries("") {
		if v := value(s); !seen[v] {
			seen[v] = true
			list = append(list, completions.Candidate{Value: v, Description: s.Name})
		}
	}
	return list
}

// commandFirst reports whether a word is the wrapped command already, since the
// profile is in the environment.
func (a *app) commandFirst(word string) bool {
	if a.env.Get("AWS_PROFILE") == "" && a.env.Get("AWS_DEFAULT_PROFILE") == "" || profile.IsRoleARN(word) {
		return false
	}
	config, err := profile.Load(a.env.Lookup, a.home())
	return err == nil && !config.Has(word)
}

// regions are those that are on in every account, and those of the other
// partitions; an account's own are in its profiles.
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regions = []string{
	"us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
	"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3",
	"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
	"cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1",
}

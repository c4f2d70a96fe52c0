package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The part of the policy language that trust policies, session policies and
// the permissions of a credential tool's users are written in.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

type document struct {
	Version   string
	Statement oneOrMore[statement]
}

type statement struct {
	Sid, Effect       string
	Principal         principals
	Action, NotAction oneOrMore[string]
	Resource          oneOrMore[string]
	NotResource       oneOrMore[string]
	Condition         map[string]map[string]oneOrMore[scalar]
	NotPrincipal      json.RawMessage // refused: nothing here needs it
}

// oneOrMore accepts a value or a list of them, as the grammar does.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return strictJSON(b, (*[]T)(l))
	}
	*l = make([]T, 1)
	return strictJSON(b, &(*l)[0])
}

// strictJSON refuses members that it does not know: a misspelt element would
// otherwise widen a policy.
func strictJSON(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// scalar is a condition's value: "true" and true mean the same.
type scalar string

func (s *scalar) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, (*string)(s))
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v.(type) {
	case bool, float64:
		*s = scalar(b)
		return nil
	}
	return fmt.Errorf("condition value %s is no string, number or bool", b)
}

// principals maps AWS, Federated and Service to names. "*" alone stands for
// {"AWS": "*"}.
type principals map[string]oneOrMore[string]

func (p *principals) UnmarshalJSON(b []byte) error {
	if string(b) == `"*"` {
		*p = principals{"AWS": {"*"}}
		return nil
	}
	return json.Unmarshal(b, (*map[string]oneOrMore[string])(p))
}

// parsePolicy reads a policy. A trust policy names principals and no resource;
// the others do the reverse.
func parsePolicy(text string, trust bool) (*document, error) {
	var d document
	if !json.Valid([]byte(text)) { // the decoder below would not mind what comes after
		return nil, fmt.Errorf("policy: not JSON")
	}
	if err := strictJSON([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if d.Version != "2012-10-17" && d.Version != "2008-10-17" {
		return nil, fmt.Errorf("policy: version %q", d.Version)
	}
	if len(d.Statement) == 0 {
		return nil, fmt.Errorf("policy: no statement")
	}
	for _, s := range d.Statement {
		resources := len(s.Resource) + len(s.NotResource)
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("policy: effect %q", s.Effect)
		case (len(s.Action) == 0) == (len(s.NotAction) == 0):
			return nil, fmt.Errorf("policy: a statement needs either Action or NotAction")
		case s.NotPrincipal != nil:
			return nil, fmt.Errorf("policy: NotPrincipal is not supported")
		case trust && (len(s.Principal) == 0 || resources > 0):
			return nil, fmt.Errorf("policy: a trust policy has a Principal and no Resource")
		case !trust && (s.Principal != nil || resources == 0):
			return nil, fmt.Errorf("policy: an identity policy has a Resource and no Principal")
		}
		for _, name := range s.Principal["AWS"] {
			// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
			if name != "*" && strings.ContainsAny(name, "*?") {
				return nil, fmt.Errorf("policy: invalid principal %q: no wildcard inside an ARN", name)
			}
		}
		for op := range s.Condition {
			if _, err := parseOperator(op); err != nil {
				return nil, err
			}
		}
	}
	return &d, nil
}

// conditions are the request's context keys, in lower case.
type conditions map[string][]string

type effect int

const (
	silent effect = iota
	allowed
	explicitlyDenied
)

// decide is the verdict of identity or session policies together.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func decide(policies []*document, action, resource string, ctx conditions) effect {
	verdict := silent
	for _, d := range policies {
		for _, s := range d.Statement {
			if !s.matchesAction(action) || !s.matchesResource(resource, ctx) || !s.conditionsHold(ctx) {
				continue
			}
			if s.Effect == "Deny" {
				return explicitlyDenied
			}
			verdict = allowed
		}
	}
	return verdict
}

func (s *statement) matchesAction(action string) bool {
	matches := func(pattern string) bool { return like(strings.ToLower(pattern), strings.ToLower(action)) }
	if len(s.NotAction) > 0 {
		return !slices.ContainsFunc(s.NotAction, matches)
	}
	return slices.ContainsFunc(s.Action, matches)
}

func (s *statement) matchesResource(resource string, ctx conditions) bool {
	matches := func(pattern string) bool { return like(expand(pattern, ctx), resource) }
	if len(s.NotResource) > 0 {
		return !slices.ContainsFunc(s.NotResource, matches)
	}
	return slices.ContainsFunc(s.Resource, matches)
}

// operator is a condition operator taken apart.
type operator struct {
	name             string
	negated          bool
	ifExists         bool
	forAll, forAny   bool
	compare          func(want, got string) bool
	comparesPresence bool
}

// parseOperator knows the operators of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
// that make sense for the keys here.
func parseOperator(text string) (operator, error) {
	var o operator
	name := text
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		name, o.forAll = rest, true
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		name, o.forAny = rest, true
	}
	name, o.ifExists = strings.CutSuffix(name, "IfExists")
	o.name = name
	switch name {
	case "StringEquals", "StringNotEquals":
		o.compare = func(want, got string) bool { return want == got }
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "Bool":
		o.compare = strings.EqualFold
	case "StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		o.compare = like
	case "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals":
		order := strings.TrimPrefix(name, "Numeric")
		o.compare = func(want, got string) bool {
			w, err1 := strconv.ParseFloat(want, 64)
			g, err2 := strconv.ParseFloat(got, 64)
			return err1 == nil && err2 == nil && ordered(order, g-w)
		}
	case "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals":
		order := strings.TrimPrefix(name, "Date")
		o.compare = func(want, got string) bool {
			w, err1 := time.Parse(time.RFC3339, want)
			g, err2 := time.Parse(time.RFC3339, got)
			return err1 == nil && err2 == nil && ordered(order, g.Sub(w).Seconds())
		}
	case "Null":
		o.comparesPresence = true
	default:
		return o, fmt.Errorf("policy: condition operator %q is not supported", text)
	}
	o.negated = strings.Contains(name, "Not")
	return o, nil
}

func ordered(order string, difference float64) bool {
	switch order {
	case "LessThan":
		return difference < 0
	case "LessThanEquals":
		return difference <= 0
	case "GreaterThan":
		return difference > 0
	case "GreaterThanEquals":
		return difference >= 0
	}
	return difference == 0 // Equals, and NotEquals, which is negated afterwards
}

func (s *statement) conditionsHold(ctx conditions) bool {
	for _, op := range slices.Sorted(maps.Keys(s.Condition)) {
		o, err := parseOperator(op)
		if err != nil {
			return false // parsePolicy has refused it
		}
		for key, want := range s.Condition[op] {
			if !o.holds(want, ctx[strings.ToLower(key)], ctx) {
				return false
			}
		}
	}
	return true
}

// holds compares the wanted values, any of which will do, with the request's.
// A key that is missing fails every operator but the negated ones, ...IfExists
// and ForAllValues.
func (o operator) holds(want []scalar, got []string, ctx conditions) bool {
	if o.comparesPresence {
		return slices.ContainsFunc(want, func(w scalar) bool { return (string(w) == "true") == (len(got) == 0) })
	}
	if len(got) == 0 {
		return o.ifExists || o.negated || o.forAll
	}
	one := func(g string) bool {
		hit := slices.ContainsFunc(want, func(w scalar) bool { return o.compare(expand(string(w), ctx), g) })
		return hit != o.negated
	}
	if o.forAll {
		return !slices.ContainsFunc(got, func(g string) bool { return !one(g) })
	}
	return slices.ContainsFunc(got, one)
}

// expand replaces policy variables such as ${aws:username}. One whose key the
// request does not have matches nothing.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func expand(pattern string, ctx conditions) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		switch values := ctx[strings.ToLower(name)]; {
		case name == "*" || name == "?" || name == "$":
			b.WriteString(name)
		case len(values) == 1:
			b.WriteString(values[0])
		default:
			b.WriteString("\x00")
		}
		pattern = after
	}
}

// like matches * and ? in linear space, going back only to the last star.
func like(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Condition is the Condition block of a trust policy:
// operator, then key, then value.
type Condition map[string]map[string]string

// RequireMFA is the condition that AWS's guide gives for roles behind MFA.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
func RequireMFA() Condition {
	return Condition{"Bool": {"aws:MultiFactorAuthPresent": "true"}}
}

// RequireExternalID is the condition against the confused deputy.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func RequireExternalID(id string) Condition {
	return Condition{"StringEquals": {"sts:ExternalId": id}}
}

// Trust writes a trust policy under which the principals (ARNs, account
// numbers, or "*") may assume a role, tag its session and set its source
// identity, if the condition, which may be nil, holds.
func Trust(c Condition, principals ...string) string {
	s := map[string]any{
		"Effect":    "Allow",
		"Principal": map[string]any{"AWS": principals},
		"Action":    []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"},
	}
	if len(c) > 0 {
		s["Condition"] = c
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{s}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

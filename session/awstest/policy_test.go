package awstest

import (
	"strings"
	"testing"
)

func TestPolicyRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		trust bool
	}{
		"no JSON":               {`{`, false},
		"no version":            {`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, false},
		"no statement":          {`{"Version":"2012-10-17","Statement":[]}`, false},
		"effect":                {`{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`, false},
		"no action":             {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*"}}`, false},
		"no resource":           {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*"}}`, false},
		"principal in identity": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}`, false},
		"no principal in trust": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*"}}`, true},
		"resource in trust":     {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Principal":"*","Resource":"*"}}`, true},
		"wildcard principal":    {Trust(nil, "arn:aws:iam::123456789012:role/*"), true},
		"NotPrincipal":          {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Principal":"*","NotPrincipal":"*"}}`, true},
		"operator":              {Trust(Condition{"StringIsNice": {"a": "b"}}, "*"), true},
		"unknown member":        {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Acton":"*","Action":"*","Resource":"*"}}`, false},
	} {
		if _, err := parsePolicy(tc.text, tc.trust); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestConditions(t *testing.T) {
	ctx := conditions{"one": {"a"}, "many": {"a", "b"}, "n": {"5"}, "t": {"2026-01-02T03:04:05Z"}, "yes": {"true"}, "arn": {"arn:aws:iam::1:role/x"}}
	for _, tc := range []struct {
		condition string
		want      bool
	}{
		{`{"StringEquals":{"ONE":"a"}}`, true},
		{`{"StringEquals":{"one":["x","a"]}}`, true},
		{`{"StringEquals":{"one":"A"}}`, false},
		{`{"StringEqualsIgnoreCase":{"one":"A"}}`, true},
		{`{"StringNotEquals":{"one":"a"}}`, false},
		{`{"StringNotEquals":{"one":["a","b"]}}`, false},
		{`{"StringNotEquals":{"none":"a"}}`, true},
		{`{"StringEquals":{"none":"a"}}`, false},
		{`{"StringEqualsIfExists":{"none":"a"}}`, true},
		{`{"StringEqualsIfExists":{"one":"b"}}`, false},
		{`{"StringLike":{"one":"?"}}`, true},
		{`{"StringLike":{"one":"${one}*"}}`, true},
		{`{"StringLike":{"one":"${none}*"}}`, false},
		{`{"StringLike":{"one":"${*}"}}`, true},
		{`{"ArnLike":{"arn":"arn:aws:iam::*:role/*"}}`, true},
		{`{"ArnNotLike":{"arn":"arn:aws:iam::*:role/*"}}`, false},
		{`{"Bool":{"yes":true}}`, true},
		{`{"Bool":{"yes":"false"}}`, false},
		{`{"Bool":{"none":"false"}}`, false},
		{`{"Null":{"none":"true"}}`, true},
		{`{"Null":{"one":true}}`, false},
		{`{"Null":{"one":"false"}}`, true},
		{`{"NumericLessThan":{"n":"6"}}`, true},
		{`{"NumericLessThan":{"n":5}}`, false},
		{`{"NumericLessThanEquals":{"n":5}}`, true},
		{`{"NumericGreaterThan":{"n":4}}`, true},
		{`{"NumericGreaterThanEquals":{"n":6}}`, false},
		{`{"NumericEquals":{"n":"5.0"}}`, true},
		{`{"NumericNotEquals":{"n":5}}`, false},
		{`{"NumericEquals":{"one":5}}`, false},
		{`{"DateLessThan":{"t":"2026-01-02T03:04:06Z"}}`, true},
		{`{"DateGreaterThan":{"t":"2026-01-02T03:04:06Z"}}`, false},
		{`{"ForAllValues:StringEquals":{"many":["a","b","c"]}}`, true},
		{`{"ForAllValues:StringEquals":{"many":["a"]}}`, false},
		{`{"ForAllValues:StringEquals":{"none":["a"]}}`, true},
		{`{"ForAnyValue:StringEquals":{"many":["b"]}}`, true},
		{`{"ForAnyValue:StringEquals":{"many":["c"]}}`, false},
		{`{"ForAnyValue:StringEquals":{"none":["c"]}}`, false},
		{`{"StringEquals":{"one":"a"},"Bool":{"yes":"false"}}`, false},
	} {
		d, err := parsePolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+tc.condition+`}}`, false)
		if err != nil {
			t.Errorf("%s: %v", tc.condition, err)
			continue
		}
		if got := decide([]*document{d}, "x:Y", "r", ctx) == allowed; got != tc.want {
			t.Errorf("%s: got %v", tc.condition, got)
		}
	}
}

func TestLike(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"**", "x", true}, {"", "x", false}, {"?", "", false}, {"a?c", "abc", true},
		{"a*c", "abbc", true}, {"a*c", "abbd", false}, {"*a*b*", "xxaxxbxx", true}, {"*a*b", "ab ab ", false}, {"abc", "ab", false},
		{strings.Repeat("*a", 50), strings.Repeat("a", 2000) + "b", false},
	} {
		if got := like(tc.pattern, tc.s); got != tc.want {
			t.Errorf("%q like %q: %v", tc.s, tc.pattern, got)
		}
	}
}

// FuzzPolicy: no policy makes the evaluation panic, and none that lacks an
// Allow allows.
func FuzzPolicy(f *testing.F) {
	f.Add(Trust(RequireMFA(), "*"), true)
	f.Add(Allow([]string{"sts:*"}, []string{"arn:${aws:username}:*"}), false)
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":["a"],"NotResource":"?*","Condition":{"Null":{"x":true}}}]}`, false)
	p := New(Options{}).Default().User("alice")
	who := &principal{kind: "User", account: p.account, arn: p.ARN, user: p}
	f.Fuzz(func(t *testing.T, text string, trust bool) {
		d, err := parsePolicy(text, trust)
		if err != nil {
			return
		}
		ctx := conditions{"aws:username": {"alice"}}
		if trust {
			(&Role{account: p.account, trust: policyText{text, d}}).trusts(who, "sts:AssumeRole", ctx)
			return
		}
		if decide([]*document{d}, "sts:AssumeRole", "arn:x", ctx) == allowed && !strings.Contains(text, "Allow") && !strings.Contains(text, `\u`) {
			t.Errorf("allowed by %q", text)
		}
	})
}

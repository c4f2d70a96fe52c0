package chain_test

import (
	"testing"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/chain"
	"aws-runas/session/profile"
)

// BenchmarkWarm is a run that finds its role in the keyring, from the resolved
// profile to the credentials.
func BenchmarkWarm(b *testing.B) {
	w := awstest.Demo(awstest.Options{})
	cache := session.NewCache(new(store))
	dir := b.TempDir()
	cache.Locks = session.Locks{Dir: func() (string, error) { return dir, nil }}
	keys := session.Credentials{AccessKeyID: w.Key.ID, SecretAccessKey: w.Key.Secret}
	if err := session.Put(b.Context(), cache.Store, session.UserKey("base"), keys); err != nil {
		b.Fatal(err)
	}
	p := &profile.Profile{
		Name: "admin", RoleARN: w.Admin.ARN, MFASerial: w.MFA.Serial, RoleDuration: profile.DefaultRoleDuration,
		SessionDuration: profile.DefaultSessionDuration, Source: &profile.Profile{Name: "base"},
	}
	deps := chain.Deps{
		Cache: cache, Ask: &person{device: w.MFA}, Lookup: func(string) (string, bool) { return "", false },
		Transport: w.Transport(), Notice: func(string) {},
	}
	b.ReportAllocs()
	for b.Loop() {
		provider, err := chain.For(p, deps)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := provider.Credentials(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if n := w.Count("AssumeRole"); n != 1 {
		b.Errorf("AssumeRole was called %d times", n)
	}
}

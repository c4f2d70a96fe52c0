package session

import "context"

// What a [Question] asks for.
const (
	AskMFA      = "mfa"      // a one-time code
	AskUsername = "username" // at an identity provider
	AskPassword = "password" // at an identity provider
)

// A Question is put to a person.
type Question struct {
	What    string // AskMFA, AskUsername or AskPassword
	Profile string // on whose behalf
	Subject string // the MFA device's serial number, or the identity provider's host
	Problem string // why it is asked again, such as "the code was refused"; empty the first time
}

// An Asker puts questions to a person. It returns a *[Needs] when nobody can
// be asked. The answer has no surrounding white space and is not empty.
type Asker interface {
	Ask(ctx context.Context, q Question) (string, error)
}

// Ask puts q to a person through a, and while it waits marks every lock that
// ctx holds, so that a process that must not wait for a person does not.
func Ask(ctx context.Context, a Asker, q Question) (string, error) {
	need := NeedAuth
	if q.What == AskMFA {
		need = NeedMFA
	}
	defer Asking(ctx, need)()
	return a.Ask(ctx, q)
}

// Asking marks every lock that ctx holds, as [Ask] does, until the returned
// function is called: for a person who is busy elsewhere, as in a browser. need
// is NeedAuth or NeedMFA.
func Asking(ctx context.Context, need string) (done func()) { return markAsking(ctx, need) }

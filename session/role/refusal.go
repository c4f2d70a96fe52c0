package role

import (
	"errors"
	"fmt"
	"strings"

	"aws-runas/session"
	"aws-runas/session/awsapi"
)

// A refusal knows what a call was about, to say what to do when AWS refuses it.
type refusal struct {
	profile string              // that was asked for
	source  string              // whose credentials signed
	signer  session.Credentials // those
	request *Request            // nil for a session
	mfa     *MFA                // the role's, sent or in the session
	token   string              // the file of a web identity token
	given   bool                // they are the environment's
}

// explain gives a *[session.Refused] without advice the right one.
func (r *refusal) explain(err error) error {
	var no *session.Refused
	if !errors.As(err, &no) || no.Advice != "" {
		return err
	}
	// The caller may still look at the one it has.
	copied := *no
	copied.Advice = r.advice(no)
	return &copied
}

func (r *refusal) advice(no *session.Refused) string {
	name := awsapi.Word(r.profile)
	switch {
	case r.token != "" && (no.Code == "ExpiredTokenException" || no.Code == "InvalidIdentityToken" || no.Code == "IDPRejectedClaim"):
		return fmt.Sprintf("ls -l %s   shows when the token was last renewed", awsapi.Word(r.token))
	case badKeys(no.Code) && r.given:
		return "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... AWS_SESSION_TOKEN=...   with keys that are still good"
	case badKeys(no.Code) && r.signer.Temporary() && r.signer.Issued.IsZero():
		return fmt.Sprintf("renew the temporary keys of %q, or remove them: aws-runas keys add %s", r.source, awsapi.Word(r.source))
	case badKeys(no.Code) && r.signer.Temporary():
		return fmt.Sprintf("aws-runas -s -r %s   gets a new session", name)
	case badKeys(no.Code):
		return fmt.Sprintf("aws-runas keys add %s   with an access key that IAM lists as active", awsapi.Word(r.source))
	case no.Code == "ValidationError" && strings.Contains(no.Message, "DurationSeconds"):
		return fmt.Sprintf("aws-runas -a 1h %s   or raise MaxSessionDuration of the role", name)
	case no.Code == "MalformedPolicyDocument" || no.Code == "PackedPolicyTooLarge":
		return fmt.Sprintf("aws-runas env --explain %s   shows the session tags", name)
	case no.Code != "AccessDenied":
		return ""
	case strings.Contains(no.Message, "root account"):
		return fmt.Sprintf("aws-runas keys add %s   with the keys of an IAM user", awsapi.Word(r.source))
	case wrongCode(no):
		return fmt.Sprintf("wait for the next code of %s, then: aws-runas %s", r.mfaSerial(), name)
	case strings.HasPrefix(no.Message, "MultiFactorAuthentication failed"):
		return fmt.Sprintf("aws-runas -M MFA_SERIAL %s   with the ARN of a device of this user, which IAM shows under security credentials", name)
	case r.request == nil:
		return ""
	case r.token != "":
		return fmt.Sprintf("the trust policy of %s must allow the token's issuer, audience and subject", r.request.RoleARN)
	}
	caller := r.signer.ARN
	if caller == "" {
		caller = "the keys of " + r.source
	}
	trust := fmt.Sprintf("the trust policy of %s must allow %s", r.request.RoleARN, caller)
	switch mfa, external := r.mfa != nil, r.request.ExternalID != ""; {
	case !mfa && !external:
		return fmt.Sprintf("aws-runas -M MFA_SERIAL %s   if the role asks for MFA, -X EXTERNAL_ID if for that; else %s", name, trust)
	case !mfa:
		return fmt.Sprintf("aws-runas -M MFA_SERIAL %s   if the role asks for MFA; else %s with this external ID", name, trust)
	case !external:
		return fmt.Sprintf("aws-runas -X EXTERNAL_ID %s   if the role asks for one; else %s", name, trust)
	}
	return trust + " with this external ID"
}

func (r *refusal) mfaSerial() string {
	if r.mfa == nil {
		return "the MFA device"
	}
	return r.mfa.Serial
}

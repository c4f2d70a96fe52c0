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
	token   TokenSource         // of a web identity token; nil without
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
	case r.token != nil && r.token.Advice(no.Code) != "":
		return r.token.Advice(no.Code)
	case badKeys(no.Code) && r.given:
		return "put keys that are still good into AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
	case badKeys(no.Code) && r.signer.Temporary() && r.signer.Issued.IsZero():
		return "aws-runas keys add " + awsapi.Word(r.source) // the keyring comes before the file that has these
	case badKeys(no.Code) && r.signer.Temporary():
		return "aws-runas logout " + name
	case badKeys(no.Code):
		return "aws-runas keys add " + awsapi.Word(r.source)
	case no.Code == "ValidationError" && strings.Contains(no.Message, "DurationSeconds"):
		return "aws-runas -a 1h " + name
	case no.Code == "ValidationError" || no.Code == "MalformedPolicyDocument" || no.Code == "PackedPolicyTooLarge":
		return "aws-runas env --explain " + name
	case no.Code != "AccessDenied":
		return ""
	case strings.Contains(no.Message, "root account"):
		return "aws-runas keys add " + awsapi.Word(r.source)
	case wrongCode(no):
		return "aws-runas whoami --check " + name
	case strings.HasPrefix(no.Message, "MultiFactorAuthentication failed"):
		return "name a device of this user with -M or mfa_serial: IAM lists its ARN under security credentials"
	case r.request == nil:
		return ""
	case r.token != nil:
		return fmt.Sprintf("the trust policy of %s must allow the token's issuer, audience and subject", r.request.RoleARN)
	}
	caller := r.signer.ARN
	if caller == "" {
		caller = "the keys of " + r.source
	}
	for action, setting := range map[string]string{"sts:TagSession": "session_tags", "sts:SetSourceIdentity": "source_identity"} {
		if strings.Contains(no.Message, "perform: "+action) {
			return fmt.Sprintf("remove %s, or have the policies of both %s and %s allow %s", setting, r.request.RoleARN, caller, action)
		}
	}
	trust := fmt.Sprintf("the trust policy of %s must allow %s", r.request.RoleARN, caller)
	switch mfa, external := r.mfa != nil, r.request.ExternalID != ""; {
	case !mfa && !external:
		return "the role may ask for MFA (-M or mfa_serial) or an external ID (-X or external_id); if not, " + trust
	case !mfa:
		return "the role may ask for MFA (-M or mfa_serial); if not, " + trust + " with this external ID"
	case !external:
		return "the role may ask for an external ID (-X or external_id); if not, " + trust
	}
	return trust + " with this external ID"
}

package sso

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/awsapi"
	"aws-runas/session/signin"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
	"golang.org/x/oauth2"
)

// The redirect URI is registered without its port, which is another each time.
const redirectURI = "http://127.0.0.1/oauth/callback"

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// signIn asks a person to sign in: in the browser of this machine, else with a
// code on any device.
func (s *Session) signIn(ctx context.Context) (accessToken, error) {
	if err := s.Person.Ready(); err != nil {
		return accessToken{}, err
	}
	defer session.Asking(ctx, session.NeedAuth)()
	if s.Person.Remote() {
		return s.byCode(ctx)
	}
	t, err := s.byBrowser(ctx)
	var unopened *signin.Unopened
	var taken *noListener
	if errors.As(err, &unopened) || errors.As(err, &taken) {
		s.Cache.Debug("%v", err)
		return s.byCode(ctx)
	}
	return t, err
}

// noListener says that no address of this machine can be listened on.
type noListener struct{ error }

// register returns a client for one of the two ways to sign in, as the AWS CLI
// registers it. https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_RegisterClient.html
func (s *Session) register(ctx context.Context, way string) (client, error) {
	return session.Do(ctx, s.Cache, s.key("client for "+way), func(ctx context.Context) (client, error) {
		api, err := s.AWS.SSOOIDC(s.Region)
		if err != nil {
			return client{}, err
		}
		in := &ssooidc.RegisterClientInput{ClientName: aws.String("aws-runas"), ClientType: aws.String("public"), Scopes: s.scopes()}
		if way == "browser" {
			in.GrantTypes = []string{"authorization_code", "refresh_token"}
			in.RedirectUris = []string{redirectURI}
			in.IssuerUrl = &s.StartURL
		}
		out, err := awsapi.Call(ctx, s.AWS, api.RegisterClient, in)
		if err != nil {
			return client{}, s.explain(err)
		}
		c := client{
			ID: aws.ToString(out.ClientId), Secret: aws.ToString(out.ClientSecret),
			Issued: s.Cache.Now(), Expires: time.Unix(out.ClientSecretExpiresAt, 0),
		}
		if c.ID == "" || c.Secret == "" {
			return client{}, errors.New("sso oidc RegisterClient: the answer holds no client")
		}
		return c, nil
	})
}

// withClient does one way of signing in. A client that AWS has forgotten is
// registered once more.
func (s *Session) withClient(ctx context.Context, way string, do func(client) (accessToken, error)) (accessToken, error) {
	c, err := s.register(ctx, way)
	if err != nil {
		return accessToken{}, err
	}
	t, err := do(c)
	var no *session.Refused
	if errors.As(err, &no) && (no.Code == "InvalidClientException" || no.Code == "UnauthorizedClientException") {
		if err := s.Cache.Store.Remove(ctx, s.key("client for "+way).String()); err != nil {
			return accessToken{}, err
		}
		if c, err = s.register(ctx, way); err != nil {
			return accessToken{}, err
		}
		t, err = do(c)
	}
	return t, s.explain(err)
}

// byBrowser is the authorization code flow with PKCE.
func (s *Session) byBrowser(ctx context.Context) (accessToken, error) {
	return s.withClient(ctx, "browser", func(c client) (accessToken, error) {
		// Before the browser opens: one that is signed in comes back at once.
		r, err := signin.Listen(redirectURI)
		if err != nil {
			return accessToken{}, &noListener{err}
		}
		defer r.Close()
		at, err := s.AWS.SSOOIDCEndpoint(ctx, s.Region)
		if err != nil {
			return accessToken{}, err
		}
		verifier := oauth2.GenerateVerifier()
		// The parameter is scopes, where OAuth has scope.
		page := at + "/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {r.URL}, "state": {r.State}, "scopes": {strings.Join(s.scopes(), " ")},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
		}.Encode()
		answer, err := s.Person.Browse(ctx, r, s.host(), page, false)
		if err != nil {
			return accessToken{}, err
		}
		if code := answer.Get("error"); code != "" {
			return accessToken{}, &session.Refused{By: s.host(), Code: signin.Line(code), Message: signin.Line(answer.Get("error_description"))}
		}
		out, err := s.create(ctx, c, &ssooidc.CreateTokenInput{
			GrantType: aws.String("authorization_code"), Code: aws.String(answer.Get("code")), CodeVerifier: &verifier, RedirectUri: &r.URL,
		})
		if err != nil {
			return accessToken{}, err
		}
		return s.keep(ctx, c, out)
	})
}

// byCode is the device flow.
// https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_StartDeviceAuthorization.html
func (s *Session) byCode(ctx context.Context) (accessToken, error) {
	return s.withClient(ctx, "device", func(c client) (accessToken, error) {
		api, err := s.AWS.SSOOIDC(s.Region)
		if err != nil {
			return accessToken{}, err
		}
		d, err := awsapi.Call(ctx, s.AWS, api.StartDeviceAuthorization, &ssooidc.StartDeviceAuthorizationInput{
			ClientId: &c.ID, ClientSecret: &c.Secret, StartUrl: &s.StartURL,
		}, c.Secret)
		if err != nil {
			return accessToken{}, err
		}
		var out *ssooidc.CreateTokenOutput
		err = s.Person.Enter(ctx, s.host(), signin.Code{
			User: aws.ToString(d.UserCode), Page: aws.ToString(d.VerificationUri), Complete: aws.ToString(d.VerificationUriComplete),
			Expires: time.Duration(d.ExpiresIn) * time.Second, Interval: time.Duration(d.Interval) * time.Second,
		}, func(ctx context.Context) (_ signin.Progress, err error) {
			out, err = s.create(ctx, c, &ssooidc.CreateTokenInput{GrantType: aws.String(deviceGrant), DeviceCode: d.DeviceCode})
			var no *session.Refused
			if errors.As(err, &no) {
				switch no.Code {
				case "AuthorizationPendingException":
					return signin.Pending, nil
				case "SlowDownException":
					return signin.SlowDown, nil
				case "ExpiredTokenException":
					return signin.Expired, nil
				}
			}
			return signin.Done, err
		})
		if err != nil {
			return accessToken{}, err
		}
		return s.keep(ctx, c, out)
	})
}

// explain gives a refusal without advice the right one.
func (s *Session) explain(err error) error {
	var no *session.Refused
	if !errors.As(err, &no) || no.Advice != "" {
		return err
	}
	copied := *no
	switch no.Code {
	case "access_denied", "AccessDeniedException", "ExpiredTokenException", "InvalidGrantException":
		copied.Advice = "aws-runas login " + awsapi.Word(s.AWS.Profile)
	default:
		copied.Advice = "aws-runas env --explain " + awsapi.Word(s.AWS.Profile) // sso_start_url and sso_region must be those of one instance
	}
	return &copied
}

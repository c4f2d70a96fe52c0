package awstest

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Microsoft's sign-in pages, by what public clients of them look for: a variable
// $Config in each page, and the calls BeginAuth and EndAuth for a second factor.
// Their makers document none of it.

const entraCookie = "ESTSAUTHPERSISTENT"

var entraMethods = map[string]string{"push": "PhoneAppNotification", "totp": "PhoneAppOTP", "sms": "OneWaySMS", "call": "TwoWayVoiceMobile"}

func (c *idpCall) config(values map[string]any) {
	text, _ := json.Marshal(values) // strings and numbers always marshal
	c.w.Header().Set("X-Ms-Request-Id", random(16))
	c.html(http.StatusOK, `<!doctype html><html><head><title>Sign in to your account</title><noscript><meta http-equiv="Refresh" content="0; URL=/jsdisabled"></noscript>
<script type="text/javascript">//<![CDATA[
$Config=`+string(text)+`;
//]]></script></head><body></body></html>`)
}

func (c *idpCall) entra() {
	switch path := c.r.URL.Path; {
	case strings.HasPrefix(path, "/signin/"):
		if c.r.URL.Query().Get("tenantId") == "" {
			c.html(http.StatusBadRequest, "<title>Error</title>tenantId is missing")
			return
		}
		if s := c.session(entraCookie); s != nil {
			c.html(http.StatusOK, `<html><body><script>window.location = '`+c.at()+`/1111-tenant/saml2?SAMLRequest=fake';</script></body></html>`)
			return
		}
		http.Redirect(c.w, c.r, c.at()+"/1111-tenant/oauth2/authorize?client_id=myapps", http.StatusFound)
	case path == "/1111-tenant/oauth2/authorize":
		c.entraLogin("", "50058", "")
	case path == "/common/GetCredentialType":
		var in struct{ Username, FlowToken string }
		if !c.read(&in) {
			return
		}
		out := map[string]any{"Username": in.Username, "IfExistsResult": 1, "Credentials": map[string]any{}}
		if p := c.people[in.Username]; p != nil {
			out["IfExistsResult"] = 0
			if p.Federation != "" {
				out["Credentials"] = map[string]any{"FederationRedirectUrl": p.Federation}
			}
		}
		c.json(http.StatusOK, out)
	case path == "/1111-tenant/login":
		if c.pending[c.form.Get("flowToken")] == nil || c.form.Get("ctx") == "" {
			c.entraLogin("", "9000410", "Malformed JSON.")
			return
		}
		name := c.form.Get("login")
		p, why := c.password(name, c.form.Get("passwd"))
		switch {
		case p == nil:
			c.entraLogin(name, "50034", "We couldn't find an account with that username.")
		case why == "wrong":
			c.entraLogin(name, "50126", "Your account or password is incorrect. If you don't remember your password, <a href=\"/reset\">reset it now.</a>")
		case why == "locked":
			c.entraLogin(name, "50053", "Your account has been locked.")
		case why == "expired":
			c.entraLogin(name, "50055", "Your password has expired.")
		case len(p.Factors) > 0:
			c.entraFactors(p)
		default:
			c.entraKMSI(p)
		}
	case path == "/common/SAS/BeginAuth", path == "/common/SAS/EndAuth":
		c.entraAuth()
	case path == "/common/SAS/ProcessAuth":
		at := c.pending[c.form.Get("flowToken")]
		if at == nil || at.factor != "done" || c.form.Get("request") == "" {
			c.entraLogin("", "50058", "")
			return
		}
		c.entraKMSI(at.person)
	case path == "/kmsi":
		at := c.pending[c.form.Get("flowToken")]
		if at == nil || at.factor != "kmsi" || c.form.Get("LoginOptions") != "1" {
			c.entraLogin("", "50058", "")
			return
		}
		delete(c.pending, c.form.Get("flowToken"))
		c.begin(entraCookie, at.person)
		code := c.secret("0.A")
		c.pending[code] = &idpPending{person: at.person, factor: "code"}
		c.html(http.StatusOK, fmt.Sprintf(`<html><head><title>Working...</title></head><body><form method="POST" name="hiddenform" action="%s/myapps"><input type="hidden" name="code" value="%s" /><input type="hidden" name="state" value="x" /><noscript><p>Script is disabled. Click Submit to continue.</p><input type="submit" value="Submit" /></noscript></form><script language="javascript">document.forms[0].submit();</script></body></html>`, c.at(), code))
	case path == "/wsfed": // what the other provider posts back
		text, err := url.QueryUnescape(c.form.Get("wresult"))
		p := c.people[strings.TrimPrefix(text, "signed in: ")]
		if err != nil || p == nil {
			c.entraLogin("", "50107", "The requested federation realm object does not exist.")
			return
		}
		c.entraKMSI(p)
	case path == "/myapps":
		at := c.pending[c.form.Get("code")]
		if at == nil || at.factor != "code" {
			c.entraLogin("", "50058", "")
			return
		}
		delete(c.pending, c.form.Get("code"))
		c.html(http.StatusOK, `<html><body><script>window.location = '`+c.at()+`/1111-tenant/saml2?SAMLRequest=fake';</script></body></html>`)
	case path == "/1111-tenant/saml2":
		if s := c.session(entraCookie); s != nil {
			c.hand(s.person, samlRequest{acs: SigninURL})
			return
		}
		c.entraLogin("", "50058", "")
	case path == "/common/oauth2/v2.0/logout":
		if k, err := c.r.Cookie(entraCookie); err == nil {
			delete(c.sessions, k.Value)
		}
		c.html(http.StatusOK, "<title>Signed out</title>")
	default:
		c.html(http.StatusNotFound, "<title>Not found</title>")
	}
}

func (c *idpCall) entraLogin(name, code, text string) {
	flow := c.secret("AQAB")
	c.pending[flow] = &idpPending{}
	c.config(map[string]any{
		"pgid": "ConvergedSignIn", "sFT": flow, "sFTName": "flowToken", "sCtx": "ctx-" + random(8), "canary": "canary", "apiCanary": "api", "sessionId": "s",
		"sErrorCode": code, "sErrTxt": text, "sPOST_Username": name, "urlPost": "/1111-tenant/login", "urlGetCredentialType": c.at() + "/common/GetCredentialType?mkt=en-US",
	})
}

func (c *idpCall) entraKMSI(p *Person) {
	flow := c.secret("AQAB")
	c.pending[flow] = &idpPending{person: p, factor: "kmsi"}
	c.config(map[string]any{"pgid": "KmsiInterrupt", "sFT": flow, "sFTName": "flowToken", "sCtx": "ctx-" + random(8), "sErrorCode": 50058, "urlPost": "/kmsi"})
}

func (c *idpCall) entraFactors(p *Person) {
	flow := c.secret("AQAB")
	c.pending[flow] = &idpPending{person: p}
	var proofs []any
	for n, f := range p.Factors {
		proofs = append(proofs, map[string]any{"authMethodId": entraMethods[f], "data": entraMethods[f], "display": "+XX XXXXXXX11", "isDefault": n == 0})
	}
	c.config(map[string]any{
		"pgid": "ConvergedTFA", "sFT": flow, "sFTName": "flowToken", "sCtx": "ctx-" + random(8), "sPOST_Username": p.Name, "arrUserProofs": proofs,
		"urlBeginAuth": c.at() + "/common/SAS/BeginAuth", "urlEndAuth": c.at() + "/common/SAS/EndAuth", "urlPost": c.at() + "/common/SAS/ProcessAuth",
		"oPerAuthPollingInterval": map[string]float64{"PhoneAppNotification": 1, "PhoneAppOTP": 1},
	})
}

func (c *idpCall) entraAuth() {
	var in struct{ Method, AuthMethodId, Ctx, FlowToken, SessionId, AdditionalAuthData string }
	if !c.read(&in) {
		return
	}
	answer := func(fields map[string]any) {
		out := map[string]any{"Success": false, "ResultValue": "", "Message": nil, "AuthMethodId": in.AuthMethodId, "ErrCode": 0, "Retry": false, "FlowToken": in.FlowToken, "Ctx": in.Ctx, "SessionId": "sas", "Entropy": 0}
		for k, v := range fields {
			out[k] = v
		}
		c.json(http.StatusOK, out)
	}
	at := c.pending[in.FlowToken]
	kind := ""
	for k, m := range entraMethods {
		if m == in.AuthMethodId {
			kind = k
		}
	}
	if at == nil || at.person == nil || !slices.Contains(at.person.Factors, kind) {
		answer(map[string]any{"ErrCode": 500121, "ResultValue": "SessionExpired"})
		return
	}
	if in.Method == "BeginAuth" {
		if kind != "totp" {
			at.person.pushes++
		}
		entropy := 0
		if kind == "push" {
			entropy = at.person.Number
		}
		answer(map[string]any{"Success": true, "ResultValue": "Success", "Entropy": entropy})
		return
	}
	done := func() {
		at.factor = "done"
		answer(map[string]any{"Success": true, "ResultValue": "Success"})
	}
	switch kind {
	case "push", "call":
		at.polls++
		switch {
		case at.polls < 3 || at.person.Push == "":
			answer(map[string]any{"ResultValue": "AuthenticationPending", "Retry": true})
		case at.person.Push == "reject":
			answer(map[string]any{"ResultValue": "PhoneAppDenied", "ErrCode": 500121})
		default:
			done()
		}
	default:
		if !c.code(at.person, in.AdditionalAuthData) {
			answer(map[string]any{"ResultValue": "OathCodeIncorrect", "ErrCode": 500121, "Retry": true, "Message": "You entered the wrong code."})
			return
		}
		done()
	}
}

// Federate returns the pages of another provider, which signs people in by a
// form and posts the result back to this one.
func (i *IDP) Federate(password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		name := r.FormValue("UserName")
		if r.Method == http.MethodPost && r.PostFormValue("Password") == password && r.PostFormValue("AuthMethod") == "FormsAuthentication" {
			fmt.Fprintf(w, `<html><head><title>Working...</title></head><body><form method="POST" name="hiddenform" action="%s/wsfed"><input type="hidden" name="wa" value="wsignin1.0"><input type="hidden" name="wresult" value="%s"><noscript><input type="submit" value="Submit"></noscript></form></body></html>`,
				i.URL(), html.EscapeString("signed in: "+strings.ReplaceAll(name, "@corp.test", "@cloud.test")))
			return
		}
		problem := ""
		if r.Method == http.MethodPost {
			problem = "Incorrect user ID or password. Type the correct user ID and password, and try again."
		}
		fmt.Fprintf(w, `<html><head><title>Sign In</title></head><body><form method="post" id="loginForm" action="/adfs/ls/?client-request-id=1" onKeyPress="if (event) Login.submitLoginRequest();">
<div id="error"><label id="errorText">%s</label></div><input id="userNameInput" name="UserName" type="email" value="%s" placeholder="someone@example.com"><input id="passwordInput" name="Password" type="password" placeholder="Password">
<input type="checkbox" name="Kmsi" id="kmsiInput" value="true"><span id="submitButton" class="submit" role="button" onclick="return Login.submitLoginRequest();">Sign in</span>
<input id="optionForms" type="hidden" name="AuthMethod" value="FormsAuthentication"></form></body></html>`, problem, html.EscapeString(name))
	})
}

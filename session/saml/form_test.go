package saml

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
	"aws-runas/session/awstest"
	"aws-runas/session/signin"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, address, body, contentType string) *document {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDocument(u, []byte(body), contentType)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The rules of the HTML standard, one by one: which form a control belongs to,
// what is sent, and where.
func TestSubmit(t *testing.T) {
	for _, tc := range []struct {
		name, page, want string // METHOD URL\nBODY
		form, button     int    // button -1: none
	}{
		{"relative action", `<form action="../b?x=1" method=post><input name=a value=1></form>`, "POST https://idp.test/b?x=1\na=1", 0, -1},
		{"no action is the page's own address", `<base href="https://other.test/"><form method=post><input name=a value=1></form>`, "POST https://idp.test/p/q?r=s\na=1", 0, -1},
		{"base", `<base href="https://other.test/x/"><form action=y method=post></form>`, "POST https://other.test/x/y\n", 0, -1},
		{"only the first base", `<base target=_top><base href="/one/"><base href="/two/"><form action=y method=post></form>`, "POST https://idp.test/one/y\n", 0, -1},
		{"GET replaces the query", `<form action="/b?x=1#f"><input name=a value="1 &amp; 2"></form>`, "GET https://idp.test/b?a=1+%26+2\n", 0, -1},
		{"an unknown method is GET", `<form action="/b" method=put><input name=a value=1></form>`, "GET https://idp.test/b?a=1\n", 0, -1},
		{"the form attribute wins", `<form id=f action=/f method=post></form><form action=/g method=post><input name=a value=1 form=f><input name=b value=2></form>`, "POST https://idp.test/f\na=1", 0, -1},
		{"a form attribute that names none", `<form action=/g method=post><input name=a value=1 form=none><input name=b value=2></form>`, "POST https://idp.test/g\nb=2", 0, -1},
		{"a form in a table", `<table><form action=/g method=post><tr><td><input name=a value=1></td></tr><tr><td><button name=b value=2>Go</button></td></tr></form></table>`, "POST https://idp.test/g\na=1&b=2", 0, 0},
		{"a form that is closed by its parent", `<div><form action=/g method=post><input name=a value=1></div><input name=b value=2></form>`, "POST https://idp.test/g\na=1&b=2", 0, -1},
		{"a form in a form is none", `<form action=/g method=post><form action=/h><input name=a value=1></form></form>`, "POST https://idp.test/g\na=1", 0, -1},
		{"after the end of the form", `<form action=/g method=post><input name=a value=1></form><input name=b value=2>`, "POST https://idp.test/g\na=1", 0, -1},
		{"a template has no controls", `<form action=/g method=post><template><input name=a value=1></template><input name=b value=2></form>`, "POST https://idp.test/g\nb=2", 0, -1},
		{"disabled", `<form method=post action=/g><input name=a value=1 disabled><fieldset disabled><legend><input name=l value=1></legend><input name=b value=2></fieldset><input name=c value=3></form>`, "POST https://idp.test/g\nl=1&c=3", 0, -1},
		{"checkboxes and radios", `<form method=post action=/g><input type=checkbox name=a checked><input type=checkbox name=b value=x checked><input type=checkbox name=c><input type=radio name=r value=1><input type=radio name=r value=2 checked></form>`, "POST https://idp.test/g\na=on&b=x&r=2", 0, -1},
		{"select", `<form method=post action=/g><select name=a><option disabled>no<option value=v>one<option>two</select><select name=b><option selected value=1><option selected value=2></select><select name=c multiple><option value=1><option selected value=2><option selected value=3></select><select name=d multiple><option>x</select></form>`, "POST https://idp.test/g\na=v&b=2&c=2&c=3", 0, -1},
		{"an option's text", `<form method=post action=/g><select name=a><option> one
 two </option></select></form>`, "POST https://idp.test/g\na=one+two", 0, -1},
		{"textarea", "<form method=post action=/g><textarea name=a>\none\ntwo</textarea></form>", "POST https://idp.test/g\na=one%0D%0Atwo", 0, -1},
		{"buttons are sent if pressed", `<form method=post action=/g><button name=a value=1>x</button><input type=submit name=b value=2><button type=button name=c value=3>x</button><input type=reset name=d value=4></form>`, "POST https://idp.test/g\nb=2", 0, 1},
		{"a button's own action", `<form method=post action=/g><input name=x value=y><button name=a value=1 formaction=/h formmethod=get>x</button></form>`, "GET https://idp.test/h?x=y&a=1\n", 0, 0},
		{"an image is a button", `<form method=post action=/g><input type=image name=i src=x></form>`, "POST https://idp.test/g\ni.x=0&i.y=0", 0, 0},
		{"an image without a name", `<form method=post action=/g><input type=image src=x></form>`, "POST https://idp.test/g\nx=0&y=0", 0, 0},
		{"no name, no entry", `<form method=post action=/g><input value=1><input name="" value=2></form>`, "POST https://idp.test/g\n", 0, -1},
		{"_charset_", `<form method=post action=/g><input type=hidden name=_charset_></form>`, "POST https://idp.test/g\n_charset_=UTF-8", 0, -1},
		{"entities", `<form method=post action="/g?a=1&amp;b=2"><input name=a value="&lt;&eacute;&#x20AC;&amp;amp;"></form>`, "POST https://idp.test/g?a=1&b=2\na=%3C%C3%A9%E2%82%AC%26amp%3B", 0, -1},
		{"capitals", `<FORM METHOD=POST ACTION=/g><INPUT TYPE=HIDDEN NAME=A VALUE=1></FORM>`, "POST https://idp.test/g\nA=1", 0, -1},
		{"text/plain", `<form method=post action=/g enctype=text/plain><input name=a value="1 2"></form>`, "POST https://idp.test/g\na=1 2\r\n", 0, -1},
		{"noscript counts", `<noscript><form method=post action=/g><input name=a value=1></form></noscript>`, "POST https://idp.test/g\na=1", 0, -1},
		{"a script's text does not", `<script>document.write('<form action=/x method=post>')</script><form method=post action=/g><input name=a value=1></form>`, "POST https://idp.test/g\na=1", 0, -1},
		{"a comment's neither", `<!-- <form action=/x method=post> --><form method=post action=/g><input name=a value=1></form>`, "POST https://idp.test/g\na=1", 0, -1},
		{"blanks in an address", "<form method=post action=\" /g\n/h \"><input name=a value=1></form>", "POST https://idp.test/g/h\na=1", 0, -1},
		{"datalist", `<form method=post action=/g><datalist><input name=a value=1></datalist><input name=b value=2></form>`, "POST https://idp.test/g\nb=2", 0, -1},
		{"a button outside the form", `<form id=f action=/g method=post><input name=a value=1></form><button form=f name=b value=2 formaction="/h?c=d">Go</button>`, "POST https://idp.test/h?c=d\na=1&b=2", 0, 0},
		{"the same name again and again", `<form method=post action=/g><input type=hidden name=a value=1><input type=hidden name=b value=2><input type=hidden name=a value=3></form>`, "POST https://idp.test/g\na=1&b=2&a=3", 0, -1},
		{"line ends", "<form method=post action=/g><input type=hidden name=a value='1\n2'><input name=b value='1\n2'></form>", "POST https://idp.test/g\na=1%0D%0A2&b=12", 0, -1},
		{"a number sign alone", `<form method=post action="#"><input name=a value=1></form>`, "POST https://idp.test/p/q?r=s\na=1", 0, -1},
		{"a base that is none", `<base href="javascript:0"><form method=post action=g><input name=a value=1></form>`, "POST https://idp.test/p/g\na=1", 0, -1},
		{"an enctype of the button", `<form method=post action=/g><input name=a value="1 2"><button formenctype=text/plain>x</button></form>`, "POST https://idp.test/g\na=1 2\r\n", 0, 0},
		{"dirname", `<form method=post action=/g><input name=a value=1 dirname=d></form>`, "POST https://idp.test/g\na=1&d=ltr", 0, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := parse(t, "https://idp.test/p/q?r=s", tc.page, "text/html; charset=utf-8")
			f := d.form[tc.form]
			var by *control
			if tc.button >= 0 {
				by = f.buttons()[tc.button]
			}
			r, err := f.submit(by)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.method + " " + r.url.String() + "\n" + string(r.body); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestMultipart(t *testing.T) {
	d := parse(t, "https://idp.test/", `<form method=post action=/g enctype=multipart/form-data><input name=a value="é"><input type=file name=f></form>`, "text/html")
	r, err := d.form[0].submit(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, params, _ := strings.Cut(r.contentType, "boundary=")
	m := multipart.NewReader(strings.NewReader(string(r.body)), params)
	got := map[string]string{}
	for {
		p, err := m.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		got[p.FormName()] = string(b)
	}
	if diff := cmp.Diff(map[string]string{"a": "é", "f": ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCharsets(t *testing.T) {
	latin := "<form method=post action=/g><input name=a value=\"\xe9\"></form>"
	for _, tc := range []struct{ name, page, contentType, want string }{
		{"header", latin, "text/html; charset=ISO-8859-1", "a=%E9"},
		{"meta", `<meta charset=windows-1252>` + latin, "text/html", "a=%E9"},
		{"old meta", `<meta http-equiv=Content-Type content="text/html; charset=iso-8859-15">` + latin, "text/html", "a=%E9"},
		{"nothing", latin, "text/html", "a=%E9"},
		{"UTF-8", `<form method=post action=/g><input name=a value="é"></form>`, "text/html", "a=%C3%A9"},
		{"mark", "\xef\xbb\xbf" + `<form method=post action=/g><input name=a value="é"></form>`, "text/html; charset=latin1", "a=%C3%A9"},
		{"accept-charset", `<form method=post action=/g accept-charset="x-unknown, windows-1252"><input name=a value="é"></form>`, "text/html; charset=utf-8", "a=%E9"},
		{"accept-charset UTF-8", `<form method=post action=/g accept-charset="utf-8"><input name=a value="` + "\xe9" + `"></form>`, "text/html; charset=latin1", "a=%C3%A9"},
		{"what it lacks", `<form method=post action=/g accept-charset=latin1><input name=a value="€Ж"></form>`, "text/html; charset=utf-8", "a=%80%26%231046%3B"},
		{"euro", "<form method=post action=/g><input name=a value=\"\xa4 \xa9\"></form>", "text/html; charset=iso-8859-15", "a=%A4+%A9"},
		{"not in ISO-8859-15", "<form method=post action=/g accept-charset=latin9><input name=a value=\"\u00a4\"></form>", "text/html; charset=utf-8", "a=%26%23164%3B"},
		{"unknown", `<form method=post action=/g><input name=a value="é"></form>`, "text/html; charset=martian", "a=%C3%A9"},
	} {
		d := parse(t, "https://idp.test/", tc.page, tc.contentType)
		r, err := d.form[0].submit(nil)
		if err != nil || string(r.body) != tc.want {
			t.Errorf("%s: %q (%v), want %q", tc.name, r.body, err, tc.want)
		}
	}
}

func TestRefresh(t *testing.T) {
	for _, tc := range []struct {
		page, header, want string
		after              time.Duration
	}{
		{`<meta http-equiv=refresh content="0; url=/a">`, "", "https://idp.test/a", 0},
		{`<meta http-equiv=Refresh content="5;URL='b?x=1'">`, "", "https://idp.test/p/b?x=1", 5 * time.Second},
		{`<meta http-equiv=refresh content="1,/c">`, "", "https://idp.test/c", time.Second},
		{`<meta http-equiv=refresh content="2">`, "", "https://idp.test/p/q", 2 * time.Second},
		{`<meta http-equiv=refresh content="0.5; url = /d">`, "", "https://idp.test/d", 0},
		{`<base href=https://o.test/><meta http-equiv=refresh content="0;url=e">`, "", "https://o.test/e", 0},
		{``, "3; url=/f", "https://idp.test/f", 3 * time.Second},
		{`<meta http-equiv=refresh content="now">`, "", "", 0},
		{`<meta http-equiv=refresh content="0;url=javascript:x()">`, "", "", 0},
		{`<p>no</p>`, "", "", 0},
	} {
		d := parse(t, "https://idp.test/p/q", tc.page, "text/html")
		u, after, ok := d.refresh(tc.header, false)
		got := ""
		if ok {
			got = u.String()
		}
		if got != tc.want || after != tc.after {
			t.Errorf("%s %s: %q after %s, want %q after %s", tc.page, tc.header, got, after, tc.want, tc.after)
		}
	}
}

// What the fields of sign-in pages are for, as such pages are made by products
// and by people.
func TestFields(t *testing.T) {
	for _, tc := range []struct{ name, page, want string }{ // user|password|code|button
		{"Keycloak", `<form id="kc-form-login" action="/a" method="post"><input tabindex="2" id="username" name="username" value="" type="text" autocomplete="username"><input id="password" name="password" type="password" autocomplete="current-password"><input id="rememberMe" name="rememberMe" type="checkbox"><input type="hidden" id="id-hidden-input" name="credentialId"><button class="pf-c-button" name="login" id="kc-login" type="submit">Sign In</button></form>`, "username|password||login"},
		{"Keycloak, code", `<form id="kc-otp-login-form" method="post"><input id="kc-otp-credential-0" type="radio" name="selectedCredentialId" value="1" checked><label for="otp">One-time code</label><input id="otp" name="otp" autocomplete="one-time-code" type="text"><input name="login" id="kc-login" type="submit" value="Sign In"></form>`, "||otp|login"},
		{"simpleSAMLphp", `<form action="?" method="post" name="f" id="f"><table><tr><td><label for="username">Username</label></td><td><input id="username" type="text" name="username" tabindex="1"></td></tr><tr><td><input id="password" type="password" tabindex="2" name="password"></td></tr><tr id="submit"><td><button id="regularsubmit" class="btn" tabindex="6" type="submit"> Login </button><button id="mobilesubmit" type="submit"> Login </button></td></tr></table><input type="hidden" name="AuthState" value="_1"></form>`, "username|password||"},
		{"Shibboleth", `<form action="/idp/profile/SAML2/Redirect/SSO?execution=e1s2" method="post"><input type="hidden" name="csrf_token" value="x"><label for="username">Username</label><input class="form-element" id="username" name="j_username" type="text" value=""><input id="password" name="j_password" type="password"><input type="checkbox" name="donotcache" value="1" id="donotcache"><input id="_shib_idp_revokeConsent" type="checkbox" name="_shib_idp_revokeConsent" value="true"><button type="submit" name="_eventId_proceed">Login</button></form>`, "j_username|j_password||_eventId_proceed"},
		{"ADFS", `<form method="post" id="loginForm" autocomplete="off" action="/adfs/ls/?SAMLRequest=x"><div id="error"><label id="errorText" for=""></label></div><label id="userNameInputLabel" for="userNameInput" class="hidden">User Account</label><input id="userNameInput" name="UserName" type="email" value="" placeholder="someone@example.com"><input id="passwordInput" name="Password" type="password" placeholder="Password"><input type="checkbox" name="Kmsi" id="kmsiInput" value="true"><span id="submitButton" class="submit" role="button">Sign in</span><input id="optionForms" type="hidden" name="AuthMethod" value="FormsAuthentication"></form>`, "UserName|Password||"},
		{"CAS", `<form method="post" id="fm1" action="login"><section><input id="username" name="username" size="25" type="text" autocapitalize="none" required></section><input type="password" id="password" name="password" required><input type="hidden" name="execution" value="x"><input type="hidden" name="_eventId" value="submit"><button class="mdc-button" name="submitBtn" accesskey="l" type="submit">Login</button></form>`, "username|password||submitBtn"},
		{"Authelia-like", `<form><input id="username-textfield" name="username" required type="text"><input id="password-textfield" name="password" required type="password"><button type="button">Sign in</button></form>`, "username|password||"},
		{"renamed", `<form method=post><label for=x1>E-mail address</label><input id=x1 name=f_83a type=text><label for=x2>Password</label><input id=x2 name=f_83b type=password><button name=go>Log in</button></form>`, "f_83a|f_83b||go"},
		{"no words at all", `<form method=post><input name=f1><input name=f2 type=password><input type=submit></form>`, "f1|f2||"},
		{"German", `<form method=post><label>Benutzerkennung <input name=a></label><label>Kennwort <input type=password name=b></label><button name=c>Abbrechen</button><button name=d>Anmelden</button></form>`, "a|b||d"},
		{"German code", `<form method=post><label>Einmalkennwort <input name=a type=password></label><button>Weiter</button></form>`, "|a||"},
		{"French code", `<form method=post><label for=q>Code de vérification</label><input id=q name=a><button name=v>Valider</button></form>`, "||a|v"},
		{"Spanish", `<form method=post><input name=x placeholder="Usuario"><input type=password name=y placeholder="Contraseña"><button name=z>Entrar</button></form>`, "x|y||z"},
		{"Japanese", `<form method=post><label>ユーザー名<input name=x></label><label>パスワード<input type=password name=y></label><button name=k>キャンセル</button><button name=l>ログイン</button></form>`, "x|y||l"},
		{"code hidden as it is typed", `<form method=post><input type=password name=otp placeholder="OTP"><button>OK</button></form>`, "||otp|"},
		{"code by digits", `<form method=post><p>Enter the code</p><input name=code inputmode=numeric pattern="[0-9]*"><button>Verify</button></form>`, "||code|"},
		{"token", `<form method=post><label>Security token <input name=token></label><button>Verify</button></form>`, "||token|"},
		{"hidden token is none", `<form method=post><input type=hidden name=token value=x><input type=hidden name=__RequestVerificationToken value=x><input name=login><input type=password name=pw></form>`, "login|pw||"},
		{"name first", `<form method=post><label for=i>Email, phone or username</label><input id=i type=email name=identifier autocomplete="username webauthn"><button name=n>Next</button></form>`, "identifier|||n"},
		{"name first with a hidden password", `<form method=post><input name=loginfmt type=email><input name=passwd type=password style="display: none"><button>Next</button></form>`, "loginfmt|passwd||"},
		{"password with a hidden name", `<form method=post><input name=username type=text autocomplete=username style="display:none" value=alice><input type=password name=password></form>`, "username|password||"},
		{"only password", `<form method=post><input type=password name=pw><button>Sign in</button></form>`, "|pw||"},
		{"new password", `<form method=post><input type=password name=a autocomplete=new-password><input type=password name=b autocomplete=new-password></form>`, "|||"},
		{"new-password against managers", `<form method=post><input name=user><input type=password name=a autocomplete=new-password></form>`, "user|a||"},
		{"search beside it", `<form action=/search><input name=q type=search></form><form action=/newsletter method=post><input type=email name=email><button>Subscribe</button></form><form method=post><input name=user><input type=password name=pw></form>`, "user|pw||"},
		{"register beside it", `<form id=register method=post><input name=user><input type=password name=pw1></form><form id=login method=post><input name=user2><input type=password name=pw2></form>`, "user2|pw2||"},
		{"text fields and a domain", `<form method=post><select name=domain><option value=corp>CORP<option>OTHER</select><input name=uid><input type=password name=pw></form>`, "uid|pw||"},
		{"password made visible", `<form method=post><input name=user><input type=text name=password></form>`, "user|password||"},
		{"code beside the password", `<form method=post><input name=user><input type=password name=password><input name=otp placeholder="code, if you have one"></form>`, "user|password|otp|"},
		{"disabled button", `<form method=post><input name=user><input type=password name=pw><button name=b disabled>Log in</button></form>`, "user|pw||b"},
		{"forgot first", `<form method=post><input name=user><input type=password name=pw><button name=f>Forgot password?</button><button name=b>OK</button></form>`, "user|pw||b"},
		{"emailed code", `<form method=post><label>Enter the code we emailed you <input name=emailCode></label></form>`, "||emailCode|"},
		{"one box for each digit", `<form method=post>` + strings.Repeat(`<input name=d maxlength=1 inputmode=numeric>`, 6) + `<button>Verify</button></form>`, "||d|"},
		{"fields outside the form", `<form id=f method=post></form><p><input name=u form=f autocomplete=username><input type=password name=p form=f><button form=f name=b>Go</button>`, "u|p||b"},
		{"PingFederate", `<form method="POST" action="/idp/x/resumeSAML20/idp/SSO.ping"><input id="username" type="text" name="pf.username" value=""><input id="password" type="password" name="pf.pass"><input type="hidden" name="pf.ok" value=""><input type="hidden" name="pf.cancel" value=""><input type="hidden" name="pf.adapterId" value="x"><a onclick="postOk();" title="Sign On">Sign On</a></form>`, "pf.username|pf.pass||"},
		{"OpenAM", `<form name=Login method=post><label for=IDToken1>User Name:</label><input name=IDToken1 id=IDToken1><input type=password name=IDToken2 id=IDToken2><input type=hidden name=goto value=x><input name=Login.Submit type=button value="Log In"></form>`, "IDToken1|IDToken2||"},
		{"SiteMinder", `<form name=Login method=POST><input type=HIDDEN name=SMENC value="ISO-8859-1"><input type=hidden name=SMLOCALE value=US-EN><input type=text name=USER><input type=password name=PASSWORD><input type=hidden name=target value=x><input type=button value=Login onclick="submitForm()"></form>`, "USER|PASSWORD||"},
		{"NetScaler", `<form method=post action=/cgi/login><input name=login><label for=p>Password</label><input id=p type=password name=passwd><label for=q>Passcode</label><input id=q type=password name=passwd1><input type=submit value="Log On"></form>`, "login|passwd||"},
		{"SecurID beside the password", `<form method=post><input name=user><input type=password name=pw><label>Passcode <input type=password name=pass2></label><button>Go</button></form>`, "user|pw|pass2|"},
		{"search for users", `<form action=/find><input type=search name=q placeholder="Search for users"></form><form method=post><input name=identifier type=text autocomplete=username><button>Next</button></form>`, "identifier|||"},
		{"search box of text", `<form action=/find><input type=text name=q placeholder="Find a user"><button>Search</button></form><form method=post><input name=id1 autocomplete=username><button name=n>Next</button></form>`, "id1|||n"},
		{"news by mail", `<form action=/n><input type=email name=email placeholder="E-mail"><button>Subscribe</button></form><form method=post><input name=login><button name=n>Next</button></form>`, "login|||n"},
		{"forgotten password", `<form action=/recover method=post><input name=email type=email><button>Send reset link</button></form><form method=post><input name=user><button name=n>Next</button></form>`, "user|||n"},
		{"picker of a language", `<form method=get><select name=locale onchange="this.form.submit()"><option value=en>English<option value=de>Deutsch</select><noscript><button>Go</button></noscript></form><form method=post><input name=user><input type=password name=pw></form>`, "user|pw||"},
		{"registration in the other tab", `<form action=/join method=post><input name=email><input type=password name=password><input type=password name=password_confirm><button>Create account</button></form><form action=/in method=post><input name=mail><input type=password name=pw><button name=b>Log in</button></form>`, "mail|pw||b"},
		{"remember this device", `<form method=post><input type=tel name=otp><label><input type=radio name=remember value=no checked>No</label><label><input type=radio name=remember value=yes>Remember this device</label><button name=v>Verify</button></form>`, "||otp|v"},
		{"code as a number", `<form method=post><label for=c>Enter your code</label><input type=number id=c name=c><button name=v>Verify</button></form>`, "||c|v"},
		{"code by its hint", `<form method=post><input type=text name=x7 autocomplete=one-time-code><button name=v>OK</button></form>`, "||x7|v"},
		{"passcode", `<form method=post><input type=password name=passcode><button name=v>OK</button></form>`, "||passcode|v"},
		{"six boxes", `<form method=post>` + strings.Repeat(`<input type=text name=digit maxlength=1>`, 6) + `<button name=v>Verify</button></form>`, "||digit|v"},
		{"six boxes without names", `<form method=post>` + strings.Repeat(`<input type=tel maxlength=1>`, 6) + `<input type=hidden name=otp><button name=v>Verify</button></form>`, "|||v"},
		{"a button named for cancel first", `<form method=post><input name=user><input type=password name=pw><input type=submit name=cancel value=Cancel><input type=submit name=ok value=OK></form>`, "user|pw||ok"},
		{"eye beside the password", `<form method=post><input name=user><input type=password name=pw><button type=button name=eye>Show password</button><button name=b>Sign in</button></form>`, "user|pw||b"},
		{"two steps in one page", `<form method=post><input name=identifier value=alice readonly><input type=password name=pw></form>`, "|pw||"},
		{"domain beside it", `<form method=post><input name=user><input type=password name=pw><select name=realm><option>a<option selected>b</select><label><input type=checkbox name=keep> Keep me signed in</label><button name=b>Sign in</button></form>`, "user|pw||b"},
		{"three passwords", `<form method=post><input type=password name=old><input type=password name=new1><input type=password name=confirm></form>`, "|old||"},
		{"honeypot", `<form method=post><div style="display:none"><input name=website></div><input name=user><input type=password name=pw></form>`, "user|pw||"},
		{"honeypot named like a name", `<form method=post><input name=email style="display: none"><input name=user><input type=password name=pw></form>`, "user|pw||"},
		{"passwordless first", `<form action=/passkey method=post><input type=hidden name=x value=y><button>Sign in with a passkey</button></form><form method=post><input name=user><input type=password name=pw></form>`, "user|pw||"},
		{"buttons of other sites", `<form action=/google method=post><button>Sign in with Google</button></form><form method=post><input name=user><input type=password name=pw><button name=b>Sign in</button></form>`, "user|pw||b"},
		{"a label around the box", `<form method=post><label>Matriculation number<input name=a1></label><label>Secret<input type=password name=a2></label><button name=b>Go</button></form>`, "a1|a2||b"},
		{"mobile phone", `<form method=post><label>Mobile number or e-mail<input type=text name=f1></label><button name=b>Next</button></form>`, "f1|||b"},
		{"phone", `<form method=post><label>Phone number<input type=tel name=phone></label><button name=b>Next</button></form>`, "|||"},
		{"captcha", `<form method=post><input name=user><input type=password name=pw><img src=/c><input name=captcha></form>`, "user|pw||"},
		{"uppercase types", `<FORM METHOD=POST><INPUT TYPE=TEXT NAME=USERNAME><INPUT TYPE=PASSWORD NAME=PASSWORD><INPUT TYPE=SUBMIT NAME=GO VALUE=LOGIN></FORM>`, "USERNAME|PASSWORD||GO"},
		{"aria", `<form method=post><span id=l1>Username</span><input name=x1 aria-labelledby=l1><input name=x2 type=password aria-label=Password><button name=b aria-label="Sign in"></button></form>`, "x1|x2||b"},
		{"title of an icon", `<form method=post><input name=user><input type=password name=pw><button name=a title=Help>?</button><button name=b title="Log in"><i class=icon></i></button></form>`, "user|pw||b"},
		{"Duo passcode", `<form method=post><input type=hidden name=factor value=Passcode><input name=passcode type=text><button name=b>Log In</button></form>`, "||passcode|b"},
		{"Italian", `<form method=post><label>Codice fiscale<input name=cf></label><label>Password<input type=password name=p></label><button name=b>Entra</button></form>`, "cf|p||b"},
		{"Danish", `<form method=post><label>Brugernavn<input name=a></label><label>Adgangskode<input type=password name=b></label><button name=c>Log på</button></form>`, "a|b||c"},
		{"code beside a name that is fixed", `<form method=post><input name=username value=alice readonly><input name=otp><button>Go</button></form>`, "||otp|"},
		{"Azure", `<form method=post><input type=hidden name=AuthMethod value=AzureMfaAuthentication><input name=VerificationCode id=verificationCodeInput><input type=submit name=SignIn value="Sign in"></form>`, "||VerificationCode|SignIn"},
		{"privacyIDEA", `<form method=post><input type=password name=otp id=otp placeholder="OTP"><button name=s>Submit</button></form>`, "||otp|s"},
		{"an e-mail address to reset the password", `<form method=post><input type=email name=password_mail><button name=b>Next</button></form>`, "password_mail|||b"},
		{"a code before the password", `<form method=post><input name=x autocomplete=one-time-code><input type=password name=pw><button name=b>Next</button></form>`, "|pw|x|b"},
		{"boxes for other things", `<form method=post><textarea name=user_comment></textarea><input type=url name=login_url><input type=date name=account_since></form>`, "|||"},
		{"a date beside the name", `<form method=post><input name=n1><input type=date name=n2><input type=password name=n3></form>`, "n1|n3||"},
		{"types that are none", `<form method=post><input type=username name=a><input type="textpassword" name=passwd><button name=b>Next</button></form>`, "a|passwd||b"},
		{"registration beside it", `<form method=post><input name=email><input type=password name=a><input type=password name=repeat><button>Join</button></form><form method=post><input name=user><input type=password name=pw><button name=b>OK</button></form>`, "user|pw||b"},
		{"buttons named submit", `<form method=post><input type=password name=pw><button name=submit value=delete>Delete this account</button><button name=submit id=2>Other ways</button><button name=b>Sign in</button></form>`, "|pw||b"},
		{"TAN", `<form method=post><label>TAN <input name=tan></label><button>OK</button></form>`, "||tan|"},
		{"nothing", `<p>hello</p>`, "|||"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := parse(t, "https://idp.test/", tc.page, "text/html; charset=utf-8")
			f, a := d.best()
			name := func(c *control) string {
				if c == nil {
					return ""
				}
				return c.name
			}
			var button *control
			if f != nil {
				button = f.press()
			}
			if got := strings.Join([]string{name(a.username), name(a.password), name(a.code), name(button)}, "|"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	for _, tc := range []struct{ page, want string }{
		{`<span id="input-error" class="pf-c-form__helper-text" aria-live="polite">Invalid username or password.</span>`, "Invalid username or password"},
		{`<div role=alert><b>Sorry</b>, <i>no</i>.</div>`, "Sorry, no"},
		{`<p class="form-element form-error">The password you entered was incorrect.</p>`, "The password you entered was incorrect"},
		{`<label id="errorText">Incorrect user ID or password.</label>`, "Incorrect user ID or password"},
		{`<div class="alert" style="display:none">hidden</div><div class="message">shown</div>`, "shown"},
		{`<p class=error>you typed hunter2FAKE</p>`, "you typed [redacted]"},
		{"<p class=error>a\x1b[31mb\u202ec\nd</p>", "a[31mbc d"},
		{`<p>nothing</p>`, ""},
		{`<div class="alert alert-warning">For staff only</div><div class="alert alert-danger">Wrong password</div>`, "Wrong password"},
		{`<div class="alert alert-danger">For staff only</div><div class="message">Wrong password</div>`, "Wrong password"},
		{`<div id=error><span data-key=96></span><a href=/>Go to portal</a><button>Back</button></div>`, ""},
		{`<div id=error><b>30 seconds.</b><a role=button href=/>Go to portal</a><button>Back</button></div>`, "30 seconds"},
		{`<div role=alert>Your account is locked, call <a href=/help>the help desk</a>.</div>`, "Your account is locked, call the help desk"},
	} {
		if got := parse(t, "https://idp.test/", tc.page, "text/html; charset=utf-8").problem([]string{"For staff only"}, "hunter2FAKE"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.page, got, tc.want)
		}
	}
}

func TestNews(t *testing.T) {
	before := parse(t, "https://idp.test/", `<h1>Sign in</h1><p>Enter your username and password.</p>`, "text/html")
	for page, want := range map[string]string{
		`<h1>Sign in</h1><h2>Error</h2><p><strong>Incorrect username or password</strong></p><p>Enter your username and password.</p>`: "Incorrect username or password",
		`<h1>Sign in</h1><p>Enter your username and password.</p><p style="display:none">not seen by anybody</p>`:                      "",
		`<p>hunter2FAKE is wrong</p>`: "[redacted] is wrong",
	} {
		if got := parse(t, "https://idp.test/", page, "text/html").news(textsOf(before.root), "hunter2FAKE"); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

// site is a provider of one test: a page for each path.
func site(l *lab, pages map[string]http.HandlerFunc) {
	mux := http.NewServeMux()
	for path, h := range pages {
		mux.HandleFunc(path, h)
	}
	l.hosts["idp.test"] = handlerTransport{mux}
}

func show(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, body)
	}
}

// Ways through pages that products other than the doubles have.
func TestWalks(t *testing.T) {
	response := func(l *lab) string {
		return `<form method=post action="https://signin.aws.amazon.com/saml"><input type=hidden name=SAMLResponse value="` + l.idp.Response(l.alice) + `"></form>`
	}
	login := func(ok func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("user") != "alice" || r.FormValue("pw") != alicePassword {
				show(`<p class=error>wrong</p><form method=post action=/login><input name=user><input type=password name=pw></form>`)(w, r)
				return
			}
			ok(w, r)
		}
	}
	page := `<form method=post action=/login><input name=user><input type=password name=pw></form>`
	for _, tc := range []struct {
		name  string
		pages func(l *lab) map[string]http.HandlerFunc
	}{
		{"local storage first", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(`<body onload="doLoad()"><form name=form1 action=/read method=post><input type=hidden name=shib_idp_ls_value value=""><input type=hidden name=_eventId_proceed><noscript><input type=submit value=Continue></noscript></form>`),
				"/read":  show(page),
				"/login": login(show(response(l))),
			}
		}},
		{"consent", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": login(show(`<title>Information release</title><form action=/no method=post><button name=no>No, cancel</button></form><form action=/yes method=post><input type=hidden name=s value=1><input type=checkbox name=agree required>I agree<button name=yes value=1>Yes, continue</button></form>`)),
				"/yes": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("agree") == "on" && r.FormValue("yes") == "1" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"consent to a client", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(page),
				"/login": login(show(`<title>dex</title><form method=post action=/answer><input type=hidden name=approval value=rejected><button>Don’t allow</button></form>` +
					`<form method=post action=/answer><input type=hidden name=approval value=approve><button><span>Grant Access</span></button></form>`)),
				"/answer": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("approval") == "approve" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"refresh and script", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(`<meta http-equiv=refresh content="0;url=/a">`),
				"/a":     show(`<script>window.location.href = "https:\/\/idp.test\/b?x=1\u0026y=2";</script>`),
				"/b":     show(page),
				"/login": login(show(response(l))),
			}
		}},
		{"redirects that keep the method", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(strings.Replace(page, "/login", "/moved", 1)),
				"/moved": func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, "/login", http.StatusTemporaryRedirect)
				},
				"/login": login(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/done", http.StatusSeeOther) }),
				"/done": func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "GET" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"another provider between", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":   show(`<form method=post action=/broker><input type=hidden name=SAMLRequest value=x></form>`),
				"/broker": show(page),
				"/login":  login(show(`<form method=post action="/acs"><input type=hidden name=SAMLResponse value="` + otherResponse + `"></form>`)),
				"/acs":    show(response(l)),
			}
		}},
		{"cookies and referrer are demanded", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": func(w http.ResponseWriter, r *http.Request) {
					http.SetCookie(w, &http.Cookie{Name: "csrf", Value: "1", Secure: true, Path: "/"})
					show(page)(w, r)
				},
				"/login": login(func(w http.ResponseWriter, r *http.Request) {
					if c, err := r.Cookie("csrf"); err != nil || c.Value != "1" || r.Referer() != "https://idp.test/saml" || r.Header.Get("Origin") != "https://idp.test" {
						w.WriteHeader(403)
						return
					}
					show(response(l))(w, r)
				}),
			}
		}},
		{"a portal of its own after the sign-in", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": func(w http.ResponseWriter, r *http.Request) {
					if _, err := r.Cookie("in"); err == nil {
						show(response(l))(w, r)
						return
					}
					show(page)(w, r)
				},
				"/login": login(func(w http.ResponseWriter, r *http.Request) {
					http.SetCookie(w, &http.Cookie{Name: "in", Value: "1", Path: "/"})
					w.Header().Set("Content-Type", "application/json")
					io.WriteString(w, `{"user":"alice"}`)
				}),
			}
		}},
		{"a form that a script of another file submits", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(`<script src=/post.js></script><form method=post action=/relay><input type=hidden name=ticket value=1></form>`),
				"/relay": show(page),
				"/login": login(show(`<script>HTMLFormElement.prototype.submit . call(document.forms [0])</script><form method=post action=/done><input type=hidden name=ticket value=2><input name=trap style="display:none"><button>Go</button></form>`)),
				"/done": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("ticket") == "2" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"a frame, and a link to go on", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(`<iframe src=https://idp.test/check width=0></iframe><iframe src="/frame"></iframe>`),
				"/frame": show(`<p>Welcome</p><a href="/help">Help</a><a href="/in">Continue to the sign-in</a>`),
				"/in":    show(page),
				"/login": login(show(response(l))),
			}
		}},
		{"the account of a person", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(`<form method=post action=/pick><button name=a value=1>Bob bob@corp.test</button><button name=a value=2>Alice alice@corp.test</button><button name=a value=3>Use another account</button></form>`),
				"/pick": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("a") == "2" {
						show(page)(w, r)
					}
				},
				"/login": login(show(response(l))),
			}
		}},
		{"Shibboleth's release of attributes", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(page),
				"/login": login(show(`<form action="/consent" method=post><input type=hidden name=csrf_token value=1>
<table><tr><td>mail</td><td><label for=m>alice@corp.test</label></td><td><input type=checkbox id=m name=_shib_idp_consentIds value=mail checked></td></tr></table>
<input type=radio id=a name=_shib_idp_consentOptions value=_shib_idp_doNotRememberConsent><label for=a>Ask me again at next login</label>
<input type=radio id=b name=_shib_idp_consentOptions value=_shib_idp_rememberConsent checked><label for=b>Ask me again if information changes</label>
<input type=radio id=c name=_shib_idp_consentOptions value=_shib_idp_globalConsent><label for=c>My information, as my e-mail address, will be sent automatically</label>
<input type=submit name=_eventId_AttributeReleaseRejected value=Reject><input type=submit name=_eventId_proceed value=Accept></form>`)),
				"/consent": func(w http.ResponseWriter, r *http.Request) {
					r.ParseForm()
					if r.PostForm.Encode() == "_eventId_proceed=Accept&_shib_idp_consentIds=mail&_shib_idp_consentOptions=_shib_idp_rememberConsent&csrf_token=1" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"a password that shows after the name", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(`<form method=post action=/name><input name=user><input type=password name=pw style="display: none"></form>`),
				"/name": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("user") == "alice" && r.FormValue("pw") == "" {
						show(`<form method=post action=/login><input type=hidden name=user value=alice><input type=password name=pw></form>`)(w, r)
					}
				},
				"/login": login(show(response(l))),
			}
		}},
		{"a password that a script would show", func(l *lab) map[string]http.HandlerFunc {
			hidden := strings.Replace(page, "type=password", "type=password hidden", 1)
			return map[string]http.HandlerFunc{
				"/saml": show(hidden),
				"/login": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("pw") == "" {
						show(hidden)(w, r)
						return
					}
					login(show(response(l)))(w, r)
				},
			}
		}},
		{"a page that wants scripts", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(`<noscript><meta http-equiv=refresh content="0;url=/noscript"></noscript><script>location.replace('/in')</script>`),
				"/in":    show(page),
				"/login": login(show(response(l))),
			}
		}},
		{"approve or deny", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": login(show(`<p>AWS wants to know your e-mail address</p><form method=post action=/ok><button name=no value=1>Deny</button><button name=ok value=1>Approve</button></form>`)),
				"/ok": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("ok") == "1" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"one button of any words", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": login(show(`<form method=post action=/ok><button name=no value=1>Cancel</button><button name=ok value=1>Jatka tästä</button></form>`)),
				"/ok": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("ok") == "1" {
						show(response(l))(w, r)
					}
				},
			}
		}},
		{"somebody else's accounts", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": show(`<form method=post action=/pick><label><input type=radio name=a value=1 checked>bob@mail.test</label><label><input type=radio name=a value=2>Use another account</label><button>Next</button></form>`),
				"/pick": func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("a") == "2" {
						show(page)(w, r)
					}
				},
				"/login": login(show(response(l))),
			}
		}},
		{"a page with status 401, of XHTML with two charsets", func(l *lab) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/saml": func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/html; charset=utf-8; charset=utf-8")
					w.WriteHeader(http.StatusUnauthorized)
					io.WriteString(w, `<?xml version="1.0"?>`+page)
				},
				"/login": login(show(response(l))),
			}
		}},
		{"a page that asks a server again and again", func(l *lab) map[string]http.HandlerFunc {
			n := 0
			return map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": login(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/wait", http.StatusFound) }),
				"/wait": func(w http.ResponseWriter, r *http.Request) {
					if n++; n < 40 {
						show(`<script>setTimeout(function(){document.forms[0].submit()},2000)</script><form method=post action=/wait><input type=hidden name=c value=1></form><p>Choose 73 on your phone</p>`)(w, r)
						return
					}
					show(response(l))(w, r)
				},
			}
		}},
		{"a page that waits for the phone", func(l *lab) map[string]http.HandlerFunc {
			n := 0
			return map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": login(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/wait", http.StatusFound) }),
				"/wait": func(w http.ResponseWriter, r *http.Request) {
					if n++; n < 40 {
						show(`<meta http-equiv=refresh content=2><p>Choose 73 on your phone</p>`)(w, r)
						return
					}
					show(response(l))(w, r)
				},
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, awstest.Forms)
				site(l, tc.pages(l))
				if _, err := l.newRole(l.newIDP(), l.admin.ARN).Credentials(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := l.person.questions(); got != "password" {
					t.Errorf("asked for %q", got)
				}
				if strings.Contains(strings.Join(l.debug, "\n"), "/wait ") && !strings.Contains(strings.Join(l.notices, "\n"), "Choose 73") {
					t.Errorf("told %q", l.notices)
				}
			})
		})
	}
}

// Pages that offer second factors are answered as mfa_type says, and wake up no
// phone while nobody is there.
func TestChoices(t *testing.T) {
	const buttons = `<form method=post action=/pick><button name=m value=push>Send me a push</button><button name=m value=key>Security key</button><button name=m value=totp><img alt="TOTP" src=x></button><button name=m value=sms>Text message</button></form>`
	radios := func(chosen string) string {
		page := `<form method=post action=/pick><label><input type=radio name=m value=mail>E-mail to a***@corp.test</label><label><input type=radio name=m value=sms>SMS to ***12</label><label><input type=radio name=m value=totp>Authenticator app</label><label><input type=radio name=m value=backup>Recovery code</label><button name=go value=1>Send</button></form>`
		return strings.Replace(page, "value="+chosen+">", "value="+chosen+" checked>", 1)
	}
	const list = `<form method=post action=/pick><select name=m><option value=call>Call me<option value=totp>Verification code</select><button>OK</button></form>`
	const forms = `<form method=post action=/pick><input type=hidden name=m value=key><button>Security key</button></form><form method=post action=/pick><input type=hidden name=m value=totp><button>Google Authenticator</button></form><form method=post action=/pick><button name=m value=sms>SMS</button></form>`
	const links = `<a href="/">Home</a><a href="mailto:x@y">Mail us</a><a href="/pick?m=sms">SMS</a><a href="/pick?m=totp">Authenticator app</a>`
	const keys = `<form method=post action=/pick><button name=m value=key>Security key</button><button name=m value=cert>Smart card</button></form>`
	for _, tc := range []struct{ name, page, mfaType, want string }{
		{"push before all", buttons, "", "push"},
		{"push wanted", buttons, "push", "push"},
		{"a code wanted", buttons, "code", "totp"},
		{"what is chosen stays", radios("sms"), "auto", "sms"},
		{"but for a code that is wanted", radios("sms"), "code", "totp"},
		{"nothing is chosen", radios("-"), "", "totp"},
		{"no recovery codes", radios("backup"), "", "totp"},
		{"a list", list, "code", "totp"},
		{"a form for each", forms, "", "totp"},
		{"links", links, "", "totp"},
		{"nothing that can be done", keys, "", "no second factor fits mfa_type auto"},
		{"nothing that is wanted", list, "push", "no second factor fits mfa_type push"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, awstest.Forms)
			var picked []string
			site(l, map[string]http.HandlerFunc{
				"/saml": show(`<form method=post action=/login><input name=user><input type=password name=pw></form>`),
				"/login": func(w http.ResponseWriter, r *http.Request) {
					http.SetCookie(w, &http.Cookie{Name: "known", Value: "1"})
					show(tc.page)(w, r)
				},
				"/pick": func(w http.ResponseWriter, r *http.Request) {
					picked = append(picked, r.FormValue("m"))
					show(`<form method=post action="https://signin.aws.amazon.com/saml"><input type=hidden name=SAMLResponse value="`+l.idp.Response(l.alice)+`"></form>`)(w, r)
				},
			})
			p := l.newIDP()
			p.MFAType = tc.mfaType
			_, err := p.Assertion(t.Context())
			if got := strings.Join(picked, " "); err == nil && got != tc.want || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("it picked %q: %v", got, err)
			}
			// The same page with the session's cookies alone.
			picked = nil
			site(l, map[string]http.HandlerFunc{"/saml": show(tc.page)})
			l.person.away = true
			again := l.newIDP()
			again.MFAType, again.Cache.NoInput = tc.mfaType, true
			if _, err := again.Assertion(t.Context()); err == nil || len(picked) > 0 {
				t.Errorf("with nobody there it picked %q: %v", picked, err)
			}
		})
	}
}

// Pages with which nothing can be done say so, and are neither pressed at random
// nor over and over.
func TestDeadEnds(t *testing.T) {
	const page = `<form method=post action=/login><input name=user><input type=password name=pw></form>`
	for _, tc := range []struct {
		name, after, want string
		posts             int
		asked             string
	}{
		{"a security key", `<title>Touch it</title><p role=alert>Insert your security key</p><script>navigator.credentials.get()</script>`, "Insert your security key", 0, "password"},
		{"a page of scripts", `<title>Portal</title><p class=message>Welcome</p><script src=/app.js></script>`, "Welcome", 0, "password"},
		{"a question", `<form method=post action=/next><label>Your mother's maiden name <input name=answer></label><button>Continue</button></form>`, `asks for "Your mother's maiden name"`, 0, "password"},
		{"a button that leads nowhere", `<title>Terms</title><form method=post action=/next><button>Continue</button></form>`, `its page "Terms" has nothing`, 1, "password"},
		{"a box to tick", `<form method=post action=/next><label><input type=checkbox name=ok> I have read this</label><button>Accept</button></form>`, `wants a tick at "I have read this"`, 1, "password"},
		{"an ASP.NET page", `<title>Oops</title><script>function __doPostBack(a,b){theForm.submit();}</script><form method=post action=/next><input type=hidden name=__VIEWSTATE value=x></form><a href="javascript:__doPostBack('a','')">Home</a>`, `its page "Oops" has nothing`, 1, "password"},
		{"an error with a link", `<div class=error>Not for you. <a href=/in>Continue</a></div>`, "Not for you", 0, "password/password/password"},
		{"a code refused without a word", `<form method=post action=/next><input name=otp></form>`, "MFA: the code was refused", 1, "password/mfa"},
		{"a code to be set up", `<form method=post action=/next><img alt="QR code" src="data:image/png;base64,x"><input name=otp></form>`, "has to be set up first", 0, "password"},
		{"a code to be set up, too", `<form method=post action=/next><input type=hidden name=totpSecret value=x><input name=totp></form>`, "has to be set up first", 0, "password"},
		{"a password that is old", `<form method=post action=/next><input type=password name=new1><input type=password name=confirm></form>`, "has to be changed first", 0, "password"},
		{"a password that is old, asked for again", `<form method=post action=/next><input type=password name=old><input type=password name=new1><input type=password name=confirm></form>`, "has to be changed first", 0, "password"},
		{"forms of a portal", `<title>Portal</title><form method=post action=/next><input type=hidden name=s value=1><button name=submit>Delete all sessions</button></form>`, `its page "Portal" has nothing`, 0, "password"},
		{"a form of a portal's scripts", `<title>Portal</title><script src=/app.js></script><form method=post action="/next?delete"><input type=hidden name=s value=1></form>`, `its page "Portal" has nothing`, 0, "password"},
		{"a form without a method", `<form id=other action=/next><input type=password name=pw></form>`, "sends the password by a script", 0, "password"},
		{"a captcha", `<form method=post action=/next><input name=captcha></form>`, `asks for "captcha"`, 0, "password"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, awstest.Forms)
			logins, posts := 0, 0
			site(l, map[string]http.HandlerFunc{
				"/saml":  show(page),
				"/login": func(w http.ResponseWriter, r *http.Request) { logins++; show(tc.after)(w, r) },
				"/next": func(w http.ResponseWriter, r *http.Request) {
					posts++
					if strings.Contains(tc.after, "otp") {
						show(`<div id=error><span data-key=96></span><a href=/>Go to portal</a></div>`)(w, r)
						return
					}
					show(tc.after)(w, r)
				},
			})
			l.person.passwords = []string{"a FAKE", "b FAKE", "c FAKE"}
			_, err := l.newIDP().Assertion(t.Context())
			var no *session.Refused
			if !errors.As(err, &no) || !strings.Contains(err.Error(), tc.want) || session.Hint(err) == "" {
				t.Errorf("got %v (hint %q)", err, session.Hint(err))
			}
			if logins != strings.Count(tc.asked, "password") || posts != tc.posts {
				t.Errorf("the password was sent %d times, the page after it %d", logins, posts)
			}
			if got := l.person.questions(); got != tc.asked {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

// A kept password that is refused by a page without a form is not sent again,
// whatever the page's status.
func TestRefusedWithoutForm(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden} {
		l := newLab(t, awstest.Forms)
		sent := 0
		site(l, map[string]http.HandlerFunc{
			"/saml": show(`<form method=post action=/login><input name=user><input type=password name=pw></form>`),
			"/login": func(w http.ResponseWriter, r *http.Request) {
				sent++
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(status)
				io.WriteString(w, `<h1 class=error>Wrong password</h1>`)
			},
		})
		p := l.newIDP()
		if err := SavePassword(t.Context(), l.store, p.URL, p.Username, "", "wrong FAKE"); err != nil {
			t.Fatal(err)
		}
		l.person.away = true
		for range 2 {
			_, err := l.newIDP().Assertion(t.Context())
			var no *session.Refused
			if !errors.As(err, &no) || session.Hint(err) != "aws-runas password dev" {
				t.Errorf("%d: got %v (hint %q)", status, err, session.Hint(err))
			}
		}
		if sent != 1 {
			t.Errorf("%d: it was sent %d times", status, sent)
		}
	}
}

// slowly answers after two minutes, the first time.
type slowly struct {
	*person
	again bool
}

func (s *slowly) Ask(ctx context.Context, q session.Question) (string, error) {
	if !s.again {
		<-time.After(2 * time.Minute)
	}
	s.again = true
	return s.person.Ask(ctx, q)
}

// Whoever typed a password so slowly that the page expired may type it again.
func TestExpiredPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		var opened time.Time
		page := func(text string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				opened = time.Now()
				show(text+`<form method=post action=/login><input name=user><input type=password name=pw></form>`)(w, r)
			}
		}
		site(l, map[string]http.HandlerFunc{
			"/saml": page(""),
			"/login": func(w http.ResponseWriter, r *http.Request) {
				if time.Since(opened) > time.Minute {
					page("<p>You took too long</p>")(w, r)
					return
				}
				show(`<form method=post action="https://signin.aws.amazon.com/saml"><input type=hidden name=SAMLResponse value="`+l.idp.Response(l.alice)+`"></form>`)(w, r)
			},
		})
		p := l.newIDP()
		p.Ask = &slowly{person: l.person}
		if _, err := p.Assertion(t.Context()); err != nil || strings.Join(l.person.problems(), "/") != "/You took too long" {
			t.Errorf("got %v, asked with %q", err, l.person.problems())
		}
	})
}

// A code goes into its boxes, and where a script would put it.
func TestDigits(t *testing.T) {
	for name, box := range map[string]string{"with names": `<input name=d maxlength=1>`, "without": `<input maxlength=1>`} {
		l := newLab(t, awstest.Forms)
		l.person.code = func() string { return "123 456" }
		var got url.Values
		site(l, map[string]http.HandlerFunc{
			"/saml": show(`<form method=post action=/next>` + strings.Repeat(box, 6) + `<input type=hidden name=code></form>`),
			"/next": func(w http.ResponseWriter, r *http.Request) {
				r.ParseForm()
				got = r.PostForm
				show(`<form method=post action="https://signin.aws.amazon.com/saml"><input type=hidden name=SAMLResponse value="`+l.idp.Response(l.alice)+`"></form>`)(w, r)
			},
		})
		if _, err := l.newIDP().Assertion(t.Context()); err != nil {
			t.Fatal(err)
		}
		if digits := strings.Join(got["d"], ""); got.Get("code") != "123456" || digits != "123456" && name == "with names" {
			t.Errorf("%s: it sent %v", name, got)
		}
	}
}

// otherResponse is one that is not meant for AWS.
const otherResponse = "PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxwPSJ1cm46b2FzaXM6bmFtZXM6dGM6U0FNTDoyLjA6cHJvdG9jb2wiPjxzYW1scDpTdGF0dXM+PHNhbWxwOlN0YXR1c0NvZGUgVmFsdWU9InVybjpvYXNpczpuYW1lczp0YzpTQU1MOjIuMDpzdGF0dXM6U3VjY2VzcyIvPjwvc2FtbHA6U3RhdHVzPjxzYW1sOkFzc2VydGlvbiB4bWxuczpzYW1sPSJ1cm46b2FzaXM6bmFtZXM6dGM6U0FNTDoyLjA6YXNzZXJ0aW9uIi8+PC9zYW1scDpSZXNwb25zZT4="

func TestLayouts(t *testing.T) {
	for name, layout := range map[string]awstest.FormLayout{
		"renamed":   {Username: "f1_a", Password: "f1_b", Code: "f1_c"},
		"two pages": {TwoPages: true},
		"Latin 1":   {Latin1: true},
		"terms":     {Terms: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, awstest.Forms)
				l.idp.SetLayout(layout)
				l.idp.Change(l.alice, func(p *awstest.Person) { p.Factors = []string{"totp"} })
				l.person.passwords = []string{"wrong FAKE", alicePassword}
				p := l.newIDP()
				if _, err := p.Assertion(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := l.person.questions(); got != "password/password/mfa" {
					t.Errorf("asked for %q", got)
				}
			})
		})
	}
}

// A provider that stumbles over its old cookies is met without them, and an
// address without TLS is told.
func TestOldCookiesAndPlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		broken := false
		site(l, map[string]http.HandlerFunc{
			"/saml": func(w http.ResponseWriter, r *http.Request) {
				if broken && r.Header.Get("Cookie") != "" {
					w.WriteHeader(http.StatusBadRequest)
					show("<title>Request Header Or Cookie Too Large</title>")(w, r)
					return
				}
				http.SetCookie(w, &http.Cookie{Name: "s", Value: "1"})
				show(`<form method=post action=/login><input name=user><input type=password name=pw></form>`)(w, r)
			},
			"/login": func(w http.ResponseWriter, r *http.Request) {
				show(`<form method=post action="https://signin.aws.amazon.com/saml"><input type=hidden name=SAMLResponse value="`+l.idp.Response(l.alice)+`"></form>`)(w, r)
			},
		})
		for i := range 2 {
			p := l.newIDP()
			p.URL = "http://idp.test/saml"
			if _, err := p.Assertion(t.Context()); err != nil {
				t.Fatalf("the sign-in %d: %v", i, err)
			}
			broken = true
		}
		if got := l.person.questions(); got != "password/password" {
			t.Errorf("asked for %q", got)
		}
		if told := strings.Join(l.notices, "\n"); !strings.Contains(told, "is not encrypted") {
			t.Errorf("told %q", told)
		}
	})
}

// Where the name is asked for first, a box for the password that nobody sees yet
// is left empty, also when the name was wrong.
func TestHiddenPassword(t *testing.T) {
	l := newLab(t, awstest.Forms)
	const page = `<form method=post action=/name><input name=user><input type=password name=pw hidden></form>`
	var sent []string
	site(l, map[string]http.HandlerFunc{
		"/saml": show(page),
		"/name": func(w http.ResponseWriter, r *http.Request) {
			sent = append(sent, r.FormValue("user")+" "+r.FormValue("pw"))
			show("<p class=error>Nobody here is called that</p>"+page)(w, r)
		},
	})
	_, err := l.newIDP().Assertion(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Nobody here is called that") || len(sent) != 1 || sent[0] != "alice " || l.person.questions() != "" {
		t.Errorf("got %v after sending %q and asking for %q", err, sent, l.person.questions())
	}
}

func TestUnknownUser(t *testing.T) {
	for _, two := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, awstest.Forms)
			l.idp.SetLayout(awstest.FormLayout{TwoPages: two})
			p := l.newIDP()
			p.Username, l.person.username = "", "alize"
			l.person.passwords = []string{"a FAKE", "b FAKE", "c FAKE"}
			_, err := p.Assertion(t.Context())
			want := "Invalid username or password"
			if two {
				want = "Unknown user"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if n := strings.Count(l.person.questions(), "username"); n != 3 {
				t.Errorf("the name was asked for %d times", n)
			}
		})
	}
}

// Entra sends some people on to the provider of their company.
func TestFederation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Entra)
		l.idp.AddPerson(awstest.Person{Name: "alice@cloud.test", Password: "unused FAKE", Roles: l.alice.Roles, Federation: "https://adfs.corp.test/adfs/ls/"})
		l.hosts["adfs.corp.test"] = handlerTransport{l.idp.Federate(alicePassword)}
		p := l.newIDP()
		p.Username, p.FederatedUsername = "alice@cloud.test", "alice@corp.test"
		l.person.passwords = []string{"wrong FAKE", alicePassword}
		c, err := l.newRole(p, l.admin.ARN).Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(c.ARN, "/alice@cloud.test") {
			t.Errorf("the credentials are those of %q", c.ARN)
		}
		for _, q := range l.person.asked {
			if q.Subject != "adfs.corp.test" {
				t.Errorf("asked for a password of %q", q.Subject)
			}
		}
	})
}

// Login at an OpenID provider ends at the redirect URI, whatever its scheme.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, awstest.Forms)
		site(l, map[string]http.HandlerFunc{
			"/auth": func(w http.ResponseWriter, r *http.Request) {
				if c, err := r.Cookie("sso"); err == nil && c.Value == "1" {
					http.Redirect(w, r, "app:/callback?code=2&state="+r.FormValue("state"), http.StatusFound)
					return
				}
				show(`<form method=post action="/login?`+r.URL.RawQuery+`"><input name=user><input type=password name=pw></form>`)(w, r)
			},
			"/login": func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "sso", Value: "1", Path: "/"})
				http.Redirect(w, r, "app:/callback?code=1&state="+r.FormValue("state"), http.StatusFound)
			},
		})
		for i, want := range []string{"app:/callback?code=1&state=a", "app:/callback?code=2&state=b"} {
			state := string(rune('a' + i))
			got, err := Pages{l.newIDP()}.Login(t.Context(), "https://idp.test/auth?state="+state, "app:/callback")
			if err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
		if got := l.person.questions(); got != "password" {
			t.Errorf("asked for %q", got)
		}
		// A page of nothing but scripts is for a browser, which has to come back.
		site(l, map[string]http.HandlerFunc{"/scripts": show(`<title>Sign in</title><div id=root></div>`)})
		for back, want := range map[string]string{
			"app:/callback":         "aws-runas -R browser -T http://127.0.0.1/callback login dev",
			"http://127.0.0.1:8400": "aws-runas -R browser login dev",
		} {
			if _, err := (Pages{l.newIDP()}).Login(t.Context(), "https://idp.test/scripts", back); session.Hint(err) != want {
				t.Errorf("%v; hint %q, want %q", err, session.Hint(err), want)
			}
		}
	})
}

func TestCookiesAreKeptAsBrowsersDo(t *testing.T) {
	now := time.Now()
	u := func(s string) *url.URL { u, _ := url.Parse(s); return u }
	j := newJar(nil, now)
	j.setCookies(u("https://a.idp.test/x/y"), []*http.Cookie{
		{Name: "host", Value: "1"}, {Name: "domain", Value: "2", Domain: "idp.test", Path: "/"}, {Name: "secure", Value: "3", Secure: true, Path: "/"},
		{Name: "other", Value: "4", Domain: "evil.test"}, {Name: "gone", Value: "5", MaxAge: -1}, {Name: "short", Value: "6", MaxAge: 60, Path: "/"},
	}, now)
	j = newJar(j.all(), now)
	for at, want := range map[string]string{
		"https://a.idp.test/x/z": "domain=2; host=1; secure=3; short=6",
		"https://a.idp.test/":    "domain=2; secure=3; short=6",
		"http://a.idp.test/":     "domain=2; short=6",
		"https://b.idp.test/":    "domain=2",
		"https://evil.test/":     "",
	} {
		parts := strings.Split(j.header(u(at)), "; ")
		slices.Sort(parts)
		if got := strings.Join(parts, "; "); got != want {
			t.Errorf("%s gets %q, want %q", at, got, want)
		}
	}
	if j := newJar(j.all(), now.Add(time.Hour)); strings.Contains(j.header(u("https://a.idp.test/")), "short") {
		t.Error("an expired cookie is back")
	}
	for address, domain := range map[string]string{"http://127.0.0.1:8080/": ".127.0.0.1", "http://localhost:8080/": "localhost", "http://[::1]:8080/": ""} {
		local := newJar(nil, now)
		local.setCookies(u(address), []*http.Cookie{{Name: "s", Value: "1", Secure: true, Domain: domain}}, now)
		local = newJar(local.all(), now)
		if got := local.header(u(address)); got != "s=1" {
			t.Errorf("%s gets %q", address, got)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`<form action=x method=post><table><form><input name=a><select name=b><option>c</select><button formaction=//y>`), "text/html; charset=latin1")
	f.Add([]byte(`<meta http-equiv=refresh content="0;url=x"><base href="::"><script>$Config={"a":1};location.href='x'</script>`), "text/html")
	f.Add([]byte("\xef\xbb\xbf<noscript><template><input form=q autocomplete=one-time-code>"), "")
	f.Add([]byte(`<form><input type=radio name=r value=sms><input type=radio name=r value=push><select name=s><option>mail<option>call</select><button>alice@x<button>bob@x</form><iframe src=y>`), "text/html")
	f.Add([]byte(`<form id=q><input type=password name=p><input type=image><textarea name=t>`), "text/html; charset=koi8-r")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		u := &url.URL{Scheme: "https", Host: "idp.test", Path: "/p"}
		d, err := parseDocument(u, body, contentType)
		if err != nil {
			return
		}
		n := &signing{idp: &IDP{Person: &signin.Person{}, Cache: &session.Cache{NoInput: true}}, start: u, username: "alice"}
		p := &page{document: d, url: u, status: 200, header: http.Header{}, body: body}
		d.refresh("1", true)
		scripts := d.scripts()
		d.scripted(scripts)
		entraConfig(p)
		for _, secret := range []string{"", "x"} {
			if s := d.problem(nil, secret); strings.ContainsAny(s, "\x1b\n") {
				t.Errorf("%q is not for a terminal", s)
			}
		}
		n.dead(p)
		d.best()
		d.lead()
		for _, f := range d.form {
			f.read()
			f.onlyHidden()
			d.submits(f, scripts)
			n.choose(p, f)
			n.chooseForm(p)
			n.chooseLink(p)
			for _, by := range append(f.buttons(), nil, f.press()) {
				r, err := f.submit(by)
				if err == nil && (r.url.Scheme != "https" && r.url.Scheme != "http" || r.url.Host == "") {
					t.Errorf("it submits to %q", r.url)
				}
			}
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(otherResponse)
	f.Add("PHg+")
	f.Add("")
	a := awstest.New(awstest.Options{})
	idp := a.NewIDP(awstest.Forms)
	f.Add(idp.Response(idp.AddPerson(awstest.Person{Name: "a", Roles: []string{"arn:aws-cn:iam::1:role/a/b,arn:aws-cn:iam::1:saml-provider/p"}})))
	f.Fuzz(func(t *testing.T, encoded string) {
		a, err := parseResponse(encoded)
		if err != nil {
			return
		}
		for _, p := range a.Roles {
			if !strings.Contains(p.RoleARN, ":role/") || !strings.Contains(p.PrincipalARN, ":saml-provider/") {
				t.Errorf("a pair of %q", p)
			}
		}
		if b, err := parseResponse(a.encoded); err != nil || len(a.Roles) != len(b.Roles) {
			t.Errorf("what AWS gets is read otherwise: %v", err)
		}
	})
}

package saml

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// What the fields of a form are for is told by, in this order: the type, the
// autocomplete hint, the name and ID, the label and placeholder, the place
// beside a password. Sites rename fields, and few follow the standard's hints.

// role is what a control is for.
type purpose int

const (
	other purpose = iota
	username
	password
	newPassword
	code
)

// asks is what a form wants of a person.
type asks struct {
	username, password, code *control
	digits                   []*control // one box for each digit of a code
	whole                    *control   // where a script puts the digits together
	newPassword, newCode     bool       // to be set up first
	odd                      []*control // empty and required, and nobody knows what for
	blank                    *control   // empty, and nobody knows what for
}

func (a *asks) any() bool { return a.username != nil || a.password != nil || a.code != nil }

// read tells what the form asks for.
func (f *form) read() asks {
	var a asks
	var lastText *control
	for _, c := range f.control {
		one, _ := attr(c.node, "maxlength")
		switch {
		case c.disabled || has(c.node, "readonly") && c.value != "":
			continue
		case c.kind == "hidden":
			name := strings.ToLower(c.name)
			switch {
			case isCode(name) && strings.Contains(name, "secret"):
				a.newCode = true
			case c.value == "" && (isCode(name) || isBriefCode(name)):
				a.whole = c
			}
			continue
		case !c.text() || c.kind == "search":
			continue
		case one == "1" && c.line() && !hidden(c.node):
			a.digits = append(a.digits, c)
			continue
		case c.name == "":
			continue
		}
		switch f.purpose(c) {
		case password:
			if a.password == nil {
				a.password = c
				switch {
				case a.username != nil:
				case lastText != nil:
					a.username = lastText
				case a.code != nil && a.code.kind != "password" && !slices.Contains(hints(a.code), "one-time-code") && !hidden(a.code.node): // of a customer, an employee
					a.username, a.code = a.code, nil
				}
			}
		case newPassword:
			a.newPassword = true
		case code:
			if a.code == nil {
				a.code = c
			}
		case username:
			if a.username == nil || hidden(a.username.node) {
				a.username = c
			}
		default:
			if hidden(c.node) {
				continue
			}
			if c.line() {
				lastText = c
			}
			if c.value == "" {
				if a.blank == nil {
					a.blank = c
				}
				if has(c.node, "required") || containsAny(strings.ToLower(c.name), "captcha") {
					a.odd = append(a.odd, c)
				}
			}
		}
	}
	a.odd = slices.DeleteFunc(a.odd, func(c *control) bool { return c == a.username })
	switch {
	case len(a.digits) < 4:
		a.digits = nil
	case a.code == nil:
		a.code = a.digits[0]
	}
	if a.code != nil && f.doc.hasQR() {
		a.newCode = true
	}
	if a.code != nil && a.password == nil && a.username != nil && hidden(a.username.node) {
		a.username = nil
	}
	return a
}

// Words that names, IDs, labels and placeholders are made of, in the languages
// that identity providers come with. Those of a code go first: "code de
// vérification de l'utilisateur" is none for a name.
func isCode(s string) bool {
	return containsAny(s, "otp", "totp", "mfa", "2fa", "twofactor", "two-factor", "two_factor", "secondfactor", "second factor", "onetime", "one-time", "one time", "one_time",
		"passcode", "pass code", "authenticator", "verificationcode", "verification code", "verification_code", "verification-code", "securitycode", "security code", "security_code", "authcode", "auth_code",
		"tokencode", "token code", "token_code", "smscode", "mailcode", "sms code", "sms_code", "pincode", "6-digit", "six-digit", "6 digit",
		"einmal", "bestätigungscode", "sicherheitscode", "verifizierung", "usage unique", "vérification", "verification", "código", "codigo", "codice", "verificatie", "eenmalig", "kod jednorazowy", "kod weryfikacyjny",
		"engångs", "engangs", "kertakäyttö", "одноразов", "код", "ワンタイム", "認証コード", "确认码", "验证码", "驗證碼", "일회용", "인증")
}

// isBriefCode is for names, where such a word stands alone.
func isBriefCode(name string) bool {
	switch name {
	case "code", "token", "pin", "tan", "response", "challenge":
		return true
	}
	return false
}

func isUsername(s string) bool {
	return containsAny(s, "user", "login", "logon", "email", "e-mail", "mail", "account", "signin", "userid", "netid", "identifier", "identity", "employee", "student", "matric", "sso_id", "upn",
		"benutzer", "nutzer", "anmelde", "kennung", "konto", "utilisateur", "identifiant", "courriel", "compte", "usuario", "usuário", "correo", "cuenta", "conta", "utente", "gebruiker", "użytkownik", "uzytkownik",
		"användar", "bruger", "bruker", "käyttäjä", "felhasználó", "uživatel", "пользовател", "логин", "почта", "ユーザ", "メール", "アカウント", "用户", "用戶", "邮箱", "帐号", "账号", "帳號", "사용자", "아이디", "이메일") ||
		s == "uid" || s == "id" || s == "name" || s == "nombre" || s == "nom" || s == "cn"
}

func isPassword(s string) bool {
	return containsAny(s, "passw", "pwd", "kennwort", "passphrase", "mot de passe", "contraseña", "contrasena", "senha", "wachtwoord", "hasło", "lösenord", "salasana", "jelszó", "heslo", "пароль", "パスワード", "密码", "密碼", "비밀번호")
}

func containsAny(s string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
}

// hints are the tokens of c's autocomplete attribute.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#autofill
func hints(c *control) []string {
	hint, _ := attr(c.node, "autocomplete")
	return strings.Fields(strings.ToLower(hint))
}

func (f *form) purpose(c *control) purpose {
	if !c.line() {
		return other
	}
	for _, h := range hints(c) {
		switch h {
		case "one-time-code":
			return code
		case "current-password":
			return password
		case "new-password":
			// Some put it on sign-in pages, to keep password managers away.
			if c.kind == "password" && f.passwords() == 1 {
				return password
			}
			return newPassword
		case "username", "email":
			return username
		}
	}
	id, _ := attr(c.node, "id")
	names := []string{strings.ToLower(c.name), strings.ToLower(id)}
	label := strings.ToLower(f.label(c))
	if c.kind == "password" {
		texts := append(names, label)
		switch {
		case !slices.ContainsFunc(texts, isPassword) && slices.ContainsFunc(texts, isCode):
			return code // hidden as it is typed
		case f.passwords() > 1 && slices.ContainsFunc(texts, isNew):
			return newPassword
		}
		return password
	}
	switch {
	case c.kind == "text" && slices.ContainsFunc(names, isPassword):
		// Made visible, or a box that a script turns into a password's.
		return password
	case slices.ContainsFunc(names, isCode) && !slices.ContainsFunc(names, func(s string) bool { return containsAny(s, "user", "mail") && !strings.Contains(s, "code") }):
		return code
	case c.kind == "email", slices.ContainsFunc(names, isUsername):
		return username
	case isCode(label), isBriefCode(strings.TrimRight(label, ":* ")), slices.ContainsFunc(names, isBriefCode):
		return code
	case isUsername(label):
		return username
	case numeric(c) && f.passwords() == 0:
		return code
	}
	return other
}

// isNew is for names and labels of passwords that are chosen, or typed again.
func isNew(s string) bool {
	return containsAny(s, "new", "confirm", "again", "repeat", "retype", "re-enter", "reenter", "verify", "neues", "wiederhol", "bestätig", "nouveau", "confirmez", "nuev", "repet", "nuova", "conferma", "nieuw", "herhaal", "nowe", "powtórz", "новый", "повтор", "確認", "新しい", "确认", "新密码", "확인")
}

// text reports whether c is typed into.
func (c *control) text() bool {
	switch c.kind {
	case "hidden", "submit", "image", "button", "reset", "checkbox", "radio", "file", "select", "range", "color":
		return false
	}
	return true
}

// line reports whether c takes a line of any kind, as a name, a password or a code is.
func (c *control) line() bool {
	switch c.kind {
	case "text", "email", "tel", "number", "password":
		return true
	}
	return false
}

// numeric reports whether only digits are typed into c.
func numeric(c *control) bool {
	mode, _ := attr(c.node, "inputmode")
	pattern, _ := attr(c.node, "pattern")
	return c.kind == "number" || mode == "numeric" || strings.Contains(pattern, "0-9") && !strings.ContainsAny(pattern, "aAzZ") || strings.Contains(pattern, `\d`)
}

func (f *form) passwords() (n int) {
	for _, c := range f.control {
		if c.kind == "password" && !c.disabled {
			n++
		}
	}
	return n
}

// label is what a person reads beside c.
func (f *form) label(c *control) string {
	var parts []string
	id, _ := attr(c.node, "id")
	labelled, _ := attr(c.node, "aria-labelledby")
	by := strings.Fields(labelled)
	if up := ancestor(c.node, "label"); up != nil {
		parts = append(parts, textOf(up))
	}
	for n := range f.doc.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if own, ok := attr(n, "id"); ok && slices.Contains(by, own) {
			parts = append(parts, textOf(n))
		}
		if to, ok := attr(n, "for"); ok && n.Data == "label" && id != "" && to == id {
			parts = append(parts, textOf(n))
		}
	}
	for _, name := range []string{"aria-label", "placeholder", "title"} {
		if v, ok := attr(c.node, name); ok {
			parts = append(parts, v)
		}
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

// hidden reports whether a person does not see n, as far as the markup tells.
func hidden(n *html.Node) bool {
	for p := n; p != nil; p = p.Parent {
		if p.Type != html.ElementNode {
			continue
		}
		if has(p, "hidden") {
			return true
		}
		style, _ := attr(p, "style")
		style = strings.ReplaceAll(strings.ToLower(style), " ", "")
		if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
			return true
		}
	}
	return false
}

// press chooses the button that goes on: the form's default one, unless its
// words are for something else.
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#implicit-submission
func (f *form) press() *control {
	var first, off *control
	for _, b := range f.buttons() {
		switch {
		case declines(f.words(b)):
		case b.disabled:
			// A script makes it work once the fields are filled.
			if off == nil {
				off = b
			}
		case goesOn(f.face(b)):
			return b
		case first == nil:
			first = b
		}
	}
	if first == nil {
		return off
	}
	return first
}

// words are those of a button, for people and for programs.
func (f *form) words(b *control) string {
	id, _ := attr(b.node, "id")
	return plainWords(f.face(b), b.value, b.name, id)
}

// face is what a person reads on a button. One that has only a picture is known
// by its name: many buttons are named for what every button does.
func (f *form) face(b *control) string {
	parts := []string{textOf(b.node), f.label(b)}
	if b.node.Data == "input" {
		parts = append(parts, b.value)
	}
	for n := range b.node.Descendants() {
		alt, _ := attr(n, "alt")
		parts = append(parts, alt)
	}
	alt, _ := attr(b.node, "alt")
	if s := plainWords(append(parts, alt)...); s != "" {
		return s
	}
	id, _ := attr(b.node, "id")
	return plainWords(b.name, id)
}

// plainWords are without capitals and needless blanks.
func plainWords(parts ...string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
}

func goesOn(s string) bool {
	return containsAny(s, "sign in", "sign-in", "signin", "log in", "log-in", "login", "logon", "continue", "next", "submit", "verify", "proceed", "confirm", "accept", "agree", "yes", "approve", "allow", "grant", "authorize", "authorise",
		"anmelden", "weiter", "einloggen", "bestätigen", "zustimmen", "connexion", "connecter", "continuer", "suivant", "valider", "entrar", "iniciar", "acceder", "continuar", "siguiente", "aceptar", "accedi", "avanti", "continua",
		"inloggen", "aanmelden", "volgende", "zaloguj", "dalej", "logga in", "fortsätt", "log ind", "logg inn", "kirjaudu", "войти", "вход", "продолжить", "далее", "ログイン", "サインイン", "次へ", "続行", "登录", "登入", "下一步", "继续", "로그인", "다음", "계속")
}

// declines reports whether words are for something else than going on, or for what
// cannot be undone.
func declines(s string) bool {
	return containsAny(s, "delete", "remove", "revoke", "unlink", "unenroll", "erase", "deactivate", "purchase", "buy now", "löschen", "entfernen", "kaufen", "supprimer", "acheter", "borrar", "comprar", "elimina", "acquista", "verwijder", "usuń", "удалить", "купить", "削除", "購入", "删除", "刪除", "购买", "삭제", "구매",
		"cancel", "forgot", "forget", "reset", "back", "register", "sign up", "signup", "create account", "decline", "reject", "deny", "disagree", "do not", "don't", "don’t", "noconsent", "resend", "passkey", "webauthn", "security key", "language", "logout", "log out", "log off", "sign out", "help", "search", "subscribe", "not you", "unlock", "disallow",
		"try another", "another way", "show password", "abbrechen", "zurück", "vergessen", "ablehnen", "registrieren", "annuler", "retour", "oublié", "refuser", "cancelar", "atrás", "volver", "olvid", "rechazar", "annulla", "indietro", "annuleren", "anuluj", "avbryt", "отмена", "назад", "キャンセル", "戻る", "取消", "返回", "취소")
}

// problem is what the page says went wrong, in one line of plain text; "" if it
// says nothing that was not there before. It never holds one of the secrets.
func (d *document) problem(before []string, secrets ...string) string {
	text, _ := d.complaint(before, secrets...)
	return text
}

// complaint is problem, and whether its marks leave no doubt that it is one.
func (d *document) complaint(before []string, secrets ...string) (text string, sure bool) {
	var best string
	rank := 0
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode || n.Data == "script" || n.Data == "style" || n.Data == "body" || n.Data == "html" || n.Data == "form" || n.Data == "input" || n.Data == "head" {
			continue
		}
		score := 0
		role, _ := attr(n, "role")
		live, _ := attr(n, "aria-live")
		class, _ := attr(n, "class")
		id, _ := attr(n, "id")
		marks := strings.ToLower(class + " " + id)
		switch {
		case hidden(n):
		case strings.EqualFold(role, "alert"), strings.EqualFold(live, "assertive"):
			score = 3
		case containsAny(marks, "error", "invalid", "danger"):
			score = 3
		case containsAny(marks, "alert", "warning", "feedback", "message", "fail", "notice"):
			score = 2
		}
		if score <= rank || !slices.ContainsFunc(textsOf(n), func(s string) bool { return !slices.Contains(before, s) }) {
			continue
		}
		text := oneLine(textOf(n, pressed))
		if text == "" || len(text) > 400 {
			continue
		}
		best, rank = text, score
	}
	for _, s := range secrets {
		if s != "" {
			best = strings.ReplaceAll(best, s, "[redacted]")
		}
	}
	return best, rank == 3
}

// pressed reports whether n is there to be pressed, more than to be read.
func pressed(n *html.Node) bool {
	role, _ := attr(n, "role")
	return n.Data == "button" || n.Data == "a" && strings.EqualFold(role, "button")
}

// textsOf are the pieces of text below n that a person reads, and cannot press.
func textsOf(n *html.Node) (list []string) {
	for n := range n.Descendants() {
		if n.Type != html.TextNode || n.Parent == nil {
			continue
		}
		skip := false
		for p := range n.Ancestors() {
			switch p.Data {
			case "script", "style", "title", "option", "noscript", "template", "a", "button":
				skip = true
			}
		}
		if s := oneLine(n.Data); !skip && strings.ContainsFunc(s, unicode.IsLetter) && !hidden(n.Parent) {
			list = append(list, s)
		}
	}
	return list
}

// hasQR reports whether there is a picture for the camera of a phone, by which
// an authenticator app is set up.
func (d *document) hasQR() bool {
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "img" && n.Data != "canvas" && n.Data != "svg" {
			continue
		}
		for _, name := range [...]string{"id", "class", "alt", "src"} {
			v, _ := attr(n, name)
			v = strings.ToLower(v)
			if !strings.HasPrefix(v, "data:") && containsAny(v, "qrcode", "qr-code", "qr_code", "qr code", "barcode") {
				return true
			}
		}
	}
	return false
}

// news is the first sentence of the page that the one before it did not have:
// some tell what went wrong in no other way.
func (d *document) news(before []string, secrets ...string) string {
	for _, s := range textsOf(d.root) {
		if slices.Contains(before, s) || !strings.Contains(s, " ") {
			continue
		}
		for _, secret := range secrets {
			if secret != "" {
				s = strings.ReplaceAll(s, secret, "[redacted]")
			}
		}
		return s
	}
	return ""
}

// title is what the page calls itself.
func (d *document) title() string {
	for _, name := range []string{"title", "h1", "h2"} {
		for n := range d.root.Descendants() {
			if n.Type == html.ElementNode && n.Data == name {
				if s := oneLine(textOf(n)); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// oneLine is text for a terminal: no control characters, no runs of blanks, at
// most 200 letters.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "..."
	}
	return strings.TrimRight(s, " .")
}

// locked reports whether words say that trying again makes it worse.
func locked(s string) bool {
	s = strings.ToLower(s)
	return containsAny(s, "locked", "lock out", "lockout", "disabled", "suspended", "blocked", "too many", "deactivated", "gesperrt", "deaktiviert", "verrouillé", "désactivé", "bloquead", "bloquée", "bloccato", "geblokkeerd", "zablokowan", "заблокирован", "ロック", "锁定", "잠겼")
}

package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"aws-runas/session"
	"aws-runas/session/profile"
)

// authHeader says what a person has to give: AUTH or MFA.
const authHeader = "X-AwsRunas-Authentication-Type"

// level is who may ask.
type level int

const (
	apiLevel  level = iota // this user
	sdkLevel               // containers too
	pageLevel              // the page's files: this user, before the page has the token
)

type handler func(*http.Request) reply

type route struct {
	level level

	get, post, put, delete handler
}

// reply is what a request is answered with.
type reply struct {
	status int
	kind   []string // the Content-Type header
	body   body
	header []field
}

type field struct{ name, value string }

// Header values that every answer shares.
var (
	jsonKind = []string{"application/json"}
	textKind = []string{"text/plain; charset=utf-8"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func text(s string) reply {
	return reply{status: http.StatusOK, kind: textKind, body: newBody([]byte(s))}
}

func asJSON(status int, v any) reply {
	data, _ := json.Marshal(v) // structs and slices of strings
	return reply{status: status, kind: jsonKind, body: newBody(data)}
}

// failure is an error in the form of the ECS agent; see [fail].
func failure(status int, code, message string) reply {
	return asJSON(status, errorBody{code, message})
}

func notFound(message string) reply { return failure(http.StatusNotFound, "NotFound", message) }

// addRoutes fills the table of routes.
func (s *Server) addRoutes() error {
	api := func(r route) route { r.level = apiLevel; return r }
	sdk := func(h handler) route { return route{level: sdkLevel, get: s.imds(h)} }
	s.routes = map[string]route{
		"/list-profiles":  api(route{get: s.listProfiles}),
		"/list-roles":     api(route{get: s.listRoles}),
		"/profile":        api(route{get: s.getProfile, post: s.postProfile}),
		"/refresh":        api(route{post: s.postRefresh}),
		"/auth":           api(route{post: s.postAuth, delete: s.deleteSignIn}),
		"/mfa":            api(route{post: s.postMFA, delete: s.deleteSignIn}),
		"/profile/custom": api(route{post: s.postCustom, put: s.putCustom}),

		imdsTokenPath:       {level: sdkLevel, put: s.imdsToken},
		imdsRolesPath:       sdk(s.imdsRoles),
		imdsRolesPath + "/": sdk(s.imdsRoles),
		imdsInfoPath:        sdk(s.imdsInfo),
		imdsInfoPath + "/":  sdk(s.imdsInfo),
		imdsRegionPath:      sdk(s.imdsRegion),
		imdsZonePath:        sdk(s.imdsZone),
		imdsZonePath + "/":  sdk(s.imdsZone),
		imdsDocumentPath:    sdk(s.imdsDocument),
	}
	if p := s.o.CredentialsPath; p != "" {
		if p[0] != '/' || p == "/" || strings.HasSuffix(p, "/") || path.Clean(p) != p {
			return errors.New("the path of the credentials is " + strconv.Quote(p) + ": it has to begin with / and have a name")
		}
		if _, taken := s.routes[p]; taken {
			return errors.New("the path of the credentials is " + strconv.Quote(p) + ", which has a meaning of its own")
		}
		s.routes[p] = route{level: sdkLevel, get: s.credentials}
	}
	if s.o.Pages == nil {
		return nil
	}
	return fs.WalkDir(s.o.Pages, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(s.o.Pages, name)
		if err != nil {
			return err
		}
		page := reply{status: http.StatusOK, kind: []string{contentType(name)}, body: newBody(data), header: []field{
			{"Content-Security-Policy", pagePolicy}, {"Referrer-Policy", "no-referrer"}, {"X-Frame-Options", "DENY"}, {"Cross-Origin-Resource-Policy", "same-origin"},
		}}
		r := route{level: pageLevel, get: func(*http.Request) reply { return page }}
		paths := []string{"/" + name}
		if name == "index.html" {
			paths = []string{"/", "/index.html", "/index.htm"}
		}
		for _, p := range paths {
			if _, taken := s.routes[p]; !taken {
				s.routes[p] = r
			}
		}
		return nil
	})
}

// contentType does without the tables of the system, which differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	}
	return "application/octet-stream"
}

// find is the route of a path.
func (s *Server) find(path string) (route, bool) {
	if r, ok := s.routes[path]; ok {
		return r, true
	}
	if below(path, s.o.CredentialsPath) {
		return route{level: sdkLevel, get: s.namedCredentials}, true
	}
	if below(path, imdsRolesPath) {
		return route{level: sdkLevel, get: s.imds(s.imdsCredentials)}, true
	}
	return route{level: sdkLevel}, false
}

func below(path, parent string) bool {
	return parent != "" && len(path) > len(parent)+1 && path[len(parent)] == '/' && path[:len(parent)] == parent
}

// ServeHTTP implements [http.Handler]. It needs the context that
// [Server.Serve] gives to connections.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.now()
	answer := s.answerTo(w, r)
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	if answer.kind != nil {
		h["Content-Type"] = answer.kind
	}
	h["Content-Length"] = answer.body.length
	for _, f := range answer.header {
		h.Set(f.name, f.value)
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body.text) // who has gone away needs no error
	took := s.now().Sub(start)
	s.log.append(func(line []byte) []byte {
		return appendLine(line, r, answer.status, len(answer.body.text), took)
	})
	s.look(start)
}

// appendLine makes the line of a request. It has no query, which may be secret,
// and nothing that a terminal would obey.
func appendLine(line []byte, r *http.Request, status, size int, took time.Duration) []byte {
	path := r.URL.EscapedPath()
	line = append(line, cut(r.Method, 16)...)
	line = append(line, ' ')
	line = append(line, cut(path, 200)...)
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(status), 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(size), 10)
	line = append(line, ' ')
	line = strconv.AppendFloat(line, float64(took)/float64(time.Millisecond), 'f', 3, 64)
	return append(line, "ms\n"...)
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	if strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return strconv.QuoteToASCII(s)
	}
	return s
}

func (s *Server) answerTo(w http.ResponseWriter, r *http.Request) reply {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil {
		c = &conn{} // of no known peer
	}
	if strings.HasPrefix(r.URL.Path, "//latest/") {
		// AWS_EC2_METADATA_SERVICE_ENDPOINT ends in the slash that the AWS CLI 2.9
		// cannot do without; the SDK for JavaScript v2 puts its path behind it.
		r.URL.Path = r.URL.Path[1:]
	}
	route, found := s.find(r.URL.Path)
	if refused, ok := s.refuse(r, c, route.level); ok {
		return refused
	}
	if !found {
		return notFound("there is nothing at that path")
	}
	h, allowed := route.get, ""
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		h = route.post
	case http.MethodPut:
		h = route.put
	case http.MethodDelete:
		h = route.delete
	default:
		h = nil
	}
	if h == nil {
		for _, m := range [...]struct {
			name string
			h    handler
		}{{"GET, HEAD", route.get}, {"POST", route.post}, {"PUT", route.put}, {"DELETE", route.delete}} {
			if m.h != nil {
				allowed = strings.TrimPrefix(allowed+", "+m.name, ", ")
			}
		}
		answer := failure(http.StatusMethodNotAllowed, "MethodNotAllowed", "use "+allowed)
		answer.header = []field{{"Allow", allowed}}
		return answer
	}
	if route.level == apiLevel && r.Method != http.MethodGet {
		if answer, ok := readBody(w, r); !ok {
			return answer
		}
		c.allow(signInLimit + closeLimit)
	} else {
		c.allow(answerLimit)
	}
	return h(r)
}

// readBody reads the body, while the time limit on that holds.
func readBody(w http.ResponseWriter, r *http.Request) (reply, bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return failure(http.StatusRequestEntityTooLarge, "TooLarge", "the body is larger than "+strconv.Itoa(maxBody)+" bytes"), false
	case err != nil:
		return closing(failure(http.StatusBadRequest, "BadRequest", "the body could not be read")), false
	}
	r.Body = io.NopCloser(strings.NewReader(string(data)))
	return reply{}, true
}

// form parses the body as a form. Values of the query do not count: they end up
// in histories and logs.
func form(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errNoForm
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		// The parser's words quote the value.
		return nil, errBadForm
	}
	return values, nil
}

var (
	errNoForm  = errors.New("the body must be a form: Content-Type application/x-www-form-urlencoded")
	errBadForm = errors.New("the form is malformed")
)

func formFailure(err error) reply {
	if errors.Is(err, errNoForm) {
		return failure(http.StatusUnsupportedMediaType, "UnsupportedMediaType", err.Error())
	}
	return failure(http.StatusBadRequest, "BadRequest", err.Error())
}

// names lists profiles, in the order of the config, which is sorted.
func (s *Server) names(role bool) reply {
	config, err := s.backend.Config()
	if err != nil {
		return s.apiFailure(err)
	}
	names := []string{}
	for _, p := range config.Summaries() {
		if p.HasRole() == role {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return asJSON(http.StatusOK, names)
}

func (s *Server) listProfiles(*http.Request) reply { return s.names(false) }
func (s *Server) listRoles(*http.Request) reply    { return s.names(true) }

// details is the answer of /profile.
type details struct {
	AuthURL       string `json:"auth_url"`
	ClientID      string `json:"client_id"`
	ExternalID    string `json:"external_id"`
	JumpRole      string `json:"jump_role"`
	RedirectURI   string `json:"redirect_uri"`
	RoleARN       string `json:"role_arn"`
	SourceProfile string `json:"source_profile,omitempty"`
	Username      string `json:"username"`

	// What the original has not.
	Name       string `json:"name"`                 // "" for custom settings
	Region     string `json:"region,omitempty"`     //
	Identity   string `json:"identity,omitempty"`   // whose credentials these are, an ARN
	Expiration string `json:"expiration,omitempty"` // RFC 3339, Z
	Problem    string `json:"problem,omitempty"`    // why the last renewal failed
}

func (s *Server) details(c *source) details {
	d := details{Name: c.target.Profile}
	if snap := c.served.Load(); snap != nil {
		p := snap.profile
		d.ExternalID, d.JumpRole, d.RoleARN, d.Region = p.ExternalID, p.JumpRoleARN, p.RoleARN, p.Region
		d.AuthURL, d.Username = p.SAMLAuthURL, p.SAMLUsername
		if p.WebIdentityAuthURL != "" {
			d.AuthURL, d.Username = p.WebIdentityAuthURL, p.WebIdentityUsername
			d.ClientID, d.RedirectURI = p.WebIdentityClientID, p.WebIdentityRedirectURI
		}
		if p.Source != nil && p.Source.Name != p.Name {
			d.SourceProfile = p.Source.Name
		}
		d.Identity, d.Expiration = snap.identity, snap.expires.UTC().Format(time.RFC3339)
	}
	if err := c.lastProblem(); err != nil {
		d.Problem = s.message(err)
	}
	return d
}

func (s *Server) getProfile(*http.Request) reply {
	active := s.state.Load().active
	if active == nil {
		return s.apiFailure(s.nothing())
	}
	return asJSON(http.StatusOK, s.details(active))
}

func (s *Server) postProfile(r *http.Request) reply {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return failure(http.StatusBadRequest, "BadRequest", "the body could not be read")
	}
	name := strings.TrimSpace(string(data))
	if name == "" {
		name = "default"
	}
	return s.choose(r.Context(), Target{Profile: name}, &answers{})
}

// choose activates t and answers with its details.
func (s *Server) choose(ctx context.Context, t Target, given *answers) reply {
	c, err := s.activate(ctx, t, given, s.ask)
	if err != nil {
		return s.apiFailure(err)
	}
	return asJSON(http.StatusOK, s.details(c))
}

func (s *Server) postRefresh(r *http.Request) reply {
	active := s.state.Load().active
	if active == nil {
		return s.apiFailure(errNoProfile)
	}
	t := active.target
	t.Renew = true
	if _, err := s.activate(r.Context(), t, &answers{}, s.ask); err != nil {
		return s.apiFailure(err)
	}
	return text("success")
}

func (s *Server) postAuth(r *http.Request) reply {
	values, err := form(r)
	if err != nil {
		return formFailure(err)
	}
	return s.answered(r, func(a *answers) {
		a.username, a.password = values.Get("username"), values.Get("password")
	})
}

func (s *Server) postMFA(r *http.Request) reply {
	values, err := form(r)
	if err != nil {
		return formFailure(err)
	}
	return s.answered(r, func(a *answers) { a.code = strings.TrimSpace(values.Get("mfa")) })
}

func (s *Server) answered(r *http.Request, fill func(*answers)) reply {
	if err := s.answer(r.Context(), fill); err != nil {
		return s.apiFailure(err)
	}
	return reply{status: http.StatusOK, body: newBody(nil)}
}

// deleteSignIn is for whoever closes the dialog.
func (s *Server) deleteSignIn(*http.Request) reply {
	s.giveUp()
	return reply{status: http.StatusOK, body: newBody(nil)}
}

// custom reads the form of custom settings.
func custom(r *http.Request) (c Custom, name string, err error) {
	values, err := form(r)
	if err != nil {
		return c, "", err
	}
	get := func(key string) string { return strings.TrimSpace(values.Get(key)) }
	c = Custom{
		Type: get("adv-type"), RoleARN: get("role-arn"), ExternalID: get("external-id"), SourceProfile: get("source-profile"),
		JumpRole: get("jump-role"), AuthURL: get("auth-url"), Username: get("username"), Password: values.Get("password"),
		ClientID: get("client-id"), RedirectURI: get("redirect-uri"),
	}
	return c, get("profile-name"), c.check()
}

func customFailure(err error) reply {
	if errors.Is(err, errNoForm) || errors.Is(err, errBadForm) {
		return formFailure(err)
	}
	return failure(http.StatusBadRequest, "Configuration", "Invalid Configuration: "+err.Error())
}

func (s *Server) postCustom(r *http.Request) reply {
	c, _, err := custom(r)
	if err != nil {
		return customFailure(err)
	}
	given := &answers{username: c.Username, password: c.Password}
	c.Password = ""
	answer := s.choose(r.Context(), Target{Custom: &c}, given)
	if answer.status == http.StatusOK {
		return reply{status: http.StatusOK, body: newBody(nil)}
	}
	return answer
}

func (s *Server) putCustom(r *http.Request) reply {
	c, name, err := custom(r)
	if name == "" && !errors.Is(err, errNoForm) && !errors.Is(err, errBadForm) {
		return failure(http.StatusBadRequest, "Configuration", "Invalid profile name: profile-name is empty")
	}
	if err != nil {
		return customFailure(err)
	}
	if err := s.backend.Save(r.Context(), name, c); err != nil {
		return s.apiFailure(err)
	}
	return reply{status: http.StatusOK, body: newBody(nil)}
}

// await is what a GET of credentials waits for.
func (s *Server) await(r *http.Request, c *source) (*snapshot, error) {
	now := s.now()
	if snap := c.alive(now); snap != nil {
		return c.get(r.Context(), now)
	}
	ctx, cancel := context.WithTimeout(r.Context(), waitLimit)
	defer cancel()
	return c.get(ctx, now)
}

func (s *Server) credentials(r *http.Request) reply {
	active := s.state.Load().active
	if active == nil {
		return s.sdkFailure(s.nothing())
	}
	return s.ecs(r, active)
}

func (s *Server) namedCredentials(r *http.Request) reply {
	c, err := s.named(r.URL.Path[len(s.o.CredentialsPath)+1:])
	if err != nil {
		return s.sdkFailure(err)
	}
	return s.ecs(r, c)
}

func (s *Server) ecs(r *http.Request, c *source) reply {
	snap, err := s.await(r, c)
	if err != nil {
		return s.sdkFailure(err)
	}
	return reply{status: http.StatusOK, kind: jsonKind, body: snap.ecs}
}

// message is one sentence and the thing to do.
func (s *Server) message(err error) string {
	m := err.Error()
	var n *session.Needs
	switch hint := session.Hint(err); {
	case hint != "":
		m += ": " + hint
	case errors.As(err, &n) && s.o.Pages != nil:
		m += ": sign in at " + s.o.Address
	case errors.Is(err, errNoProfile) && s.o.Pages != nil:
		m += ": choose one at " + s.o.Address
	case errors.Is(err, errNoProfile):
		m += ": POST the name of one to /profile"
	}
	return m
}

// status is the HTTP status and the code of an error; see [statusOf].
func status(err error) (int, string) {
	var unknown *profile.UnknownError
	var config *profile.Error
	var late *superseded
	switch {
	case errors.As(err, &unknown):
		return http.StatusNotFound, "NotFound"
	case errors.As(err, &config):
		// Asking again does not help.
		return http.StatusBadRequest, "Configuration"
	case errors.Is(err, errNoProfile):
		return http.StatusNotFound, "NoProfile"
	case errors.As(err, &late), errors.Is(err, errAnswering):
		return http.StatusConflict, "Conflict"
	case errors.Is(err, errClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "Unreachable"
	}
	return statusOf(err)
}

// sdkFailure is the answer to an SDK, which shows the message to people.
func (s *Server) sdkFailure(err error) reply {
	if of, ok := errors.AsType[*needed](err); ok {
		err = &of.Needs // what the last answer was refused for is of no use here
	}
	code, name := status(err)
	answer := failure(code, name, s.message(err))
	var n *session.Needs
	if errors.As(err, &n) {
		answer.header = []field{{authHeader, n.What}}
	}
	return answer
}

// apiFailure is the answer to the page and to scripts, which know of a person
// that is needed by the header and by whether there is a username.
func (s *Server) apiFailure(err error) reply {
	var n *session.Needs
	if !errors.As(err, &n) {
		return s.sdkFailure(err)
	}
	var body struct {
		Profile  string  `json:"profile"` // or the role's ARN
		Username *string `json:"username,omitempty"`
		Message  string  `json:"message,omitempty"` // only about what was given
	}
	body.Profile = n.Profile
	if n.What == session.NeedAuth {
		body.Username = &n.Username
	}
	var of *needed
	if errors.As(err, &of) {
		body.Profile, body.Message = of.target, of.problem
	}
	answer := asJSON(http.StatusUnauthorized, body)
	answer.header = []field{{authHeader, n.What}}
	return answer
}

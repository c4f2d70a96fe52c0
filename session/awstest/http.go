package awstest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

const (
	stsVersion = "2011-06-15"
	iamVersion = "2010-05-08"
	stsSpace   = "https://sts.amazonaws.com/doc/" + stsVersion + "/"
	iamSpace   = "https://iam.amazonaws.com/doc/" + iamVersion + "/"
	s3Space    = "http://s3.amazonaws.com/doc/2006-03-01/"
	maxBody    = 1 << 20
)

// ServeHTTP answers one AWS request. The query protocol names its service by
// the parameter Version; whatever has no Action is S3's.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot read the request", http.StatusBadRequest)
		return
	}
	c := &call{form: formOf(r, body)}
	c.service, c.action = serviceOf(r, c.form)
	c.ip, _, _ = net.SplitHostPort(r.RemoteAddr)

	entry := a.arrive(r, c)
	if f := a.takeFault(c.action); f != nil {
		if !f.wait(r.Context()) || f.Drop {
			a.finish(entry, 0, "")
			panic(http.ErrAbortHandler) // net/http's way to cut a connection
		}
		if f.Status != 0 {
			a.finish(entry, f.Status, f.Code)
			a.write(w, c, nil, &apiError{f.Status, f.Code, f.Message})
			return
		}
	}
	if c.action == "page" {
		a.mu.Lock()
		a.ssoPages(w, r, c.form)
		a.mu.Unlock()
		a.finish(entry, http.StatusOK, "")
		return
	}
	result, err := a.do(r, c, body)
	var refused *apiError
	if err != nil && !errors.As(err, &refused) {
		refused = &apiError{http.StatusInternalServerError, "InternalFailure", err.Error()}
	}
	if refused != nil {
		a.finish(entry, refused.status, refused.code)
	} else {
		a.finish(entry, http.StatusOK, "")
	}
	a.write(w, c, result, refused)
}

// do authenticates and runs one call. State is locked throughout, as a request
// here is far shorter than the wire around it.
func (a *AWS) do(r *http.Request, c *call, body []byte) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.now = a.now()
	if c.service == "sso" || c.service == "sso-oidc" {
		return a.sso(r, c, body) // their calls carry no signature
	}
	// AssumeRoleWithWebIdentity and AssumeRoleWithSAML need no signature: the
	// token, or the assertion, is the proof.
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithSAML.html
	if c.action != "AssumeRoleWithWebIdentity" && c.action != "AssumeRoleWithSAML" {
		who, err := a.authenticate(r, c.service, body, c.now)
		if err != nil {
			return nil, err
		}
		c.who = who
	}
	switch c.service {
	case "sts":
		return a.sts(c)
	case "iam":
		return a.iam(c)
	default:
		return a.s3(r, c)
	}
}

func formOf(r *http.Request, body []byte) url.Values {
	form := url.Values{}
	if q, err := url.ParseQuery(r.URL.RawQuery); err == nil {
		form = q
	}
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && t == "application/x-www-form-urlencoded" {
		if posted, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range posted {
				form[k] = append(form[k], v...)
			}
		}
	}
	return form
}

func serviceOf(r *http.Request, form url.Values) (service, action string) {
	if service, action = ssoAction(r); service != "" {
		return service, action
	}
	action = form.Get("Action")
	switch {
	case action != "" && form.Get("Version") == iamVersion:
		return "iam", action
	case action != "":
		return "sts", action
	case r.Method == http.MethodGet && r.URL.Path == "/":
		return "s3", "ListBuckets"
	}
	return "s3", r.Method + " " + r.URL.Path
}

// write encodes an answer in the form of the service.
func (a *AWS) write(w http.ResponseWriter, c *call, result any, refused *apiError) {
	if c.service == "sso" || c.service == "sso-oidc" {
		a.writeSSO(w, c.service, result, refused)
		return
	}
	id := newRequestID()
	var b bytes.Buffer
	status := http.StatusOK
	space := map[string]string{"sts": stsSpace, "iam": iamSpace}[c.service]
	switch {
	case refused != nil && c.service == "s3":
		status = refused.status
		b.WriteString(xml.Header)
		encode(&b, "Error", struct{ Code, Message, RequestId, HostId string }{refused.code, refused.message, id, id})
	case refused != nil:
		status = refused.status
		// Sender and Receiver say whose fault it is.
		// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
		kind := "Sender"
		if status >= 500 {
			kind = "Receiver"
		}
		fmt.Fprintf(&b, `<ErrorResponse xmlns=%q>`, space)
		encode(&b, "Error", struct{ Type, Code, Message string }{kind, refused.code, refused.message})
		encode(&b, "RequestId", id)
		b.WriteString("</ErrorResponse>")
	case c.service == "s3":
		b.WriteString(xml.Header)
		encode(&b, "ListAllMyBucketsResult", result)
	default:
		fmt.Fprintf(&b, `<%sResponse xmlns=%q>`, c.action, space)
		if result != nil {
			encode(&b, c.action+"Result", result)
		}
		encode(&b, "ResponseMetadata", struct{ RequestId string }{id})
		fmt.Fprintf(&b, "</%sResponse>", c.action)
	}
	h := w.Header()
	if c.service == "s3" {
		h.Set("Content-Type", "application/xml")
		h.Set("X-Amz-Request-Id", id)
	} else {
		h.Set("Content-Type", "text/xml")
		h.Set("X-Amzn-Requestid", id)
	}
	// SDKs correct their clock by the server's, so it must be AWS's, not the host's.
	a.mu.Lock()
	h.Set("Date", a.now().Format(http.TimeFormat))
	a.mu.Unlock()
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a client that has gone is no concern of AWS's
}

// encode writes v as the element name. It is given only structs and strings
// of this package, which always marshal.
func encode(b *bytes.Buffer, name string, v any) {
	if err := xml.NewEncoder(b).EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		panic(err)
	}
}

// recorder collects an answer for Transport.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *recorder) WriteHeader(status int)      { w.status = status }

func (w *recorder) response(r *http.Request) *http.Response {
	return &http.Response{
		Status:        strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.header,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}
}

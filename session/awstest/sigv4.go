package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature Version 4 as the receiver sees it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

const (
	sigAlgorithm  = "AWS4-HMAC-SHA256"
	sigTimeFormat = "20060102T150405Z"
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	unsignedBody  = "UNSIGNED-PAYLOAD"
	// AWS's guide says five minutes, but STS, IAM and S3 allow fifteen:
	// https://github.com/aws/aws-cli/issues/6676,
	// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (RequestTimeTooSkewed)
	maxSkew = 15 * time.Minute
)

// authorization is a signature with all that it claims.
type authorization struct {
	keyID, date, region, service string // the credential scope
	signedHeaders                []string
	signature                    string
	token                        string
	at                           time.Time
	stamp                        string        // at, as it was written
	expires                      time.Duration // presigned URLs only
	presigned                    bool
}

var errUnsigned = errors.New("no signature")

// parseAuthorization reads the Authorization header or, without one, the query
// parameters of a presigned URL. It returns errUnsigned if there is neither.
func parseAuthorization(r *http.Request) (*authorization, error) {
	fields := map[string]string{}
	a := &authorization{}
	header, query := r.Header.Get("Authorization"), r.URL.Query()
	switch {
	case header != "":
		rest, ok := strings.CutPrefix(header, sigAlgorithm+" ")
		if !ok {
			return nil, fmt.Errorf("unsupported algorithm in the Authorization header")
		}
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if _, twice := fields[name]; twice {
				//lint:ignore ST1005 AWS's own words
				return nil, fmt.Errorf("Authorization header has '%s' twice", name)
			}
			fields[name] = value
		}
		a.token = r.Header.Get("X-Amz-Security-Token")
		a.stamp = r.Header.Get("X-Amz-Date")
	case query.Get("X-Amz-Signature") != "":
		if query.Get("X-Amz-Algorithm") != sigAlgorithm {
			return nil, fmt.Errorf("unsupported X-Amz-Algorithm")
		}
		for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
			fields[name] = query.Get("X-Amz-" + name)
		}
		a.presigned = true
		a.token = query.Get("X-Amz-Security-Token")
		a.stamp = query.Get("X-Amz-Date")
		// At most seven days.
		// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
		seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
		if err != nil || seconds < 1 || seconds > 604800 {
			return nil, fmt.Errorf("X-Amz-Expires must be from 1 to 604800 seconds")
		}
		a.expires = time.Duration(seconds) * time.Second
	default:
		return nil, errUnsigned
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			//lint:ignore ST1005 AWS's own words
			return nil, fmt.Errorf("Authorization header requires '%s' parameter. Authorization=%s", name, sigAlgorithm)
		}
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || slices.Contains(scope, "") {
		//lint:ignore ST1005 AWS's own words
		return nil, fmt.Errorf("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	a.keyID, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	a.signedHeaders = strings.Split(fields["SignedHeaders"], ";")
	a.signature = fields["Signature"]
	if !slices.IsSorted(a.signedHeaders) {
		return nil, fmt.Errorf("SignedHeaders must be sorted")
	}
	at, err := time.Parse(sigTimeFormat, a.stamp)
	if err != nil {
		//lint:ignore ST1005 AWS's own words
		return nil, fmt.Errorf("Date must be in ISO-8601 'basic format'. Got '%s'", a.stamp)
	}
	a.at = at
	return a, nil
}

// authenticate returns who signed a request, or how the service refuses it.
func (a *AWS) authenticate(r *http.Request, service string, body []byte, now time.Time) (*principal, error) {
	auth, err := parseAuthorization(r)
	switch {
	case errors.Is(err, errUnsigned) && service == "s3":
		return nil, denied("Access Denied")
	case errors.Is(err, errUnsigned):
		return nil, &apiError{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	case err != nil && service == "s3":
		return nil, &apiError{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; " + err.Error()}
	case err != nil:
		return nil, &apiError{http.StatusBadRequest, "IncompleteSignature", err.Error()}
	}
	if err := checkTime(auth, service, now); err != nil {
		return nil, err
	}

	secret, who, err := a.lookUp(auth, service, now)
	if err != nil {
		return nil, err
	}

	if auth.service != service {
		return nil, notMatching(fmt.Sprintf("Credential should be scoped to correct service: '%s'. ", service))
	}
	if !a.validRegion(auth.region) {
		return nil, notMatching("Credential should be scoped to a valid region. ")
	}
	if !slices.Contains(auth.signedHeaders, "host") {
		return nil, notMatching("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	// host and every x-amz- header that is sent have to be signed.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(auth.signedHeaders, name) {
			return nil, denied("There were headers present in the request which were not signed: " + name)
		}
	}
	payload, err := payloadHash(r, auth, service, body)
	if err != nil {
		return nil, err
	}
	want := signature(secret, auth, canonicalRequest(r, auth, service, payload))
	if !hmac.Equal([]byte(want), []byte(auth.signature)) {
		if service == "s3" {
			return nil, notMatching("The request signature we calculated does not match the signature you provided. Check your key and signing method.")
		}
		return nil, notMatching("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return who, nil
}

// Sign signs a request as a client does, in the Authorization header. An empty
// token means long-term keys.
func Sign(r *http.Request, k Key, token, service, region string, body []byte, at time.Time) {
	sum := sha256.Sum256(body)
	auth := &authorization{keyID: k.ID, region: region, service: service, stamp: at.UTC().Format(sigTimeFormat), signedHeaders: []string{"host"}}
	auth.date = auth.stamp[:8]
	r.Header.Set("X-Amz-Date", auth.stamp)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	if token != "" {
		r.Header.Set("X-Amz-Security-Token", token)
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			auth.signedHeaders = append(auth.signedHeaders, name)
		}
	}
	slices.Sort(auth.signedHeaders)
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		sigAlgorithm, k.ID, auth.date, region, service, strings.Join(auth.signedHeaders, ";"),
		signature(k.Secret, auth, canonicalRequest(r, auth, service, hex.EncodeToString(sum[:])))))
}

func notMatching(message string) *apiError {
	return &apiError{http.StatusForbidden, "SignatureDoesNotMatch", message}
}

func checkTime(auth *authorization, service string, now time.Time) error {
	late, early := auth.at.Before(now.Add(-maxSkew)), auth.at.After(now.Add(maxSkew))
	if auth.presigned {
		late = now.After(auth.at.Add(auth.expires))
	}
	stamp := func(t time.Time) string { return t.UTC().Format(sigTimeFormat) }
	switch {
	case (late || early) && service == "s3" && auth.presigned:
		return denied("Request has expired")
	case (late || early) && service == "s3":
		return &apiError{http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	case late && auth.presigned:
		return notMatching(fmt.Sprintf("Signature expired: %s is now earlier than %s", stamp(auth.at.Add(auth.expires)), stamp(now)))
	case late:
		return notMatching(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)", auth.stamp, stamp(now.Add(-maxSkew)), stamp(now)))
	case early:
		return notMatching(fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)", auth.stamp, stamp(now.Add(maxSkew)), stamp(now)))
	case auth.date != auth.stamp[:8]:
		return notMatching(fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", auth.date, auth.stamp[:8], auth.stamp))
	}
	return nil
}

// lookUp finds the secret of a key and whom it stands for.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html,
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func (a *AWS) lookUp(auth *authorization, service string, now time.Time) (string, *principal, error) {
	invalid := &apiError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	badToken, expired := invalid, &apiError{http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired"}
	if service == "s3" {
		invalid = &apiError{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
		badToken = &apiError{http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid."}
		expired = &apiError{http.StatusBadRequest, "ExpiredToken", "The provided token has expired."}
	}
	if k := a.keys[auth.keyID]; k != nil {
		switch {
		case !k.active:
			return "", nil, invalid
		case auth.token != "": // long-term keys have none; a stale one left in the environment breaks them
			return "", nil, badToken
		}
		return k.secret, k.principal(), nil
	}
	s := a.sessions[auth.keyID]
	switch {
	case s == nil, auth.token == "":
		return "", nil, invalid
	case !hmac.Equal([]byte(auth.token), []byte(s.token)):
		return "", nil, badToken
	case !now.Before(s.expires):
		return "", nil, expired
	}
	return s.secret, &s.principal, nil
}

// validRegion tells a region of this partition from anything else by its form,
// since the list of regions grows.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func (a *AWS) validRegion(region string) bool {
	parts := strings.Split(region, "-")
	if len(parts) < 3 || len(parts) > 4 {
		return false
	}
	if n, err := strconv.Atoi(parts[len(parts)-1]); err != nil || n < 1 {
		return false
	}
	gov := parts[0] == "us" && parts[1] == "gov"
	china := parts[0] == "cn"
	switch a.opt.Partition {
	case "aws-cn":
		return china
	case "aws-us-gov":
		return gov
	}
	return !gov && !china && len(parts[0]) == 2
}

// payloadHash is the last line of the canonical request, checked against the body.
func payloadHash(r *http.Request, auth *authorization, service string, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case auth.presigned && service == "s3":
		return unsignedBody, nil
	case claimed == "" && service == "s3":
		return "", &apiError{http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"}
	case claimed == "":
		return actual, nil
	case claimed == unsignedBody && service == "s3":
		return claimed, nil
	case claimed != actual && service == "s3":
		return "", &apiError{http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	return actual, nil
}

func canonicalRequest(r *http.Request, auth *authorization, service, payload string) string {
	var b strings.Builder
	// S3 encodes the path once; the others encode what is on the wire once more.
	path := r.URL.Path
	if service != "s3" {
		path = normalizePath(r.URL.EscapedPath())
	}
	if path == "" {
		path = "/"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, uriEncode(path, "/"), canonicalQuery(r.URL.RawQuery))
	for _, name := range auth.signedHeaders {
		values := r.Header.Values(name)
		switch {
		case name == "host":
			values = []string{r.Host}
		case name == "content-length" && len(values) == 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Join(strings.Fields(v), " ")
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(trimmed, ","))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(auth.signedHeaders, ";"), payload)
	return b.String()
}

func signature(secret string, auth *authorization, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	scope := auth.date + "/" + auth.region + "/" + auth.service + "/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range []string{auth.date, auth.region, auth.service, "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, sigAlgorithm+"\n"+auth.stamp+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
}

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// canonicalQuery sorts the parameters as signed: without the signature, a blank
// as %20, and a literal + as %2B.
func canonicalQuery(raw string) string {
	var pairs []string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.PathUnescape(name)
		value, err2 := url.PathUnescape(value)
		if err1 != nil || err2 != nil || name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, uriEncode(name, "")+"="+uriEncode(value, ""))
	}
	// Sorted by name, then value; = sorts before any character an encoded name
	// may hold but - . and digits, hence the cut.
	slices.SortFunc(pairs, func(x, y string) int {
		xn, xv, _ := strings.Cut(x, "=")
		yn, yv, _ := strings.Cut(y, "=")
		if c := strings.Compare(xn, yn); c != 0 {
			return c
		}
		return strings.Compare(xv, yv)
	})
	return strings.Join(pairs, "&")
}

// normalizePath removes empty and dot segments, keeping a slash at the end.
func normalizePath(p string) string {
	var out []string
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
		}
	}
	clean := "/" + strings.Join(out, "/")
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// uriEncode leaves only RFC 3986's unreserved characters, and those in keep.
func uriEncode(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

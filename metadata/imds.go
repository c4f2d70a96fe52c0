package metadata

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The paths of EC2's instance metadata service.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
const (
	imdsTokenPath    = "/latest/api/token"
	imdsRolesPath    = "/latest/meta-data/iam/security-credentials"
	imdsInfoPath     = "/latest/meta-data/iam/info"
	imdsRegionPath   = "/latest/meta-data/placement/region"
	imdsZonePath     = "/latest/meta-data/placement/availability-zone"
	imdsDocumentPath = "/latest/dynamic/instance-identity/document"

	imdsTokenHeader = "X-Aws-Ec2-Metadata-Token"
	imdsTTLHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL     = 21600 // seconds
)

// A token of IMDSv2 is its end, a random number, and a digest over both that
// only this run of the server can make: nothing has to be remembered.
const (
	tokenEnd    = 8
	tokenRandom = tokenEnd + 16
	tokenSize   = tokenRandom + 16
)

func (s *Server) newToken(ttl time.Duration) string {
	var t [tokenSize]byte
	binary.BigEndian.PutUint64(t[:], uint64(s.now().Add(ttl).UnixNano()))
	rand.Read(t[tokenEnd:tokenRandom])
	copy(t[tokenRandom:], s.digest(t[:tokenRandom]))
	return base64.RawURLEncoding.EncodeToString(t[:])
}

func (s *Server) goodToken(token string, now time.Time) bool {
	var t [tokenSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return false
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(t[:], []byte(token)); err != nil || n != tokenSize {
		return false
	}
	end := int64(binary.BigEndian.Uint64(t[:]))
	return hmac.Equal(t[tokenRandom:], s.digest(t[:tokenRandom])[:tokenSize-tokenRandom]) && now.UnixNano() < end
}

func (s *Server) digest(data []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(data)
	return h.Sum(nil)
}

// forwarded refuses what came through a proxy, as EC2 does.
func forwarded(r *http.Request) (reply, bool) {
	if _, ok := r.Header["X-Forwarded-For"]; ok {
		return failure(http.StatusForbidden, "Forbidden", "requests with X-Forwarded-For are refused"), true
	}
	return reply{}, false
}

func (s *Server) imdsToken(r *http.Request) reply {
	if refused, ok := forwarded(r); ok {
		return refused
	}
	given := r.Header.Get(imdsTTLHeader)
	ttl, err := strconv.ParseUint(given, 10, 32)
	if err != nil || ttl < 1 || ttl > maxTokenTTL {
		return failure(http.StatusBadRequest, "BadRequest", imdsTTLHeader+" must be 1 to 21600 seconds")
	}
	answer := text(s.newToken(time.Duration(ttl) * time.Second))
	answer.header = append(answer.header, field{imdsTTLHeader, strconv.FormatUint(ttl, 10)})
	return answer
}

// imds checks the token, if there is one or must be, before h.
func (s *Server) imds(h handler) handler {
	return func(r *http.Request) reply {
		if refused, ok := forwarded(r); ok {
			return refused
		}
		given, ok := r.Header[imdsTokenHeader]
		switch {
		case ok && !s.goodToken(given[0], s.now()):
			return failure(http.StatusUnauthorized, "Unauthorized", "the token has expired or is of another server: PUT "+imdsTokenPath+" for a new one")
		case !ok && s.o.IMDSv2Only:
			return failure(http.StatusUnauthorized, "Unauthorized", "a token is needed: PUT "+imdsTokenPath)
		}
		return h(r)
	}
}

func (s *Server) imdsRoles(*http.Request) reply {
	active := s.state.Load().active
	if active == nil {
		failed := s.sdkFailure(s.nothing())
		failed.status = http.StatusNotFound // as without an instance profile
		return failed
	}
	return text(active.role)
}

func (s *Server) imdsCredentials(r *http.Request) reply {
	name := strings.TrimPrefix(r.URL.Path, imdsRolesPath+"/")
	c := s.state.Load().listed[name]
	if c == nil {
		return notFound("no role of that name: GET " + imdsRolesPath + "/ for the one that is served")
	}
	snap, err := s.await(r, c)
	if err != nil {
		failed := s.sdkFailure(err)
		if failed.status == http.StatusUnauthorized {
			// 401 would be about the token, and makes SDKs ask for one.
			failed.status = http.StatusForbidden
		}
		return failed
	}
	return reply{status: http.StatusOK, kind: jsonKind, body: snap.imds}
}

// known is what the active profile's snapshot says of itself; GET waits for
// none.
func (s *Server) known(of func(*snapshot) string) string {
	if active := s.state.Load().active; active != nil {
		if snap := active.served.Load(); snap != nil {
			return of(snap)
		}
	}
	return ""
}

func (s *Server) region() string {
	return s.known(func(snap *snapshot) string { return snap.profile.Region })
}

func (s *Server) imdsRegion(*http.Request) reply { return textOr404(s.region(), "") }

// imdsZone is a zone of the region, for clients that cut its letter off.
func (s *Server) imdsZone(*http.Request) reply { return textOr404(s.region(), "a") }

func textOr404(region, suffix string) reply {
	if region == "" {
		return notFound("the profile has no region: set one in its section of the config file")
	}
	return text(region + suffix)
}

func (s *Server) imdsDocument(*http.Request) reply {
	region := s.region()
	if region == "" {
		return textOr404("", "")
	}
	return asJSON(http.StatusOK, struct {
		AccountID        string `json:"accountId,omitempty"`
		AvailabilityZone string `json:"availabilityZone"`
		Region           string `json:"region"`
	}{account(s.known(identityOf)), region + "a", region})
}

func (s *Server) imdsInfo(*http.Request) reply {
	arn := s.known(identityOf)
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return notFound("whose credentials these are is not known")
	}
	// arn:aws:sts::123456789012:assumed-role/NAME/SESSION or arn:aws:iam::123456789012:role/PATH/NAME
	words := strings.Split(parts[5], "/")
	name := words[len(words)-1]
	if words[0] == "assumed-role" && len(words) > 1 {
		name = words[1]
	}
	return asJSON(http.StatusOK, struct {
		Code               string
		LastUpdated        string
		InstanceProfileArn string
	}{"Success", s.known(func(snap *snapshot) string { return snap.issued.UTC().Format(time.RFC3339) }),
		strings.Join([]string{parts[0], parts[1], "iam", "", parts[4], "instance-profile/" + name}, ":")})
}

func identityOf(snap *snapshot) string { return snap.identity }

func account(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

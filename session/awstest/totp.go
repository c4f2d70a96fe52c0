package awstest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"
)

const totpStep = 30 * time.Second

// MFADevice is a virtual MFA device of one user.
type MFADevice struct {
	Serial  string // its ARN
	aws     *AWS
	user    *User
	seed    []byte
	enabled time.Time
	used    map[int64]bool // steps whose code was accepted
}

// Seed returns the base32 secret to put into an authenticator.
func (d *MFADevice) Seed() string { return base32.StdEncoding.EncodeToString(d.seed) }

// Code returns a code that AWS would accept now: this step's, or where that one
// is used, the next's or the last's. Where all three are used it is empty until
// the next step begins.
func (d *MFADevice) Code() string {
	d.aws.mu.Lock()
	defer d.aws.mu.Unlock()
	now := stepAt(d.aws.now())
	for _, step := range []int64{now, now + 1, now - 1} {
		if !d.used[step] {
			return totp(d.seed, step)
		}
	}
	return ""
}

// accept checks a code and uses it up. A clock may be one step off, and a code
// counts once.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_sync.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_mfa.html, RFC 6238 section 5.2
func (d *MFADevice) accept(code string, at time.Time) bool {
	now := stepAt(at)
	for step := now - 1; step <= now+1; step++ {
		if !d.used[step] && hmac.Equal([]byte(totp(d.seed, step)), []byte(code)) {
			d.used[step] = true
			return true
		}
	}
	return false
}

func stepAt(t time.Time) int64 { return t.Unix() / int64(totpStep/time.Second) }

// totp is the six-digit code of a step: RFC 6238 over RFC 4226 with SHA-1.
func totp(seed []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, seed)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1000000)
}

func newSeed() []byte {
	seed := make([]byte, 40) // 64 base32 characters, as AWS issues
	rand.Read(seed)
	return seed
}

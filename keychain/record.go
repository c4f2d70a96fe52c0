package keychain

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

const version = 1

// record is what is stored. A payload that is compact JSON stands as it is,
// which is a quarter smaller than base64; any other is encoded.
type record struct {
	Version int             `json:"version"`
	Kind    string          `json:"kind"`
	Key     string          `json:"key"`
	Hash    string          `json:"hash,omitempty"`
	Expires time.Time       `json:"expires,omitzero"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Base64  []byte          `json:"base64,omitempty"`
	Parts   *parts          `json:"parts,omitempty"`
}

// parts stands in a record in place of the payload when the backend's items are
// too small: the whole record is the concatenation of Count items.
type parts struct {
	ID     string `json:"id"` // random: two writers never share an item
	Count  int    `json:"count"`
	SHA256 string `json:"sha256"` // of the whole
}

func newRecord(key string, payload []byte, expires time.Time) record {
	kind, rest, _ := strings.Cut(key, "/")
	r := record{Version: version, Kind: kind, Key: key, Expires: expires.UTC()}
	if i := strings.LastIndexByte(rest, '#'); i >= 0 {
		r.Hash = rest[i+1:]
	}
	if expires.IsZero() {
		r.Expires = time.Time{}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, payload) == nil && bytes.Equal(compact.Bytes(), payload) && string(payload) != "null" {
		r.Payload = payload
	} else {
		r.Base64 = payload
	}
	return r
}

func (r record) encode() ([]byte, error) {
	// A key need not be UTF-8, a JSON string must be; escaping HTML would
	// change the payload.
	r.Key = labels.escaped(r.Key)
	r.Hash = labels.escaped(r.Hash)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, errors.New("the record cannot be encoded") // the cause may quote the payload
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// parseRecord returns the record in data. problem is not empty when there is one
// that cannot be used; it completes "the record ... is".
func parseRecord(data []byte) (r record, problem string) {
	var head struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &head) != nil || head.Version < 1 {
		return record{}, "damaged"
	}
	if head.Version > version {
		return record{}, "of version " + strconv.Itoa(head.Version) + ", written by a newer aws-runas"
	}
	if json.Unmarshal(data, &r) != nil || r.Key == "" {
		return record{}, "damaged"
	}
	key, ok := labels.unescaped(r.Key)
	if !ok {
		return record{}, "damaged"
	}
	r.Key = key
	return r, ""
}

func (r record) payload() []byte {
	if r.Payload != nil {
		return r.Payload
	}
	return r.Base64
}

// torn is the problem of a record of which a part is missing.
const torn = "incomplete"

// load reads the record stored under name. A record that is there and cannot be
// used is a problem, not an error; the error is fs.ErrNotExist when there is none.
func (s *store) load(ctx context.Context, name string) (r record, problem string, err error) {
	// Whoever replaces a record removes the parts of the former one, so a
	// reader may find them gone: it then reads the new record.
	for range 3 {
		data, err := s.get(ctx, name)
		if errors.Is(err, errDamaged) {
			return record{}, "damaged", nil
		}
		if err != nil {
			return record{}, "", err
		}
		head, problem := parseRecord(data)
		if problem != "" || head.Parts == nil {
			return head, problem, nil
		}
		whole, err := s.join(ctx, head)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			r = head
			continue
		}
		if err != nil {
			return record{}, "", err
		}
		r, problem = parseRecord(whole)
		return r, problem, nil
	}
	return r, torn, nil
}

func (s *store) join(ctx context.Context, head record) ([]byte, error) {
	var whole []byte
	for i := range head.Parts.Count {
		part, err := s.get(ctx, partName(head.Key, head.Parts.ID, i))
		if err != nil {
			return nil, err
		}
		whole = append(whole, part...)
	}
	if digest(whole) != head.Parts.SHA256 {
		return nil, errDamaged
	}
	return whole, nil
}

// save stores r under name, in parts where it has to: the parts first, so that
// the write of the head is the moment the record changes.
func (s *store) save(ctx context.Context, name string, r record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	if s.largest == 0 {
		return s.set(ctx, name, data, r.Expires)
	}
	former, err := s.get(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged) {
		return err
	}
	if len(data) <= s.largest {
		err = s.set(ctx, name, data, r.Expires)
	} else {
		err = s.saveParts(ctx, name, r, data)
	}
	if err != nil {
		return err
	}
	if old, problem := parseRecord(former); problem == "" && old.Parts != nil {
		return s.removeParts(ctx, old.Key, *old.Parts)
	}
	return nil
}

func (s *store) saveParts(ctx context.Context, name string, r record, data []byte) (err error) {
	p := parts{ID: rand.Text()[:12], SHA256: digest(data)}
	defer func() {
		if err != nil {
			_ = s.removeParts(ctx, r.Key, p)
		}
	}()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), s.largest)
		if err := s.set(ctx, partName(r.Key, p.ID, p.Count), rest[:n], r.Expires); err != nil {
			return err
		}
		rest = rest[n:]
		p.Count++
	}
	r.Payload, r.Base64, r.Parts = nil, nil, &p
	head, err := r.encode()
	if err != nil {
		return err
	}
	return s.set(ctx, name, head, r.Expires)
}

func (s *store) removeParts(ctx context.Context, key string, p parts) error {
	var errs []error
	for i := range p.Count {
		errs = append(errs, s.remove(ctx, partName(key, p.ID, i)))
	}
	return errors.Join(errs...)
}

func partName(key, id string, i int) string {
	return fmt.Sprintf("%s%s/%s/%d", partPrefix, digest([]byte(key))[:16], id, i)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

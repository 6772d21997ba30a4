package conformance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// message is a request on its way: what a proper client would send, until a case
// spoils something of it.
type message struct {
	url         string
	contentType string
	header      map[string]any // protected header of the JWS
	payload     []byte
	sign        func(input []byte) []byte
	edit        func(jws map[string]any) // changes the finished JWS
	raw         func(body []byte) []byte // changes the finished body
	keepNonce   bool                     // the case is about the nonce: don't try again
}

// change spoils a message.
type change func(*message)

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// toJSON marshals what is known to be plain.
func toJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return data
}

// jws is the message as a JWS in flattened JSON (RFC 7515 §7.2.2).
func (m *message) jws() []byte {
	protected, payload := b64(toJSON(m.header)), b64(m.payload)
	out := map[string]any{"protected": protected, "payload": payload, "signature": b64(m.sign([]byte(protected + "." + payload)))}
	if m.edit != nil {
		m.edit(out)
	}
	return toJSON(out)
}

func (m *message) body() []byte {
	body := m.jws()
	if m.raw != nil {
		body = m.raw(body)
	}
	return body
}

// post sends a message that a signs. A nil payload makes it a POST-as-GET (RFC 8555
// §6.3). When the server wants another nonce the message is sent again, as clients
// do, unless the nonce is the point.
func (c *check) post(a *account, url string, payload any, changes ...change) *answer {
	c.ok(url != "", "the server has given no URL for this request")
	for try := 0; ; try++ {
		m := &message{url: url, contentType: "application/jose+json", header: map[string]any{"alg": "ES256", "nonce": c.freshNonce(), "url": url}, sign: a.sign}
		if a.url != "" {
			m.header["kid"] = a.url
		} else {
			m.header["jwk"] = a.jwk()
		}
		if payload != nil {
			m.payload = toJSON(payload)
		}
		for _, change := range changes {
			change(m)
		}
		ans, err := c.send("POST", m.url, m.body(), http.Header{"Content-Type": {m.contentType}})
		if err != nil {
			c.fail("%v", err)
		}
		ans.c = c
		if m.keepNonce || try == 9 || ans.problem().short() != "badNonce" {
			return ans
		}
	}
}

// send sends a request and reads the answer.
func (s *session) send(method, url string, body []byte, header http.Header) (*answer, error) {
	req, err := http.NewRequestWithContext(s.ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", s.o.UserAgent)
	req.Header.Set("Accept-Language", "en")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer to %s %s breaks off: %w", method, url, err)
	}
	a := &answer{method: method, url: url, status: resp.StatusCode, header: resp.Header, body: data}
	s.remember(method, url, a)
	return a, nil
}

// answer is the server's.
type answer struct {
	c           *check
	method, url string
	status      int
	header      http.Header
	body        []byte
}

// problem is a problem document (RFC 8555 §6.7).
type problem struct {
	Type        string    `json:"type"`
	Detail      string    `json:"detail"`
	Algorithms  []string  `json:"algorithms"`
	Subproblems []problem `json:"subproblems"`
}

// short is the type without ACME's namespace; "" for a type of another.
func (p problem) short() string {
	t, ok := strings.CutPrefix(p.Type, "urn:ietf:params:acme:error:")
	if !ok {
		return ""
	}
	return t
}

func (a *answer) problem() (p problem) {
	if a.status >= 400 {
		json.Unmarshal(a.body, &p)
	}
	return p
}

// String tells what the server said, in short.
func (a *answer) String() string {
	if p := a.problem(); p.Type != "" {
		return fmt.Sprintf("%d %s (%.160s)", a.status, p.Type, p.Detail)
	}
	return fmt.Sprint(a.status)
}

// want fails unless the status is as it must be.
func (a *answer) want(status int) *answer {
	a.c.ok(a.status == status, "the server answers %s, not %d", a, status)
	return a
}

// refused fails unless the answer is an error by the client's fault, of one of the
// types if any are given.
func (a *answer) refused(types ...string) *answer {
	a.c.ok(a.status >= 400 && a.status < 500, "the server answers %s, and should refuse that", a)
	a.c.ok(len(types) == 0 || slices.Contains(types, a.problem().short()), "the server refuses with %s, not with the type %s", a, strings.Join(types, " or "))
	return a
}

// refusedWith is refused with one status.
func (a *answer) refusedWith(status int, types ...string) *answer {
	a.refused(types...)
	return a.want(status)
}

// into decodes the body.
func (a *answer) into(v any) *answer {
	if err := json.Unmarshal(a.body, v); err != nil {
		a.c.fail("the answer to %s %s is not the JSON object that it should be: %v", a.method, a.url, err)
	}
	return a
}

// link is the target of the first link with the relation; "" for none.
func (a *answer) link(rel string) string {
	for _, line := range a.header.Values("Link") {
		for _, l := range strings.Split(line, ",") {
			target, params, ok := strings.Cut(l, ">")
			if ok && (strings.Contains(params, `rel="`+rel+`"`) || strings.HasSuffix(strings.TrimSpace(params), "rel="+rel)) {
				return strings.TrimLeft(target, " <")
			}
		}
	}
	return ""
}

// signWith makes signatures of the algorithm that goes with the key.
func signWith(key crypto.Signer) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		switch k := key.(type) {
		case *ecdsa.PrivateKey:
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			if err != nil {
				panic("conformance: " + err.Error())
			}
			out := make([]byte, 64)
			r.FillBytes(out[:32])
			s.FillBytes(out[32:])
			return out
		case *rsa.PrivateKey:
			out, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
			if err != nil {
				panic("conformance: " + err.Error())
			}
			return out
		case ed25519.PrivateKey:
			return ed25519.Sign(k, input)
		}
		panic("conformance: a key of no type in use")
	}
}

func mac(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(input)
		return h.Sum(nil)
	}
}

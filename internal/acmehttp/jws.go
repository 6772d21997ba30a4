package acmehttp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

// maxHeader bounds the protected header of a JWS, in base64url. One with an RSA key of
// 8192 bits has some 2 KiB.
const maxHeader = 8 << 10

// minBody and bodyPerName make the largest request body that is read, in bytes. An
// order for a hundred long names takes some 30 KiB.
const (
	minBody     = 64 << 10
	bodyPerName = 512
)

func (e *Endpoint) maxBody() int64 { return max(minBody, int64(e.MaxIdentifiers)*bodyPerName) }

// algorithms are what accounts may sign with (RFC 8555 §6.2).
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.EdDSA}

// signer is the key that signed a request.
type signer struct {
	key        *jose.JSONWebKey
	thumbprint string // RFC 7638, base64url
}

// spki is the key as a certificate would have it, in DER.
func (s signer) spki() ([]byte, error) { return x509.MarshalPKIXPublicKey(s.key.Key) }

// signedBy finds the key that must have signed a request, from the protected header.
type signedBy func(s *Server, r *request, h jose.Header) error

// byNewKey takes the key in the header itself (§7.3).
func byNewKey(s *Server, r *request, h jose.Header) error {
	if h.JSONWebKey == nil || h.KeyID != "" {
		return acme.Problemf(acme.Malformed, `the JWS header must have "jwk" and no "kid" here (RFC 8555 §6.2)`)
	}
	return r.setSigner(h.JSONWebKey)
}

// byAccount takes the key of the account that the header names.
func byAccount(s *Server, r *request, h jose.Header) error { return s.bySome(r, h, s.known.fresh) }

// byRecentAccount is byAccount for requests that neither issue nor change anything about
// accounts: it may know the account from a moment ago.
func byRecentAccount(s *Server, r *request, h jose.Header) error {
	return s.bySome(r, h, s.known.recent)
}

func (s *Server) bySome(r *request, h jose.Header, find func(context.Context, *Server, int64) (*knownAccount, error)) error {
	if h.KeyID == "" || h.JSONWebKey != nil {
		return acme.Problemf(acme.Malformed, `the JWS header must have "kid" and no "jwk" here (RFC 8555 §6.2)`)
	}
	number, ok := strings.CutPrefix(h.KeyID, r.dir.base+"/acct/")
	id, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return acme.Problemf(acme.AccountDoesNotExist, "%q is not an account of this directory", clip(h.KeyID))
	}
	a, err := find(r.http.Context(), s, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && a.account.Directory != r.dir.Name {
		return acme.Problemf(acme.AccountDoesNotExist, "there is no account %q", clip(h.KeyID))
	}
	if err != nil {
		return fmt.Errorf("reading account %d: %w", id, err)
	}
	r.account, r.signer = a.account, a.signer
	return nil
}

// byAccountOrKey takes either, for revocation by the certificate's key (§7.6).
func byAccountOrKey(s *Server, r *request, h jose.Header) error {
	if h.JSONWebKey != nil {
		return byNewKey(s, r, h)
	}
	return byAccount(s, r, h)
}

func (r *request) setSigner(key *jose.JSONWebKey) (err error) {
	// The key alone: what else a client writes into a JWK is neither kept nor shown.
	if r.signer, err = signerOf(&jose.JSONWebKey{Key: key.Key}); err != nil {
		return acme.Problemf(acme.BadPublicKey, "the key in the JWS header: %v", err)
	}
	return nil
}

func signerOf(key *jose.JSONWebKey) (signer, error) {
	if !key.Valid() || !key.IsPublic() {
		return signer{}, errors.New("it is not a valid public key")
	}
	// Before anything is verified with it: Go has its own bounds there, which are not badPublicKey.
	if pub, ok := key.Key.(*rsa.PublicKey); ok && (pub.N.BitLen() < issuer.MinRSA || pub.N.BitLen() > issuer.MaxRSA) {
		return signer{}, fmt.Errorf("an RSA key of %d bits is not accepted; use %d to %d", pub.N.BitLen(), issuer.MinRSA, issuer.MaxRSA)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	return signer{key, base64.RawURLEncoding.EncodeToString(sum)}, err
}

// verify reads the request's JWS and fills in payload, signer and account. It writes
// nothing to the store but, where servers share one, that the nonce was used.
func (s *Server) verify(w http.ResponseWriter, r *request, by signedBy) error {
	if t, _, err := mime.ParseMediaType(r.http.Header.Get("Content-Type")); err != nil || t != "application/jose+json" {
		return acme.Problemf(acme.Malformed, "the Content-Type must be application/jose+json (RFC 8555 §6.2)").WithStatus(http.StatusUnsupportedMediaType)
	}
	maxBody := r.dir.maxBody()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.http.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return acme.Problemf(acme.Malformed, "the request is larger than %d bytes", maxBody).WithStatus(http.StatusRequestEntityTooLarge)
		}
		return acme.Problemf(acme.Malformed, "the request could not be read to its end")
	}
	jws, header, err := parseJWS(body, algorithms)
	if err != nil {
		return err
	}
	if err := checkURL(header, s.BaseURL+r.http.URL.RequestURI()); err != nil {
		return err
	}
	if _, err := base64.RawURLEncoding.DecodeString(header.Nonce); err != nil {
		return acme.Problemf(acme.Malformed, "the nonce is not base64url (RFC 8555 §6.5.2)")
	}
	if err := checkNonce(r, s.Nonces.Known, header.Nonce); err != nil {
		return err
	}
	if err := by(s, r, header); err != nil {
		return err
	}
	if r.payload, err = jws.Verify(r.signer.key.Key); err != nil {
		return acme.Problemf(acme.Malformed, "the JWS is not signed by the key that its header names")
	}
	// Not before: who can't sign makes us write nothing.
	if err := checkNonce(r, s.Nonces.Redeem, header.Nonce); err != nil {
		return err
	}
	return r.checkAccount()
}

// checkNonce asks one of the ways of [Nonces] about the nonce of a request.
func checkNonce(r *request, ask func(context.Context, string) (bool, error), nonce string) error {
	good, err := ask(r.http.Context(), nonce)
	if err != nil {
		return fmt.Errorf("looking at the nonce: %w", err)
	}
	if !good {
		return acme.Problemf(acme.BadNonce, "the nonce was used before, is too old, or is not from here; try again with the one in this answer")
	}
	return nil
}

// checkAccount refuses requests of accounts that have come to an end. It comes after
// the signature, since it tells about the account.
func (r *request) checkAccount() error {
	a := r.account
	if a.ID == 0 {
		return nil
	}
	if a.Status != acme.Valid {
		why := "this account is " + string(a.Status)
		if a.Status == acme.Revoked {
			why += ": new credentials of its ACME-ID have replaced it, or the operators have ended it"
		}
		return acme.Problemf(acme.Unauthorized, "%s", why).WithStatus(http.StatusUnauthorized)
	}
	// What the configuration says of a directory may have changed since: who proved nothing
	// to come in must not be in where that is asked for, nor who only tried things.
	if a.Bound == r.dir.Open || a.Staging != r.dir.Staging {
		return acme.Problemf(acme.Unauthorized, "this account is from when the directory %s took others; register a new one, with another key", r.dir.Name)
	}
	if why := directory.Usable(a); why != "" {
		return acme.Problemf(acme.Unauthorized, "%s", why)
	}
	return nil
}

// parseJWS reads a flattened JWS with one signature by one of the algorithms, and
// nothing that is not signed (§6.2).
func parseJWS(body []byte, algs []jose.SignatureAlgorithm) (*jose.JSONWebSignature, jose.Header, error) {
	fail := func(p *acme.Problem) (*jose.JSONWebSignature, jose.Header, error) { return nil, jose.Header{}, p }
	var form struct {
		Protected  *string         `json:"protected"`
		Payload    *string         `json:"payload"`
		Signature  *string         `json:"signature"`
		Header     json.RawMessage `json:"header"`
		Signatures json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(body, &form); err != nil || form.Protected == nil || form.Payload == nil || form.Signature == nil {
		return fail(acme.Problemf(acme.Malformed, `the body is not a JWS in flattened JSON with "protected", "payload" and "signature" (RFC 8555 §6.2)`))
	}
	if form.Header != nil || form.Signatures != nil {
		return fail(acme.Problemf(acme.Malformed, "the JWS must have one signature and no unprotected header (RFC 8555 §6.2)"))
	}
	// The compact form says the same, and needn't be parsed as JSON once more: what is
	// checked here is what is verified.
	if len(*form.Protected) > maxHeader {
		return fail(acme.Problemf(acme.Malformed, "the protected header of the JWS is longer than %d characters", maxHeader))
	}
	jws, err := jose.ParseSignedCompact(*form.Protected+"."+*form.Payload+"."+*form.Signature, algs)
	var alg *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &alg) {
		p := acme.Problemf(acme.BadSignatureAlgorithm, "the JWS is signed with %q, which is not accepted here", clip(string(alg.Got)))
		for _, a := range algs {
			p.Algorithms = append(p.Algorithms, string(a))
		}
		return fail(p)
	}
	if err != nil || len(jws.Signatures) != 1 {
		return fail(acme.Problemf(acme.Malformed, "the JWS can't be read: %v", err))
	}
	header := jws.Signatures[0].Protected
	if header.ExtraHeaders["crit"] != nil || header.ExtraHeaders["b64"] != nil {
		return fail(acme.Problemf(acme.Malformed, `the JWS header must have neither "crit" nor "b64" (RFC 8555 §6.2)`))
	}
	return jws, header, nil
}

// checkURL compares the "url" of a JWS header with the URL that it was sent to (§6.4).
func checkURL(h jose.Header, want string) error {
	got, ok := h.ExtraHeaders["url"].(string)
	switch {
	case !ok:
		return acme.Problemf(acme.Malformed, `the JWS header has no "url" (RFC 8555 §6.4)`)
	case got != want:
		return acme.Problemf(acme.Unauthorized, `the JWS header's "url" is %q, but the request was sent to %q`, clip(got), want)
	}
	return nil
}

// checkAccountKey tells whether a key may be that of an account.
func (s *Server) checkAccountKey(r *request, k signer) error {
	if _, ok := k.key.Key.(ed25519.PublicKey); !ok {
		if err := issuer.CheckKey(k.key.Key); err != nil {
			return acme.Problemf(acme.BadPublicKey, "the account key: %v", err)
		}
	}
	spki, err := k.spki()
	if err != nil {
		return acme.Problemf(acme.BadPublicKey, "the account key: %v", err)
	}
	return s.checkBlocked(r, spki)
}

// checkBlocked refuses a key, as DER subject public key info, that is known to be
// compromised or that the operators have blocked.
func (s *Server) checkBlocked(r *request, spki []byte) error {
	if s.Blocked.Has(spki) {
		return acme.Problemf(acme.BadPublicKey, "the key is on a list of keys that others know; make a new one")
	}
	sum := sha256.Sum256(spki)
	blocked, err := s.Store.KeyBlocked(r.http.Context(), sum[:])
	if err != nil {
		return fmt.Errorf("looking up a key: %w", err)
	}
	if blocked {
		return acme.Problemf(acme.BadPublicKey, "the key is blocked: it was revoked as compromised, or the operators know that others have it; make a new one")
	}
	return nil
}

// sameKey compares two public keys by their DER form.
func sameKey(a, b *jose.JSONWebKey) bool {
	x, errX := x509.MarshalPKIXPublicKey(a.Key)
	y, errY := x509.MarshalPKIXPublicKey(b.Key)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// clip keeps a foreign value short in what we say.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

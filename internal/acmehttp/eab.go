package acmehttp

import (
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// bindingAlgorithms are the MACs of an external account binding (RFC 8555 §7.3.4).
var bindingAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}

// bindingRefused is what the client is told whatever is wrong with its credentials;
// the cause is for the log.
func bindingRefused(cause error) error {
	return told{acme.Problemf(acme.Unauthorized, "the external account binding was not accepted: check key ID and HMAC key; "+
		"if they have been used for a registration before, get new ones"), cause}
}

// bare is a JWS in flattened JSON, that has been read, without what else a client may have
// put beside its three parts.
func bare(jws json.RawMessage) (json.RawMessage, error) {
	var form struct {
		Protected string `json:"protected"`
		Payload   string `json:"payload"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(jws, &form); err != nil {
		return nil, err
	}
	return json.Marshal(form)
}

// noKey takes the place of the HMAC key of credentials that there are not, so that
// an unknown key ID costs the same time as a known one.
var noKey = make([]byte, 32)

// checkBinding verifies an external account binding and finds its ACME-ID.
func (s *Server) checkBinding(r *request, raw json.RawMessage) (kid string, aid store.ACMEID, err error) {
	fail := func(err error) (string, store.ACMEID, error) { return "", store.ACMEID{}, err }
	jws, header, err := parseJWS(raw, bindingAlgorithms)
	if err != nil {
		return fail(err)
	}
	if header.KeyID == "" || header.Nonce != "" || header.JSONWebKey != nil {
		return fail(acme.Problemf(acme.Malformed, `the external account binding's header must have "kid" and neither "nonce" nor "jwk" (RFC 8555 §7.3.4)`))
	}
	if err := checkURL(header, s.BaseURL+r.http.URL.RequestURI()); err != nil {
		return fail(err)
	}
	kid = header.KeyID
	aid, cause := s.Directory.Binding(r.http.Context(), kid)
	switch {
	case errors.Is(cause, directory.ErrUnknownCredentials), errors.Is(cause, directory.ErrUsedCredentials), errors.Is(cause, directory.ErrInvalidACMEID), errors.Is(cause, directory.ErrSuspendedACMEID):
		aid.HMACKey = noKey
	case cause != nil:
		return fail(cause)
	}
	payload, err := jws.Verify(aid.HMACKey)
	if cause == nil && err != nil {
		cause = errors.New("wrong MAC")
	}
	if cause == nil {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(payload); err != nil || !sameKey(&key, r.signer.key) {
			cause = errors.New("the binding is for another account key")
		}
	}
	if cause != nil {
		s.Log.WarnContext(r.http.Context(), "external account binding refused", "kid", clip(kid), "acme_id", aid.FQDN, "cause", cause.Error())
		return fail(bindingRefused(cause))
	}
	return kid, aid, nil
}

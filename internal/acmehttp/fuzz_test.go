package acmehttp

import "testing"

// FuzzParseJWS looks for bodies that panic, or that pass with anything unsigned.
func FuzzParseJWS(f *testing.F) {
	f.Add([]byte(`{"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"","signature":"AAAA"}`))
	f.Add([]byte(`{"protected":"eyJhbGciOiJIUzI1NiJ9","payload":"e30","signature":"AAAA","header":{}}`))
	f.Add([]byte(`{"payload":"","signatures":[{"protected":"","signature":""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		jws, header, err := parseJWS(body, algorithms)
		if err != nil {
			return
		}
		if len(jws.Signatures) != 1 || header.Algorithm == "" {
			t.Fatalf("accepted %q", body)
		}
		if jws.Signatures[0].Unprotected.KeyID != "" || jws.Signatures[0].Unprotected.JSONWebKey != nil {
			t.Fatalf("accepted an unprotected header in %q", body)
		}
		_ = checkURL(header, "https://acme.example.org/")
	})
}

package acmehttp

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"vidimus/internal/certificate"
	"vidimus/internal/store"
)

// certificate sends a certificate and a chain above it: the default one, or another
// by its number. Each names the others as alternates (RFC 8555 §7.4.2).
func (s *Server) certificate(r *request) (reply, error) {
	serial := r.http.PathValue("id")
	c, err := s.issued.find(r.http.Context(), s.Store, serial)
	if errors.Is(err, store.ErrNotFound) || err == nil && (c.Account != r.account.ID || c.DER == nil) {
		return reply{}, notFound("there is no certificate %s of this account", clip(serial))
	}
	if err != nil {
		return reply{}, err
	}
	leaf, err := certificateOf(c)
	if err != nil {
		return reply{}, err
	}
	by := r.dir.Issuer.SignerOf(leaf)
	if by == nil {
		return reply{}, notFound("the CA that signed the certificate %s is gone; order a new one", c.Serial)
	}
	n, err := chainNumber(r.http.PathValue("chain"), len(by.Chains))
	if err != nil {
		return reply{}, notFound("certificate %s: %v", c.Serial, err)
	}
	chain := append([]*x509.Certificate{leaf}, by.Chains[n]...)
	rep := reply{raw: certificate.MarshalChain(chain...), mediaType: "application/pem-certificate-chain"}
	for other := range by.Chains {
		if other != n {
			rep.links = append(rep.links, fmt.Sprintf(`<%s>;rel="alternate"`, r.chainURL(c.Serial, other)))
		}
	}
	return rep, nil
}

// chainNumber reads the number of a chain of which there are count; the default, 0,
// has the URL without a number.
func chainNumber(s string, count int) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n >= count || strconv.Itoa(n) != s {
		return 0, errors.New("it has no such chain")
	}
	return n, nil
}

func (r *request) chainURL(serial string, n int) string {
	url := r.dir.base + "/cert/" + serial
	if n > 0 {
		url += "/" + strconv.Itoa(n)
	}
	return url
}

// hasKeyID tells whether a key identifier is that of the CA that signed c.
func hasKeyID(r *request, c store.Certificate, authorityKey []byte) bool {
	id := hex.EncodeToString(authorityKey)
	if c.AuthorityKey == "" { // recorded by an older vidimusd
		return r.dir.Issuer.Intermediate(id) != nil
	}
	return c.AuthorityKey == id
}

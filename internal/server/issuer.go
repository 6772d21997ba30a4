package server

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

// openIssuer reads the files of an issuer. base is where its CRLs and CA certificates
// are served, "" for nowhere.
func openIssuer(c *config.Issuer, base string, db *store.Store) (*issuer.Issuer, error) {
	iss := issuer.Issuer{Name: c.Name, Validity: time.Duration(c.Validity), Store: db}
	for n := range c.Intermediates {
		ca, err := c.Intermediates[n].Load()
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		m := &issuer.Intermediate{CA: ca.Certificate, Chains: ca.Chains, Root: ca.Root, From: ca.From, Key: ca.Key}
		if base != "" {
			m.CRLURL = base + crlPath(c.Name, m)
			m.CAURL = base + caPath(c.Name, m)
		}
		iss.Intermediates = append(iss.Intermediates, m)
	}
	return issuer.New(iss)
}

// What belongs to one CA key has a URL with the key's identifier, which stays as long
// as there are certificates that name it.

func crlPath(issuer string, m *issuer.Intermediate) string {
	return "/crl/" + issuer + "-" + m.ShortID() + ".crl"
}

func caPath(issuer string, m *issuer.Intermediate) string {
	return "/ca/" + issuer + "-" + m.ShortID() + ".cer"
}

// rootsPEM is what clients of the issuer are to trust: the root of each intermediate,
// once.
func rootsPEM(iss *issuer.Issuer) []byte {
	var roots []*x509.Certificate
	for _, m := range iss.Intermediates {
		if !slices.ContainsFunc(roots, m.Root.Equal) {
			roots = append(roots, m.Root)
		}
	}
	return certificate.MarshalChain(roots...)
}

package cli

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/identifier"
)

// parseCSR reads a PKCS #10 request (RFC 2986), PEM or DER, and what it asks to have
// certified: its alternative names. Its common name must be one of them.
func parseCSR(data []byte) (der []byte, ids []identifier.Identifier, err error) {
	der = data
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE REQUEST" || block.Type == "NEW CERTIFICATE REQUEST" {
			der = block.Bytes
			break
		}
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, errors.New("it is no certificate request, neither PEM nor DER; 'openssl req -new' makes one")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, nil, errors.New("it is not signed by its own key")
	}
	names := slices.Clone(csr.DNSNames)
	for _, ip := range csr.IPAddresses {
		names = append(names, ip.String())
	}
	for _, n := range names {
		id, err := identifier.ParseLocal(n)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	const every = "it needs to have a SubjectAltName for every domain"
	if len(ids) == 0 {
		return nil, nil, errors.New(every + ", and has none; 'openssl req -new -addext subjectAltName=DNS:NAME' makes one that has")
	}
	if cn := strings.ToLower(csr.Subject.CommonName); cn != "" && !slices.Contains(identifier.Values(ids), cn) {
		return nil, nil, fmt.Errorf(every+", and has none for its common name %q", cn)
	}
	return csr.Raw, ids, nil
}

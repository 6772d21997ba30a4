package portal

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// extension is one of a certificate, for people to read.
type extension struct {
	Name     string // as in RFC 5280, or the object identifier
	Critical bool
	Value    []string
}

var keyUsages = []string{"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign",
	"encipherOnly", "decipherOnly"}

var extKeyUsages = map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
	x509.ExtKeyUsageOCSPSigning: "OCSPSigning", x509.ExtKeyUsageEmailProtection: "emailProtection", x509.ExtKeyUsageCodeSigning: "codeSigning"}

// readable are the extensions that can be read, by their object identifiers.
var readable = map[string]struct {
	name string
	read func(*x509.Certificate) []string
}{
	"2.5.29.14": {"subjectKeyIdentifier", func(c *x509.Certificate) []string { return []string{colons(c.SubjectKeyId)} }},
	"2.5.29.35": {"authorityKeyIdentifier", func(c *x509.Certificate) []string { return []string{colons(c.AuthorityKeyId)} }},
	"2.5.29.15": {"keyUsage", func(c *x509.Certificate) (all []string) {
		for i, name := range keyUsages {
			if c.KeyUsage&(1<<i) != 0 {
				all = append(all, name)
			}
		}
		return all
	}},
	"2.5.29.37": {"extKeyUsage", func(c *x509.Certificate) (all []string) {
		for _, u := range c.ExtKeyUsage {
			if name := extKeyUsages[u]; name != "" {
				all = append(all, name)
			} else {
				all = append(all, fmt.Sprint(u))
			}
		}
		for _, id := range c.UnknownExtKeyUsage {
			all = append(all, id.String())
		}
		return all
	}},
	"2.5.29.19": {"basicConstraints", func(c *x509.Certificate) []string { return []string{fmt.Sprintf("CA: %t", c.IsCA)} }},
	"2.5.29.17": {"subjectAltName", func(c *x509.Certificate) (all []string) {
		for _, ip := range c.IPAddresses {
			all = append(all, ip.String())
		}
		return append(all, c.DNSNames...)
	}},
	"2.5.29.31": {"cRLDistributionPoints", func(c *x509.Certificate) []string { return c.CRLDistributionPoints }},
	"1.3.6.1.5.5.7.1.1": {"authorityInfoAccess", func(c *x509.Certificate) (all []string) {
		for _, u := range c.OCSPServer {
			all = append(all, "OCSP: "+u)
		}
		for _, u := range c.IssuingCertificateURL {
			all = append(all, "caIssuers: "+u)
		}
		return all
	}},
	"2.5.29.32": {"certificatePolicies", func(c *x509.Certificate) (all []string) {
		for _, p := range c.Policies {
			all = append(all, p.String())
		}
		return all
	}},
	"1.3.6.1.5.5.7.1.24": {"tlsFeature", func(*x509.Certificate) []string { return []string{"status_request (OCSP must-staple)"} }},
}

// extensionsOf lists the extensions of a certificate; of what we can't read the beginning,
// in hexadecimal.
func extensionsOf(c *x509.Certificate) (all []extension) {
	for _, e := range c.Extensions {
		x := extension{Name: e.Id.String(), Critical: e.Critical}
		if known, ok := readable[x.Name]; ok {
			x.Name, x.Value = known.name, known.read(c)
		} else {
			x.Value = []string{hex.EncodeToString(e.Value[:min(len(e.Value), 64)])}
			var text string
			if rest, err := asn1.Unmarshal(e.Value, &text); err == nil && len(rest) == 0 {
				x.Value = []string{text}
			}
		}
		all = append(all, x)
	}
	slices.SortStableFunc(all, func(a, b extension) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return all
}

package config

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"vidimus/internal/certificate"
)

// Intermediate is a CA certificate that signs for an issuer, or has signed, or will.
// The one whose From has come last signs; the others keep signing their CRLs.
type Intermediate struct {
	Certificate string   `yaml:"certificate"` // PEM file: the issuing CA, and intermediates above it
	Key         string   `yaml:"key"`         // PEM file, mode 0600; see [ReadKey]
	Root        string   `yaml:"root"`        // PEM file; default that of the issuer
	Chains      []string `yaml:"chains"`      // PEM files: other ways up, as cross-signing makes them; the CA's certificate first
	From        Date     `yaml:"from"`        // when it begins to sign; default always
}

// Date is a time, written as a day (its beginning, UTC) or as RFC 3339 has it.
type Date time.Time

// UnmarshalYAML reads "2027-03-01" and "2027-03-01T12:00:00Z".
func (d *Date) UnmarshalYAML(n *yaml.Node) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, n.Value); err == nil {
			*d = Date(t.UTC())
			return nil
		}
	}
	return &yaml.TypeError{Errors: []string{fmt.Sprintf(`line %d: %q is not a date; write "2027-03-01" or "2027-03-01T12:00:00Z"`, n.Line, n.Value)}}
}

// CA is what the files of an intermediate hold.
type CA struct {
	Certificate *x509.Certificate
	Chains      [][]*x509.Certificate // Certificate, then what is above it, without the root; the default first
	Root        *x509.Certificate
	Key         crypto.Signer
	From        time.Time
}

// completeIntermediates checks the CA certificates of an issuer: the one that it
// names itself, or those of its list.
func (i *Issuer) completeIntermediates(r *reader, path string) {
	listed := len(i.Intermediates) > 0
	if listed {
		for _, f := range []struct{ key, value string }{{"certificate", i.Certificate}, {"key", i.Key}} {
			if f.value != "" {
				r.add(path+"."+f.key, "an issuer with intermediates has no %s of its own; make it one of the intermediates", f.key)
			}
		}
	} else {
		i.Intermediates = []Intermediate{i.Intermediate}
	}
	seen := make(map[string]int)
	good := true
	for n := range i.Intermediates {
		m, at := &i.Intermediates[n], path
		if listed {
			at = fmt.Sprintf("%s.intermediates.%d", path, n)
			if m.Root == "" {
				m.Root = i.Root
			}
		}
		ca, ok := m.complete(r, at)
		if !ok {
			good = false
			continue
		}
		id := hex.EncodeToString(ca.Certificate.SubjectKeyId)
		if before, twice := seen[id]; twice {
			r.add(at, "it has the same key identifier as intermediates[%d]; a key is listed once, and its other certificates are chains", before)
		}
		seen[id] = n
	}
	if good {
		i.checkTurns(r, path, listed)
	}
	i.Intermediate = i.Intermediates[0]
}

// checkTurns checks that there is always one intermediate that signs.
func (i *Issuer) checkTurns(r *reader, path string, listed bool) {
	begin := make(map[time.Time]bool)
	now := false
	for n, m := range i.Intermediates {
		from := time.Time(m.From)
		if begin[from] {
			r.add(fmt.Sprintf("%s.intermediates.%d", path, n), "another of the intermediates begins at the same time; say from: when each begins to sign")
		}
		begin[from] = true
		now = now || !from.After(time.Now())
	}
	switch {
	case now:
	case listed:
		r.add(path+".intermediates", "none of them signs yet; one must have no from, or one that has come")
	default:
		r.add(path+".from", "the issuer's only CA does not sign yet; leave from out, or let it have come")
	}
}

// complete checks one CA certificate with its files; ok says that they could be read
// and fit together.
func (m *Intermediate) complete(r *reader, path string) (ca CA, ok bool) {
	for _, f := range []struct {
		key  string
		file *string
	}{{"certificate", &m.Certificate}, {"key", &m.Key}, {"root", &m.Root}} {
		if *f.file == "" {
			r.add(path+"."+f.key, "name a PEM file; vidimusd init makes one")
			continue
		}
		if !isKeyURI(*f.file) {
			*f.file = r.path(*f.file)
		}
	}
	_, cert := readFile(r, path+".certificate", m.Certificate, certificate.LoadChain)
	_, root := readFile(r, path+".root", m.Root, certificate.LoadChain)
	_, key := readFile(r, path+".key", m.Key, ReadKey)
	chains := true
	for n := range m.Chains {
		m.Chains[n] = r.path(m.Chains[n])
		_, readable := readFile(r, fmt.Sprintf("%s.chains.%d", path, n), m.Chains[n], certificate.LoadChain)
		chains = chains && readable
	}
	if !cert || !root || !key || !chains {
		return ca, false
	}
	ca, err := m.Load()
	if err != nil {
		r.add(path, "%v", err)
	}
	return ca, err == nil
}

// Load reads the files of an intermediate and checks that they fit together.
func (m *Intermediate) Load() (CA, error) {
	chain, err := certificate.LoadChain(m.Certificate)
	if err != nil {
		return CA{}, err
	}
	roots, err := certificate.LoadChain(m.Root)
	if err != nil {
		return CA{}, err
	}
	key, err := ReadKey(m.Key)
	if err != nil {
		return CA{}, err
	}
	ca := CA{Certificate: chain[0], Root: roots[0], Key: key, From: time.Time(m.From)}
	if err := ca.checkKey(m); err != nil {
		return ca, err
	}
	if !selfSigned(ca.Root) {
		return ca, fmt.Errorf("%q in %s is no root: it is signed by %q, or not by its own key", ca.Root.Subject, m.Root, ca.Root.Issuer)
	}
	if chain, err = upwards(chain, ca.Root); err != nil {
		return ca, fmt.Errorf("%s: %w", m.Certificate, err)
	}
	ca.Chains = [][]*x509.Certificate{chain}
	for _, file := range m.Chains {
		other, err := ca.loadChain(file)
		if err != nil {
			return ca, fmt.Errorf("%s: %w", file, err)
		}
		ca.Chains = append(ca.Chains, other)
	}
	return ca, nil
}

func (ca *CA) checkKey(m *Intermediate) error {
	switch c := ca.Certificate; {
	case !certificate.KeyMatches(c, ca.Key):
		return fmt.Errorf("the key in %s is not that of the certificate in %s", m.Key, m.Certificate)
	case !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || c.KeyUsage&x509.KeyUsageCRLSign == 0:
		return fmt.Errorf("%q in %s is no CA that may sign certificates and CRLs", c.Subject, m.Certificate)
	case len(c.SubjectKeyId) == 0:
		return fmt.Errorf("%q in %s has no subject key identifier; have it signed again with one", c.Subject, m.Certificate)
	}
	return nil
}

// loadChain reads another way up from the CA: its certificate as it is or signed by
// another, and what is above that.
func (ca *CA) loadChain(file string) ([]*x509.Certificate, error) {
	chain, err := certificate.LoadChain(file)
	if err != nil {
		return nil, err
	}
	if !certificate.KeyMatches(chain[0], ca.Key) || string(chain[0].RawSubject) != string(ca.Certificate.RawSubject) {
		return nil, errors.New("its first certificate is not one of the same CA: name and key must be the same")
	}
	return upwards(chain, nil)
}

// upwards checks that each certificate is signed by the next, and the last by root
// unless that is nil; a root at the end is taken off, as clients have it.
func upwards(chain []*x509.Certificate, root *x509.Certificate) ([]*x509.Certificate, error) {
	if n := len(chain); n > 1 && selfSigned(chain[n-1]) {
		if root == nil {
			root = chain[n-1]
		}
		chain = chain[:n-1]
	}
	for n, c := range chain {
		above := root
		if n+1 < len(chain) {
			above = chain[n+1]
		}
		if above == nil {
			break
		}
		if err := c.CheckSignatureFrom(above); err != nil {
			return nil, fmt.Errorf("%q is not signed by %q: %w", c.Subject, above.Subject, err)
		}
	}
	return chain, nil
}

func selfSigned(c *x509.Certificate) bool {
	return string(c.RawSubject) == string(c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

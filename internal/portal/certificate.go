package portal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// certificatePage is what the page of a certificate shows.
type certificatePage struct {
	store.CertificateStory
	ByMe  bool // the visitor asked for it without ACME
	State string
	Names []string

	Leaf                *x509.Certificate // nil while it is not signed
	Percent             int               // of its life that is over
	Days                int               // that are left
	Key, SHA1, SHA256   string
	KeySHA256           string
	Above               []link // the certificates above it, the one that signed it first
	Extensions          []extension
	Revocable           directory.Revocable
	Events              []event
	Reasons, Lost, Kept []string // of the page to revoke it: names without, and with, another certificate
	Wrong               string
}

// link is a certificate of the chain.
type link struct {
	Subject, SHA256 string
	NotAfter        time.Time
}

// found finds the certificate of a path. Who may not see it is told that there is none.
func (p *Portal) found(r *request) (c certificatePage, err error) {
	serial := strings.ToLower(r.PathValue("serial"))
	if c.CertificateStory, err = p.Store.CertificateStory(r.Context(), serial); err != nil {
		return c, err
	}
	of := c.issued(r)
	if c.DER != nil {
		if c.Leaf, err = x509.ParseCertificate(c.DER); err != nil {
			return c, fmt.Errorf("reading certificate %s on record: %w", serial, err)
		}
		of.Names = certificate.Identifiers(c.Leaf)
	}
	see, err := p.Directory.MaySeeCertificate(r.Context(), r.visitor.Editor, of)
	if err == nil && !see {
		err = directory.ErrNotYours
	}
	if err != nil {
		return c, err
	}
	c.Names, c.State = identifier.Values(of.Names), stateOf(c.Certificate, p.Now())
	if c.Leaf != nil && c.Revoked.IsZero() && p.Now().Before(c.NotAfter) {
		c.Revocable, err = p.Directory.MayRevoke(r.Context(), r.visitor.Editor, of)
	}
	return c, err
}

// issued is what the directory wants to know, but for the names.
func (c *certificatePage) issued(r *request) directory.Issued {
	c.ByMe = c.Person != "" && c.Person == r.visitor.Person.Login
	return directory.Issued{Own: c.ByMe, ACMEID: c.ACMEID}
}

// certificate shows one. Queries: 2, for those who don't see all 3 or 4.
func (p *Portal) certificate(r *request) error {
	c, err := p.found(r)
	if err != nil {
		return err
	}
	if c.Events, err = p.eventsOf(r, c.CertificateStory); err != nil || c.Leaf == nil {
		return r.orShow(err, "certificate", c)
	}
	life, over := c.NotAfter.Sub(c.NotBefore), p.Now().Sub(c.NotBefore)
	c.Percent = max(0, min(100, int(100*over/max(life, 1))))
	c.Days = int(c.NotAfter.Sub(p.Now()) / (24 * time.Hour))
	c.Key, c.Extensions = keyName(c.Leaf.PublicKey), extensionsOf(c.Leaf)
	one, two, spki := sha1.Sum(c.DER), sha256.Sum256(c.DER), sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	c.SHA1, c.SHA256, c.KeySHA256 = colons(one[:]), colons(two[:]), hex.EncodeToString(spki[:])
	for _, above := range p.chainOf(c.CertificateStory, c.Leaf) {
		sum := sha256.Sum256(above.Raw)
		c.Above = append(c.Above, link{above.Subject.String(), colons(sum[:]), above.NotAfter})
	}
	return r.show("certificate", c)
}

// orShow shows a page unless something went wrong before.
func (r *request) orShow(err error, page string, data any) error {
	if err != nil {
		return err
	}
	return r.show(page, data)
}

// eventsOf is the history of a certificate, the newest first. Queries: 1.
func (p *Portal) eventsOf(r *request, c store.CertificateStory) ([]event, error) {
	all, err := p.history(r, c.Serial)
	who := c.Person
	if c.ACMEID != "" {
		who = "ACME-ID " + c.ACMEID
	}
	if !c.Issued.IsZero() {
		all = append(all, event{At: c.Issued, What: r.t("certificate.event.issued")})
	}
	return append(all, event{At: c.Created, What: r.t("certificate.event.intended"), Who: who}), err
}

// chainOf lists the certificates above one; none when its CA is not configured any more.
func (p *Portal) chainOf(c store.CertificateStory, leaf *x509.Certificate) []*x509.Certificate {
	if p.Desk == nil {
		return nil
	}
	for _, iss := range p.Desk.Issuers {
		if iss.Name == c.Issuer {
			if by := iss.SignerOf(leaf); by != nil {
				return by.Chains[0]
			}
		}
	}
	return nil
}

func colons(sum []byte) string {
	text := make([]string, len(sum))
	for i, b := range sum {
		text[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(text, ":")
}

// keyName is the kind of a key, and its size, for people.
func keyName(pub any) string {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + pub.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}

// downloadCertificate sends a certificate, or its chain, as a file.
func (p *Portal) downloadCertificate(r *request) error {
	c, err := p.found(r)
	if err != nil {
		return err
	}
	if c.Leaf == nil {
		return errNotFound
	}
	chain := append([]*x509.Certificate{c.Leaf}, p.chainOf(c.CertificateStory, c.Leaf)...)
	var data []byte
	mediaType, ending := "application/x-pem-file", ".pem"
	switch r.PathValue("file") {
	case "certificate.pem":
		data = certificate.MarshalChain(c.Leaf)
	case "chain.pem":
		data, ending = certificate.MarshalChain(chain...), "-chain.pem"
	case "certificate.cer":
		data, mediaType, ending = c.DER, "application/pkix-cert", ".cer"
	case "chain.p7b":
		data, err = certificate.MarshalPKCS7(chain...)
		mediaType, ending = "application/x-pkcs7-certificates", ".p7b"
	default:
		return errNotFound
	}
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", mediaType)
	r.w.Header().Set("Content-Disposition", `attachment; filename="`+c.fileName()+ending+`"`)
	http.ServeContent(r.w, r.Request, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// fileName is the first name of a certificate, as far as it is fit for a file.
func (c *certificatePage) fileName() string {
	if len(c.Names) == 0 {
		return c.Serial
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(c.Names[0]))
}

// standing finds which names have another certificate, when this one is revoked.
func (p *Portal) standing(ctx context.Context, c *certificatePage) error {
	covered, err := p.Store.OtherwiseCovered(ctx, c.Serial, c.Names, p.Now())
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, name := range covered {
		has[name] = true
	}
	for _, name := range c.Names {
		if has[name] {
			c.Kept = append(c.Kept, name)
		} else {
			c.Lost = append(c.Lost, name)
		}
	}
	return nil
}

package login

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Revocation tells whether certificates are revoked, by OCSP (RFC 6960) and CRLs (RFC 5280
// §5). Its exported fields are not changed once it is in use; it is safe for concurrent use.
type Revocation struct {
	HTTP          *http.Client // with a timeout
	CRLs          []string     // files or URLs, besides those that certificates name
	OCSP          bool         // ask the responders that certificates name
	AcceptUnknown bool         // of which nobody tells

	mu    sync.Mutex
	lists map[string]*revocationList // by file or URL
}

// revocationList is a CRL that was read.
type revocationList struct {
	*x509.RevocationList
	revoked map[string]bool // serial numbers
	read    time.Time
	changed time.Time // of the file
}

const (
	// crlMost and ocspMost bound what is read, in bytes.
	crlMost, ocspMost = 32 << 20, 64 << 10
	// crlFresh is how long a CRL is used before it is read again, however long it is good.
	crlFresh = 15 * time.Minute
	// listsMost bounds how many CRLs are kept.
	listsMost = 64
	// statusSkew is how much the clock of a CA may be ahead.
	statusSkew = 5 * time.Minute
)

var (
	errRevoked = errors.New("it is revoked, or one above it is")
	errUnknown = errors.New("nobody tells whether it is revoked")
)

// check looks at each certificate of a chain but the root.
func (r *Revocation) check(ctx context.Context, chain []*x509.Certificate, now time.Time) error {
	for i := range chain[:len(chain)-1] {
		err := r.status(ctx, chain[i], chain[i+1], now)
		if errors.Is(err, errUnknown) && r.AcceptUnknown {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// status asks one after another, until one of them knows.
func (r *Revocation) status(ctx context.Context, c, issuer *x509.Certificate, now time.Time) error {
	var why []error
	if r.OCSP {
		for _, url := range c.OCSPServer {
			err := r.ask(ctx, url, c, issuer, now)
			if err == nil || errors.Is(err, errRevoked) {
				return err
			}
			why = append(why, err)
		}
	}
	for _, source := range append(slices.Clone(r.CRLs), c.CRLDistributionPoints...) {
		err := r.lookUp(ctx, source, c, issuer, now)
		if err == nil || errors.Is(err, errRevoked) {
			return err
		}
		why = append(why, err)
	}
	return fmt.Errorf("%w: %w", errUnknown, errors.Join(why...))
}

// ask asks an OCSP responder; nil means that the certificate is good.
func (r *Revocation) ask(ctx context.Context, url string, c, issuer *x509.Certificate, now time.Time) error {
	request, err := ocsp.CreateRequest(c, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1}) // which all responders know
	if err != nil {
		return err
	}
	data, err := r.fetch(ctx, http.MethodPost, url, request, ocspMost)
	if err != nil {
		return err
	}
	answer, err := ocsp.ParseResponseForCert(data, c, issuer)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", url, err)
	case answer.ThisUpdate.After(now.Add(statusSkew)) || !answer.NextUpdate.IsZero() && answer.NextUpdate.Before(now):
		return fmt.Errorf("%s: its answer is not of now", url)
	case answer.NextUpdate.IsZero() && answer.ThisUpdate.Before(now.Add(-24*time.Hour)):
		return fmt.Errorf("%s: its answer is old", url)
	case answer.Status == ocsp.Revoked:
		return errRevoked
	case answer.Status != ocsp.Good:
		return fmt.Errorf("%s: it does not know the certificate", url)
	}
	return nil
}

// lookUp looks a certificate up in a CRL; nil means that the CRL is for it, and it is not
// in it.
func (r *Revocation) lookUp(ctx context.Context, source string, c, issuer *x509.Certificate, now time.Time) error {
	l, err := r.list(ctx, source, now)
	if err != nil {
		return err
	}
	switch {
	case !bytes.Equal(l.RawIssuer, c.RawIssuer):
		return fmt.Errorf("%s: it is by another CA", source)
	case l.ThisUpdate.After(now.Add(statusSkew)) || l.NextUpdate.IsZero() || l.NextUpdate.Before(now):
		return fmt.Errorf("%s: it is not of now", source)
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err := covers(l.RevocationList, c); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if l.revoked[c.SerialNumber.String()] {
		return errRevoked
	}
	return nil
}

// list reads a CRL, or takes the one that was read lately.
func (r *Revocation) list(ctx context.Context, source string, now time.Time) (*revocationList, error) {
	isURL := strings.Contains(source, "://")
	var changed time.Time
	if !isURL {
		info, err := os.Stat(source)
		if err != nil {
			return nil, err
		}
		changed = info.ModTime()
	}
	r.mu.Lock()
	l := r.lists[source]
	r.mu.Unlock()
	if l != nil && l.changed.Equal(changed) && now.Sub(l.read).Abs() < crlFresh && !l.NextUpdate.Before(now) {
		return l, nil
	}
	var data []byte
	var err error
	if isURL {
		data, err = r.fetch(ctx, http.MethodGet, source, nil, crlMost)
	} else {
		data, err = readBounded(source)
	}
	if err == nil {
		l, err = parseList(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	l.read, l.changed = now, changed
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists == nil || len(r.lists) >= listsMost {
		r.lists = make(map[string]*revocationList)
	}
	r.lists[source] = l
	return l, nil
}

// parseList reads a CRL in DER or PEM.
func parseList(data []byte) (*revocationList, error) {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, err
	}
	l := &revocationList{RevocationList: list, revoked: make(map[string]bool, len(list.RevokedCertificateEntries))}
	for _, e := range list.RevokedCertificateEntries {
		if e.ReasonCode != 8 { // removeFromCRL
			l.revoked[e.SerialNumber.String()] = true
		}
	}
	return l, nil
}

// fetch gets a bounded answer by HTTP.
func (r *Revocation) fetch(ctx context.Context, method, url string, body []byte, most int64) ([]byte, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, fmt.Errorf("%s is not of HTTP", clipped(url, 200))
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/ocsp-request")
	}
	res, err := r.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with status %d", url, res.StatusCode)
	}
	return readAtMost(res.Body, url, most)
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, file, crlMost)
}

func readAtMost(from io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return data, err
}

// distribution is the extension that says which certificates a CRL is for (RFC 5280
// §5.2.5).
type distribution struct {
	Point         asn1.RawValue  `asn1:"optional,tag:0"`
	OnlyUser      bool           `asn1:"optional,tag:1"`
	OnlyCA        bool           `asn1:"optional,tag:2"`
	SomeReasons   asn1.BitString `asn1:"optional,tag:3"`
	Indirect      bool           `asn1:"optional,tag:4"`
	OnlyAttribute bool           `asn1:"optional,tag:5"`
}

var oidDistribution = asn1.ObjectIdentifier{2, 5, 29, 28}

// covers tells why a CRL says nothing of a certificate: it is one of several, or of another
// kind.
func covers(l *x509.RevocationList, c *x509.Certificate) error {
	for _, e := range l.Extensions {
		if !e.Id.Equal(oidDistribution) {
			if e.Critical {
				return fmt.Errorf("it has an extension %s that is not known here", e.Id)
			}
			continue
		}
		var d distribution
		if rest, err := asn1.Unmarshal(e.Value, &d); err != nil || len(rest) > 0 {
			return errors.New("which certificates it is for can't be read")
		}
		switch {
		case d.Indirect || d.OnlyAttribute || d.SomeReasons.BitLength > 0 || d.OnlyUser && c.IsCA || d.OnlyCA && !c.IsCA:
			return errors.New("it is for other certificates")
		case len(d.Point.FullBytes) > 0 && !slices.ContainsFunc(c.CRLDistributionPoints, func(url string) bool {
			name := uriName(url)
			return len(name) > 0 && bytes.Contains(d.Point.Bytes, name)
		}):
			return errors.New("it is for other certificates")
		}
	}
	return nil
}

// uriName is a URL as a GeneralName.
func uriName(url string) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)})
	if err != nil {
		return nil
	}
	return der
}

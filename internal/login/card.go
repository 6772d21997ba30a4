package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"

	cryptobyte "golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificates let people in by TLS client certificates. Its fields are not changed once
// it is in use.
type Certificates struct {
	Name, Title string
	URL         string // of the listener that asks browsers for a certificate, without a final slash
	Home        string // of the portal's, the same
	Roots       *x509.CertPool
	Field       string // where the login is: subject.uid, subject.cn, subject.serial, san.email, san.upn
	StripDomain string // "" for none
	Revocation  *Revocation
	Create      bool // enter people who are not on record
	Now         func() time.Time
}

// CardPath is where, at the listener that asks for a certificate, a log-in goes on.
const CardPath = "/portal/login/card"

// identify finds who has a certificate. [ErrNotAccepted] is all that the person is told of
// what is wrong; the rest of the error is for the log.
func (c *Certificates) identify(ctx context.Context, state *tls.ConnectionState) (Identity, error) {
	no := func(format string, args ...any) (Identity, error) {
		return Identity{}, fmt.Errorf("%w: "+format, append([]any{ErrNotAccepted}, args...)...)
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		return no("the browser showed no certificate")
	}
	now := time.Now()
	if c.Now != nil {
		now = c.Now()
	}
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, x := range state.PeerCertificates[1:] {
		between.AddCert(x)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return no("certificate %x: %w", leaf.SerialNumber, err)
	}
	if err := c.Revocation.check(ctx, chains[0], now); err != nil {
		return no("certificate %x: %w", leaf.SerialNumber, err)
	}
	login, err := c.login(leaf)
	if err != nil {
		return no("certificate %x: %w", leaf.SerialNumber, err)
	}
	return Identity{Login: login, Name: leaf.Subject.CommonName, Email: first(leaf.EmailAddresses), Method: c.Name, Create: c.Create}, nil
}

var (
	oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1} // RFC 4519 §2.39
	oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// login reads the login where it is to be; a certificate that has several there has none.
func (c *Certificates) login(leaf *x509.Certificate) (string, error) {
	var found []string
	switch c.Field {
	case "subject.uid":
		for _, n := range leaf.Subject.Names {
			if n.Type.Equal(oidUID) {
				found = append(found, fmt.Sprint(n.Value))
			}
		}
	case "subject.cn":
		for _, n := range leaf.Subject.Names {
			if n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
				found = append(found, fmt.Sprint(n.Value))
			}
		}
	case "subject.serial":
		for _, n := range leaf.Subject.Names {
			if n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 5}) {
				found = append(found, fmt.Sprint(n.Value))
			}
		}
	case "san.email":
		found = leaf.EmailAddresses
	case "san.upn":
		for _, e := range leaf.Extensions {
			if e.Id.Equal(oidSAN) {
				found = principalNames(e.Value)
			}
		}
	}
	if len(found) != 1 || found[0] == "" {
		return "", fmt.Errorf("it has %d values in %s, which the login is to be in", len(found), c.Field)
	}
	login := found[0]
	if c.StripDomain == "" {
		return login, nil
	}
	at := strings.LastIndexByte(login, '@')
	if at <= 0 || !strings.EqualFold(login[at+1:], c.StripDomain) {
		return "", fmt.Errorf("%q in %s is not of the domain %s", clipped(login, 100), c.Field, c.StripDomain)
	}
	return login[:at], nil
}

// principalNames finds the user principal names among the alternative names of a subject:
// UTF8Strings in otherName (RFC 5280 §4.2.1.6).
func principalNames(san []byte) (names []string) {
	var all, name, value cryptobyte.String
	var id asn1.ObjectIdentifier
	input := cryptobyte.String(san)
	if !input.ReadASN1(&all, cryptobyte_asn1.SEQUENCE) {
		return nil
	}
	for !all.Empty() {
		var tag cryptobyte_asn1.Tag
		if !all.ReadAnyASN1(&name, &tag) {
			return nil
		}
		if tag != cryptobyte_asn1.Tag(0).Constructed().ContextSpecific() || !name.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidUPN) {
			continue
		}
		var text cryptobyte.String
		if name.ReadASN1(&value, cryptobyte_asn1.Tag(0).Constructed().ContextSpecific()) && value.ReadASN1(&text, cryptobyte_asn1.UTF8String) {
			names = append(names, string(text))
		}
	}
	return names
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// AskCard begins a log-in by certificate, in one browser: where it is to go, and the token
// to bind it by. [ErrNoWay] says that there are no such log-ins; [TooMany] is for the person
// to see.
func (d *Door) AskCard(ctx context.Context, from Browser, to string) (where string, s Step, err error) {
	if d.Certificates == nil {
		return "", s, ErrNoWay
	}
	if err := d.limiter().try(ctx, count(byBegin, "begin", addressKey(from.Address))); err != nil {
		return "", s, err
	}
	s, err = d.begin(ctx, begun{Stage: card, To: to})
	return d.Certificates.URL + CardPath, s, err
}

// Card ends a log-in by certificate. [ErrExpired], [ErrNotAccepted] and [ErrUnknownPerson]
// are for the person to see.
func (d *Door) Card(ctx context.Context, from Browser, token string, state *tls.ConnectionState) (s Step, err error) {
	b, err := d.begun(ctx, token, card)
	if err != nil {
		return s, err
	}
	if err := d.end(ctx, token); err != nil {
		return s, err
	}
	id, err := d.Certificates.identify(ctx, state)
	if err == nil {
		s, err = d.enter(ctx, from, id, b.To)
	}
	return s, d.refused(ctx, err, id.Login, d.Certificates.Name)
}

package conformance

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"sync"
	"time"
)

// acmeIdentifier marks the certificate that answers a tls-alpn-01 challenge (RFC 8737 §3).
var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// alpnAnswer is how a tls-alpn-01 challenge is answered, properly or not.
type alpnAnswer struct {
	names     []string // of the certificate
	addresses []net.IP
	digest    []byte // in the acmeIdentifier extension; nil for no such extension
	critical  bool
	protocol  string // that is negotiated
}

// hello is what the server under test began a connection with.
type hello struct {
	name      string
	protocols []string
}

// alpnResponder answers tls-alpn-01 challenges.
type alpnResponder struct {
	err      error // it does not listen
	listener net.Listener

	mu     sync.Mutex
	answer *tls.Config // to all that comes
	seen   []hello
}

func newALPNResponder(address string) *alpnResponder {
	r := &alpnResponder{}
	if address == "" {
		r.err = errors.New("there is no port for it")
		return r
	}
	if r.listener, r.err = net.Listen("tcp", address); r.err == nil {
		go r.serve()
	}
	return r
}

func (r *alpnResponder) broken() string {
	if r.err != nil {
		return r.err.Error()
	}
	return ""
}

func (r *alpnResponder) serve() {
	c := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, hello{h.ServerName, h.SupportedProtos})
		if r.answer == nil {
			return nil, errors.New("no challenge is answered now")
		}
		return r.answer, nil
	}}
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			tls.Server(conn, c).Handshake()
		}()
	}
}

// set answers from now on in this way, and forgets what was seen.
func (r *alpnResponder) set(a alpnAnswer) {
	key := newKey()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tls-alpn-01"}, DNSNames: a.names, IPAddresses: a.addresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if a.digest != nil {
		value, err := asn1.Marshal(a.digest)
		if err != nil {
			panic("conformance: " + err.Error())
		}
		tmpl.ExtraExtensions = []pkix.Extension{{Id: acmeIdentifier, Critical: a.critical, Value: value}}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
	r.answer = &tls.Config{NextProtos: []string{a.protocol}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (r *alpnResponder) hellos() []hello {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

func (r *alpnResponder) close() {
	if r.listener != nil {
		r.listener.Close()
	}
}

// properly is the right answer to a challenge of the account, for a name.
func properly(a *account, ch challenge, name string) alpnAnswer {
	sum := sha256.Sum256([]byte(ch.Token + "." + a.thumbprint()))
	return alpnAnswer{names: []string{name}, digest: sum[:], critical: true, protocol: "acme-tls/1"}
}

// alpn are the rules of RFC 8737.
var alpn = []Case{
	{"RFC 8737 §3", "tls-alpn-01 with the right answer makes the authorization valid", Must, alpnCase("valid", nil)},
	{"RFC 8737 §3", "the server connects with SNI of the name and the single protocol acme-tls/1", Must, func(c *check) {
		alpnCase("valid", nil)(c)
		for _, h := range c.alpn.hellos() {
			c.ok(h.name == c.domain() && len(h.protocols) == 1 && h.protocols[0] == "acme-tls/1", "it sends SNI %q and the protocols %q", h.name, h.protocols)
		}
	}},
	{"RFC 8737 §3", "tls-alpn-01 without the acmeIdentifier extension makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.digest = nil })},
	{"RFC 8737 §3", "an acmeIdentifier extension that is not critical makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.critical = false })},
	{"RFC 8737 §3", "tls-alpn-01 with the digest of something else makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.digest[0] ^= 1 })},
	{"RFC 8737 §3", "a tls-alpn-01 certificate for another name makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.names = []string{"other." + a.names[0]} })},
	{"RFC 8737 §3", "a tls-alpn-01 certificate with a name more makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.names = append(a.names, "other."+a.names[0]) })},
	{"RFC 8737 §3", "a tls-alpn-01 certificate with an address besides the name makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.addresses = []net.IP{net.IPv4(192, 0, 2, 1)} })},
	{"RFC 8737 §3", "tls-alpn-01 without negotiation of acme-tls/1 makes the authorization invalid", Must, alpnCase("invalid", func(a *alpnAnswer) { a.protocol = "" })},
}

// alpnCase answers tls-alpn-01, spoiled by spoil, and expects a status of the
// authorization.
func alpnCase(status string, spoil func(*alpnAnswer)) func(*check) {
	return func(c *check) {
		a, _, z := c.pending()
		ch := c.alpnChallenge(z)
		answer := properly(a, ch, c.domain())
		if spoil != nil {
			spoil(&answer)
		}
		c.alpn.set(answer)
		z = c.respond(a, z, ch)
		c.ok(z.Status == status, "the authorization is %s, not %s", z.Status, status)
	}
}

// alpnChallenge is the tls-alpn-01 challenge of an authorization, if it can be answered.
func (c *check) alpnChallenge(z authz) challenge {
	if why := c.alpn.broken(); why != "" {
		c.skip("tls-alpn-01 can't be answered: %s; give --tls-alpn-01-port", why)
	}
	return c.challenge(z, "tls-alpn-01")
}

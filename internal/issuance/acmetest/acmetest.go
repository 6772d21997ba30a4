// Package acmetest is a small ACME CA for unit tests, which does as a test tells it:
// it refuses, waits and forgets on command. It checks no signatures and looks at no
// challenge. How the client gets on with real CAs is shown in integration/.
package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

// CA is one. Set the fields before the first request; functions may be called by many
// goroutines, and a nil one is a CA without wishes.
type CA struct {
	// Refuse is asked about each request, by what it is for ("new", "order", "authz",
	// "challenge", "finalize", "cert", …) and its payload; what it returns is the answer.
	Refuse func(resource string, payload []byte) *acme.Problem
	// Look tells what becomes of the authorization of a name whose challenge was
	// answered, each time that the client asks; "" is valid.
	Look func(name string) acme.Status
	// Lose tells whether the answer to a request, which had its effect, is lost.
	Lose func(resource string) bool
	// Proved are names that need no proof.
	Proved map[string]bool
	// OCSP is put into certificates as the URL of the responder.
	OCSP string

	mu     sync.Mutex
	once   sync.Once
	key    *ecdsa.PrivateKey
	chains [2][]*x509.Certificate // of the issuer; the second leads to "Old Root"
	orders []*order
	authzs []*acme.Authorization

	asking sync.Mutex // apart, so that the functions above may call Asked
	asked  map[string]int
}

type order struct {
	acme.Order
	chain []*x509.Certificate
}

// Asked is the number of requests for a resource.
func (ca *CA) Asked(resource string) int {
	ca.asking.Lock()
	defer ca.asking.Unlock()
	return ca.asked[resource]
}

// Authorizations tells the status of each authorization that was made, by name.
func (ca *CA) Authorizations() map[string]acme.Status {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	all := map[string]acme.Status{}
	for _, a := range ca.authzs {
		all[fullName(a)] = a.Status
	}
	return all
}

func fullName(a *acme.Authorization) string {
	if a.Wildcard {
		return "*." + a.Identifier.Value
	}
	return a.Identifier.Value
}

// Issue makes a certificate with its chain.
func (ca *CA) Issue(pub any, names []string, notBefore, notAfter time.Time) ([]*x509.Certificate, error) {
	ca.once.Do(ca.begin)
	tmpl := &x509.Certificate{SerialNumber: new(big.Int).SetInt64(time.Now().UnixNano()), NotBefore: notBefore, NotAfter: notAfter}
	if ca.OCSP != "" {
		tmpl.OCSPServer = []string{ca.OCSP}
	}
	for _, n := range names {
		id, err := identifier.Parse(n)
		if err != nil {
			return nil, err
		}
		if id.Type == identifier.IP {
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(id.Value))
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, id.Value)
		}
	}
	leaf, err := create(tmpl, ca.chains[0][0], pub, ca.key)
	return append([]*x509.Certificate{leaf}, ca.chains[0]...), err
}

// Issuer is the CA's certificate with its key.
func (ca *CA) Issuer() (*x509.Certificate, *ecdsa.PrivateKey) {
	ca.once.Do(ca.begin)
	return ca.chains[0][0], ca.key
}

// begin makes the CA's key, and certificates for it by two roots.
func (ca *CA) begin() {
	ca.asked = map[string]int{}
	ca.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for i, name := range []string{"New Root", "Old Root"} {
		rootKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		root := authority(name, int64(i+1))
		ca.chains[i] = []*x509.Certificate{must(create(authority("Issuer", int64(i+10)), root, ca.key.Public(), rootKey))}
	}
}

func authority(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte(name), NotBefore: time.Unix(0, 0), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func create(tmpl, parent *x509.Certificate, pub any, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func must(c *x509.Certificate, err error) *x509.Certificate {
	if err != nil {
		panic(err)
	}
	return c
}

// ServeHTTP implements [http.Handler]. The directory is at /dir.
func (ca *CA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ca.once.Do(ca.begin)
	base := "http://" + r.Host
	resource, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(rest)
	payload := payloadOf(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Replay-Nonce", "n")
	ca.asking.Lock()
	ca.asked[resource]++
	ca.asking.Unlock()
	if ca.Refuse != nil {
		if p := ca.Refuse(resource, payload); p != nil {
			refuse(w, p)
			return
		}
	}
	body, p := ca.act(w, base, resource, number, payload)
	switch {
	case p != nil:
		refuse(w, p)
	case ca.Lose != nil && ca.Lose(resource):
		panic(http.ErrAbortHandler)
	default:
		w.Write(body)
	}
}

func refuse(w http.ResponseWriter, p *acme.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

func payloadOf(r *http.Request) []byte {
	var jws struct{ Payload string }
	json.NewDecoder(r.Body).Decode(&jws)
	data, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	return data
}

// act does what a request asks for.
func (ca *CA) act(w http.ResponseWriter, base, resource string, n int, payload []byte) ([]byte, *acme.Problem) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	var out any
	switch resource {
	case "dir":
		out = acme.Directory{NewNonce: base + "/nonce", NewAccount: base + "/account", NewOrder: base + "/new", RevokeCert: base + "/revoke"}
	case "nonce":
		return nil, nil
	case "new":
		out = ca.newOrder(w, base, payload)
	case "order":
		out = ca.look(ca.orders[n])
	case "authz":
		out = ca.authorization(n, payload)
	case "challenge":
		if ca.authzs[n].Status != acme.Pending {
			return nil, acme.Problemf(acme.Malformed, "the authorization is %s", ca.authzs[n].Status)
		}
		ca.authzs[n].Challenges[0].Status = acme.Processing
		out = ca.authzs[n].Challenges[0]
	case "finalize":
		if ca.look(ca.orders[n]).Status != acme.Ready {
			return nil, acme.Problemf(acme.OrderNotReady, "the order is %s", ca.orders[n].Status)
		}
		if err := ca.finalize(base, n, payload); err != nil {
			return nil, acme.Problemf(acme.BadCSR, "%v", err)
		}
		out = ca.orders[n]
	case "cert", "other":
		chain := ca.orders[n].chain
		if resource == "other" {
			chain = append(chain[:1:1], ca.chains[1]...)
		}
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Header().Set("Link", fmt.Sprintf(`<%s/dir>;rel="index", <%s/other/%d>;rel="alternate"`, base, base, n))
		return certificate.MarshalChain(chain...), nil
	default:
		return nil, acme.Problemf(acme.Malformed, "no such resource").WithStatus(http.StatusNotFound)
	}
	body, _ := json.Marshal(out)
	return body, nil
}

func (ca *CA) newOrder(w http.ResponseWriter, base string, payload []byte) *order {
	var in acme.NewOrder
	json.Unmarshal(payload, &in)
	o := &order{Order: acme.Order{Status: acme.Pending, Identifiers: in.Identifiers}}
	n := len(ca.orders)
	ca.orders = append(ca.orders, o)
	o.Finalize = fmt.Sprintf("%s/finalize/%d", base, n)
	for _, id := range in.Identifiers {
		at := len(ca.authzs)
		a := &acme.Authorization{Identifier: id.Base(), Wildcard: id.Wildcard(), Status: acme.Pending,
			Challenges: []acme.Challenge{{Type: acme.HTTP01, URL: fmt.Sprintf("%s/challenge/%d", base, at), Status: acme.Pending, Token: fmt.Sprintf("token-%d", at)}}}
		if ca.Proved[id.Value] {
			a.Status = acme.Valid
		}
		ca.authzs = append(ca.authzs, a)
		o.Authorizations = append(o.Authorizations, fmt.Sprintf("%s/authz/%d", base, at))
	}
	w.Header().Set("Location", fmt.Sprintf("%s/order/%d", base, n))
	return ca.look(o)
}

// look lets the status of an order follow from its authorizations.
func (ca *CA) look(o *order) *order {
	if o.Status != acme.Pending {
		return o
	}
	o.Status = acme.Ready
	for _, url := range o.Authorizations {
		n, _ := strconv.Atoi(url[strings.LastIndexByte(url, '/')+1:])
		switch ca.authzs[n].Status {
		case acme.Valid:
		case acme.Pending:
			o.Status = acme.Pending
		default:
			o.Status = acme.Invalid
			return o
		}
	}
	return o
}

func (ca *CA) authorization(n int, payload []byte) *acme.Authorization {
	a := ca.authzs[n]
	var in struct{ Status acme.Status }
	json.Unmarshal(payload, &in)
	if in.Status == acme.Deactivated {
		a.Status = acme.Deactivated
	}
	if a.Status == acme.Pending && a.Challenges[0].Status == acme.Processing {
		a.Status = acme.Valid
		if ca.Look != nil {
			if s := ca.Look(fullName(a)); s != "" {
				a.Status = s
			}
		}
		if a.Status == acme.Invalid {
			a.Challenges[0].Error = acme.Problemf(acme.Connection, "nobody answers")
		}
	}
	return a
}

func (ca *CA) finalize(base string, n int, payload []byte) error {
	o := ca.orders[n]
	var in struct{ CSR string }
	json.Unmarshal(payload, &in)
	der, _ := base64.RawURLEncoding.DecodeString(in.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	names := csr.DNSNames
	for _, ip := range csr.IPAddresses {
		names = append(names, ip.String())
	}
	chain, err := ca.Issue(csr.PublicKey, names, time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
	if err != nil {
		return err
	}
	o.chain, o.Status, o.Certificate = chain, acme.Valid, fmt.Sprintf("%s/cert/%d", base, n)
	return nil
}

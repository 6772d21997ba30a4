package validation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

var ownMachine = Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestHTTP01OfAnAddress(t *testing.T) {
	for _, tt := range []struct {
		addr, redirect string
		problem        acme.ProblemType
		says           string
	}{
		{"127.0.0.1", "", "", ""},
		{"::1", "", "", ""},
		{"127.0.0.1", "/there", "", ""},
		{"127.0.0.1", "http://127.0.0.1:PORT/there", "", ""},
		{"::1", "http://[::1]:PORT/there", "", ""},
		{"127.0.0.1", "http://127.0.0.2:PORT/there", acme.Connection, "not at a host name"},
		{"127.0.0.1", "http://127.1:PORT/there", acme.Connection, "not at a host name"},
	} {
		t.Run(tt.addr+" "+tt.redirect, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(tt.addr, "0"))
			if err != nil {
				t.Skip(err) // a machine without IPv6
			}
			n := port(t, l.Addr())
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if want := l.Addr().String(); r.Host != want {
					t.Errorf("the Host is %s; want %s", r.Host, want)
				}
				if tt.redirect != "" && r.URL.Path != "/there" {
					http.Redirect(w, r, replacePort(tt.redirect, n), http.StatusFound)
					return
				}
				fmt.Fprint(w, keyAuthorization)
			})}}
			server.Start()
			defer server.Close()
			v := &Validator{Resolver: fixed{}, Networks: ownMachine, HTTPPort: n}
			req := asks(acme.HTTP01)
			req.Identifier, req.CAA = identifier.Identifier{Type: identifier.IP, Value: tt.addr}, true
			check(t, v.Validate(t.Context(), req).Problem, tt.problem, tt.says)
		})
	}
}

func TestTLSALPN01OfAnAddress(t *testing.T) {
	for _, tt := range []struct {
		addr, in, sni string
		problem       acme.ProblemType
	}{
		{"127.0.0.1", "127.0.0.1", "1.0.0.127.in-addr.arpa", ""},
		{"::1", "::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", ""},
		{"127.0.0.1", "127.0.0.2", "1.0.0.127.in-addr.arpa", acme.Unauthorized},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(tt.in)},
			ExtraExtensions: acmeIdentifier(true, keyAuthorization)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		server := &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName != tt.sni {
				t.Errorf("the server name is %s; want %s", h.ServerName, tt.sni)
			}
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}}
		t.Run(tt.addr, func(t *testing.T) {
			v := &Validator{Resolver: fixed{}, Networks: ownMachine, TLSPort: serveHandshakes(t, net.JoinHostPort(tt.addr, "0"), server)}
			req := asks(acme.TLSALPN01)
			req.Identifier = identifier.Identifier{Type: identifier.IP, Value: tt.addr}
			check(t, v.Validate(t.Context(), req).Problem, tt.problem, "for "+tt.addr+" alone")
		})
	}
}

func TestAnAddressIsNotProvedByDNS(t *testing.T) {
	for _, c := range []acme.ChallengeType{acme.DNS01, acme.DNSAccount01, acme.DNSPersist01} {
		req := asks(c)
		req.Identifier = identifier.Identifier{Type: identifier.IP, Value: "127.0.0.1"}
		check(t, (&Validator{Resolver: fixed{}}).Validate(t.Context(), req).Problem, acme.Malformed, "no validation of type")
	}
}

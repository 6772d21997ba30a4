package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"vidimus/integration/peer"
	words "vidimus/internal/acme"
)

// applicant is a client with an account in the open directory.
type applicant struct {
	t       *testing.T
	client  *acme.Client
	account acme.Account
}

func newApplicant(t *testing.T, v *peer.Vidimusd) *applicant {
	t.Helper()
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &applicant{t: t, client: &acme.Client{Directory: v.DirectoryOpen, PollInterval: 10 * time.Millisecond, PollTimeout: time.Minute,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}}
	if a.account, err = a.client.NewAccount(t.Context(), acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}); err != nil {
		t.Fatal(err)
	}
	return a
}

// obtain orders a certificate and answers the one challenge of a type; prove is told the
// challenge before. It returns the order's end, or what the CA found wrong.
func (a *applicant) obtain(name, challenge string, prove func(acme.Challenge)) error {
	ctx := a.t.Context()
	id := acme.Identifier{Type: "dns", Value: name}
	request := &x509.CertificateRequest{DNSNames: []string{name}}
	if ip := net.ParseIP(name); ip != nil {
		id.Type, request = "ip", &x509.CertificateRequest{IPAddresses: []net.IP{ip}}
	}
	order, err := a.client.NewOrder(ctx, a.account, acme.Order{Identifiers: []acme.Identifier{id}})
	if err != nil {
		return err
	}
	authz, err := a.client.GetAuthorization(ctx, a.account, order.Authorizations[0])
	if err != nil {
		return err
	}
	i := -1
	var offered []string
	for n, c := range authz.Challenges {
		if offered = append(offered, c.Type); c.Type == challenge {
			i = n
		}
	}
	if i < 0 {
		return fmt.Errorf("no %s among the challenges %v", challenge, offered)
	}
	prove(authz.Challenges[i])
	if _, err := a.client.InitiateChallenge(ctx, a.account, authz.Challenges[i]); err != nil {
		return err
	}
	if _, err := a.client.PollAuthorization(ctx, a.account, authz); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return err
	}
	order, err = a.client.FinalizeOrder(ctx, a.account, order, csr)
	if err == nil && order.Certificate == "" {
		err = errors.New("there is no certificate")
	}
	return err
}

// refused checks that an error is a problem of that type.
func refused(t *testing.T, err error, problem, says string) {
	t.Helper()
	var p acme.Problem
	if !errors.As(err, &p) || p.Type != "urn:ietf:params:acme:error:"+problem || !strings.Contains(p.Detail, says) {
		t.Errorf("%v; want a problem of type %s that says %q", err, problem, says)
	}
}

// web answers http-01 at the server's port for the tokens that it was told.
type web struct {
	mu     sync.Mutex
	tokens map[string]string
}

func startWeb(t *testing.T, port int) *web {
	t.Helper()
	w := &web{tokens: make(map[string]string)}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		fmt.Fprint(rw, w.tokens[r.URL.Path])
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return w
}

func (w *web) prove(c acme.Challenge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[c.HTTP01ResourcePath()] = c.KeyAuthorization
}

// configure puts lines into a section of the server's configuration, at its beginning,
// and starts it anew.
func configure(t *testing.T, v *peer.Vidimusd, section string, lines ...string) {
	t.Helper()
	v.Kill()
	data, err := os.ReadFile(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(data), section)
	if !found {
		t.Fatalf("the configuration has no %q", section)
	}
	rest := after[strings.IndexByte(after, '\n'):]
	for _, l := range lines {
		key, _, _ := strings.Cut(l, ":")
		for _, old := range strings.Split(rest, "\n") {
			if strings.HasPrefix(old, key+":") {
				rest = strings.Replace(rest, "\n"+old, "", 1)
			}
		}
	}
	text := before + section + after[:strings.IndexByte(after, '\n')] + "\n" + strings.Join(lines, "\n") + rest
	if err := os.WriteFile(v.Config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
}

func TestChallengesOfDraftsAreOfferedWhereConfigured(t *testing.T) {
	named := peer.StartNamed(t, zone)
	v := peer.StartVidimusd(t, "--resolver", named.Address)
	a := newApplicant(t, v)
	none := func(acme.Challenge) {}
	for _, c := range []string{"dns-account-01", "dns-persist-01"} {
		if err := a.obtain("a.uni.test", c, none); err == nil || !strings.Contains(err.Error(), "among the challenges [http-01 dns-01 tls-alpn-01]") {
			t.Errorf("%v; want %s not to be offered", err, c)
		}
	}
	configure(t, v, "\nvalidation:", "  challenges: [dns-account-01, dns-persist-01]")
	if err := a.obtain("b.uni.test", "dns-01", none); err == nil || !strings.Contains(err.Error(), "among the challenges [dns-account-01 dns-persist-01]") {
		t.Errorf("%v; want the configured ones only", err)
	}

	if err := a.obtain("c.uni.test", "dns-account-01", func(c acme.Challenge) {
		named.Add(t, c.DNSAccount01TXTRecordName(a.account)+". 1 IN TXT "+c.DNS01KeyAuthorization())
	}); err != nil {
		t.Error(err)
	}
	refused(t, a.obtain("d.uni.test", "dns-account-01", none), "unauthorized", "there is no TXT record at _")

	value := fmt.Sprintf(`"%s; accounturi=%s`, identity(t, v), a.hashed("*"))
	own := fmt.Sprintf(`"%s; accounturi=%s`, identity(t, v), a.hashed("e.uni.test"))
	refused(t, a.obtain("e.uni.test", "dns-persist-01", none), "unauthorized", `it should be `+own)
	named.Add(t, "_validation-persist.e.uni.test. 300 IN TXT "+value+`; persistUntil=4102444800"`)
	if err := a.obtain("e.uni.test", "dns-persist-01", none); err != nil {
		t.Error(err)
	}
	refused(t, a.obtain("*.e.uni.test", "dns-persist-01", none), "unauthorized", "policy=wildcard")
	named.Add(t, "_validation-persist.f.uni.test. 300 IN TXT "+value+`; policy=wildcard"`)
	if err := a.obtain("*.f.uni.test", "dns-persist-01", none); err != nil {
		t.Error(err)
	}
	refused(t, newApplicant(t, v).obtain("e.uni.test", "dns-persist-01", none), "unauthorized", "another account")
	named.Add(t, "_validation-persist.g.uni.test. 300 IN TXT "+strings.Replace(own, a.hashed("e.uni.test"), a.account.Location, 1)+`"`)
	refused(t, a.obtain("g.uni.test", "dns-persist-01", none), "malformed", "earlier drafts")

	// Records hold on when the account gets another key.
	named.Add(t, "_validation-persist.h.uni.test. 300 IN TXT "+value+`"`)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.account, err = a.client.AccountKeyRollover(t.Context(), a.account, key); err != nil {
		t.Fatal(err)
	}
	if err := a.obtain("h.uni.test", "dns-persist-01", none); err != nil {
		t.Error(err)
	}
}

// hashed is what a dns-persist-01 record says of the account, for a domain or all ("*").
func (a *applicant) hashed(domain string) string {
	a.t.Helper()
	key := jose.JSONWebKey{Key: a.account.PrivateKey.Public()}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		a.t.Fatal(err)
	}
	prefix, _, _ := strings.Cut(a.account.Location, "/acct/")
	return words.HashedAccount(prefix+"/account-hash/", domain, base64.RawURLEncoding.EncodeToString(sum), a.account.Location)
}

func TestAddressesAreProvedWhereTheyAre(t *testing.T) {
	v := peer.StartVidimusd(t)
	site := startWeb(t, v.HTTPPort)
	a := newApplicant(t, v)
	if err := a.obtain("127.0.0.1", "http-01", site.prove); err != nil {
		t.Error(err)
	}
	refused(t, a.obtain("127.0.0.2", "http-01", site.prove), "connection", "connecting to 127.0.0.2")
	refused(t, a.obtain("10.1.2.3", "http-01", site.prove), "connection", "private or special")
	if err := a.obtain("127.0.0.3", "dns-01", site.prove); err == nil || !strings.Contains(err.Error(), "among the challenges [http-01 tls-alpn-01]") {
		t.Errorf("%v; want no challenge by DNS", err)
	}
	if err := a.obtain("127.0.0.4", "tls-alpn-01", func(c acme.Challenge) {
		cert, err := acmez.TLSALPN01ChallengeCert(c)
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", fmt.Sprintf("127.0.0.4:%d", v.TLSPort), &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"acme-tls/1"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			if conn, err := l.Accept(); err == nil {
				conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
	}); err != nil {
		t.Error(err)
	}
}

func TestDNSSECAndFaultsOfResolvers(t *testing.T) {
	t.Parallel() // with the one below, which mostly waits
	s := peer.StartSigned(t)
	v := peer.StartVidimusd(t)
	site := startWeb(t, v.HTTPPort)
	resolvers := func(mode string, list ...string) {
		t.Helper()
		lines := []string{"  resolvers: [\"" + strings.Join(list, `", "`) + "\"]", "  dnssec: " + mode}
		if mode == "require-validating" {
			lines = append(lines, "  dnssec_zone: signed.test")
		}
		configure(t, v, "\nvalidation:", lines...)
	}
	log := func(name, status string) {
		t.Helper()
		for _, line := range strings.Split(v.Log.String(), "\n") {
			if strings.Contains(line, "msg=validated") && strings.Contains(line, "identifier="+name+" ") && strings.Contains(line, "dnssec="+status+" ") {
				return
			}
		}
		t.Errorf("the log doesn't say that %s is %s", name, status)
	}

	resolvers("report", s.Resolver)
	a := newApplicant(t, v)
	for name, status := range map[string]string{"www.signed.test": "secure", "www.test": "insecure"} {
		if err := a.obtain(name, "http-01", site.prove); err != nil {
			t.Error(err)
		}
		log(name, status)
	}
	refused(t, a.obtain("www.bogus.test", "http-01", site.prove), "dns", "DNSSEC signatures are not right")
	peer.Eventually(t, "the audit log says what a validation met with", func() bool {
		trail := peer.Must(t, exec.Command(peer.Build(t, "vidimusd"), "audit", "export", "--config", v.Config))
		return strings.Contains(trail, `"record":{"address":"127.0.0.1:`) && strings.Contains(trail, `"dnssec":"secure"`)
	})
	// A resolver that dies is a problem of type dns, soon; and none as soon as it is back.
	s.Kill()
	other := newApplicant(t, v)
	begin := time.Now()
	refused(t, other.obtain("www.signed.test", "http-01", site.prove), "dns", "resolver "+s.Resolver+" did not answer")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s to find out that nobody answers", took)
	}
	s.Start(t)
	if err := newApplicant(t, v).obtain("www.signed.test", "http-01", site.prove); err != nil {
		t.Error(err)
	}

	// The name server doesn't validate, and is not believed where that is required.
	resolvers("require-validating", s.Server)
	refused(t, newApplicant(t, v).obtain("www.signed.test", "http-01", site.prove), "dns", "does not validate DNSSEC")
	check := func(args ...string) (string, int) {
		t.Helper()
		return peer.Run(t, exec.Command(peer.Build(t, "vidimusd"), append([]string{"check", "--config", v.Config}, args...)...))
	}
	if out, status := check(); status != 0 {
		t.Errorf("check: %s", out)
	}
	if out, status := check("--online"); status != 1 || !strings.Contains(out, "resolver "+s.Server+" does not validate DNSSEC") {
		t.Errorf("check --online: exit status %d\n%s", status, out)
	}
	resolvers("require-validating", s.Server, s.Resolver)
	if err := newApplicant(t, v).obtain("www.signed.test", "http-01", site.prove); err != nil {
		t.Error(err)
	}
	log("www.signed.test", "secure")
	resolvers("require-validating", s.Resolver)
	if out, status := check("--online"); status != 0 || !strings.Contains(out, "resolver "+s.Resolver+" answers and validates DNSSEC") {
		t.Errorf("check --online: exit status %d\n%s", status, out)
	}
}

func TestTargetsThatHangHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := peer.StartSigned(t)
	v := peer.StartVidimusd(t)
	configure(t, v, "\nvalidation:", fmt.Sprintf("  resolvers: [%q]", s.Resolver))
	// Who validates www finds somebody who never answers; many is a hundred addresses
	// where nobody is.
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hangs := newApplicant(t, v)
	none := func(acme.Challenge) {}
	ends := make(chan error, 40)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range cap(ends) {
		go func() {
			a := *hangs
			if i > 0 { // the others only start
				order, err := a.client.NewOrder(ctx, a.account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "www.test"}}})
				if err == nil {
					var authz acme.Authorization
					if authz, err = a.client.GetAuthorization(ctx, a.account, order.Authorizations[0]); err == nil {
						_, err = a.client.InitiateChallenge(ctx, a.account, authz.Challenges[0])
					}
				}
				ends <- err
				return
			}
			ends <- a.obtain("www.test", "http-01", none)
		}()
	}
	for range cap(ends) - 1 {
		if err := <-ends; err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	other := newApplicant(t, v)
	refused(t, other.obtain("many.test", "http-01", none), "connection", "connecting to many.test: 127.0.9.")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a hundred addresses where nobody is took %s", took)
	}
	refused(t, <-ends, "connection", "timeout")
}

func TestAValidationSurvivesAKill(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("servers that share a database take over from one another, after some time; the tests of replicas show it")
	}
	v := peer.StartVidimusd(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	a := newApplicant(t, v)
	ctx := t.Context()
	order, err := a.client.NewOrder(ctx, a.account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "killed.uni.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	authz, err := a.client.GetAuthorization(ctx, a.account, order.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	if authz.Challenges[0].Type != "http-01" {
		t.Fatalf("the first challenge is %s", authz.Challenges[0].Type)
	}
	if _, err := a.client.InitiateChallenge(ctx, a.account, authz.Challenges[0]); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept() // the validation has come, and hears nothing
	if err != nil {
		t.Fatal(err)
	}
	v.Kill()
	conn.Close()
	l.Close()
	startWeb(t, v.HTTPPort).prove(authz.Challenges[0])
	v.Start(t)
	if _, err := a.client.PollAuthorization(ctx, a.account, authz); err != nil {
		t.Errorf("after the restart, with nothing asked again: %v", err)
	}
}

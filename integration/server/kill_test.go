package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

// loader gets one certificate after the other until it is told to stop, and keeps
// what it was given.
type loader struct {
	client  *acme.Client
	account acme.Account
	name    string

	mu  sync.Mutex
	got map[string][]byte // by serial number; guarded by mu
}

func newLoader(t *testing.T, v *peer.Vidimusd, name string) *loader {
	t.Helper()
	cred := v.NewACMEID(t, name)
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	l := &loader{name: name, got: make(map[string][]byte), client: &acme.Client{Directory: cred.Directory,
		HTTPClient: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l.account = acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
	if err := l.account.SetExternalAccountBinding(t.Context(), l.client, acme.EAB{KeyID: cred.KID, MACKey: cred.HMACKey}); err != nil {
		t.Fatal(err)
	}
	if l.account, err = l.client.NewAccount(t.Context(), l.account); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *loader) obtain(ctx context.Context) error {
	o, err := l.client.NewOrder(ctx, l.account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: l.name}}})
	if err != nil {
		return err
	}
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		return err
	}
	csr, err := certificate.Request(key, []identifier.Identifier{{Type: identifier.DNS, Value: l.name}}, false)
	if err != nil {
		return err
	}
	if o, err = l.client.FinalizeOrder(ctx, l.account, o, csr); err != nil {
		return err
	}
	chains, err := l.client.GetCertificateChain(ctx, l.account, o.Certificate)
	if err != nil {
		return err
	}
	certs, err := certificate.ParseChain(chains[0].ChainPEM)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got[fmt.Sprintf("%x", certs[0].SerialNumber)] = certs[0].Raw
	return nil
}

// Whatever the moments at which the server is killed: no certificate is signed without
// its record, each that is on record can be downloaded, no order is stuck, nothing is
// signed twice for one order, and CRL and OCSP tell of every revocation that was
// confirmed and of no other.
func TestKillsUnderLoadLoseNothing(t *testing.T) {
	kills, _ := soak(t, 6)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))

	v := peer.StartVidimusd(t, "--log-level", "error")
	site, seen := startWeb(t, v.HTTPPort), new(statuses)
	var customers []*customer
	for i := range 3 {
		name := fmt.Sprintf("load%d.uni.test", i)
		cred := v.NewACMEID(t, name)
		granted, open := newCustomer(t, v, seen, &cred), newCustomer(t, v, seen, nil)
		granted.name = func(int) string { return name }
		open.name = func(n int) string { return fmt.Sprintf("n%d.open%d.uni.test", n, i) }
		open.prove = site.prove
		customers = append(customers, granted, open)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, c := range customers {
		load.Go(func() { c.shop(ctx) })
	}
	w := &watcher{customers: customers, seen: seen}
	load.Go(func() { w.watch(ctx) })

	db := openRecords(t, v)
	for k := range kills {
		before := downloads(customers)
		more := before + 1 + random.IntN(30)
		peer.Eventually(t, "certificates are issued", func() bool { return downloads(customers) >= more })
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Microsecond) // the random moment
		v.Kill()
		if k%4 == 3 { // and again while it starts
			v.Launch(t)
			time.Sleep(time.Duration(random.IntN(200_000)) * time.Microsecond) // the random moment
			v.Kill()
		}
		v.Start(t)
		inOrder(t, db)
	}
	cancel()
	load.Wait()
	certificates, revocations := complete(t, v, db, customers)
	for _, f := range w.faults {
		t.Error(f)
	}
	if n := seen.busy.Load() + seen.other.Load(); n > 0 {
		t.Errorf("%d answers were errors of the server", n)
	}
	if w.asked == 0 || revocations == 0 {
		t.Errorf("%d answers of OCSP and CRL were looked at meanwhile, and %d certificates revoked: too few to show anything", w.asked, revocations)
	}
	t.Logf("%d kills: %d certificates, %d of them revoked; %d answers of OCSP and CRL meanwhile", kills, certificates, revocations, w.asked)
}

// downloads counts the certificates that customers have.
func downloads(customers []*customer) (n int) {
	for _, c := range customers {
		n += len(c.bought(func(p *purchase) bool { return p.chain != nil }))
	}
	return n
}

// watcher asks OCSP and CRLs all the time, as those do who trust the certificates.
type watcher struct {
	customers []*customer
	seen      *statuses

	asked  int // answers that it got
	faults []string
}

func (w *watcher) watch(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		c := w.customers[n%len(w.customers)]
		all := c.bought(func(p *purchase) bool { return p.chain != nil })
		if len(all) == 0 {
			pause(ctx)
			continue
		}
		p := all[max(0, len(all)-1-n%5)] // the last few
		c.mu.Lock()
		chain, confirmed := p.chain, p.revoked
		c.mu.Unlock()
		revoked, err := w.byOCSP(ctx, chain)
		if n%2 == 1 {
			revoked, err = w.byCRL(ctx, chain)
		}
		pause(ctx)
		if err != nil { // the server is down
			continue
		}
		c.mu.Lock()
		asked := p.asked
		c.mu.Unlock()
		w.asked++
		if confirmed && !revoked || revoked && !asked {
			w.faults = append(w.faults, fmt.Sprintf("%x: revoked %v; was confirmed before: %v, was asked for: %v (by CRL: %v)",
				chain[0].SerialNumber, revoked, confirmed, asked, n%2 == 1))
		}
	}
}

func (w *watcher) byOCSP(ctx context.Context, chain []*x509.Certificate) (revoked bool, err error) {
	question, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		return false, err
	}
	der, err := w.send(ctx, http.MethodPost, chain[0].OCSPServer[0], question)
	if err != nil {
		return false, err
	}
	answer, err := ocsp.ParseResponseForCert(der, chain[0], chain[1])
	if err != nil {
		return false, err
	}
	return answer.Status == ocsp.Revoked, nil
}

func (w *watcher) byCRL(ctx context.Context, chain []*x509.Certificate) (revoked bool, err error) {
	der, err := w.send(ctx, http.MethodGet, chain[0].CRLDistributionPoints[0], nil)
	if err != nil {
		return false, err
	}
	list, err := parseCRL(der, chain[1])
	return list[fmt.Sprintf("%x", chain[0].SerialNumber)], err
}

func (w *watcher) send(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	w.seen.count(resp, err)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// onRecord checks that what was given to a loader is on the server's record, that all
// there is valid, and that the loader gets another. It returns how many were given out.
func onRecord(t *testing.T, v *peer.Vidimusd, l *loader) (total int) {
	t.Helper()
	// What was cut short is signed when somebody takes it over.
	var all []peer.Certificate
	peer.Eventually(t, "no certificate is unfinished", func() bool {
		all = v.Certificates(t, l.name)
		return !slices.ContainsFunc(all, func(c peer.Certificate) bool { return c.State == "unfinished" })
	})
	record := make(map[string]peer.Certificate)
	for _, c := range all {
		record[c.Serial] = c
		if c.State != "valid" {
			t.Errorf("%s of %s is %s on record", c.Serial, l.name, c.State)
		}
	}
	for serial, raw := range l.got {
		c, ok := record[serial]
		if !ok {
			t.Errorf("%s was given to %s and is not on record", serial, l.name)
			continue
		}
		total++
		certs, err := certificate.ParseChain([]byte(c.PEM))
		if err != nil || string(certs[0].Raw) != string(raw) {
			t.Errorf("%s is another certificate on record than was given out (%v)", serial, err)
		}
	}
	if err := l.obtain(t.Context()); err != nil {
		t.Errorf("%s gets no certificate at the end: %v", l.name, err)
	}
	return total
}

func (l *loader) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

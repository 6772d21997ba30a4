package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

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

// Whatever the moment at which the server is killed, each certificate that a client
// was given is on record as it was given, and nothing stays unfinished.
func TestKillLeavesEverySerialOnRecord(t *testing.T) {
	const kills, clients = 12, 4
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))

	v := peer.StartVidimusd(t, "--log-level", "error")
	var loaders []*loader
	for i := range clients {
		loaders = append(loaders, newLoader(t, v, fmt.Sprintf("load%d.uni.test", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, l := range loaders {
		load.Go(func() {
			for ctx.Err() == nil {
				_ = l.obtain(ctx) // fails while the server is down
			}
		})
	}
	for range kills {
		before := loaders[0].count()
		peer.Eventually(t, "certificates are issued", func() bool { return loaders[0].count() > before })
		time.Sleep(time.Duration(random.IntN(40_000)) * time.Microsecond) // the random moment
		v.Kill()
		v.Start(t)
	}
	cancel()
	load.Wait()

	total := 0
	for _, l := range loaders {
		total += onRecord(t, v, l)
	}
	audited(t, v, loaders...)
	t.Logf("%d certificates were given out over %d kills", total, kills)
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

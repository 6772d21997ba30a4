package server

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
)

// The clock of the server's machine is an hour ahead, right, an hour behind and right
// again: clients get their certificates all the while, and once it is right all that the
// server gives out is good at that moment, without a restart.
func TestClockStepsByAnHourAndBack(t *testing.T) {
	if _, long := soak(t, 0); !long {
		t.Skip("make soak runs it, as it compiles everything anew; TestTheClockStepsWhileAuthorizationsPend is a short form")
	}
	v, step := peer.StartStepped(t)
	site, seen := startWeb(t, v.HTTPPort), new(statuses)
	cred := v.NewACMEID(t, "clock.example.org")
	granted, open := newCustomer(t, v, seen, &cred), newCustomer(t, v, seen, nil)
	open.prove = site.prove
	customers := []*customer{granted, open}
	n := 0
	for _, ahead := range []time.Duration{0, time.Hour + time.Minute, 0, -time.Hour - time.Minute, 0} {
		// What is begun before the step is finished behind it.
		n++
		begun, err := open.place(t.Context(), fmt.Sprintf("n%d.example.org", n))
		if err != nil {
			t.Fatal(err)
		}
		step(ahead)
		for !begun.ended {
			if err := open.advance(t.Context(), begun, false); err != nil {
				t.Fatalf("with the clock ahead by %s: %v", ahead, err)
			}
		}
		bought := buy(t, granted, "clock.example.org")
		if err := granted.revoke(t.Context(), bought); err != nil {
			t.Fatal(err)
		}
		if ahead >= 0 { // the CA is too new for the other
			peer.Eventually(t, "the server says that it is ready", func() bool {
				resp, _ := get(t, strings.TrimSuffix(v.CRL, "/crl/main.crl")+"/readyz")
				return resp.StatusCode == http.StatusOK
			})
		}
		now := time.Now()
		if begin := bought.chain[0].NotBefore; ahead <= 0 && begin.After(now) {
			t.Errorf("with the clock ahead by %s a certificate begins at %s; it is %s", ahead, begin, now)
		}
		if ahead == 0 {
			current(t, bought.chain, now)
			current(t, begun.chain, now)
		}
	}
	if n := seen.busy.Load() + seen.other.Load(); n > 0 {
		t.Errorf("%d answers were errors of the server", n)
	}
	complete(t, v, openRecords(t, v), customers)
}

// current checks that OCSP response and CRL for a certificate are good now.
func current(t *testing.T, chain []*x509.Certificate, now time.Time) {
	t.Helper()
	question, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(chain[0].OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var der bytes.Buffer
	if _, err := der.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	answer, err := ocsp.ParseResponseForCert(der.Bytes(), chain[0], chain[1])
	if err != nil {
		t.Fatal(err)
	}
	late := now.Add(2 * time.Second) // what was made meanwhile
	if by := answer.Certificate; answer.ThisUpdate.After(late) || answer.NextUpdate.Before(now) || by.NotBefore.After(late) || by.NotAfter.Before(now) {
		t.Errorf("it is %s, and the OCSP response is good from %s to %s, by a certificate from %s to %s",
			now, answer.ThisUpdate, answer.NextUpdate, by.NotBefore, by.NotAfter)
	}
	_, list := get(t, chain[0].CRLDistributionPoints[0])
	crl, err := x509.ParseRevocationList(list)
	if err != nil {
		t.Fatal(err)
	}
	if crl.ThisUpdate.After(late) || crl.NextUpdate.Before(now) {
		t.Errorf("it is %s, and the CRL is good from %s to %s", now, crl.ThisUpdate, crl.NextUpdate)
	}
}

package acmehttp_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func revocationOf(cert *x509.Certificate, reason int) string {
	return fmt.Sprintf(`{"certificate":"%s","reason":%d}`, b64(cert.Raw), reason)
}

// proven obtains a certificate in the open directory.
func (c *client) proven(w *web, names ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	o := c.order(names...)
	for _, url := range o.Authorizations {
		c.prove(w, url, true)
	}
	key := newKey(c.t)
	c.post(o.Finalize, csr(c.t, key, names...)).want(200).json(&o)
	chain, err := certificate.ParseChain(c.post(o.Certificate, "").want(200).body)
	if err != nil {
		c.t.Fatal(err)
	}
	return chain[0], key
}

func TestAnyAccountAuthorisedForAllNamesRevokes(t *testing.T) {
	w := newWeb(t)
	s := newServer(t, w.validated)
	one, other := s.registered(), s.registered()
	cert, _ := one.proven(w, "www.example.org", "mail.example.org")

	other.post("/revoke-cert", revocationOf(cert, 4)).problem("unauthorized", 403)
	half := other.order("www.example.org")
	other.prove(w, half.Authorizations[0], true)
	other.post("/revoke-cert", revocationOf(cert, 4)).problem("unauthorized", 403)
	rest := other.order("mail.example.org")
	other.prove(w, rest.Authorizations[0], true)
	// It has the names, and may know nothing of the key.
	other.post("/revoke-cert", revocationOf(cert, 1)).problem("badRevocationReason", 400)
	other.post("/revoke-cert", revocationOf(cert, 4)).want(200)
	one.post("/revoke-cert", revocationOf(cert, 4)).problem("alreadyRevoked", 400)

	// An authorization that has been given up is none.
	second, _ := one.proven(w, "www.example.org")
	other.post(half.Authorizations[0], `{"status":"deactivated"}`).want(200)
	other.post("/revoke-cert", revocationOf(second, 4)).problem("unauthorized", 403)
}

func TestAnAccountOfAnACMEIDWithTheNamesRevokes(t *testing.T) {
	s := newServer(t)
	one := s.registered("www.example.org", "mail.example.org")
	cert, _ := one.obtain("www.example.org", "mail.example.org")
	s.registered("x.example.org").post("/revoke-cert", revocationOf(cert, 5)).problem("unauthorized", 403)
	if _, err := s.dir.AddHost(t.Context(), "y.example.org", nil); err != nil {
		t.Fatal(err)
	}
	_, cred, err := s.dir.AddACMEID(t.Context(), directory.Team, "y.example.org", []string{"www.example.org", "mail.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	other := s.client("main")
	other.post("/new-account", other.withEAB(cred, nil)).want(201)
	other.post("/revoke-cert", revocationOf(cert, 1)).problem("badRevocationReason", 400)
	other.post("/revoke-cert", revocationOf(cert, 5)).want(200)
}

func TestACompromisedKeyIsBlockedThoughItsCertificateIsRevoked(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	cert, key := c.obtain("www.example.org")
	c.post("/revoke-cert", revocationOf(cert, 4)).want(200)
	c.send(jws{path: "/revoke-cert", payload: revocationOf(cert, 1), embed: true, key: key}).problem("alreadyRevoked", 400)
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	if blocked, err := s.store.KeyBlocked(t.Context(), sum[:]); err != nil || !blocked {
		t.Errorf("the key is blocked: %v, %v", blocked, err)
	}
}

func TestNobodyRevokesTheOCSPResponder(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	key := newKey(t)
	cert, err := s.iss.CertifyResponder(t.Context(), s.iss.Current(), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c.post("/revoke-cert", revocationOf(cert, 4)).problem("unauthorized", 403)
}

func TestRenewalInformationIsWhatOperatorsWant(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	cert, _ := c.obtain("www.example.org")
	id := certificate.RenewalID(cert)
	type window struct{ Start, End time.Time }
	ask := func() (w window, url string) {
		t.Helper()
		var info struct {
			SuggestedWindow window
			ExplanationURL  string
		}
		c.raw("GET", "/renewal-info/"+id, "", "").want(200).json(&info)
		return info.SuggestedWindow, info.ExplanationURL
	}
	usual, _ := ask()
	call, err := s.store.NewRenewalCall(t.Context(), store.RenewalCall{Selection: "x", ExplanationURL: "https://www.example.org/why", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	serial := cert.SerialNumber.Text(16)
	for _, tt := range []struct {
		start time.Time
		want  bool
	}{
		{time.Now().Add(time.Hour).UTC().Truncate(time.Second), true},
		{usual.Start.Add(time.Hour), false}, // later than is right
	} {
		if err := s.store.UndoRenewalCall(t.Context(), call, time.Now()); err != nil {
			t.Fatal(err)
		}
		if call, err = s.store.NewRenewalCall(t.Context(), store.RenewalCall{Selection: "x", ExplanationURL: "https://www.example.org/why", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := s.store.AddRenewalWindows(t.Context(), call, []store.RenewalWindow{{Serial: serial, Start: tt.start, End: tt.start.Add(time.Minute)}}); err != nil {
			t.Fatal(err)
		}
		w, url := ask()
		if moved := w.Start.Equal(tt.start) && w.End.Equal(tt.start.Add(time.Minute)); moved != tt.want || !moved && w != usual || url == "" {
			t.Errorf("the window from %s gives %+v, %q", tt.start, w, url)
		}
	}
	if err := s.store.UndoRenewalCall(t.Context(), call, time.Now()); err != nil {
		t.Fatal(err)
	}
	if w, url := ask(); w != usual || url != "" {
		t.Errorf("undone: %+v, %q", w, url)
	}
	if err := s.store.UndoRenewalCall(t.Context(), call, time.Now()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("undone twice: %v", err)
	}
}

package revocation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"vidimus/internal/acme"
)

// certify is what a CA does for responders; their life is a week.
func (s *stage) certify(ca Signer, count *int) Signer {
	ca.Certify = func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
		*count++
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(1000 + *count)), Subject: pkix.Name{CommonName: "responder"},
			NotBefore: s.now.Add(-time.Hour), NotAfter: s.now.Add(7 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.CA, key, ca.Key)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	return ca
}

func (s *stage) responder(count *int) *Responder {
	s.Helper()
	r, err := NewResponder(s.db, s.clock, s.certify(s.signer, count))
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// ask makes the request for a serial number.
func ask(t testing.TB, ca *x509.Certificate, serial string, hash crypto.Hash) []byte {
	t.Helper()
	raw, err := hex.DecodeString(serial)
	if err != nil {
		t.Fatal(err)
	}
	der, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: new(big.Int).SetBytes(raw)}, ca, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// withExtensions adds request extensions to a request.
func withExtensions(request []byte, extensions ...pkix.Extension) []byte {
	in, outer, tbs := cryptobyte.String(request), cryptobyte.String(nil), cryptobyte.String(nil)
	in.ReadASN1(&outer, cbasn1.SEQUENCE)
	outer.ReadASN1(&tbs, cbasn1.SEQUENCE)
	list, err := asn1.Marshal(extensions)
	if err != nil {
		panic(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddBytes(list) })
		})
	})
	return b.BytesOrPanic()
}

func nonce(n int) pkix.Extension {
	value, err := asn1.Marshal(bytes.Repeat([]byte{7}, n))
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: oidNonce, Value: value}
}

// answer asks and reads what is answered; its signature has been checked.
func (s *stage) answer(r *Responder, request []byte) (Answer, *ocsp.Response) {
	s.Helper()
	a, err := r.Answer(s.Context(), "main", request)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := ocsp.ParseResponse(a.DER, s.signer.CA)
	if err != nil {
		s.Fatal(err)
	}
	return a, resp
}

func TestOCSPSaysWhatIsOnRecord(t *testing.T) { onEach(t, ocspSaysWhatIsOnRecord) }

func ocspSaysWhatIsOnRecord(s *stage) {
	t := s.TB
	end := noon.AddDate(0, 3, 0)
	s.record(s.shards, "4a", end)
	s.revoke("4b", end, acme.KeyCompromise)
	s.revoke("4c", end, 0)
	other := newSigner(t, 2)
	s.record(s.newShards(other, 0), "4d", end)
	count := 0
	r := s.responder(&count)
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		for _, tt := range []struct {
			serial         string
			status, reason int
		}{
			{"4a", ocsp.Good, 0}, {"4b", ocsp.Revoked, 1}, {"4c", ocsp.Revoked, 0},
			{"4d", ocsp.Unknown, 0}, // another CA's, though the issuer is the same
			{"4e", ocsp.Unknown, 0},
			{"00", ocsp.Unknown, 0},
			{"ff00000000000000000000000000000000000000000000", ocsp.Unknown, 0},
		} {
			a, resp := s.answer(r, ask(t, s.signer.CA, tt.serial, hash))
			if resp.Status != tt.status || resp.RevocationReason != tt.reason || resp.IssuerHash != hash {
				t.Errorf("%s by %s: status %d, reason %d", tt.serial, hash, resp.Status, resp.RevocationReason)
			}
			if resp.ThisUpdate.After(s.now) || !resp.NextUpdate.After(s.now) || resp.Status == ocsp.Revoked && !resp.RevokedAt.Equal(noon) {
				t.Errorf("%s: of %s, good until %s, revoked at %s", tt.serial, resp.ThisUpdate, resp.NextUpdate, resp.RevokedAt)
			}
			if a.ThisUpdate.IsZero() != (tt.status == ocsp.Unknown) {
				t.Errorf("%s: may it be cached? %v", tt.serial, a)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d certificates for the responder; want 1", count)
	}
}

func TestOCSPNeverSaysGoodOfWhatIsRevoked(t *testing.T) { onEach(t, ocspNeverSaysGoodOfWhatIsRevoked) }

func ocspNeverSaysGoodOfWhatIsRevoked(s *stage) {
	t := s.TB
	s.record(s.shards, "4a", noon.AddDate(0, 3, 0))
	count := 0
	one, other := s.responder(&count), s.responder(&count) // two processes
	request := ask(t, s.signer.CA, "4a", crypto.SHA1)
	a, resp := s.answer(one, request)
	if _, second := s.answer(other, request); resp.Status != ocsp.Good || second.Status != ocsp.Good {
		t.Fatal("it isn't good to begin with")
	}
	if again, _ := s.answer(one, request); !bytes.Equal(a.DER, again.DER) {
		t.Error("the same question gets another answer")
	}
	if err := s.db.Revoke(t.Context(), "4a", acme.KeyCompromise, s.now); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Responder{one, other} {
		if _, resp := s.answer(r, request); resp.Status != ocsp.Revoked {
			t.Errorf("status %d; want revoked", resp.Status)
		}
	}
}

func TestOCSPResponsesAreRenewedAtHalfTheirLife(t *testing.T) {
	s := newStage(t)
	s.record(s.shards, "4a", noon.AddDate(0, 3, 0))
	count := 0
	r := s.responder(&count)
	request := ask(t, s.signer.CA, "4a", crypto.SHA1)
	first, _ := s.answer(r, request)
	for _, step := range []struct {
		after        time.Duration
		same         bool
		certificates int
	}{
		{ResponseLife/2 - time.Second, true, 1},
		{ResponseLife / 2, false, 1},
		{-time.Minute, false, 1}, // the clock was set back
		{4 * 24 * time.Hour, false, 2},
	} {
		s.now = noon.Add(step.after)
		a, resp := s.answer(r, request)
		if bytes.Equal(a.DER, first.DER) != step.same || count != step.certificates {
			t.Errorf("after %s: the same answer: %v; %d certificates", step.after, !step.same, count)
		}
		if resp.NextUpdate.Sub(s.now) < ResponseLife/2 {
			t.Errorf("after %s: good until %s", step.after, resp.NextUpdate)
		}
	}
}

// What was asked for again is signed ahead, by what is on record then; what nobody asks
// for any more is not.
func TestOCSPResponsesAreSignedAhead(t *testing.T) {
	s := newStage(t)
	count := 0
	r := s.responder(&count)
	requests := make(map[string][]byte)
	for _, serial := range []string{"4a", "4b", "4c"} {
		s.record(s.shards, serial, noon.AddDate(0, 3, 0))
		requests[serial] = ask(t, s.signer.CA, serial, crypto.SHA1)
		s.answer(r, requests[serial])
	}
	s.answer(r, requests["4a"])
	s.answer(r, requests["4b"])
	if err := s.db.Revoke(t.Context(), "4b", acme.KeyCompromise, noon); err != nil {
		t.Fatal(err)
	}
	// signed tells when the response that is kept was signed.
	signed := func(serial string) time.Time {
		for _, part := range []map[string]cached{r.cache.fresh, r.cache.old} {
			for _, e := range part {
				if hex.EncodeToString(e.certificate.serial.Bytes()) == serial {
					return e.answer.ThisUpdate
				}
			}
		}
		return time.Time{}
	}
	for _, step := range []struct {
		after time.Duration
		want  map[string]time.Duration // when it was signed
	}{
		{ResponseLife / 3, map[string]time.Duration{"4a": 0, "4b": 0, "4c": 0}},
		{ResponseLife * 9 / 20, map[string]time.Duration{"4a": ResponseLife * 9 / 20, "4b": ResponseLife * 9 / 20, "4c": 0}},
		{ResponseLife * 19 / 20, map[string]time.Duration{"4a": ResponseLife * 9 / 20, "4b": ResponseLife * 9 / 20, "4c": 0}}, // not asked for since
	} {
		s.now = noon.Add(step.after)
		if err := r.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		for serial, at := range step.want {
			if got := signed(serial); !got.Equal(noon.Add(at)) {
				t.Errorf("after %s the response about %s is of %s; want %s", step.after, serial, got, noon.Add(at))
			}
		}
	}
	s.now = noon.Add(ResponseLife * 10 / 20)
	if _, resp := s.answer(r, requests["4b"]); resp.Status != ocsp.Revoked || !resp.ThisUpdate.Equal(noon.Add(ResponseLife*9/20)) {
		t.Errorf("the one that was revoked: %+v", resp)
	}
}

func TestOCSPAnswersNonces(t *testing.T) {
	s := newStage(t)
	s.record(s.shards, "4a", noon.AddDate(0, 3, 0))
	count := 0
	r := s.responder(&count)
	plain := ask(t, s.signer.CA, "4a", crypto.SHA1)
	for _, n := range []int{1, 16, 32, 128} {
		a, resp := s.answer(r, withExtensions(plain, nonce(n)))
		if resp.Status != ocsp.Good || !bytes.Contains(a.DER, nonce(n).Value) || !a.ThisUpdate.IsZero() {
			t.Errorf("a nonce of %d bytes: status %d, to be cached: %v, %x", n, resp.Status, !a.ThisUpdate.IsZero(), a.DER)
		}
	}
	if a, _ := s.answer(r, plain); bytes.Contains(a.DER, nonce(16).Value) {
		t.Error("an answer with another client's nonce was kept")
	}
}

func TestOCSPRefusesWhatItCantAnswer(t *testing.T) {
	s := newStage(t)
	count := 0
	r := s.responder(&count)
	plain := ask(t, s.signer.CA, "4a", crypto.SHA1)
	for name, tt := range map[string]struct {
		request []byte
		issuer  string
		want    []byte
	}{
		"nothing":                     {nil, "main", ocsp.MalformedRequestErrorResponse},
		"rubbish":                     {[]byte("hello"), "main", ocsp.MalformedRequestErrorResponse},
		"more behind":                 {append(bytes.Clone(plain), 0), "main", ocsp.MalformedRequestErrorResponse},
		"an empty nonce":              {withExtensions(plain, nonce(0)), "main", ocsp.MalformedRequestErrorResponse},
		"a nonce too long":            {withExtensions(plain, nonce(129)), "main", ocsp.MalformedRequestErrorResponse},
		"two nonces":                  {withExtensions(plain, nonce(8), nonce(9)), "main", ocsp.MalformedRequestErrorResponse},
		"a critical extension":        {withExtensions(plain, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}), "main", ocsp.MalformedRequestErrorResponse},
		"another CA":                  {ask(t, newSigner(t, 2).CA, "4a", crypto.SHA1), "main", ocsp.UnauthorizedErrorResponse},
		"an issuer that isn't there":  {plain, "other", ocsp.UnauthorizedErrorResponse},
		"a request that is too large": {bytes.Repeat(plain, 100), "main", ocsp.MalformedRequestErrorResponse},
	} {
		a, err := r.Answer(t.Context(), tt.issuer, tt.request)
		if err != nil || !bytes.Equal(a.DER, tt.want) || !a.ThisUpdate.IsZero() {
			t.Errorf("%s: %x, %v; want %x", name, a.DER, err, tt.want)
		}
	}
	if count != 0 {
		t.Error("something was signed")
	}
	unimportant := withExtensions(plain, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}})
	if _, resp := s.answer(r, unimportant); resp.Status != ocsp.Unknown {
		t.Error("an extension that isn't critical is not passed over")
	}
}

func TestOCSPAsksToTryLaterWithoutADatabase(t *testing.T) {
	s := newStage(t)
	s.record(s.shards, "4a", noon.AddDate(0, 3, 0))
	count := 0
	r := s.responder(&count)
	request := ask(t, s.signer.CA, "4a", crypto.SHA1)
	s.answer(r, request)
	s.db.Close()
	if a, err := r.Answer(t.Context(), "main", request); err == nil || !bytes.Equal(a.DER, ocsp.TryLaterErrorResponse) {
		t.Errorf("%x, %v", a.DER, err)
	}
}

func TestOCSPDoesNotAskForACertificateWithEachRequest(t *testing.T) {
	s := newStage(t)
	ca, count := s.signer, 0
	broken := true
	certify := s.certify(ca, &count).Certify
	ca.Certify = func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
		if broken {
			count++
			return nil, errors.New("the disk is full")
		}
		return certify(ctx, key)
	}
	r, err := NewResponder(s.db, s.clock, ca)
	if err != nil {
		t.Fatal(err)
	}
	request := ask(t, ca.CA, "4a", crypto.SHA1)
	for range 3 {
		if _, err := r.Answer(t.Context(), "main", request); err == nil {
			t.Error("signed without a certificate")
		}
	}
	if count != 1 {
		t.Errorf("%d attempts; want 1", count)
	}
	broken = false
	s.now = s.now.Add(2 * certifyAgain)
	s.answer(r, request)
}

func TestTheCacheIsBounded(t *testing.T) {
	var c cache
	for n := range 3 * cacheSize {
		c.put(cached{status: status{id: big.NewInt(int64(n)).Bytes()}})
	}
	if n := len(c.fresh) + len(c.old); n > cacheSize {
		t.Errorf("%d responses are kept; want at most %d", n, cacheSize)
	}
}

// FuzzOCSPRequest: what is read is within the bounds, and what is answered about it can
// be read again.
func FuzzOCSPRequest(f *testing.F) {
	ca := newSigner(f, 1).CA
	plain := ask(f, ca, "4a", crypto.SHA1)
	f.Add(plain)
	f.Add(ask(f, ca, "00ff", crypto.SHA256))
	f.Add(withExtensions(plain, nonce(16)))
	f.Add(withExtensions(plain, nonce(129), nonce(1)))
	f.Fuzz(func(t *testing.T, der []byte) {
		q, err := parseQuestion(der)
		if err != nil {
			return
		}
		if len(q.certs) == 0 || len(q.certs) > maxQuestion || q.nonce != nil && (len(q.nonce) == 0 || len(q.nonce) > maxNonce) {
			t.Fatalf("accepted %d certificates, a nonce of %d bytes", len(q.certs), len(q.nonce))
		}
		r := response{responder: make([]byte, 20), produced: noon, thisUpdate: noon, nextUpdate: noon, nonce: q.nonce}
		for _, id := range q.certs {
			r.statuses = append(r.statuses, status{id: id.raw, known: true, revoked: noon, reason: 1})
		}
		data, err := r.marshal()
		if err != nil {
			t.Fatal(err)
		}
		var again struct {
			Responder asn1.RawValue
			Produced  time.Time `asn1:"generalized"`
			Statuses  []asn1.RawValue
			More      asn1.RawValue `asn1:"optional,explicit,tag:1"`
		}
		if rest, err := asn1.Unmarshal(data, &again); err != nil || len(rest) > 0 || len(again.Statuses) != len(q.certs) {
			t.Fatalf("%x can't be read: %v", data, err)
		}
	})
}

func BenchmarkOCSP(b *testing.B) {
	for name, extensions := range map[string][]pkix.Extension{"kept": nil, "signed": {nonce(16)}} {
		b.Run(name, func(b *testing.B) {
			s := newStage(b)
			s.record(s.shards, "4a", noon.AddDate(0, 3, 0))
			count := 0
			r := s.responder(&count)
			request := ask(b, s.signer.CA, "4a", crypto.SHA1)
			if extensions != nil {
				request = withExtensions(request, extensions...)
			}
			for b.Loop() {
				if _, err := r.Answer(b.Context(), "main", request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

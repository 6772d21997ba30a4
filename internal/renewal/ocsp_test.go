package renewal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/internal/issuance/acmetest"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// responder starts an OCSP responder (RFC 6960) that answers with what answer makes.
func responder(t *testing.T, answer func(*ocsp.Request) (int, []byte)) (url string, asked func() int) {
	t.Helper()
	n := make(chan struct{}, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n <- struct{}{}
		body, _ := io.ReadAll(r.Body)
		req, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
		}
		status, data := answer(req)
		w.WriteHeader(status)
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { return len(n) }
}

func TestRevokedByOCSP(t *testing.T) {
	stranger, strangerKey := new(acmetest.CA).Issuer()
	type says struct {
		status     int
		this, next time.Duration // from now
		by         string
	}
	for name, c := range map[string]struct {
		says
		revoked, fails bool
		asked          int // in runs now, in half an hour, and in two hours
	}{
		"good":               {says{ocsp.Good, -time.Hour, 48 * time.Hour, ""}, false, false, 1},
		"good until soon":    {says{ocsp.Good, -time.Hour, time.Minute, ""}, false, false, 3},
		"good, not until":    {says{ocsp.Good, -time.Hour, 0, ""}, false, false, 2},
		"revoked":            {says{ocsp.Revoked, -time.Hour, 48 * time.Hour, ""}, true, false, 1},
		"unknown":            {says{ocsp.Unknown, -time.Hour, 48 * time.Hour, ""}, false, false, 1},
		"an old answer":      {says{ocsp.Revoked, -48 * time.Hour, -time.Hour, ""}, false, true, 3},
		"of the day after":   {says{ocsp.Revoked, 24 * time.Hour, 48 * time.Hour, ""}, false, true, 3},
		"signed by another":  {says{ocsp.Revoked, -time.Hour, 48 * time.Hour, "another"}, false, true, 2},
		"not authorized":     {says{by: "unauthorized"}, false, true, 2},
		"an error of HTTP":   {says{by: "500"}, false, true, 3},
		"not an OCSP answer": {says{by: "garbage"}, false, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			now := start
			ca := new(acmetest.CA)
			issuer, key := ca.Issuer()
			url, asked := responder(t, func(req *ocsp.Request) (int, []byte) {
				tmpl := ocsp.Response{Status: c.status, SerialNumber: req.SerialNumber, ThisUpdate: now.Add(c.this), RevokedAt: now.Add(c.this)}
				if c.next != 0 {
					tmpl.NextUpdate = now.Add(c.next)
				}
				switch c.by {
				case "unauthorized":
					return 200, ocsp.UnauthorizedErrorResponse
				case "500":
					return 500, nil
				case "garbage":
					return 200, []byte("<html>")
				case "another":
					data, _ := ocsp.CreateResponse(stranger, stranger, tmpl, strangerKey)
					return 200, data
				}
				data, err := ocsp.CreateResponse(issuer, issuer, tmpl, key)
				if err != nil {
					t.Error(err)
				}
				return 200, data
			})
			ca.OCSP = url
			chain, err := ca.Issue(newKey(t).Public(), []string{"a.example.org"}, now.Add(-time.Hour), now.Add(90*day))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for i, after := range []time.Duration{0, 30 * time.Minute, 2 * time.Hour} {
				now = start.Add(after)
				r := &Revocations{Client: http.DefaultClient, Answers: WorkAnswers(dir), Now: func() time.Time { return now }}
				revoked, err := r.Revoked(t.Context(), chain[0], issuer)
				if revoked != c.revoked || i == 0 && (err != nil) != c.fails {
					t.Errorf("after %v: revoked is %v, %v", after, revoked, err)
				}
				if err := r.Answers.Save(true); err != nil {
					t.Error(err)
				}
			}
			if n := asked(); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

package issuance

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"vidimus/internal/identifier"
)

// TestOldCertificateNeverHindersItsRenewal is about CAs that do not take "replaces".
func TestOldCertificateNeverHindersItsRenewal(t *testing.T) {
	id, err := identifier.ParseDNS("a.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status  int
		problem string
		again   bool
	}{
		{http.StatusConflict, "alreadyReplaced", true},
		{http.StatusNotFound, "malformed", true},
		{http.StatusBadRequest, "serverInternal", true},
		{http.StatusForbidden, "rejectedIdentifier", false},
		{http.StatusTooManyRequests, "rateLimited", false},
	} {
		t.Run(c.problem, func(t *testing.T) {
			t.Parallel()
			var s *httptest.Server
			s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Replay-Nonce", "n")
				w.Header().Set("Content-Type", "application/json")
				switch r.URL.Path {
				case "/dir":
					fmt.Fprintf(w, `{"newNonce":"%[1]s/n","newAccount":"%[1]s/a","newOrder":"%[1]s/o","renewalInfo":"%[1]s/r"}`, s.URL)
				case "/o":
					var jws struct{ Payload string }
					var order struct{ Replaces string }
					json.NewDecoder(r.Body).Decode(&jws)
					data, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
					json.Unmarshal(data, &order)
					if order.Replaces != "" {
						w.Header().Set("Content-Type", "application/problem+json")
						w.WriteHeader(c.status)
						fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":"no"}`, c.problem)
						return
					}
					w.Header().Set("Location", s.URL+"/order/1")
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, `{"status":"ready"}`)
				}
			}))
			defer s.Close()
			ca, err := Dial(t.Context(), Options{Directory: s.URL + "/dir", Log: discard(), Getenv: func(string) string { return "" }})
			if err != nil {
				t.Fatal(err)
			}
			order, err := ca.newOrder(t.Context(), Account{newKey(t), s.URL + "/acct"}, Request{Identifiers: []identifier.Identifier{id}, Replaces: "aki.serial"})
			var e *Error
			if c.again && (err != nil || order.Status != "ready") || !c.again && (!errors.As(err, &e) || e.Type != c.problem) {
				t.Errorf("%+v, %v", order, err)
			}
		})
	}
}

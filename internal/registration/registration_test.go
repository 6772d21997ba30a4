package registration

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/account"
	"vidimus/internal/issuance"
)

// server is as much of a CA as registration needs.
type server struct {
	*httptest.Server

	mu        sync.Mutex      // guards what follows
	accounts  map[string]bool // by JWK
	bindings  int             // EAB credentials that were used
	dropFirst bool            // the connection breaks before the first answer, and stays broken
	broken    bool
	refuse    string // a problem type for all registrations
}

func newServer(t *testing.T) *server {
	s := &server{accounts: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/dir", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order","meta":{"externalAccountRequired":true,"termsOfService":"https://example.org/tos"}}`, s.URL)
	})
	mux.HandleFunc("/nonce", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Replay-Nonce", "n") })
	mux.HandleFunc("/account", s.account)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.broken {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) account(w http.ResponseWriter, r *http.Request) {
	var jws struct{ Protected, Payload string }
	json.NewDecoder(r.Body).Decode(&jws)
	decode := func(text string, into any) {
		data, _ := base64.RawURLEncoding.DecodeString(text)
		json.Unmarshal(data, into)
	}
	var header struct{ JWK json.RawMessage }
	var payload struct {
		OnlyReturnExisting     bool
		ExternalAccountBinding json.RawMessage
	}
	decode(jws.Protected, &header)
	decode(jws.Payload, &payload)
	w.Header().Set("Replay-Nonce", "n")
	problem := func(kind string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":"no"}`, kind)
	}
	known := s.accounts[string(header.JWK)]
	switch {
	case s.refuse != "":
		problem(s.refuse)
		return
	case !known && payload.OnlyReturnExisting:
		problem("accountDoesNotExist")
		return
	case !known && s.bindings > 0:
		problem("unauthorized") // these EAB credentials work once
		return
	}
	if !known {
		s.accounts[string(header.JWK)] = true
		s.bindings++
	}
	if s.dropFirst {
		s.dropFirst, s.broken = false, true
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", s.URL+"/acct/1")
	fmt.Fprint(w, `{"status":"valid"}`)
}

func (s *server) register(t *testing.T, dir string) (account.Account, error) {
	t.Helper()
	ca, err := issuance.Dial(t.Context(), issuance.Options{Directory: s.URL + "/dir", Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	store, err := account.Open(dir, s.URL+"/dir")
	if err != nil {
		t.Fatal(err)
	}
	return Register(t.Context(), ca, store, Request{Emails: []string{"a@example.org"}, AgreeTOS: true,
		EAB: &issuance.EAB{KeyID: "k", Key: []byte("secret")}})
}

func TestLostAnswerDoesNotCostTheCredentials(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.dropFirst = true
	if _, err := s.register(t, dir); err == nil {
		t.Fatal("no error from a connection that broke")
	}
	s.mu.Lock()
	if s.bindings != 1 {
		t.Fatalf("%d registrations at the CA", s.bindings)
	}
	s.broken = false
	s.mu.Unlock()
	a, err := s.register(t, dir)
	if err != nil || a.URL != s.URL+"/acct/1" {
		t.Fatalf("the second attempt: %+v, %v", a, err)
	}
	if s.bindings != 1 {
		t.Errorf("%d registrations at the CA", s.bindings)
	}
}

func TestRefusalForgetsTheKey(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	s.refuse = "unauthorized"
	_, err := s.register(t, dir)
	var e *issuance.Error
	if !errors.As(err, &e) || e.Type != "unauthorized" || !strings.Contains(err.Error(), "no (unauthorized)") {
		t.Error(err)
	}
	store, _ := account.Open(dir, s.URL+"/dir")
	if _, resumed, _ := store.PendingKey(); resumed {
		t.Error("the key of a refused registration is kept")
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	s := newServer(t)
	ca, err := issuance.Dial(t.Context(), issuance.Options{Directory: s.URL + "/dir", Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	eab := &issuance.EAB{KeyID: "k", Key: []byte("secret")}
	for want, r := range map[string]Request{
		"--eab-kid":   {AgreeTOS: true},
		"--agree-tos": {EAB: eab},
	} {
		if err := r.check(ca); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestParseEmails(t *testing.T) {
	if got, err := ParseEmails("a@example.org, b@example.org"); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "a", "@x", "a@", "a b@c", "a@b,"} {
		if got, err := ParseEmails(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

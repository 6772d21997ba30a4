package admin

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/server"
	"vidimus/internal/store"
	"vidimus/internal/store/storetest"
)

// site is a configuration with a database, without a server.
type site struct {
	t      *testing.T
	config string
	db     *store.Store
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	path, err := server.Init(server.InitOptions{Dir: dir, Organisation: "Test", URL: "https://127.0.0.1:14000", ListenHTTP: "127.0.0.1:14080"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "vidimusd.db")
	storetest.Fill(t, file)
	db, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &site{t, path, db}
}

// record records n certificates of h0.example.org and so on, by one key.
func (s *site) record(n int, spki []byte) {
	s.t.Helper()
	shard, err := s.db.TakePlaces(s.t.Context(), "main", "01", "", n, 100_000, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now()
	account := store.Account{Directory: "main", Thumbprint: "thumbprint", JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := s.db.NewAccount(s.t.Context(), &account); err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	for i := range n {
		c := store.Certificate{Serial: fmt.Sprintf("4%05x", i*7), Issuer: "main", Shard: shard.ID, Account: account.ID, TBS: []byte("tbs"), SPKI: sum[:],
			Names:     []identifier.Identifier{{Type: identifier.DNS, Value: fmt.Sprintf("h%d.example.org", i)}},
			NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour), Created: now}
		if err := s.db.BeginIssuance(s.t.Context(), c, ""); err != nil {
			s.t.Fatal(err)
		}
		if err := s.db.FinishIssuance(s.t.Context(), c.Serial, []byte("der"), now); err != nil {
			s.t.Fatal(err)
		}
	}
}

// admin runs "vidimusd admin", with nothing to read.
func (s *site) admin(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	var out, errs strings.Builder
	status = Main(append([]string{"admin", "--config", s.config}, args...), "test", &out, &errs)
	return status, out.String(), errs.String()
}

func TestRevokeShowsFirstAndRevokesInBatches(t *testing.T) {
	s := newSite(t)
	const n = page + store.Batch + 1 // more than one page
	s.record(n, []byte("spki"))
	reveals := func(want int) {
		t.Helper()
		sh, err := s.db.Shard(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.db.Revocations(t.Context(), sh.ID, time.Now())
		if err != nil || len(all) != want {
			t.Errorf("%d are revoked, %v; want %d", len(all), err, want)
		}
	}
	status, out, _ := s.admin("certificate", "revoke", "--subtree", "example.org", "--dry-run")
	if status != 0 || !strings.Contains(out, fmt.Sprintf("%d certificates", n)) || strings.Count(out, "\n  4") != sampleSize || !strings.Contains(out, fmt.Sprintf("and %d more", n-sampleSize)) {
		t.Errorf("dry run: status %d\n%s", status, out)
	}
	if status, _, errs := s.admin("certificate", "revoke", "--subtree", "example.org"); status != 1 || !strings.Contains(errs, "use --yes") {
		t.Errorf("not confirmed: status %d\n%s", status, errs)
	}
	reveals(0)
	status, out, errs := s.admin("--json", "certificate", "revoke", "--subtree", "example.org", "--reason", "superseded", "--yes")
	var value struct {
		Count, Revoked int
		Reason         string
	}
	if err := json.Unmarshal([]byte(out), &value); status != 0 || err != nil || value.Count != n || value.Revoked != n || value.Reason != "superseded" {
		t.Errorf("status %d, %v, %+v\n%s", status, err, value, errs)
	}
	reveals(n)
	if status, out, _ := s.admin("certificate", "revoke", "--subtree", "example.org", "--yes"); status != 0 || !strings.Contains(out, "Revoked 0 certificates") {
		t.Errorf("again: status %d\n%s", status, out)
	}
}

func TestRevokeByKeyBlocksItFirst(t *testing.T) {
	s := newSite(t)
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := certificate.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := certificate.Request(key, []identifier.Identifier{{Type: identifier.DNS, Value: "h0.example.org"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	s.record(3, spki)
	sum := sha256.Sum256(spki)
	colons := strings.ToUpper(strings.TrimSuffix(strings.Join(strings.SplitAfter(fmt.Sprintf("% x", sum), " "), ":"), ":"))
	options := []string{hex.EncodeToString(sum[:]), strings.ReplaceAll(colons, " ", "")}
	for name, data := range map[string][]byte{"private": private, "csr": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
		"public": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		options = append(options, path)
	}
	for _, o := range options {
		if status, out, errs := s.admin("certificate", "revoke", "--key", o, "--dry-run"); status != 0 || !strings.Contains(out, ": 3 certificates") {
			t.Errorf("--key %s: status %d\n%s%s", o, status, out, errs)
		}
	}
	for range 2 { // then there are none left, and it is still right to block the key
		if status, _, errs := s.admin("certificate", "revoke", "--key", options[0], "--reason", "1", "--yes"); status != 0 {
			t.Errorf("status %d\n%s", status, errs)
		}
	}
	if blocked, err := s.db.KeyBlocked(t.Context(), sum[:]); err != nil || !blocked {
		t.Errorf("the key is blocked: %v, %v", blocked, err)
	}
}

func TestSelectionsThatAreWrong(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "select certificates"},
		{[]string{"--reason", "superseded", "--yes"}, "select certificates"},
		{[]string{"--host", "www.example.org", "--reason", "boredom"}, "use one of unspecified"},
		{[]string{"--host", "www.example.org", "--reason", "certificateHold"}, "use one of unspecified"},
		{[]string{"--host", "-bad-"}, "-bad-"},
		{[]string{"--host", "a.example.org", "--name", "b.example.org"}, "not both"},
		{[]string{"--serial", "xyz"}, "hexadecimal"},
		{[]string{"--key", "/nowhere"}, "--key /nowhere"},
		{[]string{"--account", "https://acme.example.org/acct/x"}, "account"},
		{[]string{"--issued-after", "yesterday"}, "--issued-after"},
		{[]string{"www.example.org"}, "takes no arguments"},
	} {
		if status, _, errs := s.admin(append([]string{"certificate", "revoke"}, tt.args...)...); status != 2 || !strings.Contains(errs, tt.says) {
			t.Errorf("%v: status %d, %s; want %q", tt.args, status, errs, tt.says)
		}
	}
}

func TestRenewNowSpreadsListsAndUndoes(t *testing.T) {
	s := newSite(t)
	s.record(60, []byte("spki"))
	for _, wrong := range [][]string{{"--explanation-url", "why"}, {"--over", "-1h"}, {"--over", "6h", "--until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}} {
		if status, _, errs := s.admin(append([]string{"renew-now", "--subtree", "example.org"}, wrong...)...); status != 2 || !strings.Contains(errs, wrong[0]) && !strings.Contains(errs, "--until") {
			t.Errorf("%v: status %d, %s", wrong, status, errs)
		}
	}
	began := time.Now()
	status, out, errs := s.admin("--json", "renew-now", "--subtree", "example.org", "--over", "6h", "--explanation-url", "https://www.example.org/why", "--yes")
	var value struct{ ID, Count int64 }
	if err := json.Unmarshal([]byte(out), &value); status != 0 || err != nil || value.Count != 60 || value.ID == 0 {
		t.Fatalf("status %d, %v, %+v\n%s", status, err, value, errs)
	}
	hours := make([]int, 6)
	for i := range 60 {
		w, err := s.db.RenewalWindow(t.Context(), fmt.Sprintf("4%05x", i*7), time.Now())
		if err != nil || w.ExplanationURL != "https://www.example.org/why" || !w.End.After(w.Start) {
			t.Fatalf("%+v, %v", w, err)
		}
		hours[min(5, int(w.Start.Sub(began)/time.Hour))]++
	}
	for h, n := range hours {
		if n < 9 || n > 11 {
			t.Errorf("in hour %d begin %d windows of 60: %v", h, n, hours)
		}
	}
	if _, out, _ := s.admin("renew-now", "list"); !strings.Contains(out, "0 of 60") || !strings.Contains(out, "below example.org") {
		t.Errorf("the list is\n%s", out)
	}
	id := fmt.Sprint(value.ID)
	if status, _, errs := s.admin("renew-now", "undo", id); status != 0 {
		t.Errorf("undo: %s", errs)
	}
	if status, _, errs := s.admin("renew-now", "undo", id); status != 1 || !strings.Contains(errs, "renew-now list") {
		t.Errorf("undo again: status %d, %s", status, errs)
	}
	if w, err := s.db.RenewalWindow(t.Context(), "400000", time.Now()); err == nil {
		t.Errorf("undone, and still %+v", w)
	}
}

// said is a command line of "vidimusd admin", and what is to come of it.
type said struct {
	args   string
	status int
	want   string // a part of what it prints
}

// says runs command lines, one after the other.
func (s *site) says(lines []said) {
	s.t.Helper()
	for _, x := range lines {
		status, out, errs := s.admin(strings.Fields(x.args)...)
		if status != x.status || !strings.Contains(out+errs, x.want) {
			s.t.Errorf("%s: status %d, want %d and %q in\n%s%s", x.args, status, x.status, x.want, out, errs)
		}
	}
}

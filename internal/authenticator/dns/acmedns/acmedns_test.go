package acmedns

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/internal/authenticator/dns/provider"
)

func TestAddTellsTheServerByTheAccountOfTheName(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Subdomain, Txt string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("X-Api-Key") != "secret" || r.URL.Path != "/update" {
			http.Error(w, `{"error":"forbidden"}`, http.StatusUnauthorized)
			return
		}
		got = append(got, r.Header.Get("X-Api-User")+" "+body.Subdomain+" "+body.Txt)
		w.Write([]byte(`{"txt":"x"}`))
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "accounts.json")
	if err := os.WriteFile(file, []byte(`{"www.example.org":{"fulldomain":"sub.auth.example.net","subdomain":"sub","username":"user","password":"secret"},
		"bad.example.org":{"fulldomain":"bad.auth.example.net","subdomain":"bad","username":"user","password":"wrong-secret"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(s.URL+"/", file)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := p.Add(ctx, provider.Record{Name: "sub.auth.example.net", Value: "V", Domain: "www.example.org"}); err != nil {
		t.Error(err)
	}
	if len(got) != 1 || got[0] != "user sub V" {
		t.Errorf("the server was told %q", got)
	}
	for _, c := range []struct{ name, domain, want string }{
		{"_acme-challenge.www.example.org", "www.example.org", "make it an alias (CNAME)"},
		{"_acme-challenge.new.example.org", "new.example.org", "register one there"},
		{"bad.auth.example.net", "bad.example.org", "answered 401"},
	} {
		err := p.Add(ctx, provider.Record{Name: c.name, Domain: c.domain, Value: "V"})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: error %v, want %q", c.domain, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":{"subdomain":"x","username":"u","password":"p"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		accounts, err := parse(data)
		for domain, a := range accounts {
			if err == nil && (a.SubDomain == "" || a.Password == "") {
				t.Errorf("the account of %q is not whole", domain)
			}
		}
	})
}

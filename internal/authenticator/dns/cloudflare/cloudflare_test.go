package cloudflare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/authenticator/dns/provider"
)

// service answers as the documentation of the API says, for one zone.
type service struct {
	mu      sync.Mutex
	records map[string]map[string]any
	next    int
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(status int, success bool, result any, code int, text string) {
		w.WriteHeader(status)
		m := map[string]any{"success": success, "result": result, "errors": []any{}}
		if code != 0 {
			m["errors"] = []any{map[string]any{"code": code, "message": text}}
		}
		json.NewEncoder(w).Encode(m)
	}
	if r.Header.Get("Authorization") != "Bearer good" && r.Header.Get("X-Auth-Key") != "key" {
		answer(403, false, nil, 9109, "Invalid access token")
		return
	}
	path, _ := strings.CutPrefix(r.URL.Path, "/zones/z1/dns_records")
	switch {
	case r.URL.Path == "/zones" && r.URL.Query().Get("name") == "example.org":
		answer(200, true, []any{map[string]any{"id": "z1", "name": "example.org"}}, 0, "")
	case r.URL.Path == "/zones":
		answer(200, true, []any{}, 0, "")
	case r.Method == http.MethodPost && path == "":
		var rec map[string]any
		if err := json.NewDecoder(r.Body).Decode(&rec); err != nil {
			answer(400, false, nil, 9207, err.Error())
			return
		}
		for _, old := range s.records {
			if old["content"] == rec["content"] && old["name"] == rec["name"] {
				answer(400, false, nil, 81058, "An identical record already exists.")
				return
			}
		}
		s.next++
		rec["id"] = fmt.Sprint("r", s.next)
		s.records[rec["id"].(string)] = rec
		answer(200, true, rec, 0, "")
	case r.Method == http.MethodGet && path == "":
		list := []any{}
		for _, rec := range s.records {
			if rec["name"] == r.URL.Query().Get("name") {
				list = append(list, rec)
			}
		}
		answer(200, true, list, 0, "")
	case r.Method == http.MethodDelete:
		delete(s.records, strings.TrimPrefix(path, "/"))
		answer(200, true, map[string]any{}, 0, "")
	default:
		answer(404, false, nil, 7003, "no route")
	}
}

func (s *service) values() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rec := range s.records {
		out = append(out, rec["content"].(string))
	}
	slices.Sort(out)
	return out
}

func TestAddsAndRemovesSingleValues(t *testing.T) {
	s := &service{records: map[string]map[string]any{"old": {"id": "old", "type": "TXT", "name": "_acme-challenge.www.example.org", "content": "theirs"}}}
	server := httptest.NewServer(s)
	defer server.Close()
	ctx := context.Background()
	a := &Account{BaseURL: server.URL, Token: "good"}
	record := func(value string) provider.Record {
		return provider.Record{Name: "_acme-challenge.www.example.org", Value: value}
	}
	for _, v := range []string{"one", "two", "two"} {
		if err := a.Add(ctx, record(v)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.values(); !slices.Equal(got, []string{`"one"`, `"two"`, "theirs"}) {
		t.Errorf("there is %q", got)
	}
	other := &Account{BaseURL: server.URL, Email: "a@example.org", Key: "key"} // a later run
	for _, v := range []string{"one", "one", "two"} {
		if err := other.Remove(ctx, record(v)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.values(); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("left over: %q", got)
	}
	if err := a.Add(ctx, provider.Record{Name: "_acme-challenge.example.net", Value: "x"}); err == nil || !strings.Contains(err.Error(), "has no zone with that name") {
		t.Errorf("a foreign zone: %v", err)
	}
	bad := &Account{BaseURL: server.URL, Token: "very-secret"}
	if err := bad.Add(ctx, record("x")); err == nil || !strings.Contains(err.Error(), "Zone:DNS:Edit") || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("a bad token: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(200, `{"success":true,"result":[{"id":"x","name":"y"}]}`)
	f.Add(400, `{"success":false,"errors":[{"code":1,"message":"a\nb","error_chain":[{"code":2}]}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		var out []struct{ ID, Name string }
		err := read(&http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, &out)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("the error has several lines: %q", err)
		}
	})
}

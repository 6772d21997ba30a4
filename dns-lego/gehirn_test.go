package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/go-acme/lego/v4/challenge/dns01"
)

// gehirnAPI keeps the records of one zone as the API's documentation says.
func gehirnAPI(t *testing.T) (url string, values func(name string) []string) {
	var mu sync.Mutex
	records := map[string]gehirnRecord{}
	const base = "/zones/Z2/versions/V2/records"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /zones", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `[{"id":"Z1","name":"org","current_version_id":"V1"},{"id":"Z2","name":"example.org","current_version_id":"V2"}]`)
	})
	mux.HandleFunc("GET "+base, func(w http.ResponseWriter, r *http.Request) {
		list := []any{map[string]any{"id": "m", "type": "MX", "name": "example.org.", "records": []any{map[string]any{"prio": 1}}}}
		for _, rec := range records {
			list = append(list, rec)
		}
		json.NewEncoder(w).Encode(list)
	})
	put := func(id string, w http.ResponseWriter, r *http.Request) {
		var rec gehirnRecord
		if err := json.NewDecoder(r.Body).Decode(&rec); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		rec.ID = id
		records[id] = rec
		json.NewEncoder(w).Encode(rec)
	}
	mux.HandleFunc("POST "+base, func(w http.ResponseWriter, r *http.Request) { put(fmt.Sprint("R", len(records)), w, r) })
	mux.HandleFunc("PUT "+base+"/{id}", func(w http.ResponseWriter, r *http.Request) { put(r.PathValue("id"), w, r) })
	mux.HandleFunc("DELETE "+base+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		delete(records, r.PathValue("id"))
		fmt.Fprint(w, "{}")
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if user, pass, _ := r.BasicAuth(); user != "token" || pass != "secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(name string) (out []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, rec := range records {
			for _, v := range rec.Records {
				if rec.Name == name {
					out = append(out, v.Data)
				}
			}
		}
		return out
	}
}

func TestGehirnKeepsOtherValues(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	url, values := gehirnAPI(t)
	env := map[string]string{"GEHIRN_API_TOKEN": "token", "GEHIRN_API_SECRET": "secret"}
	g, err := newGehirn(func(n string) string { return env[n] })
	if err != nil {
		t.Fatal(err)
	}
	g.baseURL = url
	for _, key := range []string{"one", "two", "two"} {
		if err := g.Present("example.org", "", key); err != nil {
			t.Fatal(err)
		}
	}
	one, two := dns01.GetChallengeInfo("example.org", "one").Value, dns01.GetChallengeInfo("example.org", "two").Value
	if got := values("_acme-challenge.example.org."); !reflect.DeepEqual(got, []string{one, two}) {
		t.Errorf("there is %q", got)
	}
	for _, key := range []string{"one", "one", "two"} {
		if err := g.CleanUp("example.org", "", key); err != nil {
			t.Fatal(err)
		}
		if got := values("_acme-challenge.example.org."); key == "one" && !reflect.DeepEqual(got, []string{two}) {
			t.Errorf("after the first was removed there is %q", got)
		}
	}
	if got := values("_acme-challenge.example.org."); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
	g.secret = "wrong"
	if err := g.Present("example.org", "", "one"); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

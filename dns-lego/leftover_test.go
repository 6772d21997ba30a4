package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// recorder answers GET requests from a table and keeps what else it was asked.
func recorder(t *testing.T, answers map[string]string) (url string, asked func() []string) {
	var mu sync.Mutex
	var others []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodGet {
			others = append(others, r.Method+" "+r.URL.Path)
			fmt.Fprint(w, "null")
			return
		}
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			t.Errorf("asked for %s", r.URL.RequestURI())
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return others
	}
}

func TestLeftoversAreFoundByTheirValue(t *testing.T) {
	for _, c := range []struct {
		provider string
		answers  map[string]string
		want     []string
	}{
		{"digitalocean", map[string]string{
			"/v2/domains/example.org/records?type=TXT&per_page=200&name=_acme-challenge.www.example.org": `{"domain_records":[{"id":1,"data":"other"},{"id":2,"data":"V"}]}`,
		}, []string{"DELETE /v2/domains/example.org/records/2"}},
		{"luadns", map[string]string{
			"/zones":           `[{"id":7,"name":"example.net"},{"id":8,"name":"example.org"}]`,
			"/zones/8/records": `[{"id":1,"name":"_acme-challenge.www.example.org.","type":"TXT","content":"other"},{"id":2,"name":"_acme-challenge.www.example.org.","type":"TXT","content":"V"},{"id":3,"name":"www.example.org.","type":"TXT","content":"V"}]`,
		}, []string{"DELETE /zones/8/records/2"}},
		{"ovh", map[string]string{
			"/auth/time": "1700000000",
			"/domain/zone/example.org/record?fieldType=TXT&subDomain=_acme-challenge.www": `[1,2]`,
			"/domain/zone/example.org/record/1":                                           `{"target":"other"}`,
			"/domain/zone/example.org/record/2":                                           `{"target":"\"V\""}`,
		}, []string{"DELETE /domain/zone/example.org/record/2", "POST /domain/zone/example.org/refresh"}},
	} {
		t.Run(c.provider, func(t *testing.T) {
			url, asked := recorder(t, c.answers)
			env := map[string]string{"DO_API_URL": url, "OVH_ENDPOINT": url, "OVH_APPLICATION_KEY": "k", "OVH_APPLICATION_SECRET": "s", "OVH_CONSUMER_KEY": "c"}
			remove := leftovers(c.provider, func(n string) string { return env[n] })
			if c.provider == "luadns" {
				remove = luaDNS(&restAPI{base: url, authorize: func(*http.Request) {}})
			}
			if err := remove("example.org", "_acme-challenge.www.example.org", "V"); err != nil {
				t.Fatal(err)
			}
			if got := asked(); !slices.Equal(got, c.want) {
				t.Errorf("asked for %q, want %q", got, c.want)
			}
		})
	}
}

package acmehttp_test

import (
	"net/http"
	"strings"
	"testing"
)

// withAgent sends all requests of a test with a User-Agent.
func withAgent(t *testing.T, agent *string) {
	t.Helper()
	before := http.DefaultClient.Transport
	http.DefaultClient.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("User-Agent", *agent)
		return http.DefaultTransport.RoundTrip(r)
	})
	t.Cleanup(func() { http.DefaultClient.Transport = before })
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientsAreOnRecordWithWhatTheyAskedFor(t *testing.T) {
	s := newServer(t)
	agent := "Registrar/1.0"
	withAgent(t, &agent)
	c := s.registered("www.example.org")
	for i, a := range []struct{ sent, kept string }{
		{"Client/1.0 (linux)", "Client/1.0 (linux)"},
		{"Client/1.0 (linux)", "Client/1.0 (linux)"},
		{"Client/2.0", "Client/2.0"},
		{"Bad\xff\xfeé/1\t2", "Badé/12"},
		{strings.Repeat("é", 100), strings.Repeat("é", 60) + "…"},
		{"", ""},
	} {
		agent = a.sent
		crt, _ := c.obtain("www.example.org")
		all, err := s.store.CertificatesOf(t.Context(), "www.example.org", 10)
		if err != nil || len(all) != i+1 {
			t.Fatal(len(all), err)
		}
		if all[0].Client != a.kept || all[0].ACMEID != "www.example.org" || !all[0].NotAfter.Equal(crt.NotAfter) {
			t.Errorf("%q: on record is %+v", a.sent, all[0])
		}
	}
}

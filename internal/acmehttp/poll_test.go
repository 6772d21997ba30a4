package acmehttp_test

import (
	"net/http"
	"testing"
	"time"
)

// Clients poll the authorization or the challenge; either answers when the validation
// has its result, so that none sleeps and asks again.
func TestAPollOfAChallengeIsHeldBackUntilItsResult(t *testing.T) {
	w := newWeb(t)
	answers := w.server.Config.Handler
	w.server.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond) // a slow host; the poll below comes before it answers
		answers.ServeHTTP(out, r)
	})
	c := newServer(t, w.validated).registered()
	var z authz
	c.post(c.order("www.example.org").Authorizations[0], "").want(200).json(&z)
	for _, ch := range z.Challenges {
		if ch.Type != "http-01" {
			continue
		}
		w.answers.Store(ch.Token, ch.Token+"."+thumbprint(t, c.key))
		if a := c.post(ch.URL, "{}").want(200); a.header.Get("Retry-After") == "" {
			t.Errorf("the answer says not when to poll: %v", a.header)
		}
		c.post(ch.URL, "").want(200).json(&ch)
		if ch.Status != "valid" {
			t.Errorf("the first poll found the challenge %s", ch.Status)
		}
		return
	}
	t.Fatal("there is no http-01 challenge")
}

package acmehttp_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acmehttp"
	"vidimus/internal/store"
	"vidimus/internal/validation"
)

// caaZone is a resolver that knows the value of one issue record at some names, and
// what it was asked for.
type caaZone struct {
	validation.Loopback
	mu     sync.Mutex
	values map[string]string
	asked  []string
}

func (z *caaZone) Lookup(ctx context.Context, name string, t uint16) (validation.Answer, error) {
	if t != dns.TypeCAA {
		return z.Loopback.Lookup(ctx, name, t)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, name)
	if v, ok := z.values[name]; ok {
		return validation.Answer{Records: []dns.RR{&dns.CAA{Tag: "issue", Value: v}}}, nil
	}
	return validation.Answer{}, nil
}

// set changes the zone and forgets what was asked.
func (z *caaZone) set(values map[string]string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.values, z.asked = values, nil
}

func (z *caaZone) names() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.asked)
}

// withCAA makes the server look at the zone's records in these directories.
func withCAA(z *caaZone, directories ...string) func(*acmehttp.Config) {
	return func(c *acmehttp.Config) {
		c.Runner.Validator.Resolver = z
		c.Runner.Directories = make(map[string]validation.Policy)
		for _, d := range directories {
			c.Runner.Directories[d] = validation.Policy{Identities: []string{"ca.example"}, Accounts: c.BaseURL + "/acme/" + d + "/acct/", CAA: true}
		}
	}
}

func TestFinalizeOfGrantedNamesLooksAtCAAWhereTheDirectoryDoes(t *testing.T) {
	z := new(caaZone)
	c := newServer(t, withCAA(z, "main")).registered("www.example.org", "mail.example.org")
	var o order
	place := c.post("/new-order", orderFor("www.example.org", "mail.example.org")).want(201)
	place.json(&o)
	key := newKey(t)
	finalize := func() answer { return c.post(o.Finalize, csr(t, key, "www.example.org", "mail.example.org")) }

	z.set(map[string]string{"www.example.org": "other.example"})
	a := finalize()
	p := a.problem("caa", 403)
	if len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "www.example.org" || !strings.Contains(p.Detail, "names another CA") {
		t.Errorf("problem %+v; want one for www.example.org", p)
	}
	if got := a.header.Get("Location"); got != place.header.Get("Location") {
		t.Errorf("Location %q; want the order's", got)
	}
	z.set(map[string]string{"example.org": ";"})
	if p := finalize().problem("caa", 403); len(p.Subproblems) != 2 || !strings.Contains(p.Detail, "1 more") {
		t.Errorf("problem %+v; want two", p)
	}
	z.set(map[string]string{"example.org": "ca.example; validationmethods=http-01"})
	if p := finalize().problem("caa", 403); !strings.Contains(p.Detail, validation.MethodHostDatabase) {
		t.Errorf("problem %+v; want one about the method", p)
	}
	z.set(map[string]string{"example.org": "ca.example; validationmethods=" + validation.MethodHostDatabase + "; accounturi=" + c.kid})
	if finalize().want(200).json(&o); o.Status != "valid" {
		t.Errorf("the order is %s", o.Status)
	}
	if len(z.names()) == 0 {
		t.Error("nothing was asked")
	}
}

func TestGrantedNamesAreIssuedWhateverCAASaysWhereTheDirectoryDoesNotLook(t *testing.T) {
	z := new(caaZone)
	z.set(map[string]string{"example.org": ";"})
	newServer(t, withCAA(z, "main-open")).registered("www.example.org").obtain("www.example.org")
	if got := z.names(); len(got) > 0 {
		t.Errorf("asked for %q", got)
	}
}

func TestFinalizeLooksAtCAAAgainAfterEightHours(t *testing.T) {
	for _, tt := range []struct {
		after  time.Duration
		record string
		again  bool
	}{{7 * time.Hour, `{"caa":true,"ms":1}`, false}, {8 * time.Hour, `{"caa":true,"ms":1}`, true},
		{time.Minute, `{"ms":1}`, true}, {time.Minute, "", true}} { // as the directory didn't look at them then
		z := new(caaZone)
		start := time.Now()
		var mu sync.Mutex
		now := start
		c := newServer(t, withCAA(z, "main-open"), func(c *acmehttp.Config) {
			c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		}).registered()
		var o order
		c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
		var authz struct{ Challenges []struct{ Type, URL string } }
		c.post(o.Authorizations[0], "").want(200).json(&authz)
		// As if http-01 had just succeeded: nothing listens here.
		processing := c.started(authz.Challenges[0].URL)
		if tt.record != "" {
			processing.Record = []byte(tt.record)
		}
		if err := c.store.FinishChallenge(t.Context(), processing, nil, start, start.Add(validation.AuthzLife)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		now = start.Add(tt.after)
		mu.Unlock()
		z.set(map[string]string{"example.org": "other.example"})
		a := c.post(o.Finalize, csr(t, newKey(t), "www.example.org"))
		if got := len(z.names()) > 0; got != tt.again {
			t.Errorf("after %s: asked for CAA: %v", tt.after, got)
		}
		if tt.again {
			a.problem("caa", 403)
		} else {
			a.want(200)
		}
	}
}

// started moves the challenge at a URL to processing, without its validation.
func (c *client) started(url string) store.Challenge {
	c.t.Helper()
	id, err := strconv.ParseInt(url[strings.LastIndexByte(url, '/')+1:], 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.store.StartChallenge(c.t.Context(), id); err != nil {
		c.t.Fatal(err)
	}
	ch, err := c.store.Challenge(c.t.Context(), id)
	if err != nil {
		c.t.Fatal(err)
	}
	return ch
}

package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
	"vidimus/internal/issuance/acmetest"
)

// shown is an authenticator that remembers what it was to show.
type shown struct {
	challenges []authenticator.Challenge
	cleaned    int
}

func (s *shown) Types() []string { return []string{"http-01"} }
func (s *shown) Hint() string    { return "look" }
func (s *shown) Present(_ context.Context, c []authenticator.Challenge) error {
	s.challenges = append(s.challenges, c...)
	return nil
}
func (s *shown) Cleanup(context.Context) error { s.cleaned++; return nil }

// request is one for names, by http-01.
func request(t *testing.T, names ...string) (Request, *shown) {
	t.Helper()
	auth := new(shown)
	r := Request{Key: newKey(t), Authenticator: auth}
	for _, n := range names {
		id, err := identifier.Parse(n)
		if err != nil {
			t.Fatal(err)
		}
		r.Identifiers = append(r.Identifiers, id)
	}
	return r, auth
}

// obtain places an order at a CA in memory.
func obtain(t *testing.T, h *acmetest.CA, r Request, test func(*testing.T, *Obtained, error)) {
	t.Helper()
	bubble(t, h, func(t *testing.T, ca *CA) {
		ca.dir.NewOrder = testURL + "/new"
		got, err := ca.Obtain(t.Context(), Account{newKey(t), testURL + "/me"}, r)
		test(t, got, err)
	})
}

func TestOrderOfManyKindsOfNames(t *testing.T) {
	r, auth := request(t, "*.example.org", "example.org", "192.0.2.1", "2001:db8::1")
	obtain(t, &acmetest.CA{Proved: map[string]bool{"192.0.2.1": true}}, r, func(t *testing.T, got *Obtained, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Cert.DNSNames) != 2 || len(got.Cert.IPAddresses) != 2 || got.Cert.Subject.CommonName != "" {
			t.Errorf("%v %v", got.Cert.DNSNames, got.Cert.IPAddresses)
		}
		var proofs []string
		for _, c := range auth.challenges {
			proofs = append(proofs, fmt.Sprint(c.Identifier, c.Wildcard))
		}
		slices.Sort(proofs)
		if want := []string{"2001:db8::1 false", "example.org false", "example.org true"}; !slices.Equal(proofs, want) || auth.cleaned != 1 {
			t.Errorf("proofs %v, cleaned up %d times", proofs, auth.cleaned)
		}
	})
}

func TestLostAnswersCostNoCertificate(t *testing.T) {
	for _, resource := range []string{"new", "authz", "challenge", "finalize", "order", "cert"} {
		t.Run(resource, func(t *testing.T) {
			lost := false
			var mu sync.Mutex
			h := &acmetest.CA{Lose: func(of string) bool {
				mu.Lock()
				defer mu.Unlock()
				lose := of == resource && !lost
				lost = lost || lose
				return lose
			}}
			r, _ := request(t, "a.example.org", "b.example.org")
			obtain(t, h, r, func(t *testing.T, _ *Obtained, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSubsetOfNames(t *testing.T) {
	sub := func(name string) *acme.Problem {
		id := identifier.Identifier{Type: identifier.DNS, Value: name}
		return acme.Problemf(acme.RejectedIdentifier, "not %s", name).For(id)
	}
	refusing := func(names ...string) func(string, []byte) *acme.Problem {
		return func(resource string, payload []byte) *acme.Problem {
			var subs []*acme.Problem
			for _, n := range names {
				if resource == "new" && strings.Contains(string(payload), `"`+n+`"`) {
					subs = append(subs, sub(strings.ToUpper(n)), nil) // as some CA writes it
				}
			}
			if subs == nil {
				return nil
			}
			return &acme.Problem{Type: acme.RejectedIdentifier, Status: 403, Detail: "some names", Subproblems: subs}
		}
	}
	invalid := func(names ...string) func(string) acme.Status {
		return func(name string) acme.Status {
			if slices.Contains(names, name) {
				return acme.Invalid
			}
			return ""
		}
	}
	all := []string{"a.example.org", "*.a.example.org", "b.example.org"}
	for name, c := range map[string]struct {
		ca    *acmetest.CA
		whole bool     // no subset is wanted
		kept  []string // nil when the order fails
	}{
		"all are good":                    {&acmetest.CA{}, false, all},
		"one is refused":                  {&acmetest.CA{Refuse: refusing("b.example.org")}, false, []string{"a.example.org", "*.a.example.org"}},
		"a wildcard is refused":           {&acmetest.CA{Refuse: refusing("*.a.example.org")}, false, []string{"a.example.org", "b.example.org"}},
		"one is not proved":               {&acmetest.CA{Look: invalid("a.example.org")}, false, []string{"*.a.example.org", "b.example.org"}},
		"a wildcard is not proved":        {&acmetest.CA{Look: invalid("*.a.example.org")}, false, []string{"a.example.org", "b.example.org"}},
		"one is refused, one not proved":  {&acmetest.CA{Refuse: refusing("b.example.org"), Look: invalid("a.example.org")}, false, []string{"*.a.example.org"}},
		"all are refused":                 {&acmetest.CA{Refuse: refusing(all...)}, false, nil},
		"none is proved":                  {&acmetest.CA{Look: invalid(all...)}, false, nil},
		"one is refused, and all needed":  {&acmetest.CA{Refuse: refusing("b.example.org")}, true, nil},
		"one not proved, and all needed":  {&acmetest.CA{Look: invalid("b.example.org")}, true, nil},
		"a refusal that is about no name": {&acmetest.CA{Refuse: refusing("*.a.example.org", "x.example.org")}, false, []string{"a.example.org", "b.example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, auth := request(t, all...)
			r.AllowSubset = !c.whole
			obtain(t, c.ca, r, func(t *testing.T, got *Obtained, err error) {
				if len(auth.challenges) > 0 && auth.cleaned == 0 {
					t.Error("answers are left behind")
				}
				if c.kept == nil {
					if err == nil {
						t.Errorf("it gave a certificate for %v", got.Cert.DNSNames)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got.Cert.DNSNames, c.kept) || len(got.LeftOut) != len(all)-len(c.kept) {
					t.Errorf("got %v, left out %v", got.Cert.DNSNames, got.LeftOut)
				}
			})
		})
	}
}

func TestTrialGivesAuthorizationsBack(t *testing.T) {
	for name, status := range map[string]acme.Status{"success": acme.Valid, "failure": acme.Invalid} {
		h := &acmetest.CA{Look: func(name string) acme.Status {
			if name == "bad.example.org" {
				return status
			}
			return ""
		}}
		r, _ := request(t, "a.example.org", "bad.example.org")
		r.Trial = true
		obtain(t, h, r, func(t *testing.T, _ *Obtained, err error) {
			if (err == nil) != (status == acme.Valid) {
				t.Errorf("%s: %v", name, err)
			}
			for n, s := range h.Authorizations() {
				if s != acme.Deactivated && s != acme.Invalid {
					t.Errorf("%s: the authorization of %s is %s", name, n, s)
				}
			}
		})
	}
}

func TestTrialThatIsInterruptedGivesAuthorizationsBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := &acmetest.CA{Look: func(name string) acme.Status {
		if name == "slow.example.org" {
			cancel()
			return acme.Pending
		}
		return ""
	}}
	r, auth := request(t, "a.example.org", "slow.example.org")
	r.Trial = true
	bubble(t, h, func(t *testing.T, ca *CA) {
		ca.dir.NewOrder = testURL + "/new"
		if _, err := ca.Obtain(ctx, Account{newKey(t), testURL + "/me"}, r); !errors.Is(err, context.Canceled) || auth.cleaned != 1 {
			t.Errorf("%v, cleaned up %d times", err, auth.cleaned)
		}
	})
	for n, s := range h.Authorizations() {
		if s != acme.Deactivated {
			t.Errorf("the authorization of %s is %s", n, s)
		}
	}
}

func TestPreferredChain(t *testing.T) {
	for prefer, top := range map[string]string{"": "New Root", "New Root": "New Root", "Old Root": "Old Root", "No Root": "New Root"} {
		h := new(acmetest.CA)
		r, _ := request(t, "a.example.org")
		r.PreferredChain = prefer
		obtain(t, h, r, func(t *testing.T, got *Obtained, err error) {
			if err != nil || got.top() != top {
				t.Errorf("%q: %v, %v", prefer, got, err)
			}
			if n := h.Asked("other"); (n > 0) != (prefer != "" && prefer != "New Root") {
				t.Errorf("%q: another chain was asked for %d times", prefer, n)
			}
		})
	}
}

func TestAlternates(t *testing.T) {
	for header, want := range map[string][]string{
		`<https://ca/1>;rel="alternate"`:                                {"https://ca/1"},
		`<https://ca/dir>;rel="index", <https://ca/1>; rel="alternate"`: {"https://ca/1"},
		`</1>;rel=alternate, </2>;title="x";rel="alternate"`:            {"/1", "/2"},
		`<https://ca/dir>;rel="index"`:                                  nil,
		`rel="alternate"`:                                               nil,
		strings.Repeat(`</1>;rel="alternate",`, 50):                     slices.Repeat([]string{"/1"}, maxAlternates),
	} {
		if got := alternates([]string{header}); !slices.Equal(got, want) {
			t.Errorf("%s: %q", header, got)
		}
	}
}

// TestAuthorizationThatAnotherOrderProves is about CAs that give one authorization to
// two orders for the same name.
func TestAuthorizationThatAnotherOrderProves(t *testing.T) {
	refused := false
	h := &acmetest.CA{Refuse: func(resource string, _ []byte) *acme.Problem {
		if resource == "challenge" && !refused {
			refused = true
			return acme.Problemf(acme.Malformed, "the authorization is not pending")
		}
		return nil
	}}
	bubble(t, h, func(t *testing.T, ca *CA) {
		ca.dir.NewOrder = testURL + "/new"
		a := Account{newKey(t), testURL + "/me"}
		r, auth := request(t, "a.example.org")
		if _, err := ca.Obtain(t.Context(), a, r); err == nil || !strings.Contains(err.Error(), "not pending") {
			t.Errorf("a refusal of a challenge that nobody looks at: %v", err)
		}
		r.Authenticator = &other{auth, func(c authenticator.Challenge) {
			n := strings.TrimPrefix(c.Token, "token-")
			if _, err := ca.post(t.Context(), a, testURL+"/challenge/"+n, struct{}{}); err != nil {
				t.Error(err)
			}
			refused = false
		}}
		if _, err := ca.Obtain(t.Context(), a, r); err != nil {
			t.Errorf("a refusal of a challenge that the CA looks at: %v", err)
		}
	})
}

// other answers a challenge itself, as another order may.
type other struct {
	*shown
	answer func(authenticator.Challenge)
}

func (o *other) Present(ctx context.Context, c []authenticator.Challenge) error {
	o.answer(c[0])
	return o.shown.Present(ctx, c)
}

func TestProfiles(t *testing.T) {
	ca := new(CA)
	ca.dir.Meta.Profiles = map[string]string{"classic": "", "shortlived": ""}
	for _, c := range []struct{ preferred, required, want, fails string }{
		{"", "", "", ""},
		{"classic", "", "classic", ""},
		{"gone", "", "", ""},
		{"classic", "shortlived", "shortlived", ""},
		{"classic", "gone", "", "classic, shortlived"},
	} {
		got, err := ca.profile(Request{PreferredProfile: c.preferred, RequiredProfile: c.required})
		if got != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

func TestHostileTokensAreNotShown(t *testing.T) {
	for token, good := range map[string]bool{"abc_-9": true, "": false, "../../etc/passwd": false, "a b": false, "$(id)": false, strings.Repeat("a", 300): false, "a\n": false} {
		p := &proof{Authorization: acme.Authorization{Identifier: identifier.Identifier{Type: identifier.DNS, Value: "a.example.org"}}}
		p.chosen = acme.Challenge{Type: acme.HTTP01, Token: token}
		if _, err := new(CA).answers(Account{Key: newKey(t)}, []*proof{p}); (err == nil) != good {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// TestWaitingGivesThePlaceBack is about an order whose proof takes long.
func TestWaitingGivesThePlaceBack(t *testing.T) {
	slow := time.Duration(0)
	var start time.Time
	h := &acmetest.CA{Look: func(string) acme.Status {
		if time.Since(start) < slow {
			return acme.Pending
		}
		return ""
	}}
	for takes, want := range map[time.Duration]int{longWait / 2: 0, 10 * longWait: 1} {
		slow = takes
		r, _ := request(t, "a.example.org")
		given, taken := 0, 0
		r.Waiting = func() func() { given++; return func() { taken++ } }
		bubble(t, h, func(t *testing.T, ca *CA) {
			start = time.Now()
			ca.dir.NewOrder = testURL + "/new"
			if _, err := ca.Obtain(t.Context(), Account{newKey(t), testURL + "/me"}, r); err != nil || given != want || taken != want {
				t.Errorf("a wait of %v: %v, the place was given back %d times and taken again %d times", takes, err, given, taken)
			}
		})
	}
}

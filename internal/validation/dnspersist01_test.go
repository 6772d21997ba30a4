package validation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

func TestDNSPersist01(t *testing.T) {
	const right = "ca.example.net; accounturi=" + account
	now := time.Unix(1_800_000_000, 0)
	tests := []struct {
		name     string
		wildcard bool
		records  []string
		says     string        // "" means that it is accepted
		lasts    time.Duration // the proof
	}{
		{"right", false, []string{right}, "", time.Hour},
		{"by another of our names, in capitals", false, []string{"CA2.example.net;AccountURI=" + account}, "", time.Hour},
		{"among other CAs'", false, []string{"ca.other.net; accounturi=x:y", "v=spf1 -all", right}, "", time.Hour},
		{"with what we don't know", false, []string{right + "; future=1"}, "", time.Hour},
		{"wildcard", true, []string{right + "; policy=WildCard"}, "", time.Hour},
		{"a wildcard's record for the name alone", false, []string{right + "; policy=wildcard"}, "", time.Hour},
		{"an unknown policy", false, []string{right + "; policy=other"}, "", time.Hour},
		{"ends soon", false, []string{fmt.Sprint(right, "; persistUntil=", now.Unix()+60)}, "", time.Minute},
		{"ends now", false, []string{fmt.Sprint(right, "; persistUntil=", now.Unix())}, "", 0},
		{"ends late", false, []string{right + "; persistuntil=18446744073709551615"}, "", time.Hour},
		{"ended", false, []string{fmt.Sprint(right, "; persistUntil=", now.Unix()-1)}, "ended at 2027-01-15T07:59:59Z", 0},
		{"ends never known", false, []string{right + "; persistUntil=soon"}, "persistUntil", 0},
		{"ends below zero", false, []string{right + "; persistUntil=-1"}, "persistUntil", 0},
		{"ends with a plus", false, []string{right + "; persistUntil=+1900000000"}, "persistUntil", 0},
		{"ends beyond all numbers", false, []string{right + "; persistUntil=18446744073709551616"}, "persistUntil", 0},
		{"ends twice", false, []string{right + "; persistUntil=1900000000; persistUntil=1900000001"}, "twice", 0},
		{"no wildcard", true, []string{right}, "policy=wildcard", 0},
		{"no wildcard by another policy", true, []string{right + "; policy=wild"}, "policy=wildcard", 0},
		{"wildcard twice", true, []string{right + "; policy=wildcard; policy=wildcard"}, "twice", 0},
		{"another account", false, []string{right + "1"}, "another account", 0},
		{"another spelling of the account", false, []string{strings.Replace(right, "acme.example.net", "ACME.example.net", 1)}, "another account", 0},
		{"two accounts", false, []string{right + "; accounturi=" + account}, "twice", 0},
		{"no account", false, []string{"ca.example.net"}, "no accounturi", 0},
		{"another CA", false, []string{"ca.other.net; accounturi=" + account}, "names this CA", 0},
		{"no CA", false, []string{"; accounturi=" + account}, "names this CA", 0},
		{"malformed", false, []string{right + "; policy"}, "malformed", 0},
		{"the right one among wrong ones", false, []string{right + "1", right + "; policy", right}, "", time.Hour},
		{"several wrong ones", false, []string{right + "1", right + "2"}, "(and 1 more)", 0},
		{"none", false, nil, `should be "` + right + `"`, 0},
		{"none for a wildcard", true, nil, `should be "` + right + `; policy=wildcard"`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
				if q.Name != "_validation-persist.www.example.org." {
					t.Errorf("asked for %s", q.Name)
				}
				for _, s := range tt.records {
					m.Answer = append(m.Answer, rr(t, fmt.Sprintf("%s 3600 IN TXT %q", q.Name, s)))
				}
			})
			v := &Validator{Resolver: &Recursive{Servers: []string{server}}, Now: func() time.Time { return now }}
			req := asks(acme.DNSPersist01)
			req.Wildcard = tt.wildcard
			res := v.Validate(t.Context(), req)
			if tt.says != "" {
				check(t, res.Problem, acme.Unauthorized, tt.says)
				return
			}
			check(t, res.Problem, "", "")
			if got := res.Until.Sub(now); got != tt.lasts {
				t.Errorf("the proof lasts %s; want %s", got, tt.lasts)
			}
		})
	}
}

func TestDNSPersist01OfSubdomainsNeedsTheirPolicy(t *testing.T) {
	value := "ca.example.net; accounturi=" + account
	for _, v := range []string{value, value + "; policy=wildcard"} {
		server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
			m.Answer = append(m.Answer, rr(t, fmt.Sprintf("%s 1 IN TXT %q", q.Name, v)))
		})
		req := asks(acme.DNSPersist01)
		req.Subdomains = true
		p := (&Validator{Resolver: &Recursive{Servers: []string{server}}}).Validate(t.Context(), req).Problem
		if (p == nil) != (v != value) {
			t.Errorf("%q: %v", v, p)
		}
	}
}

func TestDNSPersist01LastsLongEnoughToFinalize(t *testing.T) {
	now := time.Now()
	server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, rr(t, q.Name+` 0 IN TXT "ca.example.net; accounturi=`+account+`"`))
	})
	v := &Validator{Resolver: &Recursive{Servers: []string{server}}, Now: func() time.Time { return now }}
	if got := v.Validate(t.Context(), asks(acme.DNSPersist01)).Until.Sub(now); got != minPersist {
		t.Errorf("with a TTL of 0 the proof lasts %s; want %s", got, minPersist)
	}
}

func TestDNSAccount01(t *testing.T) {
	// The label of the example in draft-ietf-acme-dns-account-label.
	if got := accountLabel("https://example.com/acme/acct/ExampleAccount"); got != "_ujmmovf2vn55tgye" {
		t.Errorf("the label is %s", got)
	}
	server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		if q.Name == accountLabel(account)+"._acme-challenge.www.example.org." {
			m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
		}
	})
	v := &Validator{Resolver: &Recursive{Servers: []string{server}}}
	check(t, validate(t, v, acme.DNSAccount01), "", "")
	other := asks(acme.DNSAccount01)
	other.Account += "1"
	check(t, v.Validate(t.Context(), other).Problem, acme.Unauthorized, "there is no TXT record at "+accountLabel(other.Account))
	check(t, validate(t, v, acme.DNS01), acme.Unauthorized, "there is no TXT record at _acme-challenge.www")
}

// FuzzDNSPersist: no value is taken that doesn't spell out our name and the account,
// and a wildcard only by its policy.
func FuzzDNSPersist(f *testing.F) {
	for _, s := range []string{"", ";", "ca.example.net;accounturi=" + account, "CA.example.net ; policy=wildcard; accounturi = " + account + ";persistUntil=1900000000",
		"ca.example.net;accounturi=" + account + ";persistUntil=99999999999999999999", "ca.example.net\x00;accounturi=" + account} {
		f.Add(s, true)
		f.Add(s, false)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, value string, wildcard bool) {
		a := &attempt{Validator: &Validator{Now: func() time.Time { return now }}, Request: asks(acme.DNSPersist01)}
		a.Wildcard = wildcard
		until, ours, err := a.persists(value)
		if !ours || err != nil {
			return
		}
		lower := strings.ToLower(value)
		if !strings.Contains(value, account) || !strings.Contains(lower, "example.net") || wildcard && !strings.Contains(lower, "wildcard") ||
			!until.IsZero() && until.Before(now) {
			t.Errorf("%q is accepted until %s", value, until)
		}
	})
}

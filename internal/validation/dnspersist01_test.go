package validation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

const (
	hashes     = "https://acme.example.net/acme/main-open/account-hash/"
	thumbprint = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

// hashed is the hash of the account at a domain.
func hashed(domain, key string) string { return acme.HashedAccount(hashes, domain, key, account) }

func TestDNSPersist01(t *testing.T) {
	right := "ca.example.net; accounturi=" + hashed("www.example.org", thumbprint)
	now := time.Unix(1_800_000_000, 0)
	const never = 0
	malformed, unauthorized := acme.Malformed, acme.Unauthorized
	of := func(account string) []string { return []string{"ca.example.net; accounturi=" + account} }
	tests := []struct {
		name     string
		wildcard bool
		records  []string
		problem  acme.ProblemType // "" means that it is accepted
		says     string
		lasts    time.Duration // the proof; 0 for ever
	}{
		{"right", false, []string{right}, "", "", never},
		{"for all names", false, of(hashed("*", thumbprint)), "", "", never},
		{"by a former key", false, of(hashed("www.example.org", "former")), "", "", never},
		{"by a former key for all names", false, of(hashed("*", "former")), "", "", never},
		{"by another of our names, in capitals", false, []string{"CA2.example.net;AccountURI=" + hashed("*", thumbprint)}, "", "", never},
		{"among other CAs'", false, []string{"ca.other.net; accounturi=x:y", "v=spf1 -all", right}, "", "", never},
		{"with what we don't know", false, []string{right + "; future=1"}, "", "", never},
		{"wildcard", true, []string{right + "; policy=WildCard"}, "", "", never},
		{"a wildcard's record for the name alone", false, []string{right + "; policy=wildcard"}, "", "", never},
		{"an unknown policy", false, []string{right + "; policy=other"}, "", "", never},
		{"ends soon", false, []string{fmt.Sprint(right, "; persistUntil=", now.Unix()+60)}, "", "", time.Minute},
		{"ends late", false, []string{right + "; persistuntil=18446744073709551615"}, "", "", time.Unix(253402300799, 0).Sub(now)},
		{"ended", false, []string{fmt.Sprint(right, "; persistUntil=", now.Unix()-1)}, unauthorized, "ended at 2027-01-15T07:59:59Z", 0},
		{"ends never known", false, []string{right + "; persistUntil=soon"}, malformed, "persistUntil", 0},
		{"ends below zero", false, []string{right + "; persistUntil=-1"}, malformed, "persistUntil", 0},
		{"ends with a plus", false, []string{right + "; persistUntil=+1900000000"}, malformed, "persistUntil", 0},
		{"ends beyond all numbers", false, []string{right + "; persistUntil=18446744073709551616"}, malformed, "persistUntil", 0},
		{"ends twice", false, []string{right + "; persistUntil=1900000000; persistUntil=1900000001"}, malformed, "twice", 0},
		{"no wildcard", true, []string{right}, unauthorized, "policy=wildcard", 0},
		{"no wildcard by another policy", true, []string{right + "; policy=wild"}, unauthorized, "policy=wildcard", 0},
		{"wildcard twice", true, []string{right + "; policy=wildcard; policy=wildcard"}, malformed, "twice", 0},
		{"another account", false, of(acme.HashedAccount(hashes, "www.example.org", thumbprint, account+"1")), unauthorized, "another account", 0},
		{"another key", false, of(hashed("www.example.org", "other")), unauthorized, "another account, key", 0},
		{"another name", false, of(hashed("example.org", thumbprint)), unauthorized, "or name", 0},
		{"another spelling of the prefix", false, []string{strings.Replace(right, "acme.example.net", "ACME.example.net", 1)}, malformed, "does not begin with " + hashes, 0},
		{"another hash", false, []string{strings.Replace(right, "sha-256", "sha-512", 1)}, malformed, "does not begin with", 0},
		{"another spelling of the hash", false, []string{strings.Replace(right, "sha-256", "SHA-256", 1)}, malformed, "does not begin with", 0},
		{"a hash with an end that it has not", false, []string{right + "="}, malformed, "hash in base64url", 0},
		{"a short hash", false, []string{right[:len(right)-4]}, malformed, "hash in base64url", 0},
		{"the account itself", false, of(account), malformed, "earlier drafts", 0},
		{"two accounts", false, []string{right + "; accounturi=" + account}, malformed, "twice", 0},
		{"no account", false, []string{"ca.example.net"}, malformed, "no accounturi", 0},
		{"another CA", false, []string{strings.Replace(right, "ca.example.net", "ca.other.net", 1)}, unauthorized, "names this CA", 0},
		{"no CA", false, []string{"; accounturi=" + account}, unauthorized, "names this CA", 0},
		{"malformed", false, []string{right + "; policy"}, malformed, "malformed", 0},
		{"the right one among wrong ones", false, []string{right + "1", right + "; policy", right}, "", "", never},
		{"several wrong ones", false, []string{right + "1", right + "2"}, malformed, "(and 1 more)", 0},
		{"none", false, nil, unauthorized, `should be "` + right + `"`, 0},
		{"none for a wildcard", true, nil, unauthorized, `should be "` + right + `; policy=wildcard"`, 0},
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
			check(t, res.Problem, tt.problem, tt.says)
			if tt.lasts == never && !res.Until.IsZero() || tt.lasts != never && res.Until.Sub(now) != tt.lasts {
				t.Errorf("the proof lasts until %s; want %s", res.Until, tt.lasts)
			}
		})
	}
}

func TestDNSPersist01OfSubdomainsNeedsTheirPolicy(t *testing.T) {
	value := "ca.example.net; accounturi=" + hashed("www.example.org", thumbprint)
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

// FuzzDNSPersist: no value is taken that doesn't spell out our name and a hash of the
// account, and a wildcard only by its policy.
func FuzzDNSPersist(f *testing.F) {
	right := hashed("www.example.org", thumbprint)
	for _, s := range []string{"", ";", "ca.example.net;accounturi=" + right, "CA.example.net ; policy=wildcard; accounturi = " + hashed("*", "former") + ";persistUntil=1900000000",
		"ca.example.net;accounturi=" + right + ";persistUntil=99999999999999999999", "ca.example.net\x00;accounturi=" + right, "ca.example.net;accounturi=" + account} {
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
		names := func(domain, key string) bool { return strings.Contains(value, hashed(domain, key)) }
		if !names("www.example.org", thumbprint) && !names("*", thumbprint) && !names("www.example.org", "former") && !names("*", "former") ||
			!strings.Contains(lower, "example.net") || wildcard && !strings.Contains(lower, "wildcard") || !until.IsZero() && until.Before(now) {
			t.Errorf("%q is accepted until %s", value, until)
		}
	})
}

package authority

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func message(t testing.TB, authoritative bool, answer, ns []string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Authoritative = authoritative
	read := func(lines []string) (rrs []dns.RR) {
		for _, l := range lines {
			rr, err := dns.NewRR(l)
			if err != nil {
				t.Fatal(err)
			}
			rrs = append(rrs, rr)
		}
		return rrs
	}
	m.Answer, m.Ns = read(answer), read(ns)
	return m
}

func TestApexIn(t *testing.T) {
	const soa = " 60 IN SOA ns. hostmaster. 1 2 3 4 5"
	for _, c := range []struct {
		name       string
		answer, ns []string
		want       string
		ok         bool
	}{
		{"example.org", []string{"EXAMPLE.org." + soa}, nil, "example.org", true},
		{"www.example.org", nil, []string{"example.org." + soa}, "example.org", true},
		{"www.example.org", []string{"www.example.org. CNAME web.example.net."}, []string{"example.net." + soa}, "", false},
		{"www.example.org", nil, []string{"example.net." + soa}, "", false},
		{"www.example.org", nil, nil, "", false},
		{"", nil, []string{"." + soa}, "", true},
	} {
		if got, ok := apexIn(message(t, false, c.answer, c.ns), c.name); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
	}
}

func TestReferral(t *testing.T) {
	down := []string{"sub.example.org. NS ns1.sub.example.org.", "sub.example.org. NS ns.example.net."}
	child, names := referral(message(t, false, nil, down), "example.org", "_acme-challenge.www.sub.example.org")
	if child != "sub.example.org" || !slices.Equal(names, []string{"ns1.sub.example.org", "ns.example.net"}) {
		t.Errorf("%q, %q", child, names)
	}
	for what, m := range map[string]*dns.Msg{
		"an authoritative answer":  message(t, true, nil, down),
		"a way up":                 message(t, false, nil, []string{"org. NS ns.example.net."}),
		"the zone itself":          message(t, false, nil, []string{"example.org. NS ns.example.net."}),
		"a zone beside":            message(t, false, nil, []string{"other.example.org. NS ns.example.net."}),
		"an answer with something": message(t, false, []string{"www.sub.example.org. A 192.0.2.1"}, down),
	} {
		if child, _ := referral(m, "example.org", "_acme-challenge.www.sub.example.org"); child != "" {
			t.Errorf("%s is taken for a referral to %s", what, child)
		}
	}
}

func TestParent(t *testing.T) {
	for name, want := range map[string]string{"a.example.org": "example.org", "org": "", `a\.b.org`: "org"} {
		if got, ok := parent(name); got != want || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	if _, ok := parent(""); ok {
		t.Error("the root has a parent")
	}
}

func TestLagErrorNamesServerAndAnswer(t *testing.T) {
	e := &LagError{Name: "_acme-challenge.example.org", Server: Server{"ns1.example.org", netip.MustParseAddrPort("192.0.2.1:53")},
		Answer: `"x"`, Old: true, After: 2 * time.Minute, Further: 1}
	want := `ns1.example.org (192.0.2.1) still answers the old TXT value after 2m0s (_acme-challenge.example.org: "x", and 1 more like it)`
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, m := range []*dns.Msg{
		message(f, true, []string{`a.example.org. TXT "x" "y"`, "b.example.org. CNAME a.example.org."}, nil),
		message(f, false, nil, []string{"sub.example.org. NS ns."}),
	} {
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "a.example.org", "example.org")
	}
	f.Fuzz(func(t *testing.T, data []byte, name, zone string) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		name, zone = canonical(name), canonical(zone)
		_ = notOwn(m, name)
		_, _ = apexIn(m, name)
		if alias := aliasIn(m, name); alias != "" && canonical(alias) != alias {
			t.Errorf("the alias %q is not canonical", alias)
		}
		if child, servers := referral(m, zone, name); child != "" && (len(servers) == 0 || child == zone) {
			t.Errorf("a referral from %q to %q, %q", zone, child, servers)
		}
		_ = quoteAll(texts(m, name))
		for at, more := name, true; more; at, more = parent(at) {
			if len(at) > len(name) {
				t.Fatalf("%q has a longer parent %q", name, at)
			}
		}
	})
}

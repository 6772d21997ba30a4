package server

import (
	"net/netip"
	"slices"
	"testing"

	"vidimus/internal/config"
	"vidimus/internal/validation"
)

func TestEachDirectoryIsValidatedAsItsIssuerSays(t *testing.T) {
	c := &config.Config{URL: "https://acme.example.org", Issuers: []config.Issuer{
		{Name: "main", Open: true, CAACheck: "open", CAAIdentities: []string{"ca.example.org"}, Networks: []string{"10.1.0.0/16"}},
		{Name: "main-staging", Open: true, CAACheck: "never"},
	}}
	all, err := policies(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, caa := range map[string]bool{"main": false, "main-open": true, "main-staging": false, "main-staging-open": false} {
		p, ok := all[name]
		if !ok || p.CAA != caa || p.Accounts != "https://acme.example.org/acme/"+name+"/acct/" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	inside := netip.MustParseAddr("10.1.2.3")
	if !all["main-open"].Networks.Allow(inside) || all["main-staging-open"].Networks.Allow(inside) {
		t.Error("a network is allowed in the wrong directory")
	}
	if !slices.Equal(all["main-open"].Identities, []string{"ca.example.org"}) {
		t.Errorf("identities %q", all["main-open"].Identities)
	}
}

func TestTheResolverIsAsConfigured(t *testing.T) {
	for mode, want := range map[string]struct {
		ask  bool
		zone string
	}{config.DNSSECOff: {false, ""}, config.DNSSECReport: {true, ""}, config.DNSSECRequire: {true, "example.org"}} {
		r, err := Resolver(&config.Validation{Resolvers: []string{"127.0.0.1:53", "127.0.0.2:53"}, DNSSEC: mode, DNSSECZone: "example.org"})
		if err != nil || r.AskDNSSEC != want.ask || r.RequireDNSSEC != want.zone || len(r.Servers) != 2 {
			t.Errorf("%s: %+v, %v", mode, r, err)
		}
	}
	v, err := validator(&config.Validation{Loopback: true, Networks: []string{"127.0.0.0/8"}, HTTP01Port: 5002, TLSALPN01Port: 5001}, "1")
	if _, ok := v.Resolver.(validation.Loopback); err != nil || !ok || v.HTTPPort != 5002 || v.TLSPort != 5001 || !v.Networks.Allow(netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("%+v, %v", v, err)
	}
}

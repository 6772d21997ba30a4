package dns

import (
	"testing"

	"vidimus/internal/authenticator/dns/authority"
)

func TestTheWaitNamesWhatItIsFor(t *testing.T) {
	place := func(name, zone string) *authority.Place { return &authority.Place{Name: name, Zone: zone} }
	for want, places := range map[string][]*authority.Place{
		"example.org": {place("_acme-challenge.example.org", "example.org"), place("_acme-challenge.www.example.org", "example.org")},
		"_acme-challenge.www.example.org, example.com":                 {place("_acme-challenge.example.com", "example.com"), place("_acme-challenge.www.example.org", "")},
		"_acme-challenge.a.example.org, _acme-challenge.b.example.org": {place("_acme-challenge.b.example.org", ""), place("_acme-challenge.a.example.org", "")},
		"_acme-challenge.a.example.org, b.example and 2 more zones":    {place("b", "b.example"), place("c", "c.example"), place("_acme-challenge.a.example.org", ""), place("d", "d.example")},
	} {
		all := make(map[string]*authority.Place)
		for _, p := range places {
			all[p.Name] = p
		}
		if got := zonesOf(all); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

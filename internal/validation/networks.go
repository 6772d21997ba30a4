package validation

import "net/netip"

// Networks are the prefixes that validation may connect to besides the public
// Internet. Without one, a private or special address is never dialed, so that an
// applicant can't make the server talk to what only the server can reach (SSRF).
type Networks []netip.Prefix

// unicast is what IPv6 has of global unicast addresses (RFC 4291 §2.4 and the registry
// of what is allocated); nothing outside is reachable for everybody.
var unicast = netip.MustParsePrefix("2000::/3")

// special are the prefixes of the IANA special-purpose registries (RFC 6890) that
// are not globally reachable, and those that embed an IPv4 address.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Allow tells whether a connection to the address may be made.
func (n Networks) Allow(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.Is4() || unicast.Contains(a)
}

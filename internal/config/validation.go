package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// Validation says how challenges are validated.
type Validation struct {
	Resolvers     []string `yaml:"resolvers"`        // HOST or HOST:PORT; default those of the system
	Networks      []string `yaml:"networks"`         // prefixes that are dialed though private, such as 10.0.0.0/8
	HTTP01Port    int      `yaml:"http_01_port"`     // default 80
	TLSALPN01Port int      `yaml:"tls_alpn_01_port"` // default 443
	// Challenges are the types that are offered; an issuer may have a list of its own.
	// Default: http-01, dns-01, tls-alpn-01.
	Challenges []string `yaml:"challenges"`
	DNSSEC     string   `yaml:"dnssec"`      // DNSSECReport, the default, DNSSECOff or DNSSECRequire
	DNSSECZone string   `yaml:"dnssec_zone"` // a signed zone, by which resolvers show that they validate; default "."
	Loopback   bool     `yaml:"-"`           // every name is at this machine; for "dev"
	Partial    bool     `yaml:"-"`           // the resolvers may know some zones only; for "dev"
}

// What is made of DNSSEC. Whether signatures are right is for the resolvers to find out;
// they answer SERVFAIL when they are not, and that is a failure in each case.
const (
	DNSSECOff     = "off"                // the resolvers aren't asked
	DNSSECReport  = "report"             // what they say goes into the log and onto the record
	DNSSECRequire = "require-validating" // and a resolver that doesn't validate is not believed
)

// Challenge types that can be offered, and those that are by default.
var (
	challengeTypes = []acme.ChallengeType{acme.HTTP01, acme.DNS01, acme.TLSALPN01, acme.DNSAccount01, acme.DNSPersist01}
	usualTypes     = []string{string(acme.HTTP01), string(acme.DNS01), string(acme.TLSALPN01)}
)

func (v *Validation) complete(r *reader) {
	for i, s := range v.Resolvers {
		if _, err := netip.ParseAddr(s); err == nil {
			v.Resolvers[i] = net.JoinHostPort(s, "53")
			continue
		}
		r.address(fmt.Sprintf("validation.resolvers.%d", i), s, true)
	}
	r.networks("validation.networks", v.Networks)
	for _, p := range []struct {
		key   string
		port  *int
		usual int
	}{{"http_01_port", &v.HTTP01Port, 80}, {"tls_alpn_01_port", &v.TLSALPN01Port, 443}} {
		switch {
		case *p.port == 0:
			*p.port = p.usual
		case *p.port < 0 || *p.port > 65535:
			r.add("validation."+p.key, "%d is not a port", *p.port)
		}
	}
	r.challenges("validation.challenges", v.Challenges)
	if v.Challenges == nil {
		v.Challenges = slices.Clone(usualTypes)
	}
	switch v.DNSSEC {
	case "":
		v.DNSSEC = DNSSECReport
	case DNSSECOff, DNSSECReport, DNSSECRequire:
	default:
		r.add("validation.dnssec", "%q is none of %s, %s, %s", v.DNSSEC, DNSSECOff, DNSSECReport, DNSSECRequire)
	}
	switch _, ok := dns.IsDomainName(v.DNSSECZone); {
	case v.DNSSECZone == "":
		v.DNSSECZone = "."
	case !ok || strings.ContainsAny(v.DNSSECZone, " \t/:"):
		r.add("validation.dnssec_zone", "%q is not the name of a zone", v.DNSSECZone)
	case v.DNSSEC != DNSSECRequire:
		r.add("validation.dnssec_zone", "this is of use with dnssec: %s only", DNSSECRequire)
	}
}

// completeValidation checks what an issuer says of validation, and takes over what it
// leaves to the rest of the file; its CAA identities are complete.
func (i *Issuer) completeValidation(r *reader, path string, v *Validation) {
	r.networks(path+".networks", i.Networks)
	r.challenges(path+".challenges", i.Challenges)
	at := path + ".challenges"
	if !i.Open && i.Networks != nil {
		r.add(path+".networks", "only the open directory validates anything; add open: true")
	}
	if !i.Open && i.Challenges != nil {
		r.add(at, "only the open directory has challenges; add open: true")
	}
	if i.Challenges == nil {
		i.Challenges, at = slices.Clone(v.Challenges), "validation.challenges"
	}
	if n := len(i.CAAIdentities); i.Open && slices.Contains(i.Challenges, string(acme.DNSPersist01)) && (n == 0 || n > acme.MaxIssuerNames) {
		r.add(at, "%s needs one to %d names of the CA; the issuer %s has %d (caa_identities)", acme.DNSPersist01, acme.MaxIssuerNames, i.Name, n)
	}
}

// ChallengeTypes lists what is offered in the issuer's open directory.
func (i *Issuer) ChallengeTypes() []acme.ChallengeType {
	types := make([]acme.ChallengeType, len(i.Challenges))
	for n, t := range i.Challenges {
		types[n] = acme.ChallengeType(t)
	}
	return types
}

func (r *reader) networks(path string, list []string) {
	for i, s := range list {
		if _, err := netip.ParsePrefix(s); err != nil {
			r.add(fmt.Sprintf("%s.%d", path, i), "%q is not a network such as 10.0.0.0/8 or fd00::/8", s)
		}
	}
}

func (r *reader) challenges(path string, list []string) {
	if list != nil && len(list) == 0 {
		r.add(path, "name at least one challenge type, or leave this out")
	}
	for i, t := range list {
		switch at := fmt.Sprintf("%s.%d", path, i); {
		case !slices.Contains(challengeTypes, acme.ChallengeType(t)):
			r.add(at, "%q is no challenge type; there are %s", t, join(challengeTypes))
		case slices.Contains(list[:i], t):
			r.add(at, "%q is there twice", t)
		}
	}
}

func join(types []acme.ChallengeType) string {
	var b strings.Builder
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(t))
	}
	return b.String()
}

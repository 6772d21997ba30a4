package config

import "time"

// Protocol is what an issuer's ACME directories allow.
type Protocol struct {
	AuthorizationLife      Duration `yaml:"authorization_life"`      // how long a proof of control is good for further orders, 1h to 200d; default 30d
	MaxIdentifiers         int      `yaml:"max_identifiers"`         // in one order, 1 to 500; default 100
	SubdomainAuthorization bool     `yaml:"subdomain_authorization"` // who proves control of a name by DNS may have the names below it (RFC 9444)
}

// Limits and defaults of Protocol. The Baseline Requirements (§4.2.1) let a public CA
// use a proof of control for 200 days, and for less from year to year.
const (
	MinAuthorizationLife     = time.Hour
	MaxAuthorizationLife     = 200 * 24 * time.Hour
	DefaultAuthorizationLife = 30 * 24 * time.Hour

	MaxMaxIdentifiers     = 500
	DefaultMaxIdentifiers = 100
)

func (p *Protocol) complete(r *reader, path string) {
	switch v := time.Duration(p.AuthorizationLife); {
	case v == 0:
		p.AuthorizationLife = Duration(DefaultAuthorizationLife)
	case v < MinAuthorizationLife || v > MaxAuthorizationLife:
		r.add(path+".authorization_life", "%s is out of range: 1h to 200d", v)
	}
	switch n := p.MaxIdentifiers; {
	case n == 0:
		p.MaxIdentifiers = DefaultMaxIdentifiers
	case n < 1 || n > MaxMaxIdentifiers:
		r.add(path+".max_identifiers", "%d is out of range: 1 to %d", n, MaxMaxIdentifiers)
	}
}

package server

import (
	"net/netip"
	"slices"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/validation"
)

// validator makes what validates challenges.
func validator(c *config.Validation, version string) (*validation.Validator, error) {
	v := &validation.Validator{HTTPPort: c.HTTP01Port, TLSPort: c.TLSALPN01Port, UserAgent: "vidimusd/" + version}
	var err error
	if v.Networks, err = networks(c.Networks); err != nil {
		return nil, err
	}
	if c.Loopback {
		v.Resolver = validation.Loopback{}
		return v, nil
	}
	v.Resolver, err = Resolver(c)
	return v, err
}

// Resolver makes the resolver that a configuration describes.
func Resolver(c *config.Validation) (r *validation.Recursive, err error) {
	r = &validation.Recursive{Servers: c.Resolvers, Partial: c.Partial}
	if len(c.Resolvers) == 0 {
		if r, err = validation.FromSystem(); err != nil {
			return nil, err
		}
	}
	r.AskDNSSEC = c.DNSSEC != config.DNSSECOff
	if c.DNSSEC == config.DNSSECRequire {
		r.RequireDNSSEC = c.DNSSECZone
	}
	return r, nil
}

func networks(list []string) (out validation.Networks, err error) {
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// policies says for each ACME directory how its challenges are validated.
func policies(c *config.Config) (map[string]validation.Policy, error) {
	all := make(map[string]validation.Policy)
	for i := range c.Issuers {
		iss := &c.Issuers[i]
		own, err := networks(iss.Networks)
		if err != nil {
			return nil, err
		}
		caa := iss.CAADirectories()
		for _, name := range iss.Directories() {
			all[name] = validation.Policy{Accounts: c.URL + "/acme/" + name + "/acct/", AccountHashes: accountHashes(c.URL, name), Identities: iss.CAAIdentities,
				CAA: slices.Contains(caa, name), Networks: own, Life: time.Duration(iss.AuthorizationLife)}
		}
	}
	return all, nil
}

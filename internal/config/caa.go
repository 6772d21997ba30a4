package config

import (
	"fmt"
	"net/url"
	"slices"

	"vidimus/internal/identifier"
)

// completeCAA checks what an issuer says of CAA records (RFC 8659). A server whose URL
// has no domain name has no identity unless one is named.
func (i *Issuer) completeCAA(r *reader, path, base string) {
	switch i.CAACheck {
	case "":
		i.CAACheck = "open"
	case "open", "always", "never":
	default:
		r.add(path+".caa_check", "%q is none of open, always, never", i.CAACheck)
	}
	for n, name := range i.CAAIdentities {
		id, err := identifier.ParseDNS(name)
		switch {
		case err != nil:
			r.add(fmt.Sprintf("%s.caa_identities.%d", path, n), "%v", err)
		case id.Wildcard():
			r.add(fmt.Sprintf("%s.caa_identities.%d", path, n), "%q is a wildcard; name the domain alone", name)
		}
		i.CAAIdentities[n] = id.Value
	}
	if i.CAAIdentities != nil {
		return
	}
	if u, err := url.Parse(base); err == nil {
		if id, err := identifier.ParseDNS(u.Hostname()); err == nil {
			i.CAAIdentities = []string{id.Value}
		}
	}
}

// CAADirectories lists the issuer's ACME directories where CAA records are looked at.
func (i *Issuer) CAADirectories() []string {
	switch i.CAACheck {
	case "always":
		return i.Directories()
	case "open":
		return slices.DeleteFunc(i.Directories(), func(name string) bool { return name == i.Name })
	}
	return nil
}

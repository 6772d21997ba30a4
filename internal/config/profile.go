package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"vidimus/internal/identifier"
)

// Profile says what a certificate looks like (draft-ietf-acme-profiles). In the list
// of an issuer, one that has nothing but a name is the shared one of that name, if
// there is one.
type Profile struct {
	Name        string   `yaml:"name"`        // 1 to 64 of a-z, 0-9, hyphen, dot, underscore
	Description string   `yaml:"description"` // for people; default made of the rest
	Validity    Duration `yaml:"validity"`    // 6 to 398 days; default that of the issuer
	Keys        []string `yaml:"keys"`        // KeyTypes; default rsa, p256, p384, p521
	Usage       []string `yaml:"usage"`       // "server", "client"; default server
	Subject     Subject  `yaml:"subject"`
	CommonName  bool     `yaml:"common_name"` // a DNS name of the certificate as common name
	MustStaple  string   `yaml:"must_staple"` // "never", the default, "requested", "always"
	Policies    []string `yaml:"policies"`    // object identifiers, such as 2.23.140.1.2.1; default none
	Permitted   []string `yaml:"permitted"`   // domains, with all below them, and networks; default all
	Excluded    []string `yaml:"excluded"`    // the same; of what is permitted
}

// Subject is the organisation in the subject of certificates. The names are those of
// X.520.
type Subject struct {
	Organisation string `yaml:"organisation"`
	Unit         string `yaml:"unit"` // not in certificates that the public's clients trust
	Locality     string `yaml:"locality"`
	State        string `yaml:"state"`
	Country      string `yaml:"country"` // two letters, ISO 3166-1
}

// KeyTypes are what Profile.Keys may hold; "rsa" is RSA of 2048 to 8192 bits.
var KeyTypes = []string{"rsa", "rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521", "ed25519"}

var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// completeProfiles checks the shared profiles.
func (c *Config) completeProfiles(r *reader) {
	seen := make(map[string]bool)
	for n := range c.Profiles {
		c.Profiles[n].check(r, fmt.Sprintf("profiles.%d", n), seen)
	}
}

// completeProfiles checks the profiles of an issuer, and puts the shared ones in their
// places and the default one first.
func (i *Issuer) completeProfiles(r *reader, path string, shared []Profile) {
	seen := make(map[string]bool)
	for n := range i.Profiles {
		p := &i.Profiles[n]
		at := fmt.Sprintf("%s.profiles.%d", path, n)
		if k := slices.IndexFunc(shared, func(s Profile) bool { return s.Name == p.Name }); k >= 0 && p.onlyName() {
			if seen[p.Name] {
				r.add(at, "there are two profiles %q", p.Name)
			}
			seen[p.Name] = true
			*p = shared[k]
		} else {
			p.check(r, at, seen)
		}
		p.complete(i.Validity)
	}
	if i.DefaultProfile == "" {
		return
	}
	n := slices.IndexFunc(i.Profiles, func(p Profile) bool { return p.Name == i.DefaultProfile })
	if n < 0 {
		r.add(path+".default_profile", "there is no profile %q among those of the issuer", i.DefaultProfile)
		return
	}
	first := i.Profiles[n]
	i.Profiles = slices.Insert(slices.Delete(i.Profiles, n, n+1), 0, first)
}

// onlyName tells whether nothing but the name is given.
func (p *Profile) onlyName() bool {
	return p.Description == "" && p.Validity == 0 && p.Keys == nil && p.Usage == nil && p.Subject == Subject{} && !p.CommonName &&
		p.MustStaple == "" && p.Policies == nil && p.Permitted == nil && p.Excluded == nil
}

// complete fills in what a profile takes from its issuer, and its description.
func (p *Profile) complete(validity Duration) {
	if p.Validity == 0 {
		p.Validity = validity
	}
	if len(p.Usage) == 0 {
		p.Usage = []string{"server"}
	}
	if p.Description == "" {
		p.Description = fmt.Sprintf("for %s, good for %d days", strings.Join(p.Usage, " and "), time.Duration(p.Validity)/(24*time.Hour))
	}
}

func (p *Profile) check(r *reader, path string, seen map[string]bool) {
	at := func(key string) string { return path + "." + key }
	switch {
	case !profileName.MatchString(p.Name):
		r.add(at("name"), "%q is no name for a profile; use up to 64 of a-z, 0-9, hyphen, dot and underscore", p.Name)
	case seen[p.Name]:
		r.add(path, "there are two profiles %q", p.Name)
	}
	seen[p.Name] = true
	if v := time.Duration(p.Validity); v != 0 && (v < MinValidity || v > MaxValidity) {
		r.add(at("validity"), "%s is out of range: 6d to 398d", v)
	}
	for n, k := range p.Keys {
		if !slices.Contains(KeyTypes, k) {
			r.add(fmt.Sprintf("%s.keys.%d", path, n), "%q is no kind of key; use some of %s", k, strings.Join(KeyTypes, ", "))
		}
	}
	for n, u := range p.Usage {
		if u != "server" && u != "client" || slices.Index(p.Usage, u) != n {
			r.add(fmt.Sprintf("%s.usage.%d", path, n), "%q is no usage, or there twice; use server, client or both", u)
		}
	}
	switch p.MustStaple {
	case "", "never", "requested", "always":
	default:
		r.add(at("must_staple"), "%q is none of never, requested, always", p.MustStaple)
	}
	for n, s := range p.Policies {
		if _, err := x509.ParseOID(s); err != nil {
			r.add(fmt.Sprintf("%s.policies.%d", path, n), "%q is no object identifier such as 2.23.140.1.2.1", s)
		}
	}
	p.Subject.check(r, at("subject"))
	checkNames(r, at("permitted"), p.Permitted)
	checkNames(r, at("excluded"), p.Excluded)
}

// check keeps to the lengths of RFC 5280 appendix A.1.
func (s *Subject) check(r *reader, path string) {
	for _, f := range []struct {
		key, value string
		most       int
	}{{"organisation", s.Organisation, 64}, {"unit", s.Unit, 64}, {"locality", s.Locality, 128}, {"state", s.State, 128}} {
		if n := len([]rune(f.value)); n > f.most || strings.TrimSpace(f.value) != f.value || strings.ContainsAny(f.value, "\n\r\x00") {
			r.add(path+"."+f.key, "it must be one line of at most %d characters, without space around it", f.most)
		}
	}
	if s.Country != "" && !country.MatchString(s.Country) {
		r.add(path+".country", "%q is not two capital letters such as DE", s.Country)
	}
	if s.Organisation == "" && *s != (Subject{}) {
		r.add(path, "a subject names the organisation")
	}
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// checkNames checks a list of domains and networks.
func checkNames(r *reader, path string, list []string) {
	for n, s := range list {
		if _, err := netip.ParsePrefix(s); err == nil {
			continue
		}
		if id, err := identifier.ParseDNS(s); err != nil || id.Wildcard() {
			r.add(fmt.Sprintf("%s.%d", path, n), "%q is neither a domain such as example.org nor a network such as 10.0.0.0/8", s)
			continue
		} else {
			list[n] = id.Value
		}
	}
}

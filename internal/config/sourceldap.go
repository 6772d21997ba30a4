package config

import (
	"net"
	"net/url"

	"github.com/go-ldap/ldap/v3"
)

func (s *LDAP) complete(r *reader, path string) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "":
		r.add(path+".url", "%q is not of the form ldaps://HOST[:PORT] or ldap://HOST[:PORT]", s.URL)
	case u.Scheme == "ldaps" && s.StartTLS != nil && *s.StartTLS:
		r.add(path+".start_tls", "with ldaps:// it is TLS from the beginning; leave this key out")
	case u.Scheme == "ldap" && s.StartTLS != nil && !*s.StartTLS && !loopback(u.Hostname()):
		r.add(path+".start_tls", "without TLS the password, and who is responsible for what, may be read and changed on the way; this is for 127.0.0.1 and ::1 only")
	}
	if s.StartTLS == nil {
		starts := u != nil && u.Scheme == "ldap"
		s.StartTLS = &starts
	}
	s.CA = r.roots(path+".ca", s.CA)
	s.PasswordFile = r.secret(path+".password_file", s.PasswordFile)
	if (s.BindDN == "") != (s.PasswordFile == "") {
		r.add(path+".bind_dn", "give both bind_dn and password_file, or neither, to bind anonymously")
	}
	if s.BindDN != "" {
		r.entryDN(path+".bind_dn", s.BindDN)
	}
	if s.PageSize == 0 {
		s.PageSize = DefaultPageSize
	} else if s.PageSize < 10 || s.PageSize > 10_000 {
		r.add(path+".page_size", "%d is out of range: 10 to 10000", s.PageSize)
	}
	r.duration(path+".full_every", &s.FullEvery, MinFullEvery, MaxFullEvery, DefaultFullEvery)
	if s.Hosts == nil && s.People == nil && s.Groups == nil {
		r.add(path, "say where hosts, people or groups are")
	}
	if h := s.Hosts; h != nil {
		h.LDAPSearch.complete(r, path+".hosts")
		orElse(&h.FQDN, "cn")
	}
	if p := s.People; p != nil {
		p.LDAPSearch.complete(r, path+".people")
		orElse(&p.Login, "uid")
		orElse(&p.Name, "cn")
		orElse(&p.Email, "mail")
	}
	if g := s.Groups; g != nil {
		g.LDAPSearch.complete(r, path+".groups")
		orElse(&g.Name, "cn")
		orElse(&g.Title, "description")
		orElse(&g.Members, "member")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// entryDN is r.dn for what must not be empty.
func (r *reader) entryDN(path, s string) {
	if dn, err := ldap.ParseDN(s); err != nil || len(dn.RDNs) == 0 {
		r.add(path, "%q is not a distinguished name, such as ou=hosts,dc=example,dc=org", s)
	}
}

func (s *LDAPSearch) complete(r *reader, path string) {
	r.entryDN(path+".base", s.Base)
	orElse(&s.Filter, "(objectClass=*)")
	if _, err := ldap.CompileFilter(s.Filter); err != nil {
		r.add(path+".filter", "%q is not a search filter, such as (objectClass=device) (RFC 4515)", s.Filter)
	}
}

package hostsource

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"vidimus/internal/config"
)

const (
	dialTimeout = 10 * time.Second
	// requestTimeout bounds the answer to one request, of which a reading has many.
	requestTimeout = 60 * time.Second
	// overlap is how far behind the newest entry that was seen the next reading begins:
	// servers that replicate take up changes in another order than that of their times.
	overlap = 2 * time.Minute
	// settled is when nothing is to come any more that is older than an entry that was seen.
	settled = time.Hour
	// ldapTime is how times are written (RFC 4517 §3.3.13), as servers do for themselves.
	ldapTime = "20060102150405Z"
)

type ldapReader struct {
	c        *config.LDAP
	tls      *tls.Config
	password string
}

func openLDAP(c *config.LDAP) (Reader, error) {
	r := &ldapReader{c: c}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if r.tls, err = clientTLS(c.CA); err != nil {
		return nil, err
	}
	r.tls.ServerName = u.Hostname()
	if c.PasswordFile != "" {
		r.password, err = secret(c.PasswordFile)
	}
	return r, err
}

// clientTLS trusts the CA certificates of a file, or those of the system.
func clientTLS(ca string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return c, nil
	}
	data, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM", ca)
	}
	return c, nil
}

// secret is what a file holds, which is not to be empty.
func secret(file string) (string, error) {
	s, err := config.ReadSecret(file)
	if err != nil {
		return "", err
	}
	if s == "" { // a bind with an empty one is anonymous (RFC 4513 §5.1.2)
		return "", fmt.Errorf("%s is empty; put the password into it", file)
	}
	return s, nil
}

// Deltas implements [Reader].
func (*ldapReader) Deltas() bool { return true }

// ldapMark is the modifyTimestamp from which on each search is to go on.
type ldapMark map[string]time.Time

// Read implements [Reader].
func (r *ldapReader) Read(ctx context.Context, mark string, to Sink) (Reading, error) {
	since := ldapMark{}
	if mark != "" {
		if err := json.Unmarshal([]byte(mark), &since); err != nil {
			return Reading{}, fmt.Errorf("the mark on record: %w", err)
		}
	}
	conn, err := r.connect(ctx)
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", r.c.URL, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	l := &ldapReading{ctx: ctx, c: r.c, conn: conn, to: to, since: since, next: ldapMark{}, began: time.Now(), full: mark == "",
		refs: make(map[string]reference), told: make(map[string]bool)}
	if err := l.read(); err != nil {
		return Reading{}, fmt.Errorf("%s: %w", r.c.URL, err)
	}
	data, err := json.Marshal(l.next)
	if err != nil || len(l.next) < l.searches {
		return Reading{}, err // one whose times aren't known is read from the beginning
	}
	return Reading{Mark: string(data)}, nil
}

func (r *ldapReader) connect(ctx context.Context) (*ldap.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout}
	conn, err := ldap.DialURL(r.c.URL, ldap.DialWithDialer(d), ldap.DialWithTLSConfig(r.tls))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetTimeout(requestTimeout)
	if strings.HasPrefix(r.c.URL, "ldap://") && *r.c.StartTLS {
		err = conn.StartTLS(r.tls)
	}
	if err == nil && r.c.BindDN != "" {
		if err = conn.Bind(r.c.BindDN, r.password); err != nil {
			err = fmt.Errorf("bind as %s: %w", r.c.BindDN, err)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// reference is whom a DN, or another value, stands for.
type reference struct {
	group bool
	name  string // "" for nobody
}

// ldapReading is one reading of a directory.
type ldapReading struct {
	ctx      context.Context
	c        *config.LDAP
	conn     *ldap.Conn
	to       Sink
	since    ldapMark
	next     ldapMark
	began    time.Time
	searches int
	full     bool
	refs     map[string]reference // by the values that have been looked at, and by DNs in lower case
	told     map[string]bool      // groups, by name, that the sink has got
}

func (l *ldapReading) read() error {
	if p := l.c.People; p != nil {
		if err := l.search("people", p.LDAPSearch, []string{p.Login, p.Name, p.Email}, l.person); err != nil {
			return fmt.Errorf("people: %w", err)
		}
	}
	if g := l.c.Groups; g != nil {
		if err := l.search("groups", g.LDAPSearch, []string{g.Name, g.Title, g.Members}, l.group); err != nil {
			return fmt.Errorf("groups: %w", err)
		}
	}
	if h := l.c.Hosts; h != nil {
		attributes := append([]string{h.FQDN}, append(slices.Clone(h.People), h.Groups...)...)
		for _, a := range h.Details {
			attributes = append(attributes, a)
		}
		slices.Sort(attributes)
		if err := l.search("hosts", h.LDAPSearch, slices.Compact(attributes), l.host); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	return nil
}

// search gives each entry that a search finds, page by page (RFC 2696).
func (l *ldapReading) search(what string, s config.LDAPSearch, attributes []string, each func(*ldap.Entry) error) error {
	l.searches++
	filter, since := s.Filter, l.since[what]
	if !since.IsZero() {
		filter = fmt.Sprintf("(&%s(modifyTimestamp>=%s))", filter, since.UTC().Format(ldapTime))
	}
	paging := ldap.NewControlPaging(uint32(l.c.PageSize))
	newest := time.Time{}
	for {
		req := ldap.NewSearchRequest(s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, append(slices.Clone(attributes), "modifyTimestamp"), []ldap.Control{paging})
		res, err := l.conn.Search(req)
		if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			err = fmt.Errorf("the server gives no more than a part of it; raise its size limit for %q (%w)", l.c.BindDN, err)
		}
		if err != nil {
			return err
		}
		for _, e := range res.Entries {
			if at, err := time.Parse(ldapTime, e.GetEqualFoldAttributeValue("modifyTimestamp")); err == nil && at.After(newest) {
				newest = at
			}
			if err := each(e); err != nil {
				return err
			}
		}
		next, _ := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if next == nil || len(next.Cookie) == 0 {
			break
		}
		paging.SetCookie(next.Cookie)
	}
	switch {
	case newest.IsZero():
		newest = since
	case l.began.Sub(newest) > settled:
		newest = newest.Add(time.Second)
	default:
		newest = newest.Add(-overlap)
	}
	if newest.Before(since) {
		newest = since
	}
	if !newest.IsZero() {
		l.next[what] = newest
	}
	return nil
}

// login is that of a person; directories compare logins without regard to case.
func login(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func (l *ldapReading) person(e *ldap.Entry) error {
	p := Person{Login: login(e.GetEqualFoldAttributeValue(l.c.People.Login)), Name: e.GetEqualFoldAttributeValue(l.c.People.Name), Email: e.GetEqualFoldAttributeValue(l.c.People.Email)}
	if p.Login == "" {
		return l.to.Skip(e.DN, fmt.Errorf("it has no attribute %s", l.c.People.Login))
	}
	if dn, ok := canonicalDN(e.DN); ok && l.full {
		l.refs[dn] = reference{name: p.Login}
	}
	return l.to.Person(p)
}

func (l *ldapReading) group(e *ldap.Entry) error {
	_, err := l.takeGroup(e, l.c.Groups)
	return err
}

// takeGroup gives a group to the sink, once, and returns its name.
func (l *ldapReading) takeGroup(e *ldap.Entry, c *config.LDAPGroups) (string, error) {
	g := Group{Name: strings.TrimSpace(e.GetEqualFoldAttributeValue(c.Name)), Title: e.GetEqualFoldAttributeValue(c.Title)}
	if g.Name == "" {
		return "", l.to.Skip(e.DN, fmt.Errorf("it has no attribute %s", c.Name))
	}
	dn, ok := canonicalDN(e.DN)
	if ok {
		l.refs[dn] = reference{true, g.Name}
	}
	for _, v := range e.GetEqualFoldAttributeValues(c.Members) {
		ref, err := l.resolve(v, false)
		if err == nil && ref.group {
			err = l.to.Skip("member "+v+" of group "+g.Name, errors.New("a group within a group is not followed"))
		} else if err == nil && ref.name == "" {
			err = l.to.Skip("member "+v+" of group "+g.Name, errors.New("there is no such person"))
		}
		if err != nil {
			return "", err
		}
		if !ref.group && ref.name != "" {
			g.Members = append(g.Members, ref.name)
		}
	}
	if ok && l.told[dn] {
		return g.Name, nil
	}
	l.told[dn] = true
	return g.Name, l.to.Group(g)
}

func (l *ldapReading) host(e *ldap.Entry) error {
	c := l.c.Hosts
	h := Host{Details: make(map[string]string, len(c.Details))}
	for name, a := range c.Details {
		h.Details[name] = strings.Join(e.GetEqualFoldAttributeValues(a), ", ")
	}
	fqdns := e.GetEqualFoldAttributeValues(c.FQDN)
	if len(fqdns) == 0 {
		return l.to.Skip(e.DN, fmt.Errorf("it has no attribute %s", c.FQDN))
	}
	for i, attributes := range [][]string{c.People, c.Groups} {
		for _, a := range attributes {
			for _, v := range e.GetEqualFoldAttributeValues(a) {
				ref, err := l.resolve(v, i == 1)
				if err == nil && ref.name == "" {
					err = l.to.Skip(a+" "+v+" of "+fqdns[0], errors.New("there is nobody of that name"))
				}
				switch {
				case err != nil:
					return err
				case ref.name == "":
				case ref.group:
					h.Groups = append(h.Groups, ref.name)
				default:
					h.People = append(h.People, ref.name)
				}
			}
		}
	}
	for _, h.FQDN = range fqdns {
		if err := l.to.Host(h); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds whom a value stands for: a login, or with group the name of a group; or
// the DN of a person or group.
func (l *ldapReading) resolve(value string, group bool) (reference, error) {
	dn, ok := "", false
	if strings.Contains(value, "=") {
		if ref, known := l.refs[value]; known {
			return ref, nil
		}
		dn, ok = canonicalDN(value)
	}
	if !ok {
		if group {
			return reference{true, strings.TrimSpace(value)}, nil
		}
		return reference{name: login(value)}, nil
	}
	ref, known := l.refs[dn]
	if !known {
		var err error
		if ref, err = l.lookUp(value, group); err != nil {
			return ref, err
		}
	}
	l.refs[dn], l.refs[value] = ref, ref
	return ref, nil
}

// lookUp asks what the entry with a DN is: a person or group that one of the searches
// would find, wherever it is.
func (l *ldapReading) lookUp(dn string, group bool) (reference, error) {
	people := config.LDAPPeople{LDAPSearch: config.LDAPSearch{Filter: "(objectClass=*)"}, Login: "uid"}
	if l.c.People != nil {
		people = *l.c.People
	}
	groups := l.c.Groups
	if groups == nil && group {
		groups = &config.LDAPGroups{LDAPSearch: config.LDAPSearch{Filter: "(objectClass=*)"}, Name: "cn", Title: "description", Members: "member"}
	}
	if !group {
		e, err := l.entry(dn, people.Filter, people.Login)
		if err != nil {
			return reference{}, err
		}
		if e != nil {
			if name := login(e.GetEqualFoldAttributeValue(people.Login)); name != "" {
				return reference{name: name}, nil
			}
		}
	}
	if groups == nil {
		return reference{}, nil
	}
	e, err := l.entry(dn, groups.Filter, groups.Name, groups.Title, groups.Members)
	if err != nil || e == nil {
		return reference{}, err
	}
	name, err := l.takeGroup(e, groups)
	return reference{name != "", name}, err
}

// entry reads one entry, if there is one that a filter takes.
func (l *ldapReading) entry(dn, filter string, attributes ...string) (*ldap.Entry, error) {
	req := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, filter, attributes, nil)
	res, err := l.conn.Search(req)
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultReferral):
		return nil, nil
	case err != nil:
		return nil, cmp.Or(l.ctx.Err(), err)
	case len(res.Entries) == 0:
		return nil, nil
	}
	return res.Entries[0], nil
}

// canonicalDN is a form of a DN by which it is found however it was written.
func canonicalDN(s string) (string, bool) {
	dn, err := ldap.ParseDN(s)
	if err != nil || len(dn.RDNs) == 0 {
		return "", false
	}
	return strings.ToLower(dn.String()), true
}

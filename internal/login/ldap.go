package login

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// LDAP checks passwords by binding to a directory: a service account finds the person,
// whose DN and password are then tried. Its fields are not changed once it is in use.
type LDAP struct {
	Way         string // its name
	URL         string // ldaps://HOST[:PORT], or ldap:// with StartTLS
	StartTLS    bool
	Roots       *x509.CertPool // nil for those of the system
	BindDN      string         // of the service account; "" searches anonymously
	Password    string         // its password
	Base        string         // below which people are
	Filter      string         // %s is the login
	GroupBase   string         // below which groups are; "" for none
	GroupFilter string         // %s is the person's DN
	Attributes  LDAPAttributes
	Roles       Roles
	Create      bool // enter people who are not on record
	Codes       bool // everybody has to have one-time codes besides
	Timeout     time.Duration
}

// LDAPAttributes are the attributes of a person's entry.
type LDAPAttributes struct{ Login, Name, Email, Groups string }

const (
	// ldapMost bounds what a directory may answer in one log-in, in bytes.
	ldapMost = 4 << 20
	// ldapGroups bounds in how many groups a person is found.
	ldapGroups = 1000
)

// Name implements [PasswordWay].
func (l *LDAP) Name() string { return l.Way }

// CodeRequired implements [PasswordWay].
func (l *LDAP) CodeRequired() bool { return l.Codes }

// Check implements [PasswordWay]. A failure that is none of the person's is [ErrAway].
func (l *LDAP) Check(ctx context.Context, login, password string) (Identity, error) {
	if login == "" || password == "" { // which would be an unauthenticated bind, that succeeds (RFC 4513 §5.1.2)
		return Identity{}, ErrWrong
	}
	id, err := l.check(ctx, login, password)
	if err != nil && !errors.Is(err, ErrWrong) {
		err = fmt.Errorf("%w: %s: %w", ErrAway, l.URL, err)
	}
	return id, err
}

func (l *LDAP) check(ctx context.Context, login, password string) (id Identity, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	c, err := l.connect(ctx)
	if err != nil {
		return id, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if l.BindDN != "" {
		if err := c.Bind(l.BindDN, l.Password); err != nil {
			return id, fmt.Errorf("as the service account %s: %w", l.BindDN, err)
		}
	}
	person, err := l.find(c, login)
	if errors.Is(err, ErrWrong) { // with an answer that takes as many steps
		return id, l.nobody(c, password)
	}
	if err != nil {
		return id, err
	}
	groups, err := l.groups(c, person)
	if err != nil {
		return id, err
	}
	if err := c.Bind(person.DN, password); ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return id, ErrWrong
	} else if err != nil {
		return id, fmt.Errorf("as %s: %w", person.DN, err)
	}
	a := l.Attributes
	id = Identity{Login: person.GetEqualFoldAttributeValue(a.Login), Name: person.GetEqualFoldAttributeValue(a.Name),
		Email: person.GetEqualFoldAttributeValue(a.Email), Groups: groups, Role: l.Roles.of(groups), Method: l.Way, Create: l.Create}
	if id.Login == "" {
		return id, fmt.Errorf("%s has no attribute %s, which the login is to be in", person.DN, a.Login)
	}
	return id, nil
}

// connect dials the directory; what goes over the connection is encrypted, and bounded.
func (l *LDAP) connect(ctx context.Context) (*ldap.Conn, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, err
	}
	secure := u.Scheme == "ldaps"
	port := "389"
	if secure {
		port = "636"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil {
		return nil, err
	}
	conn = &bounded{Conn: conn, left: ldapMost}
	config := &tls.Config{ServerName: u.Hostname(), RootCAs: l.Roots, MinVersion: tls.VersionTLS12}
	if secure {
		t := tls.Client(conn, config)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = t
	}
	c := ldap.NewConn(conn, secure)
	c.SetTimeout(l.Timeout)
	c.Start()
	if !secure {
		if err := c.StartTLS(config); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// find looks for the one entry of a login; [ErrWrong] when there is none.
func (l *LDAP) find(c *ldap.Conn, login string) (*ldap.Entry, error) {
	a := l.Attributes
	r, err := c.Search(ldap.NewSearchRequest(l.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, int(l.Timeout/time.Second)+1, false,
		strings.ReplaceAll(l.Filter, "%s", ldap.EscapeFilter(login)), []string{a.Login, a.Name, a.Email, a.Groups}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || err == nil && len(r.Entries) > 1:
		return nil, fmt.Errorf("the filter %s finds several people for one login; make it stricter", l.Filter)
	case err != nil:
		return nil, fmt.Errorf("searching below %s: %w", l.Base, err)
	case len(r.Entries) == 0:
		return nil, ErrWrong
	}
	return r.Entries[0], nil
}

// nobody does for an unknown login what is done for a known one.
func (l *LDAP) nobody(c *ldap.Conn, password string) error {
	none := &ldap.Entry{DN: "cn=nobody," + l.Base}
	if _, err := l.groups(c, none); err != nil {
		return err
	}
	if err := c.Bind(none.DN, password); ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject) || err == nil {
		return ErrWrong
	} else {
		return err
	}
}

// groups are those that a person is in, each by its DN and by the value in front of it.
func (l *LDAP) groups(c *ldap.Conn, person *ldap.Entry) ([]string, error) {
	dns := person.GetEqualFoldAttributeValues(l.Attributes.Groups)
	if l.GroupBase != "" {
		r, err := c.Search(ldap.NewSearchRequest(l.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, ldapGroups, int(l.Timeout/time.Second)+1, false,
			strings.ReplaceAll(l.GroupFilter, "%s", ldap.EscapeFilter(person.DN)), []string{"1.1"}, nil))
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil, fmt.Errorf("searching groups below %s: %w", l.GroupBase, err)
		}
		if err == nil {
			for _, e := range r.Entries {
				dns = append(dns, e.DN)
			}
		}
	}
	var names []string
	for _, s := range dns {
		names = append(names, s)
		if dn, err := ldap.ParseDN(s); err == nil && len(dn.RDNs) > 0 && len(dn.RDNs[0].Attributes) > 0 {
			names = append(names, dn.RDNs[0].Attributes[0].Value)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// bounded is a connection that answers so much and no more.
type bounded struct {
	net.Conn
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes: %w", ldapMost, io.ErrUnexpectedEOF)
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

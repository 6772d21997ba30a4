package config

import (
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Portal is the pages for people, who log in to them by one of several ways. There are
// none without it.
type Portal struct {
	Title   string        `yaml:"title"`   // of the pages; default "Certificates"
	Contact string        `yaml:"contact"` // e-mail address or URL of the CA team, for people who need help
	Session PortalSession `yaml:"session"`
	Login   []LoginWay    `yaml:"login"` // in the order in which they are offered; at least one
}

// PortalSession is how long people stay logged in.
type PortalSession struct {
	Idle    Duration `yaml:"idle"`    // without doing anything, 5m to 24h; default 30m
	Longest Duration `yaml:"longest"` // in any case, 5m to 7d; default 10h
}

// LoginWay is one way of logging in: exactly one of these is there.
type LoginWay struct {
	Password    *PasswordLogin    `yaml:"password"`
	LDAP        *LDAPLogin        `yaml:"ldap"`
	OIDC        *OIDCLogin        `yaml:"oidc"`
	Certificate *CertificateLogin `yaml:"certificate"`
}

// NamedLogin is what all ways of logging in have that are elsewhere.
type NamedLogin struct {
	Name    string              `yaml:"name"`    // in URLs, the log and the audit log; default the kind of the way
	Title   string              `yaml:"title"`   // for people; default by the kind
	Unknown string              `yaml:"unknown"` // what comes of people who are not on record: "refuse", the default, or "create"
	Roles   map[string][]string `yaml:"roles"`   // auditor, operator, administrator: the groups that give it
}

// PasswordLogin is by passwords that this server keeps.
type PasswordLogin struct {
	TOTP string `yaml:"totp"` // one-time codes besides: "optional", the default, or "required"
}

// LDAPLogin is by the password that a directory knows: the person is searched for by a
// service account, then bound as.
type LDAPLogin struct {
	NamedLogin   `yaml:",inline"`
	URL          string         `yaml:"url"`           // ldaps://HOST[:PORT], or ldap:// with starttls
	StartTLS     bool           `yaml:"starttls"`      // for ldap:// URLs
	CA           string         `yaml:"ca"`            // PEM file of the CAs that vouch for the server; default those of the system
	BindDN       string         `yaml:"bind_dn"`       // of the service account; "" searches anonymously
	PasswordFile string         `yaml:"password_file"` // of the service account, 0600
	Base         string         `yaml:"base"`          // DN below which people are
	Filter       string         `yaml:"filter"`        // %s is the login, escaped; default (uid=%s)
	Attributes   LDAPAttributes `yaml:"attributes"`
	GroupBase    string         `yaml:"group_base"`   // DN below which groups are searched; "" for none
	GroupFilter  string         `yaml:"group_filter"` // %s is the person's DN, escaped; default (member=%s)
	Timeout      Duration       `yaml:"timeout"`      // of a log-in, 1s to 60s; default 10s
	TOTP         string         `yaml:"totp"`         // as with passwords
}

// LDAPAttributes are the attributes of a person's entry.
type LDAPAttributes struct {
	Login  string `yaml:"login"`  // default uid
	Name   string `yaml:"name"`   // default cn
	Email  string `yaml:"email"`  // default mail
	Groups string `yaml:"groups"` // default memberOf; a group is known by its DN and its first value
}

// OIDCLogin is by an OpenID provider (authorization code with PKCE).
type OIDCLogin struct {
	NamedLogin       `yaml:",inline"`
	Issuer           string     `yaml:"issuer"` // https:// URL, below which /.well-known/openid-configuration is
	CA               string     `yaml:"ca"`     // PEM file of the CAs that vouch for the provider; default those of the system
	ClientID         string     `yaml:"client_id"`
	ClientSecretFile string     `yaml:"client_secret_file"` // 0600; "" for a public client
	Scopes           []string   `yaml:"scopes"`             // besides openid; default profile, email
	Claims           OIDCClaims `yaml:"claims"`
}

// OIDCClaims are the claims of the ID token, or of userinfo where it hasn't them.
type OIDCClaims struct {
	Login  string `yaml:"login"`  // default preferred_username
	Name   string `yaml:"name"`   // default name
	Email  string `yaml:"email"`  // default email
	Groups string `yaml:"groups"` // default groups
}

// CertificateLogin is by a TLS client certificate, at a listener of its own, for browsers
// ask for one as soon as they connect.
type CertificateLogin struct {
	NamedLogin    `yaml:",inline"`
	Listen        string   `yaml:"listen"`         // HOST:PORT
	URL           string   `yaml:"url"`            // https://HOST:PORT as people see it; the host is that of the server's url
	CA            string   `yaml:"ca"`             // PEM file of the CAs whose certificates are taken
	Login         string   `yaml:"login"`          // where the login is: subject.uid, subject.cn, subject.serial, san.email, san.upn; default san.email
	StripDomain   string   `yaml:"strip_domain"`   // "example.org": of ada@example.org the login is ada, and other domains are refused
	CRL           []string `yaml:"crl"`            // files or http:// URLs, besides those that certificates name
	OCSP          *bool    `yaml:"ocsp"`           // ask the responders that certificates name; default true
	UnknownStatus string   `yaml:"unknown_status"` // of a certificate of which nobody tells whether it is revoked: "refuse", the default, or "accept"
}

// Limits and defaults of PortalSession.
const (
	MinSession         = 5 * time.Minute
	MaxIdle            = 24 * time.Hour
	MaxSession         = 7 * 24 * time.Hour
	DefaultIdle        = 30 * time.Minute
	DefaultLongest     = 10 * time.Hour
	DefaultPortalTitle = "Certificates"
)

func (c *Config) completePortal(r *reader) {
	p := c.Portal
	if p == nil {
		return
	}
	orElse(&p.Title, DefaultPortalTitle)
	if len(p.Title) > 80 || strings.ContainsAny(p.Title, "\n\r\x00") {
		r.add("portal.title", "the title is one line of at most 80 characters")
	}
	if p.Contact != "" && !isContact(p.Contact) {
		r.add("portal.contact", "%q is neither an e-mail address nor a URL that begins with https://", p.Contact)
	}
	orElse(&p.Session.Idle, Duration(DefaultIdle))
	orElse(&p.Session.Longest, Duration(DefaultLongest))
	r.between("portal.session.idle", p.Session.Idle, MinSession, MaxIdle)
	r.between("portal.session.longest", p.Session.Longest, MinSession, MaxSession)
	if len(p.Login) == 0 {
		r.add("portal.login", "name at least one way of logging in, such as: login: [{password: {totp: optional}}]")
	}
	names := make(map[string]bool)
	passwords, certificates := 0, 0
	for i := range p.Login {
		path := fmt.Sprintf("portal.login.%d", i)
		w := &p.Login[i]
		if n := w.count(); n != 1 {
			r.add(path, `a way of logging in is one of password, ldap, oidc and certificate, with its keys below it (if only {}); here there are %d of these`, n)
			continue
		}
		if w.Password != nil {
			if passwords++; passwords > 1 {
				r.add(path, "there are local passwords already")
			}
			r.totp(path+".password.totp", &w.Password.TOTP)
			continue
		}
		kind, n := w.named()
		n.complete(r, path+"."+kind, kind, names)
		switch {
		case w.LDAP != nil:
			w.LDAP.complete(r, path+".ldap")
		case w.OIDC != nil:
			w.OIDC.complete(r, path+".oidc")
		case w.Certificate != nil:
			if certificates++; certificates > 1 {
				r.add(path, "people log in by certificates already; one listener can ask for those of all CAs, in one file")
			}
			w.Certificate.complete(r, path+".certificate", c)
		}
	}
}

// ListenCertificates is where people log in by certificate, as HOST:PORT; "" when nobody
// does.
func (c *Config) ListenCertificates() string {
	if c.Portal != nil {
		for _, w := range c.Portal.Login {
			if w.Certificate != nil {
				return w.Certificate.Listen
			}
		}
	}
	return ""
}

func isContact(s string) bool {
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

func (w *LoginWay) count() (n int) {
	for _, there := range []bool{w.Password != nil, w.LDAP != nil, w.OIDC != nil, w.Certificate != nil} {
		if there {
			n++
		}
	}
	return n
}

func (w *LoginWay) named() (kind string, n *NamedLogin) {
	switch {
	case w.LDAP != nil:
		return "ldap", &w.LDAP.NamedLogin
	case w.OIDC != nil:
		return "oidc", &w.OIDC.NamedLogin
	default:
		return "certificate", &w.Certificate.NamedLogin
	}
}

// titles are how people are offered a way of logging in, unless the configuration says.
var titles = map[string]string{"ldap": "Password", "oidc": "Single sign-on", "certificate": "Personal certificate"}

func (n *NamedLogin) complete(r *reader, path, kind string, names map[string]bool) {
	orElse(&n.Name, kind)
	orElse(&n.Title, titles[kind])
	orElse(&n.Unknown, "refuse")
	switch {
	case !issuerName.MatchString(n.Name):
		r.add(path+".name", "%q is no name; use up to 32 of a-z, 0-9 and hyphen, as it is part of URLs", n.Name)
	case names[n.Name] || n.Name == "password":
		r.add(path+".name", "there are two ways of logging in named %q; give each a name", n.Name)
	}
	names[n.Name] = true
	r.oneOf(path+".unknown", n.Unknown, "refuse", "create")
	for role, groups := range n.Roles {
		if !slices.Contains([]string{"auditor", "operator", "administrator"}, role) {
			r.add(path+".roles."+role, "there is no role %q; the roles are auditor, operator, administrator", role)
		}
		if len(groups) == 0 || slices.Contains(groups, "") {
			r.add(path+".roles."+role, "name the groups whose members have this role")
		}
	}
}

func (r *reader) totp(path string, s *string) {
	orElse(s, "optional")
	r.oneOf(path, *s, "optional", "required")
}

// orElse sets what was not given.
func orElse[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (r *reader) oneOf(path, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		r.add(path, "%q is none of %s", s, strings.Join(allowed, ", "))
	}
}

func (r *reader) between(path string, d Duration, least, most time.Duration) {
	if v := time.Duration(d); v < least || v > most {
		r.add(path, "%s is out of range: %s to %s", v, least, most)
	}
}

// secret makes the name of a file with a secret absolute, and looks whether others may
// read it.
func (r *reader) secret(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.path(file)
	switch info, err := os.Stat(file); {
	case err != nil:
		r.add(path, "%v", err)
	case info.IsDir():
		r.add(path, "%s is a folder", file)
	case info.Mode().Perm()&0o077 != 0:
		r.add(path, "%s is open to others (mode %04o); chmod 600 it", file, info.Mode().Perm())
	default:
		if s, err := ReadSecret(file); err == nil && s == "" {
			r.add(path, "%s is empty", file)
		}
	}
	return file
}

// ReadSecret reads a password or the like from the first line of a file.
func ReadSecret(file string) (string, error) {
	const most = 4096
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if len(line) > most {
		return "", fmt.Errorf("the first line of %s is longer than %d bytes", file, most)
	}
	return strings.TrimSuffix(line, "\r"), nil
}

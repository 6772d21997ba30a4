package config

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"vidimus/internal/certificate"
)

// Limits and default of LDAPLogin.Timeout.
const (
	MinLDAPTimeout     = time.Second
	MaxLDAPTimeout     = time.Minute
	DefaultLDAPTimeout = 10 * time.Second
)

func (l *LDAPLogin) complete(r *reader, path string) {
	at := func(key string) string { return path + "." + key }
	switch u, err := url.Parse(l.URL); {
	case err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil || strings.Trim(u.Path, "/") != "":
		r.add(at("url"), "%q is not of the form ldaps://HOST[:PORT]", l.URL)
	case u.Scheme == "ldap" && !l.StartTLS:
		r.add(at("url"), "passwords would go over the network for all to read; use ldaps://, or set starttls: true")
	case u.Scheme == "ldaps" && l.StartTLS:
		r.add(at("starttls"), "ldaps:// is encrypted from the start; use one of the two")
	}
	l.CA = r.roots(at("ca"), l.CA)
	l.PasswordFile = r.secret(at("password_file"), l.PasswordFile)
	switch {
	case (l.BindDN == "") != (l.PasswordFile == ""):
		r.add(at("bind_dn"), "give both bind_dn and password_file, or neither: the search is then anonymous")
	case l.BindDN != "":
		r.dn(at("bind_dn"), l.BindDN)
	}
	if l.Base == "" {
		r.add(at("base"), "name the DN below which people are, such as ou=people,dc=example,dc=org")
	} else {
		r.dn(at("base"), l.Base)
	}
	orElse(&l.Filter, "(uid=%s)")
	r.filter(at("filter"), l.Filter)
	if l.GroupBase != "" {
		r.dn(at("group_base"), l.GroupBase)
		orElse(&l.GroupFilter, "(member=%s)")
	}
	if l.GroupFilter != "" {
		r.filter(at("group_filter"), l.GroupFilter)
		if l.GroupBase == "" {
			r.add(at("group_filter"), "give group_base too: the DN below which groups are")
		}
	}
	a := &l.Attributes
	orElse(&a.Login, "uid")
	orElse(&a.Name, "cn")
	orElse(&a.Email, "mail")
	orElse(&a.Groups, "memberOf")
	orElse(&l.Timeout, Duration(DefaultLDAPTimeout))
	r.between(at("timeout"), l.Timeout, MinLDAPTimeout, MaxLDAPTimeout)
	r.totp(at("totp"), &l.TOTP)
}

func (r *reader) dn(path, s string) {
	if _, err := ldap.ParseDN(s); err != nil {
		r.add(path, "%q is not a DN such as ou=people,dc=example,dc=org", s)
	}
}

func (r *reader) filter(path, s string) {
	if strings.Count(s, "%s") < 1 || strings.Count(s, "%") != strings.Count(s, "%s") {
		r.add(path, "%q must have %%s where the value belongs, and no other %%", s)
	} else if _, err := ldap.CompileFilter(strings.ReplaceAll(s, "%s", "x")); err != nil {
		r.add(path, "%q is not an LDAP filter such as (uid=%%s)", s)
	}
}

// roots makes the name of a file of CA certificates absolute, and reads it.
func (r *reader) roots(path, file string) string {
	if file == "" {
		return ""
	}
	file = r.path(file)
	if _, err := certificate.LoadChain(file); err != nil {
		r.add(path, "%v", err)
	}
	return file
}

func (o *OIDCLogin) complete(r *reader, path string) {
	at := func(key string) string { return path + "." + key }
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		r.add(at("issuer"), "%q is not a URL that begins with https://", o.Issuer)
	}
	o.CA = r.roots(at("ca"), o.CA)
	if o.ClientID == "" {
		r.add(at("client_id"), "give the client ID under which the provider knows this server")
	}
	o.ClientSecretFile = r.secret(at("client_secret_file"), o.ClientSecretFile)
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	for i, s := range o.Scopes {
		if s == "" || strings.ContainsAny(s, " \"\\") {
			r.add(fmt.Sprintf("%s.scopes.%d", path, i), "%q is not a scope", s)
		}
	}
	c := &o.Claims
	orElse(&c.Login, "preferred_username")
	orElse(&c.Name, "name")
	orElse(&c.Email, "email")
	orElse(&c.Groups, "groups")
}

// CertificateLoginFields are where a certificate may have the login.
var CertificateLoginFields = []string{"subject.uid", "subject.cn", "subject.serial", "san.email", "san.upn"}

func (l *CertificateLogin) complete(r *reader, path string, c *Config) {
	at := func(key string) string { return path + "." + key }
	if len(l.Roles) > 0 {
		r.add(at("roles"), "certificates tell of no groups; give roles by: vidimusd admin person role")
	}
	r.address(at("listen"), l.Listen, true)
	for _, other := range []struct{ key, value string }{{"listen", c.Listen}, {"listen_http", c.ListenHTTP}, {"listen_metrics", c.ListenMetrics}} {
		if clash(l.Listen, other.value) {
			r.add(at("listen"), "%s is taken by %s (%s); give each a port of its own", l.Listen, other.key, other.value)
		}
	}
	l.URL = r.baseURL(at("url"), l.URL, "https")
	if own, err := url.Parse(l.URL); err == nil {
		if main, err := url.Parse(c.URL); err == nil && l.URL != "" && (own.Hostname() != main.Hostname() || own.Host == main.Host) {
			r.add(at("url"), "it must have the host of the server's url, %s, so that browsers have the same cookies for both, and another port", main.Hostname())
		}
	}
	if l.CA == "" {
		r.add(at("ca"), "name the PEM file of the CAs whose certificates are taken")
	}
	l.CA = r.roots(at("ca"), l.CA)
	orElse(&l.Login, "san.email")
	r.oneOf(at("login"), l.Login, CertificateLoginFields...)
	for i, s := range l.CRL {
		where := fmt.Sprintf("%s.crl.%d", path, i)
		if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			continue
		}
		if strings.Contains(s, "://") || s == "" {
			r.add(where, "%q is neither a file nor a URL that begins with http://", s)
			continue
		}
		l.CRL[i] = r.path(s)
		if _, err := os.Stat(l.CRL[i]); err != nil {
			r.add(where, "%v", err)
		}
	}
	if l.OCSP == nil {
		yes := true
		l.OCSP = &yes
	}
	orElse(&l.UnknownStatus, "refuse")
	r.oneOf(at("unknown_status"), l.UnknownStatus, "refuse", "accept")
}

package login

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"vidimus/integration/peer"
)

// slapd runs OpenLDAP with people and groups on loopback, and returns its URLs, with StartTLS
// and with TLS from the start.
func slapd(t *testing.T, c *ca) (plain, secure string) {
	t.Helper()
	bin := peer.Need(t, "slapd")
	cert, key := c.server(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	conf := filepath.Join(dir, "slapd.conf")
	must(t, os.WriteFile(conf, []byte(strings.NewReplacer("DIR", dir, "CERT", cert, "KEY", key).Replace(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile DIR/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile CERT
TLSCertificateKeyFile KEY
security simple_bind=128
database mdb
maxsize 16777216
suffix dc=example,dc=org
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=vidimusd,dc=example,dc=org read by * none
`)), 0o600))
	ldif := filepath.Join(dir, "people.ldif")
	must(t, os.WriteFile(ldif, []byte(`dn: dc=example,dc=org
objectClass: domain
dc: example

dn: cn=vidimusd,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: vidimusd
userPassword: service secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=ada,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ada
cn: Ada by LDAP
sn: Archer
mail: ada@example.org
userPassword: ada's password

dn: uid=eve,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: eve
cn: Eve by LDAP
sn: Engel
mail: eve@example.org
userPassword: eve's password

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=ca-team,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: ca-team
member: uid=eve,ou=people,dc=example,dc=org
`), 0o600))
	peer.Must(t, exec.Command(peer.Need(t, "slapadd"), "-f", conf, "-l", ldif))
	plain, secure = fmt.Sprintf("ldap://127.0.0.1:%d", peer.FreePort(t)), fmt.Sprintf("ldaps://127.0.0.1:%d", peer.FreePort(t))
	peer.Start(t, exec.Command(bin, "-f", conf, "-h", plain+" "+secure, "-d", "0"))
	peer.Eventually(t, "slapd answers", func() bool {
		l, err := ldap.DialURL(plain)
		if err == nil {
			l.Close()
		}
		return err == nil
	})
	return plain, secure
}

func ldapWay(t *testing.T, c *ca, address, more string) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("service secret\n"), 0o600))
	return fmt.Sprintf(`    - ldap:
        url: %s
        starttls: %v
        ca: %s
        bind_dn: cn=vidimusd,dc=example,dc=org
        password_file: %s
        base: ou=people,dc=example,dc=org
        group_base: ou=groups,dc=example,dc=org
        roles: {operator: [ca-team]}
%s`, address, strings.HasPrefix(address, "ldap:"), c.file, secret, more)
}

func TestLogInByLDAP(t *testing.T) {
	c := newCA(t)
	plain, _ := slapd(t, c)
	s := start(t, ldapWay(t, c, plain, "        unknown: create\n"))
	ada := s.browser(t, nil)
	for _, wrong := range [][2]string{{"ada", "wrong"}, {"ada", ""}, {"nobody", "ada's password"}, {"*", "ada's password"}, {"ada)(uid=*", "ada's password"},
		{"ada", s.password(t, "ada")}, {"", ""}} {
		if p := ada.login(wrong[0], wrong[1]); p.status != http.StatusUnprocessableEntity || !strings.Contains(p.body, "The login or the password is wrong.") {
			t.Errorf("%q: status %d", wrong, p.status)
		}
		ada.isNobody()
	}
	if p := ada.login("ADA", "ada's password"); p.location != "/portal/account" {
		t.Fatalf("status %d to %q: %s", p.status, p.location, p.body)
	}
	ada.is("<dd>ada</dd>", "Ada Archer") // what is on record counts
	eve := s.browser(t, nil)
	eve.login("eve", "eve's password")
	eve.is("<dd>eve</dd>", "Eve by LDAP", "eve@example.org", `class="role">Operator`)
}

func TestLogInByLDAPRefusesWhoIsUnknownAndTellsWhenTheServerIsAway(t *testing.T) {
	c := newCA(t)
	plain, address := slapd(t, c)
	s := start(t, ldapWay(t, c, address, "        totp: required\n")+"    - password: {}\n")
	b := s.browser(t, nil)
	if p := b.login("eve", "eve's password"); p.status != http.StatusForbidden || !strings.Contains(p.body, "nobody of this login is known") {
		t.Errorf("status %d: %s", p.status, p.body)
	}
	// Codes are asked for besides, where they are required.
	if p := s.browser(t, nil).login("ada", "ada's password"); p.location != "/portal/login/enrol" {
		t.Errorf("status %d to %q", p.status, p.location)
	}
	// A person may have a local password too.
	b.login("ada", s.password(t, "ada"))
	b.is("Ada Archer")

	// Another CA has certified the server, or nobody answers.
	for name, way := range map[string]string{"another CA": ldapWay(t, newCA(t), address, ""), "another CA, StartTLS": ldapWay(t, newCA(t), plain, ""),
		"nobody answers": ldapWay(t, c, fmt.Sprintf("ldap://127.0.0.1:%d", peer.FreePort(t)), "")} {
		b := start(t, way).browser(t, nil)
		if p := b.login("ada", "ada's password"); p.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", name, p.status)
		}
		b.isNobody()
	}
}

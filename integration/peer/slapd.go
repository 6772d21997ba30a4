package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Slapd is an OpenLDAP server of a test's own, with the suffix dc=example,dc=org.
type Slapd struct {
	URL, Secure  string // ldap://, which has StartTLS, and ldaps://
	CA           string // file
	DN, Password string // who may do all
	cmd          *exec.Cmd
}

// StartSlapd starts a server that holds the entries of an LDIF file, which has the suffix
// too.
func StartSlapd(t testing.TB, ldif string) *Slapd {
	t.Helper()
	program, slapadd := Need(t, "slapd"), Need(t, "slapadd")
	dir := t.TempDir()
	s := &Slapd{CA: filepath.Join(dir, "ca.pem"), DN: "cn=admin,dc=example,dc=org", Password: "secret"}
	plain, secure := fmt.Sprintf("127.0.0.1:%d", FreePort(t)), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	s.URL, s.Secure = "ldap://"+plain, "ldaps://"+secure
	Must(t, exec.Command(Need(t, "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=slapd",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", filepath.Join(dir, "key.pem"), "-out", s.CA))
	conf := filepath.Join(dir, "slapd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[1]s/ca.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
maxsize 2147483648
suffix dc=example,dc=org
rootdn %[2]s
rootpw %[3]s
directory %[1]s/db
index objectClass eq
index modifyTimestamp eq
`, dir, s.DN, s.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	Must(t, exec.Command(slapadd, "-q", "-f", conf, "-l", ldif))
	s.cmd = exec.Command(program, "-d", "0", "-f", conf, "-h", s.URL+"/ "+s.Secure+"/")
	Start(t, s.cmd)
	for _, address := range []string{plain, secure} {
		Eventually(t, "slapd listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return s
}

// Stop stops the server.
func (s *Slapd) Stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

package sources

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"vidimus/integration/peer"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

// size is how many hosts there are: few in make test, and with VIDIMUS_SOAK as many as a
// university has.
func size() int {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 100_000
	}
	return 300
}

func person(i int) string { return fmt.Sprintf("uid=P%d,ou=people,dc=example,dc=org", i) }
func team(i int) string   { return fmt.Sprintf("cn=team %d,ou=groups,dc=example,dc=org", i) }
func hostDN(name string) string {
	return "cn=" + name + ",ou=hosts,dc=example,dc=org"
}

// ldif writes an organisation with n hosts, a tenth as many people, and groups of five.
func ldif(t *testing.T, n int) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "all.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	entry := func(dn string, lines ...string) {
		fmt.Fprintf(w, "dn: %s\n%s\nmodifyTimestamp: 20260101000000Z\ncreateTimestamp: 20260101000000Z\n\n", dn, strings.Join(lines, "\n"))
	}
	entry("dc=example,dc=org", "objectClass: domain", "dc: example")
	for _, ou := range []string{"people", "groups", "hosts"} {
		entry("ou="+ou+",dc=example,dc=org", "objectClass: organizationalUnit", "ou: "+ou)
	}
	people := n / 10
	for i := range people {
		entry(person(i), "objectClass: inetOrgPerson", fmt.Sprintf("uid: P%d", i), fmt.Sprintf("cn: Person %d", i), "sn: Person", fmt.Sprintf("mail: p%d@example.org", i))
	}
	for i := range people / 5 {
		lines := []string{"objectClass: groupOfNames", fmt.Sprintf("cn: team %d", i), "description: A team"}
		for k := range 5 {
			lines = append(lines, "member: "+person(i*5+k))
		}
		entry(team(i), lines...)
	}
	for i := range n {
		name := fmt.Sprintf("h%d.example.org", i)
		owners := []string{"owner: " + person(i%people), "owner: " + team(i%(people/5))}
		entry(hostDN(name), append(owners, "objectClass: device", "cn: "+name, "l: Room "+fmt.Sprint(i), "ou: Unit "+fmt.Sprint(i%20))...)
	}
	entry(hostDN("not a name"), "objectClass: device", "cn: not a name", "owner: "+person(0))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// admin is a connection that may change the directory.
func admin(t *testing.T, s *peer.Slapd) *ldap.Conn {
	t.Helper()
	data, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	c, err := ldap.DialURL(s.Secure, ldap.DialWithTLSConfig(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Bind(s.DN, s.Password); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLDAP(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testLDAP(t, "") })
	t.Run("postgres", func(t *testing.T) { testLDAP(t, postgrestest.URL(t)) })
}

func testLDAP(t *testing.T, database string) {
	n := size()
	slapd := peer.StartSlapd(t, ldif(t, n))
	s := newSite(t, database)
	s.write("password", slapd.Password+"\n")
	configure := func(url string, page int) {
		t.Helper()
		s.sources(fmt.Sprintf(`
  - name: directory
    ldap:
      url: %s
      ca: %s
      bind_dn: %s
      password_file: password
      page_size: %d
      hosts: {base: "ou=hosts,dc=example,dc=org", filter: (objectClass=device), people: [owner], details: {unit: ou, room: l}}
      people: {base: "ou=people,dc=example,dc=org", filter: (objectClass=inetOrgPerson)}
      groups: {base: "ou=groups,dc=example,dc=org", filter: (objectClass=groupOfNames)}
`, url, slapd.CA, slapd.DN, page))
	}
	configure(slapd.URL, 500)
	var all []report
	_, cmd := s.run(0, &all, "source", "sync")
	r := all[0]
	if c := r.Changes; c[store.KindHost].Added != n || c[store.KindPerson].Added != n/10 || c[store.KindGroup].Added != n/50 || !r.Full || r.Skips != 1 {
		t.Fatalf("%+v: %+v", r, r.Changes[store.KindHost])
	}
	rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss / 1024
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.Logf("%d hosts: %.1f s, %.1f s of CPU, %d MiB resident", n, r.Seconds, cpu.Seconds(), rss)
	if r.Seconds > 30 || rss > 300 {
		t.Errorf("a reading of %d hosts takes %.1f s and %d MiB; want at most 30 s and 300 MiB", n, r.Seconds, rss)
	}
	if d := s.wantHost("h7.example.org", "p7", "team "+fmt.Sprint(7%(n/50))); d["room"] != "Room 7" || d["unit"] != "Unit 7" {
		t.Errorf("%q", d)
	}

	c := admin(t, slapd)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 { // passed on
		m := ldap.NewModifyRequest(hostDN(fmt.Sprintf("h%d.example.org", i)), nil)
		m.Replace("owner", []string{person(1)})
		must(c.Modify(m))
	}
	must(c.Del(ldap.NewDelRequest(hostDN("h150.example.org"), nil)))
	must(c.ModifyDN(ldap.NewModifyDNRequest(hostDN("h151.example.org"), "cn=renamed.example.org", true, "")))
	leave := ldap.NewModifyRequest(team(0), nil)
	leave.Delete("member", []string{person(4)})
	must(c.Modify(leave))
	r = s.sync("directory")
	t.Logf("what has changed: %.2f s", r.Seconds)
	if h := r.Changes[store.KindHost]; r.Full || h.Changed != 100 || h.Added != 1 || h.Removed != 0 || r.Changes[store.KindGroup].Changed != 1 {
		t.Errorf("%+v: %+v", r, h)
	}
	if n > 1000 && r.Seconds > 1 {
		t.Errorf("reading what has changed takes %.2f s; want at most 1 s", r.Seconds)
	}
	s.wantHost("h7.example.org", "p1")
	s.wantHost("renamed.example.org", "p"+fmt.Sprint(151%(n/10)), "team "+fmt.Sprint(151%(n/50)))
	s.wantHost("h150.example.org", "p"+fmt.Sprint(150%(n/10)), "team "+fmt.Sprint(150%(n/50)))

	configure(slapd.Secure, 400) // other settings: all is read again
	r = s.sync("directory")
	t.Logf("all again: %.1f s", r.Seconds)
	if h := r.Changes[store.KindHost]; !r.Full || h.Removed != 2 || h.Changed+h.Added != 0 {
		t.Errorf("%+v: %+v", r, h)
	}
	s.wantNoHost("h150.example.org")
	s.wantNoHost("h151.example.org")

	slapd.Stop()
	if wrong, _ := s.run(1, nil, "source", "sync"); !strings.Contains(wrong, "what it said before stands") {
		t.Errorf("without the directory: %s", wrong)
	}
	s.wantHost("h7.example.org", "p1")
	var list []struct{ State, Problem string }
	if s.run(0, &list, "source", "list"); list[0].State != "failed" || !strings.Contains(list[0].Problem, "refused") {
		t.Errorf("%+v", list)
	}
}

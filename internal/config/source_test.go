package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sourceFolder is a folder with what sources name.
func sourceFolder(t *testing.T) string {
	t.Helper()
	dir := caFolder(t)
	for name, mode := range map[string]os.FileMode{"hosts.csv": 0o644, "password": 0o600, "open": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("fqdn\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSourcesAreCompleted(t *testing.T) {
	c, err := Parse([]byte(good+`sources:
  - name: directory
    ldap:
      url: ldap://ldap.example.org
      bind_dn: cn=vidimusd,dc=example,dc=org
      password_file: password
      hosts: {base: "ou=hosts,dc=example,dc=org", people: [owner], details: {unit: ou}}
      people: {base: "ou=people,dc=example,dc=org"}
      groups: {base: "ou=groups,dc=example,dc=org"}
  - name: cmdb
    priority: 2
    every: 1h
    max_loss: 0
    unassigned: team
    sql: {url: "mysql://vidimusd@db.example.org/cmdb", password_file: password, hosts: SELECT fqdn FROM host}
  - name: list
    priority: -1
    csv: {hosts: hosts.csv, separator: ";", columns: {fqdn: DNS name}}
  - name: feed
    priority: 5
    json: {from: [https://hosts.example.org/all.json], token_file: password}
`), sourceFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sources[0]
	if time.Duration(s.Every) != DefaultSourceEvery || *s.MaxLoss != DefaultMaxLoss || !*s.LDAP.StartTLS || s.LDAP.PageSize != DefaultPageSize ||
		s.LDAP.Hosts.FQDN != "cn" || s.LDAP.People.Login != "uid" || s.LDAP.Groups.Members != "member" || s.LDAP.Hosts.Filter != "(objectClass=*)" {
		t.Errorf("%+v, %+v", s, s.LDAP)
	}
	if s := c.Sources[1]; *s.MaxLoss != 0 || s.Unassigned != "team" || !filepath.IsAbs(s.SQL.PasswordFile) {
		t.Errorf("%+v", s)
	}
	if s := c.Sources[2]; !filepath.IsAbs(s.CSV.Hosts) || s.CSV.MaxSize != DefaultSourceSize {
		t.Errorf("%+v", s.CSV)
	}
	was := s.Settings()
	if s.Priority, s.Every = 9, Duration(time.Hour); s.Settings() != was {
		t.Error("how often it is read makes it another source")
	}
	if s.LDAP.Hosts.Filter = "(cn=a*)"; s.Settings() == was {
		t.Error("another filter makes it no other source")
	}
}

func TestMistakesInSources(t *testing.T) {
	dir := sourceFolder(t)
	first := strings.Count(good, "\n") + 3 // behind "sources:" and "- name:"
	const ldap = "    ldap: {url: 'ldaps://l.example.org', hosts: {base: 'dc=example,dc=org'}}\n"
	for _, x := range []struct {
		text, want string
		line       int // behind the name
	}{
		{"    ldap: {url: 'ldaps://l.example.org'}\n", "where hosts, people or groups are", 0},
		{"    ldap: {url: 'http://l.example.org', hosts: {base: 'dc=org'}}\n", "ldaps://HOST", 0},
		{"    ldap:\n      url: ldap://l.example.org\n      start_tls: false\n      hosts: {base: 'dc=org'}\n", "without TLS the password", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      start_tls: true\n      hosts: {base: 'dc=org'}\n", "leave this key out", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      bind_dn: nobody\n      password_file: password\n      hosts: {base: 'dc=org'}\n", "distinguished name", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      bind_dn: cn=a\n      hosts: {base: 'dc=org'}\n", "give both bind_dn and password_file", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      bind_dn: cn=a\n      password_file: open\n      hosts: {base: 'dc=org'}\n", "chmod 600", 3},
		{"    ldap:\n      url: ldaps://l.example.org\n      hosts:\n        base: 'dc=org'\n        filter: (cn=\n", "search filter", 4},
		{"    ldap:\n      url: ldaps://l.example.org\n      people: {base: x}\n", "distinguished name", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      ca: hosts.csv\n      people: {base: 'dc=org'}\n", "hosts.csv", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      page_size: 5\n      people: {base: 'dc=org'}\n", "out of range", 2},
		{"    ldap:\n      url: ldaps://l.example.org\n      full_every: 40d\n      people: {base: 'dc=org'}\n", "out of range", 2},
		{"    every: 1s\n" + ldap, "out of range", 0},
		{"    timeout: 9m\n" + ldap, "out of range", 0},
		{"    max_loss: 101\n" + ldap, "out of range", 0},
		{"    priority: 2000000\n" + ldap, "out of range", 0},
		{"    unassigned: me\n" + ldap, "neither nobody nor team", 0},
		{"    every: 15m\n", "here are 0 of them", -1},
		{ldap + "    json: {from: [hosts.csv]}\n", "here are 2 of them", -1},
		{ldap + "  - name: test\n    priority: 1\n" + ldap, "two sources", 1},
		{ldap + "  - name: other\n    priority: 0\n" + ldap, "different ones", 2},
		{"    sql: {url: 'oracle://x', hosts: SELECT 1}\n", "postgres://USER@HOST", 0},
		{"    sql: {url: 'postgres://u:secret@h/d', hosts: SELECT 1}\n", "password_file names", 0},
		{"    sql: {url: 'mysql://u@h', hosts: SELECT 1}\n", "name of the database", 0},
		{"    sql: {url: 'mysql://u@h/d'}\n", "give a query", 0},
		{"    csv: {}\n", "name a file", 0},
		{"    csv: {hosts: nowhere.csv}\n", "no such file", 0},
		{"    csv: {hosts: 'http://h.example.org/x'}\n", "https:// URLs", 0},
		{"    csv: {hosts: 'https://u:secret@h.example.org/x'}\n", "token_file names", 0},
		{"    csv: {hosts: hosts.csv, separator: ab}\n", "not a character", 0},
		{"    csv:\n      hosts: hosts.csv\n      columns: {owner: x}\n", "nothing that owner means", 2},
		{"    csv: {hosts: hosts.csv, max_size: -1}\n", "out of range", 0},
		{"    json: {from: []}\n", "name a file", 0},
		{"    json: {from: [.]}\n", "is a folder", 0},
		{"    json: {from: [hosts.csv], nonsense: 1}\n", "unknown key", 0},
	} {
		_, err := Parse([]byte(good+"sources:\n  - name: test\n"+x.text), dir)
		var m Mistakes
		if !errors.As(err, &m) || len(m) != 1 || m[0].Line != first+x.line || !strings.Contains(m[0].Text, x.want) {
			t.Errorf("%s: %v; want %q in line %d", x.text, err, x.want, first+x.line)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v gives the password away", err)
		}
	}
}

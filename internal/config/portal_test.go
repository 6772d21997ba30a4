package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// portalMistakes reads a configuration with this portal, and returns what is wrong below
// portal, a line each.
func portalMistakes(t *testing.T, dir, portal string) string {
	t.Helper()
	_, err := Parse([]byte("url: https://acme.example.org\nlisten: 127.0.0.1:14000\nportal:\n"+portal), dir)
	var all Mistakes
	if !errors.As(err, &all) {
		t.Fatal(err) // for there is no issuer
	}
	var text strings.Builder
	for _, m := range all {
		if strings.Contains(m.Text, "portal") || m.Line > 3 {
			text.WriteString(m.String() + "\n")
		}
	}
	return text.String()
}

func TestPortalNamesEachMistakeWithItsLine(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"open": 0o644, "empty": 0o600, "good": 0o600} {
		text := "secret\n"
		if name == "empty" {
			text = "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, portal, want string }{
		{"nothing", "  title: x\n", "line 4: portal.login: name at least one"},
		{"title", "  title: \"a\\nb\"\n", "line 4: portal.title: the title is one line"},
		{"contact", "  contact: me\n  login: [{password: {}}]\n", `line 4: portal.contact: "me" is neither`},
		{"idle", "  session: {idle: 1m}\n", "line 4: portal.session.idle: 1m0s is out of range"},
		{"longest", "  session:\n    longest: 30d\n", "line 5: portal.session.longest: 720h0m0s is out of range"},
		{"unknown key", "  login:\n    - password: {otp: yes}\n", `line 5: unknown key "otp"`},
		{"two in one", "  login:\n    - {password: {}, oidc: {}}\n", "line 5: portal.login[0]: a way of logging in is one of"},
		{"no keys", "  login:\n    - password:\n", "here there are 0 of these"},
		{"passwords twice", "  login:\n    - password: {}\n    - password: {}\n", "line 6: portal.login[1]: there are local passwords already"},
		{"totp", "  login:\n    - password: {totp: always}\n", `line 5: portal.login[0].password.totp: "always" is none of optional, required`},
		{"plain ldap", "  login:\n    - ldap:\n        url: ldap://h\n        base: dc=x\n", "line 6: portal.login[0].ldap.url: passwords would go over the network"},
		{"ldaps with starttls", "  login:\n    - ldap: {url: \"ldaps://h\", starttls: true, base: dc=x}\n", "ldap.starttls: ldaps:// is encrypted"},
		{"no ldap URL", "  login:\n    - ldap: {url: \"https://h\", base: dc=x}\n", `ldap.url: "https://h" is not of the form`},
		{"no base", "  login:\n    - ldap: {url: \"ldaps://h\"}\n", "ldap.base: name the DN"},
		{"bad base", "  login:\n    - ldap: {url: \"ldaps://h\", base: people}\n", `ldap.base: "people" is not a DN`},
		{"filter without login", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, filter: (uid=ada)}\n", "ldap.filter: "},
		{"bad filter", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, filter: (uid=%s}\n", "is not an LDAP filter"},
		{"group filter alone", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, group_filter: (member=%s)}\n", "ldap.group_filter: give group_base too"},
		{"service account alone", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, bind_dn: cn=a}\n", "ldap.bind_dn: give both"},
		{"open secret", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, bind_dn: cn=a, password_file: open}\n", "is open to others (mode 0644)"},
		{"empty secret", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, bind_dn: cn=a, password_file: empty}\n", "empty is empty"},
		{"timeout", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, timeout: 5m}\n", "ldap.timeout: 5m0s is out of range"},
		{"CA", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, ca: none.pem}\n", "ldap.ca: open "},
		{"role", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, roles: {root: [a]}}\n", `ldap.roles.root: there is no role "root"`},
		{"role of nobody", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, roles: {auditor: []}}\n", "ldap.roles.auditor: name the groups"},
		{"unknown", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, unknown: ask}\n", `ldap.unknown: "ask" is none of refuse, create`},
		{"name", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x, name: A B}\n", `ldap.name: "A B" is no name`},
		{"name twice", "  login:\n    - ldap: {url: \"ldaps://h\", base: dc=x}\n    - ldap: {url: \"ldaps://h\", base: dc=x}\n", `portal.login[1].ldap.name: there are two`},
		{"issuer", "  login:\n    - oidc: {issuer: \"http://h\", client_id: v}\n", `oidc.issuer: "http://h" is not a URL`},
		{"client", "  login:\n    - oidc: {issuer: \"https://h\"}\n", "oidc.client_id: give"},
		{"scope", "  login:\n    - oidc: {issuer: \"https://h\", client_id: v, scopes: [a b]}\n", `oidc.scopes[0]: "a b" is not a scope`},
		{"no listener", "  login:\n    - certificate: {url: \"https://acme.example.org:1\", ca: good}\n", "certificate.listen: give HOST:PORT"},
		{"listener taken", "  login:\n    - certificate: {listen: \"0.0.0.0:14000\", url: \"https://acme.example.org:1\"}\n", "is taken by listen"},
		{"another host", "  login:\n    - certificate: {listen: \":1\", url: \"https://x.example.org:1\"}\n", "certificate.url: it must have the host"},
		{"no other port", "  login:\n    - certificate: {listen: \":1\", url: \"https://acme.example.org\"}\n", "certificate.url: it must have the host"},
		{"no CA", "  login:\n    - certificate: {listen: \":1\", url: \"https://acme.example.org:1\"}\n", "certificate.ca: name the PEM file"},
		{"field", "  login:\n    - certificate: {login: cn}\n", `certificate.login: "cn" is none of subject.uid`},
		{"roles of certificates", "  login:\n    - certificate: {roles: {auditor: [a]}}\n", "certificate.roles: certificates tell of no groups"},
		{"CRL", "  login:\n    - certificate: {crl: [\"ldap://x\", none.crl]}\n", `certificate.crl[0]: "ldap://x" is neither`},
		{"CRL file", "  login:\n    - certificate: {crl: [none.crl]}\n", "certificate.crl[0]: stat "},
		{"status", "  login:\n    - certificate: {unknown_status: hope}\n", `certificate.unknown_status: "hope" is none of`},
		{"certificates twice", "  login:\n    - certificate: {}\n    - certificate: {name: x}\n", "portal.login[1]: people log in by certificates already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := portalMistakes(t, dir, tt.portal); !strings.Contains(got, tt.want) {
				t.Errorf("got:\n%s\nwant: %s", got, tt.want)
			}
		})
	}
	const good = `  title: Certificates of Example University
  contact: ca@example.org
  session: {idle: 1h, longest: 8h}
  login:
    - password: {totp: required}
    - ldap: {url: "ldaps://h", base: "ou=people,dc=example,dc=org", bind_dn: cn=a, password_file: good, roles: {operator: [ca-team]}}
    - oidc: {issuer: "https://h/realms/x", client_id: v, unknown: create}
    - oidc: {name: other, issuer: "https://i", client_id: v, client_secret_file: good}
`
	if got := portalMistakes(t, dir, good); got != "" {
		t.Errorf("a good one: %s", got)
	}
}

// The examples of the documentation are right, but for the files that they name.
func TestTheExamplesOfTheDocumentationAreRight(t *testing.T) {
	text, err := os.ReadFile("../../docs/portal.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		portal, ok := strings.CutPrefix(example, "portal:\n")
		if !ok {
			continue
		}
		found++
		for line := range strings.Lines(portalMistakes(t, t.TempDir(), portal)) {
			if !strings.Contains(line, "no such file") {
				t.Errorf("%s%s", example, line)
			}
		}
	}
	if found < 5 {
		t.Errorf("%d examples were found", found)
	}
}

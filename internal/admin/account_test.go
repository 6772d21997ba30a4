package admin

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/store"
)

func (s *site) account(directory, thumbprint string, contact ...string) {
	s.t.Helper()
	a := store.Account{Directory: directory, Thumbprint: thumbprint, JWK: []byte("{}"), Status: acme.Valid, Contact: contact, Created: time.Now()}
	if err := s.db.NewAccount(s.t.Context(), &a); err != nil {
		s.t.Fatal(err)
	}
}

func TestAccountsAreListedShownAndEnded(t *testing.T) {
	s := newSite(t)
	s.record(3, []byte("spki")) // account 1
	s.account("main-open", "second", "mailto:ada@example.org")
	for _, x := range []struct {
		args   string
		status int
		want   string
	}{
		{"account list", 0, "2       main-open  valid"},
		{"account list --contact ada@", 0, "mailto:ada@example.org"},
		{"account list --json --directory main-open", 0, `"url": "https://127.0.0.1:14000/acme/main-open/acct/2"`},
		{"account list --directory nope", 1, "there is no ACME directory nope; there are main, "},
		{"account list --state ended", 2, "use valid, deactivated, revoked"},
		{"account list --key nofile", 2, "neither a file nor a thumbprint"},
		{"account list --limit -1", 2, "not below 0"},
		{"account list --acme-id www.example.org", 1, "there is and was no ACME-ID"},
		{"account show 1", 0, "3, of which 3 are valid"},
		{"account show https://127.0.0.1:14000/acme/main-open/acct/2", 0, "mailto:ada@example.org"},
		{"account show 1 --json", 0, `"certificates_valid": 3`},
		{"account show 9", 1, "there is no account 9; see: vidimusd admin account list"},
		{"account show ada", 2, "neither the number nor the URL"},
		{"suspension add account 2 --reason looked-into", 0, "Suspended account 2"},
		{"account list --state valid", 0, "2       main-open  suspended"},
		{"account show 2", 0, "looked-into"},
		{"account deactivate 2", 2, "--reason NOTE"},
		{"account deactivate 2 --reason gone", 1, "use --yes"},
		{"account deactivate 9 --reason gone --yes", 1, "there is no account 9"},
		{"account deactivate 2 --reason ticket-815 --yes", 0, "Ended account 2"},
		{"account deactivate 2 --reason gone --yes", 1, "account 2 is revoked already"},
		{"account list --state revoked", 0, "2       main-open  revoked"},
		{"account list --state valid --directory main-open --json", 0, "[]\n"},
	} {
		status, out, errs := s.admin(strings.Fields(x.args)...)
		if status != x.status || !strings.Contains(out+errs, x.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s%s", x.args, status, x.status, x.want, out, errs)
		}
	}
	rows, err := s.db.AuditRows(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if last := rows[len(rows)-1]; last.Action != "account.revoked" || last.Object != "2" || !strings.Contains(string(last.Detail), "ticket-815") || !strings.Contains(string(last.Actor), "operator") {
		t.Errorf("the audit log ends with %+v", last)
	}
}

func TestAccountsAreFoundByTheirKeys(t *testing.T) {
	s := newSite(t)
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(sum)
	s.account("main-open", "other")
	s.account("main-open", text)
	pem, err := certificate.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwk.MarshalJSON() // as Certbot keeps it
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{text}
	for name, data := range map[string][]byte{"key.pem": pem, "private_key.json": private} {
		args = append(args, filepath.Join(dir, name))
		if err := os.WriteFile(args[len(args)-1], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arg := range args {
		var all []struct{ Number int }
		status, out, errs := s.admin("account", "list", "--json", "--key", arg)
		if err := json.Unmarshal([]byte(out), &all); status != 0 || err != nil || len(all) != 1 || all[0].Number != 2 {
			t.Errorf("--key %s: status %d, %v, %+v%s", arg, status, err, all, errs)
		}
	}
}

// More accounts than are read at once, and parts of the list.
func TestAccountsArePaged(t *testing.T) {
	s := newSite(t)
	const n = 1100
	for i := range n {
		s.account("main-open", fmt.Sprint("key", i))
	}
	for args, want := range map[string]int{"": n, "--limit 1000": 1000, "--limit 1001": 1001, "--after 1000": 100, "--after 1000 --limit 10": 10, "--after 9999": 0, "--directory main-open": n} {
		status, out, errs := s.admin(append([]string{"account", "list"}, strings.Fields(args)...)...)
		if got := strings.Count(out, "\n") - 1; status != 0 || got != want {
			t.Errorf("%s: status %d, %d accounts; want %d\n%s", args, status, got, want, errs)
		}
	}
}

func TestArgumentsAreCompletedFromTheDatabase(t *testing.T) {
	s := newSite(t)
	s.record(2, []byte("spki"))
	for _, args := range []string{"host add www.example.org", "acme-id add www.example.org"} {
		if status, _, errs := s.admin(strings.Fields(args)...); status != 0 {
			t.Fatal(errs)
		}
	}
	for args, want := range map[string]string{
		"account show ":                     "1\tvalid, of directory main\n",
		"account deactivate ":               "1\t",
		"account list --state d":            "deactivated\n",
		"account list --directory main":     "main-open\n",
		"host show www":                     "www.example.org\n",
		"acme-id names ":                    "www.example.org\n",
		"certificate show 4":                "400007\n",
		"certificate list --serial 4":       "400007\n",
		"certificate list --host w":         "www.example.org\n",
		"certificate list --issuer m":       "main-staging\n",
		"certificate revoke --acme-id www.": "www.example.org\n",
	} {
		var out strings.Builder
		words := strings.Split(args, " ")
		Main(append([]string{"__complete", "admin", "--config", s.config}, words...), "test", &out, new(strings.Builder))
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "ShellCompDirectiveError") {
			t.Errorf("%s: %q; want %q", args, &out, want)
		}
	}
}

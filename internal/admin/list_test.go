package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// TestListTakesASelectionOfAllThatIsOnRecord also of what is revoked.
func TestListTakesASelectionOfAllThatIsOnRecord(t *testing.T) {
	s := newSite(t)
	const n = 300 // more than a block of lines
	s.record(n, []byte("spki"))
	if status, _, errs := s.admin("certificate", "revoke", "--host", "h1.example.org", "--yes"); status != 0 {
		t.Fatal(errs)
	}
	for _, x := range []struct {
		args string
		want int
	}{
		{"", n},
		{"--valid", n - 1},
		{"--subtree example.org", n},
		{"--host h1.example.org", 1},
		{"--name h1.example.org --valid", 0},
		{"--account 1 --issued-before 2020-01-01", 0},
		{"--account 1", n},
	} {
		args := append([]string{"certificate", "list"}, strings.Fields(x.args)...)
		var all []struct{ Serial, State string }
		status, out, errs := s.admin(append(args, "--json")...)
		if err := json.Unmarshal([]byte(out), &all); status != 0 || err != nil || len(all) != x.want {
			t.Errorf("list %s: status %d, %v, %d certificates; want %d\n%s", x.args, status, err, len(all), x.want, errs)
		}
		if status, out, _ := s.admin(args...); status != 0 || strings.Count(out, "\n") != 1+x.want || !strings.HasPrefix(out, "SERIAL ") {
			t.Errorf("list %s: status %d, %d lines; want a heading and %d", x.args, status, strings.Count(out, "\n"), x.want)
		}
	}
	for args, want := range map[string]string{
		"--account 2":              "there is no account 2; see: vidimusd admin account list",
		"--issuer nope":            "there is no issuer nope; there are main, main-staging",
		"--host h.example.com":     "no host h.example.com is on record",
		"--host nope":              "no host nope is on record",
		"--name *.example.org":     "no certificate is for exactly *.example.org",
		"--serial 99":              "there is no certificate 99 on record",
		"--acme-id h1.example.org": "there is and was no ACME-ID h1.example.org",
		"--host h1.example.org --host h1.example.com": "no host h1.example.com is on record",
	} {
		for _, command := range []string{"certificate list", "certificate revoke --yes", "renew-now --yes"} {
			status, out, errs := s.admin(strings.Fields(command + " " + args)...)
			if status != 1 || out != "" || !strings.Contains(errs, want) {
				t.Errorf("%s %s: status %d, %q, %q; want 1 and %q", command, args, status, out, errs, want)
			}
		}
	}
	if status, _, errs := s.admin("host", "add", "new.example.org"); status != 0 {
		t.Fatal(errs)
	}
	if status, out, errs := s.admin("certificate", "revoke", "--host", "new.example.org"); status != 0 || !strings.Contains(out, "0 certificates") {
		t.Errorf("a host without certificates: status %d, %s%s", status, out, errs)
	}
	if status, _, errs := s.admin("certificate", "list", "--account", "nobody"); status != 2 || !strings.Contains(errs, "neither the number nor the URL") {
		t.Errorf("status %d, %s", status, errs)
	}
	status, out, _ := s.admin("certificate", "show", "400007")
	for _, want := range []string{"revoked ", "account 1 of directory main", "vidimusd audit export --object 400007"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("show: status %d, %q is missing in\n%s", status, want, out)
		}
	}
}

func TestPeopleAndNamesChangeOnlyWhenSomethingIsSaid(t *testing.T) {
	s := newSite(t)
	s.says([]said{
		{"person add ada", 0, "Added person ada"},
		{"host add www.example.org", 0, "Added host"},
		{"host people www.example.org", 2, "say what is to change, by --add or --remove"},
		{"host people www.example.org --add ada", 0, "Responsible for www.example.org: ada"},
		{"host people www.example.org --remove ada", 0, "Responsible for www.example.org: nobody"},
		{"acme-id add www.example.org", 1, "nobody is responsible for host www.example.org"},
		{"host people www.example.org --ca-team", 0, "Responsible for www.example.org: the CA team"},
		{"acme-id add www.example.org", 0, "--eab-hmac-key-file FILE"},
		{"acme-id names www.example.org", 2, "say what is to change, by --add or --remove"},
		{"renew-now undo 3", 1, "there is no call 3 that holds"},
	})
}

// The server's own certificate may be for localhost.
func TestSelectionsTakeNamesOfOneLabel(t *testing.T) {
	s := newSite(t)
	unfinished(t, s)
	for _, args := range []string{"--name localhost", "--host LocalHost", "--subtree localhost", "--name 127.0.0.1", "--host 127.0.0.1"} {
		if status, out, errs := s.admin(strings.Fields("certificate list " + args)...); status != 0 || !strings.Contains(out, "\n4a ") {
			t.Errorf("%s: status %d, %s%s", args, status, out, errs)
		}
	}
}

// unfinished records a certificate of the server itself that is about to be signed.
func unfinished(t *testing.T, s *site) {
	t.Helper()
	shard, err := s.db.TakePlaces(t.Context(), "main", "01", "", 1, 100_000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := store.Certificate{Serial: "4a", Issuer: "main", Shard: shard.ID, TBS: []byte("tbs"), SPKI: []byte("spki"), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		Created: time.Now(), Names: []identifier.Identifier{{Type: identifier.DNS, Value: "localhost"}, {Type: identifier.IP, Value: "127.0.0.1"}}}
	if err := s.db.BeginIssuance(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
}

package admin

import (
	"encoding/json"
	"strings"
	"testing"
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
		{"--account 2", 0},
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
	for _, x := range []struct {
		args   string
		status int
		want   string
	}{
		{"person add ada", 0, "Added person ada"},
		{"host add www.example.org", 0, "Added host"},
		{"host people www.example.org", 2, "say what is to change, by --add or --remove"},
		{"host people www.example.org --add ada", 0, "Responsible for www.example.org: ada"},
		{"host people www.example.org --remove ada", 0, "Responsible for www.example.org: none"},
		{"acme-id add www.example.org", 0, "--eab-hmac-key-file FILE"},
		{"acme-id names www.example.org", 2, "say what is to change, by --add or --remove"},
		{"renew-now undo 3", 1, "there is no call 3 that holds"},
	} {
		status, out, errs := s.admin(strings.Fields(x.args)...)
		if status != x.status || !strings.Contains(out+errs, x.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s%s", x.args, status, x.status, x.want, out, errs)
		}
	}
}

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestCAA(t *testing.T) {
	dir := caFolder(t)
	issuer := func(lines ...string) string {
		return replaced("    open: true\n", "    open: true\n    "+strings.Join(lines, "\n    ")+"\n")
	}
	atAddress := strings.Replace(good, "https://acme.example.org", "https://192.0.2.1", 1)
	tests := []struct {
		name, data, identities, directories string
	}{
		{"default", good, "[acme.example.org]", "[main-open]"},
		{"named", issuer("caa_identities: [CA.Example.org, Bücher.example]"), "[ca.example.org xn--bcher-kva.example]", "[main-open]"},
		{"for all", issuer("caa_check: always"), "[acme.example.org]", "[main main-open]"},
		{"open", issuer("caa_check: open"), "[acme.example.org]", "[main-open]"},
		{"never", issuer("caa_check: never"), "[acme.example.org]", "[]"},
		{"no open directory", replaced("open: true", "open: false"), "[acme.example.org]", "[]"},
		{"no name", atAddress, "[]", "[main-open]"},
		{"localhost", strings.Replace(good, "https://acme.example.org", "https://localhost", 1), "[]", "[main-open]"},
		{"explicitly none", issuer("caa_identities: []"), "[]", "[main-open]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.data), dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.Issuers[0].CAAIdentities); got != tt.identities {
				t.Errorf("identities %s; want %s", got, tt.identities)
			}
			if got := fmt.Sprint(c.Issuers[0].CAADirectories()); got != tt.directories {
				t.Errorf("directories %s; want %s", got, tt.directories)
			}
		})
	}
	_, err := Parse([]byte(issuer("caa_check: off", `caa_identities: [good.example, "*.example.org", under_score.example]`, "caa: true")), dir)
	var m Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("accepted, or %v", err)
	}
	for _, want := range []string{`line 13: issuers[0].caa_check: "off" is none of`, "line 14: issuers[0].caa_identities[1]: ", "line 14: issuers[0].caa_identities[2]: ", `line 15: unknown key "caa"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nhas no %s", err, want)
		}
	}
}

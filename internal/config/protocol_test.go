package config

import (
	"strings"
	"testing"
	"time"
)

func TestProtocolHasDefaultsAndLimits(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                           "",
		"{authorization_life: 1h}":     "",
		"{authorization_life: 201d}":   "line 2: issuers[0].authorization_life: 4824h0m0s is out of range",
		"{authorization_life: 59m}":    "authorization_life: 59m0s is out of range: 1h to 200d",
		"{max_identifiers: 501}":       "line 2: issuers[0].max_identifiers: 501 is out of range: 1 to 500",
		"{max_identifiers: -1}":        "max_identifiers: -1 is out of range",
		"{max_identifiers: many}":      `line 2: "many" is wrong: here must stand a whole number`,
		"{subdomain_authorization: x}": `line 2: "x" is wrong: here must stand true or false`,
	} {
		_, err := Parse([]byte("issuers:\n  - "+text+"\n"), t.TempDir())
		got := err.Error() // much else is missing
		if want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: want %q in\n%s", text, want, got)
		}
		if want == "" && (strings.Contains(got, "authorization") || strings.Contains(got, "identifiers")) {
			t.Errorf("%s is not accepted:\n%s", text, got)
		}
	}
	p := Protocol{}
	if p.complete(&reader{}, ""); time.Duration(p.AuthorizationLife) != 30*24*time.Hour || p.MaxIdentifiers != 100 {
		t.Errorf("the defaults are %+v", p)
	}
}

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestValidation(t *testing.T) {
	dir := caFolder(t)
	with := func(issuer, validation string) string {
		return strings.Replace(strings.Replace(good, "    open: true\n", "    open: true\n"+issuer, 1), "validation:\n", "validation:\n"+validation, 1)
	}
	for _, tt := range []struct {
		name, data, types, dnssec, networks string
	}{
		{"default", good, "[http-01 dns-01 tls-alpn-01]", "report .", "[]"},
		{"for all", with("", "  challenges: [dns-01, dns-persist-01]\n"), "[dns-01 dns-persist-01]", "report .", "[]"},
		{"for one", with("    challenges: [dns-account-01]\n    networks: [10.1.0.0/16]\n", "  challenges: [dns-01]\n"), "[dns-account-01]", "report .", "[10.1.0.0/16]"},
		{"dnssec", with("", "  dnssec: require-validating\n  dnssec_zone: example.org\n"), "[http-01 dns-01 tls-alpn-01]", "require-validating example.org", "[]"},
		{"no dnssec", with("", "  dnssec: off\n"), "[http-01 dns-01 tls-alpn-01]", "off .", "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.data), dir)
			if err != nil {
				t.Fatal(err)
			}
			i, v := c.Issuers[0], c.Validation
			for _, x := range [][2]string{{fmt.Sprint(i.ChallengeTypes()), tt.types}, {v.DNSSEC + " " + v.DNSSECZone, tt.dnssec}, {fmt.Sprint(i.Networks), tt.networks}} {
				if x[0] != x[1] {
					t.Errorf("got %s; want %s", x[0], x[1])
				}
			}
		})
	}
	many := strings.Repeat("a.example, ", 10) + "b.example"
	for _, tt := range []struct{ name, data, want string }{
		{"unknown type", with("", "  challenges: [dns-01, tls-sni-01]\n"), `line 15: validation.challenges[1]: "tls-sni-01" is no challenge type; there are http-01`},
		{"twice", with("", "  challenges: [dns-01, dns-01]\n"), `line 15: validation.challenges[1]: "dns-01" is there twice`},
		{"none", with("", "  challenges: []\n"), "line 15: validation.challenges: name at least one"},
		{"issuer's type", with("    challenges: [dns]\n", ""), `line 13: issuers[0].challenges[0]: "dns" is no challenge type`},
		{"issuer's network", with("    networks: [ten]\n", ""), `line 13: issuers[0].networks[0]: "ten" is not a network`},
		{"without open directory", strings.Replace(with("    networks: [10.0.0.0/8]\n    challenges: [dns-01]\n", ""), "open: true", "open: false", 1),
			"line 13: issuers[0].networks: only the open directory\nline 14: issuers[0].challenges: only the open directory"},
		{"persist without a name", with("    caa_identities: []\n    challenges: [dns-persist-01]\n", ""), "line 14: issuers[0].challenges: dns-persist-01 needs one to 10 names"},
		{"persist for all without a name", with("    caa_identities: []\n", "  challenges: [dns-persist-01]\n"), "line 16: validation.challenges: dns-persist-01 needs one to 10 names"},
		{"persist with many names", with("    caa_identities: ["+many+"]\n    challenges: [dns-persist-01]\n", ""), "line 14: issuers[0].challenges: dns-persist-01 needs"},
		{"dnssec", with("", "  dnssec: true\n"), `line 15: validation.dnssec: "true" is none of off, report, require-validating`},
		{"zone", with("", "  dnssec: require-validating\n  dnssec_zone: https://example.org\n"), "line 16: validation.dnssec_zone: "},
		{"zone of no use", with("", "  dnssec_zone: example.org\n"), "line 15: validation.dnssec_zone: this is of use with dnssec: require-validating only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.data), dir)
			var m Mistakes
			if !errors.As(err, &m) {
				t.Fatalf("accepted, or %v", err)
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(tt.want, "\n")
			for i := range want {
				if len(got) != len(want) || !strings.HasPrefix(got[i], want[i]) {
					t.Fatalf("got:\n%v\nwant:\n%s", err, tt.want)
				}
			}
		})
	}
}

package config

import (
	"strings"
	"testing"
	"time"
)

// profiled is the good file with profiles, shared ones and the issuer's.
func profiled(old, with string) string {
	text := strings.Replace(good, "issuers:\n", `profiles:
  - name: short
    validity: 7d
  - name: people
    usage: [client]
issuers:
`, 1)
	text = strings.Replace(text, "    validity: 47d\n", `    validity: 47d
    default_profile: ov
    profiles:
      - name: short
      - name: ov
        keys: [rsa3072, p384]
        usage: [server, client]
        must_staple: requested
        policies: [2.23.140.1.2.2]
        common_name: true
        subject: {organisation: Example University, country: DE}
        permitted: [Example.ORG, 192.0.2.0/24]
        excluded: [secret.example.org]
`, 1)
	if !strings.Contains(text, old) {
		panic("the file has no " + old)
	}
	return strings.Replace(text, old, with, 1)
}

func TestProfilesAreSharedByName(t *testing.T) {
	c, err := Parse([]byte(profiled("", "")), caFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Issuers[0].Profiles
	if len(p) != 2 || p[0].Name != "ov" || p[1].Name != "short" {
		t.Fatalf("the profiles are %+v; the default one must come first", p)
	}
	if time.Duration(p[0].Validity) != 47*24*time.Hour || time.Duration(p[1].Validity) != 7*24*time.Hour {
		t.Errorf("they are good for %v and %v", p[0].Validity, p[1].Validity)
	}
	if p[0].Description != "for server and client, good for 47 days" || p[0].Permitted[0] != "example.org" {
		t.Errorf("the first is %+v", p[0])
	}
	if c, err = Parse([]byte(good), caFolder(t)); err != nil || c.Issuers[0].Profiles != nil {
		t.Errorf("without profiles: %v, %v", c, err)
	}
}

func TestParseNamesMistakesOfProfiles(t *testing.T) {
	dir := caFolder(t)
	for _, tt := range []struct{ name, data, want string }{
		{"name", profiled("name: people", "name: For People"), "line 9: profiles[1].name: "},
		{"twice", profiled("name: people", "name: short"), "line 9: profiles[1]: there are two"},
		{"twice at the issuer", profiled("name: ov", "name: short"), "line 20: issuers[0].profiles[1]: there are two"},
		{"validity", profiled("validity: 7d", "validity: 5d"), "line 8: profiles[0].validity: 120h0m0s is out of range"},
		{"key", profiled("p384", "p224"), "line 21: issuers[0].profiles[1].keys[1]: "},
		{"usage", profiled("[client]", "[mail]"), "line 10: profiles[1].usage[0]: "},
		{"usage twice", profiled("[server, client]", "[server, server]"), "line 22: issuers[0].profiles[1].usage[1]: "},
		{"must-staple", profiled("requested", "often"), "line 23: issuers[0].profiles[1].must_staple: "},
		{"policy", profiled("2.23.140.1.2.2", "domain-validated"), "line 24: issuers[0].profiles[1].policies[0]: "},
		{"country", profiled("DE", "Germany"), "line 26: issuers[0].profiles[1].subject.country: "},
		{"no organisation", profiled("organisation: Example University, ", ""), "line 26: issuers[0].profiles[1].subject: "},
		{"long organisation", profiled("Example University", strings.Repeat("x", 65)), "line 26: issuers[0].profiles[1].subject.organisation: "},
		{"permitted", profiled("Example.ORG", "192.0.2.1"), "line 27: issuers[0].profiles[1].permitted[0]: "},
		{"excluded", profiled("[secret.example.org]", `["*.example.org"]`), "line 28: issuers[0].profiles[1].excluded[0]: "},
		{"default", profiled("default_profile: ov", "default_profile: ev"), "line 17: issuers[0].default_profile: "},
		{"lint rules", profiled("    default_profile: ov\n", "    default_profile: ov\n    lint: lax\n"), "line 18: issuers[0].lint: "},
		{"lint", profiled("    default_profile: ov\n", "    default_profile: ov\n    lints_ignored: [e_none]\n"), "line 18: issuers[0].lints_ignored[0]: "},
		{"unknown key", profiled("common_name", "cn"), `line 25: unknown key "cn"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.data), dir)
			if err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

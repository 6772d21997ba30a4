package server

import (
	"os"
	"strings"
	"testing"
)

func TestAProfileThatLintWouldRefuseIsFoundBeforehand(t *testing.T) {
	path := initAt(t, t.TempDir())
	if wrong := TryProfiles(readConfig(t, path)); len(wrong) > 0 {
		t.Errorf("what init makes: %v", wrong)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ more, want string }{
		{"    profiles: [{name: good, permitted: [uni.test], usage: [client]}, {name: addresses, permitted: [10.0.0.0/8]}]\n", ""},
		{"    profiles: [{name: good}, {name: abroad, subject: {organisation: X, locality: Y, country: QQ}}]\n", "issuer main, profile abroad: the certificate does not pass e_subject_country_not_iso"},
		{"    lint: public\n", "issuer main: the certificate does not pass e_"},
		{"    profiles: [{name: dv, policies: [2.23.140.1.2.1], validity: 47d, permitted: [example.org]}]\n    lint: public\n", ""},
	} {
		changed := strings.Replace(string(text), "    root: ca/root.pem\n", "    root: ca/root.pem\n"+tt.more, 1)
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		wrong := TryProfiles(readConfig(t, path))
		if tt.want == "" && len(wrong) > 0 || tt.want != "" && (len(wrong) == 0 || !strings.Contains(wrong[0].Text, tt.want)) {
			t.Errorf("%s: %v; want %q", tt.more, wrong, tt.want)
		}
	}
}

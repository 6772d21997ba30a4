package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWarningsAreNoMistakes(t *testing.T) {
	dir := caFolder(t)
	for _, tt := range []struct {
		name, data string
		prepare    func() error
		want       string // the beginning of a warning
	}{
		{"a CA that is soon to expire", good, nil, `line 8: warning: issuers[0].certificate: "CN=ca" expires on `},
		{"no name in CAA records", strings.Replace(good, "https://acme.example.org:14000/", "https://192.0.2.1:14000", 1), nil,
			"line 7: warning: issuers[0].caa_identities: there are none"},
		{"metrics for everybody", good + "listen_metrics: 0.0.0.0:9764\n", nil, "line 18: warning: listen_metrics: 0.0.0.0:9764 is not on loopback"},
		{"a database for everybody", good, func() error {
			file := filepath.Join(dir, "vidimusd.db")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
			return os.Chmod(file, 0o644)
		}, "line 5: warning: database: " + dir + "/vidimusd.db is open to others (mode 0644)"},
		{"HTTPS with another's certificate", good + "tls: {certificate: ca.pem, key: ca.key}\n", nil,
			"line 18: warning: tls.certificate: the certificate is not for acme.example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.prepare != nil {
				if err := tt.prepare(); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Parse([]byte(tt.data), dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range c.Warnings {
				if strings.HasPrefix(w.String(), tt.want) {
					return
				}
			}
			t.Errorf("the warnings are:\n%v\nwant:\n%s", c.Warnings, tt.want)
		})
	}
}

func TestAnExpiredCAIsWarnedOf(t *testing.T) {
	dir := caFolder(t)
	c, err := Parse([]byte(good), dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{dir: dir}
	all := r.warnings(c, time.Now().Add(48*time.Hour)).Error()
	if !strings.Contains(all, `"CN=ca" has expired on `) {
		t.Errorf("the warnings are:\n%s", all)
	}
}

func TestACAMustLastUntilTheNextBegins(t *testing.T) {
	dir := caFolder(t)
	crossSigned(t, dir)
	c, err := Parse([]byte(rolled("", "")), dir)
	if err != nil {
		t.Fatal(err)
	}
	said := func(from, now time.Time) string {
		r := &reader{dir: dir}
		i := c.Issuers[0]
		i.Intermediates[1].From = Date(from)
		r.warnOfCA(&i, &i.Intermediates[0], "ca", now)
		return r.mistakes.Error()
	}
	now := time.Now() // the CAs end in an hour
	if got := said(now.Add(24*time.Hour), now); !strings.Contains(got, "let that one begin by") {
		t.Errorf("a gap: %q", got)
	}
	if got := said(now.Add(-time.Hour), now); got != "" {
		t.Errorf("a CA that has done its work: %q", got)
	}
	c.Issuers[0].Validity, c.Issuers[0].Profiles = Duration(time.Minute), []Profile{{Name: "p", Validity: Duration(2 * time.Minute)}}
	if got := said(now.Add(30*time.Minute), now); got != "" {
		t.Errorf("no gap: %q", got)
	}
	c.Issuers[0].Profiles[0].Validity = Duration(40 * time.Minute)
	if got := said(now.Add(30*time.Minute), now); !strings.Contains(got, "let that one begin by") {
		t.Errorf("a gap for one profile: %q", got)
	}
}

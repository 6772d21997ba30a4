package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRevocation(t *testing.T) {
	dir := caFolder(t)
	c, err := Parse([]byte(good), dir)
	if err != nil {
		t.Fatal(err)
	}
	day := Duration(24 * time.Hour)
	if c.CRL != (CRL{Validity: day, Update: day / 2, ShardSize: 10_000}) || c.RenewalInfo.RetryAfter != day/4 || *c.OCSP != (c.URLHTTP != "") {
		t.Errorf("the defaults are %+v, %v, %+v", c.CRL, *c.OCSP, c.RenewalInfo)
	}
	c, err = Parse([]byte(good+"crl: {validity: 4d, update: 6h, shard_size: 500}\nocsp: false\nrenewal_info: {retry_after: 1h}\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.CRL != (CRL{Validity: 4 * day, Update: day / 4, ShardSize: 500}) || *c.OCSP || c.RenewalInfo.RetryAfter != day/24 {
		t.Errorf("what is configured became %+v, %v, %+v", c.CRL, *c.OCSP, c.RenewalInfo)
	}
	lines := strings.Count(good, "\n")
	wrong := good + "crl:\n  validity: 30m\n  update: 30m\n  shard_size: 5\n  delta: true\nrenewal_info:\n  retry_after: 2d\n"
	_, err = Parse([]byte(wrong), dir)
	var m Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("accepted, or %v", err)
	}
	for i, want := range []string{"crl.validity: ", "crl.update: ", "crl.shard_size: ", `unknown key "delta"`, "", "renewal_info.retry_after: "} {
		found := want == ""
		for _, x := range m {
			found = found || x.Line == lines+2+i && strings.HasPrefix(x.Text, want)
		}
		if !found {
			t.Errorf("%v\nhas nothing of %s in line %d", err, want, lines+2+i)
		}
	}
	without := strings.Replace(good, "listen_http", "# listen_http", 1)
	without = strings.Replace(without, "url_http", "# url_http", 1)
	if _, err = Parse([]byte(without+"ocsp: true\n"), dir); err == nil || !strings.Contains(err.Error(), "ocsp: OCSP is served without TLS") {
		t.Errorf("OCSP without a plain listener: %v", err)
	}
	if c, err = Parse([]byte(without), dir); err != nil || *c.OCSP {
		t.Errorf("without a plain listener, nothing said: %v, %v", c, err)
	}
}

package admin

import (
	"strings"
	"testing"

	"vidimus/internal/server"
)

func TestCheckOnlineAsksTheDatabase(t *testing.T) {
	s := newSite(t)
	s.record(2, []byte("spki"))
	cfg, err := server.Config(s.config)
	if err != nil {
		t.Fatal(err)
	}
	var o online
	o.askDatabase(t.Context(), cfg)
	if len(o.wrong)+len(o.warnings) > 0 || len(o.right) != 1 || !strings.Contains(o.right[0], "may be written to, and has tables of version") {
		t.Errorf("%+v", o)
	}

	// An issuer that was removed, with certificates.
	cfg.Issuers[0].Name = "other"
	o = online{}
	o.askDatabase(t.Context(), cfg)
	if len(o.warnings) != 1 || !strings.Contains(o.warnings.Error(), "certificates of issuer main that have not ended") {
		t.Errorf("%+v", o)
	}
	unfinished(t, s)
	o = online{}
	o.askDatabase(t.Context(), cfg)
	if len(o.warnings) != 2 || !strings.Contains(o.warnings.Error(), "1 certificate of issuer main, which is not configured any more, ") {
		t.Errorf("%+v", o)
	}

	for database, want := range map[string]string{
		"/nowhere/vidimusd.db":          "no such file",
		"postgres://me@127.0.0.1:1/db":  "connection refused",
		"postgres://me@127.0.0.1:x1/db": "it is no URL",
	} {
		cfg.Database = database
		o = online{}
		o.askDatabase(t.Context(), cfg)
		if len(o.right) > 0 || len(o.wrong) != 1 || !strings.Contains(o.wrong.Error(), want) {
			t.Errorf("%s: %+v; want %q", database, o, want)
		}
	}
}

package portal

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
	"vidimus/internal/store"
)

// operatorPages are those for auditors and operators.
var operatorPages = []string{"/portal/dashboard", "/portal/suspensions", "/portal/people", "/portal/people/ada", "/portal/groups/web", "/portal/audit", "/portal/sources"}

func TestAuditorsSeeTheOperatorsPagesAndChangeNothing(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada", "@web")
	must(t, s.Store.CountStatistics(t.Context(), day0))
	for _, path := range append(operatorPages, "/portal/revoke") {
		s.as("ada").get(path).is(403)
		s.as("operator").get(path).is(200)
	}
	for _, path := range operatorPages {
		p := s.as("auditor").get(path).is(200)
		_, main, _ := strings.Cut(p.body, "<main")
		if strings.Contains(main, `method="post"`) {
			t.Errorf("an auditor is shown a form at %s: %s", path, main)
		}
	}
	s.as("auditor").get("/portal/revoke").is(403)
	for _, path := range []string{"/portal/suspensions", "/portal/suspensions/resume", "/portal/wildcards", "/portal/wildcards/withhold", "/portal/revoke",
		"/portal/revoke/confirmed", "/portal/people/bob/role", "/portal/sources/ldap/sync", "/portal/sources/ldap/confirm"} {
		s.as("auditor").post(path, "kind", "name", "object", "www.example.org", "reason", "x", "subtree", "example.org", "role", "operator").is(403)
		s.as("ada").post(path).is(403)
	}
	s.as("operator").post("/portal/people/bob/role", "role", "administrator").is(403)
	if all, err := s.Store.Suspensions(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestSuspendingAndResuming(t *testing.T) {
	s := newSite(t)
	b := s.as("operator")
	b.post("/portal/suspensions", "kind", "acme-id", "object", "www.example.org", "reason", "It <b>leaks</b>.").is(422, "there is no ACME-ID www.example.org", `value="It &lt;b&gt;leaks`)
	b.post("/portal/suspensions", "kind", "name", "object", "www.example.org", "reason", " ").is(422, "at most 500 characters", `value="www.example.org"`, `<option value="name" selected>`)
	b.post("/portal/suspensions", "kind", "name", "object", "WWW.example.org", "reason", "It <b>leaks</b>.").to("/portal/suspensions")
	b.get("/portal/suspensions").is(200, "www.example.org is suspended.", "It &lt;b&gt;leaks", "operator,").lacks("<b>leaks")
	b.post("/portal/suspensions/resume", "kind", "name", "object", "www.example.org").to("/portal/suspensions")
	b.get("/portal/suspensions").is(200, "no longer suspended", "Nothing is suspended")
	b.post("/portal/suspensions/resume", "kind", "name", "object", "www.example.org").to("/portal/suspensions")
	b.get("/portal/suspensions").is(200, "is not suspended", "flash bad")

	b.post("/portal/wildcards", "subtree", "not a name").is(422, `value="not a name"`)
	b.post("/portal/wildcards", "subtree", "lab.example.org").to("/portal/suspensions")
	b.get("/portal/suspensions").is(200, "Wildcards are allowed for lab.example.org.")
	b.post("/portal/wildcards/withhold", "subtree", "lab.example.org").to("/portal/suspensions")
	b.get("/portal/suspensions").is(200, "Wildcards are allowed nowhere.")
}

func TestPeopleAreFoundAndGetRoles(t *testing.T) {
	s := newSite(t)
	for i := range 60 {
		must(t, s.Store.AddPerson(t.Context(), store.Person{Login: fmt.Sprintf("user%02d", i), Name: "<i>U</i>", Email: "100%_x@example.org", Created: day0}))
	}
	s.host("www.example.org", "ada")
	b := s.as("administrator")
	b.get("/portal/people").is(200, "ada", "Further").lacks("user59", "<i>")
	b.get("/portal/people?q=100%25_").is(200, "user00")
	b.get("/portal/people?q=100_").is(200, "Nobody is found")
	b.get("/portal/people?roles=1").is(200, "auditor", "operator").lacks("user00")
	b.get("/portal/people?q=Archer").is(200, "ada").lacks("bob")
	b.get("/portal/people/ada").is(200, "www.example.org", "/portal/groups/web", `name="role"`)
	b.get("/portal/people/nobody").is(404)
	b.get("/portal/groups/web").is(200, "The web team", "ada")
	b.get("/portal/groups/other").is(404)
	b.post("/portal/people/ada/role", "role", "auditor").to("/portal/people/ada")
	s.as("ada").get("/portal/people").is(200)
	b.post("/portal/people/ada/role", "role", "").to("/portal/people/ada")
	s.as("ada").get("/portal/people").is(403)
	b.post("/portal/people/ada/role", "role", "king").is(404)
	b.post("/portal/people/administrator/role", "role", "").is(409, "another administrator")
	b.post("/portal/people/nobody/role", "role", "auditor").is(404)
}

// certificates puts valid certificates on record, one for each name.
func (s *site) certificates(names ...string) {
	s.t.Helper()
	ctx := s.t.Context()
	shard, err := s.Store.TakePlaces(ctx, "main", "01", "", 100, 1000, day0)
	must(s.t, err)
	f, err := s.Store.Fill(ctx)
	must(s.t, err)
	rows := store.Rows{Table: "certificate", Columns: []string{"serial", "issuer", "shard_id", "tbs", "der", "spki", "not_before", "not_after", "created_at"}}
	of := store.Rows{Table: "certificate_name", Columns: []string{"value", "serial"}}
	for i, n := range names {
		serial, at := fmt.Sprintf("56%012x%022x", day0.UnixMilli(), i), day0.UnixMilli()
		rows.Rows = append(rows.Rows, []any{serial, "main", shard.ID, []byte{}, []byte("der"), fmt.Appendf(nil, "%032d", i), at, day0.Add(90 * 24 * time.Hour).UnixMilli(), at})
		of.Rows = append(of.Rows, []any{n, serial})
	}
	must(s.t, f.Add(ctx, rows, of))
	must(s.t, f.Close(ctx))
}

func TestASelectionIsRevokedAtTheSecondLook(t *testing.T) {
	s := newSite(t)
	s.certificates("a.example.org", "b.example.org", "*.example.org", "a.b.example.org")
	b := s.as("operator")
	b.get("/portal/revoke").is(200)
	b.post("/portal/revoke", "reason", "superseded").is(422, "at least one condition")
	b.post("/portal/revoke", "host", "a.example.org", "reason", "boredom").is(422, "Choose a reason", "a.example.org")
	b.post("/portal/revoke", "serial", "xyz", "key", "00", "reason", "superseded").is(422, "“xyz” is not a serial", "“00” is not a SHA-256")
	b.post("/portal/revoke", "name", "c.example.org", "reason", "superseded").is(422, "fits this")
	b.post("/portal/revoke", "host", "a.example.org", "reason", "superseded").is(200, "2 certificates would be revoked.", `name="count"`)
	b.post("/portal/revoke/confirmed", "host", "a.example.org", "reason", "superseded", "count", "3").is(422, "not the number")
	b.post("/portal/revoke/confirmed", "host", "a.example.org", "reason", "superseded").is(422)
	if n := s.revoked(); n != 0 {
		t.Fatalf("%d are revoked before it was confirmed", n)
	}
	b.post("/portal/revoke/confirmed", "host", "a.example.org", "reason", "superseded", "count", "2").to("/portal/revoke")
	b.get("/portal/revoke").is(200, "2 certificates are revoked.")
	if n := s.revoked(); n != 2 {
		t.Errorf("%d are revoked", n)
	}
	b.post("/portal/revoke/confirmed", "host", "a.example.org", "reason", "superseded", "count", "2").is(422, "0 certificates")

	key := strings.Repeat("30", 31) + "31" // of b.example.org
	b.post("/portal/revoke", "key", key, "reason", "keyCompromise").is(200, "1 certificate would be revoked.", "blocked")
	b.post("/portal/revoke/confirmed", "key", key, "reason", "keyCompromise", "count", "1").to("/portal/revoke")
	if blocked, err := s.Store.KeyBlocked(t.Context(), fmt.Appendf(nil, "%032d", 1)); err != nil || !blocked {
		t.Errorf("the key is not blocked: %v", err)
	}
}

func (s *site) revoked() int64 {
	s.t.Helper()
	c, err := s.Store.CountCertificates(s.t.Context(), day0)
	must(s.t, err)
	return c.Revoked
}

// event puts an event on record.
func (s *site) event(a audit.Actor, action audit.Action, object string) {
	s.t.Helper()
	must(s.t, s.Store.Record(audit.With(s.t.Context(), a), audit.Event{Action: action, Object: object}))
	must(s.t, s.Store.SealAudit(s.t.Context()))
}

func TestTheAuditLogIsSearched(t *testing.T) {
	s := newSite(t)
	s.event(audit.Actor{Person: "ada"}, audit.ACMEIDNames, "one.example.org")
	s.event(audit.Actor{Account: 17, ACMEID: "one.example.org"}, audit.CertificateIssued, "5601")
	s.event(audit.Actor{Account: 170}, audit.CertificateIssued, "5602")
	s.event(audit.Actor{Operator: "=cmd"}, audit.HostCreated, `=HYPERLINK("http://evil.example")`)
	b := s.as("auditor")
	today := time.Now().UTC().Format(time.DateOnly)
	for query, want := range map[string]string{
		"":                                      "one.example.org 5601 5602 HYPERLINK",
		"actor=ada":                             "one.example.org",
		"actor=ADA":                             "one.example.org",
		"actor=ad":                              "",
		"actor=17":                              "5601",
		"actor=one.example.org":                 "5601",
		"action=certificate.":                   "5601 5602",
		"action=certificate.issued":             "5601 5602",
		"action=host.created":                   "HYPERLINK",
		"object=one.example.org":                "one.example.org",
		"object=5601":                           "", // it is with the certificate
		"object=one.example.org&actor=bob":      "",
		"from=" + today:                         "one.example.org 5601 5602 HYPERLINK",
		"from=" + today + "&to=" + today:        "one.example.org 5601 5602 HYPERLINK",
		"to=2020-01-31":                         "",
		"from=2040-01-31":                       "",
		"actor=ada&action=acme-id.&to=" + today: "one.example.org",
	} {
		p := b.get("/portal/audit?" + query).is(200)
		_, body, _ := strings.Cut(p.body, "<tbody>")
		for _, object := range []string{"one.example.org", "5601", "5602", "HYPERLINK"} {
			if has := strings.Contains(body, ">"+object+"<") || object == "HYPERLINK" && strings.Contains(body, object); has != strings.Contains(want, object) {
				t.Errorf("%s: %s is there: %v", query, object, has)
			}
		}
	}
	b.get("/portal/audit?from=yesterday&actor=ada").is(422, "Write a day such as", `value="ada"`)
}

func TestTheAuditLogIsReadPageByPageAndExported(t *testing.T) {
	s := newSite(t)
	for i := range 120 {
		s.event(audit.Actor{Person: "ada"}, audit.HostCreated, fmt.Sprintf("h%03d.example.org", i))
	}
	s.event(audit.Actor{Operator: "-x"}, audit.HostCreated, `=HYPERLINK("http://evil.example")`)
	b := s.as("auditor")
	seen, path := 0, "/portal/audit?actor=ada&action=host.created"
	for pages := 0; path != "" && pages < 10; pages++ {
		p := b.get(path).is(200)
		seen += strings.Count(p.body, ".example.org</a>")
		path = ""
		if _, rest, ok := strings.Cut(p.body, `">Look further back`); ok {
			link := p.body[:len(p.body)-len(rest)-len(`">Look further back`)]
			path = strings.ReplaceAll(link[strings.LastIndex(link, `"`)+1:], "&amp;", "&")
		}
	}
	if seen != 120 {
		t.Errorf("%d events were seen", seen)
	}
	p := b.get("/portal/audit/export?action=host.created").is(200)
	rows, err := csv.NewReader(strings.NewReader(p.body)).ReadAll()
	must(t, err)
	if len(rows) != 122 || rows[1][3] != `'=HYPERLINK("http://evil.example")` || rows[1][1] != "'-x (command line)" || !strings.Contains(p.header.Get("Content-Disposition"), "audit.csv") {
		t.Errorf("%d rows: %q", len(rows), rows[1])
	}
	p = b.get("/portal/audit/export?format=jsonl&object=" + url.QueryEscape("h001.example.org")).is(200)
	if strings.Count(p.body, "\n") != 1 || !strings.HasPrefix(p.body, `{"position":`) {
		t.Errorf("%s", p.body)
	}
	s.as("ada").get("/portal/audit/export").is(403)
}

func TestTheDashboardShowsWhatWasCounted(t *testing.T) {
	s := newSite(t)
	b := s.as("auditor")
	b.get("/portal/dashboard").is(200, "for the first time")
	s.host("a.example.org", "ada")
	s.certificates("a.example.org")
	f, err := s.Store.Fill(t.Context())
	must(t, err)
	account := &store.Account{Directory: "main", Thumbprint: "x", JWK: []byte("{}"), Status: acme.Valid, Created: day0}
	must(t, s.Store.NewAccount(t.Context(), account))
	must(t, f.Add(t.Context(),
		store.Rows{Table: "client", Columns: []string{"id", "user_agent"}, Rows: [][]any{{int64(5), `<script>alert(1)</script>/2.0" x`}}},
		store.Rows{Table: "certificate", Columns: []string{"serial", "issuer", "tbs", "der", "spki", "not_before", "not_after", "created_at", "client_id"},
			Rows: [][]any{{fmt.Sprintf("56%012xff", day0.UnixMilli()), "main", []byte{}, []byte("der"), []byte("spki"), int64(0), int64(0), int64(0), int64(5)}}},
		store.Rows{Table: "acme_order", Columns: []string{"id", "account_id", "status", "identifiers", "replaces", "error", "created_at", "expires_at"}, Rows: [][]any{
			{int64(1), account.ID, "invalid", "[]", "", `{"type":"urn:ietf:params:acme:error:caa"}`, day0.UnixMilli(), day0.UnixMilli()}}}))
	must(t, f.Close(t.Context()))
	must(t, s.Store.CountStatistics(t.Context(), day0))
	s.now = day0.Add(7 * time.Minute)
	b.get("/portal/dashboard").is(200, "7 minutes ago", "A CAA record forbids it", "<code>caa</code>", "&lt;script&gt;alert(1)&lt;", `<svg class="chart"`, `<th scope="row">2026-11-21</th><td class="number">2</td>`).
		lacks("<script>alert", "style=")
	b.header.Set("Accept-Language", "de")
	b.get("/portal/dashboard").is(200, "vor 7 Minuten")
}

func TestWhatASourceWouldLoseIsConfirmedAsItWasSeen(t *testing.T) {
	s := newSite(t)
	b := s.as("operator")
	b.get("/portal/sources").is(200, "No source is configured")
	f, err := s.Store.Fill(t.Context())
	must(t, err)
	must(t, f.Add(t.Context(), store.Rows{Table: "source", Columns: []string{"name", "hosts", "problem", "held", "held_hash", "tried_at"}, Rows: [][]any{
		{"ldap", int64(900), "", `{"host":{"before":900,"removed":455,"some_removed":["<i>gone</i>.example.org"]}}`, "abc", day0.UnixMilli()},
		{"sql", int64(5), "the <b>server</b> is away", "", "", day0.UnixMilli()}}}))
	must(t, f.Close(t.Context()))
	b.get("/portal/sources").is(200, "held back", "455", "&lt;i&gt;gone&lt;/i&gt;.example.org", "could not be read", "the &lt;b&gt;server").lacks("<b>server")
	p := s.as("auditor").get("/portal/sources").is(200, "held back")
	if _, main, _ := strings.Cut(p.body, "<main"); strings.Contains(main, "<form") {
		t.Error("an auditor is shown a form")
	}
	b.post("/portal/sources/ldap/confirm", "id", "other").to("/portal/sources")
	b.get("/portal/sources").is(200, "look again", "Confirm these changes")
	b.post("/portal/sources/ldap/confirm", "id", "abc").to("/portal/sources")
	b.get("/portal/sources").is(200, "are confirmed").lacks("Confirm these changes")
	b.post("/portal/sources/sql/sync").to("/portal/sources")
	x, err := s.Store.Source(t.Context(), "sql")
	must(t, err)
	if !x.Asked.Equal(day0) {
		t.Errorf("asked at %s", x.Asked)
	}
	b.post("/portal/sources/none/sync").is(404)
	b.post("/portal/sources/none/confirm").is(404)
}

package portal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

func TestHostsAreOnesOwn(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("lab.example.org", "@web")
	s.host("mail.example.org", "bob")
	s.host("team.example.org")
	s.as("ada").get("/portal/hosts").is(200, "www.example.org", "lab.example.org").lacks("mail.example.org", "team.example.org")
	s.as("bob").get("/portal/hosts").is(200, "mail.example.org").lacks("www.example.org")
	for _, who := range []string{"auditor", "operator", "administrator"} {
		s.as(who).get("/portal/hosts").is(200, "mail.example.org", "www.example.org", "team.example.org")
	}
	s.as("ada").get("/portal/hosts?q=B.EX").is(200, "lab.example.org").lacks("www.example.org")
	s.as("ada").get("/portal/hosts?q=100%25").is(200, "No host has").lacks("www.example.org")
	s.as("ada").get("/portal/hosts?q=<script>").is(200, "&lt;script&gt;").lacks("<script>")
}

func TestHostsArePaged(t *testing.T) {
	s := newSite(t)
	for i := range 120 {
		s.host(fmt.Sprintf("h%03d.example.org", i), "ada")
	}
	b, path, seen := s.as("ada"), "/portal/hosts?q=example", 0
	for range 3 {
		p := b.get(path).is(200)
		seen += strings.Count(p.body, `<th scope="row">`)
		_, rest, _ := strings.Cut(p.body, `class="pages"`)
		_, next, ok := strings.Cut(rest, `<a href="/portal/hosts?after=`)
		if !ok {
			break
		}
		next, _, _ = strings.Cut(next, `"`)
		path = "/portal/hosts?after=" + strings.ReplaceAll(next, "&amp;", "&")
	}
	if seen != 120 {
		t.Errorf("%d hosts on three pages", seen)
	}
}

// certificate puts one on record: of these names, good for a time from then on.
func (s *site) certificate(issued time.Time, life time.Duration, c store.Certificate, names ...string) string {
	s.t.Helper()
	s.serial++
	for _, n := range names {
		c.Names = append(c.Names, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	c.Serial, c.TBS, c.SPKI = fmt.Sprintf("%012x%04x", issued.UnixMilli(), s.serial), []byte("tbs"), []byte("spki")
	if c.Issuer == "" {
		c.Issuer = "main"
	}
	c.NotBefore, c.NotAfter, c.Created = issued, issued.Add(life), issued
	must(s.t, s.Store.BeginIssuance(s.t.Context(), c, ""))
	must(s.t, s.Store.FinishIssuance(s.t.Context(), c.Serial, []byte("der"), issued))
	return c.Serial
}

const quarter = 90 * 24 * time.Hour

func TestHostsSayWhatTheyNeed(t *testing.T) {
	s := newSite(t)
	ago := func(days int) time.Time { return day0.Add(-time.Duration(days) * 24 * time.Hour) }
	for _, name := range []string{"fresh", "late", "dead", "revoked", "staged", "bare", "waiting", "below", "stopped"} {
		s.host(name+".example.org", "ada")
	}
	s.certificate(ago(80), quarter, store.Certificate{}, "fresh.example.org")
	client, err := s.Store.Client(t.Context(), "CertbotACMEClient/5.6.0 (certbot; <b>Debian</b>)")
	must(t, err)
	s.certificate(ago(1), quarter, store.Certificate{Client: client}, "fresh.example.org")
	s.certificate(ago(80), quarter, store.Certificate{}, "late.example.org")
	s.certificate(ago(95), quarter, store.Certificate{}, "dead.example.org")
	serial := s.certificate(ago(3), quarter, store.Certificate{}, "revoked.example.org")
	_, err = s.Store.RevokeAll(t.Context(), []string{serial}, acme.RevocationReason(4), day0)
	must(t, err)
	s.certificate(ago(3), quarter, store.Certificate{Issuer: "main-staging"}, "staged.example.org")
	s.certificate(ago(3), quarter, store.Certificate{}, "*.example.org")
	s.host("a.b.example.org", "ada")
	_, _, err = s.Directory.AddACMEID(t.Context(), directory.Team, "waiting.example.org", []string{"waiting.example.org", "a.b.example.org"})
	must(t, err)
	_, err = s.Directory.Suspend(t.Context(), store.SuspendedSubtree, "stopped.example.org", "<i>stolen</i>")
	must(t, err)
	s.host("lost.example.org", "bob")
	_, err = s.Directory.ChangeParties(t.Context(), "lost.example.org", nil, directory.People([]string{"bob"}), false)
	must(t, err)
	for fqdn, want := range map[string]string{"fresh": "fine", "late": "fine", "dead": "fine", "staged": "fine", // the wildcard covers them
		"a.b": "waiting", "stopped": "suspended", "lost": "nobodys"} {
		s.as("operator").get("/portal/hosts/"+fqdn+".example.org").is(200, s.languages[0].t("need."+want))
	}
	all := func(who string) string { return s.as(who).get("/portal/hosts").is(200).body }
	if body := all("ada"); !strings.Contains(body, "Certbot/5.6.0") || strings.Contains(body, "<b>Debian") || !strings.Contains(body, "Needs attention") {
		t.Error(body)
	}
	s.as("ada").get("/portal/hosts/stopped.example.org").is(200, "&lt;i&gt;stolen").lacks("<i>stolen")
	s.as("operator").get("/portal/hosts?need=1").is(200, "lost.example.org", "stopped.example.org", "a.b.example.org").lacks("fresh.example.org")
	s.as("ada").get("/portal/hosts?need=1").is(200, "stopped.example.org").lacks("lost.example.org")
}

func TestHostsWithoutWildcardsSayWhatTheyNeed(t *testing.T) {
	s := newSite(t)
	ago := func(days int) time.Time { return day0.Add(-time.Duration(days) * 24 * time.Hour) }
	for _, name := range []string{"late", "dead", "revoked", "staged", "bare"} {
		s.host(name+".example.org", "ada")
	}
	s.certificate(ago(80), quarter, store.Certificate{}, "late.example.org")
	s.certificate(ago(95), quarter, store.Certificate{}, "dead.example.org")
	serial := s.certificate(ago(3), quarter, store.Certificate{}, "revoked.example.org")
	_, err := s.Store.RevokeAll(t.Context(), []string{serial}, acme.RevocationReason(4), day0)
	must(t, err)
	s.certificate(ago(3), quarter, store.Certificate{Issuer: "main-staging"}, "staged.example.org")
	for fqdn, want := range map[string]string{"late": "expiring", "dead": "expired", "revoked": "revoked", "staged": "bare", "bare": "bare"} {
		s.as("ada").get("/portal/hosts/"+fqdn+".example.org").is(200, s.languages[0].t("need."+want+".text"))
	}
}

func TestAHostOfOthersIsNotThere(t *testing.T) {
	s := newSite(t)
	s.host("mail.example.org", "bob")
	s.as("ada").get("/portal/hosts/mail.example.org").is(404)
	s.as("ada").get("/portal/hosts/nowhere.example.org").is(404)
	s.as("auditor").get("/portal/hosts/mail.example.org").is(200).lacks("/portal/acme-ids/new")
	s.as("bob").get("/portal/hosts/mail.example.org").is(200, "/portal/acme-ids/new")
	s.as("operator").get("/portal/hosts/nowhere.example.org").is(404)
}

func TestOperatorsEnterHosts(t *testing.T) {
	s := newSite(t)
	b := s.as("operator")
	b.get("/portal/hosts/new").is(200)
	b.post("/portal/hosts/new", "host", "<b>", "people", "ada\nnobody<i>", "groups", "none").is(422, "full name of one host", "There is no person nobody&lt;i&gt;", "There is no group none").lacks("<i>", "<b>")
	b.post("/portal/hosts/new", "host", "*.example.org", "team", "1").is(422, "full name of one host")
	b.post("/portal/hosts/new", "host", "www.example.org").is(422, "Name somebody")
	b.post("/portal/hosts/new", "host", "www.example.org", "people", "ada", "team", "1").is(422, "Name somebody")
	b.post("/portal/hosts/new", "host", "WWW.example.org.", "people", "ada", "groups", "web").to("/portal/hosts/www.example.org")
	b.post("/portal/hosts/new", "host", "www.example.org", "team", "1").is(422, "There is a host www.example.org already")
	b.get("/portal/hosts/www.example.org/people").is(200, ">ada</textarea>", ">web</textarea>")
	b.post("/portal/hosts/www.example.org/people", "people", "bob").to("/portal/hosts/www.example.org")
	h, err := s.Store.Host(t.Context(), "www.example.org")
	must(t, err)
	if len(h.People) != 1 || h.People[0] != "bob" || len(h.Groups) != 0 {
		t.Errorf("%+v", h)
	}
	s.as("ada").get("/portal/hosts/www.example.org").is(404)
	b.post("/portal/hosts/www.example.org/people", "team", "1").to("/portal/hosts/www.example.org")
	b.get("/portal/hosts/www.example.org").is(200, "the CA team", "Who is responsible for www.example.org is saved")
	for _, path := range []string{"/portal/hosts/new", "/portal/hosts/www.example.org/people", "/portal/hosts/www.example.org/remove"} {
		for _, who := range []string{"ada", "auditor"} {
			s.as(who).get(path).is(403)
			s.as(who).post(path, "host", "x.example.org", "people", "ada").is(403)
		}
	}
	b.get("/portal/hosts/www.example.org/remove").is(200)
	b.post("/portal/hosts/www.example.org/remove").to("/portal/hosts")
	b.post("/portal/hosts/www.example.org/remove").is(404)
	b.get("/portal/hosts/www.example.org").is(404)
}

func TestAHostOfASourceIsChangedThere(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.exec("UPDATE host SET source = 'ldap' WHERE fqdn = 'www.example.org'")
	b := s.as("operator")
	b.get("/portal/hosts/www.example.org").is(200, "comes from the source ldap").lacks("/remove")
	b.get("/portal/hosts/www.example.org/people").is(409, "changed elsewhere")
	b.post("/portal/hosts/www.example.org/people", "people", "bob").is(409)
	b.post("/portal/hosts/www.example.org/remove").is(409)
}

package portal

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

func TestACertificateIsShownToWhoIsResponsibleForIt(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("shared.example.org", "ada", "bob")
	own, shared := s.as("ada").issued("www.example.org"), s.as("ada").issued("www.example.org", "shared.example.org")
	for _, who := range []string{"ada", "auditor", "operator", "administrator"} {
		s.as(who).get(own).is(200, "www.example.org")
	}
	bob := s.as("bob")
	bob.get(shared).is(200, "shared.example.org", "www.example.org").lacks("/revoke")
	for _, path := range []string{own, own + "/certificate.pem", own + "/chain.pem", own + "/certificate.cer", own + "/chain.p7b", own + "/revoke", "/portal/certificates/00ff", "/portal/certificates/%27"} {
		bob.get(path).is(404).lacks("www.example.org", "BEGIN")
	}
	bob.post(own+"/revoke", "reason", "superseded").is(404)
	bob.get("/portal/certificates").is(200, "shared.example.org").lacks(own)
	bob.get("/portal/certificates?host=www.example.org").is(200, shared).lacks(own)
	bob.get("/portal/certificates.csv").is(200, "shared.example.org").lacks(strings.TrimPrefix(own, "/portal/certificates/"))
	bob.get("/portal/certificates?person=ada").is(200, shared).lacks(own)
	s.nobody().get(own + "/certificate.pem").to("/portal/login?next=" + url.QueryEscape(own+"/certificate.pem"))
	s.as("ada").get(own + "/other").is(404)
}

func TestACertificateIsDownloadedInEachForm(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	b := s.as("ada")
	path := b.issued("www.example.org")
	download := func(file, name string) []byte {
		t.Helper()
		p := b.get(path + "/" + file).is(200)
		if got := p.header.Get("Content-Disposition"); got != `attachment; filename="www.example.org`+name+`"` {
			t.Errorf("%s: %s", file, got)
		}
		return []byte(p.body)
	}
	one, err := certificate.ParseChain(download("certificate.pem", ".pem"))
	must(t, err)
	chain, err := certificate.ParseChain(download("chain.pem", "-chain.pem"))
	must(t, err)
	cert, err := x509.ParseCertificate(download("certificate.cer", ".cer"))
	must(t, err)
	if len(one) != 1 || len(chain) != 2 || !one[0].Equal(cert) || !chain[0].Equal(cert) || cert.CheckSignatureFrom(chain[1]) != nil {
		t.Errorf("%d and %d certificates", len(one), len(chain))
	}
	p7b := string(download("chain.p7b", ".p7b"))
	for _, c := range chain {
		if !strings.Contains(p7b, string(c.Raw)) {
			t.Errorf("%s is not in the PKCS #7 file", c.Subject)
		}
	}
	sum := sha256.Sum256(cert.Raw)
	b.get(path).is(200, colons(sum[:]), "subjectAltName", "serverAuth", "digitalSignature", chain[1].Subject.CommonName)
}

func TestACertificateIsRevokedAtTheSecondLook(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("shared.example.org", "ada", "bob")
	b := s.as("ada")
	path := b.issued("www.example.org", "shared.example.org")
	b.get(path).is(200, path+"/revoke")
	b.get(path+"/revoke").is(200, "These 2 names have no other valid certificate", "www.example.org", `value="keyCompromise"`).lacks("privilegeWithdrawn")
	b.issued("www.example.org")
	b.get(path+"/revoke").is(200, "This name has no other valid certificate", "This name has another valid certificate").lacks("EXTRA")
	s.as("bob").post(path+"/revoke", "reason", "superseded").is(403, "You can&#39;t revoke")
	s.as("bob").get(path + "/revoke").is(403)
	s.as("auditor").post(path+"/revoke", "reason", "superseded").is(403)
	b.send(path+"/revoke", url.Values{"reason": {"superseded"}}, "same-origin").is(403)
	for _, reason := range []string{"", "cACompromise", "privilegeWithdrawn", "4"} {
		b.post(path+"/revoke", "reason", reason).is(422, "Choose one of the reasons")
	}
	b.post(path+"/revoke", "reason", "superseded").to(path)
	b.get(path).is(200, "revoked", "another certificate takes its place", "OCSP tells so at once", "The certificate is revoked").lacks(path + "/revoke")
	b.post(path+"/revoke", "reason", "keyCompromise").is(409, "revoked before")
	b.get(path + "/revoke").is(409)
	c, err := s.Store.Certificate(t.Context(), strings.TrimPrefix(path, "/portal/certificates/"))
	must(t, err)
	if c.Reason != 4 {
		t.Errorf("reason %d", c.Reason)
	}
	events, err := s.Store.AuditOf(t.Context(), c.Serial, 10)
	must(t, err)
	if len(events) != 1 || !strings.Contains(string(events[0].Actor), `"person":"ada"`) {
		t.Errorf("%+v", events)
	}
}

// Who has the names may not take the key from who asked for the certificate.
func TestOnlyItsHolderSaysThatAKeyIsCompromised(t *testing.T) {
	s := newSite(t)
	s.host("shared.example.org", "ada", "bob")
	ada, bob := s.as("ada"), s.as("bob")
	path := ada.issued("shared.example.org")
	bob.get(path+"/revoke").is(200, "superseded").lacks("keyCompromise")
	bob.post(path+"/revoke", "reason", "keyCompromise").is(422)
	ada.post(path+"/revoke", "reason", "keyCompromise").to(path)
	blocked, err := s.Store.KeyBlocked(t.Context(), keyOf(t, s, path))
	must(t, err)
	if !blocked {
		t.Error("its key isn't blocked")
	}
}

func keyOf(t *testing.T, s *site, path string) []byte {
	t.Helper()
	c, err := s.Store.Certificate(t.Context(), strings.TrimPrefix(path, "/portal/certificates/"))
	must(t, err)
	return c.SPKI
}

func TestCertificatesAreFoundByAllThatIsKnownOfThem(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("mail.example.org", "bob")
	www, mail := s.as("ada").issued("www.example.org"), s.as("bob").issued("mail.example.org")
	must(t, s.Store.Revoke(t.Context(), strings.TrimPrefix(mail, "/portal/certificates/"), acme.RevocationReason(4), s.now))
	o := s.as("operator")
	key := hex.EncodeToString(keyOf(t, s, www))
	for query, found := range map[string]bool{"": true, "host=WWW.example.org": true, "host=mail.example.org": false, "person=ada": true, "person=bob": false, "issuer=main": true,
		"issuer=main-staging": false, "key=" + key: true, "key=" + strings.Repeat("00", 32): false, "state=valid": true, "state=revoked": false, "state=expired": false,
		"from=2026-11-21&before=2027-11-21": true, "before=2026-11-30": false, "acme-id=www.example.org": false, "state=nonsense": true} {
		p := o.get("/portal/certificates?" + query).is(200)
		if strings.Contains(p.body, www) != found {
			t.Errorf("%s: found is not %t: %s", query, found, p.body)
		}
	}
	for query, wrong := range map[string]string{"host=a%20b": "host-wrong", "key=xyz": "key-wrong", "from=tomorrow": "from-wrong", "person=nobody": "person-wrong",
		"acme-id=%3Cscript%3E": "acme-id-wrong"} {
		o.get("/portal/certificates?"+query).is(422, `id="`+wrong+`"`).lacks("<script>")
	}
	s.now = s.now.AddDate(0, 0, 80)
	o = s.as("operator")
	o.get(www).is(200, "ends soon")
	s.now = s.now.AddDate(0, 0, 11)
	o = s.as("operator")
	o.get(www).is(200, "expired").lacks(www + "/revoke")
	o.post(www+"/revoke", "reason", "superseded").is(403)
	o.get("/portal/certificates?state=expired").is(200, www)
}

func TestCertificatesArePagedAndExported(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	var ids []identifier.Identifier
	for range 120 {
		_, der := csr(t, "www.example.org")
		req, err := x509.ParseCertificateRequest(der)
		must(t, err)
		ids = []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}}
		_, err = s.Desk.Issuers[0].Issue(t.Context(), issuer.Request{Identifiers: ids, PublicKey: req.PublicKey, SPKI: req.RawSubjectPublicKeyInfo,
			Person: "=ada", Profile: s.Desk.Issuers[0].Profile("")})
		must(t, err)
		s.now = s.now.Add(time.Second)
	}
	for _, query := range []string{"", "state=valid"} {
		b, path, seen, pages := s.as("ada"), "/portal/certificates?"+query, 0, 0
		for path != "" && pages < 5 {
			p := b.get(path).is(200)
			seen += strings.Count(p.body, `<th scope="row">`)
			pages++
			_, rest, _ := strings.Cut(p.body, `class="pages"`)
			_, rest, _ = strings.Cut(rest, `<a href="/portal/certificates?after=`)
			next, _, _ := strings.Cut(rest, `"`)
			if path = ""; next != "" {
				path = "/portal/certificates?after=" + strings.ReplaceAll(next, "&amp;", "&")
			}
		}
		if seen != 120 || pages != 3 {
			t.Errorf("%q: %d certificates on %d pages", query, seen, pages)
		}
	}
	p := s.as("ada").get("/portal/certificates.csv?host=www.example.org").is(200)
	rows, err := csv.NewReader(strings.NewReader(p.body)).ReadAll()
	must(t, err)
	if len(rows) != 121 || rows[1][1] != "www.example.org" || rows[1][8] != "'=ada" {
		t.Errorf("%d rows, %q", len(rows), rows[1])
	}
	s.as("ada").get("/portal/certificates.csv?key=x").is(404)
}

// What a name, a client or a person is called is text on the page.
func TestNothingOnACertificatesPageIsMarkup(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	_, der := csr(t, "www.example.org")
	req, err := x509.ParseCertificateRequest(der)
	must(t, err)
	c, err := s.Desk.Issuers[0].Issue(t.Context(), issuer.Request{Identifiers: []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}}, PublicKey: req.PublicKey,
		SPKI: req.RawSubjectPublicKeyInfo, Person: `<img src=x onerror=alert(1)>`, Profile: s.Desk.Issuers[0].Profile("")})
	must(t, err)
	for _, path := range []string{"/portal/certificates", "/portal/certificates/" + c.Serial} {
		s.as("ada").get(path).is(200, "&lt;img src=x").lacks("<img")
	}
	s.as("ada").get("/portal/request?name=%3C/textarea%3E%3Cscript%3E").is(200, "&lt;/textarea&gt;").lacks("</textarea><script>")
}

// What is intended and not signed yet is shown to those who see all.
func TestACertificateThatIsNotSignedYetIsShown(t *testing.T) {
	s := newSite(t)
	c := store.Certificate{Serial: "0a", Issuer: "main", TBS: []byte("tbs"), SPKI: []byte("spki"), Created: s.now, NotBefore: s.now, NotAfter: s.now.Add(time.Hour)}
	must(t, s.Store.BeginIssuance(t.Context(), c, ""))
	s.as("operator").get("/portal/certificates/0a").is(200, "about to be signed").lacks("/portal/certificates/0a/")
	s.as("operator").get("/portal/certificates/0a/certificate.pem").is(404)
	s.as("ada").get("/portal/certificates/0a").is(404)
	if got := fmt.Sprint(stateOf(c, s.now)); got != "intended" {
		t.Error(got)
	}
}

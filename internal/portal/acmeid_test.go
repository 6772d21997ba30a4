package portal

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// field finds the value of a hidden field.
func (p page) field(name string) string {
	p.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("no field %s in: %s", name, p.body)
	}
	return m[1]
}

func (s *site) acmeIDOf(fqdn string) store.ACMEID {
	s.t.Helper()
	a, err := s.Store.ACMEID(s.t.Context(), fqdn)
	must(s.t, err)
	return a
}

// register binds an account to an ACME-ID, as an ACME client does.
func (s *site) register(fqdn, thumbprint, userAgent string) int64 {
	s.t.Helper()
	a := s.acmeIDOf(fqdn)
	account := store.Account{Directory: "main", Thumbprint: thumbprint, JWK: []byte("{}"), Status: "valid", Created: day0, ACMEID: a.ID, ACMEIDFQDN: fqdn,
		UserAgent: userAgent, Address: "192.0.2.7:4711"}
	must(s.t, s.Store.NewBoundAccount(s.t.Context(), &account, a.KID))
	return account.ID
}

func TestAnACMEIDIsMadeAndItsCredentialsAreShownOnce(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("a.lab.example.org", "ada")
	s.host("b.lab.example.org", "@web")
	s.host("lab.example.net", "ada")
	s.host("mail.example.org", "bob")
	b := s.as("ada")
	b.get("/portal/acme-ids/new?host=www.example.org").is(200, `value="www.example.org"`, `value="a.lab.example.org"`).lacks("mail.example.org")
	form := []string{"host", "www.example.org", "names", "www.example.org"}
	b.post("/portal/acme-ids/new", append(form, "pattern", "*.lab.example.org", "match", "1")...).
		is(200, "www.example.org\na.lab.example.org\nb.lab.example.org<", "2 hosts fit")
	b.post("/portal/acme-ids/new", append(form, "pattern", "*", "match", "1")...).is(200, "Give a pattern")
	b.post("/portal/acme-ids/new", "host", "mail.example.org", "names", "www.example.org").is(422, "You are not responsible for mail.example.org", ">www.example.org</textarea>")
	b.post("/portal/acme-ids/new", "host", "www.example.org", "names", "www.example.org mail.example.org <b>x</b>").
		is(422, "<strong>mail.example.org</strong>", "&lt;b&gt;x").lacks("<b>x")
	b.post("/portal/acme-ids/new", "host", "www.example.org", "names", " ").is(422, "at least one name")
	p := b.post("/portal/acme-ids/new", append(form, "pick", "a.lab.example.org")...).is(200, "Copy this now", "certbot certonly")
	if p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", p.header)
	}
	a := s.acmeIDOf("www.example.org")
	if !slices.Equal(a.Names, []string{"a.lab.example.org", "www.example.org"}) {
		t.Errorf("%v", a.Names)
	}
	hmac := regexp.MustCompile(`id="hmac">([^<]+)<`).FindStringSubmatch(p.body)[1]
	b.post("/portal/acme-ids/new", form...).is(422, "There is an ACME-ID www.example.org already").lacks(hmac)
	for _, path := range []string{"", "/names", "/credentials", "/remove"} {
		b.get("/portal/acme-ids/www.example.org" + path).is(200).lacks(hmac)
	}
	b.get("/portal/acme-ids").is(200, "www.example.org", "Waiting for registration")
	s.register("www.example.org", "key", "CertbotACMEClient/5.6.0 (<script>)")
	b.get("/portal/acme-ids/www.example.org").is(200, "Registered", "Certbot/5.6.0", "192.0.2.7", "&lt;script&gt;").lacks("<script>", "Waiting")
}

func TestNewCredentialsAreMadeOnceForOneForm(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	_, _, err := s.Directory.AddACMEID(t.Context(), directory.Team, "www.example.org", nil)
	must(t, err)
	b, path := s.as("ada"), "/portal/acme-ids/www.example.org/credentials"
	account := s.register("www.example.org", "one", "x/1")
	form := b.get(path).is(200, "What becomes of the account").field("version")
	b.post(path, "version", form).is(422, "Something is missing")
	b.post(path, "version", form, "stop", "later").is(200, "Copy this now")
	kid := s.acmeIDOf("www.example.org").KID
	b.post(path, "version", form, "stop", "later").is(409, "Credentials are shown once")
	if s.acmeIDOf("www.example.org").KID != kid {
		t.Error("the page, loaded again, made others")
	}
	status := func(id int64) string {
		a, err := s.Store.Account(t.Context(), id)
		must(t, err)
		return string(a.Status)
	}
	if status(account) != "valid" {
		t.Error("the account stopped at once")
	}
	second := s.register("www.example.org", "two", "x/1")
	if status(account) != "revoked" {
		t.Error("the account goes on")
	}
	b.post(path, "version", b.get(path).field("version"), "stop", "now").is(200)
	if status(second) != "revoked" {
		t.Error("the account goes on, which was to stop at once")
	}
}

func TestOfTwoWhoChangeNamesTheSecondIsTold(t *testing.T) {
	s := newSite(t)
	for _, n := range []string{"www", "a", "b", "c"} {
		s.host(n+".example.org", "ada", "bob")
	}
	_, _, err := s.Directory.AddACMEID(t.Context(), directory.Team, "www.example.org", nil)
	must(t, err)
	ada, bob, path := s.as("ada"), s.as("bob"), "/portal/acme-ids/www.example.org/names"
	version := ada.get(path).field("version")
	if v := bob.get(path).field("version"); v != version {
		t.Fatal(v, version)
	}
	ada.post(path, "version", version, "names", "www.example.org\na.example.org").to("/portal/acme-ids/www.example.org")
	p := bob.post(path, "version", version, "names", "www.example.org\nb.example.org").is(409, "Somebody else has changed", "<li>a.example.org</li>", "www.example.org\nb.example.org</textarea>")
	if names := s.acmeIDOf("www.example.org").Names; !slices.Equal(names, []string{"a.example.org", "www.example.org"}) {
		t.Fatalf("overwritten: %v", names)
	}
	bob.post(path, "version", p.field("version"), "names", "www.example.org\na.example.org\nb.example.org").to("/portal/acme-ids/www.example.org")
	bob.get("/portal/acme-ids/www.example.org").is(200, "<li>b.example.org</li>", "1 added, 0 removed", "&#43;b.example.org")
	bob.post(path, "version", bob.get(path).field("version"), "names", "").is(422)
	bob.post(path, "version", bob.get(path).field("version"), "names", "www.example.org\na.example.org,b.example.org").to("/portal/acme-ids/www.example.org")
	bob.get("/portal/acme-ids/www.example.org").is(200, "Nothing was changed")
}

func TestAnACMEIDOfOthersIsNotThere(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	_, _, err := s.Directory.AddACMEID(t.Context(), directory.Team, "www.example.org", nil)
	must(t, err)
	version := s.as("ada").get("/portal/acme-ids/www.example.org/names").field("version")
	forms := map[string][]string{"/names": {"version", version, "names", "x.example.org"}, "/credentials": {"version", version, "stop", "now"}, "/remove": {}}
	for who, status := range map[string]int{"bob": 404, "auditor": 403} {
		b := s.as(who)
		for path, form := range forms {
			b.get("/portal/acme-ids/www.example.org" + path).is(status)
			b.post("/portal/acme-ids/www.example.org"+path, form...).is(status)
			b.post("/portal/acme-ids/nowhere.example.org"+path, form...).is(status)
		}
	}
	s.as("bob").get("/portal/acme-ids/www.example.org").is(404)
	s.as("bob").get("/portal/acme-ids").is(200).lacks("www.example.org")
	s.as("auditor").get("/portal/acme-ids/www.example.org").is(200).lacks("/credentials", "/remove")
	s.as("auditor").get("/portal/acme-ids").is(200, "www.example.org").lacks("/portal/acme-ids/new")
	if a := s.acmeIDOf("www.example.org"); a.Version != 1 || !a.Invalid.IsZero() {
		t.Errorf("changed: %+v", a)
	}
	s.as("operator").post("/portal/acme-ids/www.example.org/remove").to("/portal/acme-ids")
	s.as("ada").get("/portal/acme-ids/www.example.org").is(200, "Invalid since", "it was removed")
	s.as("ada").post("/portal/acme-ids/www.example.org/remove").is(http.StatusConflict, "This ACME-ID is invalid")
}

func TestAnACMEIDSaysWhatIsNotGranted(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("a.example.org", "ada")
	_, _, err := s.Directory.AddACMEID(t.Context(), directory.Team, "www.example.org", []string{"www.example.org", "a.example.org"})
	must(t, err)
	_, err = s.Directory.ChangeParties(t.Context(), "a.example.org", directory.People([]string{"bob"}), directory.People([]string{"ada"}), false)
	must(t, err)
	s.as("ada").get("/portal/acme-ids/www.example.org").is(200, "This name is not granted", "<strong>a.example.org</strong>")
	_, err = s.Directory.Suspend(t.Context(), store.SuspendedACMEID, "www.example.org", "<u>why</u>")
	must(t, err)
	s.as("ada").get("/portal/acme-ids/www.example.org").is(200, "Suspended", "&lt;u&gt;why").lacks("<u>why")
}

func TestPatternsFit(t *testing.T) {
	for _, x := range []struct {
		pattern, text string
		fits          bool
	}{
		{"*.lab.example.org", "a.lab.example.org", true},
		{"*.lab.example.org", "lab.example.org", false},
		{"www*.org", "www.example.org", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"ab*ba", "aba", false},
		{"www.example.org", "www.example.org", true},
		{"www", "www.example.org", false},
		{"**", "a", true},
	} {
		if fits(x.text, strings.Split(x.pattern, "*")) != x.fits {
			t.Errorf("%s, %s", x.pattern, x.text)
		}
	}
}

package portal

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	desk "vidimus/internal/request"
	"vidimus/internal/store"
	"vidimus/internal/validation"
)

// newDesk is one with an issuer main and its staging.
func newDesk(t *testing.T, db *store.Store, now func() time.Time) *desk.Desk {
	t.Helper()
	d := &desk.Desk{Store: db, Directory: &directory.Directory{Store: db, Now: now}, Log: slog.New(slog.DiscardHandler),
		Runner: &validation.Runner{Store: db, Validator: &validation.Validator{}}}
	for _, name := range []string{"main", "main-staging"} {
		root, err := issuer.NewRoot("Test", now())
		must(t, err)
		ca, err := issuer.NewIssuing("Test", name, root, now())
		must(t, err)
		iss, err := issuer.New(issuer.Issuer{Name: name, Store: db, Now: now,
			Profiles: []issuer.Profile{{Name: "server", Description: "for servers", Validity: 90 * 24 * time.Hour}, {Name: "brief", Validity: 7 * 24 * time.Hour}},
			Intermediates: []*issuer.Intermediate{{CA: ca.Certificate, Key: ca.Key, Chains: [][]*x509.Certificate{{ca.Certificate}}, Root: root.Certificate,
				CRLBase: "http://ca.test/crl/"}}})
		must(t, err)
		d.Issuers = append(d.Issuers, desk.Issuer{Issuer: iss, Staging: name != "main"})
	}
	return d
}

// csr is a certificate request in DER, with its key.
func csr(t *testing.T, names ...string) (crypto.Signer, []byte) {
	t.Helper()
	key, err := certificate.KeySpec{}.Generate()
	must(t, err)
	var ids []identifier.Identifier
	for _, n := range names {
		id, err := identifier.Parse(n)
		must(t, err)
		ids = append(ids, id)
	}
	der, err := certificate.Request(key, ids, false)
	must(t, err)
	return key, der
}

func inPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token opens the form, and reads its token.
func (b *browser) token() string {
	b.t.Helper()
	m := tokenField.FindStringSubmatch(b.get("/portal/request").is(200).body)
	if m == nil {
		b.t.Fatal("the form has no token")
	}
	return m[1]
}

// issued has a certificate issued without ACME, and returns its path.
func (b *browser) issued(names ...string) string {
	b.t.Helper()
	_, der := csr(b.t, names...)
	p := b.post("/portal/request", "token", b.token(), "choice", "main/server", "csr", inPEM(der), "step", "issue")
	path := p.header.Get("Location")
	if p.status != 303 || !strings.HasPrefix(path, "/portal/certificates/") {
		b.t.Fatalf("status %d to %q: %s", p.status, path, p.body)
	}
	return path
}

func TestACertificateIsHadWithoutACME(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	b := s.as("ada")
	token := b.token()
	_, der := csr(t, "www.example.org")
	// First what it asks for, then the certificate.
	b.post("/portal/request", "token", token, "choice", "main/brief", "csr", inPEM(der), "step", "look").is(200, "what the request asks for", "www.example.org", "ECDSA P-256",
		`value="issue"`, `value="main/brief" selected`, "BEGIN CERTIFICATE REQUEST", `value="`+token+`"`)
	p := b.post("/portal/request", "token", token, "choice", "main/brief", "csr", inPEM(der), "step", "issue")
	path := p.header.Get("Location")
	b.get(path).is(200, "www.example.org", "ada, in the portal", "6 days left", "valid", "Here is your certificate")
	// Once more, by an impatient click.
	b.post("/portal/request", "token", token, "choice", "main/brief", "csr", inPEM(der), "step", "issue").to(path)
	if n, err := s.Store.CountSelected(t.Context(), store.Selection{Names: []string{"www.example.org"}, Now: s.now}); err != nil || n != 1 {
		t.Errorf("%d certificates, %v", n, err)
	}
	_, other := csr(t, "www.example.org")
	again := b.post("/portal/request", "token", token, "choice", "main/brief", "csr", inPEM(other), "step", "issue").is(422, "used for another")
	if strings.Contains(again.body, token) {
		t.Error("the form that is over is given out again")
	}
}

func TestARequestThatIsWrongIsToldAtItsField(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("mail.example.org", "bob")
	b := s.as("ada")
	_, both := csr(t, "www.example.org", "mail.example.org")
	_, good := csr(t, "www.example.org")
	for step := range strings.FieldsSeq("look issue") {
		send := func(choice, csr string) page {
			return b.post("/portal/request", "token", "0123456789abcdef", "choice", choice, "csr", csr, "step", step)
		}
		p := send("main/server", inPEM(both)).is(422, "<strong>mail.example.org</strong>: <span lang=\"en\">you are not responsible for mail.example.org", "BEGIN CERTIFICATE REQUEST", `value="0123456789abcdef"`)
		p.lacks("<strong>www.example.org", `value="issue"`)
		send("main/server", "").is(422, `id="csr-wrong"`, "there is no certificate request")
		send("main/server", "<script>alert(1)</script>").is(422, `id="csr-wrong"`, "&lt;script&gt;").lacks("<script>alert")
		send("main/server", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n").is(422, "is a private key").lacks("c2VjcmV0")
		send("main/other", inPEM(good)).is(422, `id="choice-wrong"`)
		send("other/server", inPEM(good)).is(422, `id="choice-wrong"`)
	}
	s.as("auditor").get("/portal/request").is(403)
	s.as("auditor").post("/portal/request", "token", "0123456789abcdef", "csr", inPEM(good), "step", "issue").is(403)
	b.send("/portal/request", map[string][]string{"csr": {inPEM(good)}, "step": {"issue"}, "token": {"0123456789abcdef"}}, "same-origin").is(403)
	s.as("operator").issued("www.example.org", "mail.example.org")
}

// upload sends a file as the form does.
func (b *browser) upload(data []byte, fields map[string]string) page {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	f, err := w.CreateFormFile("file", "x.csr")
	must(b.t, err)
	f.Write(data)
	fields["csrf"] = b.csrf
	for k, v := range fields {
		must(b.t, w.WriteField(k, v))
	}
	must(b.t, w.Close())
	r, err := http.NewRequest(http.MethodPost, b.server.URL+"/portal/request", &body)
	must(b.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(r)
}

func TestARequestIsAFileToo(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	b := s.as("ada")
	_, der := csr(t, "www.example.org")
	for _, data := range [][]byte{der, []byte(inPEM(der))} {
		b.upload(data, map[string]string{"token": b.token(), "step": "look", "choice": "main/server"}).is(200, "www.example.org", "BEGIN CERTIFICATE REQUEST", `value="issue"`)
	}
	b.upload([]byte("\x00\x01\xff"), map[string]string{"token": b.token(), "step": "look"}).is(422, `id="csr-wrong"`)
	b.upload(make([]byte, maxForm), map[string]string{"token": b.token(), "step": "look"}).is(413)
	// No file was chosen: the field is empty.
	b.upload(nil, map[string]string{"token": b.token(), "step": "look", "csr": inPEM(der)}).is(200, "www.example.org")
}

func TestTheScriptGetsTheCertificateAsJSON(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	b := s.as("ada")
	b.header.Set("Accept", "application/json")
	key, der := csr(t, "www.example.org")
	p := b.post("/portal/request", "token", "0123456789abcdef", "choice", "main/server", "csr", inPEM(der)).is(200)
	var got struct {
		Serial, Page, Certificate, File string
		Chain                           []string
	}
	must(t, json.Unmarshal([]byte(p.body), &got))
	chain, err := certificate.ParseChain([]byte(got.Certificate + strings.Join(got.Chain, "")))
	must(t, err)
	if len(chain) != 2 || !certificate.KeyMatches(chain[0], key) || chain[0].CheckSignatureFrom(chain[1]) != nil || got.File != "www.example.org" || got.Page != "/portal/certificates/"+got.Serial {
		t.Errorf("%+v", got)
	}
	_, other := csr(t, "elsewhere.example.org")
	p = b.post("/portal/request", "token", "another form of hers", "choice", "main/server", "csr", inPEM(other)).is(422, `"field":"names"`, `"name":"elsewhere.example.org"`)
	if p.header.Get("Content-Type") != "application/json" {
		t.Error(p.header)
	}
}

package portal

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	desk "vidimus/internal/request"
	"vidimus/internal/store"
)

// requestRoutes are those of a certificate without ACME.
func (p *Portal) requestRoutes() {
	if p.Desk == nil || len(p.Desk.Issuers) == 0 {
		return
	}
	p.handle("GET /portal/request", changer, p.requestForm)
	p.handle("POST /portal/request", changer, p.request)
}

// requestPage is what the page of a certificate without ACME shows.
type requestPage struct {
	Token   string // of the form
	CSR     string // PEM, or what was sent instead
	Names   string // for a key that is made in the browser, one a line
	Choices []choice

	Field   desk.Field // that something is wrong with
	Wrong   string
	Refused []directory.Refusal
	Plan    *plan // what the request asks for; nil before that is looked at
}

// choice is an issuer with one of its profiles.
type choice struct {
	Value                        string // ISSUER/PROFILE
	Issuer, Profile, Description string
	Days                         int
	Staging, Chosen              bool
}

// plan is what a request asks for.
type plan struct {
	Names []string
	Key   string
}

// requestForm shows the form. Queries: none.
func (p *Portal) requestForm(r *request) error {
	names := strings.Join(r.URL.Query()["name"], "\n")
	if len(names) > desk.MaxSize {
		names = ""
	}
	return r.show("request", requestPage{Token: rand.Text(), Names: names, Choices: p.choices("")})
}

func (p *Portal) choices(chosen string) (all []choice) {
	add := func(iss *desk.Issuer, profile, description string, life time.Duration) {
		c := choice{Value: iss.Name + "/" + profile, Issuer: iss.Name, Profile: profile, Description: description, Days: int(life / (24 * time.Hour)), Staging: iss.Staging}
		c.Chosen = c.Value == chosen || chosen == "" && len(all) == 0
		all = append(all, c)
	}
	for i := range p.Desk.Issuers {
		iss := &p.Desk.Issuers[i]
		for _, pr := range iss.Profiles {
			add(iss, pr.Name, pr.Description, pr.Validity)
		}
		if len(iss.Profiles) == 0 {
			add(iss, "", "", iss.Validity)
		}
	}
	return all
}

// request looks at a certificate request, or issues the certificate. A script gets JSON.
func (p *Portal) request(r *request) error {
	data, err := sentCSR(r)
	if err != nil {
		return err
	}
	issuer, profile, _ := strings.Cut(r.PostFormValue("choice"), "/")
	a := desk.Asked{Login: r.visitor.Person.Login, Editor: r.visitor.Editor, Issuer: issuer, Profile: profile, CSR: data, Form: r.PostFormValue("token")}
	page := requestPage{Token: a.Form, CSR: shownCSR(data), Choices: p.choices(r.PostFormValue("choice"))}
	if page.Token == "" {
		page.Token = rand.Text()
	}
	script := accepts(r.Header.Get("Accept"))
	if r.PostFormValue("step") == "issue" || script {
		c, err := p.Desk.Get(r.Context(), a)
		if err == nil && script {
			return p.sendIssued(r, c)
		}
		if err == nil {
			return r.done("/portal/certificates/"+c.Serial, "request.done")
		}
		return r.refuse(page, err, script)
	}
	looked, err := p.Desk.Look(r.Context(), a)
	if len(looked.Names) > 0 {
		page.Plan = &plan{Names: identifier.Values(looked.Names)}
		if looked.CSR != nil {
			page.Plan.Key = keyName(looked.CSR.PublicKey)
		}
	}
	if err != nil {
		return r.refuse(page, err, false)
	}
	return r.show("request", page)
}

// refuse says what is wrong with a form, at its field.
func (r *request) refuse(page requestPage, err error, script bool) error {
	var refused *desk.Refused
	if !errors.As(err, &refused) {
		return err
	}
	if refused.Field == desk.Form {
		page.Token = rand.Text() // that form is over
	}
	page.Field, page.Wrong, page.Refused = refused.Field, refused.Reason, refused.Names
	if !script {
		return r.showAs(http.StatusUnprocessableEntity, "request", page)
	}
	return r.sendJSON(http.StatusUnprocessableEntity, map[string]any{"field": refused.Field, "reason": refused.Reason, "names": refusals(refused.Names), "token": page.Token})
}

func refusals(all []directory.Refusal) []map[string]string {
	out := []map[string]string{}
	for _, f := range all {
		out = append(out, map[string]string{"name": f.Identifier.Value, "reason": f.Reason})
	}
	return out
}

// sendIssued answers the script of the page with the certificate, and the chain above it.
func (p *Portal) sendIssued(r *request, c store.Certificate) error {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	var above []string
	for _, cert := range p.chainOf(store.CertificateStory{ListedCertificate: store.ListedCertificate{Certificate: c}}, leaf) {
		above = append(above, string(certificate.MarshalChain(cert)))
	}
	return r.sendJSON(http.StatusOK, map[string]any{"serial": c.Serial, "page": "/portal/certificates/" + c.Serial,
		"certificate": string(certificate.MarshalChain(leaf)), "chain": above, "file": (&certificatePage{Names: namesOf(c)}).fileName()})
}

func (r *request) sendJSON(status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(status)
	r.w.Write(data)
	return nil
}

// accepts tells whether an Accept header field asks for JSON first.
func accepts(header string) bool {
	first, _, _ := strings.Cut(header, ",")
	mediaType, _, err := mime.ParseMediaType(first)
	return err == nil && mediaType == "application/json"
}

// sentCSR is the request of a form: a file, or what was pasted.
func sentCSR(r *request) ([]byte, error) {
	f, _, err := r.FormFile("file")
	if err != nil { // there is none
		return []byte(r.PostFormValue("csr")), nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, desk.MaxSize+1))
	if err == nil && len(data) == 0 {
		data = []byte(r.PostFormValue("csr"))
	}
	return data, err
}

// shownCSR is what was sent, as text for the form; DER becomes PEM, and a private key is
// not sent back.
func shownCSR(data []byte) string {
	switch {
	case len(data) > desk.MaxSize, strings.Contains(string(data), "PRIVATE KEY"):
		return ""
	case len(data) > 0 && data[0] == 0x30:
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: data}))
	case !utf8.Valid(data):
		return ""
	}
	return string(data)
}

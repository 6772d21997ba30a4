package portal

import (
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

const (
	// exportPage is how many certificates an export reads at once.
	exportPage = 500
	// namesShown is how many names of a certificate a list shows.
	namesShown = 3
)

func (p *Portal) certificateRoutes() {
	p.handle("GET /portal/certificates", person, p.certificates)
	p.handle("GET /portal/certificates.csv", person, p.exportCertificates)
	p.handle("GET /portal/certificates/{serial}", person, p.certificate)
	p.handle("GET /portal/certificates/{serial}/{file}", person, p.downloadCertificate)
	p.handle("GET /portal/certificates/{serial}/revoke", changer, p.revocation)
	p.handle("POST /portal/certificates/{serial}/revoke", changer, p.revoke)
}

// certificateList is what the list of certificates shows.
type certificateList struct {
	All      bool              // not only of the visitor's own hosts
	Typed    map[string]string // the filter's fields
	Wrong    map[string]string // what is wrong with them
	Filtered bool
	Issuers  []string
	States   []store.CertificateState
	ByExpiry bool
	Lines    []certificateLine

	Next, First, Export string // URLs; "" for none
}

// certificateLine is a certificate in a list.
type certificateLine struct {
	store.ListedCertificate
	Shown []string // names
	More  int      // how many names are not shown
	State string   // a key below "certificate.state."
}

var filterFields = []string{"host", "person", "acme-id", "issuer", "key", "state", "from", "before"}

// certificates lists those of the visitor's hosts, or all for those who see all. Queries:
// 3, one more for a person's login, and when listed by expiry one for each issuer but one.
func (p *Portal) certificates(r *request) error {
	list := certificateList{All: r.visitor.Editor.SeesAll(), States: []store.CertificateState{store.Valid, store.Expired, store.Revoked}}
	f, err := p.certificateFilter(r, &list)
	if err != nil {
		return err
	}
	list.ByExpiry, _ = f.ByExpiry()
	status := http.StatusOK
	var next string
	if len(list.Wrong) > 0 {
		status = http.StatusUnprocessableEntity
	} else {
		var all []store.ListedCertificate
		if all, next, err = p.Store.ListCertificates(r.Context(), f, r.FormValue("after"), perPage); err != nil {
			return err
		}
		for _, c := range all {
			list.Lines = append(list.Lines, lineOf(c, p.Now()))
		}
	}
	list.link(r.FormValue("after"), next)
	return r.showAs(status, "certificates", list)
}

// link makes the links of a list to its other pages, and to its export.
func (l *certificateList) link(after, next string) {
	values := url.Values{}
	for field, typed := range l.Typed {
		if typed != "" {
			values.Set(field, typed)
			l.Filtered = true
		}
	}
	if len(l.Lines) > 0 {
		l.Export = "/portal/certificates.csv?" + values.Encode()
	}
	if after != "" {
		l.First = "/portal/certificates?" + values.Encode()
	}
	if next != "" {
		values.Set("after", next)
		l.Next = "/portal/certificates?" + values.Encode()
	}
}

// certificateFilter reads the filter of a list.
func (p *Portal) certificateFilter(r *request, list *certificateList) (f store.CertificateFilter, err error) {
	list.Typed, list.Wrong = map[string]string{}, map[string]string{}
	for _, field := range filterFields {
		list.Typed[field] = strings.TrimSpace(r.FormValue(field))
	}
	f = store.CertificateFilter{Now: p.Now(), Person: r.visitor.Person.ID, Issuer: list.Typed["issuer"], State: store.CertificateState(list.Typed["state"])}
	if list.Issuers, err = p.Store.IssuersOnRecord(r.Context()); err != nil {
		return f, err
	}
	f.Issuers = list.Issuers
	if !slices.Contains([]store.CertificateState{store.Valid, store.Expired, store.Revoked}, f.State) {
		f.State, list.Typed["state"] = "", ""
	}
	if list.All {
		f.Person = 0
	} else {
		list.Typed["person"] = ""
	}
	if login := list.Typed["person"]; login != "" {
		who, err := p.Store.PersonAlone(r.Context(), login)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return f, err
		}
		if f.Person = who.ID; err != nil {
			list.Wrong["person"] = r.t("certs.no-person")
		}
	}
	read := func(field string, parse func(string) error, key string) {
		if typed := list.Typed[field]; typed != "" && parse(typed) != nil {
			list.Wrong[field] = r.t(key)
		}
	}
	name := func(to *string) func(string) error {
		return func(s string) error {
			id, err := identifier.ParseDNS(s)
			*to = id.Value
			return err
		}
	}
	date := func(to *time.Time) func(string) error {
		return func(s string) (err error) {
			*to, err = time.Parse(time.DateOnly, s)
			return err
		}
	}
	read("host", name(&f.Host), "certs.no-name")
	read("acme-id", name(&f.ACMEID), "certs.no-name")
	read("key", func(s string) (err error) {
		f.Key, err = hex.DecodeString(strings.ToLower(strings.ReplaceAll(s, ":", "")))
		if err == nil && len(f.Key) != 32 {
			err = errors.New("not a SHA-256")
		}
		return err
	}, "certs.no-key")
	read("from", date(&f.From), "certs.no-date")
	read("before", date(&f.Before), "certs.no-date")
	return f, nil
}

func lineOf(c store.ListedCertificate, now time.Time) certificateLine {
	l := certificateLine{ListedCertificate: c, State: stateOf(c.Certificate, now)}
	all := namesOf(c.Certificate)
	l.Shown = all[:min(len(all), namesShown)]
	l.More = len(all) - len(l.Shown)
	return l
}

// namesOf lists the names in a certificate; none while it is not signed.
func namesOf(c store.Certificate) []string {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil
	}
	return identifier.Values(certificate.Identifiers(cert))
}

// stateOf is what has become of a certificate: a key below "certificate.state.".
func stateOf(c store.Certificate, now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return "revoked"
	case c.DER == nil:
		return "intended"
	case !now.Before(c.NotAfter):
		return "expired"
	case c.ReplacedBy != 0:
		return "replaced"
	case now.Add(c.NotAfter.Sub(c.NotBefore) / 6).After(c.NotAfter):
		return "ending"
	}
	return "valid"
}

// exportCertificates sends what a list has, all its pages, as CSV. It keeps a page in
// memory, and holds no transaction open.
func (p *Portal) exportCertificates(r *request) error {
	list := certificateList{All: r.visitor.Editor.SeesAll()}
	f, err := p.certificateFilter(r, &list)
	if err != nil {
		return err
	}
	if len(list.Wrong) > 0 {
		return errNotFound
	}
	page, next, err := p.Store.ListCertificates(r.Context(), f, "", exportPage)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	r.w.Header().Set("Content-Disposition", `attachment; filename="certs.csv"`)
	out := csv.NewWriter(r.w)
	out.Write([]string{"serial", "names", "issuer", "not_before", "not_after", "state", "revoked", "acme_id", "person", "key_sha256"})
	for sent, begin := 0, time.Now(); ; page, next, err = p.Store.ListCertificates(r.Context(), f, next, exportPage) {
		if err != nil {
			p.Log.ErrorContext(r.Context(), "an export of certificates was cut short", "err", err)
			panic(http.ErrAbortHandler) // so that it is seen
		}
		for _, c := range page {
			out.Write(certificateCells(c, f.Now))
		}
		if out.Flush(); out.Error() != nil {
			return nil // nobody reads on
		}
		if sent += len(page); next == "" || sent >= exportMost || time.Since(begin) > exportFor || r.Context().Err() != nil {
			return nil
		}
	}
}

func certificateCells(c store.ListedCertificate, now time.Time) []string {
	cells := []string{c.Serial, strings.Join(namesOf(c.Certificate), " "), c.Issuer, rfc3339(c.NotBefore), rfc3339(c.NotAfter), stateOf(c.Certificate, now),
		rfc3339(c.Revoked), c.ACMEID, c.Person, hex.EncodeToString(c.SPKI)}
	for i := range cells {
		cells[i] = noFormula(cells[i])
	}
	return cells
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

package portal

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

func (p *Portal) revokeRoutes() {
	p.handle("GET /portal/revoke", operator, p.revokeForm)
	p.handle("POST /portal/revoke", operator, p.lookAtSelection)
	p.handle("POST /portal/revoke/confirmed", operator, p.revokeSelection)
}

// selectionForm is a selection of certificates as it was typed, and what it comes to.
type selectionForm struct {
	Fields  []selectionField
	Issuers []string
	Issuer  string
	Reason  string
	Reasons []string
	Wrong   string // with the whole

	// The second look.
	Selected string // the selection in words
	Count    int64
	Sample   []selectedCertificate
	Blocks   bool   // keys are blocked too
	Typed    string // the number, as it was typed again
	Mistyped bool
}

// selectedCertificate is one of a selection, for people to recognise.
type selectedCertificate struct {
	Serial   string
	Names    []string
	NotAfter time.Time
}

// Counted is Count for a text.
func (f selectionForm) Counted() int { return int(f.Count) }

// query is that of a URL of the form as it was filled in.
func (f selectionForm) query() string {
	v := url.Values{"reason": {f.Reason}}
	if f.Issuer != "" {
		v.Set("issuer", f.Issuer)
	}
	for _, field := range f.Fields {
		if field.Value != "" {
			v.Set(field.Name, field.Value)
		}
	}
	return v.Encode()
}

// selectionField is one of the conditions.
type selectionField struct {
	Name, Value, Wrong string
	Many               bool // of several lines
	read               func(sel *store.Selection, value string) error
}

// newSelectionForm reads what was typed.
func (p *Portal) newSelectionForm(r *request) (f selectionForm, sel store.Selection) {
	sel.Now = p.Now()
	f = selectionForm{Issuer: r.FormValue("issuer"), Reason: r.FormValue("reason"), Typed: strings.TrimSpace(r.FormValue("count"))}
	f.Fields = []selectionField{
		{Name: "host", Many: true, read: readHost}, {Name: "name", Many: true, read: readName}, {Name: "subtree", Many: true, read: readSubtree},
		{Name: "acme-id", Many: true, read: readACMEID}, {Name: "account", Many: true, read: readAccount}, {Name: "serial", Many: true, read: readSerial}, {Name: "key", Many: true, read: readKey},
		{Name: "after", read: func(sel *store.Selection, v string) error { return readMoment(&sel.IssuedAfter, v, false) }},
		{Name: "before", read: func(sel *store.Selection, v string) error { return readMoment(&sel.IssuedBefore, v, true) }},
	}
	for i := range f.Fields {
		field := &f.Fields[i]
		field.Value = strings.TrimSpace(r.FormValue(field.Name))
		for _, v := range strings.FieldsFunc(field.Value, func(c rune) bool { return strings.ContainsRune(" ,\r\n\t", c) }) {
			if err := field.read(&sel, v); err != nil {
				field.Wrong = r.t("revoke.wrong-"+kindOfField(field.Name), clipped(v, 80))
				break
			}
		}
	}
	for _, d := range p.Directories {
		f.Issuers = append(f.Issuers, d.Name)
	}
	if slices.Contains(f.Issuers, f.Issuer) {
		sel.Issuers = []string{f.Issuer}
	}
	for n := range acme.RevocationReason(11) {
		if name, ok := acme.Reasons[n]; ok {
			f.Reasons = append(f.Reasons, name)
		}
	}
	return f, sel
}

func kindOfField(name string) string {
	switch name {
	case "host", "name", "subtree", "acme-id":
		return "name"
	case "after", "before":
		return "time"
	}
	return name
}

var errSelection = errors.New("not understood")

func readHost(sel *store.Selection, v string) error {
	id, err := identifier.ParseLocal(v)
	sel.Names = append(sel.Names, id.GoodFor()...)
	return err
}

func readName(sel *store.Selection, v string) error {
	id, err := identifier.ParseLocal(v)
	sel.Names = append(sel.Names, id.Value)
	return err
}

func readSubtree(sel *store.Selection, v string) error {
	id, err := identifier.ParseLocal(v)
	if err == nil && (id.Type != identifier.DNS || id.Wildcard()) {
		err = errSelection
	}
	sel.Trees = append(sel.Trees, id.Value)
	return err
}

func readACMEID(sel *store.Selection, v string) error {
	id, err := identifier.ParseLocal(v)
	sel.ACMEIDs = append(sel.ACMEIDs, id.Value)
	return err
}

func readAccount(sel *store.Selection, v string) error {
	id, err := strconv.ParseInt(v[strings.LastIndexByte(v, '/')+1:], 10, 64)
	if err == nil && id <= 0 {
		err = errSelection
	}
	sel.Accounts = append(sel.Accounts, id)
	return err
}

func readSerial(sel *store.Selection, v string) error {
	serial := strings.ToLower(strings.ReplaceAll(v, ":", ""))
	_, err := hex.DecodeString(serial)
	if len(serial) > 40 {
		err = errSelection
	}
	sel.Serials = append(sel.Serials, serial)
	return err
}

func readKey(sel *store.Selection, v string) error {
	sum, err := hex.DecodeString(strings.ReplaceAll(v, ":", ""))
	if err == nil && len(sum) != sha256.Size {
		err = errSelection
	}
	sel.Keys = append(sel.Keys, sum)
	return err
}

func readMoment(to *time.Time, v string, end bool) error {
	t, ok := momentOf(v, end)
	if !ok {
		return errSelection
	}
	*to = t
	return nil
}

// check says what is wrong with the form.
func (f *selectionForm) check(r *request, sel store.Selection) (why acme.RevocationReason, ok bool) {
	why, known := reasonOf(f.Reason)
	ok = known
	for _, field := range f.Fields {
		ok = ok && field.Wrong == ""
	}
	if ok && sel.String() == "" {
		f.Wrong, ok = r.t("revoke.everything"), false
	}
	if !known {
		f.Wrong = r.t("revoke.reason-wrong")
	}
	return why, ok
}

func reasonOf(name string) (acme.RevocationReason, bool) {
	for n, text := range acme.Reasons {
		if text == name {
			return n, true
		}
	}
	return 0, false
}

func (p *Portal) revokeForm(r *request) error {
	f, _ := p.newSelectionForm(r)
	if f.Reason == "" {
		f.Reason = f.Reasons[0]
	}
	return r.show("revoke", f)
}

// lookAtSelection counts, and asks for the number again.
func (p *Portal) lookAtSelection(r *request) error {
	f, sel := p.newSelectionForm(r)
	why, ok := f.check(r, sel)
	if !ok {
		return r.showAs(http.StatusUnprocessableEntity, "revoke", f)
	}
	if err := p.look(r, &f, sel, why); err != nil {
		return err
	}
	if f.Count == 0 && !f.Blocks {
		f.Wrong = r.t("revoke.none")
		return r.showAs(http.StatusUnprocessableEntity, "revoke", f)
	}
	return r.show("revoke-look", f)
}

// sampleSize is how many certificates of a selection are shown.
const sampleSize = 10

func (p *Portal) look(r *request, f *selectionForm, sel store.Selection, why acme.RevocationReason) (err error) {
	f.Selected, f.Blocks = sel.String(), why == acme.KeyCompromise && len(sel.Keys) > 0
	if f.Count, err = p.Store.CountSelected(r.Context(), sel); err != nil {
		return err
	}
	serials, err := p.Store.Selected(r.Context(), sel, "", sampleSize)
	if err != nil || len(serials) == 0 {
		return err
	}
	return p.Store.Certificates(r.Context(), store.Selection{Serials: serials, History: true}, func(c store.Certificate) error {
		x := selectedCertificate{Serial: c.Serial, NotAfter: c.NotAfter}
		if cert, err := x509.ParseCertificate(c.DER); err == nil { // one that is not signed yet has none
			x.Names = cert.DNSNames
			for _, ip := range cert.IPAddresses {
				x.Names = append(x.Names, ip.String())
			}
		}
		f.Sample = append(f.Sample, x)
		return nil
	})
}

// revokeFor is how long one request revokes; the rest is done by another.
const revokeFor = 40 * time.Second

// revokeSelection revokes what was looked at, if it is still as many.
func (p *Portal) revokeSelection(r *request) error {
	f, sel := p.newSelectionForm(r)
	why, ok := f.check(r, sel)
	if !ok {
		return r.showAs(http.StatusUnprocessableEntity, "revoke", f)
	}
	if err := p.look(r, &f, sel, why); err != nil {
		return err
	}
	if f.Typed != fmt.Sprint(f.Count) {
		f.Mistyped = true
		return r.showAs(http.StatusUnprocessableEntity, "revoke-look", f)
	}
	n, err := p.revokeAll(r.Context(), sel, why)
	if err != nil {
		return err
	}
	if int64(n) < f.Count {
		return r.done("/portal/revoke?"+f.query(), "revoke.partly", n, f.Count)
	}
	return r.done("/portal/revoke", "revoke.done", n)
}

// revokeAll revokes a selection and counts. Keys that are compromised are blocked first,
// so that no certificate comes meanwhile.
func (p *Portal) revokeAll(ctx context.Context, sel store.Selection, why acme.RevocationReason) (n int, err error) {
	if why == acme.KeyCompromise {
		for _, key := range sel.Keys {
			if err := p.Store.BlockKey(ctx, key, p.Now()); err != nil {
				return 0, err
			}
		}
	}
	for begin, after := time.Now(), ""; time.Since(begin) < revokeFor && ctx.Err() == nil; {
		serials, err := p.Store.Selected(ctx, sel, after, store.Batch)
		if err != nil || len(serials) == 0 {
			return n, err
		}
		done, err := p.Store.RevokeAll(ctx, serials, why, p.Now())
		n, after = n+done, serials[len(serials)-1]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

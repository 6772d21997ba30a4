// Package request gives people certificates without ACME: for a certificate request that
// they send themselves, by the same decisions and on the same record as an order. It
// decides nothing about names (package directory does), and signs nothing (package issuer
// does).
//
// A form is good for one certificate. It is on record with the intent to sign, so that a
// form which is sent twice, or again after a crash, gets the certificate that it got, or
// was to get, before.
package request

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/lint"
	"vidimus/internal/store"
	"vidimus/internal/validation"
	"vidimus/internal/weakkey"
)

// MaxSize bounds a certificate request, in bytes, as PEM or DER.
const MaxSize = 64 << 10

// Issuer is one that people may choose.
type Issuer struct {
	*issuer.Issuer
	Staging        bool // for trying things
	MaxIdentifiers int  // in a certificate; 0 means 100
}

// Desk is where people ask.
type Desk struct {
	Issuers   []Issuer // the first is the default
	Store     *store.Store
	Directory *directory.Directory
	Runner    *validation.Runner // looks at CAA records, as for orders of the issuer's directory
	Blocked   *weakkey.List      // keys that are refused besides those on record; nil for none
	Log       *slog.Logger
}

// Asked is what somebody asks for.
type Asked struct {
	Login  string // of the person
	Editor directory.Editor

	Issuer  string // "" means the default
	Profile string // "" means the issuer's default
	CSR     []byte // a PKCS #10 request, PEM or DER
	Form    string // the token of the form that was sent; random
}

// Field is the part of a form that something is wrong with.
type Field string

// The fields of a form.
const (
	CSR     Field = "csr"
	Names   Field = "names"
	Chosen  Field = "issuer"
	Profile Field = "profile"
	Form    Field = "form"
)

// Refused says what is wrong with a form, for people; nothing was signed.
type Refused struct {
	Field  Field
	Reason string
	Names  []directory.Refusal // why not, by name
}

func (r *Refused) Error() string { return r.Reason }

func refused(f Field, format string, args ...any) error {
	return &Refused{Field: f, Reason: fmt.Sprintf(format, args...)}
}

// Plan is what a request asks for, and would get.
type Plan struct {
	Issuer  *Issuer
	Profile *issuer.Profile
	CSR     *x509.CertificateRequest
	Names   []identifier.Identifier // sorted
}

// Look tells what a request asks for. When it is refused, the error is a [Refused], and
// the plan has what could be read.
func (d *Desk) Look(ctx context.Context, a Asked) (Plan, error) {
	var p Plan
	var err error
	if err := d.choose(&p, a.Issuer, a.Profile); err != nil {
		return p, err
	}
	der, err := decode(a.CSR)
	if err != nil {
		return p, err
	}
	if p.Names, err = issuer.NamesOf(der); err != nil {
		return p, refused(CSR, "%v", err)
	}
	switch most := p.Issuer.max(); {
	case len(p.Names) == 0:
		return p, refused(CSR, "the certificate request names no host; put the names into its subject alternative names")
	case len(p.Names) > most:
		n := len(p.Names)
		p.Names = p.Names[:most]
		return p, refused(CSR, "the certificate request has %d names; one certificate has at most %d", n, most)
	}
	csr, problem := issuer.CheckRequest(der, p.Names, p.Profile)
	if problem != nil {
		return p, refused(CSR, "%s", problem.Detail)
	}
	p.CSR = csr
	if err := d.checkKey(ctx, csr.RawSubjectPublicKeyInfo); err != nil {
		return p, err
	}
	return p, d.checkNames(ctx, a.Editor, p)
}

func (i *Issuer) max() int {
	if i.MaxIdentifiers == 0 {
		return 100
	}
	return i.MaxIdentifiers
}

// choose finds the issuer and its profile.
func (d *Desk) choose(p *Plan, name, profile string) error {
	if len(d.Issuers) == 0 {
		return errors.New("there is no issuer")
	}
	n := 0
	if name != "" {
		n = slices.IndexFunc(d.Issuers, func(i Issuer) bool { return i.Name == name })
	}
	if n < 0 {
		return refused(Chosen, "there is no such issuer; choose one of the list")
	}
	p.Issuer = &d.Issuers[n]
	if p.Profile = p.Issuer.Profile(profile); p.Profile == nil {
		return refused(Profile, "the issuer %s has no such profile; choose one of the list", p.Issuer.Name)
	}
	return nil
}

// decode reads a request as PEM or DER.
func decode(data []byte) ([]byte, error) {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, refused(CSR, "there is no certificate request; paste one, or choose its file")
	case len(data) > MaxSize:
		return nil, refused(CSR, "that is longer than any certificate request (%d KiB)", MaxSize>>10)
	case data[0] == 0x30: // SEQUENCE
		return data, nil
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, refused(CSR, "that is no certificate request: it begins with -----BEGIN CERTIFICATE REQUEST-----, or is a file in DER")
		}
		switch {
		case block.Type == "CERTIFICATE REQUEST" || block.Type == "NEW CERTIFICATE REQUEST":
			return block.Bytes, nil
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, refused(CSR, "that is a private key, which nobody but its server should have: make a new key, and send its certificate request")
		case block.Type == "CERTIFICATE":
			return nil, refused(CSR, "that is a certificate, not a certificate request")
		}
	}
}

// checkKey refuses a key that others know, or may.
func (d *Desk) checkKey(ctx context.Context, spki []byte) error {
	if d.Blocked.Has(spki) {
		return refused(CSR, "the key is on a list of keys that others know; make a new one")
	}
	sum := sha256.Sum256(spki)
	blocked, err := d.Store.KeyBlocked(ctx, sum[:])
	if err != nil {
		return fmt.Errorf("looking up a key: %w", err)
	}
	if blocked {
		return refused(CSR, "the key is blocked: it was revoked as compromised, or the operators know that others have it; make a new one")
	}
	return nil
}

// checkNames asks the directory, and what the profile and the CA have against names.
func (d *Desk) checkNames(ctx context.Context, e directory.Editor, p Plan) error {
	dec, err := d.Directory.MayHaveWithoutACME(ctx, e, p.Names)
	if err != nil {
		return err
	}
	all := dec.Refused
	for _, problem := range p.Issuer.Refused(p.Profile, p.Names) {
		if !slices.ContainsFunc(all, func(r directory.Refusal) bool { return r.Identifier == *problem.Identifier }) {
			all = append(all, directory.Refusal{Identifier: *problem.Identifier, Reason: problem.Detail})
		}
	}
	return refusedNames(all)
}

func refusedNames(all []directory.Refusal) error {
	if len(all) == 0 {
		return nil
	}
	return &Refused{Names, all[0].Reason, all}
}

// Get issues the certificate that somebody asks for, or returns the one that their form
// was good for before. A [Refused] says what is wrong with the form. On any other error
// the same form may be sent again.
func (d *Desk) Get(ctx context.Context, a Asked) (store.Certificate, error) {
	form, err := formID(a)
	if err != nil {
		return store.Certificate{}, err
	}
	if c, err := d.had(ctx, a, form); !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	p, err := d.Look(ctx, a)
	if err != nil {
		return store.Certificate{}, err
	}
	if err := d.checkCAA(ctx, p); err != nil {
		return store.Certificate{}, err
	}
	c, err := p.Issuer.Issue(ctx, issuer.Request{Identifiers: p.Names, PublicKey: p.CSR.PublicKey, SPKI: p.CSR.RawSubjectPublicKeyInfo,
		Person: a.Login, Form: form, Profile: p.Profile, Staple: issuer.AsksForStaple(p.CSR)})
	if errors.Is(err, store.ErrConflict) {
		return d.had(ctx, a, form)
	}
	if err != nil {
		return c, explained(err)
	}
	d.Log.InfoContext(ctx, "issued", "serial", c.Serial, "person", a.Login, "names", p.Names, "not_after", c.NotAfter)
	return c, nil
}

// formID is by what a form is on record: one person's can't be another's.
func formID(a Asked) ([]byte, error) {
	if len(a.Form) < 16 || len(a.Form) > 100 || a.Login == "" {
		return nil, refused(Form, "this form is not complete; open the page again")
	}
	sum := sha256.Sum256([]byte(a.Login + "\x00" + a.Form))
	return sum[:], nil
}

// had finds the certificate that a form was good for, and signs it when that has not come
// about. [store.ErrNotFound] means that the form is new.
func (d *Desk) had(ctx context.Context, a Asked, form []byte) (store.Certificate, error) {
	c, err := d.Store.CertificateOfForm(ctx, form)
	if err != nil {
		return c, err
	}
	if !asksFor(a.CSR, c) {
		return c, refused(Form, "this form has been used for another certificate request; open the page again")
	}
	if c.DER != nil {
		return c, nil
	}
	n := slices.IndexFunc(d.Issuers, func(i Issuer) bool { return i.Name == c.Issuer })
	if n < 0 {
		return c, fmt.Errorf("the issuer %s is not configured any more", c.Issuer)
	}
	if err := d.Issuers[n].Finish(ctx, &c); !errors.Is(err, store.ErrConflict) {
		return c, err
	}
	return d.Store.Certificate(ctx, c.Serial) // another has finished it
}

// asksFor tells whether a request is for the key of a certificate.
func asksFor(request []byte, c store.Certificate) bool {
	der, err := decode(request)
	if err != nil {
		return false
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return bytes.Equal(sum[:], c.SPKI)
}

// checkCAA looks at the CAA records of all names, where that is done for what the host
// database grants.
func (d *Desk) checkCAA(ctx context.Context, p Plan) error {
	if !d.Runner.ChecksCAA(p.Issuer.Name) {
		return nil
	}
	err := d.Runner.CheckAllCAA(ctx, store.Account{Directory: p.Issuer.Name}, p.Names, func(int) string { return validation.MethodHostDatabase })
	var problem *acme.Problem
	if !errors.As(err, &problem) {
		return err
	}
	var all []directory.Refusal
	for _, s := range problem.Subproblems {
		all = append(all, directory.Refusal{Identifier: *s.Identifier, Reason: s.Detail})
	}
	if len(all) == 0 {
		return refused(Names, "%s", problem.Detail)
	}
	return refusedNames(all)
}

// explained is what has kept a certificate from being issued, for the person who asks.
func explained(err error) error {
	var rule *lint.Refusal
	var problem *acme.Problem
	switch {
	case errors.As(err, &rule):
		return fmt.Errorf("the certificate would break a rule that this CA keeps, by no fault of the request; tell its operators: %w", err)
	case errors.As(err, &problem):
		return refused(CSR, "%s", problem.Detail)
	}
	return err
}

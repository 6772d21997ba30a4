// Package lint checks certificates by zlint before they are signed: by RFC 5280 and
// its relatives, and by what the CA/Browser Forum and the browsers ask of CAs. It
// never changes a certificate, and knows nothing of who asks for one.
package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	_ "github.com/zmap/zlint/v3" // which registers the lints
	"github.com/zmap/zlint/v3/lint"
	"github.com/zmap/zlint/v3/util"
)

// Rules says which lints a certificate must pass.
type Rules string

const (
	// Private is for a CA that the organisation's own clients trust: what the public's
	// rules demand of public CAs alone is left out.
	Private Rules = "private"
	// Public is for a CA under a root of the browsers.
	Public Rules = "public"
)

// sources are those about certificates of TLS servers and clients: not code signing,
// S/MIME, extended validation, or the qualified certificates of eIDAS.
var sources = lint.SourceList{
	lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC6962, lint.RFC8813,
	lint.CABFBaselineRequirements, lint.MozillaRootStorePolicy, lint.AppleRootStorePolicy, lint.ChromeRootStorePolicy, lint.Community,
}

// publicOnly are what a private CA's certificates need not keep: names and addresses
// that only the organisation has, longer lives, policies and places that auditors
// look for, Ed25519.
var publicOnly = []string{
	"e_dnsname_not_valid_tld",
	"e_ext_san_contains_reserved_ip",
	"e_subject_contains_reserved_ip",
	"e_organizational_unit_name_prohibited",
	"e_sub_cert_cert_policy_empty",
	"e_sub_cert_certificate_policies_missing",
	"e_sub_cert_country_name_must_appear",
	"e_sub_cert_locality_name_must_appear",
	"e_sub_cert_province_must_appear",
	"e_sub_cert_aia_missing",
	"e_missing_crl_distrib_point",
	"e_server_cert_valid_time_longer_than_200_days",
	"e_server_cert_valid_time_longer_than_100_days",
	"e_server_cert_valid_time_longer_than_47_days",
	"e_signature_algorithm_not_supported",
	"e_algorithm_identifier_improper_encoding",
}

// elsewhere is what has been checked before, as it costs much: close primes, by package
// weakkey.
var elsewhere = []string{"e_rsa_fermat_factorization"}

// stateless are lints that are made with what costs much, here a regular expression, and
// don't change: one serves all certificates.
var stateless = []string{"e_dnsname_bad_character_in_label"}

// Known tells whether there is a lint of that name.
func Known(name string) bool { return lint.GlobalRegistry().CertificateLints().ByName(name) != nil }

// Linter checks certificates. It is safe for concurrent use.
type Linter struct {
	lints  []*lint.CertificateLint // those that can find an error
	config lint.Configuration
}

// New makes a linter by rules, without those named in ignored, which must be known.
func New(r Rules, ignored []string) (*Linter, error) {
	if r != Private && r != Public {
		return nil, fmt.Errorf("there are no lint rules %q; use private or public", r)
	}
	exclude := slices.Concat(ignored, elsewhere)
	for _, name := range ignored {
		if !Known(name) {
			return nil, fmt.Errorf("there is no lint %q", name)
		}
	}
	if r == Private {
		exclude = append(exclude, publicOnly...)
	}
	// A name that zlint doesn't have would leave a lint in without a word; New is where
	// an update of zlint that renames one is found.
	for _, name := range exclude {
		if !Known(name) {
			return nil, fmt.Errorf("zlint has no lint %q any more", name)
		}
	}
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: sources, ExcludeNames: exclude})
	if err != nil {
		return nil, err
	}
	l := &Linter{config: registry.GetConfiguration()}
	for _, x := range registry.CertificateLints().Lints() {
		if strings.HasPrefix(x.Name, "e_") { // the names of those that warn, or tell, begin otherwise
			if slices.Contains(stateless, x.Name) {
				x = madeOnce(*x)
			}
			l.lints = append(l.lints, x)
		}
	}
	return l, nil
}

// run is x.Execute without the results of the lints that don't apply, which are most of
// them: nil stands for those. A certificate that a lint panics about is Execute's to refuse.
func (l *Linter) run(x *lint.CertificateLint, cert *x509.Certificate) (result *lint.LintResult) {
	defer func() {
		if recover() != nil {
			result = x.Execute(cert, l.config)
		}
	}()
	if !x.CheckEffective(cert) {
		return nil
	}
	one := x.Lint()
	if _, ok := one.(lint.Configurable); ok {
		return x.Execute(cert, l.config)
	}
	if !one.CheckApplies(cert) {
		return nil
	}
	return one.Execute(cert)
}

func madeOnce(x lint.CertificateLint) *lint.CertificateLint {
	one := x.Lint()
	x.Lint = func() lint.LintInterface { return one }
	return &x
}

// Refusal is why a certificate must not be signed.
type Refusal struct{ Findings []Finding }

// Finding is a lint with an error.
type Finding struct {
	Lint    string // zlint's name
	Details string // what zlint says of it, perhaps ""
}

func (r *Refusal) Error() string {
	texts := make([]string, len(r.Findings))
	for n, f := range r.Findings {
		if texts[n] = f.Lint; f.Details != "" {
			texts[n] += " (" + f.Details + ")"
		}
	}
	return "the certificate does not pass " + strings.Join(texts, ", ") +
		"; change the profile, or name the lint in lints_ignored"
}

// AboutKey tells whether all that was found is about the certified key, which is the
// client's to change.
func (r *Refusal) AboutKey() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return !aboutKey[f.Lint] })
}

var aboutKey = map[string]bool{
	"e_dsa_improper_modulus_or_divisor_size": true, "e_ec_improper_curves": true, "e_public_key_type_not_allowed": true,
	"e_rsa_exp_negative": true, "e_rsa_mod_less_than_2048_bits": true, "e_rsa_no_public_key": true,
	"e_rsa_public_exponent_not_odd": true, "e_rsa_public_exponent_too_small": true,
}

// Check returns a [Refusal] when the certificate, in DER, doesn't pass.
func (l *Linter) Check(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("zlint can't read the certificate: %w", err)
	}
	var found []Finding
	forServers := util.IsServerAuthCert(cert)
	for _, x := range l.lints { // as zlint.LintCertificateEx does, which sorts all names and keeps all results
		if x.Source == lint.CABFBaselineRequirements && !x.OverrideFrameworkFilter && !forServers {
			continue
		}
		if result := l.run(x, cert); result != nil && result.Status >= lint.Error {
			found = append(found, Finding{x.Name, result.Details})
		}
	}
	if len(found) == 0 {
		return nil
	}
	r := &Refusal{found}
	slices.SortFunc(r.Findings, func(a, b Finding) int { return strings.Compare(a.Lint, b.Lint) })
	return r
}

package issuance

import (
	"slices"

	"vidimus/internal/acme"
)

// hintAbout says what to look at: at what the authenticator left for the CA to see or, for
// what CAA records forbid, however well it is proved, at these.
func hintAbout(failures []Failure, a interface{ Hint() string }) string {
	forbidden := func(f Failure) bool { return f.Type == string(acme.CAA) }
	if !slices.ContainsFunc(failures, forbidden) {
		return a.Hint()
	}
	const caa = "A CAA record of one of these names, or of a name above it, keeps this CA from issuing: have one name this CA " +
		"(issue, or issuewild for wildcards), with the account and the validation method if it limits these."
	if !slices.ContainsFunc(failures, func(f Failure) bool { return !forbidden(f) }) {
		return caa
	}
	return caa + " " + a.Hint()
}

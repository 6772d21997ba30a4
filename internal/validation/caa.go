package validation

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// CAA is how one ACME directory honours CAA records (RFC 8659, RFC 8657).
type CAA struct {
	Identities []string // domain names of the CA, in lower case; without one every issue record forbids
	Accounts   string   // URL of an account without the number at its end
}

// MethodHostDatabase names, in a validationmethods parameter, what no ACME challenge
// proves: that the host database grants a name to an ACME-ID (RFC 8657 §4).
const MethodHostDatabase = "ca-host-database"

// maxCAA bounds the records that are looked at for one name.
const maxCAA = 500

// understood are the property tags that a critical record may have: those that say
// who may issue, and those that say nothing about certificates for servers.
var understood = []string{"issue", "issuewild", "issuemail", "iodef", "contactemail", "contactphone"}

// caaRequest is what CAA records have to allow.
type caaRequest struct {
	id      identifier.Identifier // a DNS name, perhaps a wildcard
	account string                // URL
	method  string                // by which control was proved
}

// caa tells what CAA records have against a certificate, or nil.
func (v *Validator) caa(ctx context.Context, policy CAA, req caaRequest) *acme.Problem {
	if req.id.Type != identifier.DNS {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	owner, records, problem := v.relevantCAA(ctx, req.id)
	if problem != nil || len(records) == 0 {
		return problem
	}
	whose := owner
	if at := strings.TrimSuffix(records[0].Hdr.Name, "."); at != "" && !strings.EqualFold(at, owner) {
		whose = fmt.Sprintf("%s, of which %s is an alias,", clip(at), owner)
		owner = at
	}
	if tag := unknownCritical(records); tag != "" {
		return acme.Problemf(acme.CAA, "the CAA records of %s forbid a certificate for %s: the property %q, which this server does not know, "+
			"is marked as critical", whose, req.id, clip(tag)).WithStatus(http.StatusForbidden)
	}
	why := policy.refuses(records, req)
	if why == "" {
		return nil
	}
	tag := "issue"
	if req.id.Wildcard() {
		tag = "issuewild"
	}
	advice := "this server has no name that a CAA record could allow; its operators can give it one (caa_identities)"
	if len(policy.Identities) > 0 {
		advice = fmt.Sprintf("a record that allows it is: %s. CAA 0 %s %q", clip(owner), tag, policy.Identities[0])
	}
	return acme.Problemf(acme.CAA, "the CAA records of %s forbid a certificate for %s: %s; %s", whose, req.id, why, advice).WithStatus(http.StatusForbidden)
}

// relevantCAA climbs from a name towards the root, to the first that has CAA records
// (RFC 8659 §3). What follows a CNAME is the resolver's matter; we climb the name asked for.
func (v *Validator) relevantCAA(ctx context.Context, id identifier.Identifier) (owner string, records []*dns.CAA, problem *acme.Problem) {
	for owner = id.Base().Value; owner != ""; _, owner, _ = strings.Cut(owner, ".") {
		records, err := v.Resolver.LookupCAA(ctx, owner)
		switch {
		case err != nil:
			return "", nil, acme.Problemf(acme.DNS, "looking up the CAA records of %s, without which nothing is issued for %s: %v; "+
				"its name servers must answer, if only that there are none", owner, id, err)
		case len(records) > maxCAA:
			return "", nil, acme.Problemf(acme.CAA, "%s has more than %d CAA records; have a few", owner, maxCAA).WithStatus(http.StatusForbidden)
		case len(records) > 0:
			return owner, records, nil
		}
	}
	return "", nil, nil
}

// unknownCritical finds the tag of a record that must be understood and is not
// (RFC 8659 §4.1); "" means that there is none.
func unknownCritical(records []*dns.CAA) string {
	for _, r := range records {
		if r.Flag&128 != 0 && !slices.Contains(understood, strings.ToLower(r.Tag)) {
			return cmp.Or(r.Tag, " ")
		}
	}
	return ""
}

// refuses says why no record of the relevant set allows the request; "" means that
// it is allowed (RFC 8659 §4).
func (c CAA) refuses(records []*dns.CAA, req caaRequest) string {
	var issue, wild []*dns.CAA
	for _, r := range records {
		switch strings.ToLower(r.Tag) {
		case "issue":
			issue = append(issue, r)
		case "issuewild":
			wild = append(wild, r)
		}
	}
	if req.id.Wildcard() && len(wild) > 0 {
		issue = wild
	}
	first := ""
	for _, r := range issue {
		why := c.mismatch(r.Value, req)
		if why == "" {
			return ""
		}
		if first == "" {
			first = fmt.Sprintf("%s %q %s", strings.ToLower(r.Tag), clip(r.Value), why)
		}
	}
	if len(issue) > 1 {
		first += fmt.Sprintf(" (and %d more)", len(issue)-1)
	}
	return first
}

// mismatch says why the value of one record does not allow the request, or "".
func (c CAA) mismatch(value string, req caaRequest) string {
	v, err := parseIssue(value)
	switch {
	case err != nil:
		return "is malformed: " + err.Error()
	case v.domain == "":
		return "allows no CA"
	case !slices.Contains(c.Identities, v.domain):
		return "names another CA"
	}
	account, found, err := v.get("accounturi")
	switch {
	case err != nil:
		return "is malformed: " + err.Error()
	case found && account != req.account:
		return "is for another account than " + req.account
	}
	methods, found, err := v.get("validationmethods")
	if err != nil {
		return "is malformed: " + err.Error()
	}
	if !found {
		return ""
	}
	list := strings.Split(methods, ",")
	for _, m := range list {
		if !isMethod(m) {
			return "is malformed: its validationmethods are no list such as dns-01,http-01"
		}
	}
	if !slices.Contains(list, req.method) {
		return "does not allow the validation method " + req.method
	}
	return ""
}

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

// MethodHostDatabase names, in a validationmethods parameter, what no ACME challenge
// proves: that the host database grants a name to an ACME-ID (RFC 8657 §4).
const MethodHostDatabase = "ca-host-database"

// maxCAA bounds the records that are looked at for one name.
const maxCAA = 500

// understood are the property tags that a critical record may have: those that say
// who may issue, and those that say nothing about certificates for servers.
var understood = []string{"issue", "issuewild", "issuemail", "iodef", "contactemail", "contactphone"}

// caa tells what CAA records have against a certificate, or nil.
func (a *attempt) caa(ctx context.Context) *acme.Problem {
	if !a.CAA || a.Identifier.Type != identifier.DNS {
		return nil
	}
	owner, records, problem := a.relevantCAA(ctx)
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
			"is marked as critical", whose, a.certified(), clip(tag)).WithStatus(http.StatusForbidden)
	}
	why := a.refuses(records)
	if why == "" {
		return nil
	}
	tag := "issue"
	if a.Wildcard {
		tag = "issuewild"
	}
	advice := "this server has no name that a CAA record could allow; its operators can give it one (caa_identities)"
	if len(a.Issuers) > 0 {
		advice = fmt.Sprintf("a record that allows it is: %s. CAA 0 %s %q", clip(owner), tag, a.Issuers[0])
	}
	return acme.Problemf(acme.CAA, "the CAA records of %s forbid a certificate for %s: %s; %s", whose, a.certified(), why, advice).WithStatus(http.StatusForbidden)
}

// relevantCAA climbs from a name towards the root, to the first that has CAA records
// (RFC 8659 §3). What follows a CNAME is the resolver's matter; we climb the name asked for.
func (a *attempt) relevantCAA(ctx context.Context) (owner string, records []*dns.CAA, problem *acme.Problem) {
	for owner = a.Identifier.Value; owner != ""; _, owner, _ = strings.Cut(owner, ".") {
		rrs, err := a.lookup(ctx, owner, dns.TypeCAA)
		records := caaRecords(rrs)
		switch {
		case err != nil:
			return "", nil, acme.Problemf(acme.DNS, "looking up the CAA records of %s, without which nothing is issued for %s: %v; "+
				"its name servers must answer, if only that there are none", owner, a.certified(), err)
		case len(records) > maxCAA:
			return "", nil, acme.Problemf(acme.CAA, "%s has more than %d CAA records; have a few", owner, maxCAA).WithStatus(http.StatusForbidden)
		case len(records) > 0:
			return owner, records, nil
		}
	}
	return "", nil, nil
}

func caaRecords(rrs []dns.RR) (records []*dns.CAA) {
	for _, rr := range rrs {
		if caa, ok := rr.(*dns.CAA); ok {
			records = append(records, caa)
		}
	}
	return records
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
func (a *attempt) refuses(records []*dns.CAA) string {
	var issue, wild []*dns.CAA
	for _, r := range records {
		switch strings.ToLower(r.Tag) {
		case "issue":
			issue = append(issue, r)
		case "issuewild":
			wild = append(wild, r)
		}
	}
	if a.Wildcard && len(wild) > 0 {
		issue = wild
	}
	first := ""
	for _, r := range issue {
		why := a.forbids(r.Value)
		if why == "" {
			return ""
		}
		if first == "" {
			first = fmt.Sprintf("%s %q %s", strings.ToLower(r.Tag), clip(r.Value), why)
		}
	}
	return first + andMore(len(issue))
}

// forbids says why the value of one record does not allow the request, or "".
func (a *attempt) forbids(value string) string {
	v, err := parseIssue(value)
	switch {
	case err != nil:
		return "is malformed: " + err.Error()
	case v.domain == "":
		return "allows no CA"
	case !slices.Contains(a.Issuers, v.domain):
		return "names another CA"
	}
	account, found, err := v.get("accounturi")
	switch {
	case err != nil:
		return "is malformed: " + err.Error()
	case found && account != a.Account:
		return "is for another account than " + a.Account
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
	if !slices.Contains(list, string(a.Type)) {
		return "does not allow the validation method " + string(a.Type)
	}
	return ""
}

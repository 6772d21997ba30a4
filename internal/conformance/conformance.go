// Package conformance tests an ACME server from outside: one case for each rule that
// RFC 8555, and RFC 8737, 8738, 9444 and 9773 beside it, put on servers. It speaks to the
// server as any client would and makes its requests by hand, so that it can also send
// those that no client should.
//
// A case is a line of a table with a function of its own ([Cases]). It knows nothing
// of vidimusd and must never import its packages.
package conformance

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// Options say which server to test, and what the test may do there.
type Options struct {
	Directory string         // URL
	Roots     *x509.CertPool // to trust besides the system's; nil for none
	EAB       []Credentials  // each is used for one account
	Domains   []string       // names that certificates may be ordered for
	Address   string         // IP address that certificates may be ordered for, of the machine where the test runs; "" for none
	HTTP01    string         // HOST:PORT to answer http-01 at; "" for nowhere
	TLSALPN01 string         // HOST:PORT to answer tls-alpn-01 at; "" for nowhere
	DNS       string         // HOST:PORT to answer the server's DNS questions at; "" for nowhere
	UserAgent string
	Only      *regexp.Regexp // cases whose "section title" it matches; nil for all
}

// Credentials are external account binding credentials (RFC 8555 §7.3.4).
type Credentials struct {
	KID string
	Key []byte
}

// Outcome is how a case ended.
type Outcome string

const (
	Pass Outcome = "pass"
	Fail Outcome = "fail" // a MUST or MUST NOT is not kept
	Warn Outcome = "warn" // a SHOULD is not kept
	Skip Outcome = "skip" // can't be told, for the reason given
)

// Level is how strongly the RFC asks for it (RFC 2119).
type Level string

const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Case is one rule and its test.
type Case struct {
	Section string `json:"section"` // such as "RFC 8555 §6.2"
	Title   string `json:"title"`   // the rule, in our words
	Level   Level  `json:"level"`

	run func(c *check)
}

// Result is what came of a case.
type Result struct {
	Case
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // of every outcome but a pass
}

// Cases are all cases, in the order in which they run.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{transport, directoryCases, bindings, accounts, keyChanges, orders, authorizations,
		preauthorizations, dnsCases, alpn, subdomains,
		certificates, revocations, renewals, profiles, addresses, deactivations, observed} {
		all = append(all, part...)
	}
	return all
}

func must(section, title string, run func(*check)) Case {
	return Case{"RFC 8555 §" + section, title, Must, run}
}

func should(section, title string, run func(*check)) Case {
	return Case{"RFC 8555 §" + section, title, Should, run}
}

// Selected are the cases that only matches; all if it is nil.
func Selected(only *regexp.Regexp) []Case {
	var out []Case
	for _, c := range Cases() {
		if only == nil || only.MatchString(c.Section+" "+c.Title) {
			out = append(out, c)
		}
	}
	return out
}

// Run tests the server and gives each result to report as it comes. An error means
// that the server could not be tested at all.
func Run(ctx context.Context, o Options, report func(Result)) error {
	s, err := newSession(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	for _, c := range Selected(o.Only) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report(s.run(c))
	}
	return nil
}

// check is a case that runs. Its methods end the case when something is not as the
// RFC wants it.
type check struct{ *session }

// ended is how a case comes to an end before its last line.
type ended struct {
	outcome Outcome
	reason  string
}

func (s *session) run(c Case) (r Result) {
	r = Result{Case: c, Outcome: Pass}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case ended:
			r.Outcome, r.Reason = e.outcome, e.reason
			if e.outcome == Fail && c.Level == Should {
				r.Outcome = Warn
			}
		default:
			panic(e)
		}
	}()
	c.run(&check{s})
	return r
}

func (c *check) fail(format string, args ...any) { panic(ended{Fail, fmt.Sprintf(format, args...)}) }
func (c *check) skip(format string, args ...any) { panic(ended{Skip, fmt.Sprintf(format, args...)}) }

// ok fails the case unless good.
func (c *check) ok(good bool, format string, args ...any) {
	if !good {
		c.fail(format, args...)
	}
}

// requestTimeout bounds each request; a server may hold back the answer to a poll.
const requestTimeout = 40 * time.Second

// maxAnswer is the most that is read of an answer, in bytes.
const maxAnswer = 1 << 20

var noRedirects = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

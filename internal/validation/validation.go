// Package validation checks from outside that an applicant controls an identifier:
// http-01 and dns-01 (RFC 8555 §8.3, §8.4), tls-alpn-01 (RFC 8737), both of those that
// connect for addresses too (RFC 8738), and where they are configured dns-account-01
// (draft-ietf-acme-dns-account-label-03) and dns-persist-01
// (draft-ietf-acme-dns-persist-02); and that no CAA record forbids the certificate
// (RFC 8659, RFC 8657).
//
// It talks to whoever the applicant names, so nothing that comes back is trusted:
// sizes and times are bounded, and connections go to public addresses only, unless
// the configuration allows a network (see [Networks]).
package validation

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// Timeout bounds one validation, with its look at CAA records, from its first question
// to its last byte.
const Timeout = 20 * time.Second

// Resolver looks names up as a recursive resolver does.
type Resolver interface {
	// Lookup returns the records of a type at a name or, when the name is an alias, at
	// the end of its CNAMEs. There being none is no error.
	Lookup(ctx context.Context, name string, t uint16) (Answer, error)
}

// Answer is what a resolver found.
type Answer struct {
	Records []dns.RR // of the type asked for
	DNSSEC  DNSSEC
}

// DNSSEC tells whether a validating resolver vouches for what it found (RFC 4035 §3.2.3).
type DNSSEC string

const (
	Unasked  DNSSEC = ""         // the resolver was not asked whether it does
	Insecure DNSSEC = "insecure" // it does not: the zone isn't signed, or the resolver doesn't validate
	Secure   DNSSEC = "secure"
)

// Validator validates challenges. Its fields are not changed after first use.
type Validator struct {
	Resolver  Resolver
	Networks  Networks // where connections may go besides public addresses
	HTTPPort  int      // of http-01; 0 means 80
	TLSPort   int      // of tls-alpn-01; 0 means 443
	UserAgent string
	Now       func() time.Time // for persistUntil; nil means time.Now
}

// Request is a challenge to be validated.
type Request struct {
	Type             acme.ChallengeType
	Identifier       identifier.Identifier // without the "*." of a wildcard
	Wildcard         bool
	Subdomains       bool // the proof is to hold for names below too (RFC 9444)
	Token            string
	KeyAuthorization string   // token and thumbprint of the account's key with a dot between (RFC 8555 §8.1)
	Account          string   // URL; for dns-account-01, dns-persist-01 and CAA
	Issuers          []string // domain names of the CA for CAA and dns-persist-01, in lower case; without one every issue record forbids
	Networks         Networks // where this validation may connect besides those of the Validator
	CAA              bool     // whether CAA records are looked at

	// For dns-persist-01: what the hash of an account follows, and the thumbprints of the
	// account's keys (RFC 7638), the current one first.
	AccountHashes string
	Thumbprints   []string
}

// Result is what became of a validation.
type Result struct {
	Problem *acme.Problem // nil: control is proved and CAA records allow the certificate
	Until   time.Time     // when the proof ends by itself; zero: never
	Record  Record
}

// Record is what a validation met with, for the log and the database.
type Record struct {
	Address string `json:"address,omitempty"` // HOST:PORT of the last connection
	// DNSSEC is secure when validating resolvers vouch for everything that was looked
	// up, CAA records too.
	DNSSEC DNSSEC `json:"dnssec,omitempty"`
	CAA    bool   `json:"caa,omitempty"` // CAA records were looked at, and allow the certificate
	Millis int64  `json:"ms"`            // how long it took
}

// Validate validates a challenge, and looks at CAA records meanwhile.
func (v *Validator) Validate(ctx context.Context, req Request) Result {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	begin := time.Now()
	a := &attempt{Validator: v, Request: req}
	forbidden := make(chan *acme.Problem, 1)
	go func() { forbidden <- a.caa(ctx) }()
	until, problem := a.prove(ctx)
	if problem != nil {
		cancel() // what CAA records say doesn't matter any more
	}
	if p := <-forbidden; problem == nil {
		problem = p
	}
	record := a.record()
	record.CAA = req.CAA && problem == nil
	record.Millis = time.Since(begin).Milliseconds()
	return Result{Problem: problem, Until: until, Record: record}
}

// LookedAtCAA tells whether a [Record], in JSON, says that CAA records allow the certificate.
func LookedAtCAA(record []byte) bool {
	var r struct {
		CAA bool `json:"caa"`
	}
	return json.Unmarshal(record, &r) == nil && r.CAA
}

// attempt is one validation. It is used by several goroutines.
type attempt struct {
	*Validator
	Request

	mu     sync.Mutex
	seen   Record // guarded by mu
	inside bool   // it was connected to a private or special address; guarded by mu
}

func (a *attempt) prove(ctx context.Context) (until time.Time, problem *acme.Problem) {
	if a.Identifier.Type == identifier.DNS || a.Type == acme.HTTP01 || a.Type == acme.TLSALPN01 {
		switch a.Type {
		case acme.HTTP01:
			return until, a.http01(ctx)
		case acme.DNS01:
			return until, a.dns01(ctx, "_acme-challenge."+a.Identifier.Value)
		case acme.TLSALPN01:
			return until, a.tlsALPN01(ctx)
		case acme.DNSAccount01:
			return until, a.dns01(ctx, accountLabel(a.Account)+"._acme-challenge."+a.Identifier.Value)
		case acme.DNSPersist01:
			return a.dnsPersist01(ctx)
		}
	}
	return until, acme.Problemf(acme.Malformed, "no validation of type %q for identifiers of type %q", a.Type, a.Identifier.Type)
}

// CheckCAA tells what CAA records have against a certificate for an identifier that was
// proved by req.Type, a challenge type or [MethodHostDatabase]; nil if nothing.
func (v *Validator) CheckCAA(ctx context.Context, req Request) *acme.Problem {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return (&attempt{Validator: v, Request: req}).caa(ctx)
}

// certified is what the certificate is to be for, with the "*." of a wildcard.
func (a *attempt) certified() string {
	if a.Wildcard {
		return "*." + a.Identifier.Value
	}
	return a.Identifier.Value
}

func (a *attempt) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// lookup asks the resolver, and notes whether its answer is secure.
func (a *attempt) lookup(ctx context.Context, name string, t uint16) ([]dns.RR, error) {
	answer, err := a.Resolver.Lookup(ctx, name, t)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen.DNSSEC != Insecure && answer.DNSSEC != Unasked {
		a.seen.DNSSEC = answer.DNSSEC
	}
	return answer.Records, nil
}

func (a *attempt) connected(addr net.Addr) {
	tcp, ok := addr.(*net.TCPAddr)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen.Address = addr.String()
	a.inside = a.inside || !ok || !Networks(nil).Allow(tcp.AddrPort().Addr())
}

func (a *attempt) record() Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// clip keeps a foreign value short in what we say.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

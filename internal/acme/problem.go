package acme

import (
	"fmt"
	"net/http"
	"strings"

	"vidimus/internal/identifier"
)

// ProblemType is the last part of an ACME problem's URN (RFC 8555 §6.7).
type ProblemType string

const (
	AccountDoesNotExist     ProblemType = "accountDoesNotExist"
	AlreadyReplaced         ProblemType = "alreadyReplaced" // RFC 9773 §7.4
	AlreadyRevoked          ProblemType = "alreadyRevoked"
	BadCSR                  ProblemType = "badCSR"
	BadNonce                ProblemType = "badNonce"
	BadPublicKey            ProblemType = "badPublicKey"
	BadRevocationReason     ProblemType = "badRevocationReason"
	BadSignatureAlgorithm   ProblemType = "badSignatureAlgorithm"
	CAA                     ProblemType = "caa"
	Compound                ProblemType = "compound"
	Connection              ProblemType = "connection"
	DNS                     ProblemType = "dns"
	ExternalAccountRequired ProblemType = "externalAccountRequired"
	IncorrectResponse       ProblemType = "incorrectResponse"
	InvalidContact          ProblemType = "invalidContact"
	InvalidProfile          ProblemType = "invalidProfile" // draft-ietf-acme-profiles
	Malformed               ProblemType = "malformed"
	OrderNotReady           ProblemType = "orderNotReady"
	RateLimited             ProblemType = "rateLimited"
	RejectedIdentifier      ProblemType = "rejectedIdentifier"
	ServerInternal          ProblemType = "serverInternal"
	TLS                     ProblemType = "tls"
	Unauthorized            ProblemType = "unauthorized"
	UnsupportedContact      ProblemType = "unsupportedContact"
	UnsupportedIdentifier   ProblemType = "unsupportedIdentifier"
	UserActionRequired      ProblemType = "userActionRequired"
)

const problemNamespace = "urn:ietf:params:acme:error:"

func (t ProblemType) MarshalText() ([]byte, error) { return []byte(problemNamespace + t), nil }

// UnmarshalText takes a type of another namespace, such as about:blank (RFC 9457
// §4.2.1), for none.
func (t *ProblemType) UnmarshalText(text []byte) error {
	short, ok := strings.CutPrefix(string(text), problemNamespace)
	if !ok {
		short = ""
	}
	*t = ProblemType(short)
	return nil
}

// Problem is a problem document (RFC 7807, RFC 8555 §6.7). It is an error; what it
// says is meant for the client.
type Problem struct {
	Type        ProblemType            `json:"type"`
	Detail      string                 `json:"detail,omitempty"`
	Status      int                    `json:"status,omitempty"`     // HTTP status code; 0 in a subproblem
	Identifier  *identifier.Identifier `json:"identifier,omitempty"` // in a subproblem, §6.7.1
	Subproblems []*Problem             `json:"subproblems,omitempty"`
	Algorithms  []string               `json:"algorithms,omitempty"` // with badSignatureAlgorithm, §6.2
	Instance    string                 `json:"instance,omitempty"`   // URL of a page about it, with userActionRequired, §7.3.3
	RequestID   string                 `json:"requestId,omitempty"`  // by which the server's operators find the request; ours (RFC 9457 §3.2)
}

func (p *Problem) Error() string { return string(p.Type) + ": " + p.Detail }

// httpStatus holds the types that don't go with 400.
var httpStatus = map[ProblemType]int{
	AlreadyReplaced:         http.StatusConflict,
	ExternalAccountRequired: http.StatusForbidden,
	OrderNotReady:           http.StatusForbidden,
	RejectedIdentifier:      http.StatusForbidden,
	ServerInternal:          http.StatusInternalServerError,
	Unauthorized:            http.StatusForbidden,
	UserActionRequired:      http.StatusForbidden,
}

// Problemf makes a problem with the HTTP status that its type goes with.
func Problemf(t ProblemType, format string, args ...any) *Problem {
	status := httpStatus[t]
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &Problem{Type: t, Status: status, Detail: fmt.Sprintf(format, args...)}
}

// WithStatus sets another HTTP status.
func (p *Problem) WithStatus(status int) *Problem {
	p.Status = status
	return p
}

// PerIdentifier joins problems of single identifiers into one document with a
// subproblem for each (§6.7.1). When all are of one type the whole is of that type,
// otherwise "compound". subs must not be empty.
func PerIdentifier(detail string, subs []*Problem) *Problem {
	t := subs[0].Type
	for _, s := range subs {
		s.Status = 0
		if s.Type != t {
			t = Compound
		}
	}
	p := Problemf(t, "%s", detail)
	p.Subproblems = subs
	return p
}

// For ties a problem to an identifier, as a subproblem.
func (p *Problem) For(id identifier.Identifier) *Problem {
	p.Identifier = &id
	return p
}

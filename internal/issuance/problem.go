package issuance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// An Error is what a CA refused, in one sentence for a person.
type Error struct {
	Type  string    // RFC 8555 §6.7 without its prefix, such as "rejectedIdentifier"; may be ""
	Names []Failure // the names that it is about, if it says so (§6.7.1)
	// RetryAt is when the CA will look at the request again; zero if it did not say.
	RetryAt time.Time
	text    string
	err     error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

// explain makes a sentence of a problem or of an error of the network.
func explain(server string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err // it is one
	}
	var p *acme.Problem
	if !errors.As(err, &p) {
		return reach(server, err)
	}
	e = &Error{Type: oneLine(string(p.Type)), text: "the ACME server refused: " + problemText(p), err: err}
	for _, sub := range p.Subproblems {
		if sub != nil && sub.Identifier != nil {
			e.Names = append(e.Names, Failure{Name: nameOf(*sub.Identifier), Type: oneLine(string(sub.Type)), Detail: oneLine(sub.Detail)})
		}
	}
	var later laterError
	if errors.As(err, &later) {
		e.RetryAt = later.at
		e.text += "; it may be tried again after " + later.at.UTC().Format("2006-01-02 15:04 UTC")
	}
	return e
}

// problemText words a problem document with all its subproblems (RFC 8555 §6.7.1).
func problemText(p *acme.Problem) string {
	text := oneLine(p.Detail)
	if text == "" {
		text = fmt.Sprintf("HTTP status %d", p.Status)
	}
	if p.Type != "" {
		text += " (" + oneLine(string(p.Type)) + ")"
	}
	for _, sub := range p.Subproblems {
		if sub == nil || len(p.Subproblems) == 1 && sub.Detail == p.Detail {
			continue // it says nothing, or nothing new
		}
		text += "; "
		if sub.Identifier != nil {
			text += nameOf(*sub.Identifier) + ": "
		}
		text += oneLine(sub.Detail)
	}
	return text
}

// oneLine makes what a CA said fit for a terminal: no controls, of which some begin at
// U+0080, and nothing that turns the direction of writing.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return clip(strings.TrimSpace(s), 1000)
}

// nameOf is an identifier from a CA in the form that orders have it in, if it has one.
func nameOf(id identifier.Identifier) string {
	if c, err := id.Canonical(); err == nil {
		return c.Value
	}
	return oneLine(id.Value)
}

// passing tells whether an error of the network may be gone at the next attempt.
func passing(err error) bool {
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongName), errors.As(err, &invalid), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound
	}
	return true
}

// reach words why a server could not be reached.
func reach(server string, err error) error {
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	say := func(format string, args ...any) error {
		return &Error{text: fmt.Sprintf(format, args...), err: err}
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return say("the proxy on the way to the ACME server %s cannot be reached (%v): check https_proxy in the environment", server, op.Err)
	case errors.As(err, &unknown):
		return say("the TLS certificate of %s is signed by an authority that is not trusted here: set REQUESTS_CA_BUNDLE to the file that holds its root certificate, or, in a test, use --no-verify-ssl", server)
	case errors.As(err, &wrongName), errors.As(err, &invalid):
		return say("the TLS certificate of %s is not valid (%v): check --server, or, in a test, use --no-verify-ssl", server, errors.Unwrap(err))
	case errors.As(err, &dns):
		return say("the name of the ACME server %s cannot be resolved (%s): check --server and this machine's DNS", server, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("nothing answers at the ACME server %s (connection refused): check --server, and that the CA is running", server)
	case errors.Is(err, context.DeadlineExceeded):
		return say("the ACME server %s did not answer in time: try again later", server)
	case errors.Is(err, context.Canceled):
		return err
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return say("the ACME server %s cannot be reached: %v", server, err)
}

// Failure is a name whose control could not be proved.
type Failure struct {
	Name   string
	Type   string // such as "connection"
	Detail string
}

// AuthorizationError says for which names the CA saw no proof of control.
type AuthorizationError struct {
	Failures []Failure
	Hint     string // what to look at; from the authenticator
}

func (e *AuthorizationError) Error() string {
	var parts []string
	for _, f := range e.Failures {
		parts = append(parts, fmt.Sprintf("%s: %s (%s)", f.Name, f.Detail, f.Type))
	}
	return "the CA could not validate " + strings.Join(parts, "; ")
}

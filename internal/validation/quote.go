package validation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"vidimus/internal/acme"
)

// What a server answers at a private or special address is for those who can reach it:
// the applicant, who may have no more than an account, is told its status and its length.

// private tells whether this attempt was connected to such an address. What came by a
// redirect may be of one of them, so each counts.
func (a *attempt) private() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inside
}

// quoted is an answer for the applicant to see.
func (a *attempt) quoted(body string) string {
	if a.private() {
		return fmt.Sprintf("%d bytes that are something else", len(body))
	}
	return strconv.Quote(clip(body))
}

// status is the status of an answer.
func (a *attempt) status(resp *http.Response) string {
	if a.private() {
		return strconv.Itoa(resp.StatusCode)
	}
	return clip(resp.Status)
}

// shown is the URL that answered, of those that from led to by redirects.
func (a *attempt) shown(from, at *url.URL) string {
	if a.private() && *from != *at {
		return from.String() + ", by a redirect,"
	}
	return at.String()
}

// target is where an answer redirects to.
func (a *attempt) target(to *url.URL) string {
	if a.private() {
		return "another URL"
	}
	return clip(to.String())
}

// unquoted is why an answer could not be read, in words of net or our own: those of
// net/http and crypto/x509 have parts of what came in them.
func (a *attempt) unquoted(err error) error {
	var ne net.Error
	if !a.private() || errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
		return reason(err)
	}
	return errors.New("its answer is not understood")
}

// redirected is what stood in the way of a connection, which may be to where an answer
// redirects to.
func (a *attempt) redirected(host string, p *acme.Problem) *acme.Problem {
	if a.private() && host != a.Identifier.Value {
		return acme.Problemf(p.Type, "where it redirects to does not answer, or is private or special")
	}
	return p
}

package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxOCSP bounds an OCSP request, in bytes. One for a certificate has some eighty.
	maxOCSP = 8 << 10
	// ocspAge is how long caches may keep an OCSP response, so that a revocation is
	// soon seen.
	ocspAge = 5 * time.Minute
)

// ocspPath finds the issuer and, for a GET, the request in base64 in a URL's path
// (RFC 6960 §A.1).
func ocspPath(u *url.URL) (issuer, request string, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/ocsp/")
	issuer, request, _ = strings.Cut(rest, "/")
	return issuer, request, ok
}

// answerOCSP answers an OCSP request, by POST or, for caches on the way, by GET. What
// can't be answered gets status 200 too, with a response that says so.
func (s *Server) answerOCSP(w http.ResponseWriter, r *http.Request, issuer, request string) {
	r.Pattern = "/ocsp/{issuer}"
	der, ok := readOCSP(w, r, request)
	if !ok {
		return
	}
	a, err := s.ocsp.Answer(r.Context(), issuer, der)
	if err != nil {
		s.log.ErrorContext(r.Context(), "OCSP", "issuer", issuer, "err", err)
	}
	h, now := w.Header(), time.Now()
	h.Set("Content-Type", "application/ocsp-response")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost && !a.ThisUpdate.IsZero() { // as RFC 5019 §6.2 has it
		age := max(0, min(ocspAge, a.NextUpdate.Sub(now)))
		h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", age/time.Second))
		h.Set("Expires", now.Add(age).UTC().Format(http.TimeFormat))
		h.Set("ETag", fmt.Sprintf(`"%X"`, sha256.Sum256(a.DER)))
		sendContent(w, r, "application/ocsp-response", a.ThisUpdate, a.DER)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(a.DER)))
	if r.Method != http.MethodHead {
		w.Write(a.DER)
	}
}

// readOCSP reads the request of either form. What is no OCSP request at all is answered
// here.
func readOCSP(w http.ResponseWriter, r *http.Request, request string) (der []byte, ok bool) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		text, err := url.PathUnescape(request)
		if err == nil && text != "" && len(text) <= maxOCSP {
			der, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		}
		if err != nil || len(der) == 0 {
			http.Error(w, "this answers OCSP requests: POST one, or GET one in base64 behind this URL (RFC 6960 appendix A)", http.StatusBadRequest)
			return nil, false
		}
		return der, true
	case http.MethodPost:
		der, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSP))
		if err != nil {
			http.Error(w, fmt.Sprintf("the OCSP request could not be read, or is larger than %d bytes", maxOCSP), http.StatusRequestEntityTooLarge)
			return nil, false
		}
		return der, true
	}
	w.Header().Set("Allow", "GET, HEAD, POST")
	http.Error(w, "use GET or POST here", http.StatusMethodNotAllowed)
	return nil, false
}

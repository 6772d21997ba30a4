package acmehttp

import (
	"net/http"

	"vidimus/internal/requestid"
)

// crossOrigin lets scripts of any origin speak ACME (RFC 8555 §6.1). That is safe: the
// server knows no cookies, and whoever can sign a request needs no browser's help.
func crossOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Link, Location, Replay-Nonce, Retry-After, "+requestid.Header)
}

// preflight tells a browser what it may send.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	crossOrigin(h)
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "86400") // seconds
	w.WriteHeader(http.StatusNoContent)
}

package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

// pages serves what is public and unsigned: the front page, CRLs (RFC 5280 §4.2.1.13)
// and CA certificates (§4.2.2.1).
func (s *Server) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /crl/{path...}", s.crl)
	for _, iss := range s.issuers {
		mux.HandleFunc("GET /crl/"+iss.Name+"/{$}", s.crlList(iss))
		for _, m := range iss.Intermediates {
			cer := send("application/pkix-cert", m.CA.Raw, m.CA.NotBefore)
			mux.HandleFunc("GET "+caPath(iss.Name, m), cer)
			if m == iss.Oldest() { // without a key identifier, as in certificates of old
				mux.HandleFunc("GET /ca/"+iss.Name+".cer", cer)
			}
		}
		mux.HandleFunc("GET /ca/"+iss.Name+"-root.pem", send("application/x-pem-file", rootsPEM(iss), time.Time{}))
	}
	mux.HandleFunc("GET /{$}", s.front)
	s.health.add(mux)
	if !*s.config.OCSP {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect where the base64 of a request has two slashes.
		if issuer, request, ok := ocspPath(r.URL); ok {
			s.answerOCSP(w, r, issuer, request)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// send answers with what doesn't change while the server runs; made is when it was made,
// if that is known.
func send(mediaType string, data []byte, made time.Time) http.HandlerFunc {
	sum := sha256.Sum256(data)
	tag := fmt.Sprintf(`"%x"`, sum[:16])
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("ETag", tag)
		sendContent(w, r, mediaType, made, data)
	}
}

// sendContent answers GET and HEAD, conditional ones too when ETag is set or changed is
// not zero. Of what has changed just now it doesn't say when, as it may change again in
// the same second.
func sendContent(w http.ResponseWriter, r *http.Request, mediaType string, changed time.Time, data []byte) {
	if time.Since(changed) < 2*time.Second {
		changed = time.Time{}
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", changed, bytes.NewReader(data))
}

//go:embed front.html
var frontHTML string

var frontPage = template.Must(template.New("front").Parse(frontHTML))

// front names the ACME directories and the root to trust, for a person who opens the
// server's URL.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		Issuer, Directory, Open, Root, CRL string
		Staging                            bool
	}
	var data struct {
		Issuers []entry
		Portal  bool
	}
	data.Portal = s.config.Portal != nil
	for i, iss := range s.issuers {
		names := s.config.Issuers[i].Directories()
		e := entry{Issuer: iss.Name, Directory: s.DirectoryURL(names[0]), Root: "/ca/" + iss.Name + "-root.pem", CRL: "/crl/" + iss.Name + "/",
			Staging: s.config.Issuers[i].IsStaging()}
		if len(names) > 1 {
			e.Open = s.DirectoryURL(names[1])
		}
		data.Issuers = append(data.Issuers, e)
	}
	var page bytes.Buffer
	if err := frontPage.Execute(&page, data); err != nil {
		s.log.ErrorContext(r.Context(), "front page", "err", err)
		http.Error(w, "this page can't be shown now", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	sendContent(w, r, "text/html; charset=utf-8", time.Time{}, page.Bytes())
}

package server

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strconv"

	"vidimus/internal/issuer"
	"vidimus/internal/revocation"
)

// pages serves what is public and unsigned: the front page, CRLs (RFC 5280 §4.2.1.13)
// and CA certificates (§4.2.2.1).
func (s *Server) pages() http.Handler {
	mux := http.NewServeMux()
	for _, iss := range s.issuers {
		for _, m := range iss.Intermediates {
			crl, cer := s.crl(iss, iss.CRLs(m)), send("application/pkix-cert", m.CA.Raw)
			mux.HandleFunc("GET "+crlPath(iss.Name, m), crl)
			mux.HandleFunc("GET "+caPath(iss.Name, m), cer)
			if m == iss.Oldest() { // without a key identifier, as in certificates of old
				mux.HandleFunc("GET /crl/"+iss.Name+".crl", crl)
				mux.HandleFunc("GET /ca/"+iss.Name+".cer", cer)
			}
		}
		mux.HandleFunc("GET /ca/"+iss.Name+"-root.pem", send("application/x-pem-file", rootsPEM(iss)))
	}
	mux.HandleFunc("GET /{$}", s.front)
	s.health.add(mux)
	return mux
}

func send(mediaType string, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(data)
	}
}

// crl serves the newest CRL. It may be cached for minutes only, so that a revocation
// is soon seen.
func (s *Server) crl(iss *issuer.Issuer, p *revocation.Publisher) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		der, err := p.CRL(r.Context())
		if err != nil {
			s.log.ErrorContext(r.Context(), "CRL", "issuer", iss.Name, "err", err)
			http.Error(w, "the CRL can't be made now; try again later", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		send("application/pkix-crl", der)(w, r)
	}
}

//go:embed front.html
var frontHTML string

var frontPage = template.Must(template.New("front").Parse(frontHTML))

// front names the ACME directories and the root to trust, for a person who opens the
// server's URL.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	type entry struct{ Issuer, Directory, Open, Root, CRL string }
	var data struct{ Issuers []entry }
	for i, iss := range s.issuers {
		names := s.config.Issuers[i].Directories()
		e := entry{Issuer: iss.Name, Directory: s.DirectoryURL(names[0]), Root: "/ca/" + iss.Name + "-root.pem", CRL: "/crl/" + iss.Name + ".crl"}
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
	send("text/html; charset=utf-8", page.Bytes())(w, r)
}

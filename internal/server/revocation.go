package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vidimus/internal/issuer"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
)

// crlAge is how long caches may keep a CRL, so that a revocation is soon seen.
const crlAge = 5 * time.Minute

// openRevocation makes what publishes the revocations of all issuers.
func (s *Server) openRevocation() (err error) {
	var signers []revocation.Signer
	for _, iss := range s.issuers {
		signers = append(signers, iss.Signers()...)
	}
	s.crls = revocation.NewPublisher(s.store, revocation.Options{Validity: time.Duration(s.config.CRL.Validity),
		Update: time.Duration(s.config.CRL.Update)}, signers...)
	s.ocsp, err = revocation.NewResponder(s.store, nil, signers...)
	return err
}

// crl serves the newest CRL of a shard.
func (s *Server) crl(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutSuffix(r.PathValue("path"), ".crl")
	if !ok {
		http.NotFound(w, r)
		return
	}
	shard, err := s.crls.Shard(r.Context(), path)
	var number int64
	var der []byte
	if err == nil {
		number, der, err = s.store.CRL(r.Context(), shard.ID)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		http.NotFound(w, r)
		return
	case err != nil:
		s.log.ErrorContext(r.Context(), "CRL", "path", path, "err", err)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "the CRL can't be made now; try again later", http.StatusServiceUnavailable)
		return
	}
	now := time.Now()
	age := max(0, min(crlAge, shard.NextUpdate.Sub(now)))
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", age/time.Second))
	w.Header().Set("ETag", fmt.Sprintf(`"%d-%d"`, shard.ID, number))
	sendContent(w, r, "application/pkix-crl", shard.ThisUpdate, der)
}

// crlList lists the paths of an issuer's CRLs, as plain text, for those who want them
// all.
func (s *Server) crlList(iss *issuer.Issuer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		shards, err := s.store.ShardsOf(r.Context(), iss.Name)
		if err != nil {
			s.log.ErrorContext(r.Context(), "list of CRLs", "issuer", iss.Name, "err", err)
			http.Error(w, "the list can't be made now; try again later", http.StatusServiceUnavailable)
			return
		}
		var text strings.Builder
		for _, sh := range shards {
			fmt.Fprintf(&text, "/crl/%s.crl\n", sh.Path)
		}
		sendContent(w, r, "text/plain; charset=utf-8", time.Time{}, []byte(text.String()))
	}
}

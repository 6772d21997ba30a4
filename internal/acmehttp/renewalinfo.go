package acmehttp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/store"
)

// renewalInfo suggests when to renew a certificate (RFC 9773 §4.2): in a window that
// begins when a third of its life is left, or sooner when its operators want it; at once
// when it is revoked.
func (s *Server) renewalInfo(r *request) (reply, error) {
	c, err := s.byRenewalID(r, r.http.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	info := acme.RenewalInfo{SuggestedWindow: usualWindow(c)}
	wanted, err := s.Store.RenewalWindow(r.http.Context(), c.Serial, s.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return reply{}, fmt.Errorf("looking up a renewal window: %w", err)
	default:
		info.ExplanationURL = wanted.ExplanationURL
		if wanted.Start.Before(info.SuggestedWindow.Start) {
			info.SuggestedWindow = acme.Window{Start: wanted.Start, End: wanted.End}
		}
	}
	w := &info.SuggestedWindow
	w.Start, w.End = *timePtr(w.Start), *timePtr(w.End)
	return reply{body: info, retryAfter: s.RenewalRetryAfter}, nil
}

func usualWindow(c store.Certificate) acme.Window {
	if !c.Revoked.IsZero() {
		return acme.Window{Start: c.Revoked.Add(-2 * time.Hour), End: c.Revoked.Add(-time.Hour)}
	}
	life := c.NotAfter.Sub(c.NotBefore)
	start := c.NotAfter.Add(-life / 3)
	return acme.Window{Start: start, End: start.Add(max(life/45, time.Hour))} // two days of ninety
}

// byRenewalID finds a certificate of the request's issuer by its RFC 9773 identifier.
func (s *Server) byRenewalID(r *request, id string) (store.Certificate, error) {
	aki, serial, err := certificate.ParseRenewalID(id)
	if err != nil {
		return store.Certificate{}, acme.Problemf(acme.Malformed, "%q is no certificate identifier (RFC 9773 §4.1): %v", clip(id), err)
	}
	c, err := s.Store.Certificate(r.http.Context(), hex.EncodeToString(serial.Bytes()))
	if errors.Is(err, store.ErrNotFound) || err == nil && (c.DER == nil || c.Issuer != r.dir.Issuer.Name) || !hasKeyID(r, c, aki) {
		return c, notFound("this issuer has not issued a certificate %s", clip(id))
	}
	if err != nil {
		return c, fmt.Errorf("reading a certificate: %w", err)
	}
	return c, nil
}

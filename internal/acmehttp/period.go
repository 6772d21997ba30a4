package acmehttp

import (
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/issuer"
)

// askedPeriod reads when the certificate of an order is to begin and to end (RFC 8555
// §7.4); zero is what the client leaves to the server.
func askedPeriod(r *request, p *issuer.Profile, in acme.NewOrder) (notBefore, notAfter time.Time, err error) {
	for _, f := range []struct {
		name, text string
		t          *time.Time
	}{{"notBefore", in.NotBefore, &notBefore}, {"notAfter", in.NotAfter, &notAfter}} {
		if f.text == "" {
			continue
		}
		if *f.t, err = time.Parse(time.RFC3339, f.text); err != nil {
			return notBefore, notAfter, acme.Problemf(acme.Malformed, "%s is %q, not a time such as 2026-01-31T12:00:00Z (RFC 3339)", f.name, clip(f.text))
		}
	}
	if problem := r.dir.Issuer.CheckPeriod(p, notBefore, notAfter); problem != nil {
		return notBefore, notAfter, problem
	}
	return notBefore, notAfter, nil
}

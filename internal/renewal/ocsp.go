package renewal

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Revocations asks by OCSP (RFC 6960) whether certificates are revoked.
type Revocations struct {
	Client  *http.Client
	Answers *Answers
	Now     func() time.Time
}

// Revoked tells whether the responder that cert names says that it is revoked. What
// it says is remembered until its next update, but a day at most. A certificate that
// names no responder is not revoked.
func (r *Revocations) Revoked(ctx context.Context, cert, issuer *x509.Certificate) (bool, error) {
	if len(cert.OCSPServer) == 0 {
		return false, nil
	}
	now, server, id := r.Now(), cert.OCSPServer[0], fmt.Sprintf("ocsp:%x:%x", cert.AuthorityKeyId, cert.SerialNumber)
	if ans, ok := r.Answers.get(id, now); ok {
		return ans.start != 0, nil
	}
	if err := r.Answers.failure(server); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	body, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return false, fmt.Errorf("OCSP: %w", err)
	}
	data, err := r.ask(ctx, server, body)
	if err != nil {
		err = fmt.Errorf("OCSP: %w", err)
		r.Answers.fail(server, err)
		return false, err
	}
	resp, err := ocsp.ParseResponseForCert(data, cert, issuer)
	if err != nil { // such as that it does not know this certificate
		r.Answers.put(id, answer{again: now.Add(time.Hour).Unix()})
		return false, fmt.Errorf("OCSP: the answer of %s: %w", server, err)
	}
	if resp.ThisUpdate.After(now.Add(time.Hour)) || !resp.NextUpdate.IsZero() && resp.NextUpdate.Before(now) {
		return false, fmt.Errorf("OCSP: the answer of %s is not of today", server)
	}
	ans := answer{again: now.Add(time.Hour).Unix()}
	if !resp.NextUpdate.IsZero() {
		ans.again = min(resp.NextUpdate.Unix(), now.Add(24*time.Hour).Unix())
	}
	if resp.Status == ocsp.Revoked {
		ans.start = max(resp.RevokedAt.Unix(), 1)
	}
	r.Answers.put(id, ans)
	return resp.Status == ocsp.Revoked, nil
}

// ask sends a request to a responder (RFC 6960 appendix A.1).
func (r *Revocations) ask(ctx context.Context, server string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered with HTTP status %s", server, resp.Status)
	}
	const most = 64 << 10
	return io.ReadAll(io.LimitReader(resp.Body, most))
}

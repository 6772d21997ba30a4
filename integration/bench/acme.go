package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// account is an ACME client that does only what the server must be asked (RFC 8555),
// so that the load takes little of the CPU that it shares with the server: one
// connection that is kept, the nonce of the last answer, ES256 from crypto/ecdsa.
type account struct {
	http            *http.Client
	key             *ecdsa.PrivateKey
	jwk, thumbprint string
	url             string // "kid"
	newOrder        string
	nonce           string
	web             *challenges
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// register makes an account at the directory, bound to an ACME-ID unless eab is nil.
func register(ctx context.Context, s *server, directory string, eab *credentials, web *challenges) (*account, error) {
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(s.CABundle)
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(bundle)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		return nil, err
	}
	a := &account{key: key, web: web, http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}}
	// In the form of RFC 7638, of which the hash is the thumbprint.
	a.jwk = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:]))
	sum := sha256.Sum256([]byte(a.jwk))
	a.thumbprint = b64(sum[:])

	var dir struct{ NewNonce, NewAccount, NewOrder string }
	if _, err := a.do(ctx, http.MethodGet, directory, nil, &dir); err != nil {
		return nil, err
	}
	a.newOrder = dir.NewOrder
	if _, err := a.do(ctx, http.MethodHead, dir.NewNonce, nil, nil); err != nil {
		return nil, err
	}
	payload := `{"termsOfServiceAgreed":true}`
	if eab != nil {
		binding, err := a.binding(eab, dir.NewAccount)
		if err != nil {
			return nil, err
		}
		payload = `{"termsOfServiceAgreed":true,"externalAccountBinding":` + binding + `}`
	}
	header, err := a.post(ctx, dir.NewAccount, payload, nil)
	if err != nil {
		return nil, err
	}
	a.url = header.Get("Location")
	return a, nil
}

// binding is the external account binding (§7.3.4).
func (a *account) binding(eab *credentials, url string) (string, error) {
	secret, err := base64.RawURLEncoding.DecodeString(eab.HMACKey)
	if err != nil {
		return "", fmt.Errorf("the HMAC key of %s: %w", eab.KID, err)
	}
	mac := hmac.New(sha256.New, secret)
	protected, payload := b64(fmt.Appendf(nil, `{"alg":"HS256","kid":%q,"url":%q}`, eab.KID, url)), b64([]byte(a.jwk))
	io.WriteString(mac, protected+"."+payload)
	return flattened(protected, payload, mac.Sum(nil)), nil
}

func flattened(protected, payload string, signature []byte) string {
	return `{"protected":"` + protected + `","payload":"` + payload + `","signature":"` + b64(signature) + `"}`
}

// post sends a signed request (§6.2) and decodes the answer into out unless it is nil.
func (a *account) post(ctx context.Context, url, payload string, out any) (http.Header, error) {
	signer := `"jwk":` + a.jwk
	if a.url != "" {
		signer = `"kid":"` + a.url + `"`
	}
	protected, body := b64([]byte(`{"alg":"ES256","nonce":"`+a.nonce+`","url":"`+url+`",`+signer+`}`)), b64([]byte(payload))
	sum := sha256.Sum256([]byte(protected + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, a.key, sum[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return a.do(ctx, http.MethodPost, url, []byte(flattened(protected, body, signature)), out)
}

func (a *account) do(ctx context.Context, method, url string, body []byte, out any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/jose+json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, data)
	}
	if nonce := resp.Header.Get("Replay-Nonce"); nonce != "" {
		a.nonce = nonce
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = data
	default:
		if err := json.Unmarshal(data, out); err != nil {
			return nil, fmt.Errorf("%s %s: %w: %s", method, url, err, data)
		}
	}
	return resp.Header, nil
}

type order struct {
	Status, Finalize, Certificate string
	Authorizations                []string
}

// obtain gets one certificate, from new-order to its download (§7.4).
func (a *account) obtain(ctx context.Context, name string, csr []byte) error {
	var o order
	header, err := a.post(ctx, a.newOrder, `{"identifiers":[{"type":"dns","value":"`+name+`"}]}`, &o)
	if err != nil {
		return err
	}
	location := header.Get("Location")
	if want := a.web.wanted(); o.Status != want {
		return fmt.Errorf("a new order for %s is %s, not %s", name, o.Status, want)
	}
	if o.Status == "pending" {
		if err := a.prove(ctx, o.Authorizations[0]); err != nil {
			return err
		}
	}
	if _, err := a.post(ctx, o.Finalize, `{"csr":"`+b64(csr)+`"}`, &o); err != nil {
		return err
	}
	for o.Status == "processing" {
		if err := pause(ctx); err != nil {
			return err
		}
		if _, err := a.post(ctx, location, "", &o); err != nil {
			return err
		}
	}
	if o.Status != "valid" {
		return fmt.Errorf("the order for %s is %s after finalize", name, o.Status)
	}
	var pem []byte
	if _, err := a.post(ctx, o.Certificate, "", &pem); err != nil {
		return err
	}
	if !bytes.HasPrefix(pem, []byte("-----BEGIN CERTIFICATE-----")) {
		return fmt.Errorf("the certificate for %s is %q", name, pem)
	}
	return nil
}

// pause is between two polls of a server that answers at once.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

// prove answers the http-01 challenge of an authorization (§7.5.1, §8.3).
func (a *account) prove(ctx context.Context, url string) error {
	var authz struct {
		Status     string
		Challenges []struct{ Type, URL, Token string }
	}
	if _, err := a.post(ctx, url, "", &authz); err != nil {
		return err
	}
	for _, c := range authz.Challenges {
		if c.Type != "http-01" {
			continue
		}
		a.web.answers.Store(c.Token, c.Token+"."+a.thumbprint)
		defer a.web.answers.Delete(c.Token)
		if _, err := a.post(ctx, c.URL, "{}", nil); err != nil {
			return err
		}
		// vidimusd holds its answer until the validation is done.
		if _, err := a.post(ctx, url, "", &authz); err != nil {
			return err
		}
		for authz.Status == "pending" {
			if err := pause(ctx); err != nil {
				return err
			}
			if _, err := a.post(ctx, url, "", &authz); err != nil {
				return err
			}
		}
		if authz.Status != "valid" {
			return fmt.Errorf("%s is %s after its validation", url, authz.Status)
		}
		return nil
	}
	return fmt.Errorf("%s has no http-01 challenge", url)
}

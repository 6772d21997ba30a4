package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// withACMEz orders one certificate into chain.pem and key.pem.
func withACMEz(ctx context.Context, t *task, verb string) error {
	client := &acmez.Client{
		Client: &acme.Client{
			Directory:  t.Directory,
			HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: t.roots}}},
			Logger:     slog.Default(),
		},
	}
	if t.Method == acme.ChallengeTypeDNS01 {
		client.ChallengeSolvers = map[string]acmez.Solver{t.Method: t.DNS.solver()}
	} else {
		r := new(responder)
		if err := r.serve(t); err != nil {
			return err
		}
		client.ChallengeSolvers = map[string]acmez.Solver{t.Method: r}
	}
	account, err := t.account(ctx, client)
	if err != nil {
		return err
	}
	switch verb {
	case "obtain":
		return t.order(ctx, client, account, nil)
	case "renew":
		old, err := t.leaf()
		if err != nil {
			return err
		}
		return t.order(ctx, client, account, old)
	case "revoke":
		cert, err := t.leaf()
		if err != nil {
			return err
		}
		return client.RevokeCertificate(ctx, account, cert, account.PrivateKey, acme.ReasonUnspecified)
	case "key-change":
		key, err := newKey(filepath.Join(t.Dir, "new-account.pem"))
		if err != nil {
			return err
		}
		if _, err := client.AccountKeyRollover(ctx, account, key); err != nil {
			return err
		}
		return os.Rename(filepath.Join(t.Dir, "new-account.pem"), filepath.Join(t.Dir, "account.pem"))
	}
	return fmt.Errorf("no verb %q", verb)
}

// account finds the account of account.pem, or registers one.
func (t *task) account(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	path := filepath.Join(t.Dir, "account.pem")
	a := acme.Account{Contact: []string{"mailto:a@uni.test"}, TermsOfServiceAgreed: true}
	block, err := readPEM(path)
	if err == nil {
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return a, err
		}
		a.PrivateKey = key
		return client.GetAccount(ctx, a)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return a, err
	}
	if a.PrivateKey, err = newKey(path); err != nil {
		return a, err
	}
	if t.KID != "" {
		if err := a.SetExternalAccountBinding(ctx, client.Client, acme.EAB{KeyID: t.KID, MACKey: t.HMACKey}); err != nil {
			return a, err
		}
	}
	return client.NewAccount(ctx, a)
}

func (t *task) order(ctx context.Context, client *acmez.Client, account acme.Account, replaces *x509.Certificate) error {
	key, err := newKey(filepath.Join(t.Dir, "key.pem"))
	if err != nil {
		return err
	}
	csr, err := acmez.NewCSR(key, t.Names)
	if err != nil {
		return err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return err
	}
	params.Replaces = replaces
	certs, err := client.ObtainCertificate(ctx, params)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.Dir, "chain.pem"), certs[0].ChainPEM, 0o644)
}

func (t *task) leaf() (*x509.Certificate, error) {
	block, err := readPEM(filepath.Join(t.Dir, "chain.pem"))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(block.Bytes)
}

func readPEM(path string) (*pem.Block, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s has no PEM block", path)
	}
	return block, nil
}

// newKey makes a key and writes it to a file.
func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

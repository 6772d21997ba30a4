package acmehttp_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acmehttp"
	"vidimus/internal/weakkey"
)

func TestKeysThatOthersKnowAreRefused(t *testing.T) {
	known, barred := newKey(t), newKey(t)
	hash := func(pub any) []byte {
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(spki)
		return sum[:]
	}
	file := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(hash(known.Public()))), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := weakkey.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *acmehttp.Config) { c.Blocked = list })
	if err := s.store.BlockKeyFor(t.Context(), hash(barred.Public()), "found", time.Now()); err != nil {
		t.Fatal(err)
	}
	c := s.registered("www.example.org")
	for key, want := range map[any]string{known: "on a list", barred: "is blocked"} {
		a := s.client("main-open")
		a.send(jws{path: "/new-account", payload: "{}", embed: true, key: key}).problem("badPublicKey", 400)
		o := c.order("www.example.org")
		k := known
		if key == barred {
			k = barred
		}
		if p := c.post(o.Finalize, csr(t, k, "www.example.org")).problem("badCSR", 400); !strings.Contains(p.Detail, want) {
			t.Error(p.Detail)
		}
		c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).want(200) // the order is as good as before
	}
}

func TestAnAccountMayHaveAKeyOfEd25519(t *testing.T) {
	c := newServer(t).client("main-open")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.send(jws{path: "/new-account", payload: "{}", embed: true, key: ed, alg: jose.EdDSA}).want(201)
}

// The signature is not looked at. A key of more than 8192 bits isn't even read.
func TestAKeyOfTheWrongSizeIsRefusedUnseen(t *testing.T) {
	c := newServer(t).client("main-open")
	for bits, want := range map[uint]string{512: "512 bits", 1024: "1024 bits", 2047: "2047 bits"} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		jwk, err := json.Marshal(jose.JSONWebKey{Key: &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 1<<31 - 1}})
		if err != nil {
			t.Fatal(err)
		}
		protected := fmt.Sprintf(`{"alg":"RS256","jwk":%s,"nonce":%q,"url":%q}`, jwk, c.nonce(), c.at("/new-account"))
		body := fmt.Sprintf(`{"protected":%q,"payload":"e30","signature":"AAAA"}`, b64([]byte(protected)))
		if p := c.raw("POST", "/new-account", "application/jose+json", body).problem("badPublicKey", 400); !strings.Contains(p.Detail, want) {
			t.Errorf("%d bits: %s", bits, p.Detail)
		}
	}
}

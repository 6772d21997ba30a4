package weakkey

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoodKeysAreNotWeak(t *testing.T) {
	for range 5 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if err := RSA(&key.PublicKey); err != nil {
			t.Errorf("%v: %X", err, key.N)
		}
	}
}

// prime is the first at or above n.
func prime(n *big.Int) *big.Int {
	for n.SetBit(n, 0, 1); !n.ProbablyPrime(20); n.Add(n, big.NewInt(2)) {
	}
	return n
}

func random(t *testing.T, bits int) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-2)))
	if err != nil {
		t.Fatal(err)
	}
	return n.SetBit(n, bits-1, 1).SetBit(n, bits-2, 1)
}

// rocaPrime is k·M + (65537^a mod M).
func rocaPrime(t *testing.T) *big.Int {
	m := big.NewInt(2)
	for p := int64(3); p <= 701; p += 2 { // as for keys of 2048 bits
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	for {
		n := new(big.Int).Exp(big.NewInt(65537), random(t, 60), m)
		n.Add(n, new(big.Int).Mul(random(t, 1024-m.BitLen()), m))
		if n.ProbablyPrime(20) {
			return n
		}
	}
}

func TestWeakKeysAreFound(t *testing.T) {
	p := prime(random(t, 1024))
	near := prime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 500)))
	far := prime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 600)))
	for _, tt := range []struct {
		name string
		p, q *big.Int
		want string
	}{
		{"an even modulus", big.NewInt(2), p, "small factor"},
		{"a small factor", big.NewInt(751), p, "small factor"},
		{"the next prime is none", big.NewInt(757), p, ""},
		{"ROCA", rocaPrime(t), rocaPrime(t), "ROCA"},
		{"half of ROCA", rocaPrime(t), p, ""},
		{"a square", p, p, "Fermat"},
		{"close primes", p, near, "Fermat"},
		{"primes not close enough", p, far, ""},
	} {
		err := RSA(&rsa.PublicKey{N: new(big.Int).Mul(tt.p, tt.q), E: 65537})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestListHasTheKeysOfItsFiles(t *testing.T) {
	var keys [3][]byte
	var moduli [3]*rsa.PublicKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if keys[i], err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			t.Fatal(err)
		}
		moduli[i] = &key.PublicKey
	}
	sum, old := sha256.Sum256(keys[0]), debianSum(moduli[1])
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(a, "# a comment\n\n"+strings.Repeat("f", 64)+"\n"+strings.ToUpper(hex.EncodeToString(sum[:]))+" \n")
	write(b, strings.Repeat("0", 20)+"\n"+hex.EncodeToString(old[:])+"\n")
	l, err := Load(a, b)
	if err != nil || l.Len() != 4 {
		t.Fatalf("%d keys, %v", l.Len(), err)
	}
	for i, want := range []bool{true, true, false} {
		if l.Has(keys[i]) != want {
			t.Errorf("key %d: %v; want %v", i, !want, want)
		}
	}
	if (*List)(nil).Has(keys[0]) {
		t.Error("no list has a key")
	}
	write(b, "# x\nnonsense\n")
	if _, err := Load(a, b); err == nil || !strings.Contains(err.Error(), b+": line 2 ") {
		t.Errorf("nonsense: %v", err)
	}
	write(b, strings.Repeat("a", 1<<17))
	if _, err := Load(b); err == nil {
		t.Error("a line of 128 KiB is accepted")
	}
}

func TestTheFormatIsThatOfOpenSSLBlacklist(t *testing.T) {
	pub := &rsa.PublicKey{N: big.NewInt(0xC0FFEE), E: 3}
	// printf 'Modulus=C0FFEE\n' | sha1sum | cut -c 21-40
	if got := debianSum(pub); hex.EncodeToString(got[:]) != debianC0FFEE {
		t.Errorf("the hash is %x, not %s", got, debianC0FFEE)
	}
}

const debianC0FFEE = "6149ed99475722f13e18"

func FuzzList(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 64) + "\n# x\n\n" + strings.Repeat("b", 20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := new(List)
		if err := l.read(bytes.NewReader(data)); err == nil {
			l.sort()
			l.Has(data)
		}
	})
}

func BenchmarkRSA(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		RSA(&key.PublicKey)
	}
}

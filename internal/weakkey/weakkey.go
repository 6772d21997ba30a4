// Package weakkey recognizes public keys that must not be certified, nor be those of
// accounts, because others know or can compute the private key: RSA keys of broken
// generators (ROCA, close primes, small factors), and keys on lists (see [List]).
//
// It looks at the key alone. Which sizes and kinds are wanted is policy, and elsewhere.
package weakkey

import (
	"crypto/rsa"
	"errors"
	"math/big"
)

// RSA tells why an RSA key is weak, or nil.
func RSA(pub *rsa.PublicKey) error {
	switch {
	case smallFactor(pub.N):
		return errors.New("its modulus has a small factor; make a new one with another program")
	case roca(pub.N):
		return errors.New("it was made by a chip or library whose keys can be factored (ROCA, CVE-2017-15361); make a new one elsewhere")
	case closePrimes(pub.N):
		return errors.New("its two primes are so close that the modulus can be factored (Fermat); make a new one with another program")
	}
	return nil
}

// primorial is the product of the odd primes below 752 (the Baseline Requirements
// ask for a modulus without factors below 752, §6.1.6).
var primorial = func() *big.Int {
	p := big.NewInt(1)
	for n := int64(3); n < 752; n += 2 {
		if big.NewInt(n).ProbablyPrime(0) {
			p.Mul(p, big.NewInt(n))
		}
	}
	return p
}()

func smallFactor(n *big.Int) bool {
	return n.Bit(0) == 0 || new(big.Int).GCD(nil, nil, n, primorial).Cmp(big.NewInt(1)) != 0
}

// rocaPower has, for each odd prime up to 167, the residues that a power of 65537 can
// have.
var rocaPower = func() map[int64]map[int64]bool {
	all := make(map[int64]map[int64]bool)
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		all[p] = make(map[int64]bool)
		for r := int64(1); !all[p][r]; r = r * 65537 % p {
			all[p][r] = true
		}
	}
	return all
}()

// roca tells whether a modulus has the fingerprint of the primes k·M + (65537^a mod M),
// with M the product of the first primes (Nemec and others, The Return of Coppersmith's
// Attack, 2017, §3): modulo each of these it is a power of 65537.
func roca(n *big.Int) bool {
	r := new(big.Int)
	for p, powers := range rocaPower {
		if !powers[r.Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}

// fermatRounds is how many steps of Fermat's method are tried.
const fermatRounds = 100

// closePrimes tells whether Fermat's method finds the two primes in a few steps: whether
// for an a just above the square root of n, a² - n is a square b², so that n is
// (a+b)·(a-b).
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	rest := new(big.Int).Mul(a, a)
	if rest.Sub(rest, n).Sign() == 0 {
		return true
	}
	step := new(big.Int)
	for range fermatRounds { // rest is a² - n
		rest.Add(rest, step.Lsh(a, 1)).Add(rest, big.NewInt(1))
		a.Add(a, big.NewInt(1))
		if square(rest) {
			return true
		}
	}
	return false
}

// squareResidue has the residues of squares modulo some numbers: who has another is none,
// which is soon found.
var squareResidue = func() map[int64][]bool {
	all := make(map[int64][]bool)
	for _, m := range []int64{256, 45045} { // 45045 is 9·5·7·11·13
		all[m] = make([]bool, m)
		for i := range m {
			all[m][i*i%m] = true
		}
	}
	return all
}()

func square(n *big.Int) bool {
	r := new(big.Int)
	for _, m := range []int64{256, 45045} {
		if !squareResidue[m][r.Mod(n, big.NewInt(m)).Int64()] {
			return false
		}
	}
	r.Sqrt(n)
	return r.Mul(r, r).Cmp(n) == 0
}

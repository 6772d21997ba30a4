package config

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"os"

	"vidimus/internal/certificate"
)

// CA is what the files of an issuer hold.
type CA struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // Certificate, then what is above it, without the root
	Root        *x509.Certificate
	Key         crypto.Signer
}

// Load reads the files of an issuer and checks that they fit together.
func (i *Issuer) Load() (CA, error) {
	chain, err := certificate.LoadChain(i.Certificate)
	if err != nil {
		return CA{}, err
	}
	roots, err := certificate.LoadChain(i.Root)
	if err != nil {
		return CA{}, err
	}
	key, err := ReadKey(i.Key)
	if err != nil {
		return CA{}, err
	}
	ca := CA{Certificate: chain[0], Chain: chain, Root: roots[0], Key: key}
	if !certificate.KeyMatches(ca.Certificate, key) {
		return ca, fmt.Errorf("the key in %s is not that of the certificate in %s", i.Key, i.Certificate)
	}
	above := append(chain[1:len(chain):len(chain)], ca.Root)
	for n, c := range chain {
		if err := c.CheckSignatureFrom(above[n]); err != nil {
			return ca, fmt.Errorf("%q in %s is not signed by %q: %w", c.Subject, i.Certificate, above[n].Subject, err)
		}
	}
	return ca, nil
}

// issuerFiles adds what is wrong with each file, or else with how they go together.
func (r *reader) issuerFiles(path string, i *Issuer) {
	_, cert := readFile(r, path+".certificate", i.Certificate, certificate.LoadChain)
	_, root := readFile(r, path+".root", i.Root, certificate.LoadChain)
	_, key := readFile(r, path+".key", i.Key, ReadKey)
	if !cert || !root || !key {
		return
	}
	if _, err := i.Load(); err != nil {
		r.add(path, "%v", err)
	}
}

func (r *reader) pair(path, cert, key string) {
	chain, haveChain := readFile(r, path+".certificate", cert, certificate.LoadChain)
	k, haveKey := readFile(r, path+".key", key, ReadKey)
	if haveChain && haveKey && !certificate.KeyMatches(chain[0], k) {
		r.add(path+".key", "the key in %s is not that of the certificate in %s", key, cert)
	}
}

// readFile reads a file that the value at path names, and adds what is wrong with
// it; a name that is missing has been added already.
func readFile[T any](r *reader, path, file string, read func(string) (T, error)) (content T, ok bool) {
	if file == "" {
		return content, false
	}
	content, err := read(file)
	if err != nil {
		r.add(path, "%v", err)
	}
	return content, err == nil
}

// ReadKey reads the private key of a file, which nobody but its owner may read.
func ReadKey(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o); chmod 600 it", path, mode)
	}
	return certificate.LoadKey(path)
}

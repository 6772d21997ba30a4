package config

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"strings"

	"vidimus/internal/certificate"
)

// ReadKey opens the private key that a configuration names. This is the one place that
// knows where keys are: what it returns signs, wherever the key itself is.
//
// So far that is a file, which nobody but its owner may read. A key in a token is named
// by a URI (RFC 7512), which has its place here.
func ReadKey(name string) (crypto.Signer, error) {
	if isKeyURI(name) {
		return nil, errors.New("keys in tokens (pkcs11:) can't be used yet; name a PEM file")
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o); chmod 600 it", name, mode)
	}
	return certificate.LoadKey(name)
}

// isKeyURI tells whether the name of a key is not that of a file.
func isKeyURI(name string) bool { return strings.HasPrefix(name, "pkcs11:") }

package ceremony

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/youmark/pkcs8"

	"vidimus/internal/certificate"
	"vidimus/internal/durable"
)

// encryption is that of key files: PBES2 (RFC 8018) with AES-256-CBC, the key from the
// passphrase by scrypt, with the parameters that OpenSSL has and will still read.
var encryption = &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 1}}

// MinPassphrase is how many bytes a passphrase must have.
const MinPassphrase = 8

const encryptedType = "ENCRYPTED PRIVATE KEY"

// MarshalKey encodes a key as PKCS #8 PEM, encrypted unless passphrase is nil.
func MarshalKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if passphrase == nil {
		return certificate.MarshalKey(key)
	}
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("the passphrase is too short; use at least %d characters", MinPassphrase)
	}
	der, err := pkcs8.MarshalPrivateKey(key, passphrase, encryption)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedType, Bytes: der}), nil
}

// ReadKey reads the key of a file that nobody but its owner may read. For an encrypted
// one it asks for the passphrase.
func ReadKey(path string, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o); chmod 600 it", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != encryptedType {
		return certificate.LoadKey(path)
	}
	secret, err := passphrase()
	if err != nil {
		return nil, err
	}
	key, _, err := pkcs8.ParsePrivateKey(block.Bytes, secret)
	if err != nil {
		return nil, fmt.Errorf("%s can't be opened; check the passphrase", path) // the cause would be about padding
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a private key of type %T cannot sign", path, key)
	}
	return signer, nil
}

// Open reads the certificate PREFIX.pem and its key PREFIX.key.
func Open(prefix string, passphrase func() ([]byte, error)) (CA, error) {
	chain, err := certificate.LoadChain(prefix + ".pem")
	if err != nil {
		return CA{}, err
	}
	key, err := ReadKey(prefix+".key", passphrase)
	if err != nil {
		return CA{}, err
	}
	if !certificate.KeyMatches(chain[0], key) {
		return CA{}, fmt.Errorf("the key in %s.key is not that of the certificate in %[1]s.pem", prefix)
	}
	return CA{chain[0], key}, nil
}

// Output is a file to be made.
type Output struct {
	Path string
	Data []byte
	Mode fs.FileMode // 0600 for a key
}

// CheckNew tells whether none of the files is there yet, and their folder is.
func CheckNew(paths ...string) error {
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			return fmt.Errorf("%s exists already, and nothing is overwritten; choose another --out", p)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := os.Stat(filepath.Dir(p)); err != nil {
			return fmt.Errorf("there is no folder %s; make it first, with mode 0700", filepath.Dir(p))
		}
	}
	return nil
}

// Write makes the files in their order, none of which may exist. The key should come
// first: then there is no certificate without its key.
func Write(files ...Output) error {
	for _, f := range files {
		if err := durable.CreateFile(f.Path, f.Data, f.Mode); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already, and nothing is overwritten; choose another --out", f.Path)
		} else if err != nil {
			return err
		}
		if err := durable.SyncDir(filepath.Dir(f.Path)); err != nil {
			return err
		}
	}
	return nil
}

// PEM encodes a certificate request or a CRL.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// ReadRequest reads a certificate request in PEM.
func ReadRequest(path string) (*x509.CertificateRequest, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("%s holds no certificate request in PEM", path)
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// ReadCRL reads a CRL in PEM or DER.
func ReadCRL(path string) (*x509.RevocationList, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, fmt.Errorf("%s holds no CRL: %w", path, err)
	}
	return list, nil
}

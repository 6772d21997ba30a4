package weakkey

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// List is a set of keys that are refused. It is made of text files with one key a line:
//
//   - 64 hexadecimal digits are the SHA-256 hash of a subject public key info in DER, as
//     pwnedkeys.com and "vidimusd admin key" have it;
//   - 20 hexadecimal digits are the last of the SHA-1 hash of "Modulus=…" and a newline,
//     with the modulus of an RSA key as "openssl rsa -modulus" prints it: the format of
//     Debian's openssl-blacklist, which has the keys that its OpenSSL made from 2006
//     to 2008.
//
// Empty lines and those that begin with # say nothing. A nil List has no keys.
type List struct {
	spki   [][sha256.Size]byte // sorted
	debian [][10]byte          // sorted
}

// Load reads a list from files.
func Load(files ...string) (*List, error) {
	l := new(List)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = l.read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	l.sort()
	return l, nil
}

func (l *List) sort() {
	slices.SortFunc(l.spki, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(l.debian, func(a, b [10]byte) int { return bytes.Compare(a[:], b[:]) })
}

// read adds what is in a file; the list is in no order then.
func (l *List) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		sum, err := hex.DecodeString(text)
		switch {
		case err == nil && len(sum) == sha256.Size:
			l.spki = append(l.spki, [sha256.Size]byte(sum))
		case err == nil && len(sum) == 10:
			l.debian = append(l.debian, [10]byte(sum))
		default:
			return fmt.Errorf("line %d is neither a SHA-256 hash of a public key, in 64 hexadecimal digits, nor the 20 digits of openssl-blacklist", n)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return errors.New("a line is too long for a list of keys")
	}
	return lines.Err()
}

// Len is the number of keys.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.spki) + len(l.debian)
}

// Has tells whether a key, as subject public key info in DER, is on the list.
func (l *List) Has(spki []byte) bool {
	if l == nil {
		return false
	}
	sum := sha256.Sum256(spki)
	if _, found := slices.BinarySearchFunc(l.spki, sum, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) }); found {
		return true
	}
	if len(l.debian) == 0 {
		return false
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	pub, ok := key.(*rsa.PublicKey)
	if err != nil || !ok {
		return false
	}
	_, found := slices.BinarySearchFunc(l.debian, debianSum(pub), func(a, b [10]byte) int { return bytes.Compare(a[:], b[:]) })
	return found
}

func debianSum(pub *rsa.PublicKey) [10]byte {
	sum := sha1.Sum(fmt.Appendf(nil, "Modulus=%X\n", pub.N))
	return [10]byte(sum[10:])
}

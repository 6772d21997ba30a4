package rfc2136

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"

	"github.com/miekg/dns"
)

// Algorithm names on the wire (RFC 8945 §6), by the names that BIND and Certbot have
// for them. HMAC-MD5 is not what one would choose today, but it is Certbot's default,
// and HMAC does not suffer from what is known against MD5 (RFC 6151 §2.3).
const hmacMD5 = "hmac-md5.sig-alg.reg.int."

var algorithms = map[string]string{
	"HMAC-MD5": hmacMD5, "HMAC-SHA1": dns.HmacSHA1, "HMAC-SHA224": dns.HmacSHA224,
	"HMAC-SHA256": dns.HmacSHA256, "HMAC-SHA384": dns.HmacSHA384, "HMAC-SHA512": dns.HmacSHA512,
}

var hashes = map[string]func() hash.Hash{
	hmacMD5: md5.New, dns.HmacSHA1: sha1.New, dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New, dns.HmacSHA384: sha512.New384, dns.HmacSHA512: sha512.New,
}

// signer makes and checks the signatures of RFC 8945 with one key. The DNS library has
// all algorithms but HMAC-MD5.
type signer struct {
	name   string
	secret []byte
}

var _ dns.TsigProvider = signer{}

func (s signer) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	if dns.CanonicalName(t.Hdr.Name) != s.name {
		return nil, dns.ErrSecret
	}
	h, ok := hashes[dns.CanonicalName(t.Algorithm)]
	if !ok {
		return nil, dns.ErrKeyAlg
	}
	mac := hmac.New(h, s.secret)
	mac.Write(msg)
	return mac.Sum(nil), nil
}

func (s signer) Verify(msg []byte, t *dns.TSIG) error {
	want, err := s.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(want, got) {
		return dns.ErrSig
	}
	return nil
}

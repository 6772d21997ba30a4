package acme

import (
	"crypto/sha256"
	"encoding/base64"
)

// AnyDomain stands for all domains in [HashedAccount].
const AnyDomain = "*"

// MaxIssuerNames bounds the names in a dns-persist-01 challenge, and in the directory for
// it (draft-ietf-acme-dns-persist-02 §3.1).
const MaxIssuerNames = 10

// HashedAccount is what a dns-persist-01 record says of an account: the prefix that the
// directory names, and a hash of the domain where the record is, or of [AnyDomain], the
// thumbprint of the account's key (RFC 7638, base64url) and the account's URL
// (draft-ietf-acme-dns-persist-02 §4.1). A domain has at most 255 bytes.
func HashedAccount(prefix, domain, thumbprint, account string) string {
	sum := sha256.Sum256([]byte(string([]byte{byte(len(domain))}) + domain + thumbprint + account))
	return prefix + HashSHA256 + base64.RawURLEncoding.EncodeToString(sum[:])
}

// HashSHA256 names the hash in [HashedAccount] (RFC 6920 §9.4).
const HashSHA256 = "sha-256/"

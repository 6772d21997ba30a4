package dns

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/authenticator"
)

// Challenge types that a TXT record answers.
const (
	dns01 = "dns-01"         // RFC 8555 §8.4
	dnsAc = "dns-account-01" // draft-ietf-acme-dns-account-label-03
	dnsPe = "dns-persist-01" // draft-ietf-acme-dns-persist-02
)

// ownerOf is the name at which the CA looks for the answer to a challenge.
func ownerOf(c authenticator.Challenge) (string, error) {
	name := c.Identifier.Value
	switch c.Type {
	case dns01:
		return "_acme-challenge." + name, nil
	case dnsAc:
		if c.Account == "" {
			return "", fmt.Errorf("%s: the URL of the account is not known", c.Type)
		}
		return "_" + accountLabel(c.Account) + "._acme-challenge." + name, nil
	case dnsPe:
		return "_validation-persist." + name, nil
	}
	return "", fmt.Errorf("a DNS record is no answer to %s: choose dns-01", c.Type)
}

// accountLabel tells the accounts of one name apart.
func accountLabel(account string) string {
	sum := sha256.Sum256([]byte(account))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// digest is the TXT value for a key authorization.
func digest(keyAuthorization string) string {
	sum := sha256.Sum256([]byte(keyAuthorization))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// persistent is the TXT value that lets an account have certificates for a name as long
// as it stands there.
func persistent(c authenticator.Challenge) (string, error) {
	if len(c.Issuers) == 0 || len(c.AccountURIs) == 0 {
		return "", fmt.Errorf("%s: the CA did not say its issuer domain name or the URL of the account: prefer dns-01 with --preferred-challenges", c.Type)
	}
	value := c.Issuers[0] + "; accounturi=" + c.AccountURIs[0]
	if c.Wildcard {
		value += "; policy=wildcard"
	}
	return value, nil
}

// permits tells whether a TXT value that is there answers a dns-persist-01 challenge.
// Tags and policies are not case-sensitive (RFC 8659 §4.2).
func permits(value string, c authenticator.Challenge, now time.Time) bool {
	parts := strings.Split(value, ";")
	if !slices.Contains(c.Issuers, strings.Trim(parts[0], " \t")) {
		return false
	}
	params := make(map[string]string)
	for _, part := range parts[1:] {
		tag, val, ok := strings.Cut(part, "=")
		tag = strings.ToLower(strings.Trim(tag, " \t"))
		if _, twice := params[tag]; !ok || tag == "" || twice {
			return false
		}
		params[tag] = strings.Trim(val, " \t")
	}
	if until, ok := params["persistuntil"]; ok {
		seconds, err := strconv.ParseInt(until, 10, 64)
		if err != nil || now.After(time.Unix(seconds, 0)) {
			return false
		}
	}
	return slices.Contains(c.AccountURIs, params["accounturi"]) && (!c.Wildcard || strings.EqualFold(params["policy"], "wildcard"))
}

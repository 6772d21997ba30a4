package server

import (
	"slices"

	"vidimus/internal/acme"
	"vidimus/internal/config"
)

// accountHashes is the prefix of what records say of accounts of the open directory of an
// issuer; it must stay the same as long as records do (draft-ietf-acme-dns-persist-02 §4.5).
func accountHashes(url, directory string) string {
	return url + "/acme/" + directory + "/account-hash/"
}

// persistent adds to the directory's metadata what dns-persist-01 records are made of,
// where the challenge is offered.
func persistent(m acme.DirectoryMeta, c *config.Issuer, open bool, url string) acme.DirectoryMeta {
	if open && slices.Contains(c.ChallengeTypes(), acme.DNSPersist01) {
		m.IssuerDomainNames = c.CAAIdentities
		m.AccountHashPrefix = accountHashes(url, c.Directories()[1])
	}
	return m
}

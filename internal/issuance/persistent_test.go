package issuance

import (
	"strings"
	"testing"

	"vidimus/internal/acme"
)

func TestPersistentRecordsAreMadeOfWhatTheCASays(t *testing.T) {
	const prefix, key, account = "https://ca.example/account-hash/", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "https://ca.example/acct/123"
	many := strings.Split(strings.Repeat("ca.example ", 11), " ")[:11]
	for _, tt := range []struct {
		name             string
		meta             acme.DirectoryMeta
		issuers, before  []string
		account, refused string
	}{
		{"the draft's example", acme.DirectoryMeta{AccountHashPrefix: prefix, IssuerDomainNames: []string{"ca.example"}, CAAIdentities: []string{"CA.example."}}, []string{"ca.example"}, nil,
			prefix + "sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", ""},
		{"an earlier draft", acme.DirectoryMeta{}, nil, []string{"ca.example"}, account, ""},
		{"no prefix", acme.DirectoryMeta{}, []string{"ca.example"}, nil, "", "no accountHashPrefix"},
		{"a prefix that ends the parameter", acme.DirectoryMeta{AccountHashPrefix: "x; policy=wildcard"}, []string{"ca.example"}, nil, "", "no accountHashPrefix"},
		{"a name that ends itself", acme.DirectoryMeta{AccountHashPrefix: prefix}, []string{"ca.example; policy=wildcard"}, nil, "", "no domain name"},
		{"a name in capitals", acme.DirectoryMeta{AccountHashPrefix: prefix}, []string{"CA.example"}, nil, "", "normal form"},
		{"too many names", acme.DirectoryMeta{AccountHashPrefix: prefix}, many, nil, "", "10 are allowed"},
		{"one of the directory's is missing", acme.DirectoryMeta{AccountHashPrefix: prefix, IssuerDomainNames: []string{"other.example"}}, []string{"ca.example"}, nil, "", "leaves out"},
		{"one that is none for CAA", acme.DirectoryMeta{AccountHashPrefix: prefix, CAAIdentities: []string{"other.example"}}, []string{"ca.example"}, nil, "", "CAA records"},
	} {
		ca := new(CA)
		ca.dir.Meta = tt.meta
		issuers, uris, err := ca.persistent(acme.Challenge{Type: acme.DNSPersist01, Issuers: tt.issuers, IssuersBefore: tt.before}, "example.com", key, account)
		switch {
		case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
			t.Errorf("%s: %v; want an error that says %q", tt.name, err, tt.refused)
		case tt.refused == "" && (err != nil || len(uris) == 0 || uris[0] != tt.account || issuers[0] != "ca.example"):
			t.Errorf("%s: %s, %s, %v; want %s", tt.name, issuers, uris, err, tt.account)
		}
	}
}

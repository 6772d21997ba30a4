package acme

import "testing"

// The example of draft-ietf-acme-dns-persist-02 §10.2.
func TestHashedAccountIsThatOfTheDraft(t *testing.T) {
	for domain, want := range map[string]string{
		"example.com": "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw",
		AnyDomain:     "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug",
	} {
		got := HashedAccount("https://ca.example/account-hash/", domain, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "https://ca.example/acct/123")
		if got != "https://ca.example/account-hash/sha-256/"+want {
			t.Errorf("%s: %s; want %s", domain, got, want)
		}
	}
}

// Package acme is the vocabulary of RFC 8555 that both programs share: the statuses of each object
// with the moves between them, the resources as they go over the wire, and the
// problem documents. It holds no state and does nothing by itself.
package acme

import "slices"

// Status is the state of an account, order, authorization or challenge.
type Status string

const (
	Pending     Status = "pending"
	Ready       Status = "ready"
	Processing  Status = "processing"
	Valid       Status = "valid"
	Invalid     Status = "invalid"
	Deactivated Status = "deactivated"
	Expired     Status = "expired"
	Revoked     Status = "revoked"
)

// Machine is a state machine of RFC 8555 §7.1.6: for each status, those that may
// follow it. A status without followers is final.
type Machine map[Status][]Status

// The four machines, word for word the diagrams of §7.1.6. What the diagrams draw
// as an authorization's expiry is not a move here: an object whose time is over is
// read as expired (or, an order, as invalid) without a write.
var (
	Challenges = Machine{
		Pending:    {Processing, Invalid},
		Processing: {Valid, Invalid},
	}
	Authorizations = Machine{
		Pending: {Valid, Invalid, Deactivated, Expired},
		Valid:   {Deactivated, Expired, Revoked},
	}
	Orders = Machine{
		Pending:    {Ready, Invalid},
		Ready:      {Processing, Invalid},
		Processing: {Valid, Invalid},
	}
	Accounts = Machine{
		Valid: {Deactivated, Revoked},
	}
)

// Allows tells whether the machine has a move from one status to the other.
func (m Machine) Allows(from, to Status) bool { return slices.Contains(m[from], to) }

// ChallengeType names a validation method (RFC 8555 §9.7.8).
type ChallengeType string

const (
	HTTP01    ChallengeType = "http-01"     // RFC 8555 §8.3
	DNS01     ChallengeType = "dns-01"      // RFC 8555 §8.4
	TLSALPN01 ChallengeType = "tls-alpn-01" // RFC 8737 §3

	DNSAccount01 ChallengeType = "dns-account-01" // draft-ietf-acme-dns-account-label
	DNSPersist01 ChallengeType = "dns-persist-01" // draft-ietf-acme-dns-persist-02
)

// RevocationReason is a CRL reason code (RFC 5280 §5.3.1).
type RevocationReason int

// Reasons are the codes that a client may give; 2 (cACompromise), 6
// (certificateHold), 8 (removeFromCRL) and 10 (aACompromise) are not for
// end-entity certificates.
var Reasons = map[RevocationReason]string{
	0: "unspecified",
	1: "keyCompromise",
	3: "affiliationChanged",
	4: "superseded",
	5: "cessationOfOperation",
	9: "privilegeWithdrawn",
}

// KeyCompromise is the one reason that also bars the key from further use.
const KeyCompromise RevocationReason = 1

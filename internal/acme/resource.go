package acme

import (
	"encoding/json"
	"time"

	"vidimus/internal/identifier"
)

// Directory is the directory object (RFC 8555 §7.1.1, RFC 9773 §3).
type Directory struct {
	NewNonce    string        `json:"newNonce"`
	NewAccount  string        `json:"newAccount"`
	NewOrder    string        `json:"newOrder"`
	NewAuthz    string        `json:"newAuthz,omitempty"`
	RevokeCert  string        `json:"revokeCert"`
	KeyChange   string        `json:"keyChange"`
	RenewalInfo string        `json:"renewalInfo"`
	Meta        DirectoryMeta `json:"meta"`
}

// DirectoryMeta is the directory's metadata (§9.7.6).
type DirectoryMeta struct {
	TermsOfService          string   `json:"termsOfService,omitempty"`
	Website                 string   `json:"website,omitempty"`
	CAAIdentities           []string `json:"caaIdentities,omitempty"`
	ExternalAccountRequired bool     `json:"externalAccountRequired,omitempty"`
	SubdomainAuthAllowed    bool     `json:"subdomainAuthAllowed,omitempty"` // RFC 9444 §4.4
	// Profiles are the certificate profiles with a description of each
	// (draft-ietf-acme-profiles §3).
	Profiles map[string]string `json:"profiles,omitempty"`
	// IssuerDomainNames and AccountHashPrefix are what dns-persist-01 records are made of
	// (draft-ietf-acme-dns-persist-02 §3.2, §4.1); see [HashedAccount].
	IssuerDomainNames []string `json:"issuerDomainNames,omitempty"`
	AccountHashPrefix string   `json:"accountHashPrefix,omitempty"`
}

// Account is the account object (§7.1.2).
type Account struct {
	Status  Status   `json:"status"`
	Contact []string `json:"contact,omitempty"`
	Orders  string   `json:"orders"`
	// ExternalAccountBinding is the JWS that the client sent (§7.3.4).
	ExternalAccountBinding json.RawMessage `json:"externalAccountBinding,omitempty"`
}

// NewAccount is the payload of a newAccount request (§7.3).
type NewAccount struct {
	Contact                []string        `json:"contact,omitempty"`
	TermsOfServiceAgreed   bool            `json:"termsOfServiceAgreed,omitempty"`
	OnlyReturnExisting     bool            `json:"onlyReturnExisting,omitempty"`
	ExternalAccountBinding json.RawMessage `json:"externalAccountBinding,omitempty"`
}

// Order is the order object (§7.1.3).
type Order struct {
	Status         Status                  `json:"status"`
	Expires        *time.Time              `json:"expires,omitempty"`
	Identifiers    []identifier.Identifier `json:"identifiers"`
	NotBefore      *time.Time              `json:"notBefore,omitempty"` // as asked for
	NotAfter       *time.Time              `json:"notAfter,omitempty"`
	Replaces       string                  `json:"replaces,omitempty"` // RFC 9773 §5
	Error          *Problem                `json:"error,omitempty"`
	Authorizations []string                `json:"authorizations"`
	Finalize       string                  `json:"finalize"`
	Certificate    string                  `json:"certificate,omitempty"`
	Profile        string                  `json:"profile,omitempty"`
}

// NewOrder is the payload of a newOrder request (§7.4, RFC 9773 §5).
type NewOrder struct {
	Identifiers []identifier.Identifier `json:"identifiers"`
	NotBefore   string                  `json:"notBefore,omitempty"`
	NotAfter    string                  `json:"notAfter,omitempty"`
	Replaces    string                  `json:"replaces,omitempty"`
	Profile     string                  `json:"profile,omitempty"` // draft-ietf-acme-profiles §4
}

// Authorization is the authorization object (§7.1.4).
type Authorization struct {
	Identifier identifier.Identifier `json:"identifier"` // without "*." of a wildcard
	Status     Status                `json:"status"`
	Expires    time.Time             `json:"expires"`
	Challenges []Challenge           `json:"challenges"`
	Wildcard   bool                  `json:"wildcard,omitempty"`

	SubdomainAuthAllowed bool `json:"subdomainAuthAllowed,omitempty"` // RFC 9444 §4.1
}

// Challenge is the challenge object (§7.1.5, §8).
type Challenge struct {
	Type      ChallengeType `json:"type"`
	URL       string        `json:"url"`
	Status    Status        `json:"status"`
	Validated *time.Time    `json:"validated,omitempty"`
	Error     *Problem      `json:"error,omitempty"`
	Token     string        `json:"token,omitempty"` // not of dns-persist-01
	// Issuers are the names that a dns-persist-01 record may carry
	// (draft-ietf-acme-dns-persist-02 §3.1); IssuersBefore are the same of a CA that follows
	// an earlier draft, whose records have the account's URL.
	Issuers       []string `json:"issuerDomainNames,omitempty"`
	IssuersBefore []string `json:"issuer-domain-names,omitempty"`
}

// RenewalInfo is the renewalInfo object (RFC 9773 §4.2).
type RenewalInfo struct {
	SuggestedWindow Window `json:"suggestedWindow"`
	ExplanationURL  string `json:"explanationURL,omitempty"`
}

// Window is a span of time.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

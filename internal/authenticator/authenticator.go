// Package authenticator says what proves to a CA that a name is ours: something
// that answers the CA's challenges. Each way of doing so is a package below.
package authenticator

import (
	"context"

	"vidimus/internal/identifier"
)

// Challenge is what the CA wants to see for one name.
type Challenge struct {
	Identifier       identifier.Identifier // without the "*." of a wildcard
	Type             string                // such as "http-01"
	Token            string                // RFC 8555 §8.3
	KeyAuthorization string                // RFC 8555 §8.1
	Wildcard         bool                  // it is about all names below Identifier
	Account          string                // the URL of the account, for dns-account-01
	Issuers          []string              // issuer domain names, for dns-persist-01
	// AccountURIs are what a dns-persist-01 record may say of the account; the first is what
	// a new one says.
	AccountURIs []string
}

// HTTPPath is where an HTTP server is asked for the answer to an http-01 challenge
// (RFC 8555 §8.3); the token follows.
const HTTPPath = "/.well-known/acme-challenge/"

// Authenticator answers challenges.
type Authenticator interface {
	// Types lists the challenge types it can answer, the best first.
	Types() []string
	// Present makes the answers visible to the CA. After an error none is.
	Present(ctx context.Context, challenges []Challenge) error
	// Cleanup takes all answers back and leaves nothing behind. It is called once
	// after Present, also when ctx has ended, whatever came of the validation.
	Cleanup(ctx context.Context) error
	// Hint says what to look at when the CA did not see the answers.
	Hint() string
}

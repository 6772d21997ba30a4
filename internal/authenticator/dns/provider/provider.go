// Package provider says what a DNS provider must be able to do: add one TXT value and
// remove one. Each kind of provider is a package beside this one.
package provider

import "context"

// Record is one TXT value.
type Record struct {
	Name  string `json:"name"`  // where it stands, after all aliases; without the last dot
	Value string `json:"value"` // unquoted
	Zone  string `json:"zone"`  // the zone that Name is in, as the DNS has it; may be empty

	// Domain is the name that is proved, and KeyAuthorization what Value is the digest
	// of (RFC 8555 §8.4); both may be empty. Some providers want these and compute
	// Value by themselves.
	Domain           string `json:"domain"`
	KeyAuthorization string `json:"key_authorization"`
}

// Provider changes a zone. Its methods are called from many goroutines.
type Provider interface {
	// Add makes a value appear beside those that are there. To add what is there
	// already is no error.
	Add(ctx context.Context, r Record) error
	// Remove takes one value away and leaves the others. To remove what is not there
	// is no error.
	Remove(ctx context.Context, r Record) error
}

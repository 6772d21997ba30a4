// Package manual answers challenges with the help of others: a person who is told
// what to do, or hooks, which are shell commands of the admin.
//
// Hooks are told what to do in their environment, in Certbot's words
// (CERTBOT_IDENTIFIER, CERTBOT_VALIDATION, CERTBOT_TOKEN and so on), so that the hooks
// written for Certbot work. They run one after another, once for each challenge, in
// order; one that fails is reported, and it is for the CA to say whether the answer
// is there.
package manual

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

// Manual is the authenticator.
type Manual struct {
	AuthHook    string // a shell command that makes an answer visible; "" is to ask a person
	CleanupHook string // a shell command that takes an answer back; "" for none
	// Ask shows a person what to do and returns when it is done; nil when there is
	// nobody to ask.
	Ask func(ctx context.Context, text string) error

	Out io.Writer // what hooks say
	Err io.Writer // what they say on standard error, and warnings
	Log *slog.Logger
	// Environ is what hooks see besides what is said above, as os.Environ gives it.
	Environ []string
	// Serial is held while a hook runs, so that hooks of different orders don't run at
	// the same time; nil for an order that is alone.
	Serial sync.Locker

	presented []presented
}

// presented is a challenge that was answered, with what its hook said.
type presented struct {
	env    []string
	domain string
}

var _ authenticator.Authenticator = (*Manual)(nil)

// Types implements [authenticator.Authenticator]. The first two are Certbot's, in its
// order.
func (m *Manual) Types() []string {
	return []string{"http-01", "dns-01", "dns-account-01", "dns-persist-01"}
}

// Hint implements [authenticator.Authenticator].
func (m *Manual) Hint() string {
	if m.AuthHook != "" {
		return "The Certificate Authority failed to verify what the --manual-auth-hook created. Ensure that this hook is " +
			"functioning correctly and, for DNS, that it returns only when all name servers have the record."
	}
	return "The Certificate Authority failed to verify what was created by hand. Ensure that it is in the correct location " +
		"and, for DNS, wait until all name servers have the record."
}

// Check tells whether the authenticator can work at all.
func (m *Manual) Check() error {
	if m.AuthHook == "" && m.Ask == nil {
		return fmt.Errorf("An authentication script must be provided with --manual-auth-hook when using the manual plugin non-interactively.") //lint:ignore ST1005 Certbot's words
	}
	return nil
}

// Present runs the hook, or asks a person, once for each challenge. What was presented
// before an error is cleaned up.
func (m *Manual) Present(ctx context.Context, challenges []authenticator.Challenge) error {
	err := m.present(ctx, challenges)
	if err != nil {
		err = errors.Join(err, m.Cleanup(context.WithoutCancel(ctx)))
	}
	return err
}

func (m *Manual) present(ctx context.Context, challenges []authenticator.Challenge) error {
	if err := m.Check(); err != nil {
		return err
	}
	for _, c := range challenges {
		if strings.Trim(c.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("the CA's token for %s is not base64url (RFC 8555 §8.3)", c.Identifier)
		}
	}
	told := dialogue{}
	for i, c := range challenges {
		if m.AuthHook == "" {
			if err := m.Ask(ctx, told.text(challenges, i)); err != nil {
				return err
			}
			m.presented = append(m.presented, presented{environment(challenges, i), c.Identifier.Value})
			continue
		}
		env := environment(challenges, i)
		out, err := m.run(ctx, "auth-hook", m.AuthHook, c.Identifier.Value, env)
		if err != nil {
			return err
		}
		m.presented = append(m.presented, presented{append(env, "CERTBOT_AUTH_OUTPUT="+out), c.Identifier.Value})
	}
	return nil
}

// Cleanup runs the cleanup hook once for each challenge that was presented.
func (m *Manual) Cleanup(ctx context.Context) error {
	done := m.presented
	m.presented = nil
	if m.CleanupHook == "" {
		return nil
	}
	for _, p := range done {
		if _, err := m.run(ctx, "cleanup-hook", m.CleanupHook, p.domain, p.env); err != nil {
			return err
		}
	}
	return nil
}

// environment is what a hook is told about the challenge with the index i.
func environment(all []authenticator.Challenge, i int) []string {
	c := all[i]
	names := make([]string, len(all))
	for j, one := range all {
		names[j] = one.Identifier.Value
	}
	value, record := Answer(c)
	list := strings.Join(names, ",")
	env := []string{
		"CERTBOT_IDENTIFIER=" + c.Identifier.Value,
		"CERTBOT_DOMAIN=" + c.Identifier.Value,
		"CERTBOT_VALIDATION=" + value,
		"CERTBOT_ALL_IDENTIFIERS=" + list,
		"CERTBOT_ALL_DOMAINS=" + list,
		fmt.Sprintf("CERTBOT_REMAINING_CHALLENGES=%d", len(all)-i-1),
		"VIDIMUS_CHALLENGE=" + c.Type,
	}
	if c.Type == "http-01" {
		return append(env, "CERTBOT_TOKEN="+c.Token)
	}
	return append(env, "VIDIMUS_TXT_NAME="+record)
}

// Answer is what the CA wants to see for c: the content of a file, or that of a TXT
// record of the name record.
func Answer(c authenticator.Challenge) (value, record string) {
	name := c.Identifier.Value
	sum := sha256.Sum256([]byte(c.KeyAuthorization))
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	switch c.Type {
	case "dns-01": // RFC 8555 §8.4
		return digest, "_acme-challenge." + name
	case "dns-account-01": // draft-ietf-acme-dns-account-label §3.2
		account := sha256.Sum256([]byte(c.Account))
		return digest, "_" + strings.ToLower(base32.StdEncoding.EncodeToString(account[:10])) + "._acme-challenge." + name
	case "dns-persist-01": // draft-ietf-acme-dns-persist §4.1
		issuer, account := "", ""
		if len(c.Issuers) > 0 {
			issuer = c.Issuers[0]
		}
		if len(c.AccountURIs) > 0 {
			account = c.AccountURIs[0]
		}
		value = issuer + "; accounturi=" + account
		if c.Wildcard {
			value += "; policy=wildcard"
		}
		return value, "_validation-persist." + name
	}
	return c.KeyAuthorization, ""
}

// dialogue remembers what a person was told already.
type dialogue struct{ dns, any bool }

const (
	andThis = "\n(This must be set up in addition to the previous challenges; do not remove,\n" +
		"replace, or undo the previous challenge tasks yet.)\n"
	andThisRecord = "\n(This must be set up in addition to the previous challenges; do not remove,\n" +
		"replace, or undo the previous challenge tasks yet. One name may have several\nTXT records with distinct values.)\n"
	lookFirst = "\nBefore continuing, make sure that all name servers of the zone have the record;\n" +
		"'dig +short TXT %[1]s @SERVER' asks one of them.\n"
)

// text tells a person what to do about the challenge with the index i.
func (d *dialogue) text(all []authenticator.Challenge, i int) string {
	c := all[i]
	value, record := Answer(c)
	var text string
	if c.Type == "http-01" {
		text = fmt.Sprintf("Create a file containing just this data:\n\n%s\n\nAnd make it available on your web server at this URL:\n\n%s\n", value, URL(c))
		if d.any {
			text += andThis
		}
		d.any = true
		return text
	}
	text = fmt.Sprintf("Please deploy a DNS TXT record under the name:\n\n%s.\n\nwith the following value:\n\n%s\n", record, value)
	switch {
	case d.dns:
		text += andThisRecord
	case d.any:
		text += andThis
	}
	d.dns, d.any = true, true
	last := true
	for _, later := range all[i+1:] {
		last = last && later.Type == "http-01"
	}
	if last {
		text += fmt.Sprintf(lookFirst, record)
	}
	return text
}

// URL is where the CA looks for the answer to an http-01 challenge.
func URL(c authenticator.Challenge) string {
	host := c.Identifier.Value
	if c.Identifier.Type == identifier.IP && strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "http://" + host + authenticator.HTTPPath + c.Token
}

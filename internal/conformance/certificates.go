package conformance

import (
	"bytes"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
)

// certificates are the rules of RFC 8555 §7.4.2 and §9.1.
var certificates = []Case{
	must("7.4.2", "a certificate comes as application/pem-certificate-chain", func(c *check) {
		i := c.certificate()
		got := c.post(i.by, i.order.Certificate, nil).want(http.StatusOK).header.Get("Content-Type")
		c.ok(strings.HasPrefix(got, "application/pem-certificate-chain"), "its Content-Type is %q", got)
	}),
	must("9.1", "the chain has the end-entity certificate first and no text between certificates", func(c *check) {
		i := c.certificate()
		c.ok(!i.leaf().IsCA, "the first is a CA certificate")
		for rest := bytes.TrimSpace(i.pem); len(rest) > 0; rest = bytes.TrimSpace(rest) {
			c.ok(bytes.HasPrefix(rest, []byte("-----BEGIN CERTIFICATE-----")), "there is other text: %.40q", rest)
			_, rest = pem.Decode(rest)
		}
	}),
	should("9.1", "each certificate of the chain is signed by the next", func(c *check) {
		chain := c.certificate().chain
		for n := range len(chain) - 1 {
			err := chain[n].CheckSignatureFrom(chain[n+1])
			c.ok(err == nil, "number %d is not: %v", n+1, err)
		}
	}),
	must("7.4.2", "a certificate stays as it is", func(c *check) {
		i := c.certificate()
		c.ok(bytes.Equal(c.post(i.by, i.order.Certificate, nil).want(http.StatusOK).body, i.pem), "it has changed")
	}),
}

// revocations are the rules of RFC 8555 §7.6.
var revocations = []Case{
	must("7.6", "the account that a certificate was issued to may revoke it; a second time gets status 400 and alreadyRevoked", func(c *check) {
		i := c.issue(c.account(), forNames(c.domain()))
		c.revoke(i, i.by, 0).want(http.StatusOK)
		c.revoke(i, i.by, 0).refusedWith(http.StatusBadRequest, "alreadyRevoked")
	}),
	must("7.6", "the key of a certificate may revoke it", func(c *check) {
		i := c.issue(c.account(), forNames(c.domain()))
		c.revoke(i, &account{key: i.ecdsa()}, 0).want(http.StatusOK)
	}),
	must("7.6", "an account that may not have the names can't revoke", func(c *check) { c.revoke(c.certificate(), c.second(), 0).refused("unauthorized") }),
	must("7.6", "a key that is not the certificate's can't revoke", func(c *check) { c.revoke(c.certificate(), stranger(), 0).refused() }),
	must("7.6", "a disallowed reason is refused as badRevocationReason", func(c *check) {
		c.revoke(c.certificate(), c.account(), 99).refused("badRevocationReason")
	}),
	must("7.6", "a certificate of another CA is refused", func(c *check) {
		c.post(c.account(), c.dir.RevokeCert, map[string]any{"certificate": b64(selfSigned())}).refused()
	}),
	must("7.6", "what is not a certificate is refused", func(c *check) {
		c.post(c.account(), c.dir.RevokeCert, map[string]any{"certificate": b64([]byte("no certificate"))}).refused()
	}),
}

// revoke asks for the revocation of a certificate.
func (c *check) revoke(i *issued, by *account, reason int) *answer {
	return c.post(by, c.dir.RevokeCert, map[string]any{"certificate": b64(i.leaf().Raw), "reason": reason})
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// observed are rules about all answers, told from those that the cases before got.
var observed = []Case{
	must("6.5", "every successful answer to a POST has a Replay-Nonce", func(c *check) {
		c.each(func(e seen) bool { return e.method != "POST" || e.status >= 300 || e.nonce != "" }, "has none")
	}),
	should("6.5", "every error in answer to a POST has a Replay-Nonce", func(c *check) {
		c.each(func(e seen) bool { return e.method != "POST" || e.status < 400 || e.nonce != "" }, "has none")
	}),
	must("6.5.1", "no nonce was given out twice", func(c *check) {
		had := make(map[string]bool)
		c.each(func(e seen) bool {
			again := e.nonce != "" && had[e.nonce]
			had[e.nonce] = true
			return !again
		}, "has a nonce that came before")
	}),
	should("6.7", "every error is a problem document", func(c *check) {
		c.each(func(e seen) bool { return e.status < 400 || e.problem }, "is none")
	}),
	must("6.7.1", "no problem has an identifier at its top level", func(c *check) {
		c.each(func(e seen) bool { return e.top["identifier"] == nil }, "has one")
	}),
	must("6.7", "every problem type of ACME's namespace is one that is registered", func(c *check) {
		c.each(registered, "has another")
	}),
	must("7.1", "every resource but the directory is linked to the directory (Link: index)", func(c *check) {
		c.each(func(e seen) bool {
			return e.status >= 300 || e.index || e.url == c.o.Directory || c.dir.RenewalInfo != "" && strings.HasPrefix(e.url, c.dir.RenewalInfo)
		}, "is not")
	}),
}

// each fails unless all answers are good.
func (c *check) each(good func(seen) bool, what string) {
	for _, e := range c.seen {
		c.ok(good(e), "%s %s", e, what)
	}
}

// problemTypes are those of IANA's registry "ACME Error Types".
var problemTypes = []string{"accountDoesNotExist", "alreadyReplaced", "alreadyRevoked", "autoRenewalCanceled", "autoRenewalExpired",
	"autoRenewalCancellationInvalid", "autoRenewalRevocationNotSupported", "badCSR", "badNonce", "badPublicKey", "badRevocationReason",
	"badSignatureAlgorithm", "caa", "compound", "connection", "dns", "externalAccountRequired", "incorrectResponse", "invalidContact",
	"invalidProfile", "malformed", "onionCAARequired", "orderNotReady", "rateLimited", "rejectedIdentifier", "serverInternal", "tls",
	"unauthorized", "unknownDelegation", "unsupportedContact", "unsupportedIdentifier", "userActionRequired"}

func registered(e seen) bool {
	var kind string
	json.Unmarshal(e.top["type"], &kind)
	short, ours := strings.CutPrefix(kind, "urn:ietf:params:acme:error:")
	return !ours || slices.Contains(problemTypes, short)
}

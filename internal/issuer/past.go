package issuer

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"vidimus/internal/store"
)

// Past makes the certificate that would have been issued at a time, which may be gone by,
// in a shard of [store.Store.TakePlaces]. It asks no rule and records nothing: it is for
// databases full of what is made up, and for a CA that nobody trusts.
func (i *Issuer) Past(r Request, shard store.Shard, at time.Time) (store.Certificate, error) {
	by := i.Current()
	then := *i
	then.Now = func() time.Time { return at }
	if r.Profile == nil {
		r.Profile = i.Plain()
	}
	tmpl, err := then.template(r, by)
	if err != nil {
		return store.Certificate{}, err
	}
	if url := shard.URL(); url != "" {
		tmpl.CRLDistributionPoints = []string{url}
	}
	draft, err := i.draft(tmpl, kind{by, r.Profile, r.Staple, shard.URL()}, r.PublicKey)
	if err != nil {
		return store.Certificate{}, err
	}
	tbs, _, err := split(draft)
	if err != nil {
		return store.Certificate{}, err
	}
	alg, err := algorithm(tbs)
	if err != nil {
		return store.Certificate{}, err
	}
	sig, err := signature(by.Key, tbs)
	if err != nil {
		return store.Certificate{}, err
	}
	der, err := joined(tbs, alg, sig)
	if err != nil {
		return store.Certificate{}, err
	}
	spki := sha256.Sum256(r.SPKI)
	return store.Certificate{Serial: hex.EncodeToString(tmpl.SerialNumber.Bytes()), Issuer: i.Name, AuthorityKey: by.ID(), Shard: shard.ID,
		Order: r.Order, Account: r.Account, Names: r.Identifiers, DER: der, SPKI: spki[:],
		NotBefore: tmpl.NotBefore, NotAfter: tmpl.NotAfter, Created: at.UTC(), Issued: at.UTC()}, nil
}

package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
)

// lineage is a host's certificates, of which one renews the other.
type lineage struct {
	host  int
	names []string
	ends  float64 // the part of the time after which it was not renewed any more; 1 for never
}

// findLineages lists the hosts whose ACME-ID has an account; some of their certificates
// have all names of the ACME-ID.
func (m *maker) findLineages() {
	for h := range m.Hosts {
		id := h / hostsPerACMEID
		if id >= m.acmeIDs() || waiting(id) || !covered(h) || h%101 == 100 {
			continue
		}
		l := lineage{h, []string{m.fqdn(h)}, 1}
		if h%(4*hostsPerACMEID) == 0 {
			l.names = m.names(id)
		}
		if h%33 == 17 {
			l.ends = 0.5 + 0.5*float64(h%10)/10
		}
		m.lineages = append(m.lineages, l)
	}
}

// at is when the k-th certificate was issued.
func (m *maker) at(k int) time.Time {
	return m.begin.Add(time.Duration(float64(m.Now.Sub(m.begin)-time.Minute) * float64(k) / float64(m.certificates())))
}

// of finds whose the k-th certificate is: lineages take turns, and those that have ended
// leave theirs to the next.
func (m *maker) of(k int) lineage {
	gone := float64(k) / float64(m.certificates())
	for i := k * 7919; ; i++ {
		if l := m.lineages[i%len(m.lineages)]; gone < l.ends {
			return l
		}
	}
}

// issued is one certificate with what goes with it.
type issued struct {
	store.Certificate
	lineage
	person bool  // it was asked for without ACME
	slot   int64 // number of its order
	client int
}

func (m *maker) addCertificates(ctx context.Context) error {
	m.findLineages()
	if len(m.lineages) == 0 {
		return nil
	}
	size := m.Issuer.ShardSize
	if size == 0 {
		size = revocation.DefaultShardSize
	}
	by := m.Issuer.Current()
	for from := 0; from < m.certificates(); from += size {
		to := min(m.certificates(), from+size)
		shard, err := m.db.TakePlaces(ctx, m.Issuer.Name, by.ID(), by.CRLBase, to-from, size, m.at(to))
		if err != nil {
			return err
		}
		orders := m.into.Numbers("acme_order", 2*(to-from)) // one may fail behind each
		all, err := m.issue(ctx, shard, orders, from, to)
		if err != nil {
			return err
		}
		if err := m.into.Add(ctx, m.rows(all)...); err != nil {
			return err
		}
		m.Progress("%d of %d certificates", to, m.certificates())
	}
	return nil
}

// issue makes certificates, on all processors.
func (m *maker) issue(ctx context.Context, shard store.Shard, orders int64, from, to int) ([]issued, error) {
	all := make([]issued, to-from)
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for k := from + w; k < to && errs[w] == nil && ctx.Err() == nil; k += workers {
				all[k-from], errs[w] = m.certificate(k, shard, orders+int64(2*(k-from)))
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return all, ctx.Err()
}

func (m *maker) certificate(k int, shard store.Shard, order int64) (issued, error) {
	l := m.of(k)
	id := l.host / hostsPerACMEID
	i := issued{lineage: l, slot: order, person: k%200 == 7, client: client(id, float64(k)/float64(m.certificates()))}
	r := issuer.Request{Order: order, Account: m.account + int64(id), Profile: profileOf(m.Issuer)}
	if i.person {
		r.Order, r.Account = 0, 0
	}
	for _, n := range l.names {
		r.Identifiers = append(r.Identifiers, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return i, err
	}
	r.PublicKey = key.Public()
	if r.SPKI, err = x509.MarshalPKIXPublicKey(r.PublicKey); err != nil {
		return i, err
	}
	i.Certificate, err = m.Issuer.Past(r, shard, m.at(k).Truncate(time.Millisecond))
	return i, err
}

// revoked tells whether the k-th of some certificates was revoked, and why.
func revoked(k int) (acme.RevocationReason, bool) {
	if k%97 != 50 {
		return 0, false
	}
	// superseded, unspecified, cessationOfOperation (RFC 5280 §5.3.1), keyCompromise
	return []acme.RevocationReason{4, 0, 5, acme.KeyCompromise}[k/97%4], true
}

// rows are what is on record of certificates.
func (m *maker) rows(all []issued) []store.Rows {
	orders := store.Rows{Table: "acme_order", Columns: []string{"id", "account_id", "status", "identifiers", "replaces", "serial", "error", "created_at", "expires_at", "profile"}}
	certificates := store.Rows{Table: "certificate", Columns: []string{"serial", "issuer", "authority_key", "shard_id", "order_id", "account_id",
		"tbs", "der", "spki", "not_before", "not_after", "created_at", "issued_at", "client_id", "person"}}
	names := store.Rows{Table: "certificate_name", Columns: []string{"value", "serial"}}
	revocations := store.Rows{Table: "revocation", Columns: []string{"id", "issuer", "serial", "reason", "revoked_at", "shard_id"}}
	blocked := store.Rows{Table: "blocked_key", Columns: []string{"spki", "blocked_at"}}
	var events []audit.Row
	for k, c := range all {
		at := c.Created.UnixMilli()
		var order, account, agent, person any = c.Order, c.Account, m.clients + int64(c.client), nil
		if c.person {
			order, account, agent, person = nil, nil, nil, login(m.owner(c.host))
		} else {
			orders.Rows = append(orders.Rows, []any{c.Order, c.Account, "valid", identifiersJSON(c.names), "", c.Serial, nil, at,
				c.Created.Add(7 * 24 * time.Hour).UnixMilli(), profileOf(m.Issuer).Name})
		}
		certificates.Rows = append(certificates.Rows, []any{c.Serial, c.Issuer, c.AuthorityKey, c.Shard, order, account,
			[]byte{}, c.DER, c.SPKI, c.NotBefore.UnixMilli(), c.NotAfter.UnixMilli(), at, at, agent, person})
		for _, n := range c.names {
			names.Rows = append(names.Rows, []any{n, c.Serial})
		}
		events = append(events, m.issuance(c)...)
		if reason, yes := revoked(k); yes {
			when := c.Created.Add(time.Second)
			revocations.Rows = append(revocations.Rows, []any{m.into.Numbers("revocation", 1), c.Issuer, c.Serial, int64(reason), when.UnixMilli(), c.Shard})
			if reason == acme.KeyCompromise {
				blocked.Rows = append(blocked.Rows, []any{c.SPKI, when.UnixMilli()})
			}
			events = append(events, event(when, operator, audit.CertificateRevoked, c.Serial, fmt.Sprintf(`{"reason":"%s"}`, acme.Reasons[reason])))
		}
		if problem := failures[k%len(failures)]; problem != nil && k%27 == 0 {
			failed := *problem
			orders.Rows = append(orders.Rows, []any{m.into.Numbers("acme_order", 1), m.account + int64(c.host/hostsPerACMEID), "invalid", identifiersJSON(c.names), "", nil,
				toJSON(failed), at, c.Created.Add(7 * 24 * time.Hour).UnixMilli(), profileOf(m.Issuer).Name})
		}
	}
	return []store.Rows{orders, certificates, names, revocations, blocked, m.into.Events(events)}
}

// issuance is what the audit log says of one.
func (m *maker) issuance(c issued) []audit.Row {
	sum := sha256.Sum256(c.DER)
	actor := m.actor(c.host/hostsPerACMEID, "demo-"+c.Serial[:12])
	if c.person {
		actor = fmt.Appendf(nil, `{"person":"%s"}`, login(m.owner(c.host)))
	}
	return []audit.Row{
		event(c.Created, actor, audit.CertificateIntended, c.Serial, toJSON(audit.Detail{"issuer": c.Issuer, "authority_key": c.AuthorityKey, "names": c.names,
			"order": c.Order, "account": c.Account, "spki_sha256": hex.EncodeToString(c.SPKI), "not_after": c.NotAfter.Format(time.RFC3339), "replaces": ""})),
		event(c.Created, actor, audit.CertificateIssued, c.Serial, `{"sha256":"`+hex.EncodeToString(sum[:])+`"}`),
	}
}

// failures are why orders failed, some more often than others.
var failures = []*acme.Problem{
	acme.Problemf(acme.DNS, "no address on record"), acme.Problemf(acme.Connection, "connection refused"),
	acme.Problemf(acme.Connection, "no answer within 10s"), acme.Problemf(acme.Unauthorized, "the answer has not the key authorization"),
	acme.Problemf(acme.CAA, "its CAA record names another CA"), acme.Problemf(acme.DNS, "the name does not exist"), nil,
}

func identifiersJSON(names []string) string {
	ids := make([]identifier.Identifier, len(names))
	for i, n := range names {
		ids[i] = identifier.Identifier{Type: identifier.DNS, Value: n}
	}
	return toJSON(ids)
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("demo: " + err.Error()) // only plain values come here
	}
	return string(data)
}

package server

import (
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/crypto/ocsp"
	_ "modernc.org/sqlite"

	_ "github.com/jackc/pgx/v5/stdlib"

	"vidimus/integration/peer"
	"vidimus/internal/config"
	"vidimus/internal/store"
)

// openRecords opens the server's database, beside the server.
func openRecords(t *testing.T, v *peer.Vidimusd) *sql.DB {
	t.Helper()
	c, err := config.Read(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	driver, name := "sqlite", "file:"+c.Database+"?_pragma=busy_timeout(10000)"
	if store.IsURL(c.Database) {
		driver, name = "pgx", c.Database
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// inOrder checks what holds at every moment, also while the server works: an order is
// valid when its certificate is signed and on record, processing when it is on record
// and not signed, and otherwise has none.
func inOrder(t *testing.T, db *sql.DB) {
	t.Helper()
	var wrong string
	err := db.QueryRowContext(t.Context(), `SELECT o.id || ' ' || o.status || ' ' || COALESCE(c.serial, 'without a certificate') || CASE WHEN c.der IS NULL THEN ', not signed' ELSE '' END
		FROM acme_order o LEFT JOIN certificate c ON c.order_id = o.id
		WHERE (o.status = 'valid') <> (c.der IS NOT NULL) OR (o.status = 'processing') <> (c.serial IS NOT NULL AND c.der IS NULL)
			OR COALESCE(o.serial, '') <> COALESCE(c.serial, '') LIMIT 1`).Scan(&wrong)
	if err != sql.ErrNoRows {
		t.Fatalf("the records contradict one another: order %s (%v)", wrong, err)
	}
}

// nothingUnfinished waits until whoever takes over has finished what was cut short.
func nothingUnfinished(t *testing.T, db *sql.DB) {
	t.Helper()
	var left int
	peer.Eventually(t, "no issuance and no validation is unfinished", func() bool {
		if err := db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM certificate WHERE der IS NULL) +
			(SELECT COUNT(*) FROM authz WHERE started_at > 0) + (SELECT COUNT(*) FROM acme_order WHERE status = 'processing')`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
}

// issued are the certificates on record that orders were for, each of which has the
// number that was recorded before it was signed, by the CA.
func issued(t *testing.T, db *sql.DB, ca *x509.Certificate) map[string]*x509.Certificate {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT serial, COALESCE(order_id, 0), der FROM certificate`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[string]*x509.Certificate)
	for rows.Next() {
		var serial string
		var order int64
		var der []byte
		if err := rows.Scan(&serial, &order, &der); err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", serial, err)
		}
		if fmt.Sprintf("%x", c.SerialNumber) != serial {
			t.Errorf("%s is another certificate than was recorded before it was signed", serial)
		}
		if err := c.CheckSignatureFrom(ca); err != nil && order != 0 {
			t.Errorf("%s: %v", serial, err)
		}
		if order != 0 {
			all[serial] = c
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// complete checks at the end of a load that what the customers have, what is on record
// and what the audit log tells are the same, and that CRL and OCSP say of each
// certificate what its customer knows. Nobody may have asked for others.
func complete(t *testing.T, v *peer.Vidimusd, db *sql.DB, customers []*customer) (certificates, revocations int) {
	t.Helper()
	for _, c := range customers {
		c.settle(t)
	}
	nothingUnfinished(t, db)
	inOrder(t, db)
	peer.Must(t, exec.Command(peer.Build(t, "vidimusd"), "audit", "verify", "--config", v.Config)) // which seals the rest
	log := tally(t, v)
	crls := make(lists)
	var record map[string]*x509.Certificate
	for _, c := range customers {
		for _, f := range c.faults {
			t.Error(f)
		}
		for _, p := range c.bought(func(p *purchase) bool { return p.chain != nil }) {
			if record == nil {
				record = issued(t, db, p.chain[1])
			}
			serial := fmt.Sprintf("%x", p.chain[0].SerialNumber)
			onRecord := record[serial]
			delete(record, serial)
			if onRecord == nil || !onRecord.Equal(p.chain[0]) {
				t.Errorf("%s was given out; on record it is another, is missing, or was given out for another order too", serial)
			}
			if err := c.download(t.Context(), p); err != nil {
				t.Errorf("%s can't be downloaded: %v", serial, err)
			}
			sum := sha256.Sum256(p.chain[0].Raw)
			if e := log[serial]; e.intended != 1 || e.issued != 1 || e.sha256 != hex.EncodeToString(sum[:]) || e.revoked == 1 != p.revoked || e.revoked > 1 {
				t.Errorf("%s, revoked: %v, is in the audit log as %+v", serial, p.revoked, e)
			}
			want := ocsp.Good
			if p.revoked {
				want = ocsp.Revoked
				revocations++
			}
			if status := ocspStatus(t, p.chain); status != want || crls.name(t, p.chain) != p.revoked {
				t.Errorf("%s, revoked: %v, has by OCSP the status %d, and is in the CRL: %v", serial, p.revoked, status, crls.name(t, p.chain))
			}
			certificates++
		}
	}
	for serial := range record {
		t.Errorf("%s is on record, and no customer has it", serial)
	}
	return certificates, revocations
}

// history is what the audit log tells of a certificate.
type history struct {
	intended, issued, revoked int
	sha256                    string
}

func tally(t *testing.T, v *peer.Vidimusd) map[string]history {
	t.Helper()
	all := make(map[string]history)
	for _, e := range events(t, v, "--action", `certificate\..*`) {
		h := all[e.Object]
		switch e.Action {
		case "certificate.intended":
			h.intended++
		case "certificate.issued":
			h.issued++
			h.sha256 = e.Detail.SHA256
		case "certificate.revoked":
			h.revoked++
		}
		all[e.Object] = h
	}
	return all
}

// lists are CRLs by URL, with the serial numbers in them.
type lists map[string]map[string]bool

// name tells whether the CRL of a certificate names it; each is fetched once.
func (l lists) name(t *testing.T, chain []*x509.Certificate) bool {
	t.Helper()
	url := chain[0].CRLDistributionPoints[0]
	if l[url] == nil {
		_, der := get(t, url)
		list, err := parseCRL(der, chain[1])
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		l[url] = list
	}
	return l[url][fmt.Sprintf("%x", chain[0].SerialNumber)]
}

// parseCRL checks a CRL's signature and lists the serial numbers in it.
func parseCRL(der []byte, ca *x509.Certificate) (map[string]bool, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if err := crl.CheckSignatureFrom(ca); err != nil {
		return nil, err
	}
	list := make(map[string]bool)
	for _, e := range crl.RevokedCertificateEntries {
		list[fmt.Sprintf("%x", e.SerialNumber)] = true
	}
	return list, nil
}

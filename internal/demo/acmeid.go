package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/store"
)

// accountKey is what is on record of the key of an ACME account.
type accountKey struct{ jwk, thumbprint string }

func newAccountKey() (accountKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return accountKey{}, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return accountKey{}, err
	}
	base64url := base64.RawURLEncoding.EncodeToString
	jwk := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, base64url(point[1:33]), base64url(point[33:]))
	sum := sha256.Sum256([]byte(jwk)) // RFC 7638
	return accountKey{jwk, base64url(sum[:])}, nil
}

// waiting tells whether the credentials of an ACME-ID have not been used yet.
func waiting(acmeID int) bool { return acmeID%10 == 9 }

// covered tells whether a host is in the set of an ACME-ID: a few are not.
func covered(host int) bool {
	return host%hostsPerACMEID != hostsPerACMEID-1 || host/hostsPerACMEID%4 != 1
}

// names are those in the set of an ACME-ID, the first of which it bears.
func (m *maker) names(acmeID int) []string {
	var all []string
	for h := acmeID * hostsPerACMEID; h < min(m.Hosts, (acmeID+1)*hostsPerACMEID); h++ {
		if covered(h) {
			all = append(all, m.fqdn(h))
		}
	}
	return all
}

// address is where the client of an ACME-ID asks from.
func address(acmeID int) string {
	return netip.AddrFrom4([4]byte{10, byte(acmeID >> 14), byte(acmeID >> 6), byte(acmeID&63 + 10)}).String()
}

// actor is the client of an ACME-ID in the audit log.
func (m *maker) actor(acmeID int, request string) []byte {
	return fmt.Appendf(nil, `{"account":%d,"acme_id":"%s","address":"%s","request":"%s"}`,
		m.account+int64(acmeID), m.fqdn(acmeID*hostsPerACMEID), address(acmeID), request)
}

func (m *maker) addACMEIDs(ctx context.Context) error {
	n := m.acmeIDs()
	m.acmeID, m.account = m.into.Numbers("acme_id", n), m.into.Numbers("account", n)
	if err := m.addClients(ctx); err != nil {
		return err
	}
	return m.inBatches(ctx, "ACME-IDs", n, func(from, to int) []store.Rows {
		ids := store.Rows{Table: "acme_id", Columns: []string{"id", "fqdn", "created_at", "kid", "hmac_key", "credentials_at"}}
		sets := store.Rows{Table: "acme_id_name", Columns: []string{"acme_id", "name", "fqdn"}}
		accounts := store.Rows{Table: "account", Columns: []string{"id", "directory", "thumbprint", "jwk", "status", "contact", "acme_id", "bound",
			"created_at", "user_agent", "address"}}
		var events []audit.Row
		for i := from; i < to; i++ {
			id, at, fqdn := m.acmeID+int64(i), m.before(7*n+i, 8*n), m.fqdn(i*hostsPerACMEID)
			var hmac any
			if waiting(i) {
				key := make([]byte, 32)
				rand.Read(key)
				hmac = key
			}
			ids.Rows = append(ids.Rows, []any{id, fqdn, at.UnixMilli(), fmt.Sprintf("demo-%d", id), hmac, at.UnixMilli()})
			for _, name := range m.names(i) {
				sets.Rows = append(sets.Rows, []any{id, name, name})
			}
			events = append(events, event(at, fmt.Appendf(nil, `{"person":"%s"}`, login(m.owner(i*hostsPerACMEID))), audit.ACMEIDCreated, fqdn, "{}"))
			if waiting(i) {
				continue
			}
			key, err := newAccountKey()
			if err != nil {
				panic(err) // there is no randomness
			}
			at = at.Add(time.Second)
			accounts.Rows = append(accounts.Rows, []any{m.account + int64(i), m.Directory, key.thumbprint, key.jwk, "valid", "[]", id, true,
				at.UnixMilli(), m.userAgent(i, 0), address(i)})
			events = append(events, event(at, m.actor(i, "demo"), audit.CredentialsUsed, fqdn, fmt.Sprintf(`{"account":%d}`, m.account+int64(i))))
		}
		return []store.Rows{ids, sets, accounts, m.into.Events(events)}
	})
}

// clients are what asks for certificates: User-Agent by User-Agent, oldest first, and how
// many of a hundred ACME-IDs use it.
var clients = []struct {
	share    int
	versions []string
}{
	{38, []string{"CertbotACMEClient/2.9.0 (certbot; Debian GNU/Linux 12) Authenticator/standalone", "CertbotACMEClient/4.0.0 (certbot; Debian GNU/Linux 13) Authenticator/webroot",
		"CertbotACMEClient/5.6.0 (certbot; Debian GNU/Linux 13) Authenticator/nginx"}},
	{16, []string{"vidimus/0.3.0", "vidimus/0.4.0"}},
	{12, []string{"acme.sh/3.0.7 (https://github.com/acmesh-official/acme.sh)", "acme.sh/3.1.1 (https://github.com/acmesh-official/acme.sh)"}},
	{9, []string{"Caddy/2.8.4 CertMagic acmez (linux; amd64)", "Caddy/2.10.0 CertMagic acmez (linux; amd64)"}},
	{7, []string{"win-acme/2.2.9 (+https://github.com/win-acme/win-acme)"}},
	{6, []string{"lego-cli/4.22.2 xenolf-acme/4.22.2 (release; linux; amd64)", "lego-cli/4.35.2 xenolf-acme/4.35.2 (release; linux; amd64)"}},
	{5, []string{"cert-manager/v1.17.1 (linux/amd64)"}},
	{3, []string{"containous-traefik/3.4.0 xenolf-acme/4.35.2 (release; linux; amd64)"}},
	{2, []string{"dehydrated/0.7.1 curl/7.88.1", "dehydrated/0.7.2 curl/8.14.1"}},
	{1, []string{"Apache/2.4.65 mod_md/2.5.0"}},
	{1, []string{"uacme/1.7.6 (https://github.com/ndilieto/uacme)"}},
}

// client is which of the clients an ACME-ID uses when so much of the time has gone by (0
// to 1): its place among all User-Agents.
func client(acmeID int, gone float64) int {
	part, first := acmeID*37%100, 0
	for _, c := range clients {
		if part -= c.share; part < 0 {
			n := float64(len(c.versions))
			late := float64(acmeID%7) / 10 // some are slow to update
			return first + max(0, min(len(c.versions)-1, int(n*(gone*1.3-late))))
		}
		first += len(c.versions)
	}
	return 0
}

// userAgents are all User-Agents, in the order of clients.
func userAgents() (all []string) {
	for _, c := range clients {
		all = append(all, c.versions...)
	}
	return all
}

func (m *maker) userAgent(acmeID int, gone float64) string { return userAgents()[client(acmeID, gone)] }

func (m *maker) addClients(ctx context.Context) error {
	all := userAgents()
	m.clients = m.into.Numbers("client", len(all))
	rows := store.Rows{Table: "client", Columns: []string{"id", "user_agent"}}
	for i, ua := range all {
		rows.Rows = append(rows.Rows, []any{m.clients + int64(i), ua})
	}
	return m.into.Add(ctx, rows)
}

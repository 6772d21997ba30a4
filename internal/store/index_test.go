package store

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
)

// What an issuance, a revocation and an operator's selection ask must not take longer
// when there is more on record.
func TestNoQueryReadsAWholeTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	openAt(t, path).Close() // the migrations are over
	s := openAt(t, path)
	everything(t, s)
	asked := 0
	for _, db := range []*sql.DB{s.read, s.write} {
		for _, query := range textsOf(t, db) {
			plan, ok := planOf(t, s.write, query)
			if !ok {
				continue
			}
			asked++
			for line := range strings.Lines(plan) {
				if strings.HasPrefix(line, "SCAN") && !slices.ContainsFunc(readable, func(s string) bool { return strings.Contains(line, s) }) {
					t.Errorf("%s\n%s", query, plan)
				}
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d queries were looked at", asked)
	}
}

// readable is what may be read through: what is unfinished is in indexes of its own, some is
// in no table, and of suspensions it is asked whether there is a first one.
var readable = []string{"certificate_unfinished", "audit_unsealed", "authz_started", "SCAN suspension USING COVERING INDEX", "SCAN source\n", " VALUES CLAUSE", " CONSTANT ROW", "SCAN v\n"}

// everything does all that is done while the server runs.
func everything(t *testing.T, s *Store) {
	t.Helper()
	ctx, later := t.Context(), day.Add(time.Hour)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o, z := newTestOrder(t, s, acme.Pending)
	must(s.StartChallenge(ctx, z.Challenges[0].ID))
	_, err := s.TakeOver(ctx, 0, 10)
	must(err)
	_, err = s.ProcessingAfter(ctx, 0, 10)
	must(err)
	must(s.FinishChallenge(ctx, z.Challenges[0], nil, day, later))
	reused, err := s.ReusableAuthzs(ctx, o.Account, []string{z.Identifier.Value}, day)
	must(err)
	second := Order{Account: o.Account, Status: acme.Ready, Identifiers: o.Identifiers, Created: day, Expires: later}
	must(s.NewOrder(ctx, &second, []*Authz{&reused[0]}))
	for i, of := range []Order{o, second} {
		serial, predecessor := []string{"4a", "4b"}[i], []string{"", "4a"}[i]
		must(s.BeginIssuance(ctx, testCertificate(serial, of), predecessor))
		must(s.FinishIssuance(ctx, serial, []byte("der"), day))
		_, err = s.Certificate(ctx, serial)
		must(err)
	}
	selectable(t, s)
	for _, sel := range []Selection{{Serials: []string{"4a"}}, {Names: []string{"www.example.org"}}, {Keys: [][]byte{[]byte("spki")}},
		{Accounts: []int64{o.Account}}, {ACMEIDs: []string{"www.example.org"}}} {
		sel.Now = day
		_, err = s.Selected(ctx, sel, "", 10)
		must(err)
		_, err = s.CountSelected(ctx, sel)
		must(err)
		must(s.Certificates(ctx, sel, func(Certificate) error { return nil }))
	}
	_, err = s.RevokeAll(ctx, []string{"4a", "4b"}, acme.KeyCompromise, day)
	must(err)
	_, err = s.CertificateStatus(ctx, "4a")
	must(err)
	_, err = s.Account(ctx, o.Account)
	must(err)
	must(s.EachHost(ctx, func(Host) error { return nil }))
	must(s.EachPerson(ctx, func(Person) error { return nil }))
	must(s.EachACMEID(ctx, func(ACMEID) error { return nil }))
	_, err = s.PastThumbprints(ctx, o.Account)
	must(err)
	_, err = s.AccountUse(ctx, o.Account, day)
	must(err)
	_, err = s.Accounts(ctx, AccountSelection{ACMEIDs: []string{"www.example.org"}}, 0, 10)
	must(err)
	_, err = s.NameOnRecord(ctx, "www.example.org")
	must(err)
	_, err = s.AccountByKey(ctx, "main", "other")
	if err != ErrNotFound {
		t.Fatal(err)
	}
	_, err = s.Order(ctx, o.ID)
	must(err)
	_, err = s.OrdersOf(ctx, o.Account, 0, 10)
	must(err)
	_, err = s.KeyBlocked(ctx, []byte("key"))
	must(err)
	_, err = s.RenewalWindow(ctx, "4a", day)
	if err != ErrNotFound {
		t.Fatal(err)
	}
	_, err = s.DueShards(ctx, "01", later, 10)
	must(err)
	_, err = s.Revocations(ctx, 1, day)
	must(err)
	_, err = s.ShardLives(ctx, 1, day)
	must(err)
	must(s.AddPerson(ctx, Person{Login: "ada", Created: day}))
	must(s.AddGroup(ctx, Group{Name: "web", Members: []string{"ada"}}))
	must(s.AddHost(ctx, "www.example.org", []Party{{Group: true, Name: "web"}}, day))
	must(s.AddACMEID(ctx, "www.example.org", []string{"www.example.org"}, Credentials{"kid", []byte("key")}, day))
	id, err := s.ACMEID(ctx, "www.example.org")
	must(err)
	_, err = s.Coverage(ctx, id.ID, []string{"www.example.org"})
	must(err)
	_, err = s.Relations(ctx, "www.example.org", []string{"www.example.org"})
	must(err)
	_, err = s.Responsible(ctx, 1, []string{"www.example.org"})
	must(err)
	_, err = s.SuspendedAmong(ctx, SuspendedName, []string{"www.example.org"})
	must(err)
	_, err = s.WildcardsAmong(ctx, []string{"example.org"})
	must(err)
	loggedIn(t, s)
	issuers := []string{"main", "other"}
	for _, f := range []CertificateFilter{{}, {Person: 1}, {Host: "www.example.org"}, {Person: 1, Host: "www.example.org"}, {Key: []byte("key")}, {ACMEID: "www.example.org"},
		{State: Revoked}, {State: Valid}, {State: Expired}, {Issuer: "main"}, {From: day, Before: later}} {
		f.Now, f.Issuers = day, issuers
		_, next, err := s.ListCertificates(ctx, f, "", 1)
		must(err)
		_, _, err = s.ListCertificates(ctx, f, next, 1)
		must(err)
	}
	_, err = s.CertificateStory(ctx, "4a")
	must(err)
	_, err = s.OtherwiseCovered(ctx, "4a", []string{"www.example.org"}, day)
	must(err)
	_, err = s.CertificateOfForm(ctx, []byte("form"))
	if err != ErrNotFound {
		t.Fatal(err)
	}
	portalPages(t, s, id.ID)
	sourcesAreRead(t, s)
	must(s.SealAudit(ctx))
	must(s.DeactivateAuthz(ctx, z.ID, acme.Valid, &acme.Problem{}))
	must(s.DeactivateAccount(ctx, o.Account, &acme.Problem{}))
}

// loggedIn does all that logging in does.
func loggedIn(t *testing.T, s *Store) {
	t.Helper()
	ctx, later := t.Context(), day.Add(time.Hour)
	ada, err := s.PersonAlone(ctx, "ada")
	x := Session{Token: []byte("token"), Person: ada, Created: day, Seen: day, Ends: later, Until: later}
	_, stale := s.StaleLogins(ctx, day, day)
	_, found := s.Session(ctx, x.Token, day)
	_, listed := s.Sessions(ctx, ada.ID, day)
	errs := []error{err, stale, listed, s.NewSession(ctx, &x), s.SeeSession(ctx, x.ID, later, later, later), s.EndSession(ctx, ada, x.ID), s.RemoveStaleLogins(ctx, day, day, 10)}
	_, secrets := s.Secrets(ctx, ada.ID)
	_, failures := s.FailuresOf(ctx, []string{"a", "b"})
	errs = append(errs, secrets, failures, s.SetPassword(ctx, ada, "hash", day, 0), s.RehashPassword(ctx, ada.ID, "hash", "other"),
		s.BeginTOTP(ctx, ada.ID, []byte("secret")), s.ConfirmTOTP(ctx, ada, []byte("secret"), 1, [][]byte{[]byte("code")}, day),
		s.UseTOTP(ctx, ada.ID, 2), s.UseRecoveryCode(ctx, ada, []byte("code")), s.RemoveTOTP(ctx, ada), s.RemovePassword(ctx, ada),
		s.BeginLogin(ctx, []byte("token"), "{}", later), s.EndLogin(ctx, []byte("token"), day),
		s.ChangeFailures(ctx, []string{"a"}, func([]Failures) bool { return true }))
	_, ended := s.EndSessions(ctx, ada, x.ID)
	if err := errors.Join(append(errs, ended)...); err != nil || found != ErrNotFound {
		t.Fatal(err, found)
	}
}

// portalPages does what pages for people ask.
func portalPages(t *testing.T, s *Store, acmeID int64) {
	t.Helper()
	ctx, names := t.Context(), []string{"www.example.org", "*.example.org"}
	_, err := s.Client(ctx, "client/1")
	for _, sel := range []HostSelection{{Limit: 50}, {Contains: "www", Limit: 50}, {Person: 1, Limit: 50}, {Person: 1, Contains: "www", Limit: 50}} {
		_, e := s.ListHosts(ctx, sel)
		_, e0 := s.ListACMEIDs(ctx, sel)
		err = errors.Join(err, e, e0)
	}
	_, e1 := s.ACMEIDsCovering(ctx, names)
	newest, e2 := s.Newest(ctx, names, []string{"staging"})
	_, e3 := s.CertificatesOf(ctx, names[0], 10)
	_, e4 := s.CertificatesOfACMEID(ctx, acmeID, 10)
	_, e5 := s.AuditOf(ctx, names[0], 10)
	_, e6 := s.AccountsOfACMEID(ctx, acmeID, 10)
	if err := errors.Join(err, e1, e2, e3, e4, e5, e6); err != nil {
		t.Fatal(err)
	}
	if len(newest) == 0 {
		t.Error("no certificate is the newest")
	}
}

// sourcesAreRead does all that is done when a source is read.
func sourcesAreRead(t *testing.T, s *Store) {
	t.Helper()
	ctx, later := t.Context(), day.Add(time.Hour)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.LeaseSource(ctx, "main", "me", 0, day, later)
	must(err)
	l := SourceLease{Source: "main", Holder: "me", Until: later, Now: day}
	for _, content := range []string{`{"people":["dan"],"groups":["web2"],"members":["eve"]}`, `{"people":["eve"],"members":["dan"],"name":"x"}`, ""} {
		for _, kind := range []string{KindPerson, KindGroup, KindHost} {
			e := SourceEntry{Key: "source.example.org", Content: []byte(content)}
			if content == "" {
				e.Content = nil
			}
			must(s.ApplySource(ctx, l, kind, []SourceEntry{e}))
		}
	}
	must(s.SettleSource(ctx, l, KindHost, []string{"source.example.org"}))
	_, err = s.RemoveUnnamed(ctx, l, 10)
	must(err)
	must(s.SourceEntries(ctx, "main", func(string, string, EntryHash) {}))
	_, err = s.SourceEntriesOf(ctx, "main", KindHost, []string{"a"})
	must(err)
	_, err = s.CountSourceEntries(ctx, "main")
	must(err)
	_, err = s.ContestedEntries(ctx, "main", KindHost, "", 10)
	must(err)
	_, err = s.Source(ctx, "main")
	must(err)
	must(s.AskForSource(ctx, "main", day))
	must(s.EndSource(ctx, "main", "me", SourceEnd{Began: day, Now: later, Held: &SourceChange{}, HeldHash: "x"}))
	must(s.ConfirmSource(ctx, "main", "x", day))
	_, err = s.LeaseSource(ctx, "main", "me", 0, later, later.Add(time.Hour))
	must(err)
	must(s.EndSource(ctx, "main", "me", SourceEnd{Began: day, Now: later, Full: true, Change: SourceChange{KindHost: {Added: 1}}}))
	must(s.ForgetSource(ctx, "main"))
}

// textsOf are the statements that a connection of the pool has prepared.
func textsOf(t *testing.T, db *sql.DB) (all []string) {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Raw(func(conn any) error {
		for text := range conn.(*preparedConn).idle {
			all = append(all, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// planOf is how SQLite means to run a statement; false for one that has no plan.
func planOf(t *testing.T, db *sql.DB, query string) (string, bool) {
	t.Helper()
	switch first, _, _ := strings.Cut(query, " "); first {
	case "SELECT", "UPDATE", "DELETE", "INSERT":
	default:
		return "", false
	}
	if strings.Contains(query, "goose_db_version") || strings.HasPrefix(query, "INSERT") && !strings.Contains(query, "SELECT") { // whose plan has removals
		return "", false
	}
	args := make([]any, 1000) // more than there are is no error
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	return plan.String(), true
}

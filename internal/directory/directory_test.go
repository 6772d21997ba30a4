package directory_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
	"vidimus/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func open(t *testing.T) *directory.Directory {
	t.Helper()
	return openAt(t, storetest.Path(t))
}

func openAt(t *testing.T, database string) *directory.Directory {
	t.Helper()
	s, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &directory.Directory{Store: s}
}

func addHosts(t *testing.T, d *directory.Directory, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := d.AddHost(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// register makes the account that would come of a registration with the credentials.
func register(t *testing.T, d *directory.Directory, kid, thumbprint string) store.Account {
	t.Helper()
	aid, err := d.Binding(t.Context(), kid)
	if err != nil {
		t.Fatal(err)
	}
	a := &store.Account{Directory: "main", Thumbprint: thumbprint, JWK: []byte("{}"), Status: acme.Valid, ACMEID: aid.ID, Created: time.Now()}
	if err := d.Store.NewBoundAccount(t.Context(), a, kid); err != nil {
		t.Fatal(err)
	}
	return account(t, d, a.ID)
}

func account(t *testing.T, d *directory.Directory, id int64) store.Account {
	t.Helper()
	a, err := d.Store.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func refused(t *testing.T, d *directory.Directory, a store.Account, names ...string) []string {
	t.Helper()
	var ids []identifier.Identifier
	for _, n := range names {
		id, err := identifier.Parse(n)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	dec, err := d.MayHave(t.Context(), a, ids)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range dec.Refused {
		out = append(out, r.Identifier.Value)
	}
	return out
}

func TestABoundAccountMayHaveTheNamesOfItsACMEIDOnly(t *testing.T) {
	d := open(t)
	addHosts(t, d, "www.example.org", "mail.example.org", "other.example.org")
	_, c, err := d.AddACMEID(t.Context(), directory.Team, "WWW.example.org", []string{"www.example.org", "mail.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	a := register(t, d, c.KID, "k1")
	got := refused(t, d, a, "www.example.org", "mail.example.org", "other.example.org", "*.example.org", "192.0.2.1")
	if want := []string{"other.example.org", "*.example.org", "192.0.2.1"}; !slices.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
	// A host that leaves the host database leaves the set.
	if err := d.RemoveHost(t.Context(), "mail.example.org"); err != nil {
		t.Fatal(err)
	}
	if got := refused(t, d, a, "mail.example.org"); len(got) != 1 {
		t.Error("a removed host is still granted")
	}
	if why := directory.Usable(account(t, d, a.ID)); why != "" {
		t.Errorf("the account stopped with a host that it isn't named for: %s", why)
	}
}

func TestRemovingTheNamingHostStopsTheACMEIDForEver(t *testing.T) {
	d := open(t)
	addHosts(t, d, "www.example.org", "mail.example.org")
	_, c, err := d.AddACMEID(t.Context(), directory.Team, "www.example.org", []string{"mail.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	a := register(t, d, c.KID, "k1")
	_, fresh, err := d.NewCredentials(t.Context(), directory.Team, "www.example.org", store.ReplaceAccounts)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveHost(t.Context(), "www.example.org"); err != nil {
		t.Fatal(err)
	}
	addHosts(t, d, "www.example.org") // comes back, perhaps as somebody else's

	if why := directory.Usable(account(t, d, a.ID)); !strings.Contains(why, "www.example.org") {
		t.Errorf("the account is usable, or it isn't said why not: %q", why)
	}
	if got := refused(t, d, a, "mail.example.org"); len(got) != 1 {
		t.Error("a name of an invalid ACME-ID is granted")
	}
	if _, err := d.Binding(t.Context(), fresh.KID); !errors.Is(err, directory.ErrInvalidACMEID) {
		t.Errorf("its credentials: %v, want ErrInvalidACMEID", err)
	}
	if _, _, err := d.AddACMEID(t.Context(), directory.Team, "www.example.org", nil); err != nil {
		t.Errorf("a new ACME-ID for the returned host: %v", err)
	}
}

func TestCredentialsAreGoodForOneRegistration(t *testing.T) {
	d := open(t)
	addHosts(t, d, "www.example.org")
	_, c, err := d.AddACMEID(t.Context(), directory.Team, "www.example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	first := register(t, d, c.KID, "k1")
	if _, err := d.Binding(t.Context(), c.KID); !errors.Is(err, directory.ErrUsedCredentials) {
		t.Errorf("after use: %v, want ErrUsedCredentials", err)
	}
	second := &store.Account{Directory: "main", Thumbprint: "k2", JWK: []byte("{}"), Status: acme.Valid, ACMEID: first.ACMEID, Created: time.Now()}
	if err := d.Store.NewBoundAccount(t.Context(), second, c.KID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second registration: %v, want ErrNotFound", err)
	}
	if _, err := d.Binding(t.Context(), "nobody's"); !errors.Is(err, directory.ErrUnknownCredentials) {
		t.Errorf("unknown key ID: %v", err)
	}

	// New credentials: the old account works until the new one is there.
	_, c2, err := d.NewCredentials(t.Context(), directory.Team, "www.example.org", store.ReplaceAccounts)
	if err != nil {
		t.Fatal(err)
	}
	if got := account(t, d, first.ID).Status; got != acme.Valid {
		t.Errorf("old account is %s before the new one registers", got)
	}
	third := register(t, d, c2.KID, "k3")
	if got := account(t, d, first.ID).Status; got != acme.Revoked {
		t.Errorf("old account is %s after the new one registered", got)
	}
	// Or it stays beside the new one.
	_, c3, err := d.NewCredentials(t.Context(), directory.Team, "www.example.org", store.KeepAccounts)
	if err != nil {
		t.Fatal(err)
	}
	fourth := register(t, d, c3.KID, "k4")
	for _, a := range []store.Account{third, fourth} {
		if got := account(t, d, a.ID).Status; got != acme.Valid {
			t.Errorf("account %d is %s, though it was to stay", a.ID, got)
		}
	}
	// Or it stops at once.
	if _, _, err := d.NewCredentials(t.Context(), directory.Team, "www.example.org", store.StopAccounts); err != nil {
		t.Fatal(err)
	}
	if got := account(t, d, third.ID).Status; got != acme.Revoked {
		t.Errorf("account is %s after new credentials with stop", got)
	}
}

func TestWhatIsNotThereIsSaidInOneSentence(t *testing.T) {
	d := open(t)
	ctx := context.Background()
	addHosts(t, d, "www.example.org")
	if _, _, err := d.AddACMEID(ctx, directory.Team, "www.example.org", nil); err != nil {
		t.Fatal(err)
	}
	_, errTwice := d.AddHost(ctx, "www.example.org", nil)
	_, errPerson := d.AddHost(ctx, "a.example.org", directory.People([]string{"nobody"}))
	_, errWild := d.AddHost(ctx, "*.example.org", nil)
	_, _, errID := d.AddACMEID(ctx, directory.Team, "www.example.org", nil)
	_, _, errNoHost := d.AddACMEID(ctx, directory.Team, "b.example.org", nil)
	_, _, errSet := d.AddACMEID(ctx, directory.Team, "www.example.org", []string{"c.example.org"})
	_, _, errNew := d.NewCredentials(ctx, directory.Team, "b.example.org", store.ReplaceAccounts)
	_, errNames := d.ChangeNames(ctx, directory.Team, "www.example.org", 0, nil, []string{"d.example.org"})
	_, errStranger := d.ChangeParties(ctx, "www.example.org", nil, directory.People([]string{"nobody"}), false)
	_, errNewPerson := d.ChangeParties(ctx, "www.example.org", directory.People([]string{"eve"}), nil, false)
	_, errPeople := d.ChangeParties(ctx, "g.example.org", directory.People([]string{"nobody"}), nil, false)
	for want, err := range map[string]error{
		"nobody is not responsible for host www.example.org":          errStranger,
		"admin person add eve":                                        errNewPerson,
		"there is no host g.example.org":                              errPeople,
		"host www.example.org exists already":                         errTwice,
		"admin person add nobody":                                     errPerson,
		"is a wildcard":                                               errWild,
		"admin acme-id new-credentials www.example.org":               errID,
		"admin host add b.example.org":                                errNoHost,
		"admin host add c.example.org":                                errSet,
		"there is no ACME-ID b.example.org":                           errNew,
		"d.example.org is not among the names of ACME-ID www.example": errNames,
		"there is no host e.example.org":                              d.RemoveHost(ctx, "e.example.org"),
		"there is no ACME-ID f.example.org":                           d.RemoveACMEID(ctx, directory.Team, "f.example.org"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	// Nothing of a failed command stays.
	hosts, err := d.Store.Hosts(ctx)
	if err != nil || len(hosts) != 1 {
		t.Errorf("hosts are %v, %v", hosts, err)
	}
}

func TestOpenAccountsNeedChallenges(t *testing.T) {
	d := open(t)
	a := store.Account{Directory: "main-open", Status: acme.Valid}
	dec, err := d.MayHave(t.Context(), a, []identifier.Identifier{{Type: identifier.DNS, Value: "a.example.org"}})
	if err != nil || dec.Preauthorised || len(dec.Refused) != 0 {
		t.Errorf("got %+v, %v", dec, err)
	}
}

// The account may have been read before its ACME-ID ended.
func TestARefusalTellsThatTheACMEIDHasEnded(t *testing.T) {
	d := open(t)
	addHosts(t, d, "www.example.org")
	_, c, err := d.AddACMEID(t.Context(), directory.Team, "www.example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := register(t, d, c.KID, "k1")
	if err := d.RemoveHost(t.Context(), "www.example.org"); err != nil {
		t.Fatal(err)
	}
	dec, err := d.MayHave(t.Context(), a, []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}})
	if err != nil || len(dec.Refused) != 1 || !strings.Contains(dec.Refused[0].Reason, "has been invalid since") {
		t.Errorf("got %+v, %v", dec, err)
	}
}

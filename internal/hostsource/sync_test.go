package hostsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// told is a source that says what a test has it say.
type told struct {
	hosts  []Host
	people []Person
	groups []Group
	err    error
	delta  bool
}

func (s *told) Deltas() bool { return s.delta }

func (s *told) Read(_ context.Context, _ string, to Sink) (Reading, error) {
	for _, h := range s.hosts {
		if err := to.Host(h); err != nil {
			return Reading{}, err
		}
	}
	for _, p := range s.people {
		if err := to.Person(p); err != nil {
			return Reading{}, err
		}
	}
	for _, g := range s.groups {
		if err := to.Group(g); err != nil {
			return Reading{}, err
		}
	}
	return Reading{Mark: "mark"}, s.err
}

// organisation is a store with sources.
type organisation struct {
	*testing.T
	db      *store.Store
	now     time.Time
	syncer  *Syncer
	sources map[string]*told
	configs map[string]*config.Source
}

func onBoth(t *testing.T, test func(*organisation)) {
	run := func(t *testing.T, database string) {
		t.Helper()
		db, err := store.Open(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		o := &organisation{T: t, db: db, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), sources: map[string]*told{}, configs: map[string]*config.Source{}}
		o.syncer = &Syncer{Store: db, Now: func() time.Time { return o.now }, Open: func(c *config.Source) (Reader, error) { return o.sources[c.Name], nil }}
		test(o)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, postgrestest.URL(t)) })
}

func (o *organisation) source(name string, priority int) *told {
	loss := config.DefaultMaxLoss
	o.configs[name] = &config.Source{Name: name, Priority: priority, MaxLoss: &loss, Timeout: config.Duration(time.Minute), Every: config.Duration(time.Minute)}
	o.sources[name] = new(told)
	return o.sources[name]
}

func (o *organisation) sync(name string) Report {
	o.Helper()
	o.now = o.now.Add(time.Second)
	r, err := o.syncer.Sync(o.Context(), o.configs[name], false)
	if err != nil {
		o.Fatal(err)
	}
	return r
}

// want compares hosts with "FQDN: people; groups (source)".
func (o *organisation) want(lines ...string) {
	o.Helper()
	all, err := o.db.Hosts(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	got := []string{}
	for _, h := range all {
		x, err := o.db.Host(o.Context(), h.FQDN)
		if err != nil {
			o.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s: %s; %s (%s)", h.FQDN, strings.Join(x.People, " "), strings.Join(x.Groups, " "), h.Source))
	}
	if !slices.Equal(got, lines) {
		o.Errorf("hosts are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func (o *organisation) wantPeople(logins ...string) {
	o.Helper()
	all, err := o.db.People(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	got := []string{}
	for _, p := range all {
		got = append(got, p.Login)
	}
	if !slices.Equal(got, logins) {
		o.Errorf("people are %q, want %q", got, logins)
	}
}

func (o *organisation) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

func (o *organisation) actions() (all []string) {
	o.Helper()
	o.must(o.db.SealAudit(o.Context()))
	rows, err := o.db.AuditRows(o.Context(), 0, 1000)
	o.must(err)
	for _, r := range rows {
		all = append(all, fmt.Sprintf("%s %s", r.Action, r.Object))
		if !strings.Contains(string(r.Actor), `"source":`) {
			o.Errorf("%s %s is by %s; want the source", r.Action, r.Object, r.Actor)
		}
	}
	return all
}

func TestSyncMakesWhatASourceSays(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		s.people = []Person{{"ada", "Ada Archer", "ada@example.org"}, {"bob", "Bob", ""}}
		s.groups = []Group{{"web", "Webmasters", []string{"bob", "eve"}}}
		s.hosts = []Host{{FQDN: "WWW.example.org.", People: []string{"ada"}, Groups: []string{"web"}, Details: map[string]string{"unit": "Library"}},
			{FQDN: "mail.example.org", People: []string{"dan", "ada"}}, {FQDN: "nobody.example.org"},
			{FQDN: "-bad-.example.org"}, {FQDN: "*.example.org"}, {FQDN: "www.example.org"}, {FQDN: "x.example.org", People: []string{"a\nb"}}}
		r := o.sync("main")
		if r.Skips != 4 || r.Changes[store.KindHost].Added != 3 || r.Held {
			t.Errorf("%+v", r)
		}
		o.want("mail.example.org: ada dan;  (main)", "nobody.example.org: ;  (main)", "www.example.org: ada; web (main)")
		o.wantPeople("ada", "bob", "dan", "eve")
		g, err := o.db.Group(o.Context(), "web")
		o.must(err)
		if g.Title != "Webmasters" || !slices.Equal(g.Members, []string{"bob", "eve"}) {
			t.Errorf("%+v", g)
		}
		h, err := o.db.Host(o.Context(), "www.example.org")
		o.must(err)
		if h.Details["unit"] != "Library" || h.Team {
			t.Errorf("%+v", h)
		}
		if p, err := o.db.Person(o.Context(), "ada"); err != nil || p.Email != "ada@example.org" || p.Source != "main" {
			t.Errorf("%+v, %v", p, err)
		}
		before := o.actions()
		if again := o.sync("main"); !again.Changes.Nothing() || len(o.actions()) != len(before) {
			t.Errorf("the same again changes %+v, and puts %d events on record", again, len(o.actions())-len(before))
		}
	})
}

func TestHostsAreRemovedRenamedAndPassedOn(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		s.people = []Person{{"ada", "Ada", ""}}
		s.hosts = []Host{{FQDN: "a.example.org", People: []string{"ada"}}, {FQDN: "b.example.org", People: []string{"ada", "bob"}}, {FQDN: "c.example.org", Groups: []string{"web"}}}
		s.groups = []Group{{"web", "", []string{"dan"}}}
		o.sync("main")
		o.must(o.db.AddACMEID(o.Context(), "a.example.org", []string{"a.example.org", "b.example.org"}, store.Credentials{KID: "a"}, o.now))
		o.must(o.db.AddACMEID(o.Context(), "b.example.org", []string{"a.example.org", "b.example.org"}, store.Credentials{KID: "b"}, o.now))
		s.hosts = []Host{{FQDN: "new.example.org", People: []string{"ada"}}, {FQDN: "b.example.org", People: []string{"eve"}}, {FQDN: "c.example.org"}}
		s.groups = nil
		r := o.sync("main")
		if n := r.Changes[store.KindHost]; n.Added != 1 || n.Changed != 2 || n.Emptied != 1 || n.Removed != 1 {
			t.Errorf("%+v", n)
		}
		o.want("b.example.org: eve;  (main)", "c.example.org: ;  (main)", "new.example.org: ada;  (main)")
		o.wantPeople("ada", "eve") // bob and dan are named nowhere any more
		if a, err := o.db.ACMEID(o.Context(), "a.example.org"); err != nil || a.Invalid.IsZero() {
			t.Errorf("the ACME-ID of a host that is gone: %+v, %v", a, err)
		}
		if b, err := o.db.ACMEID(o.Context(), "b.example.org"); err != nil || !slices.Equal(b.Names, []string{"b.example.org"}) {
			t.Errorf("the other ACME-ID: %+v, %v", b, err)
		}
		if _, err := o.db.Group(o.Context(), "web"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the group that nothing names: %v", err)
		}
	})
}

func TestTheHigherPriorityDecides(t *testing.T) {
	onBoth(t, func(o *organisation) {
		low, high := o.source("low", 1), o.source("high", 2)
		low.hosts = []Host{{FQDN: "a.example.org", People: []string{"ada"}}, {FQDN: "b.example.org", People: []string{"ada"}}, {FQDN: "hand.example.org", People: []string{"ada"}}}
		high.hosts = []Host{{FQDN: "a.example.org", People: []string{"bob"}}}
		o.must(o.db.AddHost(o.Context(), "hand.example.org", nil, o.now))
		o.sync("low")
		o.sync("high")
		o.want("a.example.org: bob;  (high)", "b.example.org: ada;  (low)", "hand.example.org: ;  ()")
		high.hosts[0].FQDN = "other.example.org"
		o.sync("high")
		o.want("a.example.org: ada;  (low)", "b.example.org: ada;  (low)", "hand.example.org: ;  ()", "other.example.org: bob;  (high)")
		high.hosts = append(high.hosts, Host{FQDN: "b.example.org", People: []string{"eve"}})
		o.sync("high")
		o.configs["low"].Priority = 3
		o.sync("low")
		o.want("a.example.org: ada;  (low)", "b.example.org: ada;  (low)", "hand.example.org: ;  ()", "other.example.org: bob;  (high)")
		// What was entered by hand gives way when it is taken out by hand.
		o.must(o.db.RemoveHost(o.Context(), "hand.example.org", o.now))
		o.want("a.example.org: ada;  (low)", "b.example.org: ada;  (low)", "hand.example.org: ada;  (low)", "other.example.org: bob;  (high)")
	})
}

func many(n int, people ...string) (all []Host) {
	for i := range n {
		all = append(all, Host{FQDN: fmt.Sprintf("h%03d.example.org", i), People: people})
	}
	return all
}

func TestASourceThatLosesMuchWaitsForAnOperator(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		s.hosts = many(300, "ada")
		o.sync("main")
		count := func(want int) {
			t.Helper()
			if all, err := o.db.Hosts(o.Context()); err != nil || len(all) != want {
				t.Fatalf("%d hosts, %v; want %d", len(all), err, want)
			}
		}
		s.hosts = many(270, "ada") // 10 % is not more
		if r := o.sync("main"); r.Held {
			t.Errorf("%+v", r)
		}
		s.hosts = append(many(100, "ada"), Host{FQDN: "new.example.org"})
		r := o.sync("main")
		if !r.Held || r.ID == "" || r.Changes[store.KindHost].Removed != 170 {
			t.Fatalf("%+v", r)
		}
		count(270)
		if err := o.db.ConfirmSource(o.Context(), "main", "other", o.now); !errors.Is(err, store.ErrConflict) {
			t.Errorf("another loss is confirmed: %v", err)
		}
		o.must(o.db.ConfirmSource(o.Context(), "main", r.ID, o.now))
		s.hosts = s.hosts[1:] // it loses one more meanwhile, which nobody has confirmed
		again := o.sync("main")
		if !again.Held || again.ID == r.ID {
			t.Fatalf("%+v", again)
		}
		count(270)
		if x, err := o.db.Source(o.Context(), "main"); err != nil || x.HeldHash != again.ID || x.Held == nil {
			t.Errorf("%+v, %v", x, err)
		}
		o.must(o.db.ConfirmSource(o.Context(), "main", again.ID, o.now))
		if r := o.sync("main"); r.Held {
			t.Fatalf("%+v", r)
		}
		count(100)
		if x, err := o.db.Source(o.Context(), "main"); err != nil || x.Held != nil || x.Hosts != 100 {
			t.Errorf("%+v, %v", x, err)
		}
		// That nobody is responsible any more is a loss too, also where only what changed is read.
		s.delta, s.hosts = true, many(50)[20:]
		if r := o.sync("main"); !r.Held {
			t.Errorf("%+v", r)
		}
	})
}

func TestADeltaRemovesNothing(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		s.hosts, s.delta = many(20, "ada"), true
		o.sync("main")
		s.hosts = []Host{{FQDN: "h003.example.org", People: []string{"bob"}}, {FQDN: "h004.example.org", People: []string{"ada"}}, {FQDN: "new.example.org", People: []string{"ada"}}}
		r := o.sync("main")
		if n := r.Changes[store.KindHost]; r.Full || n.Added != 1 || n.Changed != 1 || n.Removed != 0 || n.Before != 20 {
			t.Errorf("%+v, %+v", r, n)
		}
		if x, err := o.db.Source(o.Context(), "main"); err != nil || x.Hosts != 21 {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

func TestASourceThatFailsChangesNothing(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		s.hosts = many(3, "ada")
		o.sync("main")
		s.hosts, s.err = nil, errors.New("the other side hung up")
		if _, err := o.syncer.Sync(o.Context(), o.configs["main"], false); err == nil {
			t.Error("it went well")
		}
		x, err := o.db.Source(o.Context(), "main")
		if err != nil || !strings.Contains(x.Problem, "hung up") || x.Hosts != 3 || !x.BusyUntil.IsZero() {
			t.Errorf("%+v, %v", x, err)
		}
		s.err, s.hosts = nil, many(4, "ada")
		o.sync("main")
		if x, err := o.db.Source(o.Context(), "main"); err != nil || x.Problem != "" || x.Hosts != 4 {
			t.Errorf("%+v, %v", x, err)
		}
	})
}

func TestADryRunWritesNothing(t *testing.T) {
	onBoth(t, func(o *organisation) {
		o.source("main", 0).hosts = many(3, "ada")
		r, err := o.syncer.Sync(o.Context(), o.configs["main"], true)
		if err != nil || r.Changes[store.KindHost].Added != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		o.want()
		if all, err := o.db.Sources(o.Context()); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestOneReadsASourceAtATime(t *testing.T) {
	onBoth(t, func(o *organisation) {
		o.source("main", 0).hosts = many(3, "ada")
		_, err := o.db.LeaseSource(o.Context(), "main", "another", 0, o.now, o.now.Add(time.Hour))
		o.must(err)
		if _, err := o.syncer.Sync(o.Context(), o.configs["main"], false); !errors.Is(err, store.ErrBusy) {
			t.Errorf("%v", err)
		}
		due, err := o.syncer.Due(o.Context(), []config.Source{*o.configs["main"]})
		if err != nil || len(due) != 0 {
			t.Errorf("%v, %v", due, err)
		}
		o.now = o.now.Add(2 * time.Hour) // whoever it was is gone
		if due, err = o.syncer.Due(o.Context(), []config.Source{*o.configs["main"]}); err != nil || len(due) != 1 {
			t.Errorf("%v, %v", due, err)
		}
		o.sync("main")
	})
}

// Two servers read two sources at once: what is decided on is what both have said.
func TestSourcesThatAreReadAtOnce(t *testing.T) {
	onBoth(t, func(o *organisation) {
		low, high := o.source("low", 1), o.source("high", 2)
		for round := range 8 {
			low.hosts, high.hosts = nil, nil
			want := []string{}
			for i := range 8 {
				fqdn := fmt.Sprintf("h%d.example.org", i)
				inLow, inHigh := (i+round)%2 == 0, (i/2+round/2)%2 == 0
				if inLow {
					low.hosts = append(low.hosts, Host{FQDN: fqdn, People: []string{"ada"}, Groups: []string{fmt.Sprint("team", round)}})
				}
				if inHigh {
					high.hosts = append(high.hosts, Host{FQDN: fqdn, People: []string{"bob"}})
				}
				switch {
				case inHigh:
					want = append(want, fqdn+": bob;  (high)")
				case inLow:
					want = append(want, fmt.Sprintf("%s: ada; team%d (low)", fqdn, round))
				}
			}
			o.now = o.now.Add(time.Second)
			errs := make(chan error, 2)
			for _, name := range []string{"low", "high"} {
				go func() {
					_, err := o.syncer.Sync(context.Background(), o.configs[name], false)
					errs <- err
				}()
			}
			if err := errors.Join(<-errs, <-errs); err != nil {
				t.Fatal(err)
			}
			o.want(want...)
		}
	})
}

// Who enters a host by hand while a source that has it is read has it by hand, or is told
// that it exists.
func TestByHandWhileASourceIsRead(t *testing.T) {
	onBoth(t, func(o *organisation) {
		s := o.source("main", 0)
		for round := range 8 {
			s.hosts = append(s.hosts, Host{FQDN: fmt.Sprintf("h%d.example.org", round), People: []string{"ada"}})
			fqdn := s.hosts[round].FQDN
			o.now = o.now.Add(time.Second)
			done := make(chan error, 1)
			go func() {
				_, err := o.syncer.Sync(context.Background(), o.configs["main"], false)
				done <- err
			}()
			byHand := o.db.AddHost(o.Context(), fqdn, nil, o.now)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			h, err := o.db.HostAlone(o.Context(), fqdn)
			switch {
			case err != nil:
				t.Fatal(err)
			case byHand == nil && h.Source != "", byHand != nil && (h.Source != "main" || !errors.Is(byHand, store.ErrConflict)):
				t.Errorf("by hand: %v; it is that of source %q", byHand, h.Source)
			}
		}
	})
}

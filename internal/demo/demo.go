// Package demo makes up an organisation of any size, with years of certificates, for
// "vidimusd dev --demo-size" and for measurements: hosts, people and groups, ACME-IDs
// with their accounts, certificates, orders, and the audit log of all that, chained as it
// would be. Certificates are signed by the CA, which nobody may trust; times are spread
// over the years before now, keys belong to nobody. It writes below all rules
// ([store.Filling]), so it is for nothing else.
package demo

import (
	"context"
	"fmt"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

// For each host there are so many certificates; for each person, ACME-ID and group so
// many hosts.
const (
	certificatesPerHost = 10
	hostsPerPerson      = 10
	hostsPerACMEID      = 5
	hostsPerGroup       = 100
)

// Organisation is what to make up.
type Organisation struct {
	Hosts     int
	Issuer    *issuer.Issuer
	Directory string // name of the ACME directory that the accounts are in
	Member    string // login of a person who is there, to be in a group with many hosts; "" for none
	Now       time.Time
	Progress  func(format string, args ...any)
}

// maker makes an organisation.
type maker struct {
	Organisation
	db      *store.Store
	into    *store.Filling
	begin   time.Time     // of the first certificate
	life    time.Duration // of each
	clients int64         // number of the first

	person, party, acmeID, account int64 // numbers of the first; persons are parties
	lineages                       []lineage
}

// Fill makes up an organisation in a database that has little else in it.
func Fill(ctx context.Context, db *store.Store, o Organisation) (err error) {
	m := &maker{Organisation: o, db: db, life: profileOf(o.Issuer).Validity}
	m.begin = o.Now.Add(-certificatesPerHost * m.life * 2 / 3)
	if m.into, err = db.Fill(ctx); err != nil {
		return err
	}
	defer func() {
		if cerr := m.into.Close(ctx); err == nil {
			err = cerr
		}
	}()
	start := time.Now()
	for _, step := range []func(context.Context) error{m.addPeople, m.addHosts, m.addACMEIDs, m.addCertificates} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	m.Progress("%d hosts with %d certificates are made up, in %s", m.Hosts, m.certificates(), time.Since(start).Round(time.Second))
	return nil
}

func profileOf(i *issuer.Issuer) *issuer.Profile {
	if len(i.Profiles) > 0 {
		return &i.Profiles[0]
	}
	return i.Plain()
}

func (m *maker) certificates() int { return m.Hosts * certificatesPerHost }
func (m *maker) people() int       { return max(1, m.Hosts/hostsPerPerson) }
func (m *maker) groups() int       { return max(1, m.Hosts/hostsPerGroup) }
func (m *maker) acmeIDs() int      { return max(1, m.Hosts/hostsPerACMEID) }

// before is when the i-th of n things was entered: in the month before the first
// certificate.
func (m *maker) before(i, n int) time.Time {
	const month = 30 * 24 * time.Hour
	return m.begin.Add(-month + month*time.Duration(i)/time.Duration(n))
}

// inBatches calls add for parts of n things, a transaction each.
func (m *maker) inBatches(ctx context.Context, what string, n int, add func(from, to int) []store.Rows) error {
	const batch = 10_000
	for from := 0; from < n; from += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(n, from+batch)
		if err := m.into.Add(ctx, add(from, to)...); err != nil {
			return err
		}
		m.Progress("%d of %d %s", to, n, what)
	}
	return nil
}

var operator = []byte(`{"operator":"root"}`)

func event(at time.Time, actor []byte, action audit.Action, object, detail string) audit.Row {
	return audit.Row{At: at.Truncate(time.Millisecond), Actor: actor, Action: action, Object: object, Detail: []byte(detail)}
}

var departments = []string{"physics", "chemistry", "biology", "law", "history", "medicine", "geology", "music", "maths", "library",
	"sports", "theatre", "archive", "informatics", "economics", "english", "ethics", "statistics", "astronomy", "botany"}

var services = []string{"www", "mail", "git", "wiki", "cloud", "lists", "vpn", "db", "api", "files", "print", "auth", "proxy", "survey",
	"lab", "shop", "news", "backup", "monitor", "calendar"}

// fqdn is the name of a host: one of twenty services in each of many departments.
func (m *maker) fqdn(host int) string {
	d, s := host/len(services), host%len(services)
	name := departments[d%len(departments)]
	if more := d / len(departments); more > 0 {
		name = fmt.Sprintf("%s-%d", name, more+1)
	}
	return services[s] + "." + name + ".demo.uni.test"
}

func login(i int) string { return fmt.Sprintf("p%05d", i+1) }

// owner is the person responsible for a host, and for the others of its ACME-ID.
func (m *maker) owner(host int) int { return host / hostsPerPerson % m.people() }

func (m *maker) addPeople(ctx context.Context) error {
	m.person = m.into.Numbers("party", m.people())
	err := m.inBatches(ctx, "people", m.people(), func(from, to int) []store.Rows {
		party := store.Rows{Table: "party", Columns: []string{"id", "kind", "name"}}
		person := store.Rows{Table: "person", Columns: []string{"id", "login", "name", "email", "created_at"}}
		member := store.Rows{Table: "member", Columns: []string{"party_id", "person_id"}}
		var events []audit.Row
		for i := from; i < to; i++ {
			id, at := m.person+int64(i), m.before(i, 8*m.people())
			party.Rows = append(party.Rows, []any{id, "person", login(i)})
			person.Rows = append(person.Rows, []any{id, login(i), fmt.Sprintf("Person %d", i+1), login(i) + "@uni.test", at.UnixMilli()})
			member.Rows = append(member.Rows, []any{id, id})
			events = append(events, event(at, operator, audit.PersonCreated, login(i), "{}"))
		}
		return []store.Rows{party, person, member, m.into.Events(events)}
	})
	if err != nil {
		return err
	}
	return m.addGroups(ctx)
}

// group is the name of a group: the people who care for a hundred hosts.
func group(i int) string { return fmt.Sprintf("admins-%d", i+1) }

const bigGroup = "central-it"

func (m *maker) addGroups(ctx context.Context) error {
	m.party = m.into.Numbers("party", m.groups()+1)
	party := store.Rows{Table: "party", Columns: []string{"id", "kind", "name", "title"}}
	member := store.Rows{Table: "member", Columns: []string{"party_id", "person_id"}}
	var events []audit.Row
	for i := range m.groups() {
		party.Rows = append(party.Rows, []any{m.party + int64(i), "group", group(i), "Administrators " + departments[i%len(departments)]})
		for k := range min(5, m.people()) {
			member.Rows = append(member.Rows, []any{m.party + int64(i), m.person + int64((i*7+k)%m.people())})
		}
		events = append(events, event(m.before(1, 7), operator, audit.GroupCreated, group(i), "{}"))
	}
	big := m.party + int64(m.groups())
	party.Rows = append(party.Rows, []any{big, "group", bigGroup, "Central IT"})
	if m.Member != "" {
		p, err := m.db.PersonAlone(ctx, m.Member)
		if err != nil {
			return err
		}
		member.Rows = append(member.Rows, []any{big, p.ID})
	}
	return m.into.Add(ctx, party, member, m.into.Events(events))
}

// ofBigGroup tells whether the big group cares for a host: a twentieth of all.
func ofBigGroup(host int) bool { return host/hostsPerACMEID%20 == 3 }

func (m *maker) addHosts(ctx context.Context) error {
	return m.inBatches(ctx, "hosts", m.Hosts, func(from, to int) []store.Rows {
		host := store.Rows{Table: "host", Columns: []string{"fqdn", "created_at", "details"}}
		parties := store.Rows{Table: "host_party", Columns: []string{"fqdn", "party_id"}}
		var events []audit.Row
		for i := from; i < to; i++ {
			fqdn, at := m.fqdn(i), m.before(m.Hosts+6*i, 8*m.Hosts)
			host.Rows = append(host.Rows, []any{fqdn, at.UnixMilli(), fmt.Sprintf(`{"unit":"Unit %d","room":"%c %d"}`, i/200+1, 'A'+i%6, 100+i%80)})
			if !orphan(i) {
				parties.Rows = append(parties.Rows, []any{fqdn, m.person + int64(m.owner(i))})
				if i/hostsPerACMEID%3 == 0 {
					parties.Rows = append(parties.Rows, []any{fqdn, m.party + int64(i/hostsPerGroup%m.groups())})
				}
			}
			if ofBigGroup(i) {
				parties.Rows = append(parties.Rows, []any{fqdn, m.party + int64(m.groups())})
			}
			events = append(events, event(at, operator, audit.HostCreated, fqdn, `{"people":["`+login(m.owner(i))+`"]}`))
		}
		return []store.Rows{host, parties, m.into.Events(events)}
	})
}

// orphan tells whether a host has lost all who were responsible: a few have.
func orphan(host int) bool { return host%997 == 500 }

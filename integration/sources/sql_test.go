package sources

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"vidimus/integration/peer"
	"vidimus/internal/hostsource"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

type report = hostsource.Report

func TestSQL(t *testing.T) {
	url := postgrestest.URL(t)
	port, root := peer.StartMariaDB(t)
	pg, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(t.Context())
	postgres := func(query string) {
		t.Helper()
		if _, err := pg.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	maria := func(query string) {
		t.Helper()
		if _, err := root.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	postgres(`CREATE TABLE host (fqdn text, owners text[], rack int); INSERT INTO host VALUES
		('both.example.org', '{ada}', 7), ('here.example.org', '{ada,bob}', 8), ('no name', '{}', 9)`)
	maria(`CREATE DATABASE cmdb CHARACTER SET utf8mb4; CREATE USER vidimusd@'127.0.0.1' IDENTIFIED BY 'secret'; GRANT ALL ON cmdb.* TO vidimusd@'127.0.0.1'`)
	maria(`CREATE TABLE cmdb.owner (fqdn varchar(255), login varchar(50), team varchar(50)); INSERT INTO cmdb.owner VALUES
		('both.example.org', 'eve', NULL), ('there.example.org', 'eve', 'web'), ('there.example.org', 'dan', 'web');
		CREATE TABLE cmdb.person (login varchar(50), name varchar(50)); INSERT INTO cmdb.person VALUES ('eve', 'Ève')`)
	s := newSite(t, "")
	s.write("password", "secret\n")
	configure := func(hosts string) {
		t.Helper()
		s.sources(fmt.Sprintf(`
  - name: postgres
    priority: 2
    sql: {url: %q, hosts: "SELECT fqdn, owners AS people, rack FROM host"}
  - name: mariadb
    priority: 1
    sql: {url: "mysql://vidimusd@127.0.0.1:%d/cmdb", password_file: password, hosts: %q, people: SELECT login FROM person}
`, url, port, hosts))
	}
	configure("SELECT fqdn, login AS people, team AS `groups` FROM owner")
	var all []report
	s.run(0, &all, "source", "sync")
	if len(all) != 2 || all[0].Skips != 1 || all[1].Changes[store.KindHost].Added != 2 {
		t.Errorf("%+v", all)
	}
	if d := s.wantHost("both.example.org", "ada"); d["rack"] != "7" {
		t.Errorf("%q", d)
	}
	s.wantHost("here.example.org", "ada", "bob")
	s.wantHost("there.example.org", "dan", "eve", "web")

	postgres(`DELETE FROM host WHERE fqdn = 'both.example.org'`)
	maria(`UPDATE cmdb.owner SET fqdn = 'renamed.example.org' WHERE fqdn = 'there.example.org'`)
	s.run(0, &all, "source", "sync")
	s.wantHost("both.example.org", "eve")
	s.wantNoHost("there.example.org")
	s.wantHost("renamed.example.org", "dan", "eve", "web")

	// What may only read can't be made to write.
	configure("DELETE FROM owner RETURNING fqdn, login AS people")
	if wrong, _ := s.run(1, nil, "source", "sync", "mariadb"); !strings.Contains(wrong, "READ ONLY") {
		t.Errorf("a query that writes: %s", wrong)
	}
	// A password that is wrong is not shown.
	s.write("password", "wrong-secret\n")
	if wrong, _ := s.run(1, nil, "source", "sync", "mariadb"); !strings.Contains(wrong, "Access denied") || strings.Contains(wrong, "wrong-secret") {
		t.Errorf("a wrong password: %s", wrong)
	}
	s.wantHost("both.example.org", "eve")
}

package backup

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/config"
	"vidimus/internal/server"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// made is a backup of a server that has one account, and its configuration.
func made(t *testing.T, database string, keys bool) (dir string, m Manifest, c *config.Config) {
	t.Helper()
	path, err := server.Init(server.InitOptions{Dir: filepath.Join(t.TempDir(), "etc"), Organisation: "Test", URL: "https://acme.example.org", Database: database})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = config.Read(path); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.NewAccount(t.Context(), &store.Account{Directory: "main", Thumbprint: "key", JWK: []byte("{}"), Status: acme.Valid, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "backup")
	m, err = Make(t.Context(), Options{Config: c, ConfigFile: path, Store: db, To: dir, Keys: keys, Version: "test", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return dir, m, c
}

func TestABackupIsForItsOwnerAndHasKeysOnlyWhenAsked(t *testing.T) {
	for _, keys := range []bool{false, true} {
		dir, m, c := made(t, "", keys)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			if !d.IsDir() {
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if strings.Contains(string(data), "PRIVATE KEY-----") != (keys && strings.HasSuffix(path, ".key")) {
					t.Errorf("with keys %v: %s", keys, path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		all := 0
		for _, f := range c.Files {
			if strings.HasSuffix(f, ".key") {
				all++
			}
		}
		if left := len(m.KeysLeft); keys && left != 0 || !keys && (left != all || all == 0) {
			t.Errorf("with keys %v %v are left out", keys, m.KeysLeft)
		}
		if len(m.Files)+len(m.KeysLeft) != len(c.Files) {
			t.Errorf("%d files and %d keys of %v", len(m.Files), len(m.KeysLeft), c.Files)
		}
	}
}

func TestRestorePutsAllBackAndReplacesNothing(t *testing.T) {
	dir, m, old := made(t, "", true)
	to := filepath.Join(t.TempDir(), "new", "vidimusd.yaml")
	_, at, err := Restore(t.Context(), dir, to, "", time.Now())
	if err != nil || at != to {
		t.Fatal(at, err)
	}
	c, err := config.Read(to)
	if err != nil {
		t.Fatal(err)
	}
	if c.SHA256 != old.SHA256 || len(c.Files) != len(old.Files) {
		t.Errorf("the configuration names %v; want as before %v", c.Files, old.Files)
	}
	for i, f := range c.Files {
		was, err := os.Stat(old.Files[i])
		if err != nil {
			t.Fatal(err)
		}
		if is, err := os.Stat(f); err != nil || is.Mode() != was.Mode() {
			t.Errorf("%s has mode %v, want %v; %v", f, is.Mode(), was.Mode(), err)
		}
	}
	db, err := store.Open(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.AccountByKey(t.Context(), "main", "key"); err != nil {
		t.Errorf("the account: %v", err)
	}
	rows, err := db.AuditRows(t.Context(), 0, 100)
	if err != nil || len(rows) == 0 || rows[len(rows)-1].Action != "server.restored" || rows[len(rows)-1].Object != m.Made.Format(time.RFC3339) {
		t.Errorf("the audit log: %+v, %v", rows, err)
	}
	if _, _, err := Restore(t.Context(), dir, to, "", time.Now()); err == nil || !strings.Contains(err.Error(), "none is replaced") {
		t.Errorf("a second restore: %v", err)
	}
	if _, _, err := Restore(t.Context(), dir, "", "", time.Now()); err == nil || !strings.Contains(err.Error(), old.Files[0]) {
		t.Errorf("a restore over the original: %v", err)
	}
}

func TestABackupThatWasAlteredIsRefused(t *testing.T) {
	for name, alter := range map[string]func(dir string) error{
		"database": func(dir string) error { return os.Truncate(filepath.Join(dir, "database.db"), 4096) },
		"configuration": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "00-vidimusd.yaml"), []byte("x"), 0o600)
		},
		"missing file": func(dir string) error { return os.Remove(filepath.Join(dir, "01-main.key")) },
		"no manifest":  func(dir string) error { return os.Remove(filepath.Join(dir, manifestName)) },
		"other places": func(dir string) error {
			path := filepath.Join(dir, manifestName)
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.Replace(string(data), `"target": "ca/main.key"`, `"target": "../../main.key"`, 1)), 0o600)
		},
		"other format": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"format": 2}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := made(t, "", true)
			if err := alter(dir); err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(t.TempDir(), "new", "vidimusd.yaml")
			if _, _, err := Restore(t.Context(), dir, to, "", time.Now()); err == nil {
				t.Fatal("it was restored")
			}
			if _, err := os.Stat(filepath.Dir(to)); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestAPostgreSQLDatabaseIsBackedUpByItsOwnPrograms(t *testing.T) {
	dir, _, _ := made(t, postgrestest.URL(t), true)
	to := filepath.Join(t.TempDir(), "new", "vidimusd.yaml")
	if _, _, err := Restore(t.Context(), dir, to, "", time.Now()); err == nil || !strings.Contains(err.Error(), "--database") {
		t.Errorf("without a database: %v", err)
	}
	empty := postgrestest.URL(t)
	if _, _, err := Restore(t.Context(), dir, to, empty, time.Now()); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.AccountByKey(t.Context(), "main", "key"); err != nil {
		t.Errorf("the account: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other", "vidimusd.yaml")
	if _, _, err := Restore(t.Context(), dir, other, empty, time.Now()); err == nil || !strings.Contains(err.Error(), "must be empty") {
		t.Errorf("into a database that has tables: %v", err)
	}
}

func TestNoSecretGoesIntoTheArgumentsOfPostgreSQLsPrograms(t *testing.T) {
	err := postgres(t.Context(), "postgres://me@127.0.0.1:1/x?sslpassword=s3cret", nil, "pg_dump")
	if err == nil || !strings.Contains(err.Error(), "sslpassword") || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

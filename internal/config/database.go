package config

import (
	"os"
	"path/filepath"
	"strings"

	"vidimus/internal/store"
)

func (c *Config) completeDatabase(r *reader) {
	switch {
	case c.Database == "":
		r.add("database", "name the file of the database, such as vidimusd.db, or its URL, such as postgres://vidimusd@db.example.org/vidimusd")
	case store.IsURL(c.Database):
		if err := store.CheckURL(c.Database); err != nil {
			r.add("database", "%s: %v", store.Redacted(c.Database), err)
		}
		if store.HasPassword(c.Database) && r.mode.Perm()&0o077 != 0 {
			r.add("database", "the URL has a password, and this file is open to others (mode %04o); run chmod 600, or put the password into a file that PGPASSFILE names",
				r.mode.Perm())
		}
	case strings.Contains(c.Database, "://"):
		r.add("database", "there are SQLite, by the name of a file, and PostgreSQL, by a URL that begins with postgres://; choose one of them")
	default:
		c.Database = r.path(c.Database)
		if info, err := os.Stat(filepath.Dir(c.Database)); err != nil || !info.IsDir() {
			r.add("database", "there is no folder %s", filepath.Dir(c.Database))
		}
	}
}

// StateDir is the folder of the files that the server keeps for itself: the one that is
// named for it, else that of the database's file, or with PostgreSQL that of the
// configuration.
func (c *Config) StateDir() string {
	if c.State != "" {
		return c.State
	}
	if store.IsURL(c.Database) {
		return c.Dir
	}
	return filepath.Dir(c.Database)
}

package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/durable"
	"vidimus/internal/store"
)

// Restore puts the backup in dir back, with the configuration at configFile, or where
// it was when that is "". database is the URL of an empty PostgreSQL database for a
// backup of one. Nothing is replaced; the configuration, without which nothing starts,
// comes last.
func Restore(ctx context.Context, dir, configFile, database string, now time.Time) (m Manifest, config string, err error) {
	if m, err = Read(dir); err != nil {
		return m, "", err
	}
	config = cmp.Or(configFile, filepath.Join(m.Folder, m.Config.Target))
	if config, err = filepath.Abs(config); err != nil {
		return m, "", err
	}
	folder := filepath.Dir(config)
	at := func(f File) string {
		if filepath.IsAbs(f.Target) {
			return f.Target
		}
		return filepath.Join(folder, f.Target)
	}
	if err := m.nothingThere(config, at); err != nil {
		return m, config, err
	}
	if m.Database.Name == dumpName {
		if !store.IsURL(database) {
			return m, config, errors.New("this is the backup of a PostgreSQL database: give the URL of an empty one by --database")
		}
		err = undump(ctx, database, filepath.Join(dir, m.Database.Name), m.Made, now)
	} else {
		err = putDatabase(ctx, filepath.Join(dir, m.Database.Name), at(m.Database), m.Made, now)
	}
	if err != nil {
		return m, config, err
	}
	for _, f := range m.Files {
		if err := put(filepath.Join(dir, f.Name), at(f), f); err != nil {
			return m, config, err
		}
	}
	return m, config, put(filepath.Join(dir, m.Config.Name), config, m.Config)
}

func (m *Manifest) nothingThere(config string, at func(File) string) error {
	paths := []string{config}
	for _, f := range append([]File{m.Database}, m.Files...) {
		if f.Target != "" {
			paths = append(paths, at(f))
		}
	}
	if f := m.Database; f.Target != "" { // SQLite would take these for the new database's
		paths = append(paths, at(f)+"-wal", at(f)+"-shm", at(f)+"-journal")
	}
	var there []string
	for _, p := range paths {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			there = append(there, p)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("there are files already, and none is replaced: %s; move them away, or restore to another place by --config", strings.Join(there, ", "))
	}
	return nil
}

// put copies a small file to where it belongs.
func put(from, to string, f File) error {
	data, _, err := readSmall(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := durable.CreateFile(to, data, f.Mode.Perm()); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

// putDatabase copies a SQLite database; it has its name only when it knows that it was
// restored.
func putDatabase(ctx context.Context, from, to string, made, now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	partial := to + ".restoring"
	if err := copyFile(from, partial); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is left from a restore that was cut short; remove it", partial)
	} else if err != nil {
		return err
	}
	defer os.Remove(partial)
	if err := restored(ctx, partial, made, now); err != nil {
		return err
	}
	if err := os.Link(partial, to); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

func restored(ctx context.Context, database string, made, now time.Time) error {
	db, err := store.Open(ctx, database)
	if err != nil {
		return err
	}
	return errors.Join(db.Restored(ctx, made, now), db.SealAudit(ctx), db.Close())
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Sync(), dst.Close()); err != nil {
		os.Remove(to)
		return err
	}
	return nil
}

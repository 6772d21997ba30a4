// Package backup copies all that a vidimusd needs to start again, of a running one,
// and puts it back: the database as it is at one instant, the configuration, the CA
// certificates and, when wanted, the keys.
//
// A backup is a folder with a manifest that has the SHA-256 of each file; it gets its
// name when it is complete. Putting it back replaces nothing.
package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/durable"
	"vidimus/internal/store"
)

// Manifest says what a backup holds.
type Manifest struct {
	Format    int             `json:"format"` // 1
	Made      time.Time       `json:"made"`   // no later than the database's state
	Version   string          `json:"version"`
	Folder    string          `json:"folder"` // of the configuration
	Config    File            `json:"config"`
	Database  File            `json:"database"` // its Target is "" with PostgreSQL
	Files     []File          `json:"files"`    // that the configuration names
	KeysLeft  []string        `json:"keys_left,omitempty"`
	AuditHead store.AuditHead `json:"audit_head"` // before the copy
}

// File is one file of a backup.
type File struct {
	Name   string      `json:"name"`   // in the backup
	Target string      `json:"target"` // where it belongs: relative to the configuration's folder, or absolute
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"` // in bytes
	SHA256 string      `json:"sha256"`
}

const (
	manifestName = "manifest.json"
	dumpName     = "database.dump"
	maxManifest  = 1 << 20
	maxFile      = 1 << 20 // of a file that the configuration names
)

// Options say what a backup is made of.
type Options struct {
	Config     *config.Config
	ConfigFile string
	Store      *store.Store
	To         string // a folder that isn't there
	Keys       bool   // private keys too
	Version    string
	Now        time.Time
}

// Make makes a backup. When it fails, nothing is left at o.To.
func Make(ctx context.Context, o Options) (m Manifest, err error) {
	to, err := filepath.Abs(o.To)
	if err != nil {
		return m, err
	}
	if _, err := os.Lstat(to); err == nil {
		return m, fmt.Errorf("%s exists already; name a folder that doesn't", to)
	}
	partial := to + ".partial"
	if err := os.Mkdir(partial, 0o700); errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("there is no folder %s to make the backup in", filepath.Dir(to))
	} else if errors.Is(err, os.ErrExist) {
		return m, fmt.Errorf("%s is left from a backup that was cut short, or one is being made; remove it", partial)
	} else if err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(partial)
		}
	}()
	m = Manifest{Format: 1, Made: o.Now.UTC().Truncate(time.Second), Version: o.Version, Folder: o.Config.Dir}
	if m.AuditHead, err = o.Store.AuditHead(ctx); err != nil {
		return m, err
	}
	if err := m.addFiles(partial, o); err != nil {
		return m, err
	}
	if err := m.addDatabase(ctx, partial, o); err != nil {
		return m, err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if err := durable.WriteFile(filepath.Join(partial, manifestName), append(data, '\n'), 0o600); err != nil {
		return m, err
	}
	if err := os.Rename(partial, to); err != nil {
		return m, err
	}
	return m, durable.SyncDir(filepath.Dir(to))
}

// addFiles copies the configuration and what it names.
func (m *Manifest) addFiles(dir string, o Options) error {
	for n, path := range append([]string{o.ConfigFile}, o.Config.Files...) {
		data, mode, err := readSmall(path)
		if errors.Is(err, os.ErrNotExist) && n > 0 {
			continue // the server does without it too
		}
		if err != nil {
			return err
		}
		if n > 0 && bytes.Contains(data, []byte("PRIVATE KEY-----")) && !o.Keys {
			m.KeysLeft = append(m.KeysLeft, path)
			continue
		}
		sum := sha256.Sum256(data)
		f := File{Name: fmt.Sprintf("%02d-%s", n, filepath.Base(path)), Target: target(o.Config.Dir, path), Mode: mode,
			Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
		if err := durable.WriteFile(filepath.Join(dir, f.Name), data, 0o600); err != nil {
			return err
		}
		if n == 0 {
			m.Config = f
		} else {
			m.Files = append(m.Files, f)
		}
	}
	return nil
}

func readSmall(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes; is it the file that you mean?", path, maxFile)
	}
	return data, info.Mode().Perm(), err
}

// target is path relative to dir, or absolute when it is not inside.
func target(dir, path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, abs); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return abs
}

func (m *Manifest) addDatabase(ctx context.Context, dir string, o Options) (err error) {
	f := &m.Database
	if store.IsURL(o.Config.Database) {
		f.Name = dumpName
		err = dump(ctx, o.Config.Database, filepath.Join(dir, f.Name))
	} else {
		f.Name, f.Target = "database.db", target(o.Config.Dir, o.Config.Database)
		err = o.Store.Snapshot(ctx, filepath.Join(dir, f.Name))
	}
	if err != nil {
		return err
	}
	f.Mode = 0o600
	f.Size, f.SHA256, err = measure(filepath.Join(dir, f.Name))
	return err
}

func measure(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// Read reads the manifest of a backup and checks all its files.
func Read(dir string) (m Manifest, err error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%s is not a backup: it has no %s", dir, manifestName)
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&m); err != nil {
		return m, fmt.Errorf("the %s of %s can't be read: %w", manifestName, dir, err)
	}
	if m.Format != 1 {
		return m, fmt.Errorf("%s is a backup of format %d, made by vidimusd %s; restore it with that version", dir, m.Format, m.Version)
	}
	for _, x := range m.all() {
		if !filepath.IsLocal(x.Name) || strings.ContainsRune(x.Name, filepath.Separator) || !filepath.IsAbs(x.Target) && x.Target != "" && !filepath.IsLocal(x.Target) {
			return m, fmt.Errorf("the %s of %s names files elsewhere: %q for %q", manifestName, dir, x.Name, x.Target)
		}
		size, sum, err := measure(filepath.Join(dir, x.Name))
		if err != nil {
			return m, err
		}
		if size != x.Size || sum != x.SHA256 {
			return m, fmt.Errorf("%s is not what was backed up: its SHA-256 is %s, not %s", filepath.Join(dir, x.Name), sum, x.SHA256)
		}
	}
	return m, nil
}

func (m *Manifest) all() []File { return append([]File{m.Config, m.Database}, m.Files...) }

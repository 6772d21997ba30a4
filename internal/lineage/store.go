package lineage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vidimus/internal/configobj"
	"vidimus/internal/durable"
	"vidimus/internal/settings"
)

const readme = `These are the certificate and the key that are in use:

  %[1]sprivkey.pem    the private key; keep it secret
  %[1]sfullchain.pem  the certificate with its chain; what nearly every server wants
  %[1]schain.pem      the chain alone
  %[1]scert.pem       the certificate alone; few programs want it

They are links to the newest version and change with each renewal, so point your
servers at these paths. Do not move, rename or edit them: Certbot and Vidimus both
find them here. Both programs can manage this directory.
`

// marker is a note in archive/ that a lineage is being made or deleted.
func (s Store) marker(name string) string {
	return filepath.Join(s.Dir, "archive", scratch+"unfinished-"+name)
}

// mark makes the marker, durably.
func (s Store) mark(name string) error {
	path := s.marker(name)
	if err := durable.CreateFile(path, nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// Create makes a new lineage, called name or, when that is taken, NAME-0001 and so
// on; settings go into its renewal/NAME.conf. It is there whole or not at all: the
// conf, by which both programs know of it, comes last.
func (s Store) Create(name string, m Material, set *settings.Settings) (*Lineage, error) {
	if err := errors.Join(CheckName(name), m.check()); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	name, err := s.freeName(name)
	if err != nil {
		return nil, err
	}
	l := &Lineage{Name: name, store: s, archive: s.archive(name), Conf: configobj.New()}
	for i, kind := range kinds {
		l.links[i] = filepath.Join(s.live(name), kind+".pem")
	}
	if err := l.newConf(set); err != nil {
		return nil, err
	}
	if err := s.mark(name); err != nil {
		return nil, err
	}
	if err := s.publish(l, m); err != nil {
		s.clear(name)
		return nil, err
	}
	os.Remove(s.marker(name))
	l.reread()
	return l, nil
}

// prepare makes the directories that Certbot makes.
func (s Store) prepare() error {
	for _, d := range []struct {
		name string
		mode fs.FileMode
	}{{"renewal", 0o755}, {"archive", 0o700}, {"live", 0o700}} {
		if err := os.MkdirAll(filepath.Join(s.Dir, d.name), d.mode); err != nil {
			return err
		}
	}
	path := filepath.Join(s.Dir, "live", "README")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return durable.CreateFile(path, fmt.Appendf(nil, readme, "NAME/"), 0o644)
	}
	return nil
}

// freeName finds a name that no conf has. Files of that name which nobody knows of
// are not touched.
func (s Store) freeName(name string) (string, error) {
	free := name
	for n := 1; ; n++ {
		if _, err := os.Lstat(s.ConfPath(free)); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		free = fmt.Sprintf("%s-%04d", name, n)
	}
	for _, dir := range []string{s.archive(free), s.live(free)} {
		entries, err := os.ReadDir(dir)
		if len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s exists, but %s does not: move that directory away, or choose another --cert-name", dir, s.ConfPath(free))
		}
	}
	return free, nil
}

func (l *Lineage) newConf(set *settings.Settings) error {
	l.Conf.Comment("renew_before_expiry = 30 days")
	return l.Record(set, true)
}

// Record writes the settings into the conf in memory; see [settings.Settings.Save]
// for prune. [Lineage.WriteConf] stores it.
func (l *Lineage) Record(set *settings.Settings, prune bool) error {
	// Certbot only looks at the version to tell, with -v, that a file is from a
	// newer release than itself. The release whose format this is is the honest one.
	pairs := [][2]string{{"version", settings.Certbot}, {"archive_dir", l.archive}}
	for i, kind := range kinds {
		pairs = append(pairs, [2]string{kind, l.links[i]})
	}
	for _, p := range pairs {
		if err := l.Conf.Set(p[0], p[1]); err != nil {
			return err
		}
	}
	return set.Save(l.Conf, prune)
}

// publish gives the files their names: the archive, then the links, then the conf.
func (s Store) publish(l *Lineage, m Material) error {
	if err := os.MkdirAll(l.archive, 0o755); err != nil {
		return err
	}
	if _, err := l.Add(m); err != nil {
		return err
	}
	live := l.Live()
	if err := os.MkdirAll(live, 0o755); err != nil {
		return err
	}
	rel, err := filepath.Rel(live, l.archive)
	if err != nil {
		return err
	}
	for i, link := range l.links {
		if err := os.Symlink(filepath.Join(rel, fileName(i, 1)), link); err != nil {
			return err
		}
	}
	if err := durable.CreateFile(filepath.Join(live, "README"), fmt.Appendf(nil, readme, ""), 0o644); err != nil {
		return err
	}
	for _, dir := range []string{live, filepath.Dir(live), filepath.Dir(l.archive)} {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	if err := durable.CreateFile(s.ConfPath(l.Name), l.Conf.Bytes(), 0o644); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(s.ConfPath(l.Name)))
}

// clear removes what there is of a lineage without a conf, in its usual places.
func (s Store) clear(name string) {
	_ = os.RemoveAll(s.live(name))
	_ = os.RemoveAll(s.archive(name))
	_ = durable.SyncDir(filepath.Join(s.Dir, "archive"))
	os.Remove(s.marker(name))
}

// Recover clears away what a kill left: lineages half made or half deleted, and
// temporary entries. Call it with the directory locked.
func (s Store) Recover() error {
	archive := filepath.Join(s.Dir, "archive")
	entries, err := os.ReadDir(archive)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), scratch+"unfinished-")
		if !ok || CheckName(name) != nil {
			continue
		}
		if _, err := os.Lstat(s.ConfPath(name)); errors.Is(err, fs.ErrNotExist) {
			s.clear(name)
		} else {
			os.Remove(s.marker(name))
		}
	}
	var stale []string
	for _, pattern := range []string{filepath.Join("live", scratch+"*"), filepath.Join("renewal", ".*.tmp")} {
		found, _ := filepath.Glob(filepath.Join(s.Dir, pattern))
		stale = append(stale, found...)
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes a lineage: its conf, links and archive. Links that lead elsewhere
// are removed, what they lead to is not. A conf that cannot be read is removed
// alone, and the error says so.
func (s Store) Delete(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	l, err := s.Load(name)
	if errors.Is(err, ErrNone) {
		return err
	}
	conf := s.ConfPath(name)
	usual := l != nil && l.archive == s.archive(name)
	if usual {
		if err := s.mark(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(conf); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(conf)); err != nil {
		return err
	}
	if l == nil {
		return fmt.Errorf("%s was removed, but could not be read (%w); look through %s and %s and delete them by hand",
			conf, err, s.live(name), s.archive(name))
	}
	l.removeLive()
	l.removeArchive()
	os.Remove(s.marker(name))
	return nil
}

func (l *Lineage) removeLive() {
	for _, link := range l.links {
		if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			os.Remove(link)
		}
	}
	if l.oneDirectory() {
		// What an admin put there stays, as in Certbot.
		os.Remove(filepath.Join(l.Live(), "README"))
		os.Remove(l.Live())
	}
}

// removeArchive removes the directory, if it is one and stands where archives
// stand; elsewhere only the files that are surely ours.
func (l *Lineage) removeArchive() {
	info, err := os.Lstat(l.archive)
	if err != nil {
		return
	}
	if info.IsDir() && filepath.Dir(l.archive) == filepath.Join(l.store.Dir, "archive") {
		_ = os.RemoveAll(l.archive)
		return
	}
	entries, _ := os.ReadDir(l.archive)
	for _, e := range entries {
		if _, _, ok := parseFile(e.Name()); ok {
			os.Remove(filepath.Join(l.archive, e.Name()))
		}
	}
	os.Remove(l.archive)
}

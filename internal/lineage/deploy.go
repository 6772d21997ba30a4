package lineage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"vidimus/internal/durable"
)

// scratch begins the names of temporary entries. Neither program takes an entry
// that begins with a dot for a lineage.
const scratch = ".vidimus-"

// Deploy puts a version into use: all four links lead to it, or, after an error,
// to what they did before. Then versions that are much older go.
func (l *Lineage) Deploy(version int) error {
	defer l.reread()
	l.dropPrevious()
	targets, err := l.targets(version)
	if err != nil {
		return err
	}
	if !l.oneDirectory() || l.exchange(targets) != nil {
		if err := l.flip(targets); err != nil {
			return err
		}
	}
	l.reread()
	l.trim()
	return nil
}

// targets are the new contents of the links; a link keeps its way to the archive,
// be it relative or absolute.
func (l *Lineage) targets(version int) (targets [4]string, err error) {
	for i, link := range l.links {
		if _, err := os.Stat(l.file(i, version)); err != nil {
			return targets, err
		}
		old, err := os.Readlink(link)
		if err != nil {
			return targets, err
		}
		targets[i] = filepath.Join(filepath.Dir(old), fileName(i, version))
	}
	return targets, nil
}

func (l *Lineage) oneDirectory() bool {
	for _, link := range l.links[1:] {
		if filepath.Dir(link) != l.Live() {
			return false
		}
	}
	return true
}

// exchange prepares a second directory and swaps it with live/NAME in one step. It
// fails without having changed anything.
func (l *Lineage) exchange(targets [4]string) error {
	live := l.Live()
	info, err := os.Lstat(live)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.ErrUnsupported // an admin's symlink to elsewhere
	}
	tmp, err := os.MkdirTemp(filepath.Dir(live), scratch+l.Name+"-")
	if err != nil {
		return err
	}
	defer l.discard(tmp)
	for i, target := range targets {
		if err := os.Symlink(target, filepath.Join(tmp, filepath.Base(l.links[i]))); err != nil {
			return err
		}
	}
	if err := l.carryOver(live, tmp); err != nil {
		return err
	}
	durable.KeepOwner(tmp, info)
	if err := os.Chmod(tmp, info.Mode().Perm()|info.Mode()&(fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	if err := durable.SyncDir(tmp); err != nil {
		return err
	}
	if err := durable.Exchange(tmp, live); err != nil {
		return err
	}
	_ = l.carryOver(tmp, live) // what came into the old directory since
	return durable.SyncDir(filepath.Dir(live))
}

// discard removes a directory of links.
func (l *Lineage) discard(dir string) {
	for _, link := range l.links {
		os.Remove(filepath.Join(dir, filepath.Base(link)))
	}
	os.Remove(filepath.Join(dir, "README"))
	if err := os.Remove(dir); err != nil {
		_ = os.RemoveAll(dir) // something else was carried over
	}
}

// carryOver gives the directory to what else the directory from has: its README,
// and what an admin put there. It fails with [errors.ErrUnsupported] for a
// directory, which cannot be in two places.
func (l *Lineage) carryOver(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if _, err := os.Lstat(dst); err == nil {
			continue
		}
		switch e.Type() {
		case 0:
			err = os.Link(src, dst)
		case fs.ModeSymlink:
			err = copyLink(src, dst)
		default:
			err = fmt.Errorf("%s: %w", src, errors.ErrUnsupported)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyLink(src, dst string) error {
	target, err := os.Readlink(src)
	if err != nil {
		return err
	}
	if err := os.Symlink(target, dst); err != nil {
		return err
	}
	if info, err := os.Lstat(src); err == nil {
		durable.KeepOwner(dst, info)
	}
	return nil
}

// flip changes the links one by one, each in one step. A kill between two of them
// leaves links of different versions, for [Lineage.Heal] to mend.
func (l *Lineage) flip(targets [4]string) error {
	var old [4]string
	for i, link := range l.links {
		old[i], _ = os.Readlink(link)
		if err := replaceLink(targets[i], link); err != nil {
			for j := range i {
				_ = replaceLink(old[j], l.links[j])
			}
			return err
		}
	}
	dirs := map[string]bool{}
	for _, link := range l.links {
		dirs[filepath.Dir(link)] = true
	}
	for dir := range dirs {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func replaceLink(target, link string) error {
	tmp := filepath.Join(filepath.Dir(link), scratch+filepath.Base(link))
	os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, link); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// Heal mends links that a kill, of this program or of Certbot, left between two
// versions, and reports whether it had to. They lead to the newest usable version
// afterwards.
func (l *Lineage) Heal() (healed bool, err error) {
	if _, ok := l.Version(); ok {
		return false, nil
	}
	current := l.current()
	if slices.Contains(current[:], 0) {
		return false, nil // links that an admin made; not ours to judge
	}
	v, _, err := l.Newest()
	if err != nil {
		return false, err
	}
	return true, l.Deploy(v)
}

// dropPrevious removes the notes that Certbot makes while it changes links and
// that its death leaves; what they say, the archive says too.
func (l *Lineage) dropPrevious() {
	for i, link := range l.links {
		path := filepath.Join(filepath.Dir(link), "previous_"+kinds[i]+".pem")
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			os.Remove(path)
		}
	}
}

// Pending returns the newest usable version when it is above the one in use: it was
// stored, and the program died before it came into use.
func (l *Lineage) Pending() (version int, ok bool) {
	all, complete, err := l.versions()
	if err != nil || len(all) == 0 || len(complete) == 0 {
		return 0, false
	}
	current, ok := l.Version()
	if !ok || complete[len(complete)-1] <= current {
		return 0, false
	}
	v, _, err := l.Newest()
	return v, err == nil && v > current
}

// WriteConf stores the settings, after version was deployed. The file keeps its mode.
func (l *Lineage) WriteConf() error {
	path := l.store.ConfPath(l.Name)
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return durable.WriteFile(path, l.Conf.Bytes(), mode)
}

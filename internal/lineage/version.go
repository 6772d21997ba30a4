package lineage

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/certificate"
	"vidimus/internal/durable"
)

// Material is what a version consists of, in PEM.
type Material struct {
	Cert  []byte // the certificate
	Chain []byte // its issuers
	Key   []byte // its private key; nil when it is the one of the version before
}

// check keeps anything from being stored that a server could not use.
func (m Material) check() error {
	certs, err := certificate.ParseChain(m.Cert)
	if err != nil {
		return err
	}
	if m.Key == nil {
		return nil
	}
	key, err := certificate.ParseKey(m.Key)
	if err != nil {
		return err
	}
	if !certificate.KeyMatches(certs[0], key) {
		return errors.New("the private key is not that of the certificate")
	}
	return nil
}

func (m Material) fullchain() []byte { return slices.Concat(m.Cert, m.Chain) }

func fileName(kind, version int) string { return kinds[kind] + strconv.Itoa(version) + ".pem" }

func (l *Lineage) file(kind, version int) string {
	return filepath.Join(l.archive, fileName(kind, version))
}

// parseFile is the inverse of fileName.
func parseFile(name string) (kind, version int, ok bool) {
	name, ok = strings.CutSuffix(name, ".pem")
	if !ok {
		return 0, 0, false
	}
	letters := strings.TrimRight(name, "0123456789")
	version, err := strconv.Atoi(name[len(letters):])
	kind = slices.Index(kinds[:], letters)
	return kind, version, err == nil && kind >= 0
}

// versions lists the version numbers in the archive, ascending, and which of them
// have all four files.
func (l *Lineage) versions() (all, complete []int, err error) {
	entries, err := os.ReadDir(l.archive)
	if err != nil {
		return nil, nil, err
	}
	have := map[int]int{}
	for _, e := range entries {
		if _, v, ok := parseFile(e.Name()); ok {
			have[v]++
		}
	}
	for v, n := range have {
		all = append(all, v)
		if n == len(kinds) {
			complete = append(complete, v)
		}
	}
	slices.Sort(all)
	slices.Sort(complete)
	return all, complete, nil
}

// reread looks where the links lead.
func (l *Lineage) reread() {
	for i, link := range l.links {
		l.read[i], _ = os.Readlink(link)
	}
}

// current returns the version that each link leads to; 0 is none of ours.
func (l *Lineage) current() (versions [4]int) {
	for i, target := range l.read {
		if kind, v, ok := parseFile(filepath.Base(target)); ok && kind == i {
			versions[i] = v
		}
	}
	return versions
}

// Version is the version in use; ok is false when the links do not agree.
func (l *Lineage) Version() (version int, ok bool) {
	v := l.current()
	return v[0], v[0] > 0 && v[0] == v[1] && v[0] == v[2] && v[0] == v[3]
}

// Newest returns the newest version whose files are all there and belong together.
// A version that is cut short is passed over.
func (l *Lineage) Newest() (version int, c *x509.Certificate, err error) {
	_, complete, err := l.versions()
	if err != nil {
		return 0, nil, err
	}
	for _, v := range slices.Backward(complete) {
		if c, err = verify(func(kind int) string { return l.file(kind, v) }); err == nil {
			return v, c, nil
		}
	}
	if err == nil {
		err = errors.New("it has no complete version")
	}
	return 0, nil, fmt.Errorf("archive %s: %w", l.archive, err)
}

// Add stores a new version in the archive, where it is durable but not in use, and
// returns its number, one above the highest there is. The private key keeps the
// group and the mode for group and others that the last one has.
func (l *Lineage) Add(m Material) (version int, err error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	all, complete, err := l.versions()
	if err != nil {
		return 0, err
	}
	version = 1
	if len(all) > 0 {
		version = all[len(all)-1] + 1
	}
	defer func() {
		if err != nil { // such as a full disk
			for _, kind := range []int{privkey, fullchain, chain, cert} {
				os.Remove(l.file(kind, version))
			}
		}
	}()
	if err := l.addPublic(version, m); err != nil {
		return 0, err
	}
	if err := l.addKey(version, m.Key, complete); err != nil {
		return 0, err
	}
	return version, durable.SyncDir(l.archive)
}

// addPublic stores all but the key.
func (l *Lineage) addPublic(version int, m Material) error {
	for _, f := range []struct {
		kind int
		data []byte
	}{{cert, m.Cert}, {chain, m.Chain}, {fullchain, m.fullchain()}} {
		if err := durable.CreateFile(l.file(f.kind, version), f.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lineage) addKey(version int, key []byte, complete []int) error {
	path := l.file(privkey, version)
	if len(complete) == 0 {
		return durable.CreateFile(path, key, 0o600)
	}
	old := l.file(privkey, complete[len(complete)-1])
	if key == nil {
		// A copy, as Certbot makes it: a link would be left without its target when old
		// versions go.
		data, err := os.ReadFile(old)
		if err != nil {
			return err
		}
		key = data
	}
	mode := fs.FileMode(0o600)
	info, err := os.Stat(old)
	if err == nil {
		mode |= info.Mode().Perm() & 0o074
	}
	return durable.CreateFileLike(path, key, mode, info)
}

// kept is how many versions below the one in use stay, as in Certbot.
const kept = 5

// trim removes old versions, the private key of each first, so that none is without
// its certificate. A key that a version which stays leads to stays too. What can't be
// removed is left for the next time.
func (l *Lineage) trim() {
	current, ok := l.Version()
	all, _, err := l.versions()
	if !ok || err != nil {
		return
	}
	needed := map[string]bool{} // by links of earlier releases
	for _, v := range all {
		if target, err := os.Readlink(l.file(privkey, v)); err == nil && v >= current-kept {
			needed[filepath.Base(target)] = true
		}
	}
	for _, v := range all {
		if v >= current-kept {
			continue
		}
		for _, kind := range []int{privkey, fullchain, chain, cert} {
			if !needed[fileName(kind, v)] {
				os.Remove(l.file(kind, v))
			}
		}
	}
}

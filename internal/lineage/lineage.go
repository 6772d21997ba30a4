// Package lineage keeps certificates on disk exactly as Certbot does: every version
// in archive/NAME, the one in use through four symbolic links in live/NAME, and how
// it was obtained in renewal/NAME.conf. Either program can take over at any time.
//
// What a kill at any instant may leave is one of: the old version in use, or the
// new one, whole. This is how:
//
//   - A version's files appear complete or not at all ([durable.CreateFile]), the
//     private key last, so no key is ever without its certificate.
//   - The four links change together: a second directory with the new links is
//     exchanged with live/NAME in one step ([durable.Exchange]). Where a file system
//     cannot do that, the links change one by one, and [Lineage.Heal] mends what a
//     kill left between.
//   - A new lineage, and one that is being deleted, is announced by a marker first;
//     [Store.Recover] clears away what a kill left of either.
package lineage

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vidimus/internal/certificate"
	"vidimus/internal/configobj"
	"vidimus/internal/settings"
)

// Kinds are the four files of a version.
var kinds = [4]string{"cert", "privkey", "chain", "fullchain"}

const (
	cert = iota
	privkey
	chain
	fullchain
)

// Store is the directory that holds lineages, Certbot's --config-dir.
type Store struct {
	Dir string
}

func (s Store) live(name string) string    { return filepath.Join(s.Dir, "live", name) }
func (s Store) archive(name string) string { return filepath.Join(s.Dir, "archive", name) }

// ConfPath is where the lineage called name keeps its settings.
func (s Store) ConfPath(name string) string { return filepath.Join(s.Dir, "renewal", name+".conf") }

// Lineage is a certificate name and the versions of its certificate.
type Lineage struct {
	Name string
	Conf *configobj.File // renewal/NAME.conf as it was read or last written

	store   Store
	links   [4]string // the paths of the links in live/NAME
	read    [4]string // where they led when the lineage was loaded or deployed
	archive string
}

// ErrNone says that there is no lineage of that name.
var ErrNone = errors.New("no such lineage")

type noneError struct{ name, path string }

func (e *noneError) Is(target error) bool { return target == ErrNone }
func (e *noneError) Error() string {
	return fmt.Sprintf("no certificate found with name %s (expected %s): 'certificates' lists those there are", e.name, e.path)
}

// Names lists the lineages, sorted; they need not be readable.
func (s Store) Names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, "renewal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".conf"); ok && !strings.HasPrefix(name, ".") && name != "" {
			names = append(names, name)
		}
	}
	// By file name, as Certbot sorts them, not by certificate name.
	return names, nil
}

// Load reads a lineage and checks that its links lead to files. The error wraps
// [ErrNone] when there is no renewal/NAME.conf.
func (s Store) Load(name string) (*Lineage, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	path := s.ConfPath(name)
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &noneError{name, path}
	}
	if err != nil {
		return nil, err
	}
	conf, err := configobj.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	l := &Lineage{Name: name, Conf: conf, store: s, archive: conf.String("archive_dir")}
	if l.archive == "" {
		l.archive = s.archive(name)
	}
	for i, kind := range kinds {
		if l.links[i] = conf.String(kind); !filepath.IsAbs(l.links[i]) {
			return nil, fmt.Errorf("%s is missing the absolute path of %s", path, kind)
		}
	}
	return l, l.checkLinks()
}

func (l *Lineage) checkLinks() (err error) {
	for i, link := range l.links {
		if l.read[i], err = os.Readlink(link); err != nil {
			return fmt.Errorf("expected %s to be a symlink%s", link, l.moved(link))
		}
		if _, err := os.Stat(link); err != nil {
			return fmt.Errorf("the target of symlink %s cannot be read: %w", link, errors.Unwrap(err))
		}
	}
	return nil
}

// moved is a remedy for a configuration directory that was copied elsewhere.
func (l *Lineage) moved(link string) string {
	here, err := filepath.Abs(l.store.Dir)
	if err != nil || strings.HasPrefix(link, here+string(filepath.Separator)) {
		return ""
	}
	return fmt.Sprintf("; %s names files of another directory than %s: copy it back there, or correct the paths in it", l.store.ConfPath(l.Name), here)
}

// CheckName tells whether name can be a certificate name, which is the name of a
// file.
func CheckName(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00\n\r") || strings.HasPrefix(name, ".") || len(name) > 240 {
		return fmt.Errorf("%q cannot be a certificate name; give one without slashes that does not begin with a dot", name)
	}
	return nil
}

// Live is the directory of the links.
func (l *Lineage) Live() string { return filepath.Dir(l.links[cert]) }

// Cert, Privkey, Chain and Fullchain are the paths of the files in use.
func (l *Lineage) Cert() string      { return l.links[cert] }
func (l *Lineage) Privkey() string   { return l.links[privkey] }
func (l *Lineage) Chain() string     { return l.links[chain] }
func (l *Lineage) Fullchain() string { return l.links[fullchain] }

// Archive is the directory of all versions.
func (l *Lineage) Archive() string { return l.archive }

// Params are the settings that the lineage was obtained with; nil for none.
func (l *Lineage) Params() *configobj.Section { return l.Conf.Section.Section(settings.Section) }

// Server is the ACME server it was obtained from.
func (l *Lineage) Server() string { return l.Params().String("server") }

// Certificate is the certificate in use.
func (l *Lineage) Certificate() (*x509.Certificate, error) { return readCert(l.links[cert]) }

// Issuer is the certificate of the issuer of the one in use.
func (l *Lineage) Issuer() (*x509.Certificate, error) { return readCert(l.links[chain]) }

// Key is the private key in use.
func (l *Lineage) Key() (crypto.Signer, error) { return certificate.LoadKey(l.links[privkey]) }

func readCert(path string) (*x509.Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := certificate.ParseChain(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs[0], nil
}

// Names lists what a certificate certifies in Certbot's order: the common name,
// then the others as they stand in it.
func Names(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if i := slices.Index(names, c.Subject.CommonName); i > 0 {
		names = append([]string{names[i]}, slices.Delete(names, i, i+1)...)
	}
	return names
}

// verify checks that the files of one version belong together: the key is the
// certificate's, and the chain begins with its issuer.
func verify(dir func(kind int) string) (*x509.Certificate, error) {
	c, err := readCert(dir(cert))
	if err != nil {
		return nil, err
	}
	key, err := certificate.LoadKey(dir(privkey))
	if err != nil {
		return nil, err
	}
	if !certificate.KeyMatches(c, key) {
		return nil, fmt.Errorf("%s is not the private key of %s", dir(privkey), dir(cert))
	}
	full, err := readCert(dir(fullchain))
	if err != nil {
		return nil, err
	}
	if !full.Equal(c) {
		return nil, fmt.Errorf("%s does not begin with %s", dir(fullchain), dir(cert))
	}
	issuer, err := readCert(dir(chain))
	if err != nil {
		return nil, err
	}
	if err := c.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("%s does not begin with the issuer of %s: %w", dir(chain), dir(cert), err)
	}
	return c, nil
}

// Verify checks that the files in use belong together.
func (l *Lineage) Verify() (*x509.Certificate, error) {
	return verify(func(kind int) string { return l.links[kind] })
}

// Has tells whether path is one of the lineage's certificate files: a link in use,
// or a version in the archive.
func (l *Lineage) Has(path string) bool {
	if path == l.links[cert] || path == l.links[fullchain] {
		return true
	}
	kind, _, ok := parseFile(filepath.Base(path))
	return ok && (kind == cert || kind == fullchain) && filepath.Dir(path) == l.archive
}

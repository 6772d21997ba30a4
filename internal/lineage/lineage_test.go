package lineage

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/settings"
)

var serial int64

// issue makes a certificate by a throw-away CA.
func issue(t *testing.T, names ...string) Material {
	t.Helper()
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	serial++
	ca := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 9999)}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, _ := certificate.MarshalKey(key)
	return Material{Cert: pemOf(t, der), Chain: pemOf(t, caDER), Key: keyPEM}
}

func pemOf(t *testing.T, der []byte) []byte {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.MarshalChain(c)
}

func create(t *testing.T) (Store, *Lineage) {
	t.Helper()
	s := Store{t.TempDir()}
	set := settings.Default()
	set.Authenticator = "standalone"
	if _, err := s.Create("a.example.org", issue(t, "a.example.org"), set); err != nil {
		t.Fatal(err)
	}
	return s, load(t, s)
}

func load(t *testing.T, s Store) *Lineage {
	t.Helper()
	l, err := s.Load("a.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// inUse checks that the lineage is usable, at the version.
func inUse(t *testing.T, l *Lineage, version int) {
	t.Helper()
	if v, ok := l.Version(); !ok || v != version {
		t.Errorf("version %d (agreed %v) is in use, want %d", v, ok, version)
	}
	if _, err := l.Verify(); err != nil {
		t.Error(err)
	}
}

func tree(t *testing.T, dir string) []string {
	var all []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, _ := d.Info()
		rel, _ := filepath.Rel(dir, path)
		line := info.Mode().String() + " " + rel
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
		all = append(all, line)
		return nil
	})
	return all[1:]
}

func TestNewLineageIsLaidOutAsCertbotLaysItOut(t *testing.T) {
	s, l := create(t)
	want := []string{
		"drwx------ archive",
		"drwxr-xr-x archive/a.example.org",
		"-rw-r--r-- archive/a.example.org/cert1.pem",
		"-rw-r--r-- archive/a.example.org/chain1.pem",
		"-rw-r--r-- archive/a.example.org/fullchain1.pem",
		"-rw------- archive/a.example.org/privkey1.pem",
		"drwx------ live",
		"-rw-r--r-- live/README",
		"drwxr-xr-x live/a.example.org",
		"-rw-r--r-- live/a.example.org/README",
		"Lrwxrwxrwx live/a.example.org/cert.pem -> ../../archive/a.example.org/cert1.pem",
		"Lrwxrwxrwx live/a.example.org/chain.pem -> ../../archive/a.example.org/chain1.pem",
		"Lrwxrwxrwx live/a.example.org/fullchain.pem -> ../../archive/a.example.org/fullchain1.pem",
		"Lrwxrwxrwx live/a.example.org/privkey.pem -> ../../archive/a.example.org/privkey1.pem",
		"drwxr-xr-x renewal",
		"-rw-r--r-- renewal/a.example.org.conf",
	}
	if got := tree(t, s.Dir); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	inUse(t, l, 1)
}

func TestTakenNameGetsANumber(t *testing.T) {
	s, _ := create(t)
	for _, want := range []string{"a.example.org-0001", "a.example.org-0002"} {
		l, err := s.Create("a.example.org", issue(t, "a.example.org"), settings.Default())
		if err != nil || l.Name != want {
			t.Errorf("%v, %v; want %s", l, err, want)
		}
	}
}

func TestDeployKeepsWhatAnAdminPutThere(t *testing.T) {
	s, l := create(t)
	live := l.Live()
	os.WriteFile(filepath.Join(live, "dhparam.pem"), []byte("mine"), 0o640)
	os.Symlink("privkey.pem", filepath.Join(live, "server.key"))
	os.Chmod(live, 0o750)
	conf, err := os.ReadFile(s.ConfPath(l.Name))
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.Add(issue(t, "a.example.org"))
	if err != nil || v != 2 {
		t.Fatal(v, err)
	}
	inUse(t, l, 1)
	if p, ok := l.Pending(); !ok || p != 2 {
		t.Errorf("Pending: %d %v", p, ok)
	}
	old, _ := os.Stat(live)
	if err := l.Deploy(2); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Stat(live); os.SameFile(old, now) {
		t.Error("the links were changed one by one")
	}
	inUse(t, load(t, s), 2)
	want := []string{
		"-rw-r--r-- README",
		"Lrwxrwxrwx cert.pem -> ../../archive/a.example.org/cert2.pem",
		"Lrwxrwxrwx chain.pem -> ../../archive/a.example.org/chain2.pem",
		"-rw-r----- dhparam.pem",
		"Lrwxrwxrwx fullchain.pem -> ../../archive/a.example.org/fullchain2.pem",
		"Lrwxrwxrwx privkey.pem -> ../../archive/a.example.org/privkey2.pem",
		"Lrwxrwxrwx server.key -> privkey.pem",
	}
	if got := tree(t, live); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if info, _ := os.Stat(live); info.Mode().Perm() != 0o750 {
		t.Errorf("the mode of %s is now %v", live, info.Mode())
	}
	if err := l.WriteConf(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(s.ConfPath(l.Name)); !bytes.Equal(conf, again) {
		t.Errorf("the conf changed to\n%s", again)
	}
	if stray, _ := filepath.Glob(filepath.Join(s.Dir, "live", ".*")); len(stray) > 0 {
		t.Errorf("left behind: %v", stray)
	}
}

func TestDirectoryInLiveMakesLinksChangeOneByOne(t *testing.T) {
	_, l := create(t)
	os.Mkdir(filepath.Join(l.Live(), "subdir"), 0o755)
	if _, err := l.Add(issue(t, "a.example.org")); err != nil {
		t.Fatal(err)
	}
	if err := l.Deploy(2); err != nil {
		t.Fatal(err)
	}
	inUse(t, l, 2)
	if _, err := os.Stat(filepath.Join(l.Live(), "subdir")); err != nil {
		t.Error(err)
	}
}

func TestHealMendsLinksOfDifferentVersions(t *testing.T) {
	s, l := create(t)
	if _, err := l.Add(issue(t, "a.example.org")); err != nil {
		t.Fatal(err)
	}
	replaceLink("../../archive/a.example.org/cert2.pem", l.Cert())
	replaceLink("../../archive/a.example.org/chain2.pem", l.Chain())
	l = load(t, s)
	// Certbot leaves such notes when it dies between two links.
	os.Symlink("x", filepath.Join(l.Live(), "previous_cert.pem"))
	if healed, err := l.Heal(); err != nil || !healed {
		t.Fatal(healed, err)
	}
	inUse(t, l, 2)
	if _, err := os.Lstat(filepath.Join(l.Live(), "previous_cert.pem")); err == nil {
		t.Error("previous_cert.pem is still there")
	}
	if healed, err := l.Heal(); err != nil || healed {
		t.Errorf("a whole lineage is healed again (%v)", err)
	}
}

func TestVersionThatWasCutShortIsPassedOver(t *testing.T) {
	_, l := create(t)
	m := issue(t, "a.example.org")
	os.WriteFile(l.file(cert, 2), m.Cert, 0o644)
	os.WriteFile(l.file(chain, 2), m.Chain, 0o644)
	if v, ok := l.Pending(); ok {
		t.Errorf("version %d is pending", v)
	}
	if v, _, err := l.Newest(); err != nil || v != 1 {
		t.Error(v, err)
	}
	if v, err := l.Add(issue(t, "a.example.org")); err != nil || v != 3 {
		t.Error(v, err)
	}
	if err := l.Deploy(3); err != nil {
		t.Fatal(err)
	}
	inUse(t, l, 3)
}

func TestKeyOfAnotherCertificateIsNeverStored(t *testing.T) {
	s, l := create(t)
	m := issue(t, "a.example.org")
	m.Key = issue(t, "a.example.org").Key
	before := tree(t, s.Dir)
	if _, err := l.Add(m); err == nil {
		t.Error("Add took it")
	}
	if _, err := s.Create("b.example.org", m, settings.Default()); err == nil {
		t.Error("Create took it")
	}
	if after := tree(t, s.Dir); !slices.Equal(before, after) {
		t.Errorf("got\n%s", strings.Join(after, "\n"))
	}
}

func TestKeyKeepsGroupAndMode(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file to a group that it is not in")
	}
	_, l := create(t)
	os.Chmod(l.file(privkey, 1), 0o640)
	os.Chown(l.file(privkey, 1), -1, 4242)
	if _, err := l.Add(issue(t, "a.example.org")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(l.file(privkey, 2))
	if err != nil || info.Mode() != 0o640 || info.Sys().(*syscall.Stat_t).Gid != 4242 {
		t.Error(info.Mode(), info.Sys(), err)
	}
}

func TestReusedKeyIsACopy(t *testing.T) {
	_, l := create(t)
	m := issue(t, "a.example.org")
	m.Key = nil
	first, _ := os.ReadFile(l.file(privkey, 1))
	for v := 2; v <= 3; v++ {
		if _, err := l.Add(m); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(l.file(privkey, v))
		if data, _ := os.ReadFile(l.file(privkey, v)); err != nil || info.Mode() != 0o600 || !bytes.Equal(data, first) {
			t.Error(info, err)
		}
	}
}

// TestOldVersionsGo keeps five below the one in use, and a key that one of them leads
// to, as earlier programs made it for a key that is reused.
func TestOldVersionsGo(t *testing.T) {
	_, l := create(t)
	for v := 2; v <= 9; v++ {
		if _, err := l.Add(issue(t, "a.example.org")); err != nil {
			t.Fatal(err)
		}
		if v == 6 {
			os.Remove(l.file(privkey, 6))
			if err := os.Symlink("privkey1.pem", l.file(privkey, 6)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Deploy(8); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(l.Archive())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "cert") || strings.HasPrefix(e.Name(), "privkey") {
			left = append(left, e.Name())
		}
	}
	want := "cert3.pem cert4.pem cert5.pem cert6.pem cert7.pem cert8.pem cert9.pem privkey1.pem privkey3.pem privkey4.pem privkey5.pem privkey6.pem privkey7.pem privkey8.pem privkey9.pem"
	if got := strings.Join(left, " "); got != want {
		t.Errorf("left is %s", got)
	}
}

func TestRecoverClearsAHalfMadeLineage(t *testing.T) {
	s, l := create(t)
	os.WriteFile(s.marker(l.Name), nil, 0o600) // its removal was cut short; all is well
	os.WriteFile(s.marker("b.example.org"), nil, 0o600)
	os.MkdirAll(s.archive("b.example.org"), 0o755)
	os.WriteFile(filepath.Join(s.archive("b.example.org"), "cert1.pem"), nil, 0o644)
	os.Mkdir(filepath.Join(s.Dir, "live", scratch+"a.example.org-1"), 0o755)
	want := len(tree(t, s.Dir)) - 5
	if err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, s.Dir); len(got) != want {
		t.Errorf("left:\n%s", strings.Join(got, "\n"))
	}
	inUse(t, load(t, s), 1)
}

func TestFilesNobodyKnowsOfAreNotOverwritten(t *testing.T) {
	s := Store{t.TempDir()}
	os.MkdirAll(s.archive("a.example.org"), 0o755)
	os.WriteFile(filepath.Join(s.archive("a.example.org"), "privkey1.pem"), []byte("precious"), 0o600)
	if _, err := s.Create("a.example.org", issue(t, "a.example.org"), settings.Default()); err == nil || !strings.Contains(err.Error(), "move that directory away") {
		t.Error(err)
	}
}

func TestDeleteStaysAtHome(t *testing.T) {
	s, l := create(t)
	elsewhere := t.TempDir()
	precious := filepath.Join(elsewhere, "precious")
	os.WriteFile(precious, nil, 0o644)
	os.Symlink(elsewhere, filepath.Join(l.Live(), "elsewhere"))
	os.Remove(l.Chain())
	os.Symlink(precious, l.Chain())
	if err := s.Delete(l.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(l.Archive()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := s.Delete(l.Name); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestBrokenConfs(t *testing.T) {
	s, l := create(t)
	for _, text := range []string{"garbage", "", "cert = /x\n", "\x00\xff", "[a]\n[[[b]]]"} {
		os.WriteFile(s.ConfPath(l.Name), []byte(text), 0o644)
		if _, err := s.Load(l.Name); err == nil {
			t.Errorf("%q is read without an error", text)
		}
	}
	for _, name := range []string{"../x", "", ".x", "a/b"} {
		if _, err := s.Load(name); err == nil {
			t.Errorf("%q is taken for a certificate name", name)
		}
		if err := s.Delete(name); err == nil {
			t.Errorf("%q is taken for a certificate name to delete", name)
		}
	}
}

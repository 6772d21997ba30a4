package account

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const server = "https://ca.example.org:14000/dir"

func open(t *testing.T) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, server)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestAccountIsKeptAsCertbotKeepsIt(t *testing.T) {
	s, dir := open(t)
	key, resumed, err := s.PendingKey()
	if err != nil || resumed {
		t.Fatal(err, resumed)
	}
	a := Account{Key: key, URL: "https://ca.example.org/acct/1", Created: time.Now(), Host: "here"}
	if err := s.Save(&a); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "accounts", "ca.example.org:14000", "dir", a.ID)
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o700, keyFile: 0o400, regrFile: 0o644, metaFile: 0o644} {
		info, err := os.Stat(filepath.Join(base, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", name, info, err, mode)
		}
	}
	all, err := s.List()
	if err != nil || len(all) != 1 || all[0].URL != a.URL || all[0].ID != a.ID {
		t.Fatalf("List: %+v, %v", all, err)
	}
	if !all[0].Key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
		t.Error("another key came back")
	}
	if _, err := s.Load("ffff"); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "choose with --account one of "+a.ID) {
		t.Error(err)
	}
	entries, _ := os.ReadDir(filepath.Dir(base))
	if len(entries) != 1 {
		t.Errorf("something is left behind: %v", entries)
	}
	if err := s.Delete(a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(a.ID); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestRegistrationCutShortGoesOnWithItsKey(t *testing.T) {
	s, _ := open(t)
	first, _, err := s.PendingKey()
	if err != nil {
		t.Fatal(err)
	}
	second, resumed, err := s.PendingKey()
	if err != nil || !resumed || !second.(interface{ Equal(crypto.PrivateKey) bool }).Equal(first) {
		t.Errorf("the key of the first attempt is lost (resumed %v, %v)", resumed, err)
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("a pending key is taken for an account: %v, %v", all, err)
	}
}

func TestRSAKeysAreRead(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data, err := marshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseKey(data)
	if err != nil || !back.(*rsa.PrivateKey).Equal(key) {
		t.Error(err)
	}
}

func TestServerPathsStayBelowAccounts(t *testing.T) {
	s, err := Open("/etc/letsencrypt", "https://ca.example.org/../../../x")
	if err != nil || s.dir != "/etc/letsencrypt/accounts/x" {
		t.Error(s, err)
	}
	if _, err := Open("/x", "not a url"); err == nil {
		t.Error("no error for a server that is no URL")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(`{"kty":"EC","crv":"P-256","d":"eJ7nyx64GrxM4iH7Z64WRYe4oZIqICeWDUlv8xlxXAE"}`))
	f.Add([]byte(`{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parseKey(data)
		if err != nil {
			return
		}
		again, err := marshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseKey(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// FuzzLoad reads accounts as they may come from another machine.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"body": {"contact": ["mailto:a@example.org"]}, "uri": "https://ca.example.org/acct/1"}`), []byte(`{"creation_dt": "2026-01-02T03:04:05Z", "creation_host": "here"}`))
	f.Add([]byte(`{"uri": 7}`), []byte(`[]`))
	key := []byte(`{"kty":"EC","crv":"P-256","d":"eJ7nyx64GrxM4iH7Z64WRYe4oZIqICeWDUlv8xlxXAE"}`)
	f.Fuzz(func(t *testing.T, regr, meta []byte) {
		dir := t.TempDir()
		s, err := Open(dir, server)
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, "accounts", "ca.example.org:14000", "dir", "id")
		os.MkdirAll(at, 0o700)
		for name, data := range map[string][]byte{keyFile: key, regrFile: regr, metaFile: meta} {
			if err := os.WriteFile(filepath.Join(at, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if a, err := s.Load("id"); err == nil && (a.URL == "" || a.Key == nil) {
			t.Errorf("half an account: %+v", a)
		}
	})
}

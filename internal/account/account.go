// Package account keeps ACME accounts where Certbot keeps them: one directory per
// server below accounts/, and in it one per account, with private_key.json (a JWK,
// RFC 7517), regr.json and meta.json. Either program can go on with an account that
// the other made.
//
// An account is written whole or not at all. Its key is on disk before the CA hears
// of it (see [Store.PendingKey]), so that a kill between the CA's answer and the
// last write cannot lose a registration whose EAB credentials work only once.
package account

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/durable"
)

const (
	keyFile  = "private_key.json"
	regrFile = "regr.json"
	metaFile = "meta.json"

	// pendingFile holds the key of a registration that has begun. Certbot takes
	// only directories for accounts.
	pendingFile = ".pending-private_key.json"
)

// Account is a key pair registered at a CA.
type Account struct {
	ID      string // as Certbot has it: see [ID]
	Key     crypto.Signer
	URL     string    // RFC 8555 §7.3: the account URL, which is the "kid" of requests
	Created time.Time // UTC
	Host    string    // where it was made
}

// ID is the name of an account's directory: the MD5 sum of its public key in PEM.
// It identifies, it does not protect.
func ID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	sum := md5.Sum(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return hex.EncodeToString(sum[:]), nil
}

// Store holds the accounts at one server.
type Store struct {
	dir string
}

// ErrNone says that there is no such account.
var ErrNone = errors.New("no such account")

// Open returns the store for a server's directory URL. It touches nothing.
func Open(configDir, server string) (*Store, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of an ACME server", server)
	}
	below := filepath.Clean("/" + u.Host + u.Path) // Clean keeps ".." from leaving it
	return &Store{dir: filepath.Join(configDir, "accounts", below)}, nil
}

// List returns the accounts that can be read, in the order of their IDs.
func (s *Store) List() ([]Account, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Account
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// Other files, and directories of servers whose URL goes deeper, are not ours.
		if a, err := s.load(e.Name()); err == nil {
			all = append(all, a)
		} else if !errors.Is(err, ErrNone) {
			return nil, err
		}
	}
	return all, nil
}

// Load reads one account. The error wraps [ErrNone] when there is none of that ID, and
// tells those there are.
func (s *Store) Load(id string) (Account, error) {
	a, err := s.load(id)
	if !errors.Is(err, ErrNone) {
		return a, err
	}
	all, _ := s.List()
	if len(all) == 0 {
		return a, fmt.Errorf("%w, nor any other; make one with the register command", err)
	}
	ids := make([]string, len(all))
	for i, a := range all {
		ids[i] = a.ID
	}
	return a, fmt.Errorf("%w; choose with --account one of %s", err, strings.Join(ids, ", "))
}

func (s *Store) load(id string) (Account, error) {
	dir := filepath.Join(s.dir, filepath.Base(id))
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) || filepath.Base(id) != id {
		return Account{}, fmt.Errorf("%w: %s", ErrNone, id)
	}
	if err != nil {
		return Account{}, err
	}
	a := Account{ID: id}
	if a.Key, err = parseKey(key); err != nil {
		return Account{}, fmt.Errorf("reading %s: %w", filepath.Join(dir, keyFile), err)
	}
	var regr struct {
		URI string `json:"uri"`
	}
	if err := readJSON(filepath.Join(dir, regrFile), &regr); err != nil {
		return Account{}, err
	}
	if regr.URI == "" {
		return Account{}, fmt.Errorf("%s has no account URL in \"uri\"", filepath.Join(dir, regrFile))
	}
	a.URL = regr.URI
	var m meta
	if readJSON(filepath.Join(dir, metaFile), &m) == nil { // it only serves display
		a.Created, a.Host = m.Created, m.Host
	}
	return a, nil
}

type meta struct {
	Created time.Time `json:"creation_dt"`
	Host    string    `json:"creation_host"`
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// PendingKey returns the key with which a registration at this server is to be
// made: the one of an earlier attempt that was cut short, which the CA may know
// already (resumed is then true), or a new one. It is durable before it returns.
func (s *Store) PendingKey() (key crypto.Signer, resumed bool, err error) {
	path := filepath.Join(s.dir, pendingFile)
	if data, err := os.ReadFile(path); err == nil {
		if key, err := parseKey(data); err == nil {
			return key, true, nil
		}
		os.Remove(path) // written by somebody else; ours are never half written
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, false, err
	}
	// P-256: smaller requests and hundreds of times less work than RSA, and Certbot
	// goes on with such an account (its client signs with ES256).
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, false, err
	}
	data, err := marshalKey(key)
	if err != nil {
		return nil, false, err
	}
	if err := durable.CreateFile(path, data, 0o600); err != nil {
		return nil, false, err
	}
	return key, false, durable.SyncDir(s.dir)
}

// DropPending forgets the pending key, after the CA refused it for good.
func (s *Store) DropPending() { os.Remove(filepath.Join(s.dir, pendingFile)) }

// Save stores a registered account in one step and forgets its pending key. It
// sets the ID of a.
func (s *Store) Save(a *Account) error {
	id, err := ID(a.Key.Public())
	if err != nil {
		return err
	}
	a.ID = id
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(s.dir, ".new-") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	key, err := marshalKey(a.Key)
	if err != nil {
		return err
	}
	regr, _ := json.Marshal(map[string]any{"body": struct{}{}, "uri": a.URL})
	about, _ := json.Marshal(meta{a.Created.UTC().Truncate(time.Second), a.Host})
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{{keyFile, key, 0o400}, {regrFile, regr, 0o644}, {metaFile, about, 0o644}} {
		if err := durable.CreateFile(filepath.Join(tmp, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(s.dir, id)); err != nil {
		return err
	}
	if err := durable.SyncDir(s.dir); err != nil {
		return err
	}
	s.DropPending()
	return nil
}

// Delete removes an account's directory.
func (s *Store) Delete(id string) error {
	if _, err := s.Load(id); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(s.dir, id)); err != nil {
		return err
	}
	os.Remove(s.dir) // when it was the last one
	return nil
}

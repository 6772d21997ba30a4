// Package acmedns tells an acme-dns server (https://github.com/joohoi/acme-dns) the TXT
// values of a name that _acme-challenge is an alias of.
//
// Accounts are in a JSON file of the form that lego and acme-dns-client have: an object
// with the domain as key. The server keeps the last two values of a name and forgets
// older ones by itself, so nothing is removed.
package acmedns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"vidimus/internal/authenticator/dns/provider"
)

// Account is one name at the server.
type Account struct {
	FullDomain string `json:"fulldomain"`
	SubDomain  string `json:"subdomain"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	ServerURL  string `json:"server_url"`
}

// Server is an acme-dns server.
type Server struct {
	BaseURL  string             // where Account.ServerURL is empty
	Accounts map[string]Account // by domain
	HTTP     *http.Client       // nil for the default
}

var _ provider.Provider = (*Server)(nil)

const (
	maxFile = 16 << 20 // bytes
	maxBody = 64 << 10
	timeout = 30 * time.Second
)

// New reads the accounts from a file.
func New(baseURL, file string) (*Server, error) {
	if baseURL != "" {
		if u, err := url.Parse(baseURL); err != nil || u.Host == "" {
			return nil, fmt.Errorf("the address of the acme-dns server, %q, is not a URL like https://auth.example.org", baseURL)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the accounts at the acme-dns server cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("the accounts at the acme-dns server cannot be read: %w", err)
	}
	accounts, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("the file %s does not hold accounts at an acme-dns server: %w", file, err)
	}
	return &Server{BaseURL: strings.TrimSuffix(baseURL, "/"), Accounts: accounts}, nil
}

func parse(data []byte) (map[string]Account, error) {
	var accounts map[string]Account
	if err := json.Unmarshal(data, &accounts); err != nil {
		return nil, err
	}
	for domain, a := range accounts {
		if a.SubDomain == "" || a.Username == "" || a.Password == "" {
			return nil, fmt.Errorf("the account of %s lacks subdomain, username or password", domain)
		}
	}
	return accounts, nil
}

// Add implements [provider.Provider].
func (s *Server) Add(ctx context.Context, r provider.Record) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(a.ServerURL, "/")
	if base == "" {
		base = s.BaseURL
	}
	if base == "" {
		return fmt.Errorf("the acme-dns server of %s is not known: set ACME_DNS_API_BASE", r.Domain)
	}
	body, err := json.Marshal(map[string]string{"subdomain": a.SubDomain, "txt": r.Value})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/update", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-User", a.Username)
	req.Header.Set("X-Api-Key", a.Password)
	client := s.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the acme-dns server: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading the acme-dns server's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the acme-dns server %s answered %d to the update for %s: %.200q", base, resp.StatusCode, r.Domain, answer)
	}
	return nil
}

// Remove implements [provider.Provider]; the server has no way to.
func (s *Server) Remove(context.Context, provider.Record) error { return nil }

// account finds the account by the name that the alias leads to, else by the domain.
func (s *Server) account(r provider.Record) (Account, error) {
	for _, a := range s.Accounts {
		if a.FullDomain != "" && strings.EqualFold(strings.TrimSuffix(a.FullDomain, "."), r.Name) {
			return a, nil
		}
	}
	a, ok := s.Accounts[r.Domain]
	switch {
	case !ok:
		return a, fmt.Errorf("there is no account at the acme-dns server for %s: register one there (POST /register), put it into the file under that name, and make _acme-challenge.%s an alias (CNAME) of its fulldomain", r.Domain, r.Domain)
	case a.FullDomain != "":
		return a, fmt.Errorf("_acme-challenge.%s leads to %s, not to %s at the acme-dns server: make it an alias (CNAME) of that", r.Domain, r.Name, a.FullDomain)
	}
	return a, nil
}

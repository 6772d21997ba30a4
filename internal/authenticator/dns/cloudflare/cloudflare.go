// Package cloudflare changes a zone over the API of Cloudflare
// (https://developers.cloudflare.com/api/resources/dns/).
package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"vidimus/internal/authenticator/dns/provider"
)

// API is where the real service is.
const API = "https://api.cloudflare.com/client/v4"

// Account is the access to an account: an API token, or the e-mail address and the
// global key of its owner.
type Account struct {
	BaseURL string // [API]
	Token   string
	Email   string
	Key     string
	HTTP    *http.Client // nil for one with a time-out

	mu    sync.Mutex
	zones map[string]string // zone IDs by name; guarded by mu
}

var _ provider.Provider = (*Account)(nil)

const (
	ttl     = 120     // seconds
	maxBody = 4 << 20 // bytes
	timeout = 30 * time.Second
	// identical is the code of the error for a record that is there already.
	identical = 81058
)

// message is what an answer may hold.
type message struct {
	Success bool `json:"success"`
	Errors  []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Chain   []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error_chain"`
	} `json:"errors"`
	Result json.RawMessage `json:"result"`
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	codes  []int
	text   string
}

func (r *refusal) Error() string {
	hint := ""
	for _, code := range r.codes {
		switch code {
		case 6003, 6111, 9103, 9106, 9109, 10000, 10001:
			hint = ": check that the API token is right and may do Zone:DNS:Edit for this zone"
		}
	}
	if hint == "" && (r.status == http.StatusForbidden || r.status == http.StatusUnauthorized) {
		hint = ": check that the API token is right and may do Zone:DNS:Edit for this zone"
	}
	return fmt.Sprintf("Cloudflare answered %d, %s%s", r.status, r.text, hint)
}

// Add implements [provider.Provider].
func (a *Account) Add(ctx context.Context, r provider.Record) error {
	zone, err := a.zone(ctx, r.Name)
	if err == nil {
		body := map[string]any{"type": "TXT", "name": r.Name, "content": `"` + r.Value + `"`, "ttl": ttl}
		err = a.call(ctx, http.MethodPost, "/zones/"+zone+"/dns_records", nil, body, nil)
		var no *refusal
		if errors.As(err, &no) && has(no.codes, identical) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("adding a TXT value of %s: %w", r.Name, err)
	}
	return nil
}

// Remove implements [provider.Provider].
func (a *Account) Remove(ctx context.Context, r provider.Record) error {
	if err := a.remove(ctx, r); err != nil {
		return fmt.Errorf("removing a TXT value of %s: %w", r.Name, err)
	}
	return nil
}

func (a *Account) remove(ctx context.Context, r provider.Record) error {
	zone, err := a.zone(ctx, r.Name)
	if err != nil {
		return err
	}
	var records []struct{ ID, Type, Name, Content string }
	query := url.Values{"type": {"TXT"}, "name": {r.Name}, "per_page": {"100"}}
	if err := a.call(ctx, http.MethodGet, "/zones/"+zone+"/dns_records", query, nil, &records); err != nil {
		return err
	}
	for _, rec := range records {
		if rec.Type != "TXT" || !strings.EqualFold(rec.Name, r.Name) || strings.Trim(rec.Content, `"`) != r.Value {
			continue
		}
		err := a.call(ctx, http.MethodDelete, "/zones/"+zone+"/dns_records/"+url.PathEscape(rec.ID), nil, nil, nil)
		var no *refusal
		if err != nil && !(errors.As(err, &no) && no.status == http.StatusNotFound) {
			return err
		}
	}
	return nil
}

func has(codes []int, want int) bool {
	for _, c := range codes {
		if c == want {
			return true
		}
	}
	return false
}

// zone finds the zone of the account that a name is in: the longest that is a suffix.
func (a *Account) zone(ctx context.Context, name string) (string, error) {
	for at := name; at != ""; {
		a.mu.Lock()
		id, known := a.zones[at]
		a.mu.Unlock()
		if !known {
			var found []struct{ ID, Name string }
			if err := a.call(ctx, http.MethodGet, "/zones", url.Values{"name": {at}, "per_page": {"1"}}, nil, &found); err != nil {
				return "", err
			}
			for _, z := range found {
				if strings.EqualFold(z.Name, at) {
					id = url.PathEscape(z.ID)
				}
			}
			a.mu.Lock()
			if a.zones == nil {
				a.zones = make(map[string]string)
			}
			a.zones[at] = id
			a.mu.Unlock()
		}
		if id != "" {
			return id, nil
		}
		_, at, _ = strings.Cut(at, ".")
	}
	return "", errors.New("this Cloudflare account has no zone with that name: check that the token may do Zone:Zone:Read, and that the domain is in the account")
}

// call makes one request and decodes its result into out, unless that is nil.
func (a *Account) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var send io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(data)
	}
	at := a.BaseURL + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, at, send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	} else {
		req.Header.Set("X-Auth-Email", a.Email)
		req.Header.Set("X-Auth-Key", a.Key)
	}
	client := a.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking Cloudflare: %w", err)
	}
	defer resp.Body.Close()
	return read(resp, out)
}

func read(resp *http.Response, out any) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading Cloudflare's answer: %w", err)
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return &refusal{status: resp.StatusCode, text: "and no JSON"}
	}
	if !m.Success || resp.StatusCode >= 300 {
		no := &refusal{status: resp.StatusCode}
		for _, e := range m.Errors {
			no.codes = append(no.codes, e.Code)
			no.text += fmt.Sprintf("%s (%d) ", oneLine(e.Message), e.Code)
			for _, c := range e.Chain {
				no.codes = append(no.codes, c.Code)
				no.text += fmt.Sprintf("%s (%d) ", oneLine(c.Message), c.Code)
			}
		}
		if no.text = strings.TrimSpace(no.text); no.text == "" {
			no.text = "without a reason"
		}
		return no
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Result, out); err != nil {
		return fmt.Errorf("cannot read Cloudflare's answer: %w", err)
	}
	return nil
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}

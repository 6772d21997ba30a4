package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
)

// gehirn is the DNS of Gehirn Infrastructure Service, which Certbot has and lego does
// not; its API is documented at https://support.gehirn.jp/apidocs/. Records of one name
// and type are one object.
type gehirn struct {
	baseURL       string
	token, secret string
	client        *http.Client
}

func newGehirn(getenv func(string) string) (*gehirn, error) {
	g := &gehirn{baseURL: "https://api.gis.gehirn.jp/dns/v1", token: getenv("GEHIRN_API_TOKEN"), secret: getenv("GEHIRN_API_SECRET"),
		client: &http.Client{Timeout: 30 * time.Second}}
	if g.token == "" || g.secret == "" {
		return nil, errors.New("gehirn: set GEHIRN_API_TOKEN and GEHIRN_API_SECRET")
	}
	return g, nil
}

type gehirnZone struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"current_version_id"`
}

type gehirnRecord struct {
	ID      string       `json:"id,omitempty"`
	Name    string       `json:"name"`
	Type    string       `json:"type"`
	Alias   bool         `json:"enable_alias"`
	TTL     int          `json:"ttl"`
	Records []gehirnText `json:"records"`
}

type gehirnText struct {
	Data string `json:"data"`
}

// Present implements lego's challenge.Provider.
func (g *gehirn) Present(domain, _, keyAuth string) error {
	info := dns01.GetChallengeInfo(domain, keyAuth)
	path, rec, err := g.find(info.EffectiveFQDN)
	switch {
	case err != nil:
		return err
	case rec == nil:
		rec = &gehirnRecord{Name: info.EffectiveFQDN, Type: "TXT", TTL: 60, Records: []gehirnText{{info.Value}}}
		return g.call(http.MethodPost, path, rec, nil)
	case slices.Contains(rec.Records, gehirnText{info.Value}):
		return nil
	}
	rec.Records = append(rec.Records, gehirnText{info.Value})
	return g.call(http.MethodPut, path+"/"+rec.ID, rec, nil)
}

// CleanUp implements lego's challenge.Provider.
func (g *gehirn) CleanUp(domain, _, keyAuth string) error {
	info := dns01.GetChallengeInfo(domain, keyAuth)
	path, rec, err := g.find(info.EffectiveFQDN)
	if err != nil || rec == nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(rec.Records), func(t gehirnText) bool { return t.Data == info.Value })
	switch {
	case len(left) == len(rec.Records):
		return nil
	case len(left) == 0:
		return g.call(http.MethodDelete, path+"/"+rec.ID, nil, nil)
	}
	rec.Records = left
	return g.call(http.MethodPut, path+"/"+rec.ID, rec, nil)
}

// find returns the path of the records of the zone that a name is in, and the record of
// its TXT values, if there is one.
func (g *gehirn) find(fqdn string) (path string, rec *gehirnRecord, err error) {
	var zones []gehirnZone
	if err := g.call(http.MethodGet, "/zones", nil, &zones); err != nil {
		return "", nil, err
	}
	var zone gehirnZone
	for _, z := range zones {
		name := "." + strings.Trim(z.Name, ".") + "."
		if strings.HasSuffix("."+strings.ToLower(fqdn), strings.ToLower(name)) && len(z.Name) > len(zone.Name) {
			zone = z
		}
	}
	if zone.ID == "" {
		return "", nil, fmt.Errorf("gehirn: the account has no zone for %s", fqdn)
	}
	path = "/zones/" + url.PathEscape(zone.ID) + "/versions/" + url.PathEscape(zone.Version) + "/records"
	var all []json.RawMessage // of other types, with other fields
	if err := g.call(http.MethodGet, path, nil, &all); err != nil {
		return "", nil, err
	}
	for _, raw := range all {
		var r gehirnRecord
		if json.Unmarshal(raw, &r) == nil && r.Type == "TXT" && strings.EqualFold(r.Name, fqdn) {
			r.ID = url.PathEscape(r.ID)
			return path, &r, nil
		}
	}
	return path, nil, nil
}

func (g *gehirn) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, g.baseURL+path, body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(g.token, g.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("gehirn: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("gehirn: %w", err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("gehirn: the API answered %d: %.200q", resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("gehirn: cannot read the API's answer: %w", err)
	}
	return nil
}

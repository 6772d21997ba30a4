package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ovh/go-ovh/ovh"
)

// leftover removes a value that another process has added. Some providers of lego
// remember the numbers of the records that they have made, and can remove no others;
// for those that Certbot has too, the record is looked for here.
type leftover func(zone, name, value string) error

// leftovers finds the way for a provider, by what lego's provider reads its settings
// from; nil for providers that need none.
func leftovers(provider string, getenv func(string) string) leftover {
	switch provider {
	case "digitalocean":
		base := getenv("DO_API_URL")
		if base == "" {
			base = "https://api.digitalocean.com"
		}
		return digitalOcean(&restAPI{base: base, authorize: func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+getenv("DO_AUTH_TOKEN"))
		}})
	case "luadns":
		return luaDNS(&restAPI{base: "https://api.luadns.com/v1", authorize: func(r *http.Request) {
			r.SetBasicAuth(getenv("LUADNS_API_USERNAME"), getenv("LUADNS_API_TOKEN"))
		}})
	case "ovh":
		client, err := ovh.NewClient(getenv("OVH_ENDPOINT"), getenv("OVH_APPLICATION_KEY"), getenv("OVH_APPLICATION_SECRET"), getenv("OVH_CONSUMER_KEY"))
		if err == nil {
			return ovhDNS(client)
		}
	}
	return nil
}

// unknownRecord tells whether a provider fails only because it has not made the record.
func unknownRecord(err error) bool {
	return err != nil && strings.Contains(err.Error(), "unknown record ID")
}

func digitalOcean(api *restAPI) leftover {
	return func(zone, name, value string) error {
		var list struct {
			Records []struct {
				ID   int64  `json:"id"`
				Data string `json:"data"`
			} `json:"domain_records"`
		}
		path := "/v2/domains/" + url.PathEscape(zone) + "/records"
		if err := api.call(http.MethodGet, path+"?type=TXT&per_page=200&name="+url.QueryEscape(name), &list); err != nil {
			return err
		}
		for _, r := range list.Records {
			if r.Data == value {
				if err := api.call(http.MethodDelete, fmt.Sprintf("%s/%d", path, r.ID), nil); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func luaDNS(api *restAPI) leftover {
	return func(zone, name, value string) error {
		var zones []struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		}
		if err := api.call(http.MethodGet, "/zones", &zones); err != nil {
			return err
		}
		for _, z := range zones {
			if strings.Trim(z.Name, ".") != zone {
				continue
			}
			path := fmt.Sprintf("/zones/%d/records", z.ID)
			var records []struct {
				ID                  int64
				Name, Type, Content string
			}
			if err := api.call(http.MethodGet, path, &records); err != nil {
				return err
			}
			for _, r := range records {
				if r.Type == "TXT" && strings.EqualFold(strings.Trim(r.Name, "."), name) && strings.Trim(r.Content, `"`) == value {
					if err := api.call(http.MethodDelete, fmt.Sprintf("%s/%d", path, r.ID), nil); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
}

func ovhDNS(client *ovh.Client) leftover {
	return func(zone, name, value string) error {
		sub := strings.TrimSuffix(strings.TrimSuffix(name, zone), ".")
		base := "/domain/zone/" + url.PathEscape(zone)
		var ids []int64
		if err := client.Get(base+"/record?fieldType=TXT&subDomain="+url.QueryEscape(sub), &ids); err != nil {
			return fmt.Errorf("ovh: %w", err)
		}
		removed := false
		for _, id := range ids {
			var record struct {
				Target string `json:"target"`
			}
			at := fmt.Sprintf("%s/record/%d", base, id)
			if err := client.Get(at, &record); err != nil {
				return fmt.Errorf("ovh: %w", err)
			}
			if strings.Trim(record.Target, `"`) != value {
				continue
			}
			if err := client.Delete(at, nil); err != nil {
				return fmt.Errorf("ovh: %w", err)
			}
			removed = true
		}
		if !removed {
			return nil
		}
		if err := client.Post(base+"/refresh", nil, nil); err != nil {
			return fmt.Errorf("ovh: %w", err)
		}
		return nil
	}
}

// restAPI is a service that answers in JSON.
type restAPI struct {
	base      string
	authorize func(*http.Request)
}

func (a *restAPI) call(method, path string, out any) error {
	req, err := http.NewRequest(method, strings.TrimSuffix(a.base, "/")+path, nil)
	if err != nil {
		return err
	}
	a.authorize(req)
	req.Header.Set("Accept", "application/json")
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound && method == http.MethodDelete:
		return nil
	case resp.StatusCode >= 300:
		return fmt.Errorf("the API answered %d: %.200q", resp.StatusCode, data)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return errors.New("the API's answer cannot be read")
	}
	return nil
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// dnsPlugin is an authenticator by DNS.
type dnsPlugin struct {
	Name    string
	Short   string
	Options []dnsOption
}

type dnsOption struct{ Name, Arg, Default, Usage string }

// dnsPlugins lists the authenticators by DNS; the one called "dns" takes every
// provider.
func dnsPlugins() []dnsPlugin {
	var all []dnsPlugin
	for _, p := range [][2]string{{"cloudflare", "10"}, {"digitalocean", "10"}, {"dnsimple", "30"}, {"dnsmadeeasy", "60"}, {"gehirn", "30"}, {"google", "60"},
		{"linode", "120"}, {"luadns", "30"}, {"nsone", "30"}, {"ovh", "120"}, {"rfc2136", "60"}, {"route53", ""}, {"sakuracloud", "90"}} {
		d := dnsPlugin{Name: "dns-" + p[0], Short: "prove control with TXT records at " + p[0]}
		d.Options = append(d.Options, dnsOption{"propagation-seconds", "SECONDS", p[1], "how long to wait for the name servers, at most"})
		if p[0] != "route53" {
			d.Options = append(d.Options, dnsOption{"credentials", "FILE", "", "the credentials file"})
		}
		all = append(all, d)
	}
	return append(all, dnsPlugin{Name: "dns", Short: "prove control with TXT records at this provider", Options: []dnsOption{
		{"propagation-seconds", "SECONDS", "120", "how long to wait for the name servers, at most"}, {"credentials", "FILE", "", "the credentials file"}}})
}

// plugin is what 'plugins' tells about an authenticator.
type plugin struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Interfaces  []string `json:"interfaces"`
}

// authenticators lists all there are, those that Certbot offers in its menu first.
func authenticators() []plugin {
	is := []string{"Authenticator", "Plugin"}
	all := []plugin{
		{"standalone", "Runs an HTTP server locally which serves the necessary validation files", is},
		{"webroot", "Saves the necessary validation files to a .well-known/acme-challenge/ directory within the nominated webroot path", is},
		{"manual", "Manual configuration or run your own shell scripts", is},
	}
	for _, p := range dnsPlugins() {
		all = append(all, plugin{p.Name, strings.ToUpper(p.Short[:1]) + p.Short[1:], is})
	}
	return all
}

func authenticatorNames() []string {
	var names []string
	for _, p := range authenticators() {
		names = append(names, p.Name)
	}
	return names
}

// pair is a member of a JSON object.
type pair struct{ key, value string }

// parseMap reads a JSON object of strings, in the order it is written in.
func parseMap(text string) ([]pair, error) {
	bad := errors.New(`give a JSON object of strings, as '{"a.example.org": "/srv/a"}'`)
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	var pairs []pair
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, bad
		}
		value, err := d.Token()
		v, ok := value.(string)
		if err != nil || !ok {
			return nil, bad
		}
		pairs = append(pairs, pair{fmt.Sprint(key), v})
	}
	if _, err := d.Token(); err != nil || d.More() {
		return nil, bad
	}
	return pairs, nil
}

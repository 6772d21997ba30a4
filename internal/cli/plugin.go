package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"vidimus/internal/authenticator/dns"
)

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
	for _, p := range dns.Plugins() {
		all = append(all, plugin{p.Name, p.Short, is})
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

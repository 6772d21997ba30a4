package settings

import (
	"slices"
	"strings"

	"vidimus/internal/configobj"
)

// Param is an option of an authenticator.
type Param struct{ Name, Value string }

// PluginOption returns the value of an authenticator's option; "" is none.
func (s *Settings) PluginOption(name string) string {
	for _, p := range s.Plugin {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// SetPluginOption gives an authenticator's option a value.
func (s *Settings) SetPluginOption(name, value string) {
	for i, p := range s.Plugin {
		if p.Name == name {
			s.Plugin[i].Value = value
			return
		}
	}
	s.Plugin = append(s.Plugin, Param{name, value})
}

// prefix begins Certbot's names for the options of an authenticator. That of a third
// party was once called "dist:name".
func prefix(authenticator string) string {
	if _, name, ok := strings.Cut(authenticator, ":"); ok {
		authenticator = name
	}
	return strings.ReplaceAll(authenticator, "-", "_") + "_"
}

// isPluginOption tells whether a keyword is an option of an authenticator that this
// program may have.
func isPluginOption(key string) bool {
	return strings.HasPrefix(key, "manual_") || strings.HasPrefix(key, "dns_")
}

// restorePlugin reads the options of the authenticator that a lineage was obtained
// with, except those that the person chose for this run.
func (s *Settings) restorePlugin(params *configobj.Section) {
	begin := prefix(params.String("authenticator"))
	if !isPluginOption(begin) {
		return
	}
	var chosen []Param
	for _, p := range s.Plugin {
		if s.IsSet(p.Name) {
			chosen = append(chosen, p)
		}
	}
	s.Plugin = nil
	for _, key := range params.Keys() {
		if val := params.String(key); strings.HasPrefix(key, begin) && val != "None" && !s.IsSet(key) {
			s.Plugin = append(s.Plugin, Param{key, val})
		}
	}
	s.Plugin = append(s.Plugin, chosen...)
}

// savePlugin writes the options of the authenticator in use; with prune, those of
// other ones go.
func (s *Settings) savePlugin(params *configobj.Section, prune bool) error {
	begin := prefix(s.Authenticator)
	mine := func(name string) bool { return strings.HasPrefix(name, begin) }
	if prune {
		for _, key := range params.Keys() {
			named := func(p Param) bool { return p.Name == key && p.Value != "" }
			if isPluginOption(key) && !(mine(key) && slices.ContainsFunc(s.Plugin, named)) {
				params.Delete(key)
			}
		}
	}
	for _, p := range s.Plugin {
		if !mine(p.Name) || p.Value == "" {
			continue
		}
		if err := params.Set(p.Name, p.Value); err != nil {
			return err
		}
	}
	return nil
}

package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/configobj"
)

// Section is where Certbot keeps a lineage's settings.
const Section = "renewalparams"

// saved lists the settings of a lineage, in the order in which Certbot writes them
// into a new file, with where each lives: *bool, *int, *string or *[]string.
var saved = []struct {
	name string
	of   func(*Settings) any
}{
	{"reuse_key", func(s *Settings) any { return &s.ReuseKey }},
	{"allow_subset_of_names", func(s *Settings) any { return &s.AllowSubset }},
	{"account", func(s *Settings) any { return &s.Account }},
	{"http01_port", func(s *Settings) any { return &s.HTTP01Port }},
	{"http01_address", func(s *Settings) any { return &s.HTTP01Address }},
	{"rsa_key_size", func(s *Settings) any { return &s.RSAKeySize }},
	{"key_type", func(s *Settings) any { return &s.KeyType }},
	{"elliptic_curve", func(s *Settings) any { return &s.EllipticCurve }},
	{"must_staple", func(s *Settings) any { return &s.MustStaple }},
	{"required_profile", func(s *Settings) any { return &s.RequiredProfile }},
	{"preferred_profile", func(s *Settings) any { return &s.PreferredProfile }},
	{"preferred_chain", func(s *Settings) any { return &s.PreferredChain }},
	{"pref_challs", func(s *Settings) any { return &s.PrefChallenges }},
	{"pre_hook", func(s *Settings) any { return &s.PreHook }},
	{"post_hook", func(s *Settings) any { return &s.PostHook }},
	{"renew_hook", func(s *Settings) any { return &s.RenewHook }},
	{"autorenew", func(s *Settings) any { return &s.Autorenew }},
	{"user_agent", func(s *Settings) any { return &s.UserAgent }},
	{"config_dir", func(s *Settings) any { return &s.ConfigDir }},
	{"work_dir", func(s *Settings) any { return &s.WorkDir }},
	{"logs_dir", func(s *Settings) any { return &s.LogsDir }},
	{"server", func(s *Settings) any { return &s.Server }},
	{"authenticator", func(s *Settings) any { return &s.Authenticator }},
	{"installer", func(s *Settings) any { return &s.Installer }},
	{"webroot_path", func(s *Settings) any { return &s.WebrootPath }},
}

// retiredServer stands in files of Certbot before its release 0.22; it spoke ACME's
// first version.
const retiredServer = "https://acme-v01.api.letsencrypt.org/directory"

// webrootMap is the one setting that is a section.
const webrootMap = "webroot_map"

// Restore takes the settings of a lineage over from its file, except those that
// the person chose for this run and the directories the lineage was found by.
func (s *Settings) Restore(params *configobj.Section) error {
	if params == nil {
		return fmt.Errorf("it has no [%s]", Section)
	}
	if !params.Has("authenticator") {
		return fmt.Errorf("it does not specify an authenticator")
	}
	if !params.Has("key_type") && !s.IsSet("key_type") {
		s.KeyType = "rsa" // before its release 1.25 Certbot made RSA keys and did not say so
	}
	for _, o := range saved {
		if !params.Has(o.name) || s.IsSet(o.name) || strings.HasSuffix(o.name, "_dir") {
			continue
		}
		if err := restore(o.of(s), params, o.name); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	if s.Server == retiredServer {
		s.Server = DefaultServer
	}
	s.restorePlugin(params)
	if m := params.Section(webrootMap); m != nil && !s.IsSet(webrootMap) {
		s.WebrootMap = nil
		for _, name := range m.Keys() {
			s.WebrootMap = append(s.WebrootMap, Webroot{name, m.String(name)})
		}
	}
	return nil
}

// restore reads one setting; Certbot writes Python's None, True and False.
func restore(into any, params *configobj.Section, name string) error {
	text := params.String(name)
	if _, isList := into.(*[]string); !isList && params.IsList(name) {
		return fmt.Errorf("a single value is expected, not a list")
	}
	if text == "None" {
		return nil
	}
	switch into := into.(type) {
	case *bool:
		switch strings.ToLower(text) {
		case "true":
			*into = true
		case "false":
			*into = false
		default:
			return fmt.Errorf("expected True or False but found %q", text)
		}
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("expected a number but found %q", text)
		}
		*into = n
	case *string:
		*into = text
	case *[]string:
		*into = params.List(name)
	}
	return nil
}

// Unsupported lists the settings that a lineage has from Certbot and that are kept
// for it, but not followed.
func (s *Settings) Unsupported() []string {
	if s.Installer != "" && s.Installer != "null" { // Certbot's installer that does nothing
		return []string{"installer"}
	}
	return nil
}

// Save writes the settings that Certbot would save: those that were chosen or
// differ from their default, and always the server and the key type. With prune,
// known settings that this run does not have are removed, as for a lineage that
// gets a new command line; keywords of other programs stay.
func (s *Settings) Save(f *configobj.File, prune bool) error {
	params, err := f.AddSection(Section, "", "Options used in the renewal process")
	if err != nil {
		return err
	}
	def := Default()
	var late func() error // key_type goes last unless it was chosen
	for _, o := range saved {
		keep := s.IsSet(o.name) || o.name == "server" || !same(o.of(s), o.of(def))
		if o.name == "key_type" && !keep {
			late = func() error { return write(params, "key_type", &s.KeyType) }
			continue
		}
		if keep && !empty(o.of(s)) {
			err = write(params, o.name, o.of(s))
		} else if prune {
			params.Delete(o.name)
		}
		if err != nil {
			return err
		}
	}
	if err := s.savePlugin(params, prune); err != nil {
		return err
	}
	if late != nil {
		if err := late(); err != nil {
			return err
		}
	}
	return s.saveWebrootMap(params, prune)
}

func (s *Settings) saveWebrootMap(params *configobj.Section, prune bool) error {
	if prune {
		params.Delete(webrootMap)
	}
	if len(s.WebrootMap) == 0 {
		return nil
	}
	m, err := params.AddSection(webrootMap)
	if err != nil {
		return err
	}
	for _, w := range s.WebrootMap {
		if err := m.Set(w.Name, w.Path); err != nil {
			return err
		}
	}
	return nil
}

func write(params *configobj.Section, name string, val any) error {
	switch val := val.(type) {
	case *bool:
		if *val {
			return params.Set(name, "True")
		}
		return params.Set(name, "False")
	case *int:
		return params.Set(name, strconv.Itoa(*val))
	case *string:
		return params.Set(name, *val)
	case *[]string:
		return params.SetList(name, *val)
	}
	panic("settings: no such kind of setting")
}

func same(a, b any) bool {
	switch a := a.(type) {
	case *bool:
		return *a == *b.(*bool)
	case *int:
		return *a == *b.(*int)
	case *string:
		return *a == *b.(*string)
	case *[]string:
		return slices.Equal(*a, *b.(*[]string))
	}
	return false
}

func empty(v any) bool {
	switch v := v.(type) {
	case *string:
		return *v == ""
	case *[]string:
		return len(*v) == 0
	}
	return false
}

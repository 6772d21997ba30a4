package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vidimus/internal/authenticator/dns"
	"vidimus/internal/authenticator/webroot"
)

func (o *options) controlOptions() []*option {
	return []*option{
		{"standalone", "", "", "standalone", control, "prove control with a web server that runs while the CA looks", o.authenticator("standalone")},
		{"webroot", "", "", "webroot", control, "prove control with files in the directory of a running web server", o.authenticator("webroot")},
		{"manual", "", "", "manual", control, "prove control by hand, or with commands of yours", o.authenticator("manual")},
		{"authenticator", "a", "NAME", "authenticator", control, "the same by name: standalone, webroot, manual, dns-rfc2136, or another one that 'plugins' lists", o.setAuthenticator},
		{"webroot-path", "w", "DIR", "webroot_path", control, "the directory of the web server for the names that follow; may be given several times", o.addWebroot},
		{"webroot-map", "", "JSON", "webroot_map", control, "directories by name: '{\"a.example.org,b.example.org\": \"/srv/a\"}'", o.setWebrootMap},
		{"http-01-port", "", "PORT", "http01_port", control, "the port for --standalone; the CA itself always comes to port 80 (80)", number(&o.HTTP01Port, 1, 65535)},
		{"http-01-address", "", "ADDRESS", "http01_address", control, "the address for --standalone (all)", store(&o.HTTP01Address)},
		{"manual-auth-hook", "", "COMMAND", "manual_auth_hook", control, "the command that places what the CA wants to see. It finds in its environment CERTBOT_IDENTIFIER, CERTBOT_VALIDATION, " +
			"CERTBOT_TOKEN (the file name, for http-01), CERTBOT_REMAINING_CHALLENGES and CERTBOT_ALL_IDENTIFIERS", o.plugin("manual_auth_hook")},
		{"manual-cleanup-hook", "", "COMMAND", "manual_cleanup_hook", control, "the command that takes it away; it also finds CERTBOT_AUTH_OUTPUT, which the first one printed", o.plugin("manual_cleanup_hook")},
		{"preferred-challenges", "", "LIST", "pref_challs", control, "the kinds of challenge to answer, best first: http, dns, or http-01, dns-01, dns-account-01, dns-persist-01", o.setChallenges},
	}
}

// pluginOptions are those of the authenticators by DNS, a group for each.
func (o *options) pluginOptions() []*option {
	var table []*option
	for _, p := range dns.Plugins() {
		dest := strings.ReplaceAll(p.Name, "-", "_")
		if p.Name == dns.Generic {
			table = append(table, &option{dns.Generic, "", "PROVIDER", "dns_provider", p.Name, p.Short, func(v string) error {
				o.SetPluginOption("dns_provider", v)
				return o.authenticator(dns.Generic)("")
			}})
		} else {
			table = append(table, &option{p.Name, "", "", dest, p.Name, p.Short, o.authenticator(p.Name)})
		}
		for _, po := range p.Options {
			name := dest + "_" + strings.ReplaceAll(po.Name, "-", "_")
			if name == "dns_provider" {
				continue
			}
			set := o.plugin(name)
			switch po.Arg {
			case "":
				set = func(string) error { o.SetPluginOption(name, "True"); return nil }
			case "FILE":
				set = o.pluginFile(name)
			case "SECONDS":
				set = o.pluginSeconds(name)
			}
			usage := po.Usage
			if po.Default != "" {
				usage += " (" + po.Default + ")"
			}
			table = append(table, &option{p.Name + "-" + po.Name, "", po.Arg, name, p.Name, usage, set})
		}
	}
	return table
}

func (o *options) plugin(name string) func(string) error {
	return func(v string) error { o.SetPluginOption(name, v); return nil }
}

func (o *options) pluginFile(name string) func(string) error {
	return func(v string) error {
		if v == "" {
			return errors.New("it is empty")
		}
		// A renewal from a timer starts in another directory.
		path, err := filepath.Abs(v)
		o.SetPluginOption(name, path)
		return err
	}
}

func (o *options) pluginSeconds(name string) func(string) error {
	return func(v string) error {
		var n int
		if err := number(&n, 0, 86400)(v); err != nil {
			return err
		}
		o.SetPluginOption(name, fmt.Sprint(n))
		return nil
	}
}

func (o *options) authenticator(name string) func(string) error {
	return func(string) error {
		if o.IsSet("authenticator") && o.Authenticator != name {
			return fmt.Errorf("%s was chosen already; choose one", o.Authenticator)
		}
		o.Authenticator = name
		o.MarkSet("authenticator")
		return nil
	}
}

func (o *options) setAuthenticator(v string) error {
	name := v
	if _, after, ok := strings.Cut(v, ":"); ok { // as once "certbot-dns-rfc2136:dns-rfc2136"
		name = after
	}
	if known := authenticatorNames(); !slices.Contains(known, name) {
		return fmt.Errorf("The requested %s plugin does not appear to be installed; choose from %s", v, strings.Join(known, ", ")) //lint:ignore ST1005 Certbot's words
	}
	return o.authenticator(name)("")
}

// addWebroot gives the directory before this one to the names between the two.
func (o *options) addWebroot(v string) error {
	if o.lateRoot {
		return errors.New("with several directories, one must come before all -d")
	}
	if n := len(o.WebrootPath); n > 0 {
		for _, id := range o.Domains {
			o.SetWebroot(id.Value, o.WebrootPath[n-1])
		}
	} else if len(o.Domains) > 0 {
		o.lateRoot = true
	}
	dir, err := webroot.CheckRoot(v)
	if err != nil {
		return err
	}
	o.WebrootPath = append(o.WebrootPath, dir)
	return nil
}

// setWebrootMap reads a JSON object of directories by names. As in Certbot, the names
// are to be certified.
func (o *options) setWebrootMap(v string) error {
	pairs, err := parseMap(v)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		dir, err := webroot.CheckRoot(p.value)
		if err != nil {
			return err
		}
		for name := range strings.SplitSeq(p.key, ",") {
			id, err := parseDomain(strings.TrimSpace(name))
			if err != nil {
				return err
			}
			o.addIdentifier(id)
			o.SetWebroot(id.Value, dir)
		}
	}
	return nil
}

func (o *options) setChallenges(v string) error {
	short := map[string]string{"http": "http-01", "dns": "dns-01", "tls-alpn": "tls-alpn-01"}
	for c := range strings.SplitSeq(v, ",") {
		c = strings.TrimSpace(c)
		if long, ok := short[c]; ok {
			c = long
		}
		switch c {
		case "http-01", "dns-01", "dns-account-01", "dns-persist-01":
			o.PrefChallenges = append(o.PrefChallenges, c)
		case "tls-alpn-01":
			return errors.New("no authenticator here answers tls-alpn-01; choose http or dns")
		default:
			//lint:ignore ST1005 Certbot's words
			return fmt.Errorf("Unrecognized challenges: %s (choose from http, dns, http-01, dns-01, dns-account-01, dns-persist-01)", c)
		}
	}
	return nil
}

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"vidimus/integration/peer"
)

var caddy = &client{
	name:    "caddy",
	version: debian("caddy"),
	needs:   []string{"caddy"},
	single:  true,
	obtain:  func(a *attempt, o *order) material { return caddyServe(a, o, nil) },
	renew: func(a *attempt, o *order) material {
		// With all of a certificate's life for its window, it is renewed at once.
		old := a.served(o.site.TLSPort, o.names[0], o.site.CABundle, nil)
		o.stop()
		return caddyServe(a, o, &old)
	},
	lacks: map[column]lack{
		dnsChallenge: {"Debian's build has no DNS provider", []string{"caddy", "list-modules"}, "dns.providers"},
		wildcard:     {"Debian's build has no DNS provider, without which it can't ask for wildcards", []string{"caddy", "list-modules"}, "dns.providers"},
		revocation:   {"no command for it", []string{"caddy", "help"}, "revoke"},
		keyChange:    {"no command for it", []string{"caddy", "help"}, "key-change"},
	},
}

// caddyServe runs Caddy for the order's names until it serves a certificate other than
// old.
func caddyServe(a *attempt, o *order, old *material) material {
	a.Helper()
	type object = map[string]any
	acme := object{"module": "acme", "ca": o.directory, "email": "a@uni.test", "trusted_roots_pem_files": []string{o.site.CABundle},
		"challenges": object{
			"http":      object{"disabled": o.method != httpChallenge, "alternate_port": o.site.HTTPPort},
			"tls-alpn":  object{"disabled": o.method != alpnChallenge, "alternate_port": o.site.TLSPort},
			"bind_host": "127.0.0.1",
		}}
	if o.eab != nil {
		acme["external_account"] = object{"key_id": o.eab.KID, "mac_key": o.eab.HMACKey}
	}
	policy := object{"subjects": o.names, "issuers": []any{acme}}
	if old != nil {
		policy["renewal_window_ratio"] = 1.0
	}
	config, err := json.MarshalIndent(object{
		"admin":   object{"disabled": true},
		"storage": object{"module": "file_system", "root": filepath.Join(o.dir, "storage")},
		"apps": object{
			"pki": object{"certificate_authorities": object{"local": object{"install_trust": false}}}, // this machine is not Caddy's
			"http": object{"http_port": o.site.HTTPPort, "https_port": o.site.TLSPort, "servers": object{"tried": object{
				"listen":          []string{fmt.Sprintf("127.0.0.1:%d", o.site.TLSPort)},
				"automatic_https": object{"disable_redirects": true},
				"routes": []any{object{
					"match":  []any{object{"host": o.names}},
					"handle": []any{object{"handler": "static_response", "body": "hello"}},
				}},
			}}},
			"tls": object{"certificates": object{"automate": o.names}, "automation": object{"policies": []any{policy}}},
		},
	}, "", "\t")
	if err != nil {
		a.Fatal(err)
	}
	file := a.file(filepath.Join(o.dir, "caddy.json"), 0o600, "%s", config)
	cmd := exec.Command(peer.Need(a, "caddy"), "run", "--config", file)
	cmd.Env = append(os.Environ(), "HOME="+o.dir, "XDG_CONFIG_HOME="+o.dir, "XDG_DATA_HOME="+o.dir)
	_, o.stop = a.start(cmd)
	if old != nil {
		return a.served(o.site.TLSPort, o.names[0], o.site.CABundle, old.leaf())
	}
	return a.served(o.site.TLSPort, o.names[0], o.site.CABundle, nil)
}

package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/authenticator/webroot"
	"vidimus/internal/identifier"
	"vidimus/internal/registration"
	"vidimus/internal/settings"
)

// options is a parsed command line, with cli.ini where it said nothing.
type options struct {
	*settings.Settings

	emails            []string
	withoutEmail      bool
	agreeTOS          bool
	eabKID            string
	eabKey            string // secret
	eabKeyFile        string
	eabAlg            string
	certPath          string
	keyPath           string
	reason            int
	deleteAfterRevoke *bool
	noHookValidation  bool
	noRandomSleep     bool
	preconfigured     bool
	verbose           int
	maxLogBackups     int
	timeout           time.Duration
	json              bool
	configFiles       []string

	lateRoot bool // the first -w came after a -d
}

// option is one option of the command line and of cli.ini.
type option struct {
	names string // long names, separated by spaces; the first is the one that is shown
	short string
	arg   string // what its value is called; "" is an option without one
	dest  string // Certbot's name for what it sets
	group string // where it is shown
	usage string
	set   func(value string) error
}

func (o *option) name() string { return strings.Fields(o.names)[0] }

// Groups of options, in the order of their help.
const (
	general   = "general"
	certs     = "certificates"
	control   = "proof of control"
	accounts  = "accounts"
	keys      = "keys"
	hooks     = "hooks"
	revoking  = "revocation"
	paths     = "paths"
	hidden    = "" // accepted for compatibility
	authNames = "standalone, webroot"
)

func store(into *string) func(string) error {
	return func(v string) error { *into = v; return nil }
}

func flag(into *bool, to bool) func(string) error {
	return func(string) error { *into = to; return nil }
}

func number(into *int, least, most int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return fmt.Errorf("give a number from %d to %d", least, most)
		}
		*into = n
		return nil
	}
}

func oneOf(into *string, choices ...string) func(string) error {
	return func(v string) error {
		if v = strings.ToLower(v); !slices.Contains(choices, v) {
			return fmt.Errorf("choose from %s", strings.Join(choices, ", "))
		}
		*into = v
		return nil
	}
}

func directory(into *string) func(string) error {
	return func(v string) (err error) {
		if v == "" {
			return errors.New("it is empty")
		}
		*into, err = filepath.Abs(v)
		return err
	}
}

func ignore(string) error { return nil }

// table lists all options, with what they set in o.
func (o *options) table() []*option {
	return slices.Concat(o.certOptions(), o.controlOptions(), o.accountOptions(), o.keyOptions(), o.hookOptions(), o.otherOptions())
}

func (o *options) certOptions() []*option {
	return []*option{
		{"domains domain", "d", "DOMAIN", "domains", certs, "a name to be certified; several with commas, or with several -d. The first one names the certificate", o.addDomains},
		{"cert-name", "", "CERTNAME", "certname", certs, "the name of the certificate, under which it is found on this machine", store(&o.CertName)},
		{"force-renewal renew-by-default", "", "", "renew_by_default", certs, "renew even what is not due; implies --expand", flag(&o.ForceRenewal, true)},
		{"keep-until-expiring keep reinstall", "", "", "reinstall", certs, "keep a certificate for the same names until it is due (the default)", ignore},
		{"expand", "", "", "expand", certs, "replace a certificate whose names are some of those asked for", flag(&o.Expand, true)},
		{"no-autorenew", "", "", "autorenew", certs, "do not renew this certificate with 'renew'", flag(&o.Autorenew, false)},
		{"issuance-timeout", "", "SECONDS", "issuance_timeout", certs, "how long to wait for the CA to issue (90)", o.setTimeout},
		{"no-random-sleep-on-renew", "", "", "random_sleep_on_renew", certs, "do not wait a random time before a renewal that nobody watches", flag(&o.noRandomSleep, true)},
		{"json", "", "", "json", certs, "print what 'certificates' and 'renew' tell as JSON", flag(&o.json, true)},
	}
}

func (o *options) controlOptions() []*option {
	return []*option{
		{"standalone", "", "", "standalone", control, "prove control with a web server that runs while the CA looks", o.authenticator("standalone")},
		{"webroot", "", "", "webroot", control, "prove control with files in the directory of a running web server", o.authenticator("webroot")},
		{"authenticator", "a", "NAME", "authenticator", control, "the same by name: " + authNames, func(v string) error {
			if v != "standalone" && v != "webroot" {
				return errors.New("choose from " + authNames)
			}
			return o.authenticator(v)("")
		}},
		{"webroot-path", "w", "DIR", "webroot_path", control, "the directory of the web server for the names that follow; may be given several times", o.addWebroot},
		{"http-01-port", "", "PORT", "http01_port", control, "the port for --standalone; the CA itself always comes to port 80 (80)", number(&o.HTTP01Port, 1, 65535)},
		{"http-01-address", "", "ADDRESS", "http01_address", control, "the address for --standalone (all)", store(&o.HTTP01Address)},
		{"preferred-challenges", "", "LIST", "pref_challs", control, "the kinds of challenge to answer, best first: http-01", o.setChallenges},
	}
}

func (o *options) accountOptions() []*option {
	return []*option{
		{"server", "", "URL", "server", accounts, "the directory of the ACME CA (" + settings.DefaultServer + ")", store(&o.Server)},
		{"account", "", "ID", "account", accounts, "the account to use, if there are several", store(&o.Account)},
		{"email", "m", "EMAIL", "email", accounts, "where the CA can reach you; several with commas", func(v string) (err error) {
			o.emails, err = registration.ParseEmails(v)
			return err
		}},
		{"register-unsafely-without-email", "", "", "register_unsafely_without_email", accounts, "make an account without an e-mail address", flag(&o.withoutEmail, true)},
		{"agree-tos", "", "", "tos", accounts, "agree to the CA's terms of service", flag(&o.agreeTOS, true)},
		{"eab-kid", "", "ID", "eab_kid", accounts, "the key ID of the EAB credentials that the CA gave you", store(&o.eabKID)},
		{"eab-hmac-key", "", "KEY", "eab_hmac_key", accounts, "their HMAC key. Others can see it in the process list: prefer --eab-hmac-key-file", store(&o.eabKey)},
		{"eab-hmac-key-file", "", "FILE", "eab_hmac_key_file", accounts, "a file that holds the HMAC key; - is standard input", store(&o.eabKeyFile)},
		{"eab-hmac-alg", "", "ALG", "eab_hmac_alg", accounts, "HS256, HS384 or HS512 (HS256)", func(v string) error {
			o.eabAlg = strings.ToUpper(v)
			return oneOf(new(string), "hs256", "hs384", "hs512")(v)
		}},
		{"no-verify-ssl", "", "", "no_verify_ssl", accounts, "do not check the CA's TLS certificate; for tests. Better: set REQUESTS_CA_BUNDLE to a file of root certificates", flag(&o.NoVerifySSL, true)},
		{"user-agent", "", "TEXT", "user_agent", accounts, "what to tell the CA as User-Agent", store(&o.UserAgent)},
		{"eff-email", "", "", "eff_email", hidden, "", ignore},
		{"no-eff-email", "", "", "eff_email", hidden, "", ignore},
	}
}

func (o *options) keyOptions() []*option {
	return []*option{
		{"key-type", "", "TYPE", "key_type", keys, "rsa or ecdsa (ecdsa)", oneOf(&o.KeyType, "rsa", "ecdsa")},
		{"rsa-key-size", "", "BITS", "rsa_key_size", keys, "of an RSA key (2048)", number(&o.RSAKeySize, 2048, 8192)},
		{"elliptic-curve", "", "CURVE", "elliptic_curve", keys, "secp256r1, secp384r1 or secp521r1 (secp256r1)", oneOf(&o.EllipticCurve, "secp256r1", "secp384r1", "secp521r1")},
		{"reuse-key", "", "", "reuse_key", keys, "renew with the same private key", flag(&o.ReuseKey, true)},
		{"no-reuse-key", "", "", "reuse_key", keys, "renew with a new private key each time (the default)", flag(&o.ReuseKey, false)},
		{"new-key", "", "", "new_key", keys, "make a new private key this once, in spite of --reuse-key", flag(&o.NewKey, true)},
	}
}

func (o *options) hookOptions() []*option {
	return []*option{
		{"pre-hook", "", "COMMAND", "pre_hook", hooks, "run before a certificate is obtained, once for all", store(&o.PreHook)},
		{"post-hook", "", "COMMAND", "post_hook", hooks, "run after all was tried, once, also after failures", store(&o.PostHook)},
		{"deploy-hook", "", "COMMAND", "renew_hook", hooks, "run for each new certificate, with RENEWED_LINEAGE and RENEWED_DOMAINS set", func(v string) error {
			o.DeployHook, o.RenewHook = v, v
			return nil
		}},
		{"renew-hook", "", "COMMAND", "renew_hook", hidden, "", store(&o.RenewHook)},
		{"disable-hook-validation", "", "", "validate_hooks", hooks, "do not check that hook commands exist", flag(&o.noHookValidation, true)},
		{"no-directory-hooks", "", "", "directory_hooks", hooks, "do not run what is in renewal-hooks/", flag(&o.DirectoryHooks, false)},
	}
}

func (o *options) otherOptions() []*option {
	yes, no := true, false
	return []*option{
		{"cert-path", "", "FILE", "cert_path", revoking, "the certificate to revoke", directory(&o.certPath)},
		{"key-path", "", "FILE", "key_path", revoking, "its private key, to revoke without the account", directory(&o.keyPath)},
		{"reason", "", "REASON", "reason", revoking, "unspecified, keycompromise, affiliationchanged, superseded or cessationofoperation", o.setReason},
		{"delete-after-revoke", "", "", "delete_after_revoke", revoking, "delete the certificate's files then (the default)", func(string) error { o.deleteAfterRevoke = &yes; return nil }},
		{"no-delete-after-revoke", "", "", "delete_after_revoke", revoking, "keep them", func(string) error { o.deleteAfterRevoke = &no; return nil }},

		{"config-dir", "", "DIR", "config_dir", paths, "where certificates and accounts are (" + settings.DefaultConfigDir + ")", directory(&o.ConfigDir)},
		{"work-dir", "", "DIR", "work_dir", paths, "for what a run needs to remember (" + settings.DefaultWorkDir + ")", directory(&o.WorkDir)},
		{"logs-dir", "", "DIR", "logs_dir", paths, "for logs (" + settings.DefaultLogsDir + ")", directory(&o.LogsDir)},
		{"max-log-backups", "", "N", "max_log_backups", paths, "how many logs of earlier runs are kept (1000)", number(&o.maxLogBackups, 0, 1<<20)},
		{"config", "c", "FILE", "config_file", paths, "read options from FILE too, after /etc/letsencrypt/cli.ini and ~/.config/letsencrypt/cli.ini", func(v string) error {
			o.configFiles = append(o.configFiles, v)
			return nil
		}},

		{"verbose", "v", "", "verbose_count", general, "tell more; -vv tells all", func(string) error { o.verbose++; return nil }},
		{"quiet", "q", "", "quiet", general, "tell only what went wrong", flag(&o.Quiet, true)},
		{"non-interactive noninteractive", "n", "", "noninteractive_mode", general, "never ask; nothing is asked yet anyway", ignore},
		{"preconfigured-renewal", "", "", "preconfigured_renewal", hidden, "", flag(&o.preconfigured, true)},
		{"text", "t", "", "text_mode", hidden, "", ignore},
		{"debug", "", "", "debug", hidden, "", func(string) error { o.verbose = max(o.verbose, 2); return nil }},
		{"disable-renew-updates", "", "", "disable_renew_updates", hidden, "", ignore},
		{"no-self-upgrade", "", "", "no_self_upgrade", hidden, "", ignore},
		{"os-packages-only", "", "", "os_packages_only", hidden, "", ignore},
		{"no-permissions-check", "", "", "no_permissions_check", hidden, "", ignore},
		{"no-bootstrap", "", "", "no_bootstrap", hidden, "", ignore},
	}
}

func (o *options) setTimeout(v string) error {
	var secs int
	err := number(&secs, 1, 86400)(v)
	o.timeout = time.Duration(secs) * time.Second
	return err
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

func (o *options) addDomains(v string) error {
	for name := range strings.SplitSeq(v, ",") {
		name = strings.TrimSpace(name)
		id, err := identifier.ParseDNS(name)
		if err != nil {
			return err
		}
		if !slices.Contains(o.Domains, id) {
			o.Domains = append(o.Domains, id)
		}
	}
	return nil
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

func (o *options) setChallenges(v string) error {
	short := map[string]string{"http": "http-01", "dns": "dns-01"}
	for c := range strings.SplitSeq(v, ",") {
		c = strings.TrimSpace(c)
		if long, ok := short[c]; ok {
			c = long
		}
		switch c {
		case "http-01", "dns-01", "tls-alpn-01":
			o.PrefChallenges = append(o.PrefChallenges, c)
		default:
			return fmt.Errorf("unrecognized challenge %q", c)
		}
	}
	return nil
}

// reasons are those of RFC 5280 §5.3.1 that a subscriber may give.
var reasons = map[string]int{"unspecified": 0, "keycompromise": 1, "affiliationchanged": 3, "superseded": 4, "cessationofoperation": 5}

func (o *options) setReason(v string) error {
	r, ok := reasons[strings.ToLower(v)]
	if !ok {
		return errors.New("choose from unspecified, keycompromise, affiliationchanged, superseded, cessationofoperation")
	}
	o.reason = r
	return nil
}

package cli

import (
	"fmt"
	"strings"

	"vidimus/internal/registration"
	"vidimus/internal/settings"
)

func (o *options) accountOptions() []*option {
	return []*option{
		{"server", "", "URL", "server", accounts, "the directory of the ACME CA (" + settings.DefaultServer + ")", store(&o.Server)},
		{"account", "", "ID", "account", accounts, "the account to use, if there are several", store(&o.Account)},
		{"email", "m", "EMAIL", "email", accounts, "where the CA can reach you; several with commas", func(v string) (err error) {
			o.emails, err = registration.ParseEmails(v)
			return err
		}},
		{"register-unsafely-without-email", "", "", "register_unsafely_without_email", accounts, "make an account without an e-mail address, without asking; with update_account: remove the addresses", flag(&o.withoutEmail, true)},
		{"agree-tos", "", "", "tos", accounts, "agree to the CA's terms of service", flag(&o.agreeTOS, true)},
		{"eab-kid", "", "ID", "eab_kid", accounts, "the key ID of the EAB credentials that the CA gave you", store(&o.eabKID)},
		{"eab-hmac-key", "", "KEY", "eab_hmac_key", accounts, "their HMAC key. Others can see it in the process list: prefer --eab-hmac-key-file", store(&o.eabKey)},
		{"eab-hmac-key-file", "", "FILE", "eab_hmac_key_file", accounts, "a file that holds the HMAC key; - is standard input", store(&o.eabKeyFile)},
		{"eab-hmac-alg", "", "ALG", "eab_hmac_alg", accounts, "HS256, HS384 or HS512 (HS256)", func(v string) error {
			o.eabAlg = strings.ToUpper(v)
			return oneOf(new(string), "hs256", "hs384", "hs512")(v)
		}},
		{"user-agent", "", "TEXT", "user_agent", accounts, "what to tell the CA as User-Agent; \"\" for nothing", store(&o.UserAgent)},
		{"user-agent-comment", "", "TEXT", "user_agent_comment", accounts, "what to add to it, when another program starts this one", func(v string) error {
			if strings.ContainsAny(v, "\r\n") {
				return fmt.Errorf("it must be one line")
			}
			o.userAgentComment = v
			return nil
		}},
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

func (o *options) testOptions() []*option {
	return []*option{
		{"dry-run", "", "", "dry_run", trials, "with certonly and renew: try all of it, but save nothing. Uses Let's Encrypt's test server unless --server names another one", flag(&o.DryRun, true)},
		{"run-deploy-hooks", "", "", "run_deploy_hooks", trials, "with --dry-run and reconfigure: run the deploy hooks too, for the certificate in use", flag(&o.RunDeployHooks, true)},
		{"test-cert staging", "", "", "staging", trials, "get a certificate for tests from Let's Encrypt's test server", flag(&o.staging, true)},
		{"break-my-certs", "", "", "break_my_certs", trials, "let a certificate for tests replace one that is trusted", flag(&o.BreakMyCerts, true)},
		{"debug-challenges", "", "", "debug_challenges", trials, "wait for Enter when all is ready for the CA to look; with -v, tell what it will look at", flag(&o.debugChallenge, true)},
		{"no-verify-ssl", "", "", "no_verify_ssl", trials, "do not check the CA's TLS certificate. Better: set REQUESTS_CA_BUNDLE to a file of root certificates", flag(&o.NoVerifySSL, true)},
	}
}

func (o *options) pathOptions() []*option {
	yes, no := true, false
	return []*option{
		{"reason", "", "REASON", "reason", revoking, "unspecified, keycompromise, affiliationchanged, superseded or cessationofoperation", o.setReason},
		{"delete-after-revoke", "", "", "delete_after_revoke", revoking, "delete the certificate's files then, without asking", func(string) error { o.deleteAfterRevoke = &yes; return nil }},
		{"no-delete-after-revoke", "", "", "delete_after_revoke", revoking, "keep them, without asking", func(string) error { o.deleteAfterRevoke = &no; return nil }},

		{"cert-path", "", "FILE", "cert_path", paths, "the certificate to revoke; with --csr, where it is saved (./cert.pem with a number in front)", directory(&o.certPath)},
		{"key-path", "", "FILE", "key_path", paths, "its private key, to revoke without the account", directory(&o.keyPath)},
		{"fullchain-path", "", "FILE", "fullchain_path", paths, "with --csr: where the certificate with its chain is saved", directory(&o.fullchainPath)},
		{"chain-path", "", "FILE", "chain_path", paths, "with --csr: where the chain is saved", directory(&o.chainPath)},
		{"config-dir", "", "DIR", "config_dir", paths, "where certificates and accounts are (" + settings.DefaultConfigDir + ")", directory(&o.ConfigDir)},
		{"work-dir", "", "DIR", "work_dir", paths, "for what a run needs to remember (" + settings.DefaultWorkDir + ")", directory(&o.WorkDir)},
		{"logs-dir", "", "DIR", "logs_dir", paths, "for logs (" + settings.DefaultLogsDir + ")", directory(&o.LogsDir)},
		{"max-log-backups", "", "N", "max_log_backups", paths, "how many logs of earlier runs are kept (1000); with 0, one log grows", number(&o.maxLogBackups, 0, 1<<20)},
		{"strict-permissions", "", "", "strict_permissions", paths, "refuse directories that belong to others, or that others can write to", flag(&o.strictPermissions, true)},
		{"config", "c", "FILE", "config_file", paths, "read options from FILE too, after /etc/letsencrypt/cli.ini and ~/.config/letsencrypt/cli.ini", func(v string) error {
			o.configFiles = append(o.configFiles, v)
			return nil
		}},
	}
}

func (o *options) generalOptions() []*option {
	return []*option{
		{"verbose", "v", "", "verbose_count", general, "tell more; -vv tells all", func(string) error { o.verbose++; return nil }},
		{"quiet", "q", "", "quiet", general, "tell only what went wrong; implies --non-interactive", flag(&o.Quiet, true)},
		{"non-interactive noninteractive", "n", "", "noninteractive_mode", general, "never ask; what would be asked must be given by options", flag(&o.nonInteractive, true)},
		{"force-interactive", "", "", "force_interactive", general, "ask even if this is not a terminal; answers are lines of standard input", flag(&o.forceInteractive, true)},
		{"authenticators", "", "", "ifaces", general, "with plugins: authenticators only", flag(&o.authenticators, true)},
		{"installers", "", "", "ifaces", general, "with plugins: installers only", flag(&o.installers, true)},
	}
}

// hiddenOptions are accepted because Certbot has them, or had them once. What they ask
// of installers has no effect: those verbs say that there is none.
func (o *options) hiddenOptions() []*option {
	table := []*option{
		{"preconfigured-renewal", "", "", "preconfigured_renewal", hidden, "", flag(&o.preconfigured, true)},
		{"debug", "", "", "debug", hidden, "", func(string) error { o.verbose = max(o.verbose, 2); return nil }},
		{"installer", "i", "NAME", "installer", hidden, "", o.setInstaller},
		{"configurator", "", "NAME", "configurator", hidden, "", func(v string) error { return noPlugin(v) }},
		{"apache", "", "", "apache", hidden, "", func(string) error { return noPlugin("apache") }},
		{"nginx", "", "", "nginx", hidden, "", func(string) error { return noPlugin("nginx") }},
		{"hsts", "", "", "hsts", hidden, "", flag(&o.hsts, true)},
		{"auto-hsts", "", "", "auto_hsts", hidden, "", flag(&o.autoHSTS, true)},
		{"https-port", "", "PORT", "https_port", hidden, "", ignore},
		{"checkpoints", "", "N", "checkpoints", hidden, "", ignore},
		{"verbose-level", "", "N", "verbose_level", hidden, "", ignore},
		{"text", "t", "", "text_mode", hidden, "", ignore},
	}
	for _, name := range []string{"redirect", "no-redirect", "no-hsts", "uir", "no-uir", "staple-ocsp", "no-staple-ocsp", "init", "prepare", "eff-email", "no-eff-email",
		"disable-renew-updates", "no-self-upgrade", "os-packages-only", "no-permissions-check", "no-bootstrap", "manual-public-ip-logging-ok"} {
		dest := strings.TrimPrefix(strings.ReplaceAll(name, "-", "_"), "no_")
		table = append(table, &option{name, "", "", dest, hidden, "", ignore})
	}
	return table
}

func noPlugin(name string) error {
	return fmt.Errorf("The requested %s plugin does not appear to be installed: get the certificate with 'certonly' and --webroot or --standalone, and name its files in your server's configuration", name) //lint:ignore ST1005 Certbot's words
}

// setInstaller takes Certbot's installer that does nothing.
func (o *options) setInstaller(v string) error {
	if v != "null" {
		return noPlugin(v)
	}
	o.Installer = v
	return nil
}

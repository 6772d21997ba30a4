package cli

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vidimus/internal/hook"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// settle works out what options mean together, by Certbot's rules, and refuses what
// makes no sense. It reads the CSR, but talks to nobody.
func (o *options) settle(v *verb) error {
	if v.name == "renew" {
		if o.forceInteractive {
			return misuse("--force-interactive cannot be used with renew")
		}
		o.nonInteractive = true
	}
	if o.forceInteractive && o.nonInteractive {
		return misuse("Flag for non-interactive mode and --force-interactive conflict")
	}
	o.nonInteractive = o.nonInteractive || o.Quiet
	if o.hsts && o.autoHSTS {
		return misuse("Parameters --hsts and --auto-hsts cannot be used simultaneously.")
	}
	if o.CertName != "" {
		if err := lineage.CheckName(o.CertName); err != nil {
			return misuse("--cert-name: %w", err)
		}
	}
	slices.SortStableFunc(o.Domains, func(a, b identifier.Identifier) int { return strings.Compare(string(a.Type), string(b.Type)) })
	o.sortPlugin()
	if o.PreferredProfile != "" && o.RequiredProfile != "" && o.PreferredProfile != o.RequiredProfile {
		return misuse("--preferred-profile and --required-profile name different profiles: give one of them")
	}
	if err := o.chooseServer(v); err != nil {
		return err
	}
	if o.csrFile != "" {
		if err := o.readCSR(v); err != nil {
			return err
		}
	}
	if o.AllowSubset && slices.ContainsFunc(o.Domains, identifier.Identifier.Wildcard) {
		return misuse("Using --allow-subset-of-names with a wildcard domain is not supported.")
	}
	return o.validateHooks()
}

// sortPlugin puts the options of authenticators into the order in which Certbot keeps
// them, whatever the order they were given in.
func (o *options) sortPlugin() {
	place := map[string]int{}
	for i, opt := range o.table() {
		place[opt.dest] = i
	}
	slices.SortStableFunc(o.Plugin, func(a, b settings.Param) int { return place[a.Name] - place[b.Name] })
}

// chooseServer finds the server that --test-cert and --dry-run mean.
func (o *options) chooseServer(v *verb) error {
	standard := o.Server == settings.DefaultServer || o.Server == settings.StagingServer
	if o.staging && !standard {
		return misuse("--server value conflicts with --staging")
	}
	if o.DryRun && v.name != "certonly" && v.name != "renew" {
		return misuse("--dry-run currently only works with the 'certonly' or 'renew' subcommands ('%s')", v.name)
	}
	if (o.staging || o.DryRun) && standard {
		o.Server = settings.StagingServer
	}
	if o.DryRun && !o.agreeTOS {
		// Who has an account has seen terms; it may have none at the test server.
		found, _ := filepath.Glob(filepath.Join(o.ConfigDir, "accounts", "*"))
		o.agreeTOS = len(found) > 0
		o.withoutEmail = o.withoutEmail || o.agreeTOS
	}
	return nil
}

// maxCSR bounds a certificate request, in bytes.
const maxCSR = 1 << 20

func (o *options) readCSR(v *verb) error {
	if v.name != "certonly" {
		return misuse("Currently, a CSR file may only be specified when obtaining a new or replacement via the certonly command. Please try the certonly command instead.")
	}
	if o.AllowSubset {
		return misuse("--allow-subset-of-names cannot be used with --csr")
	}
	f, err := os.Open(filepath.Clean(o.csrFile))
	if err != nil {
		return misuse("--csr: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCSR))
	if err != nil {
		return misuse("--csr: %w", err)
	}
	der, ids, err := parseCSR(data)
	if err != nil {
		return misuse("Failed to parse CSR file: %s: %w", o.csrFile, err)
	}
	if len(o.Domains) > 0 && !isSubset(o.Domains, ids) {
		return misuse("Inconsistent domain requests:\nFrom the CSR: %s\nFrom command line/config: %s\nLeave out -d, as the CSR says what is certified.",
			strings.Join(identifier.Values(ids), ", "), strings.Join(identifier.Values(o.Domains), ", "))
	}
	o.CSR, o.Domains = der, ids
	return nil
}

// validateHooks checks, before anything is done, that hook commands exist.
func (o *options) validateHooks() error {
	if o.noHookValidation {
		return nil
	}
	for _, h := range []struct{ kind, cmd string }{{"pre", o.PreHook}, {"post", o.PostHook}, {"deploy", o.RenewHook},
		{"manual-auth", o.PluginOption("manual_auth_hook")}, {"manual-cleanup", o.PluginOption("manual_cleanup_hook")}} {
		if err := hook.Validate(h.kind, h.cmd); err != nil {
			return err
		}
	}
	return nil
}

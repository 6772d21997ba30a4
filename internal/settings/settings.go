// Package settings holds what a run of vidimus was asked to do, merged from the
// command line, cli.ini and, for a renewal, the lineage's own renewal/NAME.conf.
// It knows which settings belong to a lineage, in which order and form Certbot
// keeps them under [renewalparams], and reads and writes them there.
package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vidimus/internal/identifier"
)

// Certbot is the release of Certbot whose behaviour is followed.
const Certbot = "5.6.0"

// Defaults of Certbot.
const (
	DefaultServer    = "https://acme-v02.api.letsencrypt.org/directory"
	StagingServer    = "https://acme-staging-v02.api.letsencrypt.org/directory"
	DefaultConfigDir = "/etc/letsencrypt"
	DefaultWorkDir   = "/var/lib/letsencrypt"
	DefaultLogsDir   = "/var/log/letsencrypt"
)

// Webroot says that the challenge files of a name go below a directory.
type Webroot struct{ Name, Path string }

// Settings is one run's, or one lineage's, set of options. The zero value is not
// useful; start from [Default].
type Settings struct {
	// Saved with a lineage.
	ReuseKey       bool
	AllowSubset    bool
	Account        string // the account's ID
	HTTP01Port     int
	HTTP01Address  string
	RSAKeySize     int // bits
	KeyType        string
	EllipticCurve  string
	MustStaple     bool
	PreferredChain string
	// PreferredProfile is asked for where the CA has it, RequiredProfile anyway
	// (draft-ietf-acme-profiles).
	PreferredProfile string
	RequiredProfile  string
	PrefChallenges   []string
	PreHook          string
	PostHook         string
	RenewHook        string // what --deploy-hook and --renew-hook set
	Autorenew        bool
	UserAgent        string
	ConfigDir        string
	WorkDir          string
	LogsDir          string
	Server           string
	Authenticator    string
	Installer        string
	WebrootPath      []string
	WebrootMap       []Webroot
	// Plugin holds the options that belong to one authenticator, by Certbot's names
	// for them, such as dns_rfc2136_credentials; manual_auth_hook is one of them too.
	Plugin []Param

	// Of this run only.
	DeployHook     string // the deploy hook of a new lineage; --renew-hook does not set it
	Domains        []identifier.Identifier
	CertName       string
	DirectoryHooks bool
	ForceRenewal   bool
	Expand         bool
	NewKey         bool
	NoVerifySSL    bool
	Quiet          bool
	DryRun         bool   // try it, save nothing
	RunDeployHooks bool   // also in a dry run
	BreakMyCerts   bool   // a test certificate may replace a trusted one
	CSR            []byte // DER, RFC 2986; nil for none

	set map[string]bool
}

// Default is a run without any options.
func Default() *Settings {
	return &Settings{
		HTTP01Port: 80, RSAKeySize: 2048, KeyType: "ecdsa", EllipticCurve: "secp256r1", Autorenew: true,
		ConfigDir: DefaultConfigDir, WorkDir: DefaultWorkDir, LogsDir: DefaultLogsDir, Server: DefaultServer,
		DirectoryHooks: true, set: map[string]bool{},
	}
}

// MarkSet notes that the person, on the command line or in cli.ini, chose the
// option that Certbot calls name; it then wins over what a lineage has saved.
func (s *Settings) MarkSet(name string) { s.set[name] = true }

// Chosen tells whether the person gave this very option.
func (s *Settings) Chosen(name string) bool { return s.set[name] }

// IsSet tells whether the person chose the option. Choosing a server chooses the
// account too, as accounts belong to servers.
func (s *Settings) IsSet(name string) bool {
	switch name {
	case "account":
		return s.set[name] || s.IsSet("server")
	case "webroot_map":
		return s.set[name] || s.set["webroot_path"]
	case "server": // these choose the CA's test server
		return s.set[name] || s.set["staging"] || s.set["dry_run"]
	}
	return s.set[name]
}

// Staging tells whether a server gives out certificates that nobody trusts, by
// Certbot's rule.
func Staging(server string) bool { return strings.Contains(server, "staging") }

// CheckReplace keeps a certificate that clients trust from being replaced by one for
// tests; names are its names, and oldServer is where it came from.
func (s *Settings) CheckReplace(names []string, oldServer string) error {
	if s.DryRun || s.BreakMyCerts || !Staging(s.Server) || Staging(oldServer) {
		return nil
	}
	return fmt.Errorf("You've asked to renew/replace a seemingly valid certificate with a test certificate (domains: %s). We will not do that unless you use the --break-my-certs flag!", //lint:ignore ST1005 Certbot's words
		strings.Join(names, ", "))
}

// Clone is a deep copy.
func (s *Settings) Clone() *Settings {
	c := *s
	c.PrefChallenges = slices.Clone(s.PrefChallenges)
	c.WebrootPath = slices.Clone(s.WebrootPath)
	c.WebrootMap = slices.Clone(s.WebrootMap)
	c.Domains = slices.Clone(s.Domains)
	c.Plugin = slices.Clone(s.Plugin)
	c.set = maps.Clone(s.set)
	return &c
}

// WebrootOf is the directory for a name's challenge files: its own one, else the
// last one given; "" when there is none.
func (s *Settings) WebrootOf(name string) string {
	for _, w := range s.WebrootMap {
		if w.Name == name {
			return w.Path
		}
	}
	if n := len(s.WebrootPath); n > 0 {
		return s.WebrootPath[n-1]
	}
	return ""
}

// SetWebroot gives a name its directory unless it has one.
func (s *Settings) SetWebroot(name, path string) {
	if !slices.ContainsFunc(s.WebrootMap, func(w Webroot) bool { return w.Name == name }) {
		s.WebrootMap = append(s.WebrootMap, Webroot{name, path})
	}
}

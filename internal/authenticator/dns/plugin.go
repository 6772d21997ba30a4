package dns

import (
	"strings"

	"vidimus/internal/authenticator/dns/credentials"
)

// An Option is one option of a plugin: --dns-rfc2136-credentials on the command line,
// dns_rfc2136_credentials in files.
type Option struct {
	Name    string // "credentials", "propagation-seconds", …
	Arg     string // "FILE", "SECONDS"; "" for a flag
	Default string
	Usage   string
}

// A Plugin is a way to change a zone that has options of its own.
type Plugin struct {
	Name    string // "dns-cloudflare"
	Short   string // one line for the help
	Options []Option
}

// Generic is the plugin behind --dns PROVIDER.
const Generic = "dns"

// defaultBound is how long the authoritative servers may take when nobody says. Certbot's
// numbers, 10 to 120 seconds, are how long it sleeps each time; here the wait ends when
// the servers are ready, so it may be long enough for slow ones.
const defaultBound = "300"

// kind is all that is known about one of Certbot's plugins.
type kind struct {
	name    string // without "dns-"
	service string // for a person
	keys    []credentials.Key
	// lego is the name of the provider in lego, and variables maps the keys of the
	// credentials file to what lego wants them called; both are empty for what is built
	// in. The value of fixed is set in any case.
	lego      string
	variables map[string]string
	fixed     map[string]string
	// bare says that there is no credentials file.
	bare bool
	// optional says that it works without a credentials file, which is in JSON.
	optional bool
	bound    string // seconds; "" means defaultBound
	more     []Option
}

var kinds = []kind{
	{name: "cloudflare", service: "Cloudflare", keys: []credentials.Key{
		{Name: "dns_cloudflare_api_token", What: "API token (recommended)", Example: "0123456789abcdef0123456789abcdef01234567"},
		{Name: "dns_cloudflare_email", What: "e-mail address of the account, for a global API key", Example: "cloudflare@example.com"},
		{Name: "dns_cloudflare_api_key", What: "global API key", Example: "0123456789abcdef0123456789abcdef01234"}}},
	{name: "digitalocean", service: "DigitalOcean", lego: "digitalocean",
		keys:      []credentials.Key{{Name: "dns_digitalocean_token", Required: true, What: "API token", Example: "0000111122223333444455556666777788889999aaaabbbbccccddddeeeeffff"}},
		variables: map[string]string{"dns_digitalocean_token": "DO_AUTH_TOKEN"}},
	{name: "dnsimple", service: "DNSimple", lego: "dnsimple",
		keys:      []credentials.Key{{Name: "dns_dnsimple_token", Required: true, What: "API access token", Example: "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"}},
		variables: map[string]string{"dns_dnsimple_token": "DNSIMPLE_OAUTH_TOKEN"}},
	{name: "dnsmadeeasy", service: "DNS Made Easy", lego: "dnsmadeeasy",
		keys: []credentials.Key{
			{Name: "dns_dnsmadeeasy_api_key", Required: true, What: "API key", Example: "1c1a3c91-4770-4ce7-96f4-54c0eb0e457a"},
			{Name: "dns_dnsmadeeasy_secret_key", Required: true, What: "secret key", Example: "c9b5625f-9834-4ff8-baba-4ed5f32cae55"}},
		variables: map[string]string{"dns_dnsmadeeasy_api_key": "DNSMADEEASY_API_KEY", "dns_dnsmadeeasy_secret_key": "DNSMADEEASY_API_SECRET"}},
	{name: "gehirn", service: "Gehirn Infrastructure Service", lego: "gehirn",
		keys: []credentials.Key{
			{Name: "dns_gehirn_api_token", Required: true, What: "API token", Example: "00000000-0000-0000-0000-000000000000"},
			{Name: "dns_gehirn_api_secret", Required: true, What: "API secret", Example: "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"}},
		variables: map[string]string{"dns_gehirn_api_token": "GEHIRN_API_TOKEN", "dns_gehirn_api_secret": "GEHIRN_API_SECRET"}},
	{name: "google", service: "Google Cloud DNS", lego: "gcloud", optional: true,
		more: []Option{{Name: "project", Arg: "ID", Usage: "the project that the zones are in, when it is another than that of the credentials"}}},
	{name: "linode", service: "Linode", lego: "linode", bound: "1200", // its servers are updated every 15 minutes at worst
		keys: []credentials.Key{
			{Name: "dns_linode_key", Required: true, What: "API key", Example: "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ64"},
			{Name: "dns_linode_version", What: "version of the API", Example: "4"}},
		variables: map[string]string{"dns_linode_key": "LINODE_TOKEN"}},
	{name: "luadns", service: "LuaDNS", lego: "luadns",
		keys: []credentials.Key{
			{Name: "dns_luadns_email", Required: true, What: "e-mail address of the account", Example: "user@example.com"},
			{Name: "dns_luadns_token", Required: true, What: "API token", Example: "0123456789abcdef0123456789abcdef"}},
		variables: map[string]string{"dns_luadns_email": "LUADNS_API_USERNAME", "dns_luadns_token": "LUADNS_API_TOKEN"}},
	{name: "nsone", service: "NS1", lego: "ns1",
		keys:      []credentials.Key{{Name: "dns_nsone_api_key", Required: true, What: "API key", Example: "MDAwMDAwMDAwMDAwMDAw"}},
		variables: map[string]string{"dns_nsone_api_key": "NS1_API_KEY"}},
	{name: "ovh", service: "OVH", lego: "ovh",
		keys: []credentials.Key{
			{Name: "dns_ovh_endpoint", Required: true, What: "API endpoint, ovh-eu or ovh-ca", Example: "ovh-eu"},
			{Name: "dns_ovh_application_key", Required: true, What: "application key", Example: "MDAwMDAwMDAwMDAw"},
			{Name: "dns_ovh_application_secret", Required: true, What: "application secret", Example: "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"},
			{Name: "dns_ovh_consumer_key", Required: true, What: "consumer key", Example: "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"}},
		variables: map[string]string{"dns_ovh_endpoint": "OVH_ENDPOINT", "dns_ovh_application_key": "OVH_APPLICATION_KEY",
			"dns_ovh_application_secret": "OVH_APPLICATION_SECRET", "dns_ovh_consumer_key": "OVH_CONSUMER_KEY"}},
	{name: "rfc2136", service: "BIND or another server that takes dynamic updates (RFC 2136)", keys: []credentials.Key{
		{Name: "dns_rfc2136_server", Required: true, What: "address of the DNS server", Example: "192.0.2.1"},
		{Name: "dns_rfc2136_port", What: "its port", Example: "53"},
		{Name: "dns_rfc2136_name", Required: true, What: "name of the TSIG key", Example: "keyname."},
		{Name: "dns_rfc2136_secret", Required: true, What: "secret of the TSIG key", Example: "4q4wM/2I180UXoMyN4INVhJNi8V9BCV+jMw2mXgZw/CSuxUT8C7NKKFs AmKd7ak51vWKgSl12ib86oQRPkpDjg=="},
		{Name: "dns_rfc2136_algorithm", What: "algorithm of the TSIG key", Example: "HMAC-SHA512"},
		{Name: "dns_rfc2136_sign_query", What: "whether to sign questions too", Example: "false"}}},
	{name: "route53", service: "AWS Route 53", lego: "route53", bare: true,
		fixed: map[string]string{"AWS_WAIT_FOR_RECORD_SETS_CHANGED": "false"}}, // its servers are asked instead
	{name: "sakuracloud", service: "Sakura Cloud", lego: "sakuracloud",
		keys: []credentials.Key{
			{Name: "dns_sakuracloud_api_token", Required: true, What: "API token", Example: "00000000-0000-0000-0000-000000000000"},
			{Name: "dns_sakuracloud_api_secret", Required: true, What: "API secret", Example: "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"}},
		variables: map[string]string{"dns_sakuracloud_api_token": "SAKURACLOUD_ACCESS_TOKEN", "dns_sakuracloud_api_secret": "SAKURACLOUD_ACCESS_TOKEN_SECRET"}},
}

// Plugins lists Certbot's plugins, in alphabetical order, and the generic one at the
// end.
func Plugins() []Plugin {
	var all []Plugin
	for _, k := range kinds {
		all = append(all, Plugin{
			Name:    "dns-" + k.name,
			Short:   "Obtain certificates using a DNS TXT record (if you are using " + k.service + " for DNS)",
			Options: k.options(),
		})
	}
	return append(all, Plugin{
		Name:  Generic,
		Short: "Obtain certificates using a DNS TXT record at any provider that lego or a program called vidimus-dns-NAME knows",
		Options: []Option{boundOption(defaultBound),
			{Name: "credentials", Arg: "FILE", Usage: "a file with lines like DESEC_TOKEN=secret, the variables that lego documents for the provider; those of the environment count too"}},
	})
}

func (k kind) options() []Option {
	bound := k.bound
	if bound == "" {
		bound = defaultBound
	}
	options := []Option{boundOption(bound)}
	switch {
	case k.optional:
		options = append(options, Option{Name: "credentials", Arg: "FILE", Usage: "Path to " + k.service + " service account JSON file."})
	case !k.bare:
		options = append(options, Option{Name: "credentials", Arg: "FILE", Usage: k.service + " credentials INI file."})
	}
	return append(options, k.more...)
}

func boundOption(def string) Option {
	return Option{Name: "propagation-seconds", Arg: "SECONDS", Default: def,
		Usage: "how long to wait, at most, until all authoritative name servers show the TXT records"}
}

// find returns what is known about a plugin, by its full name.
func find(plugin string) (kind, bool) {
	for _, k := range kinds {
		if "dns-"+k.name == plugin {
			return k, true
		}
	}
	return kind{}, false
}

// dest is Certbot's name for an option of a plugin in files.
func dest(plugin, option string) string {
	return strings.ReplaceAll(plugin+"_"+option, "-", "_")
}

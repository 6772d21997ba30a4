package dns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/authenticator/dns/acmedns"
	"vidimus/internal/authenticator/dns/cloudflare"
	"vidimus/internal/authenticator/dns/credentials"
	"vidimus/internal/authenticator/dns/external"
	"vidimus/internal/authenticator/dns/provider"
	"vidimus/internal/authenticator/dns/rfc2136"
	"vidimus/internal/authenticator/dns/script"
)

// chosen is a provider that is ready for use.
type chosen struct {
	provider.Provider
	// alone says that an order must have a name for itself from the first value until
	// all are removed: the provider may replace or remove all values of a name at once.
	alone bool
	// options are what it takes to choose the same again, without secrets.
	options map[string]string
}

// choose makes the provider of a plugin; all that can be wrong with its options and
// credentials is found here.
func choose(c Config, s *Session) (chosen, error) {
	if c.Plugin == Generic {
		return chooseGeneric(c, s)
	}
	k, ok := find(c.Plugin)
	if !ok {
		return chosen{}, fmt.Errorf("there is no DNS plugin called %s: see vidimus plugins", c.Plugin)
	}
	ch := chosen{options: make(map[string]string)}
	for _, o := range k.more {
		ch.options[dest(c.Plugin, o.Name)] = c.Option(dest(c.Plugin, o.Name))
	}
	path, data, err := readFile(c, k)
	if err != nil {
		return ch, err
	}
	ch.options[dest(c.Plugin, "credentials")] = path
	values := map[string]string{}
	if len(k.keys) > 0 {
		if values, err = credentials.INI(path, data, k.keys); err != nil {
			return ch, err
		}
	}
	switch k.name {
	case "google":
		ch.alone = true
		var settings map[string]string
		if settings, err = googleBy(path, data, c.Option("dns_google_project")); err == nil {
			ch.Provider, err = startProgram(c, s, k.lego, settings)
		}
	case "cloudflare":
		ch.Provider, err = cloudflareBy(path, values, c.Cloudflare)
	case "rfc2136":
		ch.Provider, err = rfc2136By(path, values)
	default:
		ch.alone = true
		ch.Provider, err = startProgram(c, s, k.lego, settingsOf(k, values))
	}
	return ch, err
}

// readFile reads the credentials file of one of Certbot's plugins.
func readFile(c Config, k kind) (path string, data []byte, err error) {
	if k.bare {
		return "", nil, nil
	}
	option := dest(c.Plugin, "credentials")
	path = c.Option(option)
	if path == "" {
		if k.optional {
			return "", nil, nil
		}
		return "", nil, fmt.Errorf("%s needs its credentials: give --%s-credentials FILE, a file of mode 0600 like this:\n%s",
			c.Plugin, c.Plugin, credentials.Example(k.keys))
	}
	if path, err = credentials.Path(path, os.UserHomeDir); err != nil {
		return "", nil, err
	}
	data, err = credentials.Read(path, c.Log)
	return path, data, err
}

// settingsOf gives the credentials the names that lego has for them.
func settingsOf(k kind, values map[string]string) map[string]string {
	settings := maps.Clone(k.fixed)
	if settings == nil {
		settings = make(map[string]string)
	}
	for key, variable := range k.variables {
		if values[key] != "" {
			settings[variable] = values[key]
		}
	}
	return settings
}

// googleBy hands on the path of a file with a service account's key, or of another kind
// of credentials that Google has, which do not name a project.
func googleBy(path string, data []byte, project string) (map[string]string, error) {
	settings := make(map[string]string)
	if project != "" {
		settings["GCE_PROJECT"] = project
	}
	if path == "" {
		return settings, nil
	}
	var file struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &file); err != nil || file.Type == "" {
		return nil, fmt.Errorf("the credentials file %s is not one of Google's: create a JSON key of a service account that may change the zones", path)
	}
	if file.Type == "service_account" {
		settings["GCE_SERVICE_ACCOUNT_FILE"] = path
		return settings, nil
	}
	if project == "" {
		return nil, fmt.Errorf("the credentials file %s names no project: give --dns-google-project ID", path)
	}
	settings["GOOGLE_APPLICATION_CREDENTIALS"] = path
	return settings, nil
}

func cloudflareBy(path string, v map[string]string, base string) (provider.Provider, error) {
	token, email, key := v["dns_cloudflare_api_token"], v["dns_cloudflare_email"], v["dns_cloudflare_api_key"]
	switch {
	case token != "" && (email != "" || key != ""):
		return nil, fmt.Errorf("the credentials file %s has an API token as well as dns_cloudflare_email or dns_cloudflare_api_key: keep the token only", path)
	case token == "" && (email == "" || key == ""):
		return nil, fmt.Errorf("the credentials file %s must have dns_cloudflare_api_token (recommended), or both dns_cloudflare_email and dns_cloudflare_api_key; such a file looks like this:\n    dns_cloudflare_api_token = 0123456789abcdef0123456789abcdef01234567", path)
	}
	if base == "" {
		base = cloudflare.API
	}
	return &cloudflare.Account{BaseURL: base, Token: token, Email: email, Key: key}, nil
}

func rfc2136By(path string, v map[string]string) (provider.Provider, error) {
	s, err := rfc2136.New(v["dns_rfc2136_server"], v["dns_rfc2136_port"], v["dns_rfc2136_name"], v["dns_rfc2136_secret"], v["dns_rfc2136_algorithm"])
	if err != nil {
		return nil, fmt.Errorf("the credentials file %s: %w", path, err)
	}
	switch sign := v["dns_rfc2136_sign_query"]; strings.ToLower(sign) {
	case "", "false", "no", "0", "off":
	case "true", "yes", "1", "on":
		s.SignQuery = true
	default:
		return nil, fmt.Errorf("the credentials file %s has dns_rfc2136_sign_query = %q: say true or false", path, sign)
	}
	return s, nil
}

// chooseGeneric makes the provider behind --dns PROVIDER.
func chooseGeneric(c Config, s *Session) (chosen, error) {
	name := strings.ToLower(c.Option("dns_provider"))
	ch := chosen{options: map[string]string{"dns_provider": name}}
	values := make(map[string]string)
	if path := c.Option("dns_credentials"); path != "" {
		path, err := credentials.Path(path, os.UserHomeDir)
		if err != nil {
			return ch, err
		}
		data, err := credentials.Read(path, c.Log)
		if err != nil {
			return ch, err
		}
		if values, err = credentials.Variables(path, data); err != nil {
			return ch, err
		}
		ch.options["dns_credentials"] = path
	}
	get := func(names ...string) string {
		for _, n := range names {
			if v := values[n]; v != "" {
				return v
			}
		}
		for _, n := range names {
			if v := c.Getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	var err error
	switch name {
	case "":
		err = errors.New("the DNS provider is not said: give its name, as in --dns desec")
	case "cloudflare":
		ch.Provider, err = genericCloudflare(get, c.Cloudflare)
	case "rfc2136":
		ch.Provider, err = genericRFC2136(get)
	case "acme-dns", "acmedns":
		ch.alone = true // the server keeps two values of a name
		ch.Provider, err = genericACMEDNS(get)
	case "exec", "script":
		ch.Provider, err = genericScript(c, s, get)
	default:
		ch.alone = true
		ch.Provider, err = startProgram(c, s, name, values)
	}
	return ch, err
}

func genericCloudflare(get func(...string) string, base string) (provider.Provider, error) {
	a := &cloudflare.Account{BaseURL: base, Token: get("CLOUDFLARE_DNS_API_TOKEN", "CF_DNS_API_TOKEN"),
		Email: get("CLOUDFLARE_EMAIL", "CF_API_EMAIL"), Key: get("CLOUDFLARE_API_KEY", "CF_API_KEY")}
	if a.BaseURL == "" {
		a.BaseURL = cloudflare.API
	}
	if a.Token == "" && (a.Email == "" || a.Key == "") {
		return nil, errors.New("the provider cloudflare needs CF_DNS_API_TOKEN, or both CF_API_EMAIL and CF_API_KEY: set it in the environment or in --dns-credentials FILE")
	}
	return a, nil
}

func genericRFC2136(get func(...string) string) (provider.Provider, error) {
	server := get("RFC2136_NAMESERVER")
	if server == "" {
		return nil, errors.New("the provider rfc2136 needs RFC2136_NAMESERVER, and RFC2136_TSIG_KEY, RFC2136_TSIG_SECRET and RFC2136_TSIG_ALGORITHM for signed updates: set them in the environment or in --dns-credentials FILE")
	}
	host, port := server, ""
	if i := strings.LastIndexByte(server, ':'); i > 0 && (strings.HasSuffix(server[:i], "]") || strings.Count(server, ":") == 1) {
		host, port = server[:i], server[i+1:]
	}
	algorithm := get("RFC2136_TSIG_ALGORITHM")
	if algorithm == "" {
		algorithm = "hmac-sha1" // lego's default
	}
	return rfc2136.New(host, port, get("RFC2136_TSIG_KEY"), get("RFC2136_TSIG_SECRET"), algorithm)
}

func genericACMEDNS(get func(...string) string) (provider.Provider, error) {
	file := get("ACME_DNS_STORAGE_PATH")
	if file == "" {
		return nil, errors.New("the provider acme-dns needs ACME_DNS_STORAGE_PATH, a JSON file with the accounts, and ACME_DNS_API_BASE: set them in the environment or in --dns-credentials FILE")
	}
	return acmedns.New(get("ACME_DNS_API_BASE"), file)
}

func genericScript(c Config, s *Session, get func(...string) string) (provider.Provider, error) {
	path := get("EXEC_PATH")
	info, err := os.Stat(path)
	switch {
	case path == "":
		return nil, errors.New("the provider exec needs EXEC_PATH, the program to run: set it in the environment or in --dns-credentials FILE")
	case err != nil:
		return nil, fmt.Errorf("the program of EXEC_PATH cannot be run: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("the program of EXEC_PATH, %s, is not executable: run chmod +x on it", path)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return &script.Program{Path: path, Raw: strings.EqualFold(get("EXEC_MODE"), "RAW"), Log: c.Log,
		Turn: &turn{locks: &s.names, name: "script " + path}}, nil
}

// startTimeout bounds the start of a program; some providers ask their API then.
const startTimeout = time.Minute

func startProgram(c Config, s *Session, name string, settings map[string]string) (provider.Provider, error) {
	beside := ""
	if exe, err := os.Executable(); err == nil {
		beside = filepath.Dir(exe)
	}
	path, err := external.Find(name, c.Getenv("PATH"), beside)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	resolver := ""
	if len(c.resolvers) > 0 {
		resolver = c.resolvers[0]
	}
	p := external.Provider{Programs: &s.programs,
		Spec: external.Spec{Path: path, Provider: name, Settings: settings, Resolver: resolver, Log: c.Log}}
	_, err = s.programs.Get(ctx, p.Spec)
	return p, err
}

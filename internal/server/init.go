package server

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
	"vidimus/internal/durable"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

// InitOptions say what Init makes.
type InitOptions struct {
	Dir          string // is made when it isn't there
	Organisation string // in the names of the CAs
	URL          string // https://HOST[:PORT] of the server
	Listen       string // "" means all addresses, with the port of URL
	ListenHTTP   string // "" means all addresses, port 80
	URLHTTP      string // "" means the host of URL, with the port of ListenHTTP
	Database     string // postgres:// URL; "" means a SQLite file in Dir
	Networks     []string
	// CAAIdentities are the names of the CA in CAA records; none means the host of URL.
	CAAIdentities []string
	Throwaway     string // the first line of a configuration that is no real one; "" for one that is
	Validation    struct{ HTTP01Port, TLSALPN01Port int }
}

//go:embed vidimusd.yaml.tmpl
var configTemplate string

// Init makes a root CA, an issuing CA, the same for staging, and a configuration. It replaces nothing: when
// the configuration or a key is there already it fails. The configuration is written
// last, so that whoever finds one finds it complete.
func Init(o InitOptions) (configPath string, err error) {
	configPath = filepath.Join(o.Dir, "vidimusd.yaml")
	if _, err := os.Lstat(configPath); err == nil {
		return "", fmt.Errorf("%s exists already; choose another --dir", configPath)
	}
	if err := o.complete(); err != nil {
		return "", err
	}
	root, err := issuer.NewRoot(o.Organisation, time.Now())
	if err != nil {
		return "", err
	}
	issuing, err := issuer.NewIssuing(o.Organisation, "main", root, time.Now())
	if err != nil {
		return "", err
	}
	// The other issuer is for trying things; its names say that it is not to be trusted.
	const untrusted = "(STAGING) "
	stagingRoot, err := issuer.NewRoot(untrusted+o.Organisation, time.Now())
	if err != nil {
		return "", err
	}
	staging, err := issuer.NewIssuing(untrusted+o.Organisation, "1", stagingRoot, time.Now())
	if err != nil {
		return "", err
	}
	ca := filepath.Join(o.Dir, "ca")
	if err := os.MkdirAll(ca, 0o700); err != nil {
		return "", err
	}
	for _, f := range []struct {
		name string
		ca   issuer.CA
	}{{"root", root}, {"main", issuing}, {"staging-root", stagingRoot}, {"staging", staging}} {
		if err := writeCA(filepath.Join(ca, f.name), f.ca); err != nil {
			return "", err
		}
	}
	if err := durable.SyncDir(ca); err != nil {
		return "", err
	}
	var text strings.Builder
	if err := template.Must(template.New("config").Parse(configTemplate)).Execute(&text, o); err != nil {
		return "", err
	}
	mode := os.FileMode(0o644)
	if o.Database != "" { // which may have a password
		mode = 0o600
	}
	return configPath, durable.WriteFile(configPath, []byte(text.String()), mode)
}

func writeCA(path string, ca issuer.CA) error {
	key, err := certificate.MarshalKey(ca.Key)
	if err != nil {
		return err
	}
	if err := durable.CreateFile(path+".key", key, 0o600); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s.key exists already, from an init that was interrupted or by hand; move the folder %s away", path, filepath.Dir(path))
	} else if err != nil {
		return err
	}
	return durable.WriteFile(path+".pem", certificate.MarshalChain(ca.Certificate), 0o644)
}

// complete checks the options and fills in what follows from the others.
func (o *InitOptions) complete() error {
	base, err := config.BaseURL(o.URL, "https")
	if err != nil {
		return fmt.Errorf("the server's URL: %w", err)
	}
	u, err := url.Parse(base)
	if err != nil {
		return err
	}
	if _, err := identifier.Parse(u.Hostname()); err != nil && u.Hostname() != "localhost" {
		return fmt.Errorf("the host of %s: %w", o.URL, err)
	}
	o.URL = base
	if o.Listen == "" {
		port := u.Port()
		if port == "" {
			port = "443"
		}
		o.Listen = net.JoinHostPort("", port)
	}
	if o.ListenHTTP == "" {
		o.ListenHTTP = ":80"
	}
	for _, a := range []string{o.Listen, o.ListenHTTP} {
		_, port, err := net.SplitHostPort(a)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%q is not an address to listen on, such as 0.0.0.0:443", a)
		}
	}
	if o.URLHTTP == "" {
		_, port, _ := net.SplitHostPort(o.ListenHTTP)
		o.URLHTTP = "http://" + strings.TrimSuffix(u.Host, ":"+u.Port())
		if port != "80" {
			o.URLHTTP = "http://" + net.JoinHostPort(u.Hostname(), port)
		}
	}
	if o.URLHTTP, err = config.BaseURL(o.URLHTTP, "http"); err != nil {
		return fmt.Errorf("the URL of CRLs: %w", err)
	}
	if o.Database != "" {
		if !store.IsURL(o.Database) {
			return errors.New("the database is a URL that begins with postgres://; without one it is a SQLite file")
		}
		if err := store.CheckURL(o.Database); err != nil {
			return fmt.Errorf("the database %s: %w", store.Redacted(o.Database), err)
		}
	}
	for _, n := range o.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", n)
		}
	}
	for _, port := range []int{o.Validation.HTTP01Port, o.Validation.TLSALPN01Port} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%d is not a port", port)
		}
	}
	if strings.TrimSpace(o.Organisation) == "" || strings.ContainsAny(o.Organisation, "\n\r\x00") || len(o.Organisation) > 40 {
		return fmt.Errorf("the organisation's name must be one line of 1 to 40 characters")
	}
	return nil
}

package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/durable"
	"vidimus/internal/store"
)

// DevOptions are the options of "vidimusd dev".
type DevOptions struct {
	Dir           string // is made when it isn't there; what it holds is used again
	Listen        string // HOST:PORT; port 0 lets the system choose
	HTTP01Port    int    // 0 means 80
	TLSALPN01Port int    // 0 means 443
	Resolver      string // HOST:PORT; "" means those of a configuration that names some, or that every name is at this machine
	Database      string // postgres:// URL; "" means a SQLite file in Dir

	DemoSize int       // how many hosts are made up besides the few that there always are
	Progress io.Writer // told how that goes, which takes minutes for many
}

// DevInfo is the content of dev.json, which tells scripts about a server that is ready.
type DevInfo struct {
	Directory     string           `json:"directory"`      // needs EAB
	DirectoryOpen string           `json:"directory_open"` // does not
	Portal        string           `json:"portal"`         // the pages for people
	CABundle      string           `json:"ca_bundle"`      // PEM file of the root, which the server's own certificate is under too
	EAB           []DevCredentials `json:"eab"`            // not used so far
	Config        string           `json:"config"`         // for vidimusd admin --config
	CRL           string           `json:"crl"`
	PID           int              `json:"pid"`
	People        []DevPerson      `json:"people"` // who can log in to the portal
}

// DevCredentials are EAB credentials of an ACME-ID of the demo.
type DevCredentials struct {
	KID     string   `json:"kid"`
	HMACKey string   `json:"hmac_key"` // base64url
	Names   []string `json:"names"`
}

// demo is the host database that "vidimusd dev" begins with: people, their hosts,
// and for the first host of each list an ACME-ID that may manage all of it.
var demo = []struct {
	person store.Person
	hosts  [][]string
}{
	{store.Person{Login: "ada", Name: "Ada Archer", Email: "ada@uni.test"}, [][]string{
		{"www.uni.test", "mail.uni.test", "lists.uni.test"}, {"library.uni.test", "catalogue.uni.test"}}},
	{store.Person{Login: "bela", Name: "Béla Baker", Email: "bela@uni.test"}, [][]string{
		{"physics.uni.test", "lab.physics.uni.test"}, {"chemistry.uni.test"}}},
	{store.Person{Login: "auditor", Name: "Ana Auditor", Email: "auditor@uni.test", Role: string(directory.Auditor)}, nil},
	{store.Person{Login: "operator", Name: "Ole Operator", Email: "operator@uni.test", Role: string(directory.Operator)}, nil},
	{store.Person{Login: "administrator", Name: "Alma Administrator", Email: "administrator@uni.test", Role: string(directory.Administrator)}, nil},
}

// Dev runs everything in one process, with a throw-away CA and demo data, until ctx
// is done. DIR/dev.json is there while the server is ready.
func Dev(ctx context.Context, o DevOptions, version string, log *slog.Logger, ready func(DevInfo)) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	infoPath := filepath.Join(dir, "dev.json")
	if err := os.Remove(infoPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, lis, err := devConfig(dir, o)
	if err != nil {
		return err
	}
	s, err := Open(ctx, c, lis, version, log)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.addDemo(ctx); err != nil {
		return fmt.Errorf("entering the demo data: %w", err)
	}
	if err := s.addDemoSize(ctx, o.DemoSize, o.Progress); err != nil {
		return fmt.Errorf("making up the demo data: %w", err)
	}
	info, err := s.devInfo(ctx, dir)
	if err != nil {
		return err
	}
	if info.People, err = s.devPasswords(ctx); err != nil {
		return fmt.Errorf("giving the people of the demo passwords: %w", err)
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(infoPath, append(data, '\n'), 0o600); err != nil {
		return err
	}
	defer os.Remove(infoPath)
	ready(info)
	return s.Serve(ctx)
}

// devMark is the first line of the configurations that Dev makes. It runs no others: who
// asks it gets certificates for all names, which no CA that is trusted may sign.
const devMark = "# Made by vidimusd dev, to try things: anybody on this machine gets any name."

// devOnly refuses a configuration that Dev has not made.
func devOnly(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(text), devMark+"\n") {
		return fmt.Errorf("%s was not made by vidimusd dev, which gives any name to anybody on this machine; choose another --dir, or run: vidimusd serve --config %[1]s", path)
	}
	return nil
}

// devConfig opens the listeners, and makes the configuration in dir or takes the one
// that is there. The file is as usual, for "vidimusd admin" to use.
func devConfig(dir string, o DevOptions) (c *config.Config, l Listeners, err error) {
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, l, fmt.Errorf("--listen %q is not HOST:PORT", o.Listen)
	}
	if l.ACME, err = listen(o.Listen); err != nil {
		return nil, l, err
	}
	address := l.ACME.Addr().String()
	path := filepath.Join(dir, "vidimusd.yaml")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if l.HTTP, err = listen(net.JoinHostPort(host, "0")); err != nil {
			return nil, l, err
		}
		init := InitOptions{Dir: dir, Organisation: "Vidimus Dev", URL: "https://" + address, Listen: address,
			ListenHTTP: l.HTTP.Addr().String(), Database: o.Database, Throwaway: devMark, Networks: []string{"127.0.0.0/8", "::1/128"}, CAAIdentities: []string{"ca.uni.test"}}
		if _, err := Init(init); err != nil {
			return nil, l, err
		}
	}
	if err := devOnly(path); err != nil {
		return nil, l, err
	}
	if c, err = Config(path); err != nil {
		return nil, l, err
	}
	if l.HTTP == nil {
		if l.HTTP, err = listen(c.ListenHTTP); err != nil {
			return nil, l, err
		}
	}
	if a := c.ListenCertificates(); a != "" {
		if l.Certificates, err = listen(a); err != nil {
			return nil, l, err
		}
	}
	c.Listen, c.URL = address, "https://"+address
	if c.Portal == nil { // of a folder that an older vidimusd has made
		c.Portal = &config.Portal{Title: config.DefaultPortalTitle, Login: []config.LoginWay{{Password: &config.PasswordLogin{}}}}
	}
	return c, l, o.validation(&c.Validation)
}

// validation applies the options for validation to the configuration.
func (o DevOptions) validation(v *config.Validation) error {
	v.HTTP01Port, v.TLSALPN01Port = cmp.Or(o.HTTP01Port, 80), cmp.Or(o.TLSALPN01Port, 443)
	for _, p := range []int{v.HTTP01Port, v.TLSALPN01Port} {
		if p < 1 || p > 65535 {
			return fmt.Errorf("%d is not a port", p)
		}
	}
	if o.Resolver == "" {
		v.Loopback = len(v.Resolvers) == 0
		return nil
	}
	if _, _, err := net.SplitHostPort(o.Resolver); err != nil {
		return fmt.Errorf("--resolver %q is not HOST:PORT", o.Resolver)
	}
	v.Resolvers, v.Partial = []string{o.Resolver}, true
	return nil
}

// addDemo enters the demo data, unless there are hosts already.
func (s *Server) addDemo(ctx context.Context) error {
	if hosts, err := s.store.Hosts(ctx); err != nil || len(hosts) > 0 {
		return err
	}
	for _, d := range demo {
		d.person.Created = time.Now()
		if err := s.store.AddPerson(ctx, d.person); err != nil {
			return err
		}
		for _, names := range d.hosts {
			for _, fqdn := range names {
				if _, err := s.dir.AddHost(ctx, fqdn, directory.People([]string{d.person.Login})); err != nil {
					return err
				}
			}
			if _, _, err := s.dir.AddACMEID(ctx, directory.Team, names[0], names); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) devInfo(ctx context.Context, dir string) (DevInfo, error) {
	iss := &s.config.Issuers[0]
	info := DevInfo{Directory: s.DirectoryURL(iss.Name), DirectoryOpen: s.DirectoryURL(iss.Name + "-open"), Portal: s.URL + "/portal/",
		CABundle: iss.Root, Config: filepath.Join(dir, "vidimusd.yaml"), CRL: s.config.URLHTTP + "/crl/" + iss.Name + ".crl", PID: os.Getpid(), EAB: []DevCredentials{}}
	all, err := s.store.ACMEIDs(ctx)
	if err != nil {
		return info, err
	}
	for _, a := range all {
		if len(a.HMACKey) > 0 && a.Invalid.IsZero() && !strings.HasSuffix(a.FQDN, madeUp) {
			info.EAB = append(info.EAB, DevCredentials{a.KID, base64.RawURLEncoding.EncodeToString(a.HMACKey), a.Names})
		}
	}
	return info, nil
}

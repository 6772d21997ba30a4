package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
	"vidimus/internal/store"
)

func initAt(t *testing.T, dir string) string {
	t.Helper()
	path, err := Init(InitOptions{Dir: dir, Organisation: "Test & Söhne", URL: "https://127.0.0.1:14000/",
		Listen: "127.0.0.1:0", ListenHTTP: "127.0.0.1:0", Networks: []string{"127.0.0.0/8", "fd00::/8"}})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func readConfig(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := Config(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c *config.Config) *Server {
	t.Helper()
	l, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), c, l, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestInitMakesWhatCheckAccepts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	c := readConfig(t, initAt(t, dir))
	if c.URL != "https://127.0.0.1:14000" || len(c.Issuers) != 2 || !c.Issuers[1].IsStaging() || len(c.Validation.Networks) != 2 {
		t.Errorf("the configuration is %+v", c)
	}
	ca, err := c.Issuers[0].Load()
	if err != nil {
		t.Fatal(err)
	}
	if ca.Certificate.Equal(ca.Root) || !ca.Certificate.MaxPathLenZero {
		t.Error("the issuing CA is the root, or may make CAs")
	}
	keys := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".key" {
			return err
		}
		keys++
		info, err := d.Info()
		if err == nil && info.Mode() != 0o600 {
			t.Errorf("%s has mode %v; want 0600", path, info.Mode())
		}
		return err
	})
	if err != nil || keys != 4 {
		t.Errorf("%d keys, %v; want four", keys, err)
	}
}

func TestInitNamesWhereCRLsAre(t *testing.T) {
	tests := []struct{ url, listenHTTP, want string }{
		{"https://acme.example.org", "", "http://acme.example.org"},
		{"https://acme.example.org:14000/", ":14080", "http://acme.example.org:14080"},
		{"https://[::1]:14000", "", "http://[::1]"},
		{"https://[::1]", "[::1]:14080", "http://[::1]:14080"},
	}
	for _, tt := range tests {
		path, err := Init(InitOptions{Dir: t.TempDir(), Organisation: "Test", URL: tt.url, ListenHTTP: tt.listenHTTP})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
		} else if c := readConfig(t, path); c.URLHTTP != tt.want {
			t.Errorf("%s with %q: %s; want %s", tt.url, tt.listenHTTP, c.URLHTTP, tt.want)
		}
	}
}

func TestInitReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := initAt(t, dir)
	content := func() (all string) {
		for _, f := range []string{path, filepath.Join(dir, "ca", "root.key"), filepath.Join(dir, "ca", "main.key"), filepath.Join(dir, "ca", "root.pem")} {
			data, err := os.ReadFile(f)
			if err != nil && f != path {
				t.Fatal(err)
			}
			all += string(data)
		}
		return all
	}
	before := content()
	again := InitOptions{Dir: dir, Organisation: "Other", URL: "https://acme.example.org"}
	if _, err := Init(again); err == nil || !strings.Contains(err.Error(), "exists already") || content() != before {
		t.Errorf("a second init: %v", err)
	}
	if err := os.Remove(path); err != nil { // as if the first had been cut short
		t.Fatal(err)
	}
	before = content()
	if _, err := Init(again); err == nil || !strings.Contains(err.Error(), "root.key exists already") || content() != before {
		t.Errorf("an init over keys: %v", err)
	}
}

func TestInitRefusesBadOptionsAndMakesNothing(t *testing.T) {
	good := InitOptions{Organisation: "Test", URL: "https://acme.example.org"}
	for name, change := range map[string]func(*InitOptions){
		"no URL":            func(o *InitOptions) { o.URL = "" },
		"plain":             func(o *InitOptions) { o.URL = "http://acme.example.org" },
		"path":              func(o *InitOptions) { o.URL += "/acme" },
		"fragment":          func(o *InitOptions) { o.URL += "#x" },
		"user":              func(o *InitOptions) { o.URL = "https://ada@acme.example.org" },
		"port of the URL":   func(o *InitOptions) { o.URL += ":65536" },
		"host":              func(o *InitOptions) { o.URL = "https://acme_1.example.org" },
		"listen":            func(o *InitOptions) { o.Listen = "acme.example.org" },
		"listen port":       func(o *InitOptions) { o.ListenHTTP = ":65536" },
		"network":           func(o *InitOptions) { o.Networks = []string{"ten"} },
		"validation port":   func(o *InitOptions) { o.Validation.HTTP01Port = 65536 },
		"no organisation":   func(o *InitOptions) { o.Organisation = " " },
		"two lines":         func(o *InitOptions) { o.Organisation = "A\nB" },
		"long organisation": func(o *InitOptions) { o.Organisation = strings.Repeat("x", 41) },
		"URL of CRLs":       func(o *InitOptions) { o.URLHTTP = "ftp://acme.example.org" },
	} {
		o := good
		o.Dir = filepath.Join(t.TempDir(), "new")
		change(&o)
		if path, err := Init(o); err == nil {
			_, err := Config(path)
			t.Errorf("%s: accepted; check says: %v", name, err)
		} else if _, err := os.Lstat(o.Dir); err == nil {
			t.Errorf("%s: something was made", name)
		}
	}
}

func TestConfigSaysHowToMakeOne(t *testing.T) {
	_, err := Config(filepath.Join(t.TempDir(), "vidimusd.yaml"))
	if err == nil || !strings.Contains(err.Error(), "vidimusd init --dir") {
		t.Errorf("no configuration: %v", err)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	for _, c := range []*config.Config{{Listen: at}, {Listen: "127.0.0.1:0", ListenHTTP: at}} {
		l, err := Listen(c)
		if err == nil {
			l.close()
			t.Fatalf("listens twice on %s", at)
		}
		if want := "another program listens on " + at; !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q; want %q", err, want)
		}
	}
}

func TestItsOwnCertificateIsUsedAgainUntilItsNamesChange(t *testing.T) {
	path := initAt(t, t.TempDir())
	serial := func(url string) string {
		c := readConfig(t, path)
		c.URL = url
		s := open(t, c)
		defer s.Close()
		return s.own.current.Load().Leaf.SerialNumber.Text(16)
	}
	first := serial("https://127.0.0.1:14000")
	if again := serial("https://127.0.0.1:14000"); again != first {
		t.Error("a restart made another certificate")
	}
	if other := serial("https://acme.example.org"); other == first {
		t.Error("another name got the old certificate")
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(path), "vidimusd-tls.pem"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file of its own certificate: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestOpenFinishesAnIssuanceThatWasCutShort(t *testing.T) {
	c := readConfig(t, initAt(t, t.TempDir()))
	open(t, c).Close()
	db, err := store.Open(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	var own store.Certificate
	if err := db.Certificates(t.Context(), store.Selection{Names: []string{"127.0.0.1"}, History: true}, func(c store.Certificate) error { own = c; return nil }); err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(own.DER)
	if err != nil {
		t.Fatal(err)
	}
	intent := own
	intent.TBS = signed.RawTBSCertificate                                                                  // which is not kept beside the certificate
	for serial, created := range map[string]time.Time{"4a": time.Now(), "4b": time.Now().Add(time.Hour)} { // the clock was ahead
		intent.Serial, intent.Created = serial, created
		if err := db.BeginIssuance(t.Context(), intent, ""); err != nil { // and then the process died
			t.Fatal(err)
		}
	}
	db.Close()

	s := open(t, c)
	if left, err := s.store.UnfinishedCertificates(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left unfinished: %v, %v", left, err)
	}
}

func TestServeAnswersOverBothListenersUntilItIsStopped(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()

	roots := x509.NewCertPool()
	roots.AddCert(s.issuers[0].Current().Root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	secure, plain := "https://"+s.listen.ACME.Addr().String(), "http://"+s.listen.HTTP.Addr().String()
	for _, tt := range []struct{ url, mediaType string }{
		{secure + "/acme/main/directory", "application/json"},
		{secure + "/", "text/html; charset=utf-8"},
		{plain + "/crl/main.crl", "application/pkix-crl"},
		{plain + "/ca/main.cer", "application/pkix-cert"},
		{plain + "/ca/main-root.pem", "application/x-pem-file"},
	} {
		resp, err := client.Get(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != tt.mediaType {
			t.Errorf("%s: %s, %q, %v", tt.url, resp.Status, resp.Header, err)
		}
		if strings.HasSuffix(tt.url, "root.pem") {
			if chain, err := certificate.ParseChain(body); err != nil || !chain[0].Equal(s.issuers[0].Current().Root) {
				t.Errorf("%s holds %v, %v", tt.url, chain, err)
			}
		}
	}
	if resp, err := client.Get(plain + "/acme/main/directory"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("ACME without TLS: %v, %v; want not found", resp, err)
	} else {
		resp.Body.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(fmt.Errorf("stopping: %w", err))
	}
}

package portal

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// A person makes a key in the browser, and saves it with its certificate; nginx serves
// them, and OpenSSL opens the file for Windows.
func TestAKeyIsMadeInTheBrowserAndServedByNginx(t *testing.T) {
	nginx, openssl := peer.Need(t, "nginx"), peer.Need(t, "openssl")
	v, site, people := startServer(t)
	b := newTab(t, site, "en")
	dir := t.TempDir()
	call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow,
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: dir})
	b.logIn("ada", people["ada"])
	b.visit("/portal/request")
	ask := func(names string) {
		t.Helper()
		eval[string](b, fmt.Sprintf(`document.getElementById("names").value = %q`, names))
		b.run(chromedp.Click("#make"))
	}
	ask("")
	b.sees("Name at least one host")
	ask("catalogue.uni.test, elsewhere.example.org")
	b.sees("elsewhere.example.org: you are not responsible")
	b.accessible("a refused request")
	b.screenshot("request-refused")
	ask("catalogue.uni.test\nlists.uni.test")
	b.sees("Your certificate is there")
	b.accessible("a certificate that was made")
	b.screenshot("request-made")
	b.run(chromedp.SendKeys("#password", "short"), chromedp.Click("#save-p12"))
	b.sees("at least 8 characters")
	b.run(chromedp.SetValue("#password", "long enough"), chromedp.Click("#save-p12"), chromedp.Click("#save-key"), chromedp.Click("#save-chain"))
	file := func(ending string) string { return filepath.Join(dir, "catalogue.uni.test"+ending) }
	for _, ending := range []string{".p12", "-key.pem", "-chain.pem"} {
		peer.Eventually(t, file(ending), func() bool { s, err := os.Stat(file(ending)); return err == nil && s.Size() > 0 })
	}
	key, err := certificate.LoadKey(file("-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := certificate.LoadChain(file("-chain.pem"))
	if err != nil || len(chain) != 2 || !certificate.KeyMatches(chain[0], key) {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	text := peer.Must(t, exec.Command(openssl, "pkcs12", "-in", file(".p12"), "-nodes", "-passin", "pass:long enough"))
	if again, err := certificate.ParseKey([]byte(text[strings.Index(text, "-----BEGIN PRIVATE KEY"):])); err != nil || !certificate.KeyMatches(chain[0], again) {
		t.Errorf("the key in the PKCS #12 file: %v", err)
	}
	b.press("#show")
	b.sees("catalogue.uni.test")
	b.sees("ada, in the portal")
	b.fine("the page of the certificate")
	serve(t, nginx, v, file("-chain.pem"), file("-key.pem"))
}

// serve has nginx use a certificate, which a client that trusts the root accepts.
func serve(t *testing.T, nginx string, v *peer.Vidimusd, chain, key string) {
	t.Helper()
	dir, port := t.TempDir(), peer.FreePort(t)
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen 127.0.0.1:%[2]d ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; return 200 "hello"; }
}
`, dir, port, chain, key)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	peer.Start(t, exec.Command(nginx, "-c", file, "-p", dir))
	roots := x509.NewCertPool()
	root, err := os.ReadFile(filepath.Join(v.Dir, "ca", "root.pem"))
	if err != nil || !roots.AppendCertsFromPEM(root) {
		t.Fatalf("no root: %v", err)
	}
	peer.Eventually(t, "nginx serves the certificate", func() bool {
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots, ServerName: "lists.uni.test", MinVersion: tls.VersionTLS12})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// sees waits until the page says something.
func (b *tab) sees(text string) {
	b.t.Helper()
	end := time.Now().Add(time.Minute)
	for !strings.Contains(b.text(), text) {
		if time.Now().After(end) {
			b.t.Fatalf("the page does not say %q: %s", text, b.text())
		}
		time.Sleep(50 * time.Millisecond) // between two looks at the condition
	}
}

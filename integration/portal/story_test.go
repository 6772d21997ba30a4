package portal

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"vidimus/integration/peer"
)

// rootOnClients is where the commands of the page expect the root.
const rootOnClients = "/usr/local/share/ca-certificates/vidimus-root.crt"

// A person makes an ACME-ID, copies the command for Certbot and runs it; the page then
// tells who has registered, and has the certificate.
func TestTheCommandOfThePageGetsACertificate(t *testing.T) {
	peer.Need(t, "certbot")
	v, site, people := startServer(t)
	b := newTab(t, site, "en")
	b.logIn("ada", people["ada"])
	b.visit("/portal/acme-ids/new?host=mail.uni.test")
	b.run(chromedp.SetValue("#names", "mail.uni.test\nlists.uni.test"))
	b.press("main form .actions button")
	text := b.text()
	if !strings.Contains(text, "certbot certonly") {
		t.Fatalf("the page has no command: %s", text)
	}
	b.theme("light")
	b.accessible("credentials")
	b.screenshot("credentials-ada-en-light")
	b.theme("dark")
	b.accessible("credentials, dark")
	b.screenshot("credentials-ada-en-dark")

	command := b.copied(`main details pre`)
	b.visit("/portal/acme-ids/mail.uni.test")
	if !strings.Contains(b.text(), "Waiting for registration") {
		t.Errorf("before the registration: %s", b.text())
	}
	key := between(t, command, "--eab-hmac-key ", " ")
	if strings.Contains(b.text(), key) {
		t.Error("the key is shown a second time")
	}

	dir := t.TempDir()
	command = strings.ReplaceAll(strings.TrimSpace(command), rootOnClients, v.CABundle)
	cmd := exec.Command("sh", "-c", fmt.Sprintf("%s --http-01-port %d --config-dir %s --work-dir %s --logs-dir %s", command, v.HTTPPort,
		filepath.Join(dir, "config"), filepath.Join(dir, "work"), filepath.Join(dir, "logs")))
	if out, status := peer.Run(t, cmd); status != 0 {
		t.Fatalf("%s\nends with %d: %s", command, status, out)
	}
	b.visit("/portal/acme-ids/mail.uni.test")
	text = b.text()
	for _, want := range []string{"Registered", "Certbot/", "127.0.0.1"} {
		if !strings.Contains(text, want) {
			t.Errorf("after the registration %q is missing: %s", want, text)
		}
	}
	if eval[int](b, `document.querySelectorAll('main a[href^="/portal/certificates/"]').length`) == 0 {
		t.Errorf("the certificate is not on the page: %s", text)
	}
	b.press(`main a[href^="/portal/certificates/"]`)
	if text := b.text(); !strings.Contains(text, "lists.uni.test") || !strings.Contains(text, "mail.uni.test") {
		t.Errorf("the certificate's page: %s", text)
	}
	b.fine("the story")
}

// copied presses the button that copies what the first element of a kind has, and returns
// what is in the clipboard then.
func (b *tab) copied(selector string) string {
	b.t.Helper()
	id := eval[string](b, `document.querySelector("`+selector+`").id`)
	b.run(chromedp.Click(`button[data-copy="` + id + `"]`))
	b.run(chromedp.WaitVisible(`button[data-copy="` + id + `"]`))
	c := chromedp.FromContext(b.ctx)
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{Origin: b.site, BrowserContextID: c.BrowserContextID,
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted}); err != nil {
			b.t.Fatal(err)
		}
	}
	return eval[string](b, `navigator.clipboard.readText()`)
}

func between(t *testing.T, text, before, after string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, before)
	part, _, also := strings.Cut(rest, after)
	if !ok || !also || part == "" {
		t.Fatalf("%q has nothing between %q and %q", text, before, after)
	}
	return part
}

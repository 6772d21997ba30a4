package portal

import (
	"encoding/base32"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"vidimus/integration/peer"
	"vidimus/internal/login"
)

var portalSection = regexp.MustCompile(`(?ms)^portal:\n.*?^log:\n`)

// startWith starts a server with these ways of logging in, as YAML, in which CA stands for
// the file of the server's CA.
func startWith(t *testing.T, ways string) (v *peer.Vidimusd, site string) {
	t.Helper()
	peer.Need(t, "chromium")
	v = peer.StartVidimusd(t)
	v.Kill()
	text, err := os.ReadFile(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	ways = strings.ReplaceAll(ways, "CA_FILE", v.CABundle)
	if err := os.WriteFile(v.Config, portalSection.ReplaceAll(text, []byte("portal:\n  login:\n"+ways+"log:\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
	site, _, _ = strings.Cut(v.Directory, "/acme/")
	return v, site
}

// A person sets up one-time codes, as they have to, and logs in by one.
func TestLogInByPasswordAndOneTimeCode(t *testing.T) {
	v, site := startWith(t, "    - password: {totp: required}\n")
	const password = "correct horse battery"
	cmd := exec.Command(peer.Build(t, "vidimusd"), "admin", "--config", v.Config, "person", "password", "ada")
	cmd.Stdin = strings.NewReader(password + "\n")
	peer.Must(t, cmd)
	themes := []string{"light", "dark"}
	b := newTab(t, site, "en")
	enter := func() {
		t.Helper()
		b.visit("/portal/login?next=/portal/account")
		b.run(chromedp.SendKeys("#login", "ada"), chromedp.SendKeys("#password", password))
		b.press("main form button")
	}
	b.visit("/portal/login")
	b.run(chromedp.SendKeys("#login", "ada"), chromedp.SendKeys("#password", "wrong"))
	b.press("main form button")
	b.look("login-wrong", "ada", "en", themes)
	enter()
	b.look("login-enrol", "ada", "en", themes)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(eval[string](b, `document.querySelector("main ol code").textContent`), "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	b.run(chromedp.SendKeys("#code", login.CodeOf(secret, begin)))
	b.press("main form button")
	b.look("recovery", "ada", "en", themes)
	recovery := strings.Fields(eval[string](b, `document.querySelector("#recovery").textContent`))
	if len(recovery) != 10 {
		t.Fatalf("there are these recovery codes: %v", recovery)
	}
	b.press("main a.button")
	if b.path() != "/portal/account" {
		t.Errorf("the page then is %s", b.path())
	}
	b.look("account-codes", "ada", "en", themes)
	b.press(`form[action="/portal/logout"] button`)
	enter()
	b.look("login-code", "ada", "en", themes)
	b.run(chromedp.SendKeys("#code", login.CodeOf(secret, begin))) // once more
	b.press("main form button")
	if !strings.Contains(b.text(), "was used already") {
		t.Errorf("a code that was used: %s", b.text())
	}
	// A step ahead is taken, so that nobody waits.
	b.run(chromedp.SendKeys("#code", login.CodeOf(secret, begin.Add(30*time.Second))))
	b.press("main form button")
	if b.path() != "/portal/account" {
		t.Errorf("the page then is %s: %s", b.path(), b.text())
	}
}

// The browser goes to the provider and back; the policy of our pages lets it.
func TestLogInByAProvider(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t))
	v, site := startWith(t, fmt.Sprintf(`    - password: {}
    - oidc: {issuer: "https://%s", ca: CA_FILE, client_id: vidimus, title: Campus account}
`, address))
	bin := filepath.Join(t.TempDir(), "provider")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./integration/login/provider")
	build.Dir = peer.Root(t)
	peer.Must(t, build)
	own := filepath.Join(v.Dir, "vidimusd-tls.pem") // which is for 127.0.0.1
	peer.Start(t, exec.Command(bin, "-listen", address, "-cert", own, "-key", own, "-client", "vidimus", "-redirect", site+"/portal/login/callback/oidc"))
	b := newTab(t, site, "en")
	b.visit("/portal/login?next=/portal/account")
	b.look("login-provider", "nobody", "en", []string{"light", "dark"})
	peer.Eventually(t, "the provider's page is there", func() bool {
		b.visit("/portal/login?next=/portal/account")
		b.press(`main a[href^="/portal/login/with/oidc"]`)
		return strings.Contains(b.text(), "Go on")
	})
	b.run(chromedp.SendKeys("input[name=login]", "ada"))
	b.press("button")
	if b.path() != "/portal/account" || !strings.Contains(b.text(), "Ada Archer") {
		t.Errorf("the page is %s: %s", b.path(), b.text())
	}
}

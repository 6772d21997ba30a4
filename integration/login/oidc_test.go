package login

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// buildProvider builds the OpenID provider of these tests.
func buildProvider(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "provider")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./integration/login/provider")
	cmd.Dir = peer.Root(t)
	peer.Must(t, cmd)
	return bin
}

// visit goes to the provider, as its page asks for there logs in, and returns the URL that
// it sends the browser back to.
func (b *browser) visit(login string) string {
	b.t.Helper()
	p := b.get("/portal/login/with/campus?next=/portal/account")
	if p.status != http.StatusSeeOther {
		b.t.Fatalf("status %d: %s", p.status, p.body)
	}
	if form := b.get(p.location); form.status != http.StatusOK || !strings.Contains(form.body, "<form") {
		b.t.Fatalf("the provider answers with status %d: %s", form.status, form.body)
	}
	back := b.post(p.location, "login", login)
	if back.status != http.StatusSeeOther {
		b.t.Fatalf("the provider answers with status %d: %s", back.status, back.body)
	}
	return back.location
}

// refused follows the provider's link back, which must not let the browser in.
func (b *browser) refused(link string) {
	b.t.Helper()
	if p := b.get(link); p.status != http.StatusSeeOther || p.location != "/portal/login" {
		b.t.Errorf("status %d to %q", p.status, p.location)
	}
	if p := b.get("/portal/login"); !strings.Contains(p.body, "You could not be logged in this way.") {
		b.t.Errorf("the log-in doesn't say so: %s", p.body)
	}
	b.isNobody()
}

func TestLogInByOpenIDConnect(t *testing.T) {
	c := newCA(t)
	cert, key := c.server(t)
	address := fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t))
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("client secret\n"), 0o600))
	s := start(t, fmt.Sprintf(`    - oidc:
        name: campus
        title: Campus account
        issuer: https://%s
        ca: %s
        client_id: vidimus
        client_secret_file: %s
        roles: {operator: [CA-team]}
        unknown: create
`, address, c.file, secret))
	both := c.pool(s.roots)

	// The provider is away when the server starts.
	b := s.browser(t, both)
	if p := b.get("/portal/login"); !strings.Contains(p.body, "Campus account") || strings.Contains(p.body, `type="password"`) {
		t.Errorf("the log-in offers: %s", p.body)
	}
	if p := b.get("/portal/login/with/campus"); p.status != http.StatusServiceUnavailable {
		t.Errorf("without a provider: status %d", p.status)
	}
	peer.Start(t, exec.Command(buildProvider(t), "-listen", address, "-cert", cert, "-key", key, "-client", "vidimus", "-secret", "client secret",
		"-redirect", s.url+"/portal/login/callback/campus"))
	peer.Eventually(t, "the provider answers", func() bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: both})
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	peer.Eventually(t, "the server has found it", func() bool { return b.get("/portal/login/with/campus").status == http.StatusSeeOther })

	back := b.visit("ada")
	if p := b.get(back); p.status != http.StatusSeeOther || p.location != "/portal/account" {
		t.Fatalf("status %d to %q: %s", p.status, p.location, p.body)
	}
	b.is("<dd>ada</dd>")

	t.Run("once", func(t *testing.T) {
		again := s.browser(t, both)
		if p := again.get(back); p.location == "/portal/account" || p.status == http.StatusOK {
			t.Errorf("status %d to %q", p.status, p.location)
		}
		again.isNobody()
	})
	t.Run("another's answer in one's own browser", func(t *testing.T) {
		// An attacker has a victim follow the link that ends their own log-in.
		attacker, victim := s.browser(t, both), s.browser(t, both)
		link := attacker.visit("fault-none")
		victim.get(link)
		victim.isNobody()
		victim.visit("ada") // has begun one of their own
		victim.get(link)
		victim.isNobody()
	})
	t.Run("role by group", func(t *testing.T) {
		op := s.browser(t, both)
		op.get(op.visit("operator-by-group"))
		op.is("<dd>operator-by-group</dd>", "Name of operator-by-group", `class="role">Operator`)
	})
	t.Run("faults", func(t *testing.T) {
		for _, fault := range []string{"nonce", "audience", "issuer", "expired", "key", "subject"} {
			b := s.browser(t, both)
			b.refused(b.visit("fault-" + fault))
		}
	})
	t.Run("refused there", func(t *testing.T) {
		b := s.browser(t, both)
		b.refused(b.visit(""))
	})
	t.Run("a code that is none", func(t *testing.T) {
		b := s.browser(t, both)
		u, err := url.Parse(b.visit("ada"))
		must(t, err)
		q := u.Query()
		q.Set("code", "guessed")
		u.RawQuery = q.Encode()
		b.refused(u.String())
	})
	t.Run("log out", func(t *testing.T) {
		m := csrfField.FindStringSubmatch(b.get("/portal/account").body)
		if p := b.post("/portal/logout"); p.status != http.StatusForbidden {
			t.Errorf("without its token: status %d", p.status)
		}
		b.is("<dd>ada</dd>")
		b.post("/portal/logout", "csrf", m[1])
		b.isNobody()
	})
	if p := b.get("/portal/login/with/another"); p.status != http.StatusNotFound {
		t.Errorf("a way that there is not: status %d", p.status)
	}
}

package server

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/store/postgrestest"
)

// A server that is backed up while clients get certificates starts again from the
// backup: with every certificate that a client had before, for the same accounts, with
// an audit log that is whole, and with a CRL of a higher number.
func TestABackupUnderLoadIsRestored(t *testing.T) {
	vidimusd := peer.Build(t, "vidimusd")
	v := peer.StartVidimusd(t, "--log-level", "error")
	l := newLoader(t, v, "backup.uni.test")
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			_ = l.obtain(ctx) // the last one is cut off
		}
	})
	peer.Eventually(t, "certificates are issued", func() bool { return l.count() > 20 })
	l.mu.Lock()
	before := make(map[string]bool)
	for serial := range l.got {
		before[serial] = true
	}
	l.mu.Unlock()
	dir := filepath.Join(t.TempDir(), "backup")
	peer.Must(t, exec.Command(vidimusd, "backup", "--config", v.Config, "--with-keys", dir))
	at := l.count()
	peer.Eventually(t, "more certificates are issued", func() bool { return l.count() > at })
	cancel()
	load.Wait()
	number := crl(t, v.CRL).Number
	v.Cmd.Process.Signal(os.Interrupt)
	v.Cmd.Wait()

	config := filepath.Join(t.TempDir(), "restored", "vidimusd.yaml")
	restore, database := []string{"restore", dir, "--config", config}, ""
	if peer.OnPostgres() {
		database = postgrestest.URL(t)
		restore = append(restore, "--database", database)
	}
	peer.Must(t, exec.Command(vidimusd, restore...))
	if out, status := peer.Run(t, exec.Command(vidimusd, restore...)); status != 1 {
		t.Errorf("a second restore: status %d\n%s", status, out)
	}
	if database != "" { // the configuration is that of the old one
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?m)^database: .*$`).ReplaceAll(text, []byte("database: "+database))
		if err := os.WriteFile(config, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	peer.Must(t, exec.Command(vidimusd, "audit", "verify", "--config", config))
	v.Config = config
	for _, c := range v.Certificates(t, l.name) {
		delete(before, c.Serial)
	}
	if len(before) > 0 {
		t.Errorf("%d certificates that a client had before the backup are not in it", len(before))
	}

	peer.Start(t, exec.Command(vidimusd, "serve", "--config", config))
	peer.Eventually(t, "it serves the restored records", func() bool { return l.obtain(t.Context()) == nil })
	if again := crl(t, v.CRL).Number; again.Cmp(number) <= 0 {
		t.Errorf("the CRL has the number %d; want more than %d", again, number)
	}
}

func crl(t *testing.T, url string) *x509.RevocationList {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

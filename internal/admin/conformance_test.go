package admin

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConformanceSaysHowToTrustAServer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	other := newSite(t)
	for want, args := range map[string][]string{
		"--ca-bundle FILE":         nil,
		"root.pem (--ca-bundle)":   {"--ca-bundle", filepath.Join(filepath.Dir(other.config), "ca", "root.pem")},
		"is not an ACME directory": {"--ca-bundle", bundle(t, server)},
	} {
		var errs strings.Builder
		status := Main(append([]string{"conformance", server.URL + "/directory"}, args...), "test", new(strings.Builder), &errs)
		if status != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("status %d, %s; want 1 and %q", status, &errs, want)
		}
	}
}

func bundle(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

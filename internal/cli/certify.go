package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/durable"
	"vidimus/internal/identifier"
	"vidimus/internal/renewal"
)

// certify has the CSR of the command line certified. There is no private key, so there
// is no lineage: the certificate is written to files and left to its owner.
func (s *session) certify(ctx context.Context) error {
	o := s.opts
	for _, path := range []string{o.certPath, o.chainPath, o.fullchainPath} {
		if _, err := os.Lstat(path); path != "" && err == nil {
			return fmt.Errorf("%s exists already: move it away, or choose another path", path)
		}
	}
	if o.PreHook+o.PostHook+o.RenewHook != "" {
		fmt.Fprintln(s.Stderr, "Hooks are not run with --csr.")
	}
	if err := s.askWebroots(ctx); err != nil {
		return err
	}
	if err := s.pickAccount(ctx); err != nil {
		return err
	}
	if err := s.obtainer.Ready(ctx, o.Settings); err != nil {
		return err
	}
	what := "Requesting a certificate"
	if o.DryRun {
		what = "Simulating a certificate request"
	}
	fmt.Fprintf(s.out, "%s for %s\n", what, renewal.Summary(identifier.Values(o.Domains)))
	m, err := s.obtainer.Order(ctx, o.Settings, o.Domains, nil)
	if err != nil {
		return err
	}
	if o.DryRun {
		fmt.Fprintln(s.out, "The dry run was successful.")
		return nil
	}
	return s.saveCertified(m.Cert, m.Chain)
}

func (s *session) saveCertified(cert, chain []byte) error {
	o := s.opts
	saved := map[string]string{}
	for _, f := range []struct {
		kind, path, usual string
		data              []byte
	}{
		{"cert", o.certPath, "cert.pem", cert},
		{"chain", o.chainPath, "chain.pem", chain},
		{"fullchain", o.fullchainPath, "chain.pem", slices.Concat(cert, chain)}, // Certbot's name for it
	} {
		path, err := saveNew(f.path, f.usual, f.data)
		if err != nil {
			return err
		}
		saved[f.kind] = path
	}
	certs, err := certificate.ParseChain(cert)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nSuccessfully received certificate.\nCertificate is saved at:            %s\nIntermediate CA chain is saved at:  %s\n"+
		"Full certificate chain is saved at: %s\nThis certificate expires on %s.\n",
		saved["cert"], saved["chain"], saved["fullchain"], certs[0].NotAfter.UTC().Format(time.DateOnly))
	s.nextStep("Certificates created using --csr will not be renewed automatically. You will need to renew the certificate before it expires, by running the same " + s.Name + " command again.")
	return nil
}

// saveNew writes a file that must not exist: at path, or, when that is "", in the
// current directory under the first free one of 0000_USUAL, 0001_USUAL and so on.
func saveNew(path, usual string, data []byte) (string, error) {
	if path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		return path, createSynced(path, data)
	}
	for n := 0; ; n++ {
		path, err := filepath.Abs(fmt.Sprintf("%04d_%s", n, usual))
		if err != nil {
			return "", err
		}
		if err = createSynced(path, data); !errors.Is(err, fs.ErrExist) {
			return path, err
		}
	}
}

func createSynced(path string, data []byte) error {
	if err := durable.CreateFile(path, data, 0o644); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// readable tells whether path is a file that can be read.
func readable(path string) error {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	return nil
}

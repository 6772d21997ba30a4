package admin

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

type certificateView struct {
	store.Certificate
	Names []string `json:"names"`
	State string   `json:"state"`
	PEM   string   `json:"pem"` // "" while it is unfinished
}

func viewCertificate(c store.Certificate) certificateView {
	v := certificateView{Certificate: c, State: "valid", Names: []string{}, PEM: pemOf(c)}
	switch {
	case c.DER == nil:
		v.State = "unfinished"
	case !c.Revoked.IsZero():
		v.State = "revoked " + day(c.Revoked) + " (" + acme.Reasons[c.Reason] + ")"
	case time.Now().After(c.NotAfter):
		v.State = "expired"
	}
	if cert, err := x509.ParseCertificate(c.DER); err == nil {
		v.Names = identifier.Values(certificate.Identifiers(cert))
	}
	return v
}

func pemOf(c store.Certificate) string {
	if c.DER == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
}

func certificates(t *tool) *cobra.Command {
	show := &cobra.Command{
		Use: "show SERIAL", Short: "Show a certificate", Args: exactly(1, "a serial number in hexadecimal"),
		ValidArgsFunction: t.completed(serialsAt),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			serial := strings.ToLower(strings.ReplaceAll(args[0], ":", ""))
			if _, err := hex.DecodeString(serial); err != nil {
				return usageError{fmt.Errorf("%q is not a serial number in hexadecimal", args[0])}
			}
			cert, err := d.Store.Certificate(c.Context(), serial)
			if err != nil {
				return notThere(err, "there is no certificate %s on record", serial)
			}
			v := viewCertificate(cert)
			if t.json {
				return printJSON(c.OutOrStdout(), v)
			}
			to, err := holder(c, d, cert)
			if err != nil {
				return err
			}
			if err := t.show(c.OutOrStdout(), nil, [2]string{"Serial", v.Serial}, [2]string{"Names", orNone(v.Names)}, [2]string{"State", v.State},
				[2]string{"Issuer", v.Issuer}, [2]string{"From", day(v.NotBefore)}, [2]string{"Until", day(v.NotAfter)},
				[2]string{"Issued", day(v.Issued)}, [2]string{"To", to}, [2]string{"Key SHA-256", hex.EncodeToString(v.SPKI)},
				[2]string{"Its history", "vidimusd audit export --object " + v.Serial}); err != nil {
				return err
			}
			_, err = io.WriteString(c.OutOrStdout(), v.PEM)
			return err
		}),
	}
	return group("certificate", "Look up and revoke certificates", listCertificates(t), show, revokeCommand(t))
}

// holder says whose a certificate is.
func holder(c *cobra.Command, d *directory.Directory, cert store.Certificate) (string, error) {
	if cert.Person != "" {
		return cert.Person + ", in the portal, without ACME", nil
	}
	if cert.Account == 0 {
		return "the server itself", nil
	}
	a, err := d.Store.Account(c.Context(), cert.Account)
	if err != nil {
		return "", err
	}
	if a.ACMEID == 0 {
		return fmt.Sprintf("account %d of directory %s", a.ID, a.Directory), nil
	}
	return fmt.Sprintf("account %d of ACME-ID %s", a.ID, a.ACMEIDFQDN), nil
}

func listCertificates(t *tool) *cobra.Command {
	var f selectionFlags
	var valid bool
	c := &cobra.Command{
		Use: "list [SELECTION]", Short: "List the certificates on record", Args: exactly(0, ""),
		Long: `List the certificates on record, revoked and ended ones too, oldest first. Without a
selection all are listed. Options of different kinds narrow it down; one that is repeated
widens it.`,
		Example: `  vidimusd admin certificate list --acme-id lab.example.org
  vidimusd admin certificate list --host www.example.org --issued-after 2026-01-31 --json`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			sel, err := f.read(c, t, d, store.Selection{Now: time.Now(), Any: true, History: !valid})
			if err != nil {
				return err
			}
			return listAll(t, c.OutOrStdout(), "SERIAL\tSTATE\tUNTIL\tACCOUNT\tNAMES", certificateRow, func(each func(*certificateView) error) error {
				return d.Store.Certificates(c.Context(), sel, func(cert store.Certificate) error {
					v := viewCertificate(cert)
					return each(&v)
				})
			})
		}),
	}
	f.add(c, t)
	c.Flags().BoolVar(&valid, "valid", false, "only those that are neither revoked nor ended")
	return c
}

func certificateRow(v *certificateView) []string {
	account := "none"
	if v.Account != 0 {
		account = strconv.FormatInt(v.Account, 10)
	}
	return []string{v.Serial, v.State, day(v.NotAfter), account, orNone(v.Names)}
}

package admin

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
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
	var name string
	list := &cobra.Command{
		Use: "list", Short: "List the certificates on record", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			if name != "" {
				var err error
				if name, err = canonical(name); err != nil {
					return err
				}
			}
			views, rows := []certificateView{}, [][]string{}
			err := d.Store.Certificates(c.Context(), name, func(cert store.Certificate) error {
				v := viewCertificate(cert)
				views = append(views, v)
				rows = append(rows, []string{v.Serial, v.State, day(v.NotAfter), orNone(v.Names)})
				return nil
			})
			if err != nil {
				return err
			}
			return t.list(c.OutOrStdout(), views, "SERIAL\tSTATE\tUNTIL\tNAMES", rows)
		}),
	}
	list.Flags().StringVar(&name, "name", "", "only those for this `FQDN`")
	show := &cobra.Command{
		Use: "show SERIAL", Short: "Show a certificate", Args: exactly(1, "a serial number in hexadecimal"),
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
			if err := t.show(c.OutOrStdout(), nil, [2]string{"Serial", v.Serial}, [2]string{"Names", orNone(v.Names)}, [2]string{"State", v.State},
				[2]string{"Issuer", v.Issuer}, [2]string{"From", day(v.NotBefore)}, [2]string{"Until", day(v.NotAfter)},
				[2]string{"Account", fmt.Sprint(v.Account)}); err != nil {
				return err
			}
			_, err = io.WriteString(c.OutOrStdout(), v.PEM)
			return err
		}),
	}
	return group("certificate", "Look up and revoke certificates", list, show, revokeCommand(t))
}

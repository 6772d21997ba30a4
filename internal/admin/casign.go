package admin

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/acme"
	"vidimus/internal/ceremony"
	"vidimus/internal/certificate"
)

func caSign(version string) *cobra.Command {
	t := &caTool{version: version}
	var csr string
	c := &cobra.Command{
		Use: "sign --root PREFIX --csr FILE --out PREFIX", Short: "Sign the certificate request of an intermediate", Args: exactly(0, ""),
		Long: `Sign a certificate request as an intermediate, PREFIX.pem. Name and key are those of the
request; all else is what you say here. Compare the fingerprint of the public key with
whoever made the request.`,
		RunE: func(c *cobra.Command, _ []string) error {
			terms, err := t.understood()
			if err != nil {
				return err
			}
			if err := ceremony.CheckNew(t.out + ".pem"); err != nil {
				return err
			}
			request, err := ceremony.ReadRequest(csr)
			if err != nil {
				return err
			}
			above, err := t.open()
			if err != nil {
				return err
			}
			cert, err := ceremony.SignRequest(terms, request, above)
			if err != nil {
				return err
			}
			if err := ceremony.Write(ceremony.Output{Path: t.out + ".pem", Data: certificate.MarshalChain(cert), Mode: 0o644}); err != nil {
				return err
			}
			return t.report(c.OutOrStdout(), "an intermediate was signed", cert, above.Certificate, t.out+".pem (0644)",
				fmt.Sprintf("  - Give %s.pem back to whoever made the request, with %s.pem.\n", t.out, t.root))
		},
	}
	c.Flags().StringVar(&csr, "csr", "", "the certificate request, a `FILE` in PEM")
	c.MarkFlagRequired("csr")
	t.terms.addValidity(c, "10y")
	t.terms.addLimits(c)
	t.terms.addURLs(c)
	t.addRoot(c)
	t.addOut(c, "make `PREFIX`.pem")
	return c
}

func caCrossSign(version string) *cobra.Command {
	t := &caTool{version: version}
	var existing string
	c := &cobra.Command{
		Use: "cross-sign --root PREFIX --certificate FILE --out PREFIX", Short: "Sign a CA that there is once more, by another root", Args: exactly(0, ""),
		Long: `Make another certificate, PREFIX.pem, for a CA that there is: the same name, key and
limits, below another root. Who trusts only that root then trusts what the CA signs. It
ends when the CA's own certificate does, or earlier.`,
		RunE: func(c *cobra.Command, _ []string) error {
			terms, err := t.understood()
			if err != nil {
				return err
			}
			if err := ceremony.CheckNew(t.out + ".pem"); err != nil {
				return err
			}
			chain, err := certificate.LoadChain(existing)
			if err != nil {
				return err
			}
			above, err := t.open()
			if err != nil {
				return err
			}
			cert, err := ceremony.CrossSign(terms, chain[0], above)
			if err != nil {
				return err
			}
			if err := ceremony.Write(ceremony.Output{Path: t.out + ".pem", Data: certificate.MarshalChain(cert), Mode: 0o644}); err != nil {
				return err
			}
			return t.report(c.OutOrStdout(), "a CA was cross-signed", cert, above.Certificate, t.out+".pem (0644)", fmt.Sprintf(
				`  - Name it where the CA is in vidimusd.yaml, so that clients can choose it:
      chains: [%s.pem]
  - Check it:  vidimusd check
`, t.out))
		},
	}
	c.Flags().StringVar(&existing, "certificate", "", "the CA's certificate, a `FILE` in PEM")
	c.MarkFlagRequired("certificate")
	t.terms.addValidity(c, "10y")
	t.terms.addURLs(c)
	t.addRoot(c)
	t.addOut(c, "make `PREFIX`.pem")
	return c
}

func caCRL(version string) *cobra.Command {
	t := &caTool{version: version}
	var previous, reason string
	var revoke []string
	c := &cobra.Command{
		Use: "crl --root PREFIX --out FILE", Short: "Sign the CRL of an offline root", Args: exactly(0, ""),
		Long: `Sign the list of the CA certificates that a root has revoked, in DER, as it is served.
What the list before names stays, and its number grows. Before a list ends a new one is
needed, also when nothing was revoked.`,
		Example: `  vidimusd ca crl --root root --out root-1.crl
  vidimusd ca crl --root root --previous root-1.crl --revoke ca1.pem --reason superseded --out root-2.crl`,
		RunE: func(c *cobra.Command, _ []string) error {
			now := time.Now()
			next, err := lifeEnd(t.terms.validity, now)
			if err != nil {
				return usageError{err}
			}
			code, err := revocationReason(reason)
			if err != nil {
				return usageError{err}
			}
			if err := ceremony.CheckNew(t.out); err != nil {
				return err
			}
			var more []ceremony.Revoked
			for _, r := range revoke {
				serial, err := revokedSerial(r)
				if err != nil {
					return err
				}
				more = append(more, ceremony.Revoked{Serial: serial, Reason: code})
			}
			return t.signCRL(c, previous, more, now, next)
		},
	}
	c.Flags().StringVar(&previous, "previous", "", "the list before, a `FILE`; without one this is the first")
	c.Flags().StringSliceVar(&revoke, "revoke", nil, "a CA certificate to revoke: its `FILE` in PEM, or its serial number in hexadecimal; can be repeated")
	c.Flags().StringVar(&reason, "reason", "unspecified", "the `REASON`: unspecified, cACompromise, superseded, cessationOfOperation, …")
	t.terms.addValidity(c, "1y")
	t.addRoot(c)
	t.addOut(c, "make this `FILE`")
	return c
}

func (t *caTool) signCRL(c *cobra.Command, previous string, more []ceremony.Revoked, now, next time.Time) error {
	root, err := t.open()
	if err != nil {
		return err
	}
	list, err := ceremony.SignCRL(root, previous, more, now, next)
	if err != nil {
		return err
	}
	if err := ceremony.Write(ceremony.Output{Path: t.out, Data: list.Raw, Mode: 0o644}); err != nil {
		return err
	}
	l := new(ceremony.Log)
	l.SignedBy(root.Certificate)
	l.Add("Number", "%s", list.Number)
	l.Add("Good", "from %s to %s", list.ThisUpdate.Format(time.RFC3339), list.NextUpdate.Format(time.RFC3339))
	for _, e := range list.RevokedCertificateEntries {
		l.Add("Revoked", "%x since %s", e.SerialNumber, e.RevocationTime.Format(time.RFC3339))
	}
	l.Add("CRL SHA-256", "%s", ceremony.Fingerprint(list.Raw))
	l.Add("Files", "%s (0644)", t.out)
	if err := l.Print(c.OutOrStdout(), "a CRL was signed", t.version, now); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), `
What to do next:
  - Serve %s at the --crl-url that the certificates below the root name.
  - Note the day: a new list is needed before %s.
`, t.out, list.NextUpdate.Format(time.DateOnly))
	return err
}

// revocationReason reads a reason of RFC 5280 §5.3.1 that fits a CA.
func revocationReason(s string) (acme.RevocationReason, error) {
	if strings.EqualFold(s, "cACompromise") {
		return 2, nil
	}
	for code, name := range acme.Reasons {
		if strings.EqualFold(s, name) {
			return code, nil
		}
	}
	return 0, fmt.Errorf("--reason %q is none of those of RFC 5280 §5.3.1", s)
}

// revokedSerial reads a serial number, or finds that of a certificate.
func revokedSerial(s string) (*big.Int, error) {
	if n, ok := new(big.Int).SetString(strings.ReplaceAll(s, ":", ""), 16); ok && n.Sign() > 0 {
		return n, nil
	}
	chain, err := certificate.LoadChain(s)
	if err != nil {
		return nil, fmt.Errorf("--revoke takes a serial number in hexadecimal or a certificate's file: %w", err)
	}
	return chain[0].SerialNumber, nil
}

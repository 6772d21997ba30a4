package admin

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/ceremony"
	"vidimus/internal/certificate"
)

// caTool is what the commands below "ca" have in common.
type caTool struct {
	version string
	terms   caTerms
	out     string // what files are made, without their endings
	root    string // which files the signing CA is in, without their endings
	key     string
	plain   bool
	secret  passphrase
}

func caCommand(version string) *cobra.Command {
	c := group("ca", "Make roots and intermediates, offline",
		caRoot(version), caIntermediate(version), caRequest(version), caSign(version), caCrossSign(version), caCRL(version))
	c.Long = `Make the CAs of an organisation by hand, best on a machine that is never on a network:
a root, intermediates below it for vidimusd to sign with, and the root's CRL. No
configuration is needed. A CA is a pair of files, PREFIX.key and PREFIX.pem. Keys are
made with mode 0600; a root's key is encrypted by a passphrase, which is asked for at
the terminal or read from --passphrase-fd. Nothing is overwritten. Each command prints a
log with the fingerprints of what it made, to be kept on paper, and what to do next.`
	c.Example = `  vidimusd ca root --name "Example University Root CA" --organisation "Example University" --country DE --out root
  vidimusd ca intermediate --name "Example University CA 1" --organisation "Example University" --country DE \
      --root root --permit example.org --crl-url http://acme.example.org/root.crl --out ca1`
	return c
}

func (t *caTool) addOut(c *cobra.Command, what string) {
	c.Flags().StringVar(&t.out, "out", "", what)
	c.MarkFlagRequired("out")
}

func (t *caTool) addRoot(c *cobra.Command) {
	c.Flags().StringVar(&t.root, "root", "", "the CA that signs: the files `PREFIX`.pem and PREFIX.key")
	c.MarkFlagRequired("root")
	t.addPassphrase(c)
}

func (t *caTool) addPassphrase(c *cobra.Command) {
	c.Flags().IntVar(&t.secret.fd, "passphrase-fd", -1, "the file descriptor `N` to read the passphrase of the root's key from (default: ask at the terminal)")
	c.Flags().Lookup("passphrase-fd").DefValue = "0" // so that help says nothing of -1
}

func (t *caTool) addKey(c *cobra.Command) {
	c.Flags().StringVar(&t.key, "key", "p384", "the `KIND` of key: "+strings.Join(ceremony.KeyTypes, ", "))
	c.RegisterFlagCompletionFunc("key", cobra.FixedCompletions(ceremony.KeyTypes, cobra.ShellCompDirectiveNoFileComp))
}

// open reads the CA that signs.
func (t *caTool) open() (ceremony.CA, error) {
	return ceremony.Open(t.root, func() ([]byte, error) { return t.secret.read(false) })
}

// understood reads the flags of the terms; mistakes are misuse.
func (t *caTool) understood() (ceremony.Terms, error) {
	terms, err := t.terms.terms(time.Now())
	if err != nil {
		return terms, usageError{err}
	}
	return terms, nil
}

// generate makes a key; an unknown kind is misuse.
func (t *caTool) generate() (crypto.Signer, error) {
	key, err := ceremony.GenerateKey(t.key)
	if err != nil {
		return nil, usageError{err}
	}
	return key, nil
}

// report prints the log of a new certificate and what to do next.
func (t *caTool) report(w io.Writer, what string, cert, above *x509.Certificate, files, next string) error {
	l := new(ceremony.Log)
	l.Certificate(cert)
	if above != nil {
		l.SignedBy(above)
	}
	l.Add("Files", "%s", files)
	if err := l.Print(w, what, t.version, time.Now()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nWhat to do next:\n%s", next)
	return err
}

func caRoot(version string) *cobra.Command {
	t := &caTool{version: version}
	c := &cobra.Command{
		Use: "root --name NAME --out PREFIX", Short: "Make a root: a key and a certificate that it signs itself", Args: exactly(0, ""),
		Long: `Make a root: PREFIX.key, encrypted by a passphrase, and PREFIX.pem. Its certificate is
what clients are told to trust, for decades; its key is needed only to sign
intermediates and CRLs.`,
		RunE: func(c *cobra.Command, _ []string) error {
			terms, err := t.understood()
			if err != nil {
				return err
			}
			terms.PathLen = -1
			files := []string{t.out + ".key", t.out + ".pem"}
			if err := ceremony.CheckNew(files...); err != nil {
				return err
			}
			key, err := t.generate()
			if err != nil {
				return err
			}
			var secret []byte
			kind := "not encrypted"
			if !t.plain {
				kind = "encrypted"
				if secret, err = t.secret.read(true); err != nil {
					return err
				}
			}
			data, err := ceremony.MarshalKey(key, secret)
			if err != nil {
				return err
			}
			cert, err := ceremony.Root(terms, key)
			if err != nil {
				return err
			}
			if err := ceremony.Write(ceremony.Output{Path: files[0], Data: data, Mode: 0o600},
				ceremony.Output{Path: files[1], Data: certificate.MarshalChain(cert), Mode: 0o644}); err != nil {
				return err
			}
			return t.report(c.OutOrStdout(), "a root was made", cert, nil, fmt.Sprintf("%s (0600, %s), %s (0644)", files[0], kind, files[1]), fmt.Sprintf(
				`  - Sign an intermediate for vidimusd:  vidimusd ca intermediate --root %[1]s --name NAME --out PREFIX
  - Sign a first CRL, and serve it:     vidimusd ca crl --root %[1]s --out FILE
  - Copy %[1]s.key to two media that are locked away; keep the passphrase elsewhere.
  - Let your clients trust %[1]s.pem.
`, t.out))
		},
	}
	t.terms.addName(c)
	t.terms.addValidity(c, "20y")
	t.addKey(c)
	t.addOut(c, "make `PREFIX`.key and PREFIX.pem")
	t.addPassphrase(c)
	c.Flags().BoolVar(&t.plain, "no-passphrase", false, "don't encrypt the key")
	return c
}

func caIntermediate(version string) *cobra.Command {
	t := &caTool{version: version}
	c := &cobra.Command{
		Use: "intermediate --root PREFIX --name NAME --out PREFIX", Short: "Make an intermediate below a root, for vidimusd to sign with", Args: exactly(0, ""),
		Long: `Make an intermediate: PREFIX.key and PREFIX.pem, signed by a root. vidimusd reads the
key, so it is not encrypted; bring it to the server by hand. Where only domains are
permitted, all addresses are excluded, and the other way round.`,
		RunE: func(c *cobra.Command, _ []string) error {
			terms, err := t.understood()
			if err != nil {
				return err
			}
			files := []string{t.out + ".key", t.out + ".pem"}
			if err := ceremony.CheckNew(files...); err != nil {
				return err
			}
			key, err := t.generate()
			if err != nil {
				return err
			}
			above, err := t.open()
			if err != nil {
				return err
			}
			data, err := ceremony.MarshalKey(key, nil)
			if err != nil {
				return err
			}
			cert, err := ceremony.Intermediate(terms, key.Public(), above)
			if err != nil {
				return err
			}
			if err := ceremony.Write(ceremony.Output{Path: files[0], Data: data, Mode: 0o600},
				ceremony.Output{Path: files[1], Data: certificate.MarshalChain(cert), Mode: 0o644}); err != nil {
				return err
			}
			return t.report(c.OutOrStdout(), "an intermediate was made", cert, above.Certificate,
				fmt.Sprintf("%s (0600, not encrypted), %s (0644)", files[0], files[1]), fmt.Sprintf(
					`  - Bring both files, and %[2]s.pem, to the server, and let the service's user own the key.
  - Put it into vidimusd.yaml, among the intermediates of an issuer, from a day on that
    gives you time to tell everybody:
      intermediates:
        - {certificate: %[1]s.pem, key: %[1]s.key, root: %[2]s.pem, from: %[3]s}
  - Check it:  vidimusd check
`, t.out, t.root, time.Now().AddDate(0, 1, 0).UTC().Format(time.DateOnly)))
		},
	}
	t.terms.addName(c)
	t.terms.addValidity(c, "10y")
	t.terms.addLimits(c)
	t.terms.addURLs(c)
	t.addKey(c)
	t.addRoot(c)
	t.addOut(c, "make `PREFIX`.key and PREFIX.pem")
	return c
}

func caRequest(version string) *cobra.Command {
	t := &caTool{version: version}
	c := &cobra.Command{
		Use: "csr --name NAME --out PREFIX", Short: "Make the key of an intermediate that a root elsewhere signs", Args: exactly(0, ""),
		Long: `Make PREFIX.key and PREFIX.csr, a certificate request for an intermediate that another
organisation's root signs, or your own on another machine ("vidimusd ca sign").`,
		RunE: func(c *cobra.Command, _ []string) error {
			name, err := t.terms.subject()
			if err != nil {
				return usageError{err}
			}
			files := []string{t.out + ".key", t.out + ".csr"}
			if err := ceremony.CheckNew(append(files, t.out+".pem")...); err != nil {
				return err
			}
			key, err := t.generate()
			if err != nil {
				return err
			}
			data, err := ceremony.MarshalKey(key, nil)
			if err != nil {
				return err
			}
			csr, err := ceremony.Request(name, key)
			if err != nil {
				return err
			}
			if err := ceremony.Write(ceremony.Output{Path: files[0], Data: data, Mode: 0o600},
				ceremony.Output{Path: files[1], Data: ceremony.PEM("CERTIFICATE REQUEST", csr), Mode: 0o644}); err != nil {
				return err
			}
			spki, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				return err
			}
			l := new(ceremony.Log)
			l.Add("Subject", "%s", name)
			l.Add("Public key SHA-256", "%s", ceremony.Fingerprint(spki))
			l.Add("Files", "%s (0600, not encrypted), %s (0644)", files[0], files[1])
			if err := l.Print(c.OutOrStdout(), "a certificate request was made", t.version, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), `
What to do next:
  - Have %[1]s.csr signed; the signer compares the fingerprint of the public key with you.
    With a root of your own:  vidimusd ca sign --root PREFIX --csr %[1]s.csr --out %[1]s
  - Put what comes back into %[1]s.pem, and what is above it below that.
`, t.out)
			return nil
		},
	}
	t.terms.addName(c)
	t.addKey(c)
	t.addOut(c, "make `PREFIX`.key and PREFIX.csr")
	return c
}

package admin

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"vidimus/internal/conformance"
)

// conformanceFlags are what the command line says, before it is understood.
type conformanceFlags struct {
	eabKIDs, eabFiles []string
	bundle, only      string
	domains           []string
	address, dns      string
	http01Port        int
	tlsALPN01Port     int
	list, json        bool
}

func conformanceCommand(version string) *cobra.Command {
	var f conformanceFlags
	c := &cobra.Command{
		Use:   "conformance DIRECTORY_URL",
		Short: "Test whether an ACME server keeps the rules of RFC 8555",
		Long: `Test an ACME server, any one, by a case for each rule that RFC 8555 (and RFC 8737,
8738, 9444 and 9773) puts on servers. The test makes accounts, orders and certificates there: don't
run it against a server whose limits you need. A MUST that is not kept is a failure and
makes the exit status 1; a SHOULD is a warning; what can't be told is skipped, with
the reason.`,
		Example: `  vidimusd conformance https://127.0.0.1:14000/acme/main-open/directory --ca-bundle dev/ca/root.pem --domain www.example.org --http-01-port 5002`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.run(c, args, version)
		},
	}
	fl := c.Flags()
	fl.StringSliceVar(&f.eabKIDs, "eab-kid", nil, "`KEY_ID` of external account binding credentials; each is used for one account; can be repeated")
	fl.StringSliceVar(&f.eabFiles, "eab-hmac-key-file", nil, "the `FILE` with the HMAC key, in base64url, that goes with the --eab-kid in the same place")
	fl.StringVar(&f.bundle, "ca-bundle", "", "the `FILE` with the certificates, in PEM, that the server's own is under")
	fl.StringSliceVar(&f.domains, "domain", nil, "a `NAME` that certificates may be ordered for; without one, many cases are skipped")
	fl.IntVar(&f.http01Port, "http-01-port", 80, "the `PORT` to answer http-01 challenges at; 0 for none")
	fl.IntVar(&f.tlsALPN01Port, "tls-alpn-01-port", 443, "the `PORT` to answer tls-alpn-01 challenges at; 0 for none")
	fl.StringVar(&f.address, "address", "", "an IP `ADDRESS` of this machine that certificates may be ordered for")
	fl.StringVar(&f.dns, "dns", "", "answer DNS questions at `HOST:PORT`, which the server must use as its resolver: every name is at 127.0.0.1, and dns-01 can be tested")
	fl.StringVar(&f.only, "only", "", "run only cases whose section and title match the regular expression `PATTERN`")
	fl.BoolVar(&f.list, "list", false, "list the cases and run none")
	fl.BoolVar(&f.json, "json", false, "print JSON, for scripts")
	return c
}

func (f *conformanceFlags) run(c *cobra.Command, args []string, version string) error {
	o, err := f.options(version)
	if err != nil {
		return usageError{err}
	}
	out := c.OutOrStdout()
	if len(conformance.Selected(o.Only)) == 0 {
		return usageError{fmt.Errorf("no case matches --only %q; they are listed by: vidimusd conformance --list", f.only)}
	}
	if f.list {
		return f.listCases(out, conformance.Selected(o.Only))
	}
	if len(args) != 1 {
		return usageError{fmt.Errorf("give the URL of the directory: %s", c.UseLine())}
	}
	o.Directory = args[0]
	results := []conformance.Result{}
	counts := make(map[conformance.Outcome]int)
	err = conformance.Run(c.Context(), o, func(r conformance.Result) {
		results = append(results, r)
		counts[r.Outcome]++
		if !f.json {
			printResult(out, r)
		}
	})
	if err != nil {
		return f.untrusted(err)
	}
	if f.json {
		if err := printJSON(out, results); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%d passed, %d failed, %d warnings, %d skipped\n", counts[conformance.Pass], counts[conformance.Fail], counts[conformance.Warn], counts[conformance.Skip])
	}
	if n := counts[conformance.Fail]; n > 0 {
		return fmt.Errorf("the server does not keep %d of the rules; see the cases that failed", n)
	}
	return nil
}

// untrusted says what to do about a server whose certificate is not trusted.
func (f *conformanceFlags) untrusted(err error) error {
	switch {
	case !errors.As(err, new(x509.UnknownAuthorityError)):
		return err
	case f.bundle == "":
		return fmt.Errorf("%w; name the file of the root that the server's own certificate is under: --ca-bundle FILE", err)
	}
	return fmt.Errorf("%w; the server's own certificate is not under those in %s (--ca-bundle)", err, f.bundle)
}

// options turns the flags into what the test wants.
func (f *conformanceFlags) options(version string) (o conformance.Options, err error) {
	o = conformance.Options{Domains: f.domains, UserAgent: "vidimusd-conformance/" + version}
	if o.Only, err = regexp.Compile("(?i)" + f.only); err != nil {
		return o, fmt.Errorf("--only is not a regular expression: %w", err)
	}
	if f.http01Port != 0 {
		o.HTTP01 = ":" + strconv.Itoa(f.http01Port)
	}
	if f.tlsALPN01Port != 0 {
		o.TLSALPN01 = ":" + strconv.Itoa(f.tlsALPN01Port)
	}
	if f.dns != "" {
		if _, _, err := net.SplitHostPort(f.dns); err != nil {
			return o, fmt.Errorf("--dns %q is not HOST:PORT", f.dns)
		}
		o.DNS = f.dns
	}
	if f.address != "" {
		a, err := netip.ParseAddr(f.address)
		if err != nil || a.Zone() != "" {
			return o, fmt.Errorf("--address %q is not an IP address", f.address)
		}
		o.Address = a.String()
	}
	if f.bundle != "" {
		text, err := os.ReadFile(f.bundle)
		if err != nil {
			return o, err
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(text) {
			return o, fmt.Errorf("%s holds no certificate in PEM", f.bundle)
		}
	}
	if len(f.eabKIDs) != len(f.eabFiles) {
		return o, fmt.Errorf("give as many --eab-hmac-key-file as --eab-kid")
	}
	for n, kid := range f.eabKIDs {
		text, err := os.ReadFile(f.eabFiles[n])
		if err != nil {
			return o, err
		}
		key, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimRight(bytes.TrimSpace(text), "=")))
		if err != nil {
			return o, fmt.Errorf("%s holds no key in base64url", f.eabFiles[n])
		}
		o.EAB = append(o.EAB, conformance.Credentials{KID: kid, Key: key})
	}
	return o, nil
}

func (f *conformanceFlags) listCases(out io.Writer, cases []conformance.Case) error {
	if f.json {
		return printJSON(out, cases)
	}
	for _, c := range cases {
		fmt.Fprintf(out, "%-16s %-6s  %s\n", c.Section, c.Level, c.Title)
	}
	return nil
}

func printResult(out io.Writer, r conformance.Result) {
	fmt.Fprintf(out, "%-4s  %-16s %-6s  %s\n", r.Outcome, r.Section, r.Level, r.Title)
	if r.Reason != "" {
		fmt.Fprintf(out, "      %s\n", r.Reason)
	}
}

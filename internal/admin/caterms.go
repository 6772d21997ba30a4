package admin

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/ceremony"
	"vidimus/internal/identifier"
)

// caTerms are the flags about what a CA certificate says.
type caTerms struct {
	name, organisation, country string
	validity                    string
	pathLen                     int
	usage, permit, exclude      []string
	crlURL, caURL               string
}

func (f *caTerms) addName(c *cobra.Command) {
	c.Flags().StringVar(&f.name, "name", "", "the common `NAME` of the CA, which stays as long as it does")
	c.Flags().StringVar(&f.organisation, "organisation", "", "the `NAME` of your organisation")
	c.Flags().StringVar(&f.country, "country", "", "the `CODE` of its country, two letters such as DE")
	c.MarkFlagRequired("name")
}

func (f *caTerms) addValidity(c *cobra.Command, usual string) {
	c.Flags().StringVar(&f.validity, "validity", usual, "how `LONG` it is good for, in years or days, such as 10y or 3650d")
}

func (f *caTerms) addLimits(c *cobra.Command) {
	c.Flags().IntVar(&f.pathLen, "path-len", 0, "how many CAs, `N`, may stand below one another under it")
	c.Flags().StringSliceVar(&f.usage, "usage", []string{"server", "client"}, "the `USE` of certificates under it: server, client, any")
	c.RegisterFlagCompletionFunc("usage", cobra.FixedCompletions([]string{"server", "client", "any"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringSliceVar(&f.permit, "permit", nil, "a `DOMAIN`, with all below it, or network that certificates may be for; can be repeated (default: all)")
	c.Flags().StringSliceVar(&f.exclude, "exclude", nil, "a `DOMAIN` or network that they may not be for; can be repeated")
}

func (f *caTerms) addURLs(c *cobra.Command) {
	c.Flags().StringVar(&f.crlURL, "crl-url", "", "the http `URL` of the root's CRL")
	c.Flags().StringVar(&f.caURL, "ca-url", "", "the http `URL` of the root's certificate, in DER")
}

// terms understands the flags. What a command doesn't have keeps its zero value.
func (f *caTerms) terms(now time.Time) (t ceremony.Terms, err error) {
	if t.Name, err = f.subject(); err != nil {
		return t, err
	}
	t.NotBefore, t.PathLen, t.CRLURL, t.CAURL = now.UTC().Truncate(time.Second), f.pathLen, f.crlURL, f.caURL
	if t.NotAfter, err = lifeEnd(f.validity, t.NotBefore); err != nil {
		return t, err
	}
	for _, u := range []string{f.crlURL, f.caURL} {
		if parsed, err := url.Parse(u); u != "" && (err != nil || parsed.Scheme != "http" || parsed.Host == "") {
			return t, fmt.Errorf("%q is not a URL that begins with http://; CRLs and CA certificates are fetched without TLS", u)
		}
	}
	for _, u := range f.usage {
		switch u {
		case "server":
			t.Usages = append(t.Usages, x509.ExtKeyUsageServerAuth)
		case "client":
			t.Usages = append(t.Usages, x509.ExtKeyUsageClientAuth)
		case "any":
			if len(f.usage) > 1 {
				return t, fmt.Errorf("--usage any stands alone")
			}
		default:
			return t, fmt.Errorf("--usage %q is none of server, client, any", u)
		}
	}
	if t.PermittedDomains, t.PermittedNetworks, err = constraints("--permit", f.permit); err != nil {
		return t, err
	}
	t.ExcludedDomains, t.ExcludedNetworks, err = constraints("--exclude", f.exclude)
	return t, err
}

// subject keeps to the lengths of RFC 5280 appendix A.1.
func (f *caTerms) subject() (name pkix.Name, err error) {
	for _, x := range []struct {
		flag, value string
		field       *[]string
	}{{"--name", f.name, nil}, {"--organisation", f.organisation, &name.Organization}, {"--country", f.country, &name.Country}} {
		if len([]rune(x.value)) > 64 || strings.TrimSpace(x.value) != x.value || strings.ContainsAny(x.value, "\n\r\x00") {
			return name, fmt.Errorf("%s must be one line of at most 64 characters, without space around it", x.flag)
		}
		if x.value != "" && x.field != nil {
			*x.field = []string{x.value}
		}
	}
	if f.country != "" && (len(f.country) != 2 || strings.ToUpper(f.country) != f.country) {
		return name, fmt.Errorf("--country %q is not two capital letters such as DE", f.country)
	}
	name.CommonName = f.name
	return name, nil
}

// lifeEnd is the last second of a life such as "10y" or "90d".
func lifeEnd(s string, from time.Time) (time.Time, error) {
	if s != "" {
		n, err := strconv.Atoi(s[:len(s)-1])
		switch unit := s[len(s)-1]; {
		case err != nil || n < 1:
		case unit == 'y' && n <= 50:
			return from.AddDate(n, 0, 0).Add(-time.Second), nil
		case unit == 'd' && n <= 50*366:
			return from.AddDate(0, 0, n).Add(-time.Second), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time of 1 day to 50 years, such as 10y or 3650d", s)
}

func constraints(flag string, list []string) (domains []string, networks []*net.IPNet, err error) {
	for _, s := range list {
		if _, n, err := net.ParseCIDR(s); err == nil {
			networks = append(networks, n)
			continue
		}
		id, err := identifier.ParseDNS(s)
		if err != nil || id.Wildcard() {
			return nil, nil, fmt.Errorf("%s %q is neither a domain such as example.org nor a network such as 10.0.0.0/8", flag, s)
		}
		domains = append(domains, id.Value)
	}
	return domains, networks, nil
}

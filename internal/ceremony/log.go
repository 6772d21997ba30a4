package ceremony

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Log is what happened at a ceremony, as lines to print and keep.
type Log struct{ lines [][2]string }

// Add puts a line into the log. What names in certificates and requests have besides what
// can be seen, such as line breaks, would let them write lines of their own.
func (l *Log) Add(what, format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprintf(format, args...))
	l.lines = append(l.lines, [2]string{what, text})
}

// Certificate describes a certificate that was made.
func (l *Log) Certificate(c *x509.Certificate) {
	l.Add("Subject", "%s", c.Subject)
	l.Add("Serial number", "%x", c.SerialNumber)
	l.Add("Key", "%s", keyName(c.PublicKey))
	l.Add("Valid", "from %s to %s", day(c.NotBefore), day(c.NotAfter))
	switch {
	case c.MaxPathLen > 0 || c.MaxPathLenZero:
		l.Add("Path length", "%d", c.MaxPathLen)
	default:
		l.Add("Path length", "not limited")
	}
	for _, u := range c.ExtKeyUsage {
		l.Add("For", "%s", u.OID())
	}
	l.names("Permitted", c.PermittedDNSDomains, c.PermittedIPRanges)
	l.names("Excluded", c.ExcludedDNSDomains, c.ExcludedIPRanges)
	l.Add("Certificate SHA-256", "%s", Fingerprint(c.Raw))
	l.Add("Public key SHA-256", "%s", Fingerprint(c.RawSubjectPublicKeyInfo))
}

func (l *Log) names(what string, domains []string, networks []*net.IPNet) {
	all := make([]string, 0, len(domains)+len(networks))
	for _, d := range domains {
		if d == "" {
			d = "all DNS names"
		}
		all = append(all, d)
	}
	for _, n := range networks {
		all = append(all, n.String())
	}
	if len(all) > 0 {
		l.Add(what, "%s", strings.Join(all, ", "))
	}
}

// SignedBy names the CA that signed.
func (l *Log) SignedBy(c *x509.Certificate) {
	l.Add("Signed by", "%s", c.Subject)
	l.Add("  whose certificate", "%s", Fingerprint(c.Raw))
}

// Print writes the log as text.
func (l *Log) Print(w io.Writer, what, version string, now time.Time) error {
	fmt.Fprintf(w, "CEREMONY LOG (print it and keep it)\n")
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "Time:\t%s\nProgram:\tvidimusd %s\nDone:\t%s\n", day(now), version, what)
	for _, x := range l.lines {
		fmt.Fprintf(tw, "%s:\t%s\n", x[0], x[1])
	}
	return tw.Flush()
}

// Fingerprint is the SHA-256 of data in pairs of hexadecimal digits, as OpenSSL prints
// it.
func Fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	pairs := make([]string, len(sum))
	for n, b := range sum {
		pairs[n] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

func keyName(pub any) string {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", pub.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA on " + pub.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}

// Package identifier holds what is certified: a DNS name, perhaps a wildcard, or
// an IP address. Both programs turn every name that comes from outside into an
// [Identifier] at their door, so that below it a name is in its one canonical
// form and comparing two is ==.
//
// The form of a DNS name is that of RFC 8555 §7.1.4 and RFC 5890: A-labels,
// lower case, no trailing dot; a wildcard has "*." in front (RFC 6125 §6.4.3).
package identifier

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Type is an ACME identifier type (RFC 8555 §9.7.7, RFC 8738 §7).
type Type string

const (
	DNS Type = "dns"
	IP  Type = "ip"
)

// Identifier is a name or an address in canonical form. It marshals to and from
// the identifier object of RFC 8555 §7.1.3; use [Identifier.Canonical] on one that
// came out of a decoder.
type Identifier struct {
	Type  Type   `json:"type"`
	Value string `json:"value"`
}

// lookup maps and checks names as a resolver would, and keeps underscores out.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.CheckHyphens(false), // R3-names such as "r3---sn-x" exist
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

// Parse reads a DNS name, a wildcard, or an IP address as a person writes it.
func Parse(s string) (Identifier, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return Identifier{IP, addr.Unmap().String()}, nil
	}
	return ParseDNS(s)
}

// ParseLocal is [Parse] that also takes a name of one label, such as "mail", which a CA
// of one's own may certify. It is for a client, which leaves the decision to the CA.
func ParseLocal(s string) (Identifier, error) {
	const below = ".local.invalid"
	if strings.Contains(strings.TrimSuffix(s, "."), ".") || strings.Contains(s, ":") {
		return Parse(s)
	}
	id, err := ParseDNS(strings.TrimSuffix(s, ".") + below)
	if err != nil || id.Wildcard() || strings.Trim(s, "0123456789.") == "" {
		return ParseDNS(s) // which says what is wrong with it
	}
	return Identifier{DNS, strings.TrimSuffix(id.Value, below)}, nil
}

// ParseDNS reads a DNS name or a wildcard. Unicode is turned into A-labels, upper
// case into lower, and one trailing dot is dropped. The name must have at least two
// labels, and its last one must not be a number.
func ParseDNS(s string) (Identifier, error) {
	bad := func(why string) (Identifier, error) {
		return Identifier{}, fmt.Errorf("%q is not a domain name: %s", clip(s), why)
	}
	if s == "" {
		return bad("it is empty")
	}
	name, wildcard := strings.CutPrefix(s, "*.")
	switch {
	case strings.Contains(name, "*"):
		return bad("a wildcard stands only as the whole first label, as in *.example.org")
	case strings.Contains(name, "://"), strings.ContainsAny(name, "/@ :"):
		return bad("give the bare name, without scheme, port, path or spaces")
	case len(name) > maxUnicode:
		return bad("it is longer than 253 characters")
	case slices.ContainsFunc(strings.FieldsFunc(name, isDot), func(label string) bool { return utf8.RuneCountInString(label) > maxRunes }):
		return bad("a label is longer than 63 characters")
	}
	ascii, err := lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil {
		return bad(reason(err, name))
	}
	// Some malformed Unicode maps to a name that does not map to itself.
	if again, err := lookup.ToASCII(ascii); err != nil || again != ascii {
		return bad("it has characters that no host name has")
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return bad("a label begins or ends with a hyphen")
		}
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	switch {
	case len(last) == len(ascii):
		return bad("it needs at least two labels, as in www.example.org")
	case strings.Trim(last, "0123456789") == "":
		return bad("its last label is a number")
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if len(ascii) > 253 {
		return bad("it is longer than 253 characters")
	}
	return Identifier{DNS, ascii}, nil
}

// Turning Unicode into A-labels takes time that grows with the square of a label's
// length, so what can't become short enough is refused before it is looked at: a name of
// more bytes, or a label of more characters, of which two may become one.
const (
	maxUnicode = 1024
	maxRunes   = 2 * 63
)

// isDot tells whether a character separates labels (UTS 46 §2.3).
func isDot(r rune) bool { return strings.ContainsRune(".\u3002\uff0e\uff61", r) }

// reason words what idna found wrong with name.
func reason(err error, name string) string {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		switch {
		case label == "":
			return "it has an empty label"
		case len(label) > 63:
			return "a label is longer than 63 characters"
		case strings.Contains(label, "_"):
			return "it has an underscore, which no host name has"
		}
	}
	return clip(strings.TrimPrefix(err.Error(), "idna: "))
}

// clip keeps a hostile value from filling a log line.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// ErrType says that an identifier is of a type other than "dns" and "ip".
var ErrType = errors.New("unsupported identifier type")

// Canonical checks an identifier that came from outside and returns it in
// canonical form. The error wraps [ErrType] when the type is unknown.
func (i Identifier) Canonical() (Identifier, error) {
	switch i.Type {
	case DNS:
		if _, err := netip.ParseAddr(i.Value); err == nil { // as clients send that know nothing of RFC 8738
			return Identifier{}, fmt.Errorf("%q is an IP address, which is ordered with the type \"ip\" (RFC 8738), not \"dns\"", clip(i.Value))
		}
		return ParseDNS(i.Value)
	case IP:
		addr, err := netip.ParseAddr(i.Value)
		if err != nil || addr.Zone() != "" {
			return Identifier{}, fmt.Errorf("%q is not an IP address", clip(i.Value))
		}
		return Identifier{IP, addr.Unmap().String()}, nil
	}
	return Identifier{}, fmt.Errorf("%w %q", ErrType, clip(string(i.Type)))
}

// Wildcard tells whether i is a wildcard name.
func (i Identifier) Wildcard() bool { return i.Type == DNS && strings.HasPrefix(i.Value, "*.") }

// Base is i without the leading "*." of a wildcard: the name that is validated.
func (i Identifier) Base() Identifier {
	return Identifier{i.Type, strings.TrimPrefix(i.Value, "*.")}
}

func (i Identifier) String() string { return i.Value }

// Compare orders identifiers by type, then value.
func Compare(a, b Identifier) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
}

// GoodFor lists the names of certificates that are good for i: its own, and the wildcard
// that covers it.
func (i Identifier) GoodFor() []string {
	if _, parent, ok := strings.Cut(i.Value, "."); ok && i.Type == DNS {
		return []string{i.Value, "*." + parent}
	}
	return []string{i.Value}
}

// Sorted returns the distinct identifiers of ids in ascending order; ids itself is
// left as it is.
func Sorted(ids []Identifier) []Identifier {
	out := slices.Clone(ids)
	slices.SortFunc(out, Compare)
	return slices.Compact(out)
}

// Values lists the values of ids, in their order.
func Values(ids []Identifier) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.Value
	}
	return out
}
